//! `watchfire ask RECORD|--value V QUESTION`: does anyone know more?

use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::context::Context;
use crate::ends;
use crate::failure::Failure;
use crate::handling_flags::member;
use crate::moments;
use crate::statement;
use crate::statement::StatementFlags;
use crate::words::Kinds;

const EXAMPLES: &str = "Examples:
  watchfire ask RECORD 'Who registered it?' --due 3d
  watchfire ask --value '@example_voice' --kind account --platform x 'Have you seen it?' --to birch-social --tlp amber

Without --tlp, --audience and --recipient a question about a record has its label and readers; one about a value needs \
  a label. Whoever is asked may read it.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, allow_missing_positional = true)]
pub(crate) struct Args {
    /// The record that it is about, by its full name.
    #[arg(conflicts_with = "value")]
    record: Option<RecordName>,
    /// The question.
    #[arg(required = true)]
    question: String,
    /// The value that it is about, defanged or not.
    #[arg(long)]
    value: Option<String>,
    /// The value's kind, where it is not plain.
    #[arg(long, requires = "value", value_parser = Kinds)]
    kind: Option<ObservableKind>,
    /// The value's platform.
    #[arg(long, requires = "value")]
    platform: Option<Platform>,
    /// Who is asked; may be repeated. Without it everyone who may read the question is.
    #[arg(long = "to", value_name = "MEMBER", value_parser = member, value_delimiter = ',')]
    to: Vec<MemberId>,
    /// Until when an answer helps: a day, a time with its zone, or so long from now (3d).
    #[arg(long, value_name = "TIME", value_parser = moments::due)]
    due: Option<Timestamp>,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let about = match (&args.record, &args.value) {
        (Some(record), None) => {
            pb::Reference { to: Some(pb::reference::To::Record(record.to_string())) }
        }
        (None, Some(value)) => {
            let value = ends::value(value, args.kind, args.platform.as_ref())?;
            pb::Reference { to: Some(pb::reference::To::Value(value)) }
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::Usage("say what the question is about: ask RECORD QUESTION, or ask --value VALUE QUESTION".to_owned()).into());
        }
    };
    moments::note_past(args.due, "--due");
    let inquiry = pb::Inquiry {
        about: Some(about),
        question: args.question,
        addressees: args.to.iter().map(MemberId::name).collect(),
        due_time: moments::to_wire(args.due),
    };
    statement::say(context, pb::body::Content::Inquiry(inquiry), &args.flags).await
}
