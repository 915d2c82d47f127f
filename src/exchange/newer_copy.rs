//! What a newer copy of a log knows that was restored from an older one: which bodies the hub has erased since. The
//! copy may be damaged, so that nothing in it counts which the log key has not signed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::exchange::entries;
use crate::exchange::hub_entries;
use crate::model::header::HUB_PAYLOAD_TYPE;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::sha256;
use crate::signing;
use crate::signing::Claim;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::transparency::LogKeys;
use crate::wire;
use crate::wire::body::Content;

/// What was found in newer copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newer {
    /// Places of the restored log whose bodies are to be erased, rising.
    pub erased: BTreeSet<u64>,
    /// Entries of the largest copy.
    pub size: u64,
    /// The highest epoch that one of them was in.
    pub epoch: u32,
}

/// Reads a newer copy, block by block.
pub struct NewerCopy<'a> {
    exchange: &'a ExchangeName,
    log_keys: &'a LogKeys,
    restored: u64,
    /// Entries below the restored log's end that have lost their bodies: which they are, and to which notice.
    seen: BTreeMap<u64, (Digest, u64)>,
    /// Where each block begins that can be read, and ends.
    readable: BTreeMap<u64, u64>,
    notices: BTreeMap<u64, (u32, Content)>,
    size: u64,
    epoch: u32,
}

impl<'a> NewerCopy<'a> {
    /// Of an exchange's log, of which so many entries were restored.
    pub fn new(exchange: &'a ExchangeName, log_keys: &'a LogKeys, restored: u64) -> Self {
        Self {
            exchange,
            log_keys,
            restored,
            seen: BTreeMap::new(),
            readable: BTreeMap::new(),
            notices: BTreeMap::new(),
            size: 0,
            epoch: 0,
        }
    }

    /// Takes the next block; what cannot be read in it is passed over.
    pub fn take(&mut self, block: &LogBlock) {
        self.size = self.size.max(block.end());
        if block.first < self.restored {
            self.readable.insert(block.first, block.end());
        }
        for (sequence, stored) in block.entries_from(0) {
            // Without a read error there is nothing to say: what is unreadable counts for nothing.
            drop(self.take_entry(block, sequence, stored));
        }
    }

    fn take_entry(
        &mut self,
        block: &LogBlock,
        sequence: u64,
        stored: &StoredEntry,
    ) -> Result<(), StoreError> {
        let entry = entries::decode(block, stored)?;
        self.epoch = self.epoch.max(entry.epoch);
        if let Some(erased) = entry.erased
            && sequence < self.restored
        {
            let payload = entry.envelope.as_ref().map(|envelope| sha256(&envelope.payload));
            let cause = erased.cause_sequence;
            self.seen.insert(sequence, (payload.unwrap_or_default(), cause));
        } else if stored.facts.scope.body_kind.is_hub() {
            let epoch = entry.epoch;
            if let Some(content) = self.signed_notice(sequence, entry) {
                self.notices.insert(sequence, (epoch, content));
            }
        }
        Ok(())
    }

    /// What a notice says, if the log key has signed it.
    fn signed_notice(&self, sequence: u64, entry: wire::pb::Entry) -> Option<Content> {
        let record = wire::envelope::of_entry(entry).ok()?;
        let key = self.log_keys.for_size(sequence.saturating_add(1)).verifying();
        if record.header.exchange != *self.exchange || record.key_id != key.id() {
            return None;
        }
        let signature = record.envelope.signatures.first()?;
        let verified = signing::verify(Claim {
            payload_type: HUB_PAYLOAD_TYPE,
            payload: &record.envelope.payload,
            signature: &signature.sig,
            key,
            value: (),
        });
        verified.is_ok().then_some(record.content)
    }

    /// Adds to what was found what this copy says of the restored log: places at which both have the same entry, which
    /// has a body in the restored log alone; and those that a notice names where the copy cannot be read any more, as
    /// long as it was in the same epoch.
    pub fn finish(self, restored: &Store, found: &mut Newer) -> Result<(), StoreError> {
        found.size = found.size.max(self.size);
        found.epoch = found.epoch.max(self.epoch);
        let epoch = restored.head()?.epoch;
        for (place, (digest, cause)) in &self.seen {
            let notice = self.notices.get(cause);
            if notice.is_some_and(|(_epoch, content)| content.erases(*place))
                && is_whole(restored, *place, Some(digest))?
            {
                found.erased.insert(*place);
            }
        }
        let same = self.notices.values().filter(|(other, _content)| *other == epoch);
        let places = same.flat_map(|(_epoch, content)| named(content, self.restored));
        for place in places.filter(|place| !self.is_readable(*place)) {
            if is_whole(restored, place, None)? {
                found.erased.insert(place);
            }
        }
        Ok(())
    }

    fn is_readable(&self, place: u64) -> bool {
        let block = self.readable.range(..=place).next_back();
        block.is_some_and(|(_first, end)| place < *end)
    }
}

/// Whether an entry of the restored log has its body still, and may lose it.
fn is_whole(store: &Store, place: u64, digest: Option<&Digest>) -> Result<bool, StoreError> {
    let read = entries::read(store, place)?;
    let is_same = digest.is_none_or(|digest| *digest == read.header_digest);
    Ok(is_same && read.entry.erased.is_none() && hub_entries::is_erasable(&read.facts))
}

/// The places below an end that a notice names.
fn named(content: &Content, end: u64) -> Vec<u64> {
    if let Content::Erasure { sequences, .. } = content {
        return sequences.iter().copied().filter(|place| *place < end).collect();
    }
    if let Content::Retention { first, end: behind } = content {
        return (*first..(*behind).min(end)).collect();
    }
    Vec::new()
}
