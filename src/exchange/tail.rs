//! The tail: the newest blocks in memory, and the word that the head has moved.
//!
//! The word is a hint, never the data: a subscriber that hears it reads from its own position, out of the ring if
//! that reaches back far enough, else from the disk, and cannot tell the difference.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::exchange::sync::AtomicU64;
use crate::exchange::sync::Mutex;
use crate::exchange::sync::RwLock;
use crate::exchange::sync::watch;
use crate::model::limits::TAIL_BYTES_MAX;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::store::LogBlock;
use crate::transparency::Checkpoint;

/// What readers know of the head: durable and checkpointed.
#[derive(Clone, Debug)]
pub struct DurableHead {
    /// The number of entries.
    pub size: u64,
    /// Bytes of all entries, as they were when they were taken in.
    pub bytes: u64,
    /// The epoch.
    pub epoch: u32,
    /// The accept time of the last entry.
    pub accept_time: Timestamp,
    /// What the checkpoint signs.
    pub summary: Checkpoint,
    /// The signed checkpoint of this size.
    pub checkpoint: Arc<str>,
    /// Who takes part as of this size: no change behind it is in there, and none below it is missing.
    pub roster: Arc<Roster>,
}

/// The ring and the head, as readers have them.
#[derive(Debug)]
pub(super) struct Tail {
    ring: RwLock<Ring>,
    erasures: AtomicU64,
    head: watch::Sender<DurableHead>,
    /// When a head was last read to be signed.
    head_read: Mutex<Timestamp>,
}

/// The same for the one that writes: a tail has one of these, which cannot be copied, so there are never two writers.
#[derive(Debug)]
pub(super) struct TailWriter {
    tail: Arc<Tail>,
}

/// When a reader began to read beside the ring: what it found holds until a body is erased.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadSince {
    erasures: u64,
}

#[derive(Debug, Default)]
struct Ring {
    blocks: VecDeque<Arc<LogBlock>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, blocks: Vec<LogBlock>) {
        for block in blocks {
            self.bytes = self.bytes.saturating_add(block.bytes.len());
            self.blocks.push_back(Arc::new(block));
        }
        self.shrink();
    }

    /// Puts blocks that lost bodies in the place of what they were.
    fn replace(&mut self, rewritten: Vec<LogBlock>) {
        for block in rewritten {
            let at = self.blocks.partition_point(|own| own.first < block.first);
            let Some(own) = self.blocks.get_mut(at).filter(|own| own.first == block.first) else {
                continue;
            };
            self.bytes = self.bytes.saturating_sub(own.bytes.len()) + block.bytes.len();
            *own = Arc::new(block);
        }
    }

    fn shrink(&mut self) {
        while self.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes.len());
        }
    }
}

impl TailWriter {
    /// Takes in the blocks of a group that is durable, then tells everyone.
    pub(super) fn advance(&mut self, blocks: Vec<LogBlock>, head: DurableHead) {
        self.tail.ring.write().unwrap_or_else(PoisonError::into_inner).push(blocks);
        // After the ring, and after the sync: a subscriber must never hear of a sequence that a crash could
        // take back.
        self.tail.head.send_replace(head);
    }

    /// Puts blocks that lost bodies, and are on the disk without them, in the place of what they were; whatever was read
    /// before that is read again.
    pub(super) fn replace(&mut self, rewritten: Vec<LogBlock>) {
        if rewritten.is_empty() {
            return;
        }
        self.tail.ring.write().unwrap_or_else(PoisonError::into_inner).replace(rewritten);
        // After the disk: who began to read it earlier and asks later is told.
        self.tail.erasures.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tail {
    /// A tail that begins with an empty ring, and its writer.
    pub(super) fn new(head: DurableHead) -> (Arc<Self>, TailWriter) {
        let tail = Arc::new(Self {
            ring: RwLock::default(),
            erasures: AtomicU64::new(0),
            head: watch::Sender::new(head),
            head_read: Mutex::default(),
        });
        (Arc::clone(&tail), TailWriter { tail })
    }

    /// To be asked before the disk is read for later.
    pub(super) fn begin_reading(&self) -> ReadSince {
        ReadSince { erasures: self.erasures.load(Ordering::SeqCst) }
    }

    /// Whether what was read is what would be read now. To be asked when it is at hand: an answer from before says nothing.
    pub(super) fn still_holds(&self, since: ReadSince) -> bool {
        self.erasures.load(Ordering::SeqCst) == since.erasures
    }

    /// The head, and when that was read. Of two that were read, the later is never of a smaller log, whatever the clock
    /// does: marks that say otherwise prove that the log was put back.
    pub(super) fn read_head(
        &self,
        head: &mut watch::Receiver<DurableHead>,
        now: impl FnOnce() -> Timestamp,
    ) -> (DurableHead, Timestamp) {
        let mut last = self.head_read.lock().unwrap_or_else(PoisonError::into_inner);
        let head = head.borrow_and_update().clone();
        *last = now().max(*last);
        (head, *last)
    }

    /// The blocks from the one that holds a sequence, up to about so many bytes; `None` if the ring does not reach
    /// back that far.
    pub(super) fn blocks_from(
        &self,
        sequence: u64,
        bytes_max: usize,
    ) -> Option<Vec<Arc<LogBlock>>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        if ring.blocks.front()?.first > sequence {
            return None;
        }
        let start = ring.blocks.partition_point(|block| block.end() <= sequence);
        let mut bytes: usize = 0;
        let mut found = Vec::new();
        for block in ring.blocks.range(start..) {
            if bytes >= bytes_max {
                break;
            }
            bytes = bytes.saturating_add(block.bytes.len());
            found.push(Arc::clone(block));
        }
        Some(found)
    }

    /// Whether a sequence is in memory, or will be.
    pub(super) fn reaches(&self, sequence: u64) -> bool {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.blocks.front().is_some_and(|block| block.first <= sequence)
    }

    pub(super) fn head(&self) -> DurableHead {
        self.head.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<DurableHead> {
        self.head.subscribe()
    }
}
