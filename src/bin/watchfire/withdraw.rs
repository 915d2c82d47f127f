//! `watchfire withdraw RECORD --reason R`.

use uuid::Uuid;
use watchfire::client::Draft;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::context::Context;
use crate::context::whole_record;
use crate::output;
use crate::publish::send_waiting;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// One's own record: its name, or its id alone.
    record: String,
    /// Why.
    #[arg(long, value_enum)]
    reason: ReasonName,
    /// More about why.
    #[arg(long, default_value = "")]
    explanation: String,
    /// Ask holders to delete their copies.
    #[arg(long)]
    demand_deletion: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ReasonName {
    Error,
    Restored,
    Restricted,
    Legal,
    Privacy,
    Duplicate,
}

impl ReasonName {
    const fn reason(self) -> pb::WithdrawalReason {
        match self {
            Self::Error => pb::WithdrawalReason::Error,
            Self::Restored => pb::WithdrawalReason::Restored,
            Self::Restricted => pb::WithdrawalReason::Restricted,
            Self::Legal => pb::WithdrawalReason::Legal,
            Self::Privacy => pb::WithdrawalReason::Privacy,
            Self::Duplicate => pb::WithdrawalReason::Duplicate,
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let of = whole_record(&args.record, client.profile())?;
    send_waiting(&client).await?;
    let withdrawal = pb::body::Content::Withdrawal(pb::Withdrawal {
        of: of.to_string(),
        reason: args.reason.reason().into(),
        demand_deletion: args.demand_deletion,
        acknowledge_by_time: None,
        explanation: args.explanation,
    });
    // It reaches everyone who could see any revision of the record: its reach is not its own to choose.
    let handling = Handling {
        tlp: Tlp::Green,
        reach: Reach::default(),
        onward_uses: Vec::new(),
        use_until: None,
    };
    let name =
        RecordName { member: client.profile().settings().member.clone(), record: Uuid::now_v7() };
    let draft = Draft { name, previous: None, handling, content: withdrawal };
    let receipt = client.publish_one(client.signer()?.sign(draft, client.now())?).await?;
    Ok(output::line(&format!("{of} is withdrawn at sequence {}.", receipt.sequence))?)
}
