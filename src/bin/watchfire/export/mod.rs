//! `watchfire export`: what one may read, in the formats of tools that members run already.

mod csv;
mod jsonl;
mod stix;
mod whole_file;

use crate::context::Context;
use crate::filter_flags::FilterFlags;

/// Records that are exported, and where they go.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    filter: FilterFlags,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// A STIX 2.1 bundle, with the signed envelope of each record in it.
    Stix(stix::Args),
    /// CSV as Meta publishes it: one file an operation, in either layout.
    Csv(csv::Args),
    /// JSON lines, as `subscribe --format jsonl` prints them.
    Jsonl(jsonl::Args),
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Stix(args) => stix::run(context, args).await,
        Command::Csv(args) => csv::run(context, args).await,
        Command::Jsonl(args) => jsonl::run(context, args).await,
    }
}
