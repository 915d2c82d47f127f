//! `watchfire subscriptions`: what the hub keeps of this member's durable subscriptions.

use std::time::Duration;

use serde_json::json;
use watchfire::client::DurableSubscription;
use watchfire::client::SeekPoint;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::wire::pb;

use crate::context::Context;
use crate::failure::Failure;
use crate::filter_flags::FilterFlags;
use crate::output;
use crate::output::Format;
use crate::subscribe::subscription_name;
use crate::table;
use crate::when::When;

const EXAMPLES: &str = "Examples:
  watchfire subscriptions
  watchfire subscriptions create main --kind domain --from now
  watchfire subscribe --name main --exec ./take
  watchfire subscriptions seek main --since 7d

A place that is moved counts for streams that are opened by the name from then on. A sink keeps its own place, which
counts instead.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// List them: name, filter, place, how far it lies behind, and how many streams that were opened by its name are open.
    List(ListArgs),
    /// Make one; one that is there with the same filter stays as it is.
    Create(Box<CreateArgs>),
    /// Move one, back or ahead. Streams that are open go on where they stand.
    Seek(SeekArgs),
    /// Forget one.
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct CreateArgs {
    /// Its name: 3 to 40 of a-z 0-9 -.
    name: String,
    #[command(flatten)]
    filter: FilterFlags,
    /// Where it starts.
    #[arg(long, value_enum, default_value_t = Begin::Start)]
    from: Begin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Begin {
    /// At the first entry.
    Start,
    /// With what comes from now on.
    Now,
}

#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true).args(["to", "since"]))]
struct SeekArgs {
    /// Its name.
    name: String,
    /// To the first entry, behind the last, or to a sequence, itself included.
    #[arg(long, value_name = "start|now|SEQUENCE", value_parser = seek_point)]
    to: Option<SeekPoint>,
    /// To the first entry that was taken in at or after then: 7d, 12h, 30m ago, a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
}

fn seek_point(text: &str) -> Result<SeekPoint, String> {
    match text {
        "start" => Ok(SeekPoint::Start),
        "now" => Ok(SeekPoint::Now),
        _ => text
            .parse()
            .map(SeekPoint::Sequence)
            .map_err(|_not_a_number| "must be start, now or a sequence".to_owned()),
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let format = match args.command {
        None => args.list.format,
        Some(Command::List(list)) => list.format,
        Some(Command::Create(args)) => {
            let name = subscription_name(&args.name, client.profile())?;
            let filter = args.filter.filter(client.profile())?;
            args.filter.demand_operations(&client).await?;
            let from = match args.from {
                Begin::Start => pb::StartPoint::Start,
                Begin::Now => pb::StartPoint::Now,
            };
            let made = client.create_subscription(&name, &filter, from).await?;
            return tell(&made);
        }
        Some(Command::Seek(args)) => {
            let name = subscription_name(&args.name, client.profile())?;
            let since = args.since.map(|when| when.time(client.now())).transpose()?;
            let to = args.to.or(since.map(SeekPoint::Since));
            let to =
                to.ok_or_else(|| Failure::Usage("say where to: --to or --since".to_owned()))?;
            return tell(&client.seek_subscription(&name, to).await?);
        }
        Some(Command::Delete { name }) => {
            let name = subscription_name(&name, client.profile())?;
            client.delete_subscription(&name).await?;
            return Ok(output::line(&format!("{name} is gone."))?);
        }
    };
    list(&client.subscriptions().await?, format)
}

fn tell(kept: &DurableSubscription) -> anyhow::Result<()> {
    let (name, place, lag) = (&kept.name, kept.position, kept.lag_entries);
    Ok(output::line(&format!("{name} stands at sequence {place}, {lag} entries behind."))?)
}

fn list(all: &[DurableSubscription], format: Format) -> anyhow::Result<()> {
    if format == Format::Jsonl {
        for kept in all {
            output::line(&to_json(kept).to_string())?;
        }
        return Ok(());
    }
    if all.is_empty() {
        output::note("there is none");
        return Ok(());
    }
    let titles = ["NAME", "FILTER", "PLACE", "BEHIND", "FOR", "STREAMS", "UPDATED"];
    let mut table = table::plain(&titles);
    for kept in all {
        table.add_row([
            kept.name.id().to_owned(),
            output::clean(&filter_words(&kept.filter)),
            kept.position.to_string(),
            kept.lag_entries.to_string(),
            span(kept.lag_time),
            kept.streams.to_string(),
            kept.updated.map(|time| time.to_string()).unwrap_or_default(),
        ]);
    }
    Ok(output::line(&table.to_string())?)
}

/// So long, as people say it.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => "-".to_owned(),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn to_json(kept: &DurableSubscription) -> serde_json::Value {
    json!({
        "name": kept.name.to_string(),
        "filter": filter_words(&kept.filter),
        "epoch": kept.epoch,
        "position": kept.position,
        "lag_entries": kept.lag_entries,
        "lag_seconds": kept.lag_time.as_secs_f64(),
        "streams": kept.streams,
        "update_time": kept.updated.map(|time| time.to_string()),
    })
}

/// A filter as the flags that make it.
fn filter_words(filter: &Filter) -> String {
    let Filter { body_kinds, kinds, platforms, publishers, operations } = filter;
    let kind = |number: &i32| {
        ObservableKind::from_number(*number)
            .map_or_else(|| number.to_string(), |kind| kind.to_string())
    };
    let parts = [
        ("body", body_kinds.iter().copied().map(BodyKind::as_str).map(str::to_owned).collect()),
        ("kind", kinds.iter().map(kind).collect()),
        ("platform", platforms.clone()),
        ("publisher", publishers.iter().map(MemberId::to_string).collect()),
        ("operation", operations.iter().map(RecordName::to_string).collect::<Vec<_>>()),
    ];
    let flags = parts
        .iter()
        .flat_map(|(flag, values)| values.iter().map(move |value| format!("--{flag} {value}")));
    let words = flags.collect::<Vec<_>>().join(" ");
    if words.is_empty() { "everything".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_shown_as_its_flags() {
        let filter = Filter {
            body_kinds: vec![BodyKind::Indicator],
            kinds: vec![pb::ObservableKind::Domain.into()],
            platforms: vec!["x".to_owned()],
            ..Filter::default()
        };
        assert_eq!(filter_words(&filter), "--body indicator --kind domain --platform x");
        assert_eq!(filter_words(&Filter::default()), "everything");
    }

    #[test]
    fn a_span_is_short() {
        let table = [(0, "-"), (90, "90 s"), (600, "10 min"), (7_200, "2 h"), (200_000, "2 d")];
        for (seconds, expected) in table {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn one_seeks_to_a_word_or_a_sequence() {
        assert_eq!(seek_point("start"), Ok(SeekPoint::Start));
        assert_eq!(seek_point("now"), Ok(SeekPoint::Now));
        assert_eq!(seek_point("17"), Ok(SeekPoint::Sequence(17)));
        for bad in ["", "-1", "snapshot"] {
            assert!(seek_point(bad).is_err(), "{bad}");
        }
    }
}
