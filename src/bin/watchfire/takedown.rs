//! `watchfire takedown RECORD --reason R`, as the operator: a record of a member is withdrawn.

use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::statement;
use crate::words::words;

const EXAMPLES: &str = "Example:
  watchfire takedown RECORD --reason legal \\
    --explanation 'A court ordered it.'

It reaches everyone who could see any revision of the record, in the operator's name. The hub erases the bodies.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The record, by its full name.
    record: RecordName,
    /// Why.
    #[arg(long, value_parser = words("TAKEDOWN_REASON_", pb::TakedownReason::as_str_name))]
    reason: pb::TakedownReason,
    /// More about why.
    #[arg(long, visible_alias = "text", default_value = "", hide_default_value = true)]
    explanation: String,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let of = args.record.to_string();
    let takedown =
        pb::Takedown { of: of.clone(), reason: args.reason.into(), explanation: args.explanation };
    let said = pb::body::Content::Takedown(takedown);
    statement::announce(&client, said, &format!("{of} is taken down")).await
}
