//! `watchfire export stix`.

use std::io::BufWriter;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use watchfire::client::Export;
use watchfire::client::Patience;
use watchfire::interop::exported::ExportedRecord;
use watchfire::interop::stix;
use watchfire::interop::stix::BundleWriter;

use crate::context::Context;
use crate::export::Common;
use crate::export::follow::FollowFlags;
use crate::export::stix_folder;
use crate::export::whole_file::WholeFile;
use crate::output;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The file; standard output if none is named. It is replaced as a whole, once everything is there.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    follow: FollowFlags,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    if let Some(folder) = args.out.as_ref().filter(|_out| args.follow.is_on()) {
        return stix_folder::run(context, &args.common, &args.follow, folder).await;
    }
    let client = context.connect().await?;
    let filter = args.common.filter.filter(client.profile())?;
    args.common.filter.demand_operations(&client).await?;
    let mut export = client.export(filter, Patience::Limited(Duration::from_mins(1))).await?;
    let (records, objects) = match &args.out {
        None => {
            let out = BufWriter::new(std::io::stdout());
            let (counts, _out) = write(&mut export, out).await?;
            counts
        }
        Some(path) => {
            let (counts, file) = write(&mut export, WholeFile::create(path)?).await?;
            file.finish()?;
            counts
        }
    };
    output::note(&format!("{records} records as {objects} objects"));
    Ok(client.remember_roster().await?)
}

/// Writes the bundle; how many records, how many objects.
async fn write<W: Write>(export: &mut Export, out: W) -> anyhow::Result<((u64, u64), W)> {
    let bar = output::counter("exporting");
    let mut bundle = BundleWriter::new(out)?;
    let mut written = 0;
    while let Some(records) = export.next().await? {
        written += put(&mut bundle, &records)?;
        bar.set_position(written);
    }
    // Whoever took an earlier bundle in has to hear of it.
    while let Some(records) = export.next_recalled().await? {
        written += put(&mut bundle, &records)?;
        bar.set_position(written);
    }
    bar.finish_and_clear();
    let objects = bundle.written();
    Ok(((written, objects), bundle.finish()?))
}

/// Writes records; how many of them have objects.
fn put<W: Write>(bundle: &mut BundleWriter<W>, records: &[ExportedRecord]) -> anyhow::Result<u64> {
    let mut written = 0;
    for record in records {
        let objects = stix::objects(record);
        written += u64::from(!objects.is_empty());
        for object in &objects {
            bundle.put(object)?;
        }
    }
    Ok(written)
}
