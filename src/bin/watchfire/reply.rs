//! `watchfire reply INQUIRY --result R`: answer to a question.

use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::statement;
use crate::statement::StatementFlags;
use crate::words::words;

const EXAMPLES: &str = "Examples:
  watchfire reply INQUIRY --result yes --text 'Since May.'
  watchfire reply INQUIRY --result looking

Without --tlp, --audience and --recipient it has the question's label and readers.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The question, by its full name.
    inquiry: RecordName,
    /// The answer in a word.
    #[arg(long, value_parser = words("REPLY_RESULT_", pb::ReplyResult::as_str_name))]
    result: pb::ReplyResult,
    /// The answer.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let reply =
        pb::Reply { to: args.inquiry.to_string(), result: args.result.into(), text: args.text };
    statement::say(context, pb::body::Content::Reply(reply), &args.flags).await
}
