//! Blocks: up to 16 entries, or one large one in pieces, as one value each of at most 4 KiB.
//!
//! ```text
//! sealed value   := crc32 u32 || payload                     crc32 of the payload
//! block payload  := 0x01 || count u8 || pieces u16 || count x (facts length u16 || entry length u32)
//!                   || facts... || entries...                entries are left out when there are pieces
//! entry          := 0x0a || varint length || Entry           as a field of SubscribeResponse: spliced as it is
//! ```

use std::ops::Range;

use bytes::Bytes;

use crate::model::facts::Facts;
use crate::model::limits::BLOCK_RECORDS_MAX;
use crate::model::limits::STORED_VALUE_BYTES_MAX;
use crate::store::StoreError;
use crate::wire;

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 4;
const ROW_BYTES: usize = 6;
const CRC_BYTES: usize = 4;

/// One entry in memory: its facts, and its encoding as a field of a stream frame.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    /// What policy and filters need.
    pub facts: Facts,
    /// Where its bytes lie in the block.
    pub range: Range<usize>,
}

/// A run of consecutive entries.
#[derive(Clone, Debug)]
pub struct LogBlock {
    /// The sequence of the first.
    pub first: u64,
    /// The entries.
    pub entries: Vec<StoredEntry>,
    /// Their encodings, one behind the other.
    pub bytes: Bytes,
}

impl LogBlock {
    /// The sequence behind the last.
    pub fn end(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// The framed bytes of an entry of this block.
    pub fn framed(&self, entry: &StoredEntry) -> Bytes {
        self.bytes.slice(entry.range.clone())
    }

    /// The entries from a sequence on, each with its own.
    pub fn entries_from(&self, sequence: u64) -> impl Iterator<Item = (u64, &StoredEntry)> {
        (self.first..).zip(&self.entries).filter(move |(own, _entry)| *own >= sequence)
    }

    /// The entry at a sequence.
    pub fn at(&self, sequence: u64) -> Option<&StoredEntry> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.entries.get(index)
    }
}

/// The values of one block, ready to be written: its row, and the pieces of a large entry.
pub(super) struct Encoded {
    pub(super) row: Vec<u8>,
    pub(super) pieces: Vec<Vec<u8>>,
}

/// How many of these entries, given as lengths of facts and encoding, fit the next block; at least one.
pub(super) fn fit(lengths: impl Iterator<Item = (usize, usize)>) -> usize {
    let mut total = CRC_BYTES + FIXED_BYTES;
    let mut count: usize = 0;
    for (facts, entry) in lengths.take(BLOCK_RECORDS_MAX) {
        total = total.saturating_add(ROW_BYTES + facts + entry);
        if total > STORED_VALUE_BYTES_MAX {
            break;
        }
        count += 1;
    }
    count.max(1)
}

/// Encodes entries that [`fit`] said fit.
pub(super) fn encode(entries: &[(Vec<u8>, &[u8])]) -> Result<Encoded, StoreError> {
    let too_large =
        |_overflow| StoreError::corrupt("a new block", "an entry is too large to store");
    let count = u8::try_from(entries.len()).map_err(too_large)?;
    let total: usize =
        entries.iter().map(|(facts, entry)| ROW_BYTES + facts.len() + entry.len()).sum();
    let whole = CRC_BYTES + FIXED_BYTES + total <= STORED_VALUE_BYTES_MAX;
    let pieces = match entries {
        [(_facts, entry)] if !whole => entry
            .chunks(STORED_VALUE_BYTES_MAX - CRC_BYTES)
            .map(|piece| seal(piece.to_vec()))
            .collect(),
        _ => Vec::new(),
    };
    let mut payload = vec![VERSION, count];
    payload.extend_from_slice(&u16::try_from(pieces.len()).map_err(too_large)?.to_be_bytes());
    for (facts, entry) in entries {
        payload.extend_from_slice(&u16::try_from(facts.len()).map_err(too_large)?.to_be_bytes());
        payload.extend_from_slice(&u32::try_from(entry.len()).map_err(too_large)?.to_be_bytes());
    }
    for (facts, _entry) in entries {
        payload.extend_from_slice(facts);
    }
    if pieces.is_empty() {
        for (_facts, entry) in entries {
            payload.extend_from_slice(entry);
        }
    }
    Ok(Encoded { row: seal(payload), pieces })
}

/// Decodes a block; `piece` reads the pieces of a large entry.
pub(super) fn decode(
    first: u64,
    row: &[u8],
    mut piece: impl FnMut(u16) -> Result<Vec<u8>, StoreError>,
) -> Result<LogBlock, StoreError> {
    let place = format_args!("block {first}").to_string();
    let damaged = |what| StoreError::corrupt(&place, what);
    let payload = open(row).ok_or_else(|| damaged("the checksum does not match"))?;
    let mut reader = Reader(payload);
    if reader.byte() != Some(VERSION) {
        return Err(damaged("the version is unknown"));
    }
    let rows = reader.rows().ok_or_else(|| damaged("the table is cut short"))?;
    let mut facts = Vec::with_capacity(rows.lengths.len());
    for (facts_length, _entry) in &rows.lengths {
        let bytes = reader.take(*facts_length).ok_or_else(|| damaged("the facts are cut short"))?;
        facts.push(wire::facts::decode(bytes).ok_or_else(|| damaged("the facts are unreadable"))?);
    }
    let bytes = if rows.pieces == 0 {
        Bytes::copy_from_slice(reader.0)
    } else {
        let mut whole = Vec::new();
        for number in 0..rows.pieces {
            whole.extend(open(&piece(number)?).ok_or_else(|| damaged("a piece is damaged"))?);
        }
        whole.into()
    };
    let mut start: usize = 0;
    let mut entries = Vec::with_capacity(facts.len());
    for (facts, (_facts, length)) in facts.into_iter().zip(&rows.lengths) {
        let end = start.saturating_add(*length);
        entries.push(StoredEntry { facts, range: start..end });
        start = end;
    }
    if start != bytes.len() || entries.is_empty() {
        return Err(damaged("the lengths do not add up"));
    }
    Ok(LogBlock { first, entries, bytes })
}

/// Puts the CRC-32 of a payload before it.
pub(super) fn seal(payload: Vec<u8>) -> Vec<u8> {
    let mut value = crc32fast::hash(&payload).to_be_bytes().to_vec();
    value.extend(payload);
    value
}

/// The payload of a sealed value; `None` if its checksum does not match.
pub(super) fn open(value: &[u8]) -> Option<&[u8]> {
    let (crc, payload) = value.split_at_checked(CRC_BYTES)?;
    (crc == crc32fast::hash(payload).to_be_bytes()).then_some(payload)
}

struct Rows {
    pieces: u16,
    lengths: Vec<(usize, usize)>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn rows(&mut self) -> Option<Rows> {
        let count = self.byte()?;
        let pieces = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        let mut lengths = Vec::with_capacity(usize::from(count));
        for _row in 0..count {
            let facts = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
            let entry = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
            lengths.push((usize::from(facts), usize::try_from(entry).ok()?));
        }
        Some(Rows { pieces, lengths })
    }
}
