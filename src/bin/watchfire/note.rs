//! `watchfire note RECORD TEXT`: anything else worth saying about a record.

use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::statement;
use crate::statement::StatementFlags;

const EXAMPLES: &str = "Example:
  watchfire note RECORD 'The registrar was told on Monday.'

Without --tlp, --audience and --recipient it has the record's label and readers.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The record, by its full name.
    record: RecordName,
    /// What there is to say.
    text: String,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let note = pb::Note { about: args.record.to_string(), text: args.text };
    statement::say(context, pb::body::Content::Note(note), &args.flags).await
}
