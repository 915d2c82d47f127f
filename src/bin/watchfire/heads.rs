//! `watchfire heads`: sign what one has published, and check what others have.

use std::time::Duration;

use watchfire::client::CheckedHead;
use watchfire::client::Client;
use watchfire::client::HEAD_DUE_AFTER;
use watchfire::client::HeadState;
use watchfire::client::PutHeads;
use watchfire::model::names::MemberId;

use crate::context::Context;
use crate::failure::Failure;
use crate::handling_flags::member;
use crate::output;
use crate::table;

/// Hours until the next head at most: 31 days.
const DUE_HOURS_MAX: u64 = 31 * 24;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Hold what publishers signed of their own entries against what the hub lists of them.
    Check {
        /// Only this publisher.
        #[arg(value_parser = member)]
        publisher: Option<MemberId>,
    },
    /// Sign what this profile has receipts for, in each audience and for each recipient; publishing does so by itself.
    Publish {
        /// Also where nothing has come since the last time: it says that nothing did.
        #[arg(long)]
        all: bool,
        /// Say that the next ones come within so many hours.
        #[arg(long, value_name = "HOURS", default_value_t = HEAD_DUE_AFTER.as_secs() / 3600,
            value_parser = clap::value_parser!(u64).range(1..=DUE_HOURS_MAX))]
        due: u64,
    },
    /// Count anew from the log what this profile published: for a journal that is lost, and for records that were
    /// published with the same key from elsewhere. Not for one that the hub disputes: then the receipts count.
    Rebuild,
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.connect().await?;
    match command {
        Command::Check { publisher } => check(&client, publisher.as_ref()).await?,
        Command::Publish { all, due } => {
            let due = Duration::from_secs(due.saturating_mul(3600));
            let outcome = client.put_heads(all, due).await?;
            for head in &outcome.put {
                let (count, size) = (head.counted.count, head.size);
                output::line(&format!("{}: {count} entries below {size}", head.scope))?;
            }
            tell_refused(&outcome)?;
        }
        Command::Rebuild => {
            let count = client.rebuild_journal().await?;
            output::line(&format!("{count} entries count"))?;
        }
    }
    Ok(client.remember_roster().await?)
}

/// Puts heads after records were published. They are durable whatever becomes of it.
pub(crate) async fn put(client: &Client) {
    let told = match client.put_heads(false, HEAD_DUE_AFTER).await {
        Ok(outcome) => tell_refused(&outcome).map_err(|failure| failure.to_string()),
        // The next command that publishes puts them.
        Err(error) if error.is_transient() => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = told {
        let text = format!(
            "warning: what was published is not signed for as a whole yet: {error}; see `watchfire heads publish`"
        );
        output::note(&output::clean(&text));
    }
}

fn tell_refused(outcome: &PutHeads) -> Result<(), Failure> {
    let Some((scope, refused)) = outcome.refused.first() else { return Ok(()) };
    let count = outcome.refused.len();
    let why = format!(
        "{count} heads were refused, the first for {scope}: {refused}. If records were published with this key from \
         elsewhere, `watchfire heads rebuild` counts them"
    );
    Err(Failure::Usage(output::clean(&why)))
}

async fn check(client: &Client, publisher: Option<&MemberId>) -> anyhow::Result<()> {
    let checked = client.check_heads(publisher).await?;
    let mut table = table::plain(&["PUBLISHER", "SCOPE", "ENTRIES", "BELOW", "SIGNED", "STATE"]);
    let mut wrong = 0_usize;
    for CheckedHead { head, state, is_overdue } in &checked {
        let said = match (state, is_overdue) {
            (HeadState::Held, false) => "all there",
            (HeadState::Held, true) => "all there, the next is overdue",
            (HeadState::Behind, _) => "ahead of the log that is shown",
            (HeadState::Omitted(_), _) => "ENTRIES ARE LEFT OUT",
            (HeadState::NotSent(_), _) => "ENTRIES WERE NOT SENT",
            (HeadState::SeenOtherwise(_), _) => "TELLS OF ENTRIES THAT ARE LEFT OUT",
            (HeadState::WentBack(_), _) => "PUT BACK",
        };
        wrong += match state {
            HeadState::Held | HeadState::Behind => 0,
            HeadState::Omitted(_)
            | HeadState::NotSent(_)
            | HeadState::SeenOtherwise(_)
            | HeadState::WentBack(_) => 1,
        };
        table.add_row([
            head.name.publisher.to_string(),
            head.name.scope.to_string(),
            head.counted.count.to_string(),
            head.size.to_string(),
            head.time.to_string(),
            said.to_owned(),
        ]);
    }
    output::line(&table.to_string())?;
    if wrong == 0 { Ok(()) } else { Err(Failure::HeadsDiffer(wrong).into()) }
}
