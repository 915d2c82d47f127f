//! Blocks: up to 16 entries with their facts, and behind the last entry of a group the head of the log.
//!
//! ```text
//! value         := crc32 u32 || bytes                        crc32 of the bytes, at most 4 KiB together
//! block         := row || pieces                             the payload, cut into values
//! payload       := 0x02 || entries u8 || pieces u16 || length of the head u16 || scopes u8
//!                  || scopes x (length u16 || disk.v1.Scope)
//!                  || entries x (length u32 || scope u8 || revision u32 || record 16 || marks u8
//!                                || [digest of the value 32, if marks & 1] || [record withdrawn 16, if marks & 2])
//!                  || entries... || [disk.v1.Head]
//! entry         := 0x0a || varint length || Entry            as a field of SubscribeResponse: spliced as it is
//! ```

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::index_keys::Term;
use crate::model::limits::BLOCK_RECORDS_MAX;
use crate::model::limits::STORED_VALUE_BYTES_MAX;
use crate::store::StoreError;
use crate::wire;

const VERSION: u8 = 2;
const CRC_BYTES: usize = 4;
/// Version, entries, pieces, length of the head, scopes.
const FIXED_BYTES: usize = 7;
/// Length, scope, revision, record, marks.
const ROW_BYTES: usize = 26;
/// Bytes of the rows of a block of indicators.
const ROWS_BYTES: usize = BLOCK_RECORDS_MAX * (ROW_BYTES + 32);
const HAS_VALUE: u8 = 1;
const HAS_WITHDRAWN: u8 = 2;
/// Bytes that one sealed value holds.
pub(super) const VALUE_PAYLOAD_MAX: usize = STORED_VALUE_BYTES_MAX - CRC_BYTES;

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

    /// What an entry of this block is found by in the indexes, besides what its facts say; nothing for one whose body
    /// was erased.
    pub fn terms(&self, entry: &StoredEntry) -> Result<Vec<Term>, StoreError> {
        let decoded = self.framed(entry);
        let damaged = || {
            StoreError::corrupt(format!("the block of {}", self.first), "an entry is unreadable")
        };
        let entry = wire::entry::decode(decoded).ok_or_else(damaged)?;
        let envelope = entry.envelope.unwrap_or_default();
        if entry.erased.is_some() {
            return Ok(Vec::new());
        }
        wire::envelope::terms(&envelope).ok_or_else(damaged)
    }

    /// The entry at a sequence.
    pub fn at(&self, sequence: u64) -> Option<&StoredEntry> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.entries.get(index)
    }
}

/// A block as it was read, and the encoded head behind it if it is the last of its group.
pub(super) struct Decoded {
    pub(super) block: LogBlock,
    pub(super) head: Option<Vec<u8>>,
    /// Values besides the row.
    pub(super) pieces: u16,
}

/// A block that is being filled.
pub(super) struct Builder {
    first: u64,
    scopes: Vec<(Arc<Scope>, Vec<u8>)>,
    rows: Vec<u8>,
    entries: Vec<StoredEntry>,
    bytes: Vec<u8>,
}

/// A block in memory and its values: the row, and what does not fit it.
pub(super) struct Built {
    pub(super) block: LogBlock,
    pub(super) row: Bytes,
    pub(super) pieces: Vec<Vec<u8>>,
}

