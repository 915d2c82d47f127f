//! Durable subscriptions: the hub keeps a filter and how far this member acknowledged; here they are made, moved,
//! listed and joined, and acknowledged not more often than is of use.
//!
//! A mark is acknowledged after its effects, never before. After a crash in between the hub's place lies behind: what
//! keeps a place of its own goes on from that one, and the hub is told; everything else gets some entries again.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::backoff::Backoff;
use crate::client::connection::Client;
use crate::client::cursor::Cursor;
use crate::client::error::ClientError;
use crate::client::subscribe::From;
use crate::client::subscribe::Place;
use crate::client::verifier::VerificationError;
use crate::model::filter::Filter;
use crate::model::names::SubscriptionName;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::filter::filter_to_wire;
use crate::wire::filter::known;
use crate::wire::pb;

/// Marks that come closer together than this are acknowledged together.
pub const ACKNOWLEDGE_INTERVAL: Duration = Duration::from_secs(1);
/// How long the last acknowledgement is offered to a hub that does not answer.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// A durable subscription, as the hub says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableSubscription {
    /// Its name.
    pub name: SubscriptionName,
    /// What it streams.
    pub filter: Filter,
    /// The epoch of its place.
    pub epoch: u32,
    /// Everything below this sequence was acknowledged.
    pub position: u64,
    /// To go on from there.
    pub cursor: Cursor,
    /// Entries of the log at and above the position, whether this member may see them or not.
    pub lag_entries: u64,
    /// How long the entry at the position has waited; zero if there is none.
    pub lag_time: Duration,
    /// When it was last acknowledged or moved.
    pub updated: Option<Timestamp>,
    /// Streams that were opened by its name and are open.
    pub streams: u32,
}

/// Where a durable subscription is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekPoint {
    /// The first entry.
    Start,
    /// The head.
    Now,
    /// This sequence, itself included.
    Sequence(u64),
    /// The first entry taken in at or after this.
    Since(Timestamp),
}

impl Client {
    /// This member's durable subscriptions, by name.
    pub async fn subscriptions(&self) -> Result<Vec<DurableSubscription>, ClientError> {
        let mut all: Vec<DurableSubscription> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListSubscriptionsRequest { page_size: 0, page_token };
            let response =
                self.subscription_service().list_subscriptions(request).await?.into_inner();
            let pb::ListSubscriptionsResponse { subscriptions, next_page_token } = response;
            let page = subscriptions.into_iter().map(listed);
            all.extend(page.collect::<Result<Vec<_>, _>>()?);
            // They rise, so that no answer can make this go on for ever.
            if !all.is_sorted_by(|a, b| a.name.id() < b.name.id()) {
                return Err(VerificationError::answer("subscriptions are not in order").into());
            }
            if next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = next_page_token;
        }
    }

    /// Makes a durable subscription at the first entry or the head; one that is there with the same filter stays as it
    /// is, one with another filter is refused.
    pub async fn create_subscription(
        &self,
        name: &SubscriptionName,
        filter: &Filter,
        from: pb::StartPoint,
    ) -> Result<DurableSubscription, ClientError> {
        let request = pb::CreateSubscriptionRequest {
            name: name.to_string(),
            filter: Some(filter_to_wire(filter)),
            from: from.into(),
        };
        let response = self.subscription_service().create_subscription(request).await?;
        answered(response.into_inner().subscription, name)
    }

    /// Says that everything below a mark's cursor has taken effect. The subscription as it stands then: an
    /// acknowledgement below its place changes nothing.
    pub async fn acknowledge_subscription(
        &self,
        name: &SubscriptionName,
        cursor: &Cursor,
    ) -> Result<DurableSubscription, ClientError> {
        let request = pb::AcknowledgeSubscriptionRequest {
            name: name.to_string(),
            cursor: cursor.bytes.clone(),
        };
        let response = self.subscription_service().acknowledge_subscription(request).await?;
        answered(response.into_inner().subscription, name)
    }

    /// Moves a durable subscription, back or ahead. Streams that are open go on where they stand.
    pub async fn seek_subscription(
        &self,
        name: &SubscriptionName,
        to: SeekPoint,
    ) -> Result<DurableSubscription, ClientError> {
        use pb::seek_subscription_request::To;

        let to = match to {
            SeekPoint::Start => To::Point(pb::StartPoint::Start.into()),
            SeekPoint::Now => To::Point(pb::StartPoint::Now.into()),
            SeekPoint::Sequence(sequence) => To::Sequence(sequence),
            SeekPoint::Since(time) => To::AcceptedSinceTime(wire::time::timestamp_to_wire(time)),
        };
        let request = pb::SeekSubscriptionRequest { name: name.to_string(), to: Some(to) };
        let response = self.subscription_service().seek_subscription(request).await?;
        answered(response.into_inner().subscription, name)
    }

    /// Forgets a durable subscription.
    pub async fn delete_subscription(&self, name: &SubscriptionName) -> Result<(), ClientError> {
        let request = pb::DeleteSubscriptionRequest { name: name.to_string() };
        self.subscription_service().delete_subscription(request).await?;
        Ok(())
    }

    /// The durable subscription of a name, to be streamed and acknowledged: the one that is there, or a new one. With
    /// the open filter the filter of the one that is there holds.
    pub async fn durable(
        &self,
        name: &SubscriptionName,
        filter: Filter,
    ) -> Result<Durable, ClientError> {
        let mut there = self.subscriptions().await?;
        there.retain(|kept| kept.name == *name);
        let kept = match there.pop() {
            // The hub refuses if it is another one, with its reason.
            Some(kept) if !filter.is_open() => {
                Some(self.create_subscription(&kept.name, &filter, pb::StartPoint::Start).await?)
            }
            kept => kept,
        };
        let filter = kept.as_ref().map_or(filter, |kept| kept.filter.clone());
        Ok(Durable { client: self.clone(), name: name.clone(), filter, kept })
    }
}

