//! `watchfire publish`: one record, a published list, or a pipeline; through the outbox, and each answered for.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use serde_json::json;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::Outcome;
use watchfire::client::Pause;
use watchfire::client::Receipt;
use watchfire::client::Unfinished;
use watchfire::client::Warning;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::failure;
use crate::failure::Failure;
use crate::handling_flags::HandlingFlags;
use crate::heads;
use crate::output;
use crate::publish_csv;
use crate::publish_indicator;
use crate::publish_indicator::IndicatorFlags;
use crate::publish_jsonl;
use crate::publish_operation;
use crate::publish_stix;

/// Refusals, and warnings, that are told one by one.
const TOLD_MAX: usize = 10;
/// Records signed and handed over at once: often enough to show progress, seldom enough to sync little.
const RECORDS_AT_ONCE: usize = 2048;

const EXAMPLES: &str = "Examples:
  watchfire publish --kind domain --value 'news[.]example' --operation 'Spring storm' --tlp green --audience companies
  watchfire publish operation --title 'Spring storm' --status active --tlp green --audience companies
  watchfire publish --meta-csv list.csv --operation 'Daily Lantern' --tlp amber --audience companies
  watchfire publish --stix bundle.json --origin other-exchange/profile --tlp amber --audience companies
  watchfire publish --jsonl - --tlp amber --audience companies < records.jsonl";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(group = clap::ArgGroup::new("said").required(true).multiple(true)
    .args(["meta_csv", "stix", "jsonl", "outbox", "kind", "value", "count"]))]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Lists in a layout that Meta publishes.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "operation")]
    #[arg(conflicts_with_all = ["jsonl", "outbox", "AssetFlags", "FindingFlags", "amend", "receipts"])]
    pub(crate) meta_csv: Vec<PathBuf>,
    /// STIX 2.1 bundles; what becomes of each object is told. What no object says to belong to an operation is taken only
    /// with --operation.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[arg(conflicts_with_all = ["meta_csv", "jsonl", "outbox", "AssetFlags", "FindingFlags", "amend", "receipts"])]
    pub(crate) stix: Vec<PathBuf>,
    /// With --stix: a profile of another exchange, whose signed records in the bundles are verified with what it knows, and
    /// published as one's own with a trace to where they come from; may be repeated.
    #[arg(long, value_name = "DIR", requires = "stix")]
    pub(crate) origin: Vec<PathBuf>,
    /// One record a line, as JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["outbox", "AssetFlags", "FindingFlags", "amend", "operation"])]
    pub(crate) jsonl: Option<PathBuf>,
    /// Of an export, take this member's own records alone; every other line is told and passed over.
    #[arg(long, requires = "jsonl")]
    pub(crate) own: bool,
    /// Only send what waits in the outbox.
    #[arg(long)]
    #[arg(conflicts_with_all = ["AssetFlags", "FindingFlags", "HandlingFlags", "HowFlags", "operation"])]
    outbox: bool,
    /// One asset, as `publish indicator` takes it.
    #[command(flatten)]
    pub(crate) indicator: IndicatorFlags,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Publish one asset, or a count of them.
    Indicator(Box<publish_indicator::Args>),
    /// Publish an operation.
    Operation(Box<publish_operation::Args>),
}

/// How one record is published.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HowFlags {
    /// Say it in place of what one of one's own records says: its next revision, in full.
    #[arg(long, value_name = "RECORD", conflicts_with = "dry_run")]
    pub(crate) amend: Option<RecordName>,
    /// Read and check everything, and send nothing. What only the hub can tell is not seen: its warnings, and whether it
    /// would refuse.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print what became of each record, one JSON object a line, as soon as it is certain.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) receipts: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    match args.what {
        Some(What::Indicator(args)) => {
            return publish_indicator::run(context, args.into_flags()).await;
        }
        Some(What::Operation(args)) => return publish_operation::run(context, *args).await,
        None => {}
    }
    if !args.meta_csv.is_empty() {
        return publish_csv::run(context, &args).await;
    }
    if !args.stix.is_empty() {
        return publish_stix::run(context, &args).await;
    }
    if let Some(file) = &args.jsonl {
        return publish_jsonl::run(context, file, &args).await;
    }
    if args.outbox {
        let client = context.connect().await?;
        let tally = send_outbox(&client).await?;
        heads::put(&client).await;
        return tally.report("from the outbox");
    }
    publish_indicator::run(context, args.indicator).await
}

