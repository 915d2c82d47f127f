//! `watchfire publish operation`: these assets belong together.

use uuid::Uuid;
use watchfire::client::Draft;
use watchfire::client::Signer;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::profile::OwnKey;
use watchfire::wire::pb;

use crate::context::Context;
use crate::crl::now;
use crate::failure::Failure;
use crate::figures;
use crate::filter_flags::operation_name;
use crate::handling_flags::HandlingFlags;
use crate::moments;
use crate::output;
use crate::publish;
use crate::support;
use crate::words::words;

const EXAMPLES: &str = "Example:
  watchfire publish operation --title 'Spring storm' --alias 'Harbour closed' --status active --origin XX \\
    --target GB --target US --language en --narrative 'The harbour is closed.' --first-activity 2015-06-01 \\
    --metric 'accounts-reached at-least 126000000 on facebook by the press' --tlp clear --audience all

Indicators name it by its title: --operation 'Spring storm'.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A short title; the record's name follows from it.
    #[arg(long)]
    title: String,
    /// Another name; may be repeated.
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,
    /// How it stands.
    #[arg(long, value_parser = words("OPERATION_STATUS_", pb::OperationStatus::as_str_name))]
    status: Option<pb::OperationStatus>,
    /// Where it came from, an ISO 3166 code; may be repeated.
    #[arg(long = "origin", value_name = "REGION")]
    origins: Vec<String>,
    /// Whom it aimed at, an ISO 3166 code; may be repeated.
    #[arg(long = "target", value_name = "REGION")]
    targets: Vec<String>,
    /// A language that it used, a BCP 47 tag; may be repeated.
    #[arg(long = "language", value_name = "TAG")]
    languages: Vec<String>,
    /// What it told; may be repeated.
    #[arg(long = "narrative", value_name = "TEXT")]
    narratives: Vec<String>,
    /// First known activity: a day, a time with its zone, or now.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    first_activity: Option<Timestamp>,
    /// Last known activity.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    last_activity: Option<Timestamp>,
    /// Where to read more; may be repeated.
    #[arg(long = "reference", value_name = "REFERENCE")]
    references: Vec<String>,
    /// What else there is to say.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// A technique of the whole: disarm/T0013, or with its label, and its phase in brackets:
    /// 'disarm/T0013 Create inauthentic websites [Establish assets]'; may be repeated.
    #[arg(long = "technique", value_name = "TECHNIQUE", value_parser = support::technique)]
    techniques: Vec<pb::Technique>,
    /// Reach, spend and other figures of the whole; may be repeated.
    #[arg(long = "metric", value_name = "METRIC", value_parser = figures::metric)]
    metrics: Vec<pb::Metric>,
    /// A label of one's own; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    handling: HandlingFlags,
    #[command(flatten)]
    how: publish::HowFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let Args { handling, how, .. } = args.clone();
    let name = operation_name(&args.title, &profile)?;
    let said = pb::body::Content::Operation(operation(args));
    if how.dry_run {
        let signer = Signer::of(&profile, OwnKey::Signing)?;
        let name = RecordName { member: signer.member().clone(), record: Uuid::now_v7() };
        let handling = handling.required()?;
        signer.sign(Draft { name, previous: None, handling, content: said }, now())?;
        return Ok(output::line("The record would be sent.")?);
    }
    if how.amend.is_none() {
        handling.required()?;
    }
    let client = context.connect().await?;
    publish::send_waiting(&client).await?;
    if how.amend.is_none() && client.current(&name).await?.is_some() {
        let why = format!("an operation of that title is there: say it anew with --amend {name}");
        return Err(Failure::Usage(why).into());
    }
    let mut draft = publish::draft(&client, said, &handling, &how).await?;
    if how.amend.is_none() {
        draft.name = name;
    }
    publish::tell_reach(&draft.handling);
    publish::tell(&publish::send(&client, draft).await?, &how)
}

fn operation(args: Args) -> pb::Operation {
    pb::Operation {
        title: args.title,
        aliases: args.aliases,
        status: args.status.unwrap_or_default().into(),
        origin_regions: args.origins,
        target_regions: args.targets,
        languages: args.languages,
        narratives: args.narratives,
        first_activity_time: moments::to_wire(args.first_activity),
        last_activity_time: moments::to_wire(args.last_activity),
        references: args.references,
        description: args.description,
        techniques: args.techniques,
        metrics: args.metrics,
        labels: args.labels,
    }
}
