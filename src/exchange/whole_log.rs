//! The whole log, checked from the disk: places without holes, times that never run backwards, every signature by a
//! key that was valid there, facts and index as the entries say, and the root that the checkpoint signs.

use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::entries;
use crate::exchange::prepare::KeyRing;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::Sequence;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::signing;
use crate::signing::Claim;
use crate::signing::VerifyingKey;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::transparency::Edge;
use crate::transparency::Frontier;
use crate::transparency::LogKey;
use crate::transparency::TileId;
use crate::transparency::roster_digest;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::envelope::Record;

/// Bytes of blocks that are checked at a time.
const STEP_BYTES: usize = 4 * 1024 * 1024;

/// What was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReport {
    /// The exchange.
    pub exchange: ExchangeName,
    /// The number of entries.
    pub entries: u64,
    /// The root of the Merkle tree over them.
    pub root: Digest,
}

/// Why the log does not hold.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// An entry is not what it should be.
    #[error("the entry at sequence {sequence} does not hold: {what}")]
    Entry {
        /// Its place.
        sequence: u64,
        /// What is wrong.
        what: String,
    },
    /// The head does not fit the entries.
    #[error("the head does not fit the entries: {0}")]
    Head(&'static str),
    /// A stored node is not that of the entries.
    #[error("tile {} of level {} of the tree is not that of the entries: run watchfired rebuild", .0.index, .0.level)]
    Tree(TileId),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks everything; `progress` hears how many entries were checked.
pub fn verify_log(store: &Store, mut progress: impl FnMut(u64)) -> Result<LogReport, LogFault> {
    let head = store.head()?;
    let mut walk = Walk::default();
    while walk.frontier.size() < head.frontier.size() {
        let before = walk.frontier.size();
        for block in store.blocks_from(before, STEP_BYTES)? {
            walk.take_block(store, &block)?;
        }
        walk.check_signatures()?;
        if walk.frontier.size() == before {
            return Err(fault(before, "it is missing"));
        }
        progress(walk.frontier.size());
    }
    if walk.frontier != head.frontier {
        return Err(LogFault::Head("the tree is another"));
    }
    if walk.roster_digest != head.roster {
        return Err(LogFault::Head("its digest of the roster is another"));
    }
    if walk.accept_time != head.accept_time {
        return Err(LogFault::Head("its time is another"));
    }
    let (exchange, log_key) = walk.founding.ok_or(LogFault::Head("there is no founding record"))?;
    let checkpoint = log_key
        .open(&head.checkpoint)
        .map_err(|_invalid| LogFault::Head("its checkpoint is not signed"))?;
    if checkpoint != head.summary() {
        return Err(LogFault::Head("its checkpoint is of another tree"));
    }
    Ok(LogReport { exchange, entries: checkpoint.size, root: checkpoint.root })
}

/// What the entries so far add up to.
#[derive(Default)]
struct Walk {
    frontier: Frontier,
    roster_digest: Digest,
    edge: Edge,
    accept_time: Timestamp,
    roster: Roster,
    founding: Option<(ExchangeName, LogKey)>,
    keys: KeyRing,
    unchecked: Vec<Unchecked>,
}

/// A signature that waits for its batch.
struct Unchecked {
    sequence: u64,
    payload_type: String,
    payload: Bytes,
    signature: Bytes,
    key: Arc<VerifyingKey>,
}

impl Walk {
    fn take_block(&mut self, store: &Store, block: &LogBlock) -> Result<(), LogFault> {
        if block.first != self.frontier.size() {
            return Err(fault(self.frontier.size(), "it is missing"));
        }
        for (sequence, stored) in block.entries_from(0) {
            self.take(store, block, sequence, stored)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        store: &Store,
        block: &LogBlock,
        sequence: u64,
        stored: &StoredEntry,
    ) -> Result<(), LogFault> {
        let entry = entries::decode(block, stored)?;
        if entry.sequence != sequence {
            return Err(fault(sequence, "it names another place"));
        }
        let time = wire::time::timestamp(&entry.accept_time.unwrap_or_default(), "accept_time")
            .map_err(|refusal| fault(sequence, &refusal.to_string()))?;
        if time < self.accept_time {
            return Err(fault(sequence, "its time runs backwards"));
        }
        self.accept_time = time;
        let erased_by = entry.erased.map(|erased| erased.cause_sequence);
        let record = wire::envelope::of_entry(entry)
            .map_err(|refusal| fault(sequence, &refusal.to_string()))?;
        if let Some(cause) = erased_by {
            demand_cause(store, cause, sequence)?;
        }
        self.found(&record);
        self.fold(&record, sequence)?;
        self.note_signature(&record, sequence)?;
        check_derived(store, &record, stored, sequence)?;
        let leaf_hash = entries::leaf(&record, Sequence(sequence), time).hash();
        self.frontier.push(leaf_hash);
        if record.header.body_kind.is_roster() {
            self.roster_digest = roster_digest(&self.roster_digest, &leaf_hash);
        }
        self.note_node(store, leaf_hash)
    }

    /// Demands that every tile of the tree which an entry makes whole is stored as the entries have it.
    fn note_node(&mut self, store: &Store, leaf_hash: Digest) -> Result<(), LogFault> {
        let mut whole = Vec::new();
        self.edge.push(leaf_hash, |id, tile| whole.push((id, tile.clone())));
        for (id, tile) in whole {
            if store.tile(id)?.as_ref() != Some(&tile) {
                return Err(LogFault::Tree(id));
            }
        }
        Ok(())
    }

    fn found(&mut self, record: &Record) {
        if let Content::Genesis(genesis) = &record.content
            && self.founding.is_none()
        {
            let exchange = record.header.exchange.clone();
            let key = VerifyingKey::from_spki(&genesis.log_key).ok();
            let key = key.and_then(|key| LogKey::new(&exchange, key));
            self.founding = key.map(|key| (exchange, key));
        }
    }

    fn fold(&mut self, record: &Record, sequence: u64) -> Result<(), LogFault> {
        let Some((exchange, _key)) = &self.founding else {
            return Err(fault(sequence, "there is no founding record before it"));
        };
        if record.header.exchange != *exchange {
            return Err(fault(sequence, "it was signed for another exchange"));
        }
        let changed = wire::roster::apply(&self.roster, exchange, record, Sequence(sequence))
            .map_err(|refusal| fault(sequence, &refusal.to_string()))?;
        if let Some(changed) = changed {
            self.roster = changed;
        }
        Ok(())
    }

    /// Demands that the key was its publisher's at this place, and keeps the signature for its batch.
    fn note_signature(&mut self, record: &Record, sequence: u64) -> Result<(), LogFault> {
        let log_key = self.founding.as_ref().map(|(_exchange, key)| key.verifying());
        let own = log_key.filter(|_key| record.header.body_kind.is_hub());
        let key = match own {
            Some(key) if key.id() == record.key_id => Some(Arc::new(key.clone())),
            Some(_) => None,
            None => self.members_key(record, sequence),
        };
        let key = key.ok_or_else(|| fault(sequence, "its key was not its publisher's there"))?;
        let signature = record.envelope.signatures.first();
        let signature = signature.map(|first| first.sig.clone()).unwrap_or_default();
        let (payload_type, payload) =
            (record.envelope.payload_type.clone(), record.envelope.payload.clone());
        self.unchecked.push(Unchecked { sequence, payload_type, payload, signature, key });
        Ok(())
    }

    /// The publisher's key, if it was that at this place.
    fn members_key(&self, record: &Record, sequence: u64) -> Option<Arc<VerifyingKey>> {
        self.roster
            .key(&record.key_id)
            .filter(|key| key.member == record.header.name.member)
            .filter(|key| key.is_valid_at(Sequence(sequence)))
            .and_then(|key| self.keys.key(&self.roster, &key.id))
    }

    fn check_signatures(&mut self) -> Result<(), LogFault> {
        for batch in self.unchecked.chunks(limits::BATCH_RECORDS_MAX) {
            let claims = batch.iter().map(|unchecked| Claim {
                payload_type: &unchecked.payload_type,
                payload: &unchecked.payload,
                signature: &unchecked.signature,
                key: &unchecked.key,
                value: (),
            });
            let verdicts = signing::verify_all(claims.collect());
            if let Some((guilty, Err(error))) =
                batch.iter().zip(verdicts).find(|(_unchecked, verdict)| verdict.is_err())
            {
                return Err(fault(guilty.sequence, &error.to_string()));
            }
        }
        self.unchecked.clear();
        Ok(())
    }
}

/// A body is gone only by a notice of the hub behind it, which names its place.
fn demand_cause(store: &Store, cause: u64, sequence: u64) -> Result<(), LogFault> {
    let missing = || fault(sequence, "no notice of the hub says that its body was erased");
    if cause <= sequence {
        return Err(missing());
    }
    let notice = entries::read(store, cause)?.entry;
    let notice = wire::envelope::of_entry(notice).map_err(|_unreadable| missing())?;
    if notice.content.erases(sequence) { Ok(()) } else { Err(missing()) }
}

/// The facts beside an entry and its row in the index of names are what the entry says.
fn check_derived(
    store: &Store,
    record: &Record,
    stored: &StoredEntry,
    sequence: u64,
) -> Result<(), LogFault> {
    let (header, facts) = (&record.header, &stored.facts);
    let same = facts.name() == header.name
        && facts.revision == header.revision
        && facts.scope.body_kind == header.body_kind
        && facts.value_digest == record.content.value_digest()
        && (!header.body_kind.is_chosen() || facts.scope.reach == header.handling.reach);
    if !same {
        return Err(fault(sequence, "the facts beside it are not its own"));
    }
    if store.revision(&header.name, header.revision)? != Some(sequence) {
        return Err(fault(sequence, "the index of names has another place for it"));
    }
    Ok(())
}

fn fault(sequence: u64, what: &str) -> LogFault {
    LogFault::Entry { sequence, what: what.to_owned() }
}
