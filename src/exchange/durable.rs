//! Durable subscriptions: what the hub keeps of them, and what may be asked.
//!
//! They are state beside the log: the sequencer's thread writes them with its groups, so that an acknowledgement is
//! on the disk before it is answered, and everyone else reads what that thread published.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::oneshot;

use crate::exchange::deliveries::How;
use crate::exchange::deliveries::Passage;
use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::subscription::demand_epoch;
use crate::exchange::token::Place;
use crate::exchange::token::Purpose;
use crate::exchange::turns::Halt;
use crate::model::filter::Filter;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::store::StateChange;
use crate::store::StateKey;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire;
use crate::wire::disk;
use crate::wire::pb;

/// What is kept of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) filter: Filter,
    /// Everything below was acknowledged.
    pub(super) place: Place,
    pub(super) updated: Timestamp,
}

/// A durable subscription as its member sees it.
#[derive(Clone, Debug)]
pub struct DurableSubscription {
    /// Its name.
    pub name: SubscriptionName,
    /// What it streams.
    pub filter: Filter,
    /// The epoch of its place.
    pub epoch: u32,
    /// Everything below was acknowledged.
    pub position: u64,
    /// To go on from there.
    pub cursor: Vec<u8>,
    /// Entries of the log from the position on.
    pub lag_entries: u64,
    /// How long the entry at the position has waited.
    pub lag_time: Duration,
    /// When it was last acknowledged or moved.
    pub updated: Timestamp,
    /// Streams that are open on it.
    pub streams: usize,
}

/// Where a durable subscription is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// The first entry.
    First,
    /// The head.
    Head,
    /// This sequence, itself included.
    Sequence(u64),
    /// The first entry taken in at or after this.
    Since(Timestamp),
}

/// What is asked of the sequencer's thread.
#[derive(Debug)]
pub(super) enum Wish {
    /// Make it, unless it is there with the same filter.
    Create(Kept),
    /// Move it ahead, never back.
    Acknowledge(Place),
    /// Move it.
    Seek(Place),
    /// Forget it.
    Delete,
}

/// A wish, and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) name: SubscriptionName,
    pub(super) wish: Wish,
    pub(super) answer: oneshot::Sender<Decided>,
}

/// Every durable subscription, as it is on the disk.
#[derive(Debug, Default)]
pub(super) struct Registry {
    kept: RwLock<BTreeMap<SubscriptionName, Kept>>,
}

impl Registry {
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt {
            place: "the durable subscriptions".to_owned(),
            what: "one is unreadable",
        };
        let mut kept = BTreeMap::new();
        for (name, bytes) in store.subscriptions()? {
            kept.insert(name, decode(&bytes).ok_or_else(damaged)?);
        }
        Ok(Self { kept: RwLock::new(kept) })
    }

    fn get(&self, name: &SubscriptionName) -> Option<Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn of(&self, member: &MemberId) -> Vec<(SubscriptionName, Kept)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let own = kept.iter().filter(|(name, _kept)| name.member == *member);
        own.map(|(name, kept)| (name.clone(), kept.clone())).collect()
    }

    /// Where each stands.
    pub(super) fn places(&self) -> Vec<(SubscriptionName, u64)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(name, kept)| (name.clone(), kept.place.position)).collect()
    }

    /// Judges wishes one after the other; what they change is written before it is published.
    pub(super) fn judge(&self, requests: Vec<Request>, now: Timestamp) -> Judged {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let mut draft = Draft { kept: &kept, changed: BTreeMap::new() };
        let mut judged = Judged { changes: Vec::new(), answers: Vec::new() };
        for Request { name, wish, answer } in requests {
            let outcome = fulfil(&mut draft, &name, wish, now);
            if matches!(outcome, Ok((_, true))) {
                let bytes = draft.get(&name).as_ref().map(encode);
                judged.changes.push(StateChange { key: StateKey::Subscription(name), bytes });
            }
            judged.answers.push((answer, outcome.map(|(kept, _changed)| kept)));
        }
        judged
    }

    /// Publishes what is on the disk now.
    pub(super) fn publish(&self, changes: &[StateChange]) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for StateChange { key, bytes } in changes {
            let StateKey::Subscription(name) = key else { continue };
            match bytes.as_ref().and_then(|bytes| decode(bytes)) {
                Some(state) => drop(kept.insert(name.clone(), state)),
                None => drop(kept.remove(name)),
            }
        }
    }
}

/// What wishes come to.
pub(super) struct Judged {
    pub(super) changes: Vec<StateChange>,
    answers: Vec<(oneshot::Sender<Decided>, Decided)>,
}

type Decided = Result<Kept, Refusal>;