/// A draft with the handling that the flags say; an amendment keeps what they leave out.
pub(crate) async fn draft(
    client: &Client,
    content: pb::body::Content,
    handling: &HandlingFlags,
    how: &HowFlags,
) -> anyhow::Result<Draft> {
    let (mut drafter, wish) = (client.drafter(), handling.wish());
    Ok(match &how.amend {
        Some(of) => drafter.amendment(of, content, &wish).await?,
        None => drafter.draft(content, &wish).await?,
    })
}

/// Signs and publishes one record.
pub(crate) async fn send(client: &Client, draft: Draft) -> anyhow::Result<Receipt> {
    let envelope = client.signer()?.sign(draft, client.now())?;
    let outcomes = client.publish_watched(vec![envelope], &waits).await;
    let outcomes =
        outcomes.map_err(|unfinished| stopped(client, Tally::default(), "", unfinished))?;
    let outcome = outcomes.into_iter().next().context("there is no outcome")?;
    let receipt = outcome.receipt()?;
    heads::put(client).await;
    Ok(receipt)
}

/// Says that the hub is waited for.
pub(crate) fn waits(pause: &Pause<'_>) {
    let Pause { waiting, pause, error } = pause;
    let text = format!("{waiting} records wait, again in {}: {error}", span(*pause));
    output::note(&output::clean(&text));
}

/// Says what became of records of which some still wait in the outbox, and how to go on; `tally` is of those before
/// them, and `rest` says what was not even tried.
pub(crate) fn stopped(
    client: &Client,
    mut tally: Tally,
    rest: &str,
    unfinished: Unfinished,
) -> anyhow::Error {
    let waiting = unfinished.waiting();
    if waiting == 0 {
        // Nothing was offered.
        return unfinished.error.into();
    }
    for outcome in unfinished.outcomes.iter().flatten() {
        tally.count(outcome);
    }
    tally.tell_warnings();
    tally.tell_refused();
    let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
    let left = failure::Unfinished {
        taken: tally.taken,
        refused: tally.refused.len(),
        waiting,
        go_on: go_on(unfinished.error.retry_after(), client.profile().folder()),
        rest,
        cause: unfinished.error,
    };
    Failure::Unfinished(Box::new(left)).into()
}

/// When to go on, and with which command.
fn go_on(delay: Option<Duration>, profile: &Path) -> String {
    let when = delay.map_or_else(String::new, |delay| format!(" in {}", span(delay)));
    format!("Go on{when} with: watchfire --profile {} publish --outbox", profile.display())
}

