//! `watchfire link SOURCE TARGET --type T`: two records or values are related.

use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::wire::pb;

use crate::context::Context;
use crate::ends;
use crate::statement;
use crate::statement::StatementFlags;
use crate::words::Kinds;
use crate::words::words;

const EXAMPLES: &str = "Examples:
  watchfire link RECORD RECORD --type same-operator --confidence 70
  watchfire link 'lantern-video[.]example' 'daily-lantern[.]example' --type redirects-to --tlp green --audience companies
  watchfire link '@example_voice' news.example --source-kind account --source-platform x --type amplifies --tlp amber

Without --tlp, --audience and --recipient a link has the stricter label of the records that it joins, and the readers \
  whom they share; one between values needs a label.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// From where: the full name of a record, or a value.
    source: String,
    /// To where: the full name of a record, or a value.
    target: String,
    /// How they are related, read from source to target.
    #[arg(long = "type", value_parser = words("LINK_TYPE_", pb::LinkType::as_str_name))]
    link_type: pb::LinkType,
    /// The kind of a source that is a value, where it is not plain.
    #[arg(long, value_parser = Kinds)]
    source_kind: Option<ObservableKind>,
    /// Its platform.
    #[arg(long)]
    source_platform: Option<Platform>,
    /// The kind of a target that is a value, where it is not plain.
    #[arg(long, value_parser = Kinds)]
    target_kind: Option<ObservableKind>,
    /// Its platform.
    #[arg(long)]
    target_platform: Option<Platform>,
    /// How sure one is, 0 to 100.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    confidence: Option<u32>,
    /// More about it.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let source = ends::end(&args.source, args.source_kind, args.source_platform.as_ref())?;
    let target = ends::end(&args.target, args.target_kind, args.target_platform.as_ref())?;
    let link = pb::Link {
        source: Some(source),
        target: Some(target),
        r#type: args.link_type.into(),
        confidence: args.confidence,
        description: args.text,
    };
    statement::say(context, pb::body::Content::Link(link), &args.flags).await
}
