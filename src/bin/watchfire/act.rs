//! `watchfire act RECORD --action A`: what we did about an indicator or an operation.

use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::context::Context;
use crate::figures;
use crate::moments;
use crate::statement;
use crate::statement::StatementFlags;
use crate::words::words;

const EXAMPLES: &str = "Examples:
  watchfire act RECORD --action removed \\
    --count '39 channel on youtube' --count 'at-least 10 account on google-plus' --count blogger:blog:6 \\
    --metric 'views 13466 in US on youtube' --time 2018-08-22
  watchfire act RECORD --action no-action

Without --tlp, --audience and --recipient it has the record's label and readers.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The indicator or operation, by its full name.
    record: RecordName,
    /// What was done.
    #[arg(long, value_parser = words("ACTION_", pb::Action::as_str_name))]
    action: pb::Action,
    /// To how many of what: '22 account on facebook', facebook:account:22, 'at-least 10 page', '10-20 group'; may be
    /// repeated.
    #[arg(long = "count", value_name = "COUNT", value_parser = figures::part)]
    counts: Vec<pb::AggregatePart>,
    /// Reach, spend and other figures of what was acted on: 'views 13466 in US on youtube', 'ad-spend 1200.50 USD'; may
    /// be repeated.
    #[arg(long = "metric", value_name = "METRIC", value_parser = figures::metric)]
    metrics: Vec<pb::Metric>,
    /// When: a day, a time with its zone, or now.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    time: Option<Timestamp>,
    /// More about it.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let report = pb::ActionReport {
        of: args.record.to_string(),
        action: args.action.into(),
        counts: args.counts,
        metrics: args.metrics,
        action_time: moments::to_wire(args.time),
        text: args.text,
    };
    statement::say(context, pb::body::Content::ActionReport(report), &args.flags).await
}
