//! The ledger of what a member may see, and what only the hub knows besides.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::Semaphore;

use crate::exchange::deliveries::Deliveries;
use crate::exchange::deliveries::How;
use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::hub::draining;
use crate::exchange::hub::not_a_member;
use crate::exchange::tail::DurableHead;
use crate::exchange::turns::Halt;
use crate::ledger::Fold;
use crate::ledger::HubClaims;
use crate::ledger::Ledger;
use crate::ledger::LedgerEntry;
use crate::ledger::Window;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::wire;

impl Hub {
    /// Who gave and received what, among what a member may see, as of the head, which takes the place of the window's.
    /// Entries, roster and audiences are of that one moment, so that whoever has the entries computes the same.
    pub async fn ledger(&self, member: &MemberId, window: Window) -> Result<Ledger, ExchangeError> {
        self.reader(member)?;
        let _own = self.ledgers.begin(member)?;
        let DurableHead { size, roster, .. } = self.head();
        let window = window.at_head(size);
        let reader = Reader::of(&roster, member).ok_or_else(|| not_a_member(member))?;
        let since = window.since().unwrap_or_default();
        let first = move |store: &Store, _short: &Halt| entries::first_since(store, since, size);
        let first = self.read(Some(member), first).await?;
        self.take_lookups(member, price(size.saturating_sub(first)))?;
        let _turn = self.ledgers.turn.acquire().await.map_err(|_closed| draining())?;
        let mut counting = Counting { fold: Fold::new(member, window), reader, next: first, size };
        // Others read between two frames.
        while counting.next < size {
            let frame = move |store: &Store, _short: &Halt| counting.frame(store);
            counting = self.read(Some(member), frame).await??;
        }
        let deliveries = self.deliveries.clone();
        let finish = move |store: &Store, _whole: &Halt| {
            let block = RefCell::default();
            let claims = Claims { store, roster: &roster, deliveries: &deliveries, block };
            Ok(counting.fold.finish(&roster, Some(&claims)))
        };
        Ok(self.read(Some(member), finish).await?)
    }
}

/// What it costs to read so many entries: as much as to page through them.
fn price(entries: u64) -> usize {
    let entries = usize::try_from(entries).unwrap_or(usize::MAX);
    entries.div_ceil(limits::PAGE_ENTRIES_MAX).max(1)
}

/// Ledgers that are being computed: one of a member, and one at a time, since each takes memory for every entry.
#[derive(Debug)]
pub(super) struct Ledgers {
    turn: Semaphore,
    members: Mutex<HashSet<MemberId>>,
}

/// The one ledger of a member; it ends with its owner.
struct OwnLedger<'a> {
    ledgers: &'a Ledgers,
    member: MemberId,
}

impl Default for Ledgers {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), members: Mutex::default() }
    }
}

impl Ledgers {
    fn begin(&self, member: &MemberId) -> Result<OwnLedger<'_>, Refusal> {
        let is_first = self.members().insert(member.clone());
        if is_first {
            return Ok(OwnLedger { ledgers: self, member: member.clone() });
        }
        let message = format!("{member} has a ledger under way; a member asks for one at a time");
        let refusal = Refusal::new(Reason::Quota, message).with("limit", "ledgers");
        Err(refusal.retry_after(limits::LEDGER_RETRY_DELAY))
    }

    fn members(&self) -> MutexGuard<'_, HashSet<MemberId>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OwnLedger<'_> {
    fn drop(&mut self) {
        self.ledgers.members().remove(&self.member);
    }
}

/// A ledger while its entries are read.
struct Counting {
    fold: Fold,
    reader: Reader,
    next: u64,
    size: u64,
}

impl Counting {
    /// Takes in the entries of one frame.
    fn frame(mut self, store: &Store) -> Result<Result<Self, Refusal>, StoreError> {
        let blocks = store.blocks_from(self.next, limits::FRAME_BYTES_TARGET)?;
        let (reader, next) = (&self.reader, self.next);
        let entries = blocks.iter().flat_map(|block| {
            block.entries_from(next).map(move |(sequence, stored)| (block, sequence, stored))
        });
        let visible = entries.filter(|(_, _, stored)| may_see(reader, &stored.facts.scope));
        for (block, sequence, stored) in visible {
            if let Err(refusal) = take(&mut self.fold, block, sequence, stored)? {
                return Ok(Err(refusal));
            }
        }
        self.next = blocks.last().map_or(self.size, LogBlock::end);
        Ok(Ok(self))
    }
}

fn take(
    fold: &mut Fold,
    block: &LogBlock,
    sequence: u64,
    stored: &StoredEntry,
) -> Result<Result<(), Refusal>, StoreError> {
    let kind = stored.facts.scope.body_kind;
    if !kind.is_chosen() && !kind.is_recall() {
        return Ok(Ok(()));
    }
    let entry = entries::decode(block, stored)?;
    let damaged = |_refusal| StoreError::Corrupt {
        place: format!("sequence {sequence}"),
        what: "its time is unreadable",
    };
    let time = entry.accept_time.unwrap_or_default();
    let accept_time = wire::time::timestamp(&time, "accept_time").map_err(damaged)?;
    let wanted = entry.erased.is_none() && Fold::reads_body(kind);
    let envelope = entry.envelope.filter(|_there| wanted);
    let body = envelope.and_then(|envelope| wire::body::body(&envelope.body).ok());
    Ok(fold.take(&LedgerEntry {
        sequence,
        accept_time,
        publisher: &stored.facts.scope.publisher,
        record: stored.facts.record,
        revision: stored.facts.revision,
        body_kind: kind,
        reach: &stored.facts.scope.reach,
        body: body.as_ref(),
    }))
}

/// What the hub alone knows.
struct Claims<'a> {
    store: &'a Store,
    roster: &'a Roster,
    deliveries: &'a Deliveries,
    /// The block that was read last: questions come in the order of the log.
    block: RefCell<Option<LogBlock>>,
}

impl Claims<'_> {
    fn when(&self, member: &MemberId, how: How, sequence: u64) -> Option<Timestamp> {
        let mut block = self.block.borrow_mut();
        if block.as_ref().is_none_or(|block| block.at(sequence).is_none()) {
            *block = self.store.block_at(sequence).ok().flatten();
        }
        let facts = &block.as_ref()?.at(sequence)?.facts;
        self.deliveries.when((member, how), (sequence, facts), self.roster)
    }
}

impl HubClaims for Claims<'_> {
    fn delivered(&self, member: &MemberId, sequence: u64) -> Option<Timestamp> {
        self.when(member, How::Sent, sequence)
    }

    fn acknowledged(&self, member: &MemberId, sequence: u64) -> Option<Timestamp> {
        self.when(member, How::Acknowledged, sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_one_ledger_at_a_time_and_takes_it_from_nobody() {
        let (ledgers, greedy) = (Ledgers::default(), "greedy".parse().unwrap());
        let own = ledgers.begin(&greedy).unwrap();
        let refusal = ledgers.begin(&greedy).err().unwrap();
        assert_eq!(refusal.reason, Reason::Quota);
        assert!(refusal.retry_after.is_some_and(|delay| !delay.is_zero()));
        assert!(ledgers.begin(&"modest".parse().unwrap()).is_ok());
        drop(own);
        assert!(ledgers.begin(&greedy).is_ok(), "when the first is done");
    }

    #[test]
    fn a_ledger_costs_as_much_as_the_pages_of_its_entries() {
        assert_eq!([0, 1, 1000, 1001, 1_000_000].map(price), [1, 1, 1, 2, 1000]);
    }
}