/// A durable subscription before its stream is opened.
pub struct Durable {
    client: Client,
    name: SubscriptionName,
    filter: Filter,
    kept: Option<DurableSubscription>,
}

/// Where to stream from, and who acknowledges.
pub struct Joined {
    /// Where to start.
    pub from: From,
    /// Tells the hub what has taken effect.
    pub acknowledger: Acknowledger,
    /// Whether the hub's place lies ahead of the own one, which counts all the same.
    pub is_hub_ahead: bool,
}

impl Durable {
    /// What it streams.
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Makes it if it is not there, at `from`, and says where its stream starts. `own` is the place of what keeps its
    /// own: it counts, and the hub's is moved up to it.
    pub async fn join(self, own: Option<Place>, from: From) -> Result<Joined, ClientError> {
        let Self { client, name, filter, kept } = self;
        let mut acknowledger = Acknowledger::new(client.clone(), name.clone());
        let joined = |from, acknowledger| Joined { from, acknowledger, is_hub_ahead: false };
        if let Some(place) = own {
            if kept.is_none() {
                client.create_subscription(&name, &filter, pb::StartPoint::Start).await?;
            }
            // A place of an earlier epoch may stand where there is nothing now; the next mark moves the hub's.
            let is_earlier = place.epoch < client.accepted_epoch();
            let Some(cursor) = place.cursor.clone().filter(|_cursor| !is_earlier) else {
                return Ok(joined(From::Place(place), acknowledger));
            };
            let now = client.acknowledge_subscription(&name, &cursor).await?;
            acknowledger.acknowledged = Some(cursor.clone());
            // Both are sealed the same way, so that the same place has the same cursor.
            if now.cursor.bytes != cursor.bytes {
                let from = From::Place(place);
                return Ok(Joined { from, acknowledger, is_hub_ahead: true });
            }
            return Ok(joined(From::Durable { name, place }, acknowledger));
        }
        let here = From::Durable { name: name.clone(), place: Place::default() };
        match (kept, from) {
            (Some(_there), _) => Ok(joined(here, acknowledger)),
            // It is made with the mark behind the current state: were it there before, a crash would leave that out.
            (None, From::Snapshot) => {
                acknowledger.to_make = Some(filter);
                Ok(joined(From::Snapshot, acknowledger))
            }
            (None, from) => {
                make(&client, &name, &filter, &from).await?;
                Ok(joined(here, acknowledger))
            }
        }
    }
}

impl Durable {
    /// The same for what needs all that is current: without a place of its own it begins with that, wherever the hub's
    /// place is. The hub's stays there until the own one has come so far.
    pub async fn join_whole(self, own: Option<Place>) -> Result<Joined, ClientError> {
        if own.is_some() {
            return self.join(own, From::Snapshot).await;
        }
        let Self { client, name, filter, kept } = self;
        let mut acknowledger = Acknowledger::new(client, name);
        acknowledger.to_make = kept.is_none().then_some(filter);
        Ok(Joined { from: From::Snapshot, acknowledger, is_hub_ahead: false })
    }
}

async fn make(
    client: &Client,
    name: &SubscriptionName,
    filter: &Filter,
    from: &From,
) -> Result<(), ClientError> {
    let point = if *from == From::Now { pb::StartPoint::Now } else { pb::StartPoint::Start };
    client.create_subscription(name, filter, point).await?;
    if let From::Sequence(sequence) = from {
        // In this order: cut off in between, it starts too early rather than too late.
        client.seek_subscription(name, SeekPoint::Sequence(*sequence)).await?;
    }
    Ok(())
}

/// Acknowledges marks whose effects are there: the last one at most once a second, and at the end.
pub struct Acknowledger {
    client: Client,
    name: SubscriptionName,
    /// The filter of a subscription that is to be made first.
    to_make: Option<Filter>,
    acknowledged: Option<Cursor>,
    waiting: Option<Cursor>,
    due: Instant,
    backoff: Backoff,
}

