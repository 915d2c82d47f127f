//! Room for batches that came on streams and have no answer yet: so many bytes for each member, whatever the number of its
//! streams. A batch that finds none waits, and what is behind it waits in the client's window.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::model::limits::STREAM_BYTES_PER_MEMBER_MAX;
use crate::model::names::MemberId;

/// What one place stands for.
const PLACE_BYTES: usize = 1024;

/// The rooms of members that have streams open.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<HashMap<MemberId, Weak<Semaphore>>>);

impl Batches {
    /// The room of a member, for as long as somebody holds it.
    pub(super) fn of(&self, member: &MemberId) -> Arc<Semaphore> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(member).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_member, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(STREAM_BYTES_PER_MEMBER_MAX / PLACE_BYTES));
        rooms.insert(member.clone(), Arc::downgrade(&room));
        room
    }
}

/// Waits for room for so many bytes.
pub(super) async fn hold(
    room: Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, Status> {
    let places = bytes.div_ceil(PLACE_BYTES).min(STREAM_BYTES_PER_MEMBER_MAX / PLACE_BYTES);
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    let held = room.acquire_many_owned(places).await;
    held.map_err(|_never_closed| Status::unavailable("the hub stops"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_member_has_one_room_and_what_is_given_back_is_room_again() {
        let (batches, acme) = (Batches::default(), "acme-video".parse().unwrap());
        let room = batches.of(&acme);
        let held = hold(batches.of(&acme), STREAM_BYTES_PER_MEMBER_MAX).now_or_never().unwrap();
        assert!(hold(Arc::clone(&room), 1).now_or_never().is_none(), "it waits");
        assert!(hold(batches.of(&"birch-social".parse().unwrap()), 1).now_or_never().is_some());
        drop(held);
        assert!(hold(room, usize::MAX).now_or_never().is_some());
        assert_eq!(
            batches.of(&acme).available_permits(),
            STREAM_BYTES_PER_MEMBER_MAX / PLACE_BYTES
        );
    }
}
