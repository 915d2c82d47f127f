//! `watchfire publish`: one record, a published list, or a pipeline; through the outbox, and each answered for.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::Outcome;
use watchfire::client::Receipt;
use watchfire::client::Signer;
use watchfire::model::handling::Handling;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::failure::Failure;
use crate::filter_flags::operation_name;
use crate::handling_flags::HandlingFlags;
use crate::output;
use crate::publish_csv;
use crate::publish_jsonl;

/// Records signed and handed over at once: often enough to show progress, seldom enough to sync little.
const RECORDS_AT_ONCE: usize = 2048;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["meta_csv", "kind", "jsonl", "outbox"]))]
pub(crate) struct Args {
    /// Lists in a layout that Meta publishes.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "operation")]
    pub(crate) meta_csv: Vec<PathBuf>,
    /// One record a line, as JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<PathBuf>,
    /// Only send what waits in the outbox.
    #[arg(long)]
    outbox: bool,
    /// One asset: its kind.
    #[arg(long, requires = "value")]
    kind: Option<ObservableKind>,
    /// One asset: its value, defanged or not.
    #[arg(long, requires = "kind")]
    value: Option<String>,
    /// One asset: the platform that it lives on.
    #[arg(long, requires = "kind")]
    platform: Option<Platform>,
    /// One asset: what else there is to say.
    #[arg(long, requires = "kind")]
    description: Option<String>,
    /// One asset: how sure the publisher is, 0 to 100.
    #[arg(long, requires = "kind", value_parser = clap::value_parser!(u32).range(0..=100))]
    confidence: Option<u32>,
    /// The operation: a title of one's own, or the name of a record.
    #[arg(long, value_name = "OPERATION")]
    pub(crate) operation: Option<String>,
    #[command(flatten)]
    pub(crate) handling: HandlingFlags,
    /// Read and check everything, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print what became of each record, one JSON object a line, as soon as it is certain.
    #[arg(long, conflicts_with_all = ["meta_csv", "outbox", "dry_run"])]
    pub(crate) receipts: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    if !args.meta_csv.is_empty() {
        return publish_csv::run(context, &args).await;
    }
    if let Some(file) = &args.jsonl {
        return publish_jsonl::run(context, file, &args).await;
    }
    if args.outbox {
        let client = context.connect().await?;
        let outcomes = client.resend().await?;
        return Tally::of(&outcomes).report("from the outbox");
    }
    one(context, &args).await
}

async fn one(context: &Context, args: &Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let handling = args.handling.required()?;
    let operation = match &args.operation {
        Some(text) => operation_name(text, &profile)?.to_string(),
        None => String::new(),
    };
    let draft = Draft {
        name: RecordName { member: profile.settings().member.clone(), record: Uuid::now_v7() },
        previous: None,
        handling: handling.clone(),
        content: pb::body::Content::Indicator(indicator(args, operation)),
    };
    let signer = Signer::of(&profile, OwnKey::Signing)?;
    if args.dry_run {
        signer.sign(draft, now())?;
        return Ok(output::line("The record would be sent.")?);
    }
    let client = context.connect().await?;
    send_waiting(&client).await?;
    if let Some(title) = &args.operation {
        ensure_operation(&client, &profile, title, &handling).await?;
    }
    let receipt = client.publish_one(signer.sign(draft, client.now())?).await?;
    if args.receipts {
        return Ok(output::line(&taken_json(&receipt, None).to_string())?);
    }
    let place = receipt.sequence;
    Ok(output::line(&format!("{}@{} is at sequence {place}.", receipt.name, receipt.revision))?)
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
    if let (Some(line), Value::Object(fields)) = (line, &mut json) {
        fields.insert("line".to_owned(), line.into());
    }
    json
}

fn indicator(args: &Args, operation: String) -> pb::Indicator {
    pb::Indicator {
        observable: Some(pb::Observable {
            kind: args.kind.map(ObservableKind::number).unwrap_or_default(),
            platform: args.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
            value: args.value.clone().unwrap_or_default(),
            ..pb::Observable::default()
        }),
        operation,
        confidence: args.confidence,
        description: args.description.clone().unwrap_or_default(),
        ..pb::Indicator::default()
    }
}

/// An operation of one's own that is named by its title is published with its first indicator.
async fn ensure_operation(
    client: &Client,
    profile: &Profile,
    title: &str,
    handling: &Handling,
) -> anyhow::Result<()> {
    let name = operation_name(title, profile)?;
    if title.starts_with("members/") || client.current(&name).await?.is_some() {
        return Ok(());
    }
    let operation = pb::Operation { title: title.to_owned(), ..pb::Operation::default() };
    let draft = Draft {
        name,
        previous: None,
        handling: handling.clone(),
        content: pb::body::Content::Operation(operation),
    };
    client.publish_one(client.signer()?.sign(draft, client.now())?).await?;
    Ok(())
}

/// What waits goes first, so that nothing is compared with a state that is about to change.
pub(crate) async fn send_waiting(client: &Client) -> anyhow::Result<()> {
    let outcomes = client.resend().await?;
    if !outcomes.is_empty() {
        let Tally { taken, refused } = Tally::of(&outcomes);
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
        let outcomes = client.publish(envelopes).await?;
        bar.inc(u64::try_from(outcomes.len()).unwrap_or(0));
        tally.add(&outcomes);
    }
    bar.finish_and_clear();
    Ok(tally)
}

/// How many records were taken, and what was said about the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Durable.
    pub(crate) taken: usize,
    /// Why each of the others was refused.
    pub(crate) refused: Vec<String>,
}

impl Tally {
    fn of(outcomes: &[Outcome]) -> Self {
        let mut tally = Self::default();
        tally.add(outcomes);
        tally
    }

    /// Counts more.
    pub(crate) fn add(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Taken(_) => self.taken += 1,
                Outcome::Refused(refused) => self.refused.push(refused.to_string()),
            }
        }
    }

    /// Says how it went; some refused is a failure.
    pub(crate) fn report(&self, whence: &str) -> anyhow::Result<()> {
        output::line(&format!("{} records {whence} are durable.", self.taken))?;
        self.demand_none_refused()
    }

    /// Some refused is a failure; the first few are told.
    pub(crate) fn demand_none_refused(&self) -> anyhow::Result<()> {
        const TOLD_MAX: usize = 10;
        for refused in self.refused.iter().take(TOLD_MAX) {
            output::note(&output::clean(refused));
        }
        if self.refused.is_empty() {
            return Ok(());
        }
        Err(Failure::SomeRefused(self.refused.len()).into())
    }
}
