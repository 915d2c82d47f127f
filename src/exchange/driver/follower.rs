//! A reader of the log, which holds what it was sent against the model.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message as _;

use crate::exchange::Event;
use crate::exchange::ExchangeError;
use crate::exchange::Hub;
use crate::exchange::Mark;
use crate::exchange::Start;
use crate::exchange::Subscription;
use crate::exchange::SubscriptionOptions;
use crate::exchange::driver::model::Model;
use crate::model::filter::Filter;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::wire::pb;

type Turning = Pin<Box<dyn Future<Output = (Subscription, Result<Event, ExchangeError>)>>>;

/// What was sent up to a mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    pub(super) cursor: Vec<u8>,
    pub(super) position: u64,
    start: u64,
    got: BTreeSet<u64>,
}

/// One reader, with a stream or without.
pub(super) struct Follower {
    pub(super) member: MemberId,
    pub(super) durable: Option<SubscriptionName>,
    /// Where it goes on: the last mark, or for a durable one the last that was acknowledged.
    pub(super) left: Option<Left>,
    pub(super) acknowledged: Option<Left>,
    pub(super) received: usize,
    turning: Option<Turning>,
    start: u64,
    next: u64,
    got: BTreeSet<u64>,
}

fn turning(mut subscription: Subscription) -> Turning {
    Box::pin(async move {
        let event = subscription.next().await;
        (subscription, event)
    })
}

impl Follower {
    pub(super) fn new(member: MemberId, durable: Option<SubscriptionName>) -> Self {
        Self {
            member,
            durable,
            left: None,
            acknowledged: None,
            received: 0,
            turning: None,
            start: 0,
            next: 0,
            got: BTreeSet::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.turning.is_some()
    }

    pub(super) fn close(&mut self) {
        self.turning = None;
    }

    /// Goes on from where it left off; from a place of its choice if it has none.
    pub(super) fn open(&mut self, hub: &Arc<Hub>, model: &Model, from: u64) {
        let left = if self.durable.is_some() { &self.acknowledged } else { &self.left };
        let left = left.clone().unwrap_or(Left { position: from, start: from, ..Left::default() });
        let start = match &self.durable {
            Some(name) if self.acknowledged.is_some() => Start::Durable(name.clone()),
            _ if left.cursor.is_empty() => Start::Sequence(from),
            _ => Start::Cursor(left.cursor.clone()),
        };
        self.begin(hub, model, start, left);
    }

    fn begin(&mut self, hub: &Arc<Hub>, model: &Model, start: Start, left: Left) {
        let options = SubscriptionOptions {
            start,
            filter: Filter::default(),
            decoded: false,
            until_head: false,
            known_size: 0,
            epoch: 1,
        };
        match hub.subscribe(&self.member, options) {
            Ok(subscription) => {
                Left { start: self.start, position: self.next, got: self.got, .. } = left;
                self.turning = Some(turning(subscription));
            }
            Err(refusal) if refusal.reason == Reason::MemberSuspended => {
                assert!(model.is_suspended(self.member.as_str()), "it is in good standing");
            }
            Err(refusal) if refusal.reason == Reason::CursorCompacted => {
                let floor = hub.floor.load(Ordering::SeqCst);
                assert!(left.position < floor, "nothing of it was let go");
                (self.left, self.acknowledged) = (None, None);
                let left = Left { position: floor, start: floor, ..Left::default() };
                self.begin(hub, model, Start::Sequence(floor), left);
            }
            Err(refusal) => panic!("{refusal}"),
        }
    }

    /// Takes up to so many events, or until there is nothing to send. Time stands still while anything is under way, so
    /// that it only runs out when nothing is.
    pub(super) async fn turn(&mut self, model: &Model, events: u64) {
        for _event in 0..events {
            let Some(running) = &mut self.turning else { return };
            let event = tokio::time::timeout(Duration::from_millis(1), running).await;
            let Ok((subscription, event)) = event else { return };
            match event {
                Ok(event) => {
                    self.take(event, model);
                    self.turning = Some(turning(subscription));
                }
                Err(ExchangeError::Refused(refusal)) => {
                    assert_eq!(refusal.reason, Reason::MemberSuspended, "{refusal}");
                    assert!(model.is_suspended(self.member.as_str()), "it is in good standing");
                    self.turning = None;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn take(&mut self, event: Event, model: &Model) {
        match event {
            Event::Entries { framed, left_filter, mark, backfill, hidden: _ } => {
                assert!(left_filter.is_empty(), "there is no filter");
                self.take_entries(&framed.concat(), backfill, model);
                if let Some(mark) = mark {
                    self.take_mark(mark, model);
                }
            }
            Event::Mark(mark) => self.take_mark(mark, model),
            Event::AccessChanged { gained, lost, .. } => {
                let is_in = |audience: &crate::model::names::Audience| {
                    model.is_in(audience.as_str(), self.member.as_str())
                };
                assert!(gained.iter().all(is_in) && !lost.iter().any(is_in), "not so");
            }
        }
    }

    fn take_entries(&mut self, framed: &[u8], backfill: bool, model: &Model) {
        let mut last = None;
        for entry in pb::SubscribeResponse::decode(framed).unwrap().entries {
            let sequence = entry.sequence;
            assert!(last.is_none_or(|last| last < sequence), "sequences rise");
            last = Some(sequence);
            let member = self.member.as_str();
            assert!(sequence < model.size(), "it is not in the log");
            assert!(model.may_see(member, sequence), "{member} may not see {sequence}");
            assert!(backfill || sequence >= self.next, "{sequence} was sent before");
            let (logged, envelope) = (model.at(sequence), entry.envelope.unwrap());
            assert_eq!(envelope.payload, logged.payload, "other bytes");
            assert_eq!(entry.erased.is_some(), logged.erased, "an erasure of {sequence}");
            let body = if logged.erased { &[] } else { logged.body.as_ref() };
            assert_eq!(envelope.body, body, "another body");
            self.got.insert(sequence);
            self.received += 1;
            if !backfill {
                self.next = sequence + 1;
            }
        }
    }

    fn take_mark(&mut self, mark: Mark, model: &Model) {
        assert!(self.next <= mark.position && mark.position <= model.size(), "a mark out of place");
        assert!(mark.head.size <= model.size(), "a head that is not durable");
        let due = (self.start..mark.position).filter(|at| model.may_see(self.member.as_str(), *at));
        let missing: Vec<u64> = due.filter(|sequence| !self.got.contains(sequence)).collect();
        assert!(missing.is_empty(), "{} missed {missing:?} below {}", self.member, mark.position);
        self.next = mark.position;
        self.left = Some(Left {
            cursor: mark.cursor,
            position: mark.position,
            start: self.start,
            got: self.got.clone(),
        });
    }

    /// Demands that it was sent everything that there is for it.
    pub(super) fn demand_all(&self, model: &Model) {
        if model.is_suspended(self.member.as_str()) {
            return;
        }
        let left = self.left.as_ref().expect("a mark");
        assert_eq!(left.position, model.size(), "{} is not at the head", self.member);
    }
}
