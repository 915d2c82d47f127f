//! `watchfire recalls`: what was taken back, who could see it, and who has answered.

use std::collections::BTreeMap;

use serde_json::json;
use watchfire::client::Found;
use watchfire::client::ListedRecall;
use watchfire::client::RecallHolder;
use watchfire::client::Recalls;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::operation_text::by;
use crate::operation_text::moment;
use crate::output;
use crate::output::Format;
use crate::table;
use crate::table::word;

const NOTES: &str =
    "Answers are signed records of those who answer. DELIVERED is the hub's claim: that it sent the
withdrawal there.

`watchfire subscribe --into` answers by itself; `watchfire acknowledge` by hand.";

/// Characters of what a record said.
const WHAT_MAX: usize = 40;

/// The records that were taken back, as far as they may be read.
type Known = BTreeMap<RecordName, Found>;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// Those that wait for an answer from you, instead of those of your own records.
    #[arg(long)]
    to_answer: bool,
    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let which = if args.to_answer { Recalls::ToAnswer } else { Recalls::Own };
    let recalls = client.recalls(which).await?;
    match (args.format, which) {
        (Format::Jsonl, _) => {
            for recall in &recalls {
                output::line(&to_json(recall).to_string())?;
            }
        }
        (Format::Table, _) if recalls.is_empty() => output::note("there is none"),
        (Format::Table, _) => {
            let records = recalls.iter().map(|recall| recall.record.clone()).collect();
            let known = client.get_all(records).await?;
            let table = if which == Recalls::Own { own } else { to_answer };
            output::raw(table(&recalls, &known).as_bytes())?;
        }
    }
    Ok(client.remember_roster().await?)
}

/// One's own, a line for each member who could see the record.
fn own(recalls: &[ListedRecall], known: &Known) -> String {
    let titles = [
        "RECORD",
        "WHAT",
        "WITHDRAWN AT",
        "BY",
        "WHY",
        "ASKED",
        "HUB'S COPY",
        "MEMBER",
        "DELIVERED",
        "ANSWER",
    ];
    let mut table = table::plain(&titles);
    for recall in recalls {
        let common = [
            recall.record.record.to_string(),
            what(recall, known),
            recall.withdrawal.sequence().to_string(),
            by(&recall.withdrawal),
            reason(recall),
            asked(recall, now()),
            hubs_copy(recall),
        ];
        let holders = recall.holders.iter().map(|holder| {
            let delivered = if holder.delivered { "yes" } else { "no" };
            [holder.member.to_string(), delivered.to_owned(), answer(holder)]
        });
        let nobody = ["nobody could see it".to_owned(), String::new(), String::new()];
        let alone = recall.holders.is_empty().then_some(nobody);
        for rest in holders.chain(alone) {
            table.add_row(common.iter().cloned().chain(rest));
        }
    }
    table::trimmed(&table)
}

fn to_answer(recalls: &[ListedRecall], known: &Known) -> String {
    let titles = ["RECORD", "WHAT", "WITHDRAWN AT", "BY", "WHY", "ASKED", "HUB'S COPY"];
    let mut table = table::plain(&titles);
    for recall in recalls {
        table.add_row([
            recall.record.to_string(),
            what(recall, known),
            recall.withdrawal.sequence().to_string(),
            by(&recall.withdrawal),
            reason(recall),
            asked(recall, now()),
            hubs_copy(recall),
        ]);
    }
    table::trimmed(&table)
}

/// What the record said, in short; only its kind once the hub erased it.
fn what(recall: &ListedRecall, known: &Known) -> String {
    let found = known.get(&recall.record);
    found.map(|found| table::short(&found.entry, WHAT_MAX)).unwrap_or_default()
}

fn answer(holder: &RecallHolder) -> String {
    match (holder.answer, holder.answer_sequence) {
        (Some(answer), Some(sequence)) => format!("{} at {sequence}", answer_word(answer)),
        (Some(answer), None) => answer_word(answer),
        (None, _) => "none".to_owned(),
    }
}

fn answer_word(answer: pb::AcknowledgementAnswer) -> String {
    word(answer.as_str_name(), "ACKNOWLEDGEMENT_ANSWER_")
}

fn reason(recall: &ListedRecall) -> String {
    match &recall.withdrawal.body().content {
        Some(pb::body::Content::Withdrawal(said)) => {
            word(said.reason().as_str_name(), "WITHDRAWAL_REASON_")
        }
        Some(pb::body::Content::Takedown(said)) => {
            format!("takedown, {}", word(said.reason().as_str_name(), "TAKEDOWN_REASON_"))
        }
        Some(_) | None => String::new(),
    }
}

fn asked(recall: &ListedRecall, now: Timestamp) -> String {
    let what = if recall.demand_deletion { "delete" } else { "nothing" };
    match recall.due {
        Some(due) if due <= now => format!("{what} by {}, which is over", moment(due)),
        Some(due) => format!("{what} by {}", moment(due)),
        None => what.to_owned(),
    }
}

fn hubs_copy(recall: &ListedRecall) -> String {
    recall.erased_sequence.map_or_else(|| "there".to_owned(), |at| format!("erased at {at}"))
}

fn to_json(recall: &ListedRecall) -> serde_json::Value {
    let holders = recall.holders.iter().map(|holder| {
        json!({
            "member": holder.member.name(),
            "answer": holder.answer.map(answer_word),
            "answer_sequence": holder.answer_sequence,
            "delivered": holder.delivered,
        })
    });
    json!({
        "record": recall.record.to_string(),
        "withdrawal": recall.withdrawal.header().name.to_string(),
        "withdrawn_sequence": recall.withdrawal.sequence(),
        "by": recall.withdrawal.name().member.name(),
        "reason": reason(recall),
        "demand_deletion": recall.demand_deletion,
        "acknowledge_by_time": recall.due.map(|due| due.to_string()),
        "erased_sequence": recall.erased_sequence,
        "holders": holders.collect::<Vec<_>>(),
    })
}
