//! `watchfire briefing --since 7d --out FILE`: the pack for the regular meeting, gathered and written down.

use std::path::Path;
use std::path::PathBuf;

use indicatif::ProgressBar;
use watchfire::briefing;
use watchfire::briefing::Briefing;
use watchfire::briefing::Provenance;
use watchfire::client::Client;
use watchfire::client::Gathering;
use watchfire::client::KnownLedger;
use watchfire::client::Period;
use watchfire::ledger::Window;
use watchfire::profile;

use crate::context::Context;
use crate::failure::Failure;
use crate::ledger;
use crate::output;
use crate::when::When;

const EXAMPLES: &str = "Examples:
  watchfire briefing --since 7d --out briefing.html
  watchfire briefing --since 2026-03-02 --until 2026-03-09 --recompute \\
    --out briefing.html --markdown briefing.md

It holds what this member may see and nothing else, and bears the strictest label of all that it holds. Beside what \
  happened in the time it shows what is still open from before: disputes, questions without an answer, recalls that \
  somebody has still to answer. The page asks for nothing: it can be read without a network.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// From when on: 7d, 12h, 30m or 2w ago, a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: When,
    /// Until before when; now, if it is not said.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Write the page here. An earlier file is replaced; only you may read it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write the same as Markdown here, without the charts.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Stream every record that you may see, and compute the ledger again, so that its numbers are proven and not the
    /// hub's word: exit code 5 if the hub's differ, and nothing is written.
    #[arg(long)]
    recompute: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let markdown = args.markdown.as_deref();
    if markdown == Some(args.out.as_path()) {
        return Err(Failure::Usage("--out and --markdown name the same file".to_owned()).into());
    }
    for path in markdown.into_iter().chain([args.out.as_path()]) {
        demand_place(path)?;
    }
    let client = context.connect().await?;
    let now = client.now();
    let since = args.since.time(now)?;
    // Whatever the clock of this machine says, what the hub has taken in by now belongs to it.
    let present = client.welcome().time.map_or(now, |hub| hub.max(now));
    let until = args.until.map_or(Ok(present), |until| until.time(now))?;
    let period = Period::new(since, until)
        .ok_or_else(|| Failure::Usage("--since must lie before --until".to_owned()))?;
    let bar = output::progress("reading the ledger", 0);
    let ledger = ledger_of(&client, period, args.recompute).await?;
    let briefing = client.briefing(period, &ledger, &|at| advance(&bar, at)).await?;
    bar.finish_and_clear();
    client.remember_roster().await?;
    profile::write_private(&args.out, briefing::to_html(&briefing).as_bytes())?;
    tell(&args.out, &briefing);
    if let Some(path) = markdown {
        profile::write_private(path, briefing::to_markdown(&briefing).as_bytes())?;
        tell(path, &briefing);
    }
    Ok(())
}

/// What cannot be written is told before minutes of reading.
fn demand_place(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_file = path.file_name().is_some() && !path.is_dir();
    if is_file && folder.is_none_or(Path::is_dir) {
        return Ok(());
    }
    Err(Failure::Usage(format!("{} is no place for a file", path.display())))
}

async fn ledger_of(
    client: &Client,
    period: Period,
    recompute: bool,
) -> anyhow::Result<KnownLedger> {
    let window = Window::new(Some(period.since()), Some(period.until()), u64::MAX);
    if !recompute {
        let answer = client.ledger(&window).await?;
        return Ok(KnownLedger { answer, known: Provenance::HubClaims });
    }
    let (answer, found) = ledger::recomputed(client, window).await?;
    if !found.is_empty() {
        ledger::report(&found)?;
    }
    Ok(KnownLedger { answer, known: Provenance::Proven })
}

fn advance(bar: &ProgressBar, at: Gathering) {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    match at {
        Gathering::Records(records) => {
            bar.set_message("reading records");
            bar.set_length(count(records));
            bar.set_position(count(records));
        }
        Gathering::Operations { done, of } => {
            bar.set_message("reading operations");
            bar.set_length(count(of));
            bar.set_position(count(done));
        }
        Gathering::Problems => bar.set_message("reading disputes, questions and recalls"),
    }
}

fn tell(path: &Path, briefing: &Briefing) {
    output::note(&format!(
        "{} is written: {}, readable by you alone",
        path.display(),
        briefing.tlp()
    ));
}