impl Acknowledger {
    fn new(client: Client, name: SubscriptionName) -> Self {
        Self {
            client,
            name,
            to_make: None,
            acknowledged: None,
            waiting: None,
            due: Instant::now(),
            backoff: Backoff::default(),
        }
    }

    /// Everything up to this place has taken effect.
    pub fn took_effect(&mut self, place: &Place) {
        if place.cursor.is_some() && place.cursor != self.acknowledged {
            self.waiting.clone_from(&place.cursor);
        }
    }

    /// Does some work, and meanwhile acknowledges what is due. The work is never dropped half-way; a hub that does not
    /// answer is asked again later, and one that refuses ends this.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ClientError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = until_due(self.waiting.as_ref().map(|_cursor| self.due)) => {}
                done = &mut work => return Ok(done),
            }
            self.acknowledge().await?;
        }
    }

    /// Acknowledges what is left.
    pub async fn finish(mut self) -> Result<(), ClientError> {
        let deadline = Instant::now() + LAST_PATIENCE;
        while let Some(cursor) = self.waiting.clone() {
            match self.send(cursor).await {
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    tokio::time::sleep(self.backoff.next()).await;
                }
                done => return done,
            }
        }
        Ok(())
    }

    async fn acknowledge(&mut self) -> Result<(), ClientError> {
        let Some(cursor) = self.waiting.clone() else { return Ok(()) };
        let pause = match self.send(cursor).await {
            Ok(()) => {
                self.backoff.reset();
                ACKNOWLEDGE_INTERVAL
            }
            Err(error) if error.is_transient() => self.backoff.next().max(ACKNOWLEDGE_INTERVAL),
            Err(error) => return Err(error),
        };
        self.due = Instant::now() + pause;
        Ok(())
    }

    async fn send(&mut self, cursor: Cursor) -> Result<(), ClientError> {
        if let Some(filter) = &self.to_make {
            self.client.create_subscription(&self.name, filter, pb::StartPoint::Start).await?;
            self.to_make = None;
        }
        self.client.acknowledge_subscription(&self.name, &cursor).await?;
        self.acknowledged = self.waiting.take();
        Ok(())
    }
}

async fn until_due(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn answered(
    subscription: Option<pb::Subscription>,
    name: &SubscriptionName,
) -> Result<DurableSubscription, ClientError> {
    let missing = || VerificationError::answer("there is no subscription in it");
    let subscription = listed(subscription.ok_or_else(missing)?)?;
    if subscription.name != *name {
        return Err(VerificationError::answer("it is another subscription").into());
    }
    Ok(subscription)
}

fn listed(wire: pb::Subscription) -> Result<DurableSubscription, ClientError> {
    let pb::Subscription {
        name,
        filter: wire_filter,
        epoch,
        position,
        cursor,
        lag_entries,
        lag_time,
        update_time,
        streams,
    } = wire;
    let malformed = |error: String| VerificationError::answer(format!("a subscription: {error}"));
    let updated = update_time.map(|time| wire::time::timestamp(&time, "update_time"));
    Ok(DurableSubscription {
        name: name
            .parse()
            .map_err(|error: crate::model::names::InvalidName| malformed(error.to_string()))?,
        filter: known(wire_filter).map_err(|refusal| malformed(refusal.to_string()))?,
        epoch,
        position,
        cursor: Cursor { bytes: cursor, position },
        lag_entries,
        // A negative time is none.
        lag_time: lag_time.and_then(|time| time.try_into().ok()).unwrap_or_default(),
        updated: updated.transpose().map_err(|refusal| malformed(refusal.to_string()))?,
        streams,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> pb::Subscription {
        pb::Subscription {
            name: "members/birch-social/subscriptions/main".to_owned(),
            filter: Some(pb::Filter { platforms: vec!["x".to_owned()], ..pb::Filter::default() }),
            epoch: 1,
            position: 7,
            cursor: vec![1],
            lag_entries: 3,
            lag_time: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
            update_time: Some(prost_types::Timestamp { seconds: 9, nanos: 0 }),
            streams: 1,
        }
    }

    #[test]
    fn what_is_listed_is_a_subscription() {
        let kept = listed(wire()).unwrap();
        assert_eq!((kept.name.id(), kept.lag_time), ("main", Duration::from_secs(2)));
        let name = kept.name.clone();
        assert_eq!(answered(Some(wire()), &name).unwrap(), kept);
        answered(None, &name).unwrap_err();
        let other = SubscriptionName::new(name.member, "other").unwrap();
        answered(Some(wire()), &other).unwrap_err();
        listed(pb::Subscription { name: "main".to_owned(), ..wire() }).unwrap_err();
        let bad = Some(pb::Filter { kinds: vec![9999], ..pb::Filter::default() });
        listed(pb::Subscription { filter: bad, ..wire() }).unwrap_err();
        let negative = Some(prost_types::Duration { seconds: -2, nanos: 0 });
        let odd = listed(pb::Subscription { lag_time: negative, ..wire() }).unwrap();
        assert_eq!(odd.lag_time, Duration::ZERO);
    }
}
