//! `watchfire show OPERATION`: an operation whole, each claim with who says so. Nothing is merged.

use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Found;
use watchfire::client::OperationView;
use watchfire::client::TechniqueUse;
use watchfire::client::operation_to_json;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::reason::Reason;

use crate::context::Context;
use crate::filter_flags::operation_name;
use crate::operation_text;
use crate::output;

const EXAMPLES: &str = "Examples:
  watchfire show members/acme-video/records/7c1c1f0e-0f5b-5b4e-9d59-3f4e5a3c2b1a
  watchfire show 'Spring storm' --format json

Numbers of different claimants stand side by side; they are never added up. What carries a * nobody signed: it is the \
  hub's word.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The operation, by its record's name, or by the title that this profile published it under.
    operation: String,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Whole::Table)]
    format: Whole,
}

/// How a whole answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Whole {
    /// For people.
    Table,
    /// For programs: one JSON object.
    Json,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let name = operation_name(&args.operation, client.profile())?;
    let mut view = match client.operation(&name).await {
        Ok(view) => view,
        Err(error) => return Err(explained(error, &client, name).await),
    };
    let now = client.now();
    match args.format {
        Whole::Table => {
            let subjects = client.get_all(view.subjects()).await?;
            name_techniques(&client, &mut view).await;
            output::raw(operation_text::operation(&view, &subjects, now).as_bytes())?;
        }
        Whole::Json => output::line(&operation_to_json(&view, now))?,
    }
    output::flush()?;
    Ok(client.remember_roster().await?)
}

/// Puts the framework's word where publishers gave a technique none; marked, since nobody signed it. A hub that has no
/// frameworks, or is too old to be asked, leaves the code alone.
async fn name_techniques(client: &Client, view: &mut OperationView) {
    let uses = view.techniques.iter().map(|one| &one.technique);
    let Ok(names) = client.technique_names(uses).await else { return };
    for TechniqueUse { technique, .. } in &mut view.techniques {
        let Some(known) = names.get(technique) else { continue };
        if technique.name.is_empty() {
            technique.name = format!("{}*", known.name);
        }
        if technique.phase.is_empty() {
            let tactics: Vec<&str> = known.tactics.iter().map(|one| one.name.as_str()).collect();
            technique.phase = format!("{}*", tactics.join(", "));
        }
    }
}

/// What is no operation is answered like what is not there; whoever may see it is told what it is.
async fn explained(error: ClientError, client: &Client, record: RecordName) -> anyhow::Error {
    let is_missing =
        matches!(&error, ClientError::Refused(refused) if refused.is(Reason::RecordNotFound));
    if !is_missing {
        return error.into();
    }
    let name = RevisionName { record, revision: None };
    let Ok(Found { entry, .. }) = client.get(&name).await else { return error.into() };
    let (record, kind) = (name.record, entry.header().body_kind);
    if kind == BodyKind::Operation {
        return error.into();
    }
    let why = format!("{record} is no operation: it is of the kind {}", kind.as_str());
    anyhow::Error::from(error).context(why)
}
