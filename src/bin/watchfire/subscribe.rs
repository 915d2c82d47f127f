//! `watchfire subscribe`: verified records as they come, shown, given to a command, or kept in a sink; the place is
//! kept with what became of them, by this client, by the hub, or by both.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use watchfire::client::Acknowledger;
use watchfire::client::BATCH_BYTES_MAX;
use watchfire::client::BATCH_ENTRIES_MAX;
use watchfire::client::Client;
use watchfire::client::Compacted;
use watchfire::client::Durable;
use watchfire::client::EXEC_TIMEOUT;
use watchfire::client::Exec;
use watchfire::client::From;
use watchfire::client::Origin;
use watchfire::client::Patience;
use watchfire::client::Place;
use watchfire::client::SubscribeOptions;
use watchfire::client::Target;
use watchfire::model::filter::Filter;
use watchfire::model::names::MemberId;
use watchfire::model::names::SubscriptionName;
use watchfire::profile::Profile;

use crate::context::Context;
use crate::failure::Failure;
use crate::filter_flags::FilterFlags;
use crate::follow;
use crate::follow::Following;
use crate::follow::Keeping;
use crate::follow::Progress;
use crate::keeper::Keeper;
use crate::output;
use crate::output::Format;
use crate::records::Shown;

/// How long a replay waits for a hub that it lost; a live stream waits for ever.
const REPLAY_PATIENCE: Duration = Duration::from_mins(1);
/// Seconds that a command may take at most: a day.
const EXEC_SECONDS_MAX: u64 = 24 * 60 * 60;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to start if no place is kept: start, now, snapshot (what is current, then what comes), or a sequence.
    #[arg(long, default_value = "start", value_name = "start|now|snapshot|SEQUENCE")]
    from: StartAt,
    #[command(flatten)]
    filter: FilterFlags,
    /// How to show records.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// End when everything that is there was shown.
    #[arg(long)]
    until_head: bool,
    #[command(flatten)]
    places: PlaceFlags,
    #[arg(long, value_name = "CMD", conflicts_with = "format", help = exec_help())]
    exec: Option<String>,
    /// How long the command may take for one batch, in seconds; then it is killed, and nothing is acknowledged.
    #[arg(long, value_name = "SECONDS", default_value_t = EXEC_TIMEOUT.as_secs(), requires = "exec",
        value_parser = clap::value_parser!(u64).range(1..=EXEC_SECONDS_MAX))]
    exec_timeout: u64,
    #[command(flatten)]
    sink: SinkFlags,
}

/// Where the place is kept.
#[derive(Clone, Debug, clap::Args)]
struct PlaceFlags {
    /// Let the hub keep the filter and the place under this name: go on where it was acknowledged, and acknowledge what
    /// was shown and has left, what the command took, or what is in the sink. It is made if it is not there; without
    /// flags for a filter, the one that it has holds.
    #[arg(long, conflicts_with_all = ["cursor", "cursor_file"])]
    name: Option<String>,
    /// Go on where this file says, and save there where it stands, after what was shown has left or was acknowledged.
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// The same, in a file of the profile.
    #[arg(long, value_name = "NAME", conflicts_with = "cursor_file", value_parser = cursor_name)]
    cursor: Option<MemberId>,
    /// If the hub has let go of what lies behind the place that is kept, take what is current instead, and go on from
    /// there.
    #[arg(long)]
    catch_up: bool,
}

/// Where records are kept.
#[derive(Clone, Debug, clap::Args)]
struct SinkFlags {
    /// Keep records in a sink that keeps its own place, in one step with them: a folder with a file for each
    /// revision, sqlite:FILE, or jsonl:FILE. Withdrawals are carried out there; where one demands deletion, what is
    /// held is deleted. The publisher is told what became of it.
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["exec", "format", "cursor", "cursor_file"])]
    into: Option<Target>,
    /// Do not answer withdrawals: another client of this member does.
    #[arg(long, requires = "into")]
    no_acknowledge: bool,
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
    Snapshot,
    Sequence(u64),
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            "snapshot" => Ok(Self::Snapshot),
            _ => text
                .parse()
                .map(Self::Sequence)
                .map_err(|_not_a_number| "must be start, now, snapshot or a sequence".to_owned()),
        }
    }
}

impl StartAt {
    const fn from(&self) -> From {
        match self {
            Self::Start => From::Start,
            Self::Now => From::Now,
            Self::Snapshot => From::Snapshot,
            Self::Sequence(sequence) => From::Sequence(*sequence),
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let filter = args.filter.filter(&profile)?;
    args.demand_operations(context, &profile).await?;
    match &args.sink.into {
        Some(target) => keep(&args, profile, filter, target).await,
        None => pass_on(&args, profile, filter).await,
    }
}

/// Keeps records in a sink.
async fn keep(
    args: &Args,
    profile: Profile,
    filter: Filter,
    target: &Target,
) -> anyhow::Result<()> {
    let open =
        |profile: &Profile, filter: &Filter| target.open(&Origin::new(profile.settings(), filter));
    // Before the hub is asked: a sink that does not fit is our own affair. Whose filter the hub keeps is asked for it.
    let sink = if args.places.name.is_none() { Some(open(&profile, &filter)?) } else { None };
    let client = Client::connect(profile).await?;
    let (durable, filter) = args.durable(&client, filter).await?;
    let sink = match sink {
        Some(sink) => sink,
        None => open(client.profile(), &filter)?,
    };
    let own = sink.place().cloned();
    let (from, acknowledger) = args.start(durable, own).await?;
    let keeping = Keeping::start(&client, sink, !args.sink.no_acknowledge).await?;
    let following = args.following(&client, filter, from);
    let done =
        follow::keep(following, keeping, Progress::new(Keeper::nowhere(), acknowledger)).await;
    client.remember_roster().await?;
    done
}

/// Shows records, or gives them to a command.
async fn pass_on(args: &Args, profile: Profile, filter: Filter) -> anyhow::Result<()> {
    let file = match (&args.places.cursor_file, &args.places.cursor) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(name)) => Some(profile.cursor_path(name.as_str())),
        (None, None) => None,
    };
    let (keeper, place) = match file {
        Some(file) => Keeper::open(file, Origin::new(profile.settings(), &filter))?,
        None => (Keeper::nowhere(), None),
    };
    let client = Client::connect(profile).await?;
    let (durable, filter) = args.durable(&client, filter).await?;
    let (from, acknowledger) = args.start(durable, place).await?;
    let following = args.following(&client, filter, from);
    let progress = Progress::new(keeper, acknowledger);
    let done = match &args.exec {
        Some(command) => {
            let exec = Exec::new(command.clone(), Duration::from_secs(args.exec_timeout));
            follow::run_each(following, &exec, progress).await
        }
        None => {
            follow::show(following, Shown::with(args.format, client.profile())?, progress).await
        }
    };
    client.remember_roster().await?;
    done
}

