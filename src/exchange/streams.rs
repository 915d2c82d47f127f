//! How many streams each member has open: one member's streams must not take the room of the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;

/// The count.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<MemberId, usize>>>,
}

/// The right to one open stream; it ends with its owner.
#[derive(Debug)]
pub struct StreamSlot {
    streams: Streams,
    member: MemberId,
}

impl Streams {
    /// A further stream of a member, if it has not too many.
    pub(super) fn open(&self, member: &MemberId) -> Result<StreamSlot, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(member).copied().unwrap_or_default();
        if count >= limits::STREAMS_PER_MEMBER_MAX {
            let message =
                format!("{member} has {count} streams open, as many as a member may have");
            return Err(Refusal::new(Reason::TooManyStreams, message)
                .with("streams_max", limits::STREAMS_PER_MEMBER_MAX));
        }
        open.insert(member.clone(), count.saturating_add(1));
        Ok(StreamSlot { streams: self.clone(), member: member.clone() })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(self.member.clone()) {
            match count.get().saturating_sub(1) {
                0 => drop(count.remove()),
                left => *count.get_mut() = left,
            }
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
            .map(|_index| streams.open(&greedy).unwrap())
            .collect();
        assert_eq!(streams.open(&greedy).unwrap_err().reason, Reason::TooManyStreams);
        assert!(streams.open(&"modest".parse().unwrap()).is_ok());
        slots.pop();
        assert!(streams.open(&greedy).is_ok());
        drop(slots);
        assert!(streams.open.lock().unwrap().is_empty(), "a closed stream is not counted on");
    }
}