impl Judged {
    /// Answers everyone, with what was judged, or with why nothing came of it.
    pub(super) fn answer(self, failed: Option<&Refusal>) {
        for (answer, outcome) in self.answers {
            let outcome = failed.map_or(outcome, |refusal| Err(refusal.clone()));
            // A caller that went away asks again.
            let _gone = answer.send(outcome);
        }
    }
}

/// What is kept, with what earlier wishes of the same group changed of it. Of the rest nothing is copied.
struct Draft<'a> {
    kept: &'a BTreeMap<SubscriptionName, Kept>,
    changed: BTreeMap<SubscriptionName, Option<Kept>>,
}

impl Draft<'_> {
    fn get(&self, name: &SubscriptionName) -> Option<Kept> {
        self.changed.get(name).cloned().unwrap_or_else(|| self.kept.get(name).cloned())
    }

    fn count(&self, member: &MemberId) -> usize {
        let is_own = |name: &&SubscriptionName| name.member == *member;
        let kept = self.kept.keys().filter(is_own);
        let untouched = kept.filter(|name| !self.changed.contains_key(name)).count();
        let there = self.changed.iter().filter(|(_name, kept)| kept.is_some());
        untouched + there.map(|(name, _kept)| name).filter(is_own).count()
    }
}

/// The subscription after a wish, and whether anything changed.
fn fulfil(
    all: &mut Draft<'_>,
    name: &SubscriptionName,
    wish: Wish,
    now: Timestamp,
) -> Result<(Kept, bool), Refusal> {
    let current = all.get(name);
    let (kept, changed) = match (wish, current) {
        (Wish::Create(new), Some(current)) if new.filter.digest() == current.filter.digest() => {
            (current, false)
        }
        (Wish::Create(_), Some(_)) => {
            return Err(Refusal::field(
                Reason::FieldInvalid,
                "filter",
                "the subscription is there with another filter; delete it, or choose another name",
            ));
        }
        (Wish::Create(new), None) => {
            let own = all.count(&name.member);
            if own >= limits::SUBSCRIPTIONS_MAX {
                let message = format!("a member has at most {own} durable subscriptions");
                return Err(Refusal::field(Reason::Quota, "name", message));
            }
            (new, true)
        }
        (Wish::Acknowledge(place), Some(current)) => {
            let ahead = (place.epoch, place.position, place.as_of)
                > (current.place.epoch, current.place.position, current.place.as_of);
            let place = if ahead { place } else { current.place };
            (Kept { place, updated: now, ..current }, ahead)
        }
        (Wish::Seek(place), Some(current)) => (Kept { place, updated: now, ..current }, true),
        (Wish::Delete, Some(current)) => {
            all.changed.insert(name.clone(), None);
            return Ok((current, true));
        }
        (Wish::Acknowledge(_) | Wish::Seek(_) | Wish::Delete, None) => return Err(missing()),
    };
    all.changed.insert(name.clone(), Some(kept.clone()));
    Ok((kept, changed))
}

fn missing() -> Refusal {
    Refusal::field(Reason::RecordNotFound, "name", "you have no such subscription")
}