impl Args {
    /// A filter for what is no operation is refused before anything is made for it. One that is under way was right
    /// once: access may be gone since, and withdrawals still come.
    async fn demand_operations(&self, context: &Context, profile: &Profile) -> anyhow::Result<()> {
        if !self.filter.names_operations() {
            return Ok(());
        }
        let client = context.connect().await?;
        match self.filter.demand_operations(&client).await {
            Err(error) if self.is_under_way(&client, profile).await? => {
                output::note(&output::clean(&format!("warning: {error:#}")));
                Ok(())
            }
            checked => checked,
        }
    }

    /// Whether a place is kept that this goes on from.
    async fn is_under_way(&self, client: &Client, profile: &Profile) -> anyhow::Result<bool> {
        let PlaceFlags { name, cursor_file, cursor, .. } = &self.places;
        let sink = self.sink.into.as_ref().map(
            |(Target::Folder(path) | Target::Sqlite(path) | Target::Jsonl(path))| path.exists(),
        );
        let cursor = cursor.as_ref().map(|name| profile.cursor_path(name.as_str()));
        let mut files = cursor.iter().chain(cursor_file);
        if sink == Some(true) || files.any(|file| file.exists()) {
            return Ok(true);
        }
        let Some(name) = name else { return Ok(false) };
        Ok(client.subscriptions().await?.iter().any(|kept| kept.name.id() == name))
    }

    /// The subscription that the hub keeps, if one is named, and the filter that holds.
    async fn durable(
        &self,
        client: &Client,
        filter: Filter,
    ) -> anyhow::Result<(Option<Durable>, Filter)> {
        let Some(id) = &self.places.name else { return Ok((None, filter)) };
        let name = subscription_name(id, client.profile())?;
        let durable = client.durable(&name, filter).await?;
        let filter = durable.filter().clone();
        Ok((Some(durable), filter))
    }

    /// Where to start, and who acknowledges.
    async fn start(
        &self,
        durable: Option<Durable>,
        own: Option<Place>,
    ) -> anyhow::Result<(From, Option<Acknowledger>)> {
        let Some(durable) = durable else {
            return Ok((own.map_or_else(|| self.from.from(), From::Place), None));
        };
        let joined = durable.join(own, self.from.from()).await?;
        if joined.is_hub_ahead {
            output::note("the hub's place is ahead of the sink's; the sink goes on from its own");
        }
        Ok((joined.from, Some(joined.acknowledger)))
    }

    fn following(&self, client: &Client, filter: Filter, from: From) -> Following {
        let patience =
            if self.until_head { Patience::Limited(REPLAY_PATIENCE) } else { Patience::Unlimited };
        let options = SubscribeOptions { from, filter, until_head: self.until_head, patience };
        let compacted = if self.places.catch_up { Compacted::CaughtUp } else { Compacted::Refused };
        Following { client: client.clone(), options, compacted }
    }
}

/// The name of a cursor, which has the form of a member's: it becomes the name of a file.
fn cursor_name(text: &str) -> Result<MemberId, String> {
    text.parse().map_err(|_other| "the name of a cursor must be 3 to 40 of a-z 0-9 -".to_owned())
}

/// One's own durable subscription.
pub(crate) fn subscription_name(id: &str, profile: &Profile) -> Result<SubscriptionName, Failure> {
    let member = profile.settings().member.clone();
    SubscriptionName::new(member, id)
        .map_err(|error| Failure::Usage(format!("{id} is no name: {error}")))
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
        check("snapshot", Some(&StartAt::Snapshot));
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
    fn a_cursor_has_a_name_of_its_own() {
        assert!(cursor_name("main").is_ok());
        let told = cursor_name("x").unwrap_err();
        assert!(told.contains("cursor") && !told.contains("member"), "{told}");
    }

    #[test]
    fn a_destination_stands_alone() {
        check_flags(&["--into", "records"], true);
        check_flags(&["--into", "records", "--no-acknowledge", "--catch-up"], true);
        check_flags(&["--no-acknowledge"], false);
        check_flags(&["--into", "records", "--name", "main"], true);
        check_flags(&["--exec", "true", "--name", "main"], true);
        check_flags(&["--name", "main", "--cursor", "name"], false);
        check_flags(&["--name", "main", "--cursor-file", "file"], false);
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
