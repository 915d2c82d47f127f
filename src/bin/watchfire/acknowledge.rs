//! `watchfire acknowledge RECORD --answer A`: what became of one's copy of a record that was taken back.

use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::statement;
use crate::words::words;

const EXAMPLES: &str = "Examples:
  watchfire acknowledge RECORD --answer deleted
  watchfire acknowledge RECORD --answer refused \\
    --text 'A court ordered us to keep it.'

The publisher of the record reads it, and nobody else.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The record that was withdrawn, by its full name.
    record: RecordName,
    /// What became of one's copy.
    #[arg(long, value_parser = words("ACKNOWLEDGEMENT_ANSWER_", pb::AcknowledgementAnswer::as_str_name))]
    answer: pb::AcknowledgementAnswer,
    /// More about it; why, if it is kept.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let of = args.record.to_string();
    let acknowledgement =
        pb::Acknowledgement { of: of.clone(), answer: args.answer.into(), text: args.text };
    let said = pb::body::Content::Acknowledgement(acknowledgement);
    statement::announce(&client, said, &format!("{of} is acknowledged")).await
}
