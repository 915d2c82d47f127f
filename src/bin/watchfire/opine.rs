//! `watchfire opine RECORD --stance S`: we agree, or dispute.

use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::statement;
use crate::statement::StatementFlags;
use crate::words::words;

const EXAMPLES: &str = "Examples:
  watchfire opine RECORD --stance agree --reason helpful
  watchfire opine RECORD --stance strongly-disagree \\
    --reason false-positive --text 'It is a newspaper.'

Without --tlp, --audience and --recipient it has the record's label and readers.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The record, by its full name.
    record: RecordName,
    /// Whether one agrees.
    #[arg(long, value_parser = words("STANCE_", pb::Stance::as_str_name))]
    stance: pb::Stance,
    /// Why.
    #[arg(long, value_parser = words("OPINION_REASON_", pb::OpinionReason::as_str_name))]
    reason: Option<pb::OpinionReason>,
    /// More about why.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let opinion = pb::Opinion {
        of: args.record.to_string(),
        stance: args.stance.into(),
        reason: args.reason.unwrap_or_default().into(),
        text: args.text,
    };
    statement::say(context, pb::body::Content::Opinion(opinion), &args.flags).await
}
