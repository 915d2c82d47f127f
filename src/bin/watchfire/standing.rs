//! `watchfire suspend|reinstate|revoke MEMBER`, as the operator.

use watchfire::client::ClientError;
use watchfire::client::OperatorChange;
use watchfire::client::Receipt;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;

use crate::context::Context;
use crate::crl;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The member.
    member: MemberId,
    /// Why, for the other members to read.
    #[arg(long, default_value = "")]
    reason: String,
}

pub(crate) async fn suspend(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let receipt = client.change_roster(&args.member, OperatorChange::Suspend(args.reason)).await?;
    tell(&args.member, "suspended", &receipt)
}

pub(crate) async fn reinstate(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let receipt =
        client.change_roster(&args.member, OperatorChange::Reinstate(args.reason)).await?;
    tell(&args.member, "reinstated", &receipt)
}

/// The certificates first: that needs no hub, and bites even if the hub cannot be reached.
pub(crate) async fn revoke(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let now = crl::now();
    let revoked = profile.authority()?.revoke(&args.member, now)?;
    output::line(&format!("{revoked} certificates of {} are revoked.", args.member))?;
    crl::renew(&profile, now)?;
    let client = context.connect().await?;
    match client.change_roster(&args.member, OperatorChange::Suspend(args.reason)).await {
        Ok(receipt) => tell(&args.member, "suspended", &receipt),
        Err(ClientError::Refused(refused)) if refused.is(Reason::RosterConflict) => {
            Ok(output::line(&format!("{}: {}", args.member, refused.message))?)
        }
        Err(error) => Err(error.into()),
    }
}

fn tell(member: &MemberId, standing: &str, receipt: &Receipt) -> anyhow::Result<()> {
    Ok(output::line(&format!("{member} is {standing} from sequence {} on.", receipt.sequence))?)
}
