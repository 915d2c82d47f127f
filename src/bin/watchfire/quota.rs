//! `watchfire quota [show]`, and as the operator `quota set MEMBER`: how much a member may ask of the hub.

use watchfire::client::Client;
use watchfire::client::OperatorChange;
use watchfire::client::QuotaUse;
use watchfire::model::names::MemberId;
use watchfire::model::roster::Quota;

use crate::context::Context;
use crate::failure::Failure;
use crate::handling_flags::member;
use crate::output;
use crate::table;

const EXAMPLES: &str = "Examples:
  watchfire --profile acme quota
  watchfire --profile operator quota set acme-video --records-per-second 50 --bytes-per-day 1073741824
  watchfire --profile operator quota set acme-video --streams 0      # the hub's own limit again";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what is left to this profile's member now.
    Show,
    /// As the operator: set how much a member may ask. What is not named stays as it is; 0 is the hub's own limit.
    Set(Set),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("limits").required(true).multiple(true)
    .args(["records_per_second", "bytes_per_day", "streams", "lookups_per_second"]))]
struct Set {
    /// The member.
    #[arg(value_parser = member)]
    member: MemberId,
    /// Records published a second, on the average over ten seconds.
    #[arg(long, value_name = "N")]
    records_per_second: Option<u32>,
    /// Bytes of envelopes published in 24 hours.
    #[arg(long, value_name = "N")]
    bytes_per_day: Option<u64>,
    /// Streams open at once.
    #[arg(long, value_name = "N")]
    streams: Option<u32>,
    /// Values looked up, pages read, and records sent again, a second, on the average over ten seconds.
    #[arg(long, value_name = "N")]
    lookups_per_second: Option<u32>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    match args.command {
        None | Some(Command::Show) => show(&client.quota().await?),
        Some(Command::Set(set)) => self::set(&client, set).await,
    }
}

fn show(state: &QuotaUse) -> anyhow::Result<()> {
    let QuotaUse { quota, records_left, bytes_left, lookups_left, streams_open } = state;
    let streams = u64::from(quota.streams);
    let streams_left = (streams > 0).then(|| streams.saturating_sub((*streams_open).into()));
    let rows = [
        ("records", u64::from(quota.records_per_second), "a second", records_left),
        ("bytes", quota.bytes_per_day, "a day", bytes_left),
        ("streams", streams, "at once", &streams_left),
        ("lookups", u64::from(quota.lookups_per_second), "a second", lookups_left),
    ];
    let mut table = table::plain(&["WHAT", "ALLOWED", "LEFT NOW"]);
    for (what, allowed, span, left) in rows {
        let allowed =
            if allowed == 0 { "no limit".to_owned() } else { format!("{allowed} {span}") };
        let left = left.map_or_else(String::new, |left| left.to_string());
        table.add_row([what.to_owned(), allowed, left]);
    }
    Ok(output::line(&table.to_string())?)
}

async fn set(client: &Client, set: Set) -> anyhow::Result<()> {
    let Set { member, records_per_second, bytes_per_day, streams, lookups_per_second } = set;
    let verifier = client.roster().await?;
    let Some(known) = verifier.roster().member(&member) else {
        return Err(Failure::Usage(format!("{member} is not a member")).into());
    };
    let quota = Quota {
        records_per_second: records_per_second.unwrap_or(known.quota.records_per_second),
        bytes_per_day: bytes_per_day.unwrap_or(known.quota.bytes_per_day),
        streams: streams.unwrap_or(known.quota.streams),
        lookups_per_second: lookups_per_second.unwrap_or(known.quota.lookups_per_second),
    };
    let receipt = client.change_roster(&member, OperatorChange::Quota(quota)).await?;
    let place = receipt.sequence;
    Ok(output::line(&format!("The quota of {member} is set from sequence {place} on."))?)
}
