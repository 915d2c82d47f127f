//! Entries: from an admitted record to the bytes that every subscriber is sent, and back from the disk.

use crate::model::facts::Facts;
use crate::model::handling::Tlp;
use crate::model::names::Digest;
use crate::model::names::Sequence;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::store;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::transparency::LeafData;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// An entry as it was read, with what is derived from it.
pub(super) struct Read {
    pub(super) entry: pb::Entry,
    pub(super) facts: Facts,
    pub(super) header_digest: Digest,
    pub(super) tlp: Tlp,
    pub(super) epoch: u32,
    pub(super) accept_time: Timestamp,
    pub(super) leaf_hash: Digest,
}

/// The leaf data of a record at a place.
pub(super) fn leaf(record: &Record, sequence: Sequence, accept_time: Timestamp) -> LeafData {
    LeafData {
        sequence,
        accept_time,
        name_digest: record.header.name_digest(),
        header_digest: record.header_digest,
        signatures_digest: wire::envelope::signatures_digest(&record.envelope),
    }
}

/// Encodes an entry, once: as a field of a stream frame.
pub(super) fn encode(
    epoch: u32,
    sequence: Sequence,
    accept_time: Timestamp,
    envelope: &pb::Envelope,
) -> Vec<u8> {
    wire::entry::frame_of(epoch, sequence.0, accept_time, envelope)
}

/// Decodes the entry at a place of a block.
pub(super) fn decode(block: &LogBlock, stored: &StoredEntry) -> Result<pb::Entry, StoreError> {
    let damaged = || StoreError::Corrupt {
        place: format!("the block of sequence {}", block.first),
        what: "an entry does not decode",
    };
    wire::entry::decode(block.framed(stored)).ok_or_else(damaged)
}

/// When the entry at a place was taken in.
pub(super) fn accept_time(store: &Store, sequence: u64) -> Result<Timestamp, StoreError> {
    let damaged = |what| StoreError::Corrupt { place: format!("sequence {sequence}"), what };
    let block = store.block_at(sequence)?.ok_or_else(|| StoreError::missing(sequence))?;
    let stored = block.at(sequence).ok_or_else(|| StoreError::missing(sequence))?;
    let time = decode(&block, stored)?.accept_time.unwrap_or_default();
    wire::time::timestamp(&time, "entry.accept_time")
        .map_err(|_refused| damaged("its time is unreadable"))
}

/// The first place whose entry was taken in at or after a time, in a log of so many entries: times never run
/// backwards, so that halving finds it.
pub(super) fn first_since(store: &Store, time: Timestamp, size: u64) -> Result<u64, StoreError> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if accept_time(store, middle)? < time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Reads one entry that must be there.
pub(super) fn read(store: &Store, sequence: u64) -> Result<Read, StoreError> {
    let damaged = |what| StoreError::Corrupt { place: format!("sequence {sequence}"), what };
    let block = store.block_at(sequence)?.ok_or_else(|| StoreError::missing(sequence))?;
    let stored = block.at(sequence).ok_or_else(|| StoreError::missing(sequence))?;
    let entry = decode(&block, stored)?;
    let envelope = entry.envelope.as_ref().ok_or_else(|| damaged("it has no envelope"))?;
    let header = wire::header::header(&envelope.payload)
        .map_err(|_refused| damaged("its header is unreadable"))?;
    let leaf = store::leaf(&entry).ok_or_else(|| damaged("it has no leaf"))?;
    Ok(Read {
        header_digest: leaf.header_digest,
        tlp: header.handling.tlp,
        epoch: entry.epoch,
        accept_time: leaf.accept_time,
        leaf_hash: leaf.hash(),
        facts: stored.facts.clone(),
        entry,
    })
}

/// The record of an entry, decoded for reading at a time.
pub(super) fn readable(envelope: &pb::Envelope, now: Timestamp) -> Option<pb::Record> {
    let header = wire::header::header(&envelope.payload).ok()?;
    let body = wire::body::body(&envelope.body).ok();
    Some(pb::Record {
        header_digest: hex::encode(sha256(&envelope.payload)),
        normal_form: body.as_ref().and_then(wire::normal_form),
        expired: wire::expiry(&header, body.as_ref()).is_some_and(|until| until <= now),
        header: Some(wire::header::header_to_wire(&header)),
        body,
    })
}
