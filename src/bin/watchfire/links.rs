//! `watchfire links RECORD|VALUE|TITLE`: what is linked, step by step.

use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::LinkFrom;
use watchfire::client::links_to_json;
use watchfire::model::names::RevisionName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::context::Context;
use crate::ends;
use crate::failure::Failure;
use crate::filter_flags::operation_name;
use crate::links_text;
use crate::output;
use crate::show::Whole;
use crate::words::Kinds;

const EXAMPLES: &str = "Examples:
  watchfire links news[.]example --steps 3
  watchfire links '@example_voice' --kind account --platform x
  watchfire links members/acme-video/records/7c1c1f0e-0f5b-5b4e-9d59-3f4e5a3c2b1a --format json
  watchfire links 'Spring storm' --steps 1

A link joins its two ends, an indicator is joined with its value and with the operation that it names. What carries a \
  * nobody signed: it is the hub's word.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// From where: the full name of a record, a value, defanged or not, or the title of an operation that this profile
    /// published.
    #[arg(value_name = "RECORD|VALUE|TITLE")]
    start: String,
    /// The kind of a value, where it is not plain.
    #[arg(long, value_parser = Kinds)]
    kind: Option<ObservableKind>,
    /// Its platform.
    #[arg(long)]
    platform: Option<Platform>,
    /// How many steps to go, 1 to 4.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=4))]
    steps: u32,
    /// How many records and values to show at most, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    nodes: u32,
    /// How to show them.
    #[arg(long, value_enum, default_value_t = Whole::Table)]
    format: Whole,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let asked = start(&args);
    if asked.is_err() && !may_be_title(&args) {
        return asked.map(drop);
    }
    let client = context.connect().await?;
    let from = match asked {
        Ok(from) => from,
        Err(unread) => own_operation(&args.start, &client).await?.ok_or_else(|| {
            Failure::Usage(format!("{unread}. It is no title of an operation of yours, either"))
        })?,
    };
    let view = client.links(from, args.steps, args.nodes).await?;
    match args.format {
        Whole::Table => output::raw(links_text::links(&view).as_bytes())?,
        Whole::Json => output::line(&links_to_json(&view, client.now()))?,
    }
    output::flush()?;
    if view.edges.is_empty() {
        output::note("nothing is linked with it");
    }
    Ok(client.remember_roster().await?)
}

fn start(args: &Args) -> anyhow::Result<LinkFrom> {
    let end = ends::end(&args.start, args.kind, args.platform.as_ref())?;
    match end.to {
        Some(pb::reference::To::Record(name)) => Ok(LinkFrom::Record(name.parse()?)),
        Some(pb::reference::To::Value(value)) => {
            let pb::Observable { kind, platform, value, .. } = value;
            Ok(LinkFrom::Value(pb::ValueQuery { value, kind, platform }))
        }
        None => Ok(LinkFrom::Value(pb::ValueQuery::default())),
    }
}

/// What is said to be a value or a record is no title.
fn may_be_title(args: &Args) -> bool {
    args.kind.is_none() && args.platform.is_none() && !args.start.starts_with("members/")
}

/// The operation that this profile published under a title, if there is one.
async fn own_operation(title: &str, client: &Client) -> anyhow::Result<Option<LinkFrom>> {
    let record = operation_name(title, client.profile())?;
    match client.get(&RevisionName { record: record.clone(), revision: None }).await {
        Ok(_found) => Ok(Some(LinkFrom::Record(record))),
        Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