/// At least so long, so that who waits for it does not come too early.
fn span(delay: Duration) -> String {
    let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
    let minutes = seconds.div_ceil(60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600.. => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Sends what waits in the outbox.
async fn send_outbox(client: &Client) -> anyhow::Result<Tally> {
    let outcomes = client.resend_watched(&waits).await;
    let outcomes = outcomes.map_err(|unfinished| {
        stopped(
            client,
            Tally::default(),
            "These were signed earlier, and nothing newer was sent.",
            unfinished,
        )
    })?;
    Ok(Tally::of(&outcomes))
}

/// Says what became of a record that was taken, in the way that was asked for.
pub(crate) fn tell(receipt: &Receipt, how: &HowFlags) -> anyhow::Result<()> {
    if how.receipts {
        return Ok(output::line(&taken_json(receipt, None).to_string())?);
    }
    taken(receipt)
}

/// Says where a record that was taken is.
pub(crate) fn taken(receipt: &Receipt) -> anyhow::Result<()> {
    warn(receipt);
    let place = receipt.sequence;
    Ok(output::line(&format!("{}@{} is at sequence {place}.", receipt.name, receipt.revision))?)
}

/// Says so if what is published is for nobody.
pub(crate) fn tell_reach(handling: &Handling) {
    if handling.reach == Reach::default() {
        output::note("warning: nobody else may read it: it names no --audience and no --recipient");
    }
}

/// Tells what looks like a mistake.
pub(crate) fn warn(receipt: &Receipt) {
    for warning in &receipt.warnings {
        output::note(&output::clean(&format!("warning: {warning}")));
    }
}

/// What became of a record, as one line for programs; `line` is that of the input it came from.
pub(crate) fn outcome_json(outcome: &Outcome, line: u64) -> Value {
    match outcome {
        Outcome::Taken(receipt) => taken_json(receipt, Some(line)),
        Outcome::Refused(refused) => json!({
            "line": line,
            "refused": { "reason": refused.reason, "field": refused.field, "message": refused.message },
        }),
    }
}

fn taken_json(receipt: &Receipt, line: Option<u64>) -> Value {
    let mut json = json!({
        "name": receipt.name.to_string(),
        "revision": receipt.revision,
        "epoch": receipt.epoch,
        "sequence": receipt.sequence,
        "accept_time": receipt.accept_time.to_string(),
        "header_digest": hex::encode(receipt.header_digest),
        "leaf_hash": hex::encode(receipt.leaf_hash),
        "repeated": receipt.repeated,
    });
    if let (false, Value::Object(fields)) = (receipt.warnings.is_empty(), &mut json) {
        let warnings = receipt.warnings.iter().map(warning_json).collect();
        fields.insert("warnings".to_owned(), warnings);
    }
    if let (Some(line), Value::Object(fields)) = (line, &mut json) {
        fields.insert("line".to_owned(), line.into());
    }
    json
}

fn warning_json(warning: &Warning) -> Value {
    let Warning { reason, message, field, list, matched } = warning;
    json!({ "reason": reason, "message": message, "field": field, "list": list, "matched": matched })
}

/// What waits goes first, so that nothing is compared with a state that is about to change.
pub(crate) async fn send_waiting(client: &Client) -> anyhow::Result<()> {
    let tally = send_outbox(client).await?;
    if tally.taken > 0 || !tally.refused.is_empty() {
        heads::put(client).await;
        tally.tell_warnings();
        let Tally { taken, refused, .. } = tally;
        output::note(&format!("The outbox is sent: {taken} taken, {} refused.", refused.len()));
    }
    Ok(())
}

/// Signs and publishes drafts, with a bar.
pub(crate) async fn publish_drafts(client: &Client, drafts: Vec<Draft>) -> anyhow::Result<Tally> {
    let signer = client.signer()?;
    let bar = output::progress("publishing", drafts.len());
    let mut tally = Tally::default();
    for drafts in drafts.chunks(RECORDS_AT_ONCE) {
        let sign = |draft: &Draft| signer.sign(draft.clone(), client.now());
        let envelopes = drafts.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        let outcomes = client.publish_watched(envelopes, &waits).await.map_err(|unfinished| {
            bar.finish_and_clear();
            let rest = "The same command again sends what is still missing after them.";
            stopped(client, std::mem::take(&mut tally), rest, unfinished)
        })?;
        bar.inc(u64::try_from(outcomes.len()).unwrap_or(0));
        tally.add(&outcomes);
    }
    bar.finish_and_clear();
    heads::put(client).await;
    Ok(tally)
}

/// How many records were taken, and what was said about the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Durable.
    pub(crate) taken: usize,
    /// Why each of the others was refused.
    pub(crate) refused: Vec<String>,
    /// What looks like a mistake in those that were taken.
    warned: Vec<String>,
}

impl Tally {
    fn of(outcomes: &[Outcome]) -> Self {
        let mut tally = Self::default();
        tally.add(outcomes);
        tally
    }

    /// Takes in what became of others.
    pub(crate) fn join(&mut self, other: Self) {
        let Self { taken, refused, warned } = other;
        self.taken += taken;
        self.refused.extend(refused);
        self.warned.extend(warned);
    }

    /// Counts more.
    pub(crate) fn add(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            self.count(outcome);
        }
    }

    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Taken(receipt) => {
                self.taken += 1;
                let name = &receipt.name;
                let warnings = receipt.warnings.iter();
                self.warned.extend(warnings.map(|warning| format!("{name}: {warning}")));
            }
            Outcome::Refused(refused) => self.refused.push(refused.to_string()),
        }
    }

    /// Says how it went; some refused is a failure.
    pub(crate) fn report(&self, whence: &str) -> anyhow::Result<()> {
        output::line(&format!("{} records {whence} are durable.", self.taken))?;
        self.demand_none_refused()
    }

    /// Some refused is a failure; the first few are told, and the first few warnings.
    pub(crate) fn demand_none_refused(&self) -> anyhow::Result<()> {
        self.tell_warnings();
        self.tell_refused();
        if self.refused.is_empty() {
            return Ok(());
        }
        Err(Failure::SomeRefused(self.refused.len()).into())
    }

    fn tell_refused(&self) {
        for refused in self.refused.iter().take(TOLD_MAX) {
            output::note(&output::clean(refused));
        }
    }

    fn tell_warnings(&self) {
        for warning in self.warned.iter().take(TOLD_MAX) {
            output::note(&output::clean(&format!("warning: {warning}")));
        }
        let untold = self.warned.len().saturating_sub(TOLD_MAX);
        if untold > 0 {
            output::note(&format!("warning: and {untold} more like these"));
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire::model::time::Timestamp;
    use watchfire::transparency::Checkpoint;

    use super::*;

    fn receipt(warnings: Vec<Warning>) -> Receipt {
        Receipt {
            name: "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057"
                .parse()
                .unwrap(),
            revision: 1,
            header_digest: [1; 32],
            epoch: 1,
            sequence: 7,
            accept_time: Timestamp::from_micros(1).unwrap(),
            leaf_hash: [2; 32],
            checkpoint: Checkpoint { epoch: 1, size: 8, root: [3; 32], roster: [4; 32] },
            repeated: false,
            warnings,
        }
    }

    fn warning() -> Warning {
        Warning {
            reason: "COMMON_BENIGN_VALUE".to_owned(),
            message: "many people use it".to_owned(),
            field: "body.indicator.observable.value".to_owned(),
            list: "popular-sites".to_owned(),
            matched: "example.com".to_owned(),
        }
    }

    #[test]
    fn whoever_waits_so_long_does_not_come_too_early() {
        for (millis, expected) in [
            (1, "1 s"),
            (59_001, "1 min 0 s"),
            (1_751_000, "29 min 11 s"),
            (3_600_000, "1 h 0 min"),
            (3_600_001, "1 h 1 min"),
            (86_399_500, "24 h 0 min"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
        let told = go_on(Some(Duration::from_secs(1751)), Path::new("acme"));
        assert_eq!(told, "Go on in 29 min 11 s with: watchfire --profile acme publish --outbox");
        let told = go_on(None, Path::new("acme"));
        assert_eq!(told, "Go on with: watchfire --profile acme publish --outbox");
    }

    #[test]
    fn a_warning_is_told_and_is_no_refusal() {
        let outcome = Outcome::Taken(Box::new(receipt(vec![warning()])));
        let tally = Tally::of(std::slice::from_ref(&outcome));
        assert_eq!((tally.taken, tally.warned.len()), (1, 1));
        assert!(tally.demand_none_refused().is_ok());
        let json = outcome_json(&outcome, 3);
        assert_eq!(json["line"], 3);
        assert_eq!(json["warnings"][0]["matched"], "example.com");
        let quiet = taken_json(&receipt(Vec::new()), None);
        assert_eq!((quiet.get("warnings"), quiet.get("line")), (None, None));
    }
}
