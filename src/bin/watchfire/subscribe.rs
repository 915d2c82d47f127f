//! `watchfire subscribe`: verified records as they come, shown, given to a command, or kept in a sink; the place is
//! kept with what became of them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use watchfire::client::BATCH_BYTES_MAX;
use watchfire::client::BATCH_ENTRIES_MAX;
use watchfire::client::Batch;
use watchfire::client::Batcher;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::EXEC_TIMEOUT;
use watchfire::client::Exec;
use watchfire::client::From;
use watchfire::client::Holding;
use watchfire::client::Origin;
use watchfire::client::Patience;
use watchfire::client::Recall;
use watchfire::client::Sink;
use watchfire::client::Step;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::client::Target;
use watchfire::client::apply_apart;
use watchfire::model::filter::Filter;

use crate::context::Context;
use crate::filter_flags::FilterFlags;
use crate::keeper::Keeper;
use crate::output;
use crate::output::Format;
use crate::records::Shown;
use crate::stop;

/// How long a replay waits for a hub that it lost; a live stream waits for ever.
const REPLAY_PATIENCE: Duration = Duration::from_mins(1);
/// Seconds that a command may take at most: a day.
const EXEC_SECONDS_MAX: u64 = 24 * 60 * 60;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to start if no place is saved: start, now, or a sequence.
    #[arg(long, default_value = "start", value_name = "start|now|SEQUENCE")]
    from: StartAt,
    #[command(flatten)]
    filter: FilterFlags,
    /// How to show records.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// End when everything that is there was shown.
    #[arg(long)]
    until_head: bool,
    /// Go on where this file says, and save there where it stands, after what was shown has left or was acknowledged.
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// The same, in a file of the profile.
    #[arg(long, value_name = "NAME", conflicts_with = "cursor_file")]
    cursor: Option<watchfire::model::names::MemberId>,
    #[arg(long, value_name = "CMD", conflicts_with = "format", help = exec_help())]
    exec: Option<String>,
    /// How long the command may take for one batch, in seconds; then it is killed, and nothing is acknowledged.
    #[arg(long, value_name = "SECONDS", default_value_t = EXEC_TIMEOUT.as_secs(), requires = "exec",
        value_parser = clap::value_parser!(u64).range(1..=EXEC_SECONDS_MAX))]
    exec_timeout: u64,
    /// Keep records in a sink that keeps its own place, in one step with them: a folder with a file for each
    /// revision, sqlite:FILE, or jsonl:FILE. Withdrawals are carried out there; where one demands deletion, what is
    /// held is deleted.
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["exec", "format", "cursor", "cursor_file"])]
    into: Option<Target>,
}

fn exec_help() -> String {
    format!(
        "Run this command with the shell for each batch of records, which it gets as JSON lines on its standard input: \
         at most {BATCH_ENTRIES_MAX} records and {} KiB. The place is saved when it ends with 0; if it fails, the \
         subscription ends, and the next one offers the same batch again. WATCHFIRE_EPOCH, WATCHFIRE_FIRST_SEQUENCE \
         and WATCHFIRE_LAST_SEQUENCE say which batch it is, WATCHFIRE_BACKFILL is 1 for earlier records that came \
         into sight",
        BATCH_BYTES_MAX / 1024
    )
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum StartAt {
    Start,
    Now,
    Sequence(u64),
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            _ => text
                .parse()
                .map(Self::Sequence)
                .map_err(|_not_a_number| "must be start, now or a sequence".to_owned()),
        }
    }
}

impl StartAt {
    const fn from(&self) -> From {
        match self {
            Self::Start => From::Start,
            Self::Now => From::Now,
            Self::Sequence(sequence) => From::Sequence(*sequence),
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let filter = args.filter.filter(&profile)?;
    let origin = Origin::new(profile.settings(), &filter);
    if let Some(target) = &args.into {
        // Before the hub is asked: a sink that does not fit is our own affair.
        let sink = target.open(&origin)?;
        let client = Client::connect(profile).await?;
        let options = args.options(filter, sink.place().cloned().map(From::Place));
        let kept = keep(&client, options, sink).await;
        client.remember_roster().await?;
        return kept;
    }
    let file = match (&args.cursor_file, &args.cursor) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(name)) => Some(profile.cursor_path(name.as_str())),
        (None, None) => None,
    };
    let (keeper, place) = Keeper::open(file, origin)?;
    let client = Client::connect(profile).await?;
    let options = args.options(filter, place.map(From::Place));
    let done = match &args.exec {
        Some(command) => {
            let exec = Exec::new(command.clone(), Duration::from_secs(args.exec_timeout));
            run_each(&client, options, &exec, keeper).await
        }
        None => show(&client, options, args.format, keeper).await,
    };
    client.remember_roster().await?;
    done
}

impl Args {
    fn options(&self, filter: Filter, saved: Option<From>) -> SubscribeOptions {
        let patience =
            if self.until_head { Patience::Limited(REPLAY_PATIENCE) } else { Patience::Unlimited };
        let from = saved.unwrap_or_else(|| self.from.from());
        SubscribeOptions { from, filter, until_head: self.until_head, patience }
    }
}

