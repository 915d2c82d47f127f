//! `SubscriptionService`: durable subscriptions. Each is its member's own; another's is not there.

use std::sync::Arc;

use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::exchange::DurableSubscription;
use crate::exchange::Hub;
use crate::exchange::SeekTo;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::caller::caller;
use crate::rpc::exchange_face::page_size_of;
use crate::rpc::exchange_face::subscription_name;
use crate::rpc::status;
use crate::wire;
use crate::wire::face::subscription_service_server::SubscriptionService;
use crate::wire::filter::filter_to_wire;
use crate::wire::filter::kept_filter;
use crate::wire::pb;

type Answer<T> = Result<Response<T>, Status>;

/// The service.
pub(super) struct SubscriptionFace {
    hub: Arc<Hub>,
}

impl SubscriptionFace {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

#[tonic::async_trait]
impl SubscriptionService for SubscriptionFace {
    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Answer<pb::CreateSubscriptionResponse> {
        let member = caller(&request)?;
        let pb::CreateSubscriptionRequest { name, filter: wire_filter, from } =
            request.into_inner();
        let refused = |refusal: Refusal| status::refused(&refusal);
        let name = own(&member, &name).map_err(refused)?;
        let filter = kept_filter(wire_filter).map_err(refused)?;
        let from = point(from, "from").map_err(refused)?;
        let made = self.hub.create_subscription(name, filter, from).await;
        let subscription = Some(to_wire(made.map_err(|error| status::failed(&error))?));
        Ok(Response::new(pb::CreateSubscriptionResponse { subscription }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Answer<pb::ListSubscriptionsResponse> {
        let member = caller(&request)?;
        let pb::ListSubscriptionsRequest { page_size, page_token } = request.into_inner();
        let page_size = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let wanted = page_size.saturating_add(1);
        let found = self.hub.subscriptions(&member, &page_token, wanted).await;
        let mut found = found.map_err(|error| status::failed(&error))?;
        let more = found.len() > page_size;
        found.truncate(page_size);
        let last = found.last().map(|subscription| subscription.name.id().to_owned());
        Ok(Response::new(pb::ListSubscriptionsResponse {
            next_page_token: last.filter(|_last| more).unwrap_or_default(),
            subscriptions: found.into_iter().map(to_wire).collect(),
        }))
    }

    async fn acknowledge_subscription(
        &self,
        request: Request<pb::AcknowledgeSubscriptionRequest>,
    ) -> Answer<pb::AcknowledgeSubscriptionResponse> {
        let member = caller(&request)?;
        let pb::AcknowledgeSubscriptionRequest { name, cursor } = request.into_inner();
        let name = own(&member, &name).map_err(|refusal| status::refused(&refusal))?;
        let kept = self.hub.acknowledge(name, &cursor).await;
        let subscription = Some(to_wire(kept.map_err(|error| status::failed(&error))?));
        Ok(Response::new(pb::AcknowledgeSubscriptionResponse { subscription }))
    }

    async fn seek_subscription(
        &self,
        request: Request<pb::SeekSubscriptionRequest>,
    ) -> Answer<pb::SeekSubscriptionResponse> {
        let member = caller(&request)?;
        let pb::SeekSubscriptionRequest { name, to } = request.into_inner();
        let refused = |refusal: Refusal| status::refused(&refusal);
        let name = own(&member, &name).map_err(refused)?;
        let to = seek_to(to).map_err(refused)?;
        let moved = self.hub.seek(name, to).await;
        let subscription = Some(to_wire(moved.map_err(|error| status::failed(&error))?));
        Ok(Response::new(pb::SeekSubscriptionResponse { subscription }))
    }

    async fn delete_subscription(
        &self,
        request: Request<pb::DeleteSubscriptionRequest>,
    ) -> Answer<pb::DeleteSubscriptionResponse> {
        let member = caller(&request)?;
        let name = own(&member, &request.into_inner().name)
            .map_err(|refusal| status::refused(&refusal))?;
        let gone = self.hub.delete_subscription(name).await;
        gone.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::DeleteSubscriptionResponse {}))
    }
}

/// A subscription of the caller; another member's is not there.
fn own(member: &MemberId, name: &str) -> Result<SubscriptionName, Refusal> {
    let name = subscription_name(name, "name")?;
    if name.member == *member {
        return Ok(name);
    }
    Err(Refusal::field(Reason::RecordNotFound, "name", "you have no such subscription"))
}

fn seek_to(to: Option<pb::seek_subscription_request::To>) -> Result<SeekTo, Refusal> {
    use pb::seek_subscription_request::To;

    match to {
        Some(To::Point(number)) => point(number, "to.point"),
        Some(To::Sequence(sequence)) => Ok(SeekTo::Sequence(sequence)),
        Some(To::AcceptedSinceTime(time)) => {
            Ok(SeekTo::Since(wire::time::timestamp(&time, "to.accepted_since_time")?))
        }
        None => Err(Refusal::field(Reason::FieldInvalid, "to", "must be set")),
    }
}

fn point(number: i32, field: &'static str) -> Result<SeekTo, Refusal> {
    match pb::StartPoint::try_from(number) {
        Ok(pb::StartPoint::Unspecified | pb::StartPoint::Start) => Ok(SeekTo::First),
        Ok(pb::StartPoint::Now) => Ok(SeekTo::Head),
        Ok(pb::StartPoint::Snapshot) => Err(Refusal::field(
            Reason::FieldInvalid,
            field,
            "a snapshot has no place; stream it first, then go on from its first mark",
        )),
        Err(_unknown) => Err(Refusal::field(
            Reason::UnsupportedField,
            field,
            format!("{number} is not known to this version"),
        )),
    }
}

fn to_wire(subscription: DurableSubscription) -> pb::Subscription {
    let DurableSubscription {
        name,
        filter,
        epoch,
        position,
        cursor,
        lag_entries,
        lag_time,
        updated,
        streams,
    } = subscription;
    pb::Subscription {
        name: name.to_string(),
        filter: Some(filter_to_wire(&filter)),
        epoch,
        position,
        cursor,
        lag_entries,
        lag_time: prost_types::Duration::try_from(lag_time).ok(),
        update_time: Some(wire::time::timestamp_to_wire(updated)),
        streams: u32::try_from(streams).unwrap_or(u32::MAX),
    }
}
