//! How many streams each member has open: one member's streams must not take the room of the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;

/// The count.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<MemberId, usize>>>,
    durable: Arc<Mutex<HashMap<SubscriptionName, usize>>>,
}

/// The right to one open stream; it ends with its owner.
#[derive(Debug)]
pub struct StreamSlot {
    streams: Streams,
    member: MemberId,
    subscription: Option<SubscriptionName>,
}

impl Streams {
    /// A further stream of a member, if it has not as many as it may.
    pub(super) fn open(&self, member: &MemberId, maximum: usize) -> Result<StreamSlot, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(member).copied().unwrap_or_default();
        let maximum = maximum.min(limits::STREAMS_PER_MEMBER_MAX);
        if count >= maximum {
            let message =
                format!("{member} has {count} streams open, as many as a member may have");
            return Err(Refusal::new(Reason::TooManyStreams, message).with("streams_max", maximum));
        }
        open.insert(member.clone(), count.saturating_add(1));
        Ok(StreamSlot { streams: self.clone(), member: member.clone(), subscription: None })
    }

    /// How many streams are open on a durable subscription.
    pub(super) fn count_on(&self, name: &SubscriptionName) -> usize {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.get(name).copied().unwrap_or_default()
    }

    /// How many streams a member has open.
    pub(super) fn count(&self, member: &MemberId) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(member).copied().unwrap_or_default()
    }
}

impl StreamSlot {
    /// Counts the stream as one on a durable subscription.
    pub(super) fn on(mut self, subscription: SubscriptionName) -> Self {
        let mut durable = self.streams.durable.lock().unwrap_or_else(PoisonError::into_inner);
        *durable.entry(subscription.clone()).or_default() += 1;
        drop(durable);
        self.subscription = Some(subscription);
        self
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        release(&self.streams.open, self.member.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_so_many_streams_and_no_more_and_takes_none_from_others() {
        let streams = Streams::default();
        let greedy = "greedy".parse().unwrap();
        let mut slots: Vec<StreamSlot> = (0..limits::STREAMS_PER_MEMBER_MAX)
            .map(|_index| streams.open(&greedy, usize::MAX).unwrap())
            .collect();
        assert_eq!(streams.open(&greedy, usize::MAX).unwrap_err().reason, Reason::TooManyStreams);
        let modest = "modest".parse().unwrap();
        let one = streams.open(&modest, 1).unwrap();
        assert_eq!(streams.open(&modest, 1).unwrap_err().reason, Reason::TooManyStreams, "quota");
        slots.pop();
        assert!(streams.open(&greedy, usize::MAX).is_ok());
        drop((slots, one));
        assert!(streams.open.lock().unwrap().is_empty(), "a closed stream is not counted on");
    }
}
