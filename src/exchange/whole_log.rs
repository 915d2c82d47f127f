//! The whole log, checked from the disk: places without holes, times that never run backwards, every signature by a
//! key that was valid there, facts and index as the entries say, and the root that the checkpoint signs.

use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::entries;
use crate::exchange::epoch::is_the_operators;
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
use crate::transparency::Checkpoint;
use crate::transparency::Edge;
use crate::transparency::Frontier;
use crate::transparency::LogKeys;
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
    if walk.epoch != head.epoch {
        return Err(LogFault::Head("its epoch is another"));
    }
    let exchange = walk.exchange.ok_or(LogFault::Head("there is no founding record"))?;
    let log_keys = LogKeys::of(&exchange, walk.roster.log_keys());
    let checkpoint = log_keys
        .ok_or(LogFault::Head("the log has no key"))?
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
    epoch: u32,
    roster: Roster,
    exchange: Option<ExchangeName>,
    log_key: Option<Arc<VerifyingKey>>,
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
        let epoch = entry.epoch;
        let record = wire::envelope::of_entry(entry)
            .map_err(|refusal| fault(sequence, &refusal.to_string()))?;
        if let Some(cause) = erased_by {
            demand_cause(store, cause, sequence)?;
        }
        self.found(&record);
        self.take_epoch(&record, epoch, sequence)?;
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
        if matches!(record.content, Content::Genesis(_)) && self.exchange.is_none() {
            self.exchange = Some(record.header.exchange.clone());
        }
    }

    /// An epoch begins with the operator's word, which names the log up to there, and in no other way.
    fn take_epoch(&mut self, record: &Record, epoch: u32, sequence: u64) -> Result<(), LogFault> {
        let Content::Epoch(start) = &record.content else {
            self.epoch = self.epoch.max(1);
            let same = epoch == self.epoch;
            return if same { Ok(()) } else { Err(fault(sequence, "its epoch did not begin")) };
        };
        let before = Checkpoint {
            epoch: self.epoch,
            size: sequence,
            root: self.frontier.root(),
            roster: self.roster_digest,
        };
        let keys = self.exchange.as_ref();
        let keys = keys.and_then(|exchange| LogKeys::of(exchange, self.roster.log_keys()));
        let named = keys.and_then(|keys| keys.open(&start.checkpoint).ok());
        if named != Some(before) || (start.previous, start.epoch) != (self.epoch, epoch) {
            return Err(fault(
                sequence,
                "it begins an epoch of another log than the one before it",
            ));
        }
        if !is_the_operators(&self.roster, record) {
            return Err(fault(sequence, "an epoch that is not the operator's begins with it"));
        }
        self.epoch = epoch;
        Ok(())
    }

    fn fold(&mut self, record: &Record, sequence: u64) -> Result<(), LogFault> {
        let Some(exchange) = &self.exchange else {
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
        let key = if record.header.body_kind.is_hub() {
            self.logs_key(record, sequence)
        } else {
            self.members_key(record, sequence)
        };
        let key = key.ok_or_else(|| fault(sequence, "its key was not its publisher's there"))?;
        let signature = record.envelope.signatures.first();
        let signature = signature.map(|first| first.sig.clone()).unwrap_or_default();
        let (payload_type, payload) =
            (record.envelope.payload_type.clone(), record.envelope.payload.clone());
        self.unchecked.push(Unchecked { sequence, payload_type, payload, signature, key });
        Ok(())
    }

    /// The log's key, if it signed the hub's entries at this place.
    fn logs_key(&mut self, record: &Record, sequence: u64) -> Option<Arc<VerifyingKey>> {
        let term = self.roster.log_key_at(Sequence(sequence), &record.key_id)?;
        if self.log_key.as_ref().is_none_or(|known| known.id() != term.id) {
            self.log_key = VerifyingKey::from_spki(&term.spki).ok().map(Arc::new);
        }
        self.log_key.clone()
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