async fn show(
    client: &Client,
    options: SubscribeOptions,
    format: Format,
    mut keeper: Keeper,
) -> anyhow::Result<()> {
    let mut shown = Shown::new(format);
    let mut subscription = client.subscribe(options).await?;
    while let Some(delivery) = subscription.next().await? {
        tell(&delivery);
        if let Delivery::Entries { entries, .. } = &delivery {
            shown.show(entries)?;
        }
        // After what was shown has left: a crash in between shows it again, and never leaves it out.
        keeper.save(subscription.place())?;
    }
    Ok(())
}

/// Notes about a delivery, for people.
fn tell(delivery: &Delivery) {
    match delivery {
        Delivery::Entries { entries: _, left_filter, backfill } => {
            if *backfill {
                output::note("access was gained: earlier records follow");
            }
            for sequence in left_filter {
                output::note(&format!("the record at sequence {sequence} no longer matches"));
            }
        }
        Delivery::Mark(_) => {}
        Delivery::AccessChanged(change) => {
            let (gained, lost) = (change.gained.join(" "), change.lost.join(" "));
            let text = format!("access changed: gained [{gained}], lost [{lost}]");
            output::note(&output::clean(&text));
        }
        Delivery::Interrupted(error) => {
            output::note(&format!("the connection was lost, trying again: {error}"));
        }
    }
}

/// Batches of a subscription, one after the other.
struct Batches {
    subscription: Subscription,
    batcher: Batcher,
    ready: std::collections::VecDeque<Batch>,
}

impl Batches {
    fn new(subscription: Subscription, batcher: Batcher) -> Self {
        Self { subscription, batcher, ready: std::collections::VecDeque::new() }
    }

    async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some(delivery) = self.subscription.next().await? else {
                self.ready.extend(self.batcher.flush());
                return Ok(self.ready.pop_front());
            };
            tell(&delivery);
            self.ready.extend(self.batcher.take(&delivery));
        }
    }
}

/// Runs a command for each batch until the end, or until this process is asked to stop; then the command is killed.
async fn run_each(
    client: &Client,
    options: SubscribeOptions,
    exec: &Exec,
    mut keeper: Keeper,
) -> anyhow::Result<()> {
    let cutter = Batcher::new(&options.from).offering_again(keeper.offered());
    let work = async {
        let mut batches = Batches::new(client.subscribe(options).await?, cutter);
        while let Some(batch) = batches.next().await? {
            keeper.offer(&batch)?;
            exec.run(&batch).await?;
            keeper.save(&batch.place)?;
        }
        Ok(())
    };
    // What is dropped half-way is not acknowledged, and comes again.
    tokio::select! {
        done = work => done,
        asked = stop::asked() => Ok(asked?),
    }
}

/// Keeps each batch in a sink.
async fn keep(
    client: &Client,
    options: SubscribeOptions,
    mut sink: Box<dyn Sink>,
) -> anyhow::Result<()> {
    let cutter = Batcher::new(&options.from);
    let mut batches = Batches::new(client.subscribe(options).await?, cutter);
    let (mut stored, mut repeated) = (0, 0);
    while let Some(batch) = batches.next().await? {
        let (same, applied) = apply_apart(sink, Step::of(batch)).await?;
        sink = same;
        stored += applied.stored;
        repeated += applied.repeated;
        applied.recalls.iter().for_each(tell_recall);
    }
    output::note(&format!("{stored} records were stored, {repeated} were there already"));
    Ok(())
}

fn tell_recall(recall: &Recall) {
    let done = match recall.holding {
        Holding::Deleted => "deleted here, as was demanded",
        Holding::Held => "held here, and marked",
        Holding::NotHeld => return,
    };
    output::note(&format!("{} was withdrawn: {done}", recall.withdrawal.of));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&StartAt>) {
        assert_eq!(text.parse().ok().as_ref(), expected, "{text}");
    }

    #[test]
    fn a_start_is_a_word_or_a_sequence() {
        check("start", Some(&StartAt::Start));
        check("now", Some(&StartAt::Now));
        check("17", Some(&StartAt::Sequence(17)));
        check("-1", None);
        check("yesterday", None);
    }

    #[track_caller]
    fn check_flags(flags: &[&str], is_usage: bool) {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            _args: Args,
        }
        let line = ["subscribe"].iter().chain(flags);
        let parsed = <Line as clap::Parser>::try_parse_from(line);
        assert_eq!(parsed.is_ok(), is_usage, "{flags:?}");
    }

    #[test]
    fn a_destination_stands_alone() {
        check_flags(&["--into", "records"], true);
        check_flags(&["--into", "records", "--cursor", "name"], false);
        check_flags(&["--into", "records", "--cursor-file", "file"], false);
        check_flags(&["--into", "records", "--exec", "true"], false);
        check_flags(&["--into", "records", "--format", "jsonl"], false);
        check_flags(&["--into", "sqllite:x"], false);
        check_flags(&["--exec", "true", "--cursor", "name"], true);
        check_flags(&["--exec", "true", "--format", "jsonl"], false);
        check_flags(&["--exec", "true", "--exec-timeout", "86400"], true);
        check_flags(&["--exec", "true", "--exec-timeout", "86401"], false);
        check_flags(&["--exec", "true", "--exec-timeout", "0"], false);
        check_flags(&["--exec-timeout", "5"], false);
    }
}