impl Builder {
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            scopes: Vec::new(),
            rows: Vec::with_capacity(ROWS_BYTES),
            entries: Vec::with_capacity(BLOCK_RECORDS_MAX),
            bytes: Vec::with_capacity(VALUE_PAYLOAD_MAX),
        }
    }

    /// Takes the entry if the block stays one value with it, or if it is the first; whether it was taken.
    pub(super) fn take(&mut self, facts: &Facts, framed: &[u8]) -> Result<bool, StoreError> {
        let known = self.scopes.iter().position(|(scope, _bytes)| *scope == facts.scope);
        let scope = known.is_none().then(|| wire::scope::encode(&facts.scope));
        let more =
            row_bytes(facts) + framed.len() + scope.as_ref().map_or(0, |scope| 2 + scope.len());
        let fits = self.payload_bytes() + more <= VALUE_PAYLOAD_MAX
            && self.entries.len() < BLOCK_RECORDS_MAX;
        if !fits && !self.entries.is_empty() {
            return Ok(false);
        }
        let number = known.unwrap_or(self.scopes.len());
        self.scopes.extend(scope.map(|bytes| (Arc::clone(&facts.scope), bytes)));
        self.push_row(facts, number, framed.len())?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(framed);
        self.entries.push(StoredEntry { facts: facts.clone(), range: start..self.bytes.len() });
        Ok(true)
    }

    /// The values, with the head behind the last entry of a group.
    pub(super) fn build(mut self, head: Option<&[u8]>) -> Result<Built, StoreError> {
        let head = head.unwrap_or_default();
        let total = self.payload_bytes() + head.len();
        let pieces = total.div_ceil(VALUE_PAYLOAD_MAX).saturating_sub(1);
        // The checksum's place, then the payload: a block that fits its row, as most do, is put together once.
        let mut sealed = Vec::with_capacity(CRC_BYTES + total);
        sealed.extend_from_slice(&[0; CRC_BYTES]);
        let payload = &mut sealed;
        payload.push(VERSION);
        payload.push(number(self.entries.len())?);
        payload.extend_from_slice(&number::<u16>(pieces)?.to_be_bytes());
        payload.extend_from_slice(&number::<u16>(head.len())?.to_be_bytes());
        payload.push(number(self.scopes.len())?);
        for (_scope, bytes) in &self.scopes {
            payload.extend_from_slice(&number::<u16>(bytes.len())?.to_be_bytes());
            payload.extend_from_slice(bytes);
        }
        payload.extend_from_slice(&self.rows);
        let start = payload.len();
        payload.extend_from_slice(&self.bytes);
        let entries = start..payload.len();
        payload.extend_from_slice(head);
        let rest = sealed.get(STORED_VALUE_BYTES_MAX..).unwrap_or_default();
        let pieces = rest.chunks(VALUE_PAYLOAD_MAX).map(seal).collect();
        let row_bytes = sealed.len().min(STORED_VALUE_BYTES_MAX);
        if let Some((crc, payload)) = sealed.split_first_chunk_mut::<CRC_BYTES>() {
            let own = payload.get(..row_bytes - CRC_BYTES).unwrap_or_default();
            *crc = crc32fast::hash(own).to_be_bytes();
        }
        self.entries.shrink_to_fit();
        let sealed = Bytes::from(sealed);
        let bytes = sealed.slice(entries);
        // A head is as long as an entry: it is not kept for as long as the entries are.
        let bytes = if head.is_empty() { bytes } else { Bytes::copy_from_slice(&bytes) };
        Ok(Built {
            row: sealed.slice(..row_bytes),
            pieces,
            block: LogBlock { first: self.first, entries: self.entries, bytes },
        })
    }

    fn payload_bytes(&self) -> usize {
        let scopes: usize = self.scopes.iter().map(|(_scope, bytes)| 2 + bytes.len()).sum();
        FIXED_BYTES + scopes + self.rows.len() + self.bytes.len()
    }

    fn push_row(&mut self, facts: &Facts, scope: usize, length: usize) -> Result<(), StoreError> {
        let mut marks = 0;
        if facts.value_digest.is_some() {
            marks |= HAS_VALUE;
        }
        if facts.withdraws.is_some() {
            marks |= HAS_WITHDRAWN;
        }
        self.rows.extend_from_slice(&number::<u32>(length)?.to_be_bytes());
        self.rows.push(number(scope)?);
        self.rows.extend_from_slice(&facts.revision.to_be_bytes());
        self.rows.extend_from_slice(facts.record.as_bytes());
        self.rows.push(marks);
        self.rows.extend_from_slice(facts.value_digest.as_ref().map_or(&[], |digest| digest));
        self.rows
            .extend_from_slice(facts.withdraws.as_ref().map_or(&[], |record| record.as_bytes()));
        Ok(())
    }
}

