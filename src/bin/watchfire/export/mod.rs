//! `watchfire export`: what one may read, in the formats of tools that members run already.

mod blocklist;
mod follow;
mod jsonl;
mod misp;
mod place;
mod product;
mod stix;
mod stix_folder;
mod whole_file;

use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::Patience;
use watchfire::model::filter::Filter;

use crate::context::Context;
use crate::filter_flags::FilterFlags;

/// How long an export that ends waits for a hub that it lost.
const PATIENCE: Patience = Patience::Limited(Duration::from_mins(1));

/// Records that are exported, and where they go.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    filter: FilterFlags,
}

impl Common {
    /// The filter; refused if it asks for an operation that is none.
    async fn filter(&self, client: &Client) -> anyhow::Result<Filter> {
        let filter = self.filter.filter(client.profile())?;
        self.filter.demand_operations(client).await?;
        Ok(filter)
    }
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// A STIX 2.1 bundle, with the signed envelope of each record in it.
    Stix(stix::Args),
    /// JSON lines, as `subscribe --format jsonl` prints them.
    Jsonl(jsonl::Args),
    /// A MISP feed: a folder that a MISP fetches by its address.
    Misp(Box<misp::Args>),
    /// One value a line, for a firewall: only what its publisher lets readers block, and nothing that speaks against it.
    Blocklist(Box<blocklist::Args>),
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Stix(args) => stix::run(context, args).await,
        Command::Jsonl(args) => jsonl::run(context, args).await,
        Command::Misp(args) => misp::run(context, *args).await,
        Command::Blocklist(args) => blocklist::run(context, *args).await,
    }
}
