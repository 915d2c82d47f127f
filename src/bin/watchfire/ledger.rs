//! `watchfire ledger`: who gave and received what, and how long sharing took; with `--recompute` nothing of it is taken
//! on trust that the log can show.

use watchfire::client::Client;
use watchfire::client::ledger_to_json;
use watchfire::ledger::Difference;
use watchfire::ledger::Window;
use watchfire::ledger::differences;
use watchfire::wire::pb;

use crate::context::Context;
use crate::failure::Failure;
use crate::ledger_table;
use crate::output;
use crate::when::When;

/// Roster and audiences may change between the answer and the replay; who asks again asks for the new ones. A hub that
/// says something else than its log says it twice.
const ATTEMPTS: u32 = 2;
/// Differences that are printed one by one.
const SHOWN_MAX: usize = 100;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Count records taken in since then: 7d, 12h, 30m, a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Count records, and what was said of them, taken in before then.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Stream every record that you may see, compute the ledger again, and show where the hub's answer differs: exit
    /// code 5 if it does. What the hub claims of deliveries cannot be computed, and is left out.
    #[arg(long)]
    recompute: bool,
}

/// How the ledger is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs: one JSON object.
    Json,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let now = client.now();
    let time = |when: Option<When>| when.map(|when| when.time(now)).transpose();
    let window = Window::new(time(args.since)?, time(args.until)?, u64::MAX);
    let (answer, found) = if args.recompute {
        recomputed(&client, window).await?
    } else {
        (client.ledger(&window).await?, Vec::new())
    };
    match args.format {
        Format::Table => {
            let known = client.get_all(ledger_table::operations(&answer)).await?;
            output::raw(ledger_table::ledger(&answer, &known).as_bytes())?;
        }
        Format::Json => output::line(&ledger_to_json(&answer))?,
    }
    output::flush()?;
    client.remember_roster().await?;
    if args.recompute {
        report(&found)?;
    }
    Ok(())
}

/// The hub's answer, and where it is not what its log says.
pub(crate) async fn recomputed(
    client: &Client,
    window: Window,
) -> anyhow::Result<(pb::GetLedgerResponse, Vec<Difference>)> {
    let mut attempt = 1;
    loop {
        let answer = client.ledger(&window).await?;
        let computed = client.recompute_ledger(window.at_head(answer.head)).await?;
        let found = differences(&answer, &(&computed).into());
        if found.is_empty() || attempt == ATTEMPTS {
            return Ok((answer, found));
        }
        attempt += 1;
    }
}

/// Tells where the hub's answer differs; an error if it does.
pub(crate) fn report(found: &[Difference]) -> Result<(), Failure> {
    if found.is_empty() {
        output::note("computed again from the records that you may see: the same numbers");
        return Ok(());
    }
    for difference in found.iter().take(SHOWN_MAX) {
        output::note(&output::clean(&difference.to_string()));
    }
    Err(Failure::SomeDiffer(found.len()))
}
