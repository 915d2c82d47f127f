//! `watchfire list`: the latest revisions that match.

use crate::context::Context;
use crate::filter_flags::FilterFlags;
use crate::output::Format;
use crate::records::Shown;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterFlags,
    /// How to show records.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let filter = args.filter.filter(client.profile())?;
    args.filter.demand_operations(&client).await?;
    let mut shown = Shown::with(args.format, client.profile())?;
    let mut token = String::new();
    loop {
        let (entries, next) = client.list(&filter, &token).await?;
        shown.show(&entries)?;
        match next {
            Some(next) => token = next,
            None => break,
        }
    }
    shown.end();
    Ok(client.remember_roster().await?)
}
