//! `watchfire bench`: a load over real mutual TLS against the real hub, as a process of its own on a throw-away
//! exchange.
//!
//! Records are signed before the clock starts. Every receipt and every sequence is checked: a figure whose check
//! fails is an error, not a figure. Rates are medians of the rounds.

mod counted;
mod figures;
mod load;
mod meeting;
mod process;
mod scene;
mod workloads;

use std::path::PathBuf;

use self::figures::Figure;
use self::figures::median;
use self::load::Setting;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure; all but a meeting if nothing is named.
    #[arg(value_enum)]
    workloads: Vec<Workload>,
    /// Records to publish in each round.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Records that are in the log before anything is measured.
    #[arg(long, default_value_t = 0)]
    filled: usize,
    /// Bytes of a record's envelope.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(450..=4500))]
    size: u32,
    /// Records in a batch.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=256))]
    batch: u32,
    /// Calls under way at once where records are published one a call.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1024))]
    at_once: u32,
    /// Rounds of each workload.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Subscribers of the fan-out.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=512))]
    subscribers: u32,
    /// Subscribers that wait while nothing happens, ten on a connection.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=7500))]
    idle: u32,
    /// How long a meeting lasts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: u32,
    /// The folder for the exchange; must not exist. A temporary one if none is named.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// Durable publishes, pipelined in batches.
    Publish,
    /// Durable publishes, one a call.
    Unary,
    /// From publish to verified delivery, with the hub idle.
    Latency,
    /// The whole log to one subscriber, its sequences checked.
    Replay,
    /// The whole log to one subscriber, everything verified.
    Verify,
    /// Batches of 64 to many live subscribers.
    Fanout,
    /// One record a call by 16 publishers, to many live subscribers.
    FanoutSingle,
    /// Ten times the records, and then a look-up of the last one's value.
    Sustained,
    /// Batches of 64 on a hundred platforms, to one live subscriber of all of them.
    Unfiltered,
    /// The same to 32 live subscribers, each of one platform.
    Filtered,
    /// Subscribers that wait while nothing happens.
    Idle,
    /// Values looked up, 100 a call.
    Lookup,
    /// Values looked up, 1,000 a call.
    LookupThousand,
    /// The same, each match verified and all of them proven to be in the log.
    LookupVerified,
    /// Values looked up that nobody published, 1,000 a call.
    LookupAbsent,
    /// Pages of 100 records by a word and a kind.
    Search,
    /// An operation of 10,000 indicators, whole.
    Operation,
    /// What is linked with a value within two steps: 51 nodes.
    Links,
    /// Proofs that an entry is in the log, one a call, each checked.
    Proof,
    /// From the start of a hub that was killed to its first answer.
    Start,
    /// 20 publishers and 50 live subscribers at a steady 1,200 records a second, for some minutes.
    Meeting,
}

impl Workload {
    const fn asks_for_the_scene(self) -> bool {
        matches!(self, Self::Search | Self::Operation | Self::Links)
    }
}

const ALL: [Workload; 20] = [
    Workload::Publish,
    Workload::Unary,
    Workload::Latency,
    Workload::Replay,
    Workload::Verify,
    Workload::Fanout,
    Workload::FanoutSingle,
    Workload::Sustained,
    Workload::Unfiltered,
    Workload::Filtered,
    Workload::Idle,
    Workload::Lookup,
    Workload::LookupThousand,
    Workload::LookupVerified,
    Workload::LookupAbsent,
    Workload::Search,
    Workload::Operation,
    Workload::Links,
    Workload::Proof,
    Workload::Start,
];

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("watchfire-bench-").tempdir()?;
    let data = args.data.clone().unwrap_or_else(|| temporary.path().join("exchange"));
    let mut setting = Setting::new(&data, &args).await?;
    let workloads = if args.workloads.is_empty() { ALL.to_vec() } else { args.workloads.clone() };
    // Before the rest, so that what is asked for is the oldest of the log.
    if workloads.iter().any(|workload| workload.asks_for_the_scene()) {
        scene::publish(&mut setting).await?;
    }
    workloads::fill(&mut setting, args.filled).await?;
    let mut figures: Vec<Figure> = Vec::new();
    for workload in workloads {
        let mut rounds = Vec::new();
        for round in 0..args.rounds {
            let figure = workloads::run(workload, &mut setting, &args).await?;
            output::note(&format!("{} round {}: {:.0}/s", figure.workload, round + 1, figure.rate));
            rounds.push(figure);
        }
        figures.extend(median(rounds));
    }
    if args.json {
        for figure in &figures {
            output::line(&figure.to_json())?;
        }
        return Ok(());
    }
    output::line(&figures::table(&figures))?;
    Ok(())
}
