//! `watchfire attribute OPERATION --actor A`: who is behind it, says the claimant.

use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::statement;
use crate::statement::StatementFlags;
use crate::words::words;

const EXAMPLES: &str = "Example:
  watchfire attribute OPERATION --actor 'a state broadcaster' \\
    --actor-type state-media --confidence 80 --basis technical --reference https://news.example/2018/08

Without --tlp, --audience and --recipient it has the operation's label and readers. Attributions stand side by side; \
  they are never merged.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The operation, by its full name.
    operation: RecordName,
    /// Who is behind it, in the claimant's words.
    #[arg(long)]
    actor: String,
    /// What sort of actor.
    #[arg(long, value_parser = words("ACTOR_TYPE_", pb::ActorType::as_str_name))]
    actor_type: Option<pb::ActorType>,
    /// How sure the claimant is, 0 to 100.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
    confidence: Option<u32>,
    /// What the claim rests on.
    #[arg(long, value_parser = words("ATTRIBUTION_BASIS_", pb::AttributionBasis::as_str_name))]
    basis: Option<pb::AttributionBasis>,
    /// The reasoning.
    #[arg(long, default_value = "", hide_default_value = true)]
    rationale: String,
    /// Who says so, if it is not oneself: a court, a government, a newspaper.
    #[arg(long, default_value = "", hide_default_value = true)]
    claimant: String,
    /// Where to read more; may be repeated.
    #[arg(long = "reference", value_name = "REFERENCE")]
    references: Vec<String>,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let attribution = pb::Attribution {
        operation: args.operation.to_string(),
        actor: args.actor,
        actor_type: args.actor_type.unwrap_or_default().into(),
        confidence: args.confidence,
        basis: args.basis.unwrap_or_default().into(),
        rationale: args.rationale,
        claimant: args.claimant,
        references: args.references,
    };
    statement::say(context, pb::body::Content::Attribution(attribution), &args.flags).await
}
