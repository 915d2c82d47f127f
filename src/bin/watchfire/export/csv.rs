//! `watchfire export csv`: lists as Meta publishes them, one file an operation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use watchfire::client::Patience;
use watchfire::interop::meta_csv::FileNames;
use watchfire::interop::meta_csv::Gathered;
use watchfire::interop::meta_csv::Layout;
use watchfire::interop::meta_csv::WriteAccount;
use watchfire::model::handling::Tlp;
use watchfire::profile;

use crate::context::Context;
use crate::export::Common;
use crate::output;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The folder, which is made if it is not there. Files of the same names are replaced; only you may read them.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// In which columns.
    #[arg(long, value_enum, default_value_t = Columns::KillChain)]
    layout: Columns,
}

/// In which columns lists are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Columns {
    /// Tactic, Technique, Procedure, Indicator, Comments: as published from 2023 on.
    KillChain,
    /// `indicator_type`, `indicator_value`, comment, ds: as published from 2020 to 2022.
    Flat,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let filter = args.common.filter.filter(client.profile())?;
    args.common.filter.demand_operations(&client).await?;
    let mut export = client.export(filter, Patience::Limited(Duration::from_mins(1))).await?;
    let (mut gathered, mut strictest) = (Gathered::default(), None::<Tlp>);
    while let Some(records) = export.next().await? {
        for record in &records {
            strictest = strictest.max(Some(record.record.header.handling.tlp));
            gathered.take(record);
        }
    }
    let layout = match args.layout {
        Columns::KillChain => Layout::KillChain,
        Columns::Flat => Layout::Flat,
    };
    let others = gathered.others().clone();
    let (mut names, mut account) = (FileNames::default(), WriteAccount::default());
    profile::create_folder(&args.out)?;
    let sheets = gathered.into_sheets();
    let files = sheets.len();
    for sheet in sheets {
        let written = sheet.write(layout)?;
        account.add(&written.account);
        let path = args.out.join(names.next(&sheet.title));
        profile::write_private(&path, written.text.as_bytes())?;
    }
    tell(files, &account, &others);
    if let Some(tlp) = strictest {
        output::note(&format!("The strictest label of what is in them is {tlp}; no file says it."));
    }
    Ok(client.remember_roster().await?)
}

/// What is in the files, and what is not.
fn tell(files: usize, account: &WriteAccount, others: &BTreeMap<&'static str, u64>) {
    let WriteAccount { exact, shortened, repeated, left_out, fields } = account;
    output::note(&format!(
        "{files} files: {exact} indicators come back as they are when they are read again, {shortened} say less."
    ));
    if *repeated > 0 {
        output::note(&format!(
            "Left out: {repeated} indicators of an asset that its file has already."
        ));
    }
    for (what, counts) in [
        ("Left out, since the layout cannot say them, by kind", left_out),
        ("Left out, records of other kinds", others),
        ("Fields that do not come back, with how often", fields),
    ] {
        if !counts.is_empty() {
            let list = counts.iter().map(|(name, count)| format!("{name} {count}"));
            output::note(&format!("{what}: {}.", list.collect::<Vec<_>>().join(", ")));
        }
    }
}
