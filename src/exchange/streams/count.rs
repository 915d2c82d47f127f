//! The counts, and the right to be counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::PoisonError;

use crate::exchange::sync::Mutex;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carries {
    /// Records that members publish, to the hub or from it.
    Records,
    /// Who takes part, and nothing else.
    Roster,
}

/// The count.
#[derive(Clone, Debug, Default)]
pub(in crate::exchange) struct Streams {
    open: Arc<Mutex<HashMap<(MemberId, Carries), usize>>>,
    durable: Arc<Mutex<HashMap<SubscriptionName, usize>>>,
}

/// The right to one open stream; it ends with its owner.
#[derive(Debug)]
pub struct StreamSlot {
    streams: Streams,
    counted: (MemberId, Carries),
    subscription: Option<SubscriptionName>,
}

impl Streams {
    /// A further stream of a member, if it has not as many as it may; the quota is of those that carry records.
    pub(in crate::exchange) fn open(
        &self,
        member: &MemberId,
        carries: Carries,
        quota: usize,
    ) -> Result<StreamSlot, Refusal> {
        let counted = (member.clone(), carries);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&counted).copied().unwrap_or_default();
        let maximum = match carries {
            Carries::Records => quota.min(limits::STREAMS_PER_MEMBER_MAX),
            Carries::Roster => limits::STREAMS_PER_MEMBER_MAX,
        };
        if count >= maximum {
            let message =
                format!("{member} has {count} streams open, as many as a member may have");
            return Err(Refusal::new(Reason::TooManyStreams, message).with("streams_max", maximum));
        }
        open.insert(counted.clone(), count.saturating_add(1));
        Ok(StreamSlot { streams: self.clone(), counted, subscription: None })
    }

    /// How many streams are open on a durable subscription.
    pub(in crate::exchange) fn count_on(&self, name: &SubscriptionName) -> usize {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.get(name).copied().unwrap_or_default()
    }

    /// How many members and subscriptions are known.
    #[cfg(test)]
    pub(in crate::exchange) fn known(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        open.len() + durable.len()
    }

    /// How many streams a member has open that carry this.
    pub(in crate::exchange) fn count(&self, member: &MemberId, carries: Carries) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&(member.clone(), carries)).copied().unwrap_or_default()
    }
}

impl StreamSlot {
    /// Counts the stream as one on a durable subscription.
    pub(in crate::exchange) fn on(mut self, subscription: SubscriptionName) -> Self {
        let mut durable = self.streams.durable.lock().unwrap_or_else(PoisonError::into_inner);
        *durable.entry(subscription.clone()).or_default() += 1;
        drop(durable);
        self.subscription = Some(subscription);
        self
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        release(&self.streams.open, self.counted.clone());
        if let Some(subscription) = self.subscription.take() {
            release(&self.streams.durable, subscription);
        }
    }
}

/// Counts one fewer; what has none is forgotten.
fn release<K: Eq + std::hash::Hash>(counts: &Mutex<HashMap<K, usize>>, key: K) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Entry::Occupied(mut count) = counts.entry(key) {
        match count.get().saturating_sub(1) {
            0 => drop(count.remove()),
            left => *count.get_mut() = left,
        }
    }
}
