//! `watchfire withdraw RECORD --reason R`.

use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::context::Context;
use crate::context::whole_record;
use crate::crl::now;
use crate::failure::Failure;
use crate::moments;
use crate::statement;
use crate::words::words;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// One's own record: its name, or its id alone.
    record: String,
    /// Why.
    #[arg(long, value_parser = words("WITHDRAWAL_REASON_", pb::WithdrawalReason::as_str_name))]
    reason: pb::WithdrawalReason,
    /// More about why.
    #[arg(long, default_value = "", hide_default_value = true)]
    explanation: String,
    /// Ask holders to delete their copies.
    #[arg(long)]
    demand_deletion: bool,
    /// Until when holders are asked to answer: a day, a time with its zone, or so long from now (7d).
    #[arg(long, value_name = "TIME", requires = "demand_deletion", value_parser = moments::due)]
    acknowledge_by: Option<Timestamp>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    if args.acknowledge_by.is_some_and(|time| time < now()) {
        let why = "--acknowledge-by lies in the past; without it copies are to be deleted at once";
        return Err(Failure::Usage(why.to_owned()).into());
    }
    let client = context.connect().await?;
    let of = whole_record(&args.record, client.profile())?;
    let withdrawal = pb::body::Content::Withdrawal(pb::Withdrawal {
        of: of.to_string(),
        reason: args.reason.into(),
        demand_deletion: args.demand_deletion,
        acknowledge_by_time: moments::to_wire(args.acknowledge_by),
        explanation: args.explanation,
    });
    statement::announce(&client, withdrawal, &format!("{of} is withdrawn")).await
}
