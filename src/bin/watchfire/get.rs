//! `watchfire get RECORD[@REVISION]`.

use crate::context::Context;
use crate::context::record_name;
use crate::output;
use crate::output::Format;
use crate::records::Shown;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The record: its name, or if it is one's own its id alone; with @REVISION for one revision.
    record: String,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let name = record_name(&args.record, client.profile())?;
    let found = client.get(&name).await?;
    Shown::with(args.format, client.profile())?.show(&[found.entry])?;
    if let Some(sequence) = found.withdrawn_sequence {
        output::note(&format!("it was withdrawn at sequence {sequence}"));
    }
    Ok(client.remember_roster().await?)
}
