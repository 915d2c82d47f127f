//! The ledger of what a member may see, and what only the hub knows besides.

use std::cell::RefCell;

use crate::exchange::deliveries::Deliveries;
use crate::exchange::deliveries::How;
use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::hub::not_a_member;
use crate::exchange::tail::DurableHead;
use crate::ledger::Fold;
use crate::ledger::HubClaims;
use crate::ledger::Ledger;
use crate::ledger::LedgerEntry;
use crate::ledger::Window;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
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
        self.take_lookups(member, 1)?;
        let DurableHead { size, roster, .. } = self.head();
        let window = window.at_head(size);
        let reader = Reader::of(&roster, member).ok_or_else(|| not_a_member(member))?;
        let deliveries = self.deliveries.clone();
        let counted = move |store: &Store| count(store, &reader, &roster, &deliveries, window);
        Ok(self.read(counted).await??)
    }
}

fn count(
    store: &Store,
    reader: &Reader,
    roster: &Roster,
    deliveries: &Deliveries,
    window: Window,
) -> Result<Result<Ledger, Refusal>, StoreError> {
    let since = window.since().unwrap_or_default();
    let mut next = entries::first_since(store, since, window.head())?;
    let mut fold = Fold::new(&reader.member, window);
    while next < window.head() {
        let blocks = store.blocks_from(next, limits::FRAME_BYTES_TARGET)?;
        let Some(end) = blocks.last().map(LogBlock::end) else { break };
        let entries = blocks.iter().flat_map(|block| {
            block.entries_from(next).map(move |(sequence, stored)| (block, sequence, stored))
        });
        let visible = entries.filter(|(_, _, stored)| may_see(reader, &stored.facts.scope));
        for (block, sequence, stored) in visible {
            if let Err(refusal) = take(&mut fold, block, sequence, stored)? {
                return Ok(Err(refusal));
            }
        }
        next = end;
    }
    let claims = Claims { store, roster, deliveries, block: RefCell::default() };
    Ok(Ok(fold.finish(roster, Some(&claims))))
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