/// Whether a row says that nothing of its block lies beside it; what a damaged one says, [`decode`] finds out.
pub(super) fn is_one_value(row: &[u8]) -> bool {
    let payload = row.get(CRC_BYTES..).unwrap_or_default();
    Table::read(&mut Reader(payload)).is_some_and(|table| table.pieces == 0)
}

/// Decodes a block; `piece` reads what did not fit its row.
pub(super) fn decode(
    first: u64,
    row: &[u8],
    mut piece: impl FnMut(u16) -> Result<Vec<u8>, StoreError>,
) -> Result<Decoded, StoreError> {
    let damaged = |what| StoreError::corrupt(format!("block {first}"), what);
    let payload = open(row).ok_or_else(|| damaged("the checksum does not match"))?;
    let table =
        Table::read(&mut Reader(payload)).ok_or_else(|| damaged("the version is unknown"))?;
    let decoded = if table.pieces == 0 {
        decode_payload(first, payload)
    } else {
        let mut whole = payload.to_vec();
        for number in 0..table.pieces {
            whole.extend(open(&piece(number)?).ok_or_else(|| damaged("a piece is damaged"))?);
        }
        decode_payload(first, &whole)
    };
    decoded.ok_or_else(|| damaged("the payload is unreadable"))
}

fn decode_payload(first: u64, payload: &[u8]) -> Option<Decoded> {
    let mut reader = Reader(payload);
    let table = Table::read(&mut reader)?;
    let mut scopes = Vec::with_capacity(usize::from(table.scopes));
    for _scope in 0..table.scopes {
        let length = u16::from_be_bytes(reader.array()?);
        scopes.push(Arc::new(wire::scope::decode(reader.take(usize::from(length))?)?));
    }
    let mut end: usize = 0;
    let mut entries = Vec::with_capacity(usize::from(table.entries));
    for _entry in 0..table.entries {
        let start = end;
        let length = u32::from_be_bytes(reader.array()?);
        end = end.checked_add(usize::try_from(length).ok()?)?;
        entries.push(StoredEntry { facts: reader.facts(&scopes)?, range: start..end });
    }
    let bytes = Bytes::copy_from_slice(reader.take(end)?);
    let head = reader.take(usize::from(table.head))?;
    // A head alone stands until the next group takes its place: that is how an epoch begins.
    let whole = reader.0.is_empty() && (!entries.is_empty() || !head.is_empty());
    whole.then(|| Decoded {
        block: LogBlock { first, entries, bytes },
        head: (!head.is_empty()).then(|| head.to_vec()),
        pieces: table.pieces,
    })
}

/// Puts the CRC-32 of a payload before it.
pub(super) fn seal(payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(CRC_BYTES + payload.len());
    value.extend_from_slice(&crc32fast::hash(payload).to_be_bytes());
    value.extend_from_slice(payload);
    value
}

/// The payload of a sealed value; `None` if its checksum does not match.
pub(super) fn open(value: &[u8]) -> Option<&[u8]> {
    let (crc, payload) = value.split_at_checked(CRC_BYTES)?;
    (crc == crc32fast::hash(payload).to_be_bytes()).then_some(payload)
}

/// The fixed beginning of a payload.
struct Table {
    entries: u8,
    pieces: u16,
    head: u16,
    scopes: u8,
}

impl Table {
    /// `None` if the version is another, or there is too little.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [version] = reader.array()?;
        (version == VERSION).then_some(())?;
        let [entries] = reader.array()?;
        let pieces = u16::from_be_bytes(reader.array()?);
        let head = u16::from_be_bytes(reader.array()?);
        let [scopes] = reader.array()?;
        Some(Self { entries, pieces, head, scopes })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn facts(&mut self, scopes: &[Arc<Scope>]) -> Option<Facts> {
        let [scope] = self.array()?;
        let scope = Arc::clone(scopes.get(usize::from(scope))?);
        let revision = u32::from_be_bytes(self.array()?);
        let record = Uuid::from_bytes(self.array()?);
        let [marks] = self.array()?;
        (marks & !(HAS_VALUE | HAS_WITHDRAWN) == 0).then_some(())?;
        let value_digest = if marks & HAS_VALUE == 0 { None } else { Some(self.array()?) };
        let withdraws =
            if marks & HAS_WITHDRAWN == 0 { None } else { Some(Uuid::from_bytes(self.array()?)) };
        Some(Facts { scope, record, revision, value_digest, withdraws })
    }
}

