//! Calls that carry one signed change: they publish it if it is of the kind that the call is for.

use std::sync::Arc;

use tonic::Status;

use crate::exchange::Hub;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::exchange_face::receipt;
use crate::rpc::status;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::pb;

/// Publishes one record if it fits; what does not is refused before anything is decided.
pub(super) async fn change(
    hub: &Arc<Hub>,
    member: MemberId,
    envelope: Option<pb::Envelope>,
    fits: fn(&Content) -> bool,
) -> Result<pb::Receipt, Status> {
    let refused = |refusal: Refusal| status::refused(&refusal);
    hub.reader(&member).map_err(refused)?;
    let envelope = envelope
        .ok_or_else(|| refused(Refusal::field(Reason::FieldInvalid, "envelope", "must be set")))?;
    let record = wire::envelope::record(envelope.clone()).map_err(refused)?;
    if !fits(&record.content) {
        return Err(refused(Refusal::field(
            Reason::FieldInvalid,
            "envelope.body",
            "is not the change that this call is for",
        )));
    }
    let outcomes = hub.publish(&member, vec![envelope]).await.map_err(refused)?;
    let proven = hub.prove(&member, outcomes, 0).await;
    let (outcomes, _growth) = proven.map_err(|error| status::failed(&error.into()))?;
    match outcomes.into_iter().next() {
        Some(Ok(taken)) => Ok(receipt(taken)),
        Some(Err(refusal)) => Err(refused(refusal)),
        None => Err(Status::internal("no outcome")),
    }
}