pub(super) fn encode(kept: &Kept) -> Vec<u8> {
    disk::Subscription {
        filter: wire::filter::filter_to_wire(&kept.filter).encode_to_vec(),
        epoch: kept.place.epoch,
        position: kept.place.position,
        access: kept.place.as_of,
        update_time_us: kept.updated.as_micros(),
    }
    .encode_to_vec()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Kept> {
    let disk::Subscription { filter, epoch, position, access, update_time_us } =
        disk::Subscription::decode(bytes).ok()?;
    let filter = pb::Filter::decode(filter.as_slice()).ok()?;
    Some(Kept {
        filter: wire::filter::known(Some(filter)).ok()?,
        place: Place { epoch, position, as_of: access },
        updated: Timestamp::from_micros(update_time_us)?,
    })
}

impl Hub {
    /// Makes a durable subscription; the same one again is answered as it is.
    pub async fn create_subscription(
        &self,
        name: SubscriptionName,
        filter: Filter,
        from: SeekTo,
    ) -> Result<DurableSubscription, ExchangeError> {
        self.reader(&name.member)?;
        self.take_lookups(&name.member, 1)?;
        let place = self.seek_place(&name.member, from).await?;
        let updated = self.clock().now();
        self.wish(name, Wish::Create(Kept { filter, place, updated })).await
    }

    /// A member's durable subscriptions, by name, after one.
    pub async fn subscriptions(
        &self,
        member: &MemberId,
        after: &str,
        maximum: usize,
    ) -> Result<Vec<DurableSubscription>, ExchangeError> {
        self.reader(member)?;
        let own = self.durable.of(member).into_iter().filter(|(name, _kept)| *name.id() > *after);
        let mut shown = Vec::new();
        for (name, kept) in own.take(maximum) {
            shown.push(self.shown(name, kept).await?);
        }
        Ok(shown)
    }

    /// Says that everything below a cursor has taken effect.
    pub async fn acknowledge(
        &self,
        name: SubscriptionName,
        cursor: &[u8],
    ) -> Result<DurableSubscription, ExchangeError> {
        self.reader(&name.member)?;
        let kept = self.durable.get(&name).ok_or_else(missing)?;
        let digest = kept.filter.digest();
        let place = self.tokens.open(Purpose::Cursor, &name.member, &digest, cursor)?;
        demand_epoch(place, self.head().epoch)?;
        self.take_lookups(&name.member, 1)?;
        let acknowledged = self.wish(name, Wish::Acknowledge(place)).await?;
        self.deliveries.note(
            (&acknowledged.name.member, How::Acknowledged),
            (&kept.filter, &digest),
            Passage {
                places: kept.place.position..place.position,
                access: place.as_of,
                before: kept.place.as_of,
            },
            acknowledged.updated,
        );
        Ok(acknowledged)
    }

    /// Moves a durable subscription.
    pub async fn seek(
        &self,
        name: SubscriptionName,
        to: SeekTo,
    ) -> Result<DurableSubscription, ExchangeError> {
        self.reader(&name.member)?;
        self.take_lookups(&name.member, 1)?;
        let place = self.seek_place(&name.member, to).await?;
        self.wish(name, Wish::Seek(place)).await
    }

    /// Forgets a durable subscription.
    pub async fn delete_subscription(&self, name: SubscriptionName) -> Result<(), ExchangeError> {
        self.reader(&name.member)?;
        self.take_lookups(&name.member, 1)?;
        self.wish(name, Wish::Delete).await.map(drop)
    }

    /// What a stream on a durable subscription needs.
    pub(super) fn durable_start(&self, name: &SubscriptionName) -> Result<Kept, Refusal> {
        self.durable.get(name).ok_or_else(missing)
    }

    async fn wish(
        &self,
        name: SubscriptionName,
        wish: Wish,
    ) -> Result<DurableSubscription, ExchangeError> {
        let (answer, decided) = oneshot::channel();
        self.keep(Request { name: name.clone(), wish, answer }).await?;
        let kept = decided.await.map_err(|_ended| outcome_unknown())??;
        self.shown(name, kept).await
    }

    async fn seek_place(&self, member: &MemberId, to: SeekTo) -> Result<Place, ExchangeError> {
        let head = self.head();
        let position = match to {
            SeekTo::First => 0,
            SeekTo::Head => head.size,
            SeekTo::Sequence(sequence) if sequence > head.size => {
                let message = format!("the log ends before sequence {sequence}");
                return Err(Refusal::field(Reason::CursorAhead, "to", message)
                    .with("head", head.size)
                    .into());
            }
            SeekTo::Sequence(sequence) => sequence,
            SeekTo::Since(time) => {
                let first = move |store: &Store, _short: &Halt| {
                    entries::first_since(store, time, head.size)
                };
                self.read(Some(member), first).await?
            }
        };
        let (_reader, as_of) = self.reader_as_of(member)?;
        Ok(Place { epoch: head.epoch, position, as_of })
    }

    async fn shown(
        &self,
        name: SubscriptionName,
        kept: Kept,
    ) -> Result<DurableSubscription, ExchangeError> {
        let head = self.head();
        let Kept { filter, place, updated } = kept;
        let waiting = if place.position < head.size {
            let read =
                move |store: &Store, _short: &Halt| entries::accept_time(store, place.position);
            Some(self.read(Some(&name.member), read).await?)
        } else {
            None
        };
        let now = self.clock().now();
        Ok(DurableSubscription {
            cursor: self.tokens.seal(Purpose::Cursor, &name.member, &filter.digest(), place),
            streams: self.streams_on(&name),
            epoch: place.epoch,
            position: place.position,
            lag_entries: head.size.saturating_sub(place.position),
            lag_time: waiting.map_or(Duration::ZERO, |time| now.saturating_since(time)),
            name,
            filter,
            updated,
        })
    }
}

fn outcome_unknown() -> Refusal {
    let message = "the hub stopped before the outcome was certain; ask again";
    Refusal::new(Reason::OutcomeUnknown, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &str) -> SubscriptionName {
        SubscriptionName::new("acme-video".parse().unwrap(), id).unwrap()
    }

    fn kept(position: u64) -> Kept {
        let place = Place { epoch: 1, position, as_of: 0 };
        Kept { filter: Filter::default(), place, updated: Timestamp::default() }
    }

    fn ask(registry: &Registry, id: &str, wish: Wish) -> Result<u64, Reason> {
        let (answer, mut decided) = oneshot::channel();
        let request = Request { name: name(id), wish, answer };
        let judged = registry.judge(vec![request], Timestamp::default());
        registry.publish(&judged.changes);
        judged.answer(None);
        decided
            .try_recv()
            .unwrap()
            .map(|kept| kept.place.position)
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn an_acknowledgement_never_goes_back_and_a_seek_does() {
        let registry = Registry::default();
        let place = |position| Place { epoch: 1, position, as_of: 0 };
        assert_eq!(ask(&registry, "one", Wish::Acknowledge(place(1))), Err(Reason::RecordNotFound));
        assert_eq!(ask(&registry, "one", Wish::Create(kept(3))), Ok(3));
        assert_eq!(ask(&registry, "one", Wish::Create(kept(9))), Ok(3), "it is there");
        assert_eq!(ask(&registry, "one", Wish::Acknowledge(place(7))), Ok(7));
        assert_eq!(ask(&registry, "one", Wish::Acknowledge(place(5))), Ok(7));
        assert_eq!(ask(&registry, "one", Wish::Seek(place(2))), Ok(2));
        let later_epoch = Place { epoch: 2, position: 1, as_of: 0 };
        assert_eq!(ask(&registry, "one", Wish::Acknowledge(later_epoch)), Ok(1));
        assert_eq!(ask(&registry, "one", Wish::Delete), Ok(1));
        assert_eq!(ask(&registry, "one", Wish::Delete), Err(Reason::RecordNotFound));
    }

    #[test]
    fn wishes_of_one_group_see_one_another_and_nobody_elses_entries_are_written() {
        let registry = Registry::default();
        for number in 0..limits::SUBSCRIPTIONS_MAX {
            ask(&registry, &format!("old-{number}"), Wish::Create(kept(1))).unwrap();
        }
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        for (id, wish) in [
            ("new-1", Wish::Create(kept(0))),
            ("old-7", Wish::Delete),
            ("new-1", Wish::Create(kept(0))),
            ("new-2", Wish::Create(kept(0))),
            ("old-7", Wish::Seek(kept(3).place)),
        ] {
            let (answer, decided) = oneshot::channel();
            requests.push(Request { name: name(id), wish, answer });
            answers.push(decided);
        }
        let judged = registry.judge(requests, Timestamp::default());
        let id = |change: &StateChange| match &change.key {
            StateKey::Subscription(name) => name.id().to_owned(),
            StateKey::Cosignature(_)
            | StateKey::Head(_)
            | StateKey::Report(_)
            | StateKey::Evidence(..) => String::new(),
        };
        let written: Vec<String> = judged.changes.iter().map(id).collect();
        assert_eq!(written, ["old-7", "new-1"]);
        judged.answer(None);
        let outcomes = answers.into_iter().map(|mut decided| {
            decided.try_recv().unwrap().map(drop).map_err(|refusal| refusal.reason)
        });
        let full = Err(Reason::Quota);
        let outcomes: Vec<_> = outcomes.collect();
        assert_eq!(outcomes, [full, Ok(()), Ok(()), full, Err(Reason::RecordNotFound)]);
    }

    #[test]
    fn what_was_not_written_is_not_published() {
        let registry = Registry::default();
        let (answer, mut decided) = oneshot::channel();
        let request = Request { name: name("one"), wish: Wish::Create(kept(3)), answer };
        let judged = registry.judge(vec![request], Timestamp::default());
        judged.answer(Some(&Refusal::new(Reason::StoreFull, "full")));
        assert_eq!(decided.try_recv().unwrap().unwrap_err().reason, Reason::StoreFull);
        assert_eq!(registry.get(&name("one")), None);
    }

    #[test]
    fn another_filter_under_the_same_name_and_too_many_are_refused() {
        let registry = Registry::default();
        ask(&registry, "one", Wish::Create(kept(0))).unwrap();
        let filter = Filter { platforms: vec!["x".to_owned()], ..Filter::default() };
        let other = Kept { filter, ..kept(0) };
        assert_eq!(ask(&registry, "one", Wish::Create(other)), Err(Reason::FieldInvalid));
        for number in 1..limits::SUBSCRIPTIONS_MAX {
            ask(&registry, &format!("more-{number}"), Wish::Create(kept(0))).unwrap();
        }
        assert_eq!(ask(&registry, "too-many", Wish::Create(kept(0))), Err(Reason::Quota));
    }

    #[test]
    fn what_is_kept_survives_its_bytes() {
        let filter = Filter {
            platforms: vec!["x".to_owned()],
            publishers: vec!["bravo".parse().unwrap()],
            ..Filter::default()
        };
        let place = Place { epoch: 2, position: 7, as_of: 5 };
        let kept = Kept { filter, place, updated: Timestamp::from_micros(9).unwrap() };
        assert_eq!(decode(&encode(&kept)), Some(kept));
    }
}
