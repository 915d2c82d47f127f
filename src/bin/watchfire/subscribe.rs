//! `watchfire subscribe`: verified records as they come, and a cursor that is saved with what was shown.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::Patience;
use watchfire::client::Place;
use watchfire::client::SubscribeOptions;
use watchfire::model::filter::Filter;
use watchfire::profile::Profile;
use watchfire::profile::SavedCursor;

use crate::context::Context;
use crate::failure::Failure;
use crate::filter_flags::FilterFlags;
use crate::output;
use crate::output::Format;
use crate::records::Shown;

/// How long a replay waits for a hub that it lost; a live stream waits for ever.
const REPLAY_PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to start if no cursor is saved: start, now, or a sequence.
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
    /// Go on where this file says, and save there where it stands, after what was shown has left.
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// The same, in a file of the profile.
    #[arg(long, value_name = "NAME", conflicts_with = "cursor_file")]
    cursor: Option<watchfire::model::names::MemberId>,
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
    let client = context.connect().await?;
    let filter = args.filter.filter(client.profile())?;
    let file = match (&args.cursor_file, &args.cursor) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(name)) => Some(client.profile().cursor_path(name.as_str())),
        (None, None) => None,
    };
    let keeper = Keeper::new(file, client.profile(), &filter);
    let from = keeper.load()?.map_or_else(|| args.from.from(), From::Place);
    let patience =
        if args.until_head { Patience::Limited(REPLAY_PATIENCE) } else { Patience::Unlimited };
    let options = SubscribeOptions { from, filter, until_head: args.until_head, patience };
    let shown = show(&client, options, args.format, &keeper).await;
    client.remember_roster().await?;
    shown
}

async fn show(
    client: &Client,
    options: SubscribeOptions,
    format: Format,
    keeper: &Keeper,
) -> anyhow::Result<()> {
    let mut shown = Shown::new(format);
    let mut subscription = client.subscribe(options).await?;
    while let Some(delivery) = subscription.next().await? {
        match delivery {
            Delivery::Entries { entries, left_filter, backfill } => {
                if backfill {
                    output::note("access was gained: earlier records follow");
                }
                for sequence in left_filter {
                    output::note(&format!("the record at sequence {sequence} no longer matches"));
                }
                shown.show(&entries)?;
            }
            Delivery::Mark(_) => {}
            Delivery::AccessChanged(change) => {
                let (gained, lost) = (change.gained.join(" "), change.lost.join(" "));
                output::note(&output::clean(&format!(
                    "access changed: gained [{gained}], lost [{lost}]"
                )));
            }
            Delivery::Interrupted(error) => {
                output::note(&format!("the connection was lost, trying again: {error}"));
            }
        }
        // After what was shown has left: a crash in between shows it again, and never leaves it out.
        keeper.save(subscription.place())?;
    }
    Ok(())
}

/// Keeps the place in a file.
pub(crate) struct Keeper {
    file: Option<PathBuf>,
    blank: SavedCursor,
}

impl Keeper {
    pub(crate) fn new(file: Option<PathBuf>, profile: &Profile, filter: &Filter) -> Self {
        let blank = SavedCursor {
            exchange: profile.settings().exchange.name(),
            member: profile.settings().member.name(),
            filter: hex::encode(filter.digest()),
            ..SavedCursor::default()
        };
        Self { file, blank }
    }

    /// Where it stood; refuses a cursor that was made for something else.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Place>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let Some(saved) = SavedCursor::load(file)? else {
            return Ok(None);
        };
        let SavedCursor { exchange, member, filter, cursor, epoch, sequence } = saved;
        if exchange != self.blank.exchange
            || member != self.blank.member
            || filter != self.blank.filter
        {
            let why = format!("{} is of another exchange, member or filter", file.display());
            return Err(Failure::Usage(why).into());
        }
        let cursor = cursor.map(hex::decode).transpose()?;
        Ok(Some(Place { cursor, epoch, sequence }))
    }

    pub(crate) fn save(&self, place: &Place) -> anyhow::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let saved = SavedCursor {
            cursor: place.cursor.as_ref().map(hex::encode),
            epoch: place.epoch,
            sequence: place.sequence,
            ..self.blank.clone()
        };
        Ok(saved.save(file)?)
    }
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

    #[test]
    fn a_cursor_of_another_filter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = |filter: &str| Keeper {
            file: Some(folder.path().join("cursor.json")),
            blank: SavedCursor { filter: filter.to_owned(), ..SavedCursor::default() },
        };
        let place = Place { cursor: Some(vec![1, 2]), epoch: 1, sequence: Some(9) };
        assert_eq!(keeper("a").load().unwrap(), None);
        keeper("a").save(&place).unwrap();
        assert_eq!(keeper("a").load().unwrap(), Some(place));
        keeper("b").load().unwrap_err();
    }
}