fn row_bytes(facts: &Facts) -> usize {
    ROW_BYTES + facts.value_digest.map_or(0, |_digest| 32) + facts.withdraws.map_or(0, |_record| 16)
}

/// A number in the width that the format has for it.
fn number<N: TryFrom<usize>>(wide: usize) -> Result<N, StoreError> {
    N::try_from(wide)
        .map_err(|_overflow| StoreError::corrupt("a new block", "an entry is too large to store"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Shape;
    use crate::model::handling::Reach;
    use crate::model::header::BodyKind;

    fn facts(kind: BodyKind) -> Facts {
        Facts {
            scope: Arc::new(Scope {
                publisher: "acme-video".parse().unwrap(),
                body_kind: kind,
                reach: Reach {
                    audiences: vec!["companies".parse().unwrap()],
                    recipients: Vec::new(),
                },
                publisher_is_reached: false,
                shapes: vec![Shape::default()],
            }),
            record: Uuid::from_bytes([0xab; 16]),
            revision: 3,
            value_digest: (kind == BodyKind::Indicator).then_some([0xcd; 32]),
            withdraws: (kind == BodyKind::Withdrawal).then_some(Uuid::from_bytes([0xef; 16])),
        }
    }

    #[test]
    fn the_bytes_of_a_block_are_golden() {
        let mut builder = Builder::new(7);
        for (kind, framed) in [
            (BodyKind::Indicator, &b"one"[..]),
            (BodyKind::Indicator, b"three"),
            (BodyKind::Withdrawal, b"four"),
        ] {
            assert!(builder.take(&facts(kind), framed).unwrap());
        }
        let built = builder.build(Some(b"head")).unwrap();
        let scope = |kind: &str| {
            format!("0017{}10{kind}1a09{}2a00", "0a0a61636d652d766964656f", "636f6d70616e696573")
        };
        let record = "ab".repeat(16);
        let rows = [
            format!("000000030000000003{record}01{}", "cd".repeat(32)),
            format!("000000050000000003{record}01{}", "cd".repeat(32)),
            format!("000000040100000003{record}02{}", "ef".repeat(16)),
        ];
        let payload = format!(
            "02030000000402{}{}{}{}{}",
            scope("02").replace("0017", "001b"),
            scope("0c").replace("0017", "001b"),
            rows.concat(),
            hex::encode(b"onethreefour"),
            hex::encode(b"head"),
        );
        assert_eq!(hex::encode(&built.row[CRC_BYTES..]), payload);
        assert!(built.pieces.is_empty());
        let read = decode(7, &built.row, |_piece| unreachable!()).unwrap();
        assert_eq!(read.head.unwrap(), b"head");
        assert_eq!(read.block.bytes, built.block.bytes);
        for (stored, built) in read.block.entries.iter().zip(&built.block.entries) {
            assert_eq!((&stored.facts, &stored.range), (&built.facts, &built.range));
        }
        assert!(Arc::ptr_eq(
            &read.block.entries[0].facts.scope,
            &read.block.entries[1].facts.scope
        ));
    }

    #[test]
    fn no_cut_of_a_payload_decodes_or_panics() {
        let mut builder = Builder::new(7);
        builder.take(&facts(BodyKind::Indicator), b"one").unwrap();
        let built = builder.build(Some(b"head")).unwrap();
        let payload = &built.row[CRC_BYTES..];
        for end in 0..payload.len() {
            let cut = seal(&payload[..end]);
            assert!(decode(7, &cut, |_piece| unreachable!()).is_err(), "cut at {end}");
        }
        let longer = seal(&[payload, b"x"].concat());
        assert!(decode(7, &longer, |_piece| unreachable!()).is_err());
    }
}
