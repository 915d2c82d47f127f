//! `watchfire export jsonl`: the current state, as JSON lines.

use crate::context::Context;
use crate::export::Common;
use crate::output::Format;
use crate::records::Shown;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let filter = args.common.filter.filter(client.profile())?;
    args.common.filter.demand_operations(&client).await?;
    let mut shown = Shown::with(Format::Jsonl, client.profile())?;
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
