//! Looks at sled's file `db` before sled does.
//!
//! sled 0.34 replays its log from its snapshot on. A message that is not what was written ends a segment for it, whatever
//! follows, and one whose segment has no readable header is as if it had never been: what lay there is gone without a
//! word, and what sled takes for torn it overwrites with zeroes. So the same way is walked here first, and read only:
//!
//! - a segment's header is either nothing but zeroes, or what was written;
//! - every message of a segment that is not the last is what was written, up to its end;
//! - the log ends no earlier than where it was known to be on the disk (see `anchor`).
//!
//! What a crash may leave looks otherwise: it lies behind all that was known to be on the disk, and near the end. Segments
//! behind such a tear are taken out, so that sled ends there too: nothing is kept from behind a hole.
//!
//! While a store is open, [`Follower`] walks on behind what is written: so its end is known at each sync.

use std::collections::BTreeMap;
use std::fs::File;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::fs::FlockOperation;

use crate::store::StoreError;
use crate::store::anchor;
use crate::store::anchor::Known;
use crate::store::reserve::HEADER_BYTES;
use crate::store::reserve::SEGMENT_BYTES;

/// Nothing begins within so many bytes of a segment's end.
const MESSAGE_HEADER_BYTES_MAX: u64 = 32;
/// Bytes of a walk behind what is written, to begin with: most groups have fewer.
const STEP_BYTES: u64 = 16 * 1024;
/// Looking for the next segment among all of them takes one part in so many of the time at most.
const LOOK_SHARE: u32 = 50;
/// What is usually written without a sync: a group, what of the indexes follows, and sled's own rewriting.
const UNSYNCED_BYTES_MAX: u64 = 16 * SEGMENT_BYTES;
/// Fills the rest of a segment.
const CAP: u8 = 2;
const KIND_LAST: u8 = 11;
/// sled keeps numbers with these bits turned, and checksums with all bits turned.
const TURNED: u64 = 0x7FFF_FFFF_FFFF_FFFF;

/// A place in sled's log, which goes on for ever, unlike one in its file.
pub(super) type Lsn = u64;

/// The segments of the file, by where they begin in the log.
type Segments = BTreeMap<Lsn, u64>;

/// Where the messages of a segment end.
struct End {
    at: u64,
    why: Why,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A message says that the segment is full.
    Full,
    /// What was to be read is read.
    PartRead,
    /// What follows is no message.
    NoMessage,
}

/// A segment whose messages end before it does, though it is not the last.
struct Tear {
    lsn: Lsn,
    offset: u64,
}

/// Demands that the log is whole as far as it was known to be on the disk. What was known of it; nothing while another
/// process or store has the file, which moves both on.
pub(super) fn check(folder: &Path) -> Result<Option<Known>, StoreError> {
    let file = match OpenOptions::new().read(true).write(true).open(folder.join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let known = anchor::read(folder)?.unwrap_or_default();
            let missing = || StoreError::corrupt("the log's file", "it is missing");
            return if known.lsn == 0 { Ok(Some(known)) } else { Err(missing()) };
        }
        Err(error) => return Err(failed(&error)),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(failed(&error.into())),
    }
    let known = anchor::read(folder)?.unwrap_or_default();
    demand(folder, &file, known.lsn)?;
    Ok(Some(known))
}

fn demand(folder: &Path, file: &File, known: Lsn) -> Result<(), StoreError> {
    let segments = segments(file)?;
    let snapshot = snapshot(folder).map_err(|error| failed(&error))?;
    let Some((tip, tears)) = ends(file, &segments, snapshot)? else {
        return if known == 0 { Ok(()) } else { Err(ends_early(0)) };
    };
    for tear in tears {
        judge(file, &segments, &tear, known, tip.lsn)?;
    }
    if tip.lsn < known { Err(ends_early(tip.offset)) } else { Ok(()) }
}

/// Where the log in a file ends that may be in use.
pub(super) fn tip(file: &File) -> Result<Lsn, StoreError> {
    let segments = segments(file)?;
    let Some((lsn, offset)) = segments.last_key_value() else { return Ok(0) };
    let end = walk(&read(file, *offset)?, *lsn);
    Ok(lsn.saturating_add(end.at))
}

/// The end of a log that is written to, as far as it was seen.
#[derive(Debug)]
pub(super) struct Follower {
    /// Where the segment begins that the end lies in, in the log and in the file; none before the first.
    segment: Option<(Lsn, u64)>,
    /// The end, in the segment.
    at: u64,
    /// Those behind it, as of the last look at all of them.
    ahead: Segments,
    /// When all may be looked at again.
    look_at: Instant,
    /// The last of those that the look before saw: what was still missing before it when all were looked at again,
    /// behind another flush, is not on its way. It was freed.
    passed: Lsn,
    /// What was read last, kept for its room: to ask for new room with each sync costs more than to read.
    part: Vec<u8>,
}

impl Follower {
    /// Begins at the end of a file.
    pub(super) fn new(file: &File) -> Result<Self, StoreError> {
        let segment = segments(file)?.last_key_value().map(|(lsn, offset)| (*lsn, *offset));
        Ok(Self {
            segment,
            at: as_u64(HEADER_BYTES),
            ahead: Segments::new(),
            look_at: Instant::now(),
            passed: 0,
            part: Vec::new(),
        })
    }

    /// Walks on behind what was written since the last flush; the end now. It may lag by the time of a hundred looks at
    /// all headers, when the next segment lies anywhere in the file: a fifth of a second with 1 GiB.
    pub(super) fn follow(&mut self, file: &File) -> Result<Lsn, StoreError> {
        // All are looked at once between two flushes at most.
        let mut may_look = Instant::now() >= self.look_at;
        while self.walk_on(file)? && self.next_segment(file, &mut may_look)? {}
        Ok(self.segment.map_or(0, |(lsn, _offset)| lsn.saturating_add(self.at)))
    }

    /// To the end of what is written of this segment; whether it is full.
    fn walk_on(&mut self, file: &File) -> Result<bool, StoreError> {
        let Some((lsn, offset)) = self.segment else { return Ok(true) };
        let mut step = STEP_BYTES;
        while self.at + MESSAGE_HEADER_BYTES_MAX <= SEGMENT_BYTES {
            let length = step.min(SEGMENT_BYTES - self.at);
            let part = read_into(&mut self.part, file, offset + self.at, length)?;
            let end = walk_part(part, 0, as_u64(part.len()), lsn);
            if end.why == Why::Full {
                self.at = SEGMENT_BYTES;
            } else if end.at > 0 {
                // Much was written since: the next part may be longer.
                (self.at, step) = (self.at + end.at, step * 2);
            } else {
                // One that is longer than a step, or what lay there before.
                let announced = announced(part, |number| number == lsn / SEGMENT_BYTES);
                match announced {
                    Some(Message { bytes, .. }) if bytes > step => step = bytes,
                    Some(_) | None => return self.is_used_again(file),
                }
            }
        }
        Ok(true)
    }

    /// Whether the file has another segment by now where this one was.
    fn is_used_again(&self, file: &File) -> Result<bool, StoreError> {
        self.segment.map_or(Ok(false), |(lsn, offset)| Ok(base_at(file, offset)? != Some(lsn)))
    }

    /// Goes on to the segment behind this one: beside it, or else anywhere.
    fn next_segment(&mut self, file: &File, may_look: &mut bool) -> Result<bool, StoreError> {
        let (wanted, beside) = match self.segment {
            Some((lsn, offset)) => (lsn + SEGMENT_BYTES, offset + SEGMENT_BYTES),
            None => (0, 0),
        };
        let known = self.ahead.get(&wanted).copied();
        for offset in std::iter::once(beside).chain(known) {
            if base_at(file, offset)? == Some(wanted) {
                return Ok(self.enter(wanted, offset));
            }
        }
        if std::mem::take(may_look) {
            self.look(file, wanted)?;
        }
        let next = self.ahead.range(wanted..).next().map(|(lsn, offset)| (*lsn, *offset));
        // One that is missing may be on its way, unless it was freed.
        let next = next.filter(|(lsn, _offset)| *lsn == wanted || *lsn <= self.passed);
        Ok(next.is_some_and(|(lsn, offset)| self.enter(lsn, offset)))
    }

    /// Looks at all headers for the segments from a place on.
    fn look(&mut self, file: &File, from: Lsn) -> Result<(), StoreError> {
        let begun = Instant::now();
        let seen = segments(file)?.split_off(&from);
        self.look_at = Instant::now() + begun.elapsed() * LOOK_SHARE;
        if let Some((last, _offset)) = self.ahead.last_key_value() {
            self.passed = *last;
        }
        self.ahead = seen;
        Ok(())
    }

    fn enter(&mut self, lsn: Lsn, offset: u64) -> bool {
        (self.segment, self.at) = (Some((lsn, offset)), as_u64(HEADER_BYTES));
        true
    }
}

/// The place in the log of the segment that the file has there.
fn base_at(file: &File, offset: u64) -> Result<Option<Lsn>, StoreError> {
    Ok(read_part(file, offset, as_u64(HEADER_BYTES))?.first_chunk().and_then(base_of))
}

/// The end of the log, and the tears before it from the snapshot on.
fn ends(
    file: &File,
    segments: &Segments,
    snapshot: Lsn,
) -> Result<Option<(Tear, Vec<Tear>)>, StoreError> {
    let begin = snapshot - snapshot % SEGMENT_BYTES;
    let (mut tip, mut tears) = (None, Vec::new());
    for (lsn, offset) in segments.range(begin..) {
        let end = walk(&read(file, *offset)?, *lsn);
        let place = Tear { lsn: lsn.saturating_add(end.at), offset: offset.saturating_add(end.at) };
        if end.why == Why::NoMessage
            && segments.last_key_value().is_some_and(|(last, _offset)| last != lsn)
        {
            tears.push(Tear { ..place });
        }
        tip = Some(place);
    }
    Ok(tip.map(|tip| (tip, tears)))
}

/// Whether a tear is damage, or what a crash may leave; what lies behind one of those is taken out.
fn judge(
    file: &File,
    segments: &Segments,
    tear: &Tear,
    known: Lsn,
    tip: Lsn,
) -> Result<(), StoreError> {
    let base = tear.lsn - tear.lsn % SEGMENT_BYTES;
    let last = segments.last_key_value().map_or(0, |(lsn, _offset)| *lsn);
    let Some(offset) = segments.get(&base) else { return Ok(()) };
    // All that it had is written elsewhere: sled began to use it again, and the beginning did not reach the disk.
    if is_begun_anew(&read(file, *offset)?, tear.lsn - base, (base, last)) {
        return Ok(());
    }
    if tear.lsn < known || tip.saturating_sub(tear.lsn) > UNSYNCED_BYTES_MAX {
        let place = format!("byte {} of the log's file", tear.offset);
        return Err(StoreError::corrupt(place, "a checksum of sled's does not match"));
    }
    tracing::warn!(
        at = tear.offset,
        "a write was cut off in the middle: the log is continued from there"
    );
    let zeroes = [0; HEADER_BYTES];
    for (_lsn, offset) in segments.range(base.saturating_add(1)..) {
        file.write_all_at(&zeroes, *offset).map_err(|error| failed(&error))?;
    }
    rustix::fs::fdatasync(file).map_err(|error| failed(&error.into()))
}

fn ends_early(offset: u64) -> StoreError {
    StoreError::corrupt(
        format!("byte {offset} of the log's file"),
        "it ends there, and more was on the disk",
    )
}

/// Every segment that was begun. What is neither zero nor a header was one.
pub(super) fn segments(file: &File) -> Result<Segments, StoreError> {
    let length = file.metadata().map_err(|error| failed(&error))?.len();
    let mut segments = Segments::new();
    let mut offset = 0;
    while offset + as_u64(HEADER_BYTES) <= length {
        let mut header = [0; HEADER_BYTES];
        match file.read_exact_at(&mut header, offset) {
            // sled has made it shorter meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            read => read.map_err(|error| failed(&error))?,
        }
        if header != [0; HEADER_BYTES] {
            let damaged = |what| {
                StoreError::corrupt(format!("the segment at byte {offset} of the log's file"), what)
            };
            let lsn = base_of(&header).ok_or_else(|| damaged("its header is unreadable"))?;
            if segments.insert(lsn, offset).is_some() {
                return Err(damaged("another has the same place"));
            }
        }
        offset += SEGMENT_BYTES;
    }
    Ok(segments)
}

/// Where the segment of a header begins in the log.
fn base_of(header: &[u8; HEADER_BYTES]) -> Option<Lsn> {
    let (crc, rest) = header.split_first_chunk()?;
    if crc32fast::hash(rest) != !number_32(*crc) {
        return None;
    }
    let lsn = number_64(*rest.first_chunk()?) ^ TURNED;
    lsn.is_multiple_of(SEGMENT_BYTES).then_some(lsn)
}

/// Where the newest snapshot stands: its name says so.
fn snapshot(folder: &Path) -> std::io::Result<Lsn> {
    let mut newest = 0;
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("snap."));
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        newest = newest.max(number.unwrap_or_default());
    }
    Ok(newest)
}

/// A segment, up to the end of the file.
fn read(file: &File, offset: u64) -> Result<Vec<u8>, StoreError> {
    read_part(file, offset, SEGMENT_BYTES)
}

/// Bytes of the file, fewer at its end.
fn read_part(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let filled = read_into(&mut bytes, file, offset, length)?.len();
    bytes.truncate(filled);
    Ok(bytes)
}

/// The same, into room that there is.
fn read_into<'a>(
    room: &'a mut Vec<u8>,
    file: &File,
    offset: u64,
    length: u64,
) -> Result<&'a [u8], StoreError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if room.len() < length {
        room.resize(length, 0);
    }
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..length).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + as_u64(filled)) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(room.get(..filled).unwrap_or_default())
}

/// Walks the messages of a segment.
fn walk(segment: &[u8], lsn: Lsn) -> End {
    walk_part(segment, as_u64(HEADER_BYTES), SEGMENT_BYTES - MESSAGE_HEADER_BYTES_MAX + 1, lsn)
}

/// Walks the messages of a part of a segment that begin before an end.
fn walk_part(part: &[u8], begin: u64, end: u64, lsn: Lsn) -> End {
    let mut at = begin;
    while at < end {
        match message(part, at, |number| number == lsn / SEGMENT_BYTES) {
            Some(Message { kind: CAP, .. }) => return End { at: SEGMENT_BYTES, why: Why::Full },
            Some(Message { bytes, .. }) => at += bytes,
            None => return End { at, why: Why::NoMessage },
        }
    }
    End { at: at.min(SEGMENT_BYTES), why: Why::PartRead }
}

/// Whether messages of a later segment lie behind a place in this one: it was written anew, and no segment has any of
/// a later one otherwise.
fn is_begun_anew(segment: &[u8], at: u64, (own, last): (Lsn, Lsn)) -> bool {
    let (own, last) = (own / SEGMENT_BYTES, last / SEGMENT_BYTES);
    let is_next = |number| number > own && number <= last + UNSYNCED_BYTES_MAX / SEGMENT_BYTES;
    (at..as_u64(segment.len())).any(|at| message(segment, at, is_next).is_some())
}

/// A message that is what was written.
struct Message {
    kind: u8,
    /// With its header.
    bytes: u64,
}

/// The message at a place of a segment, if it is what was written, and of a segment with such a number in the log.
fn message(segment: &[u8], at: u64, is_own: impl FnOnce(u64) -> bool) -> Option<Message> {
    let whole = segment.get(usize::try_from(at).ok()?..)?;
    let Message { kind, bytes } = announced(whole, is_own)?;
    let (crc, after_crc) = whole.get(..usize::try_from(bytes).ok()?)?.split_first_chunk()?;
    let (header, body) = after_crc.split_at_checked(header_length(after_crc)?)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(header);
    (hasher.finalize() == !number_32(*crc)).then_some(Message { kind, bytes })
}

/// What the header of a message says, of which not all may be there.
fn announced(whole: &[u8], is_own: impl FnOnce(u64) -> bool) -> Option<Message> {
    let (crc, after_crc) = whole.split_first_chunk::<4>()?;
    let header = header_length(after_crc)?;
    let (kind, mut rest) = after_crc.split_first()?;
    let (length, of) = (number(&mut rest)?, number(&mut rest)?);
    let bytes = as_u64(crc.len() + header).checked_add(length)?;
    let is_one = *kind > 0 && *kind <= KIND_LAST && is_own(of) && bytes <= SEGMENT_BYTES;
    is_one.then_some(Message { kind: *kind, bytes })
}

/// Bytes of a message's header behind its checksum: the kind and three numbers.
fn header_length(after_crc: &[u8]) -> Option<usize> {
    let mut rest = after_crc.get(1..)?;
    for _number in 0..3 {
        number(&mut rest)?;
    }
    Some(after_crc.len() - rest.len())
}

/// A number as sled writes it: one byte up to 240, and up to eight more beyond.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    let (count, base) = match first {
        0..=240 => (0, u64::from(*first)),
        241..=248 => (1, 240 + 256 * (u64::from(*first) - 241)),
        249 => (2, 2288),
        250..=255 => (usize::from(*first) - 247, 0),
    };
    let (more, rest) = rest.split_at_checked(count)?;
    *bytes = rest;
    if *first > 249 {
        let mut wide = [0; 8];
        wide.get_mut(..count)?.copy_from_slice(more);
        return Some(number_64(wide));
    }
    Some(more.iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte)) + base)
}

/// sled writes the lowest byte first.
fn number_32(mut bytes: [u8; 4]) -> u32 {
    bytes.reverse();
    u32::from_be_bytes(bytes)
}

fn number_64(mut bytes: [u8; 8]) -> u64 {
    bytes.reverse();
    u64::from_be_bytes(bytes)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn failed(error: &std::io::Error) -> StoreError {
    StoreError::Io { action: "looking at the log's file", cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_sled_writes_them() {
        for (bytes, value) in [
            (&[0][..], 0),
            (&[240], 240),
            (&[241, 0], 240),
            (&[248, 255], 2287),
            (&[249, 0, 0], 2288),
            (&[249, 255, 255], 67_823),
            (&[250, 0xf0, 0x08, 0x01], 67_824),
            (&[255, 255, 255, 255, 255, 255, 255, 255, 255], u64::MAX),
        ] {
            let mut rest = bytes;
            assert_eq!(number(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
        assert_eq!(number(&mut &[250, 1][..]), None);
    }

    /// A store of sled's with some segments, closed.
    fn written() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::open(folder.path()).unwrap();
        for number in 0..2000_u32 {
            db.insert(number.to_be_bytes(), vec![7; 1000]).unwrap();
        }
        db.flush().unwrap();
        drop(db);
        folder
    }

    fn file(folder: &tempfile::TempDir) -> File {
        OpenOptions::new().read(true).write(true).open(folder.path().join("db")).unwrap()
    }

    fn looked_at(folder: &tempfile::TempDir, known: Lsn) -> Result<(), StoreError> {
        demand(folder.path(), &file(folder), known)
    }

    #[test]
    fn every_flipped_bit_before_the_known_end_is_seen_or_changes_nothing() {
        let folder = written();
        let known = tip(&file(&folder)).unwrap();
        assert!(known > 3 * SEGMENT_BYTES, "{known}");
        looked_at(&folder, known).unwrap();
        let file = file(&folder);
        let segments = segments(&file).unwrap();
        let (mut seen, mut dead) = (0, 0);
        for (lsn, offset) in &segments {
            let end = walk(&read(&file, *offset).unwrap(), *lsn);
            let used = if end.why == Why::NoMessage { end.at } else { SEGMENT_BYTES };
            for place in (0..used).step_by(9973).chain([0, 5, 15]) {
                let mut byte = [0];
                file.read_exact_at(&mut byte, offset + place).unwrap();
                file.write_all_at(&[byte[0] ^ 4], offset + place).unwrap();
                match looked_at(&folder, known) {
                    Err(StoreError::Corrupt { .. }) => seen += 1,
                    // What fills a segment up is never read.
                    Ok(()) => dead += 1,
                    Err(other) => panic!("{other:?} at {place} of {offset}"),
                }
                file.write_all_at(&byte, offset + place).unwrap();
            }
        }
        assert!(seen > 100 && dead < seen / 20, "{seen} seen, {dead} not");
        looked_at(&folder, known).unwrap();
        assert!(looked_at(&folder, known + 1).is_err(), "a log that ends early is seen");
    }

    #[test]
    fn what_a_crash_may_leave_is_cut_where_it_is_torn() {
        let folder = written();
        let file = file(&folder);
        let found = segments(&file).unwrap();
        let (lsn, offset) = found.iter().nth_back(1).unwrap();
        let at = offset + 9000;
        file.write_all_at(&[0; 4096], at).unwrap();
        // Nothing of it was known to be on the disk.
        looked_at(&folder, *lsn).unwrap();
        let left = segments(&file).unwrap();
        assert_eq!(left.last_key_value(), Some((lsn, offset)), "what lay behind is gone");
        assert!(tip(&file).unwrap() <= lsn + 9000);
        drop(file);
        drop(sled::open(folder.path()).unwrap());
    }

    #[test]
    fn the_end_is_followed_while_a_log_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        db.flush().unwrap();
        let file = file(&folder);
        let (mut follower, mut before) = (Follower::new(&file).unwrap(), 0);
        for number in 0..4000_u32 {
            // Short ones, and some that are longer than a step.
            let length = if number % 97 == 0 { 20_000 } else { 700 };
            let value = vec![u8::try_from(number % 251).unwrap(); length];
            db.insert((number % 500).to_be_bytes(), value).unwrap();
            if number % 10 == 0 {
                db.flush().unwrap();
                // Nobody waits here for the next look at all segments.
                follower.look_at = Instant::now();
                let end = follower.follow(&file).unwrap();
                assert_eq!(end, tip(&file).unwrap(), "after {number}");
                assert!(end > before, "nothing of {number} is seen");
                before = end;
            }
        }
        // Nobody looks for a long while, and what it looked at last is used for something else.
        for number in 0..4000_u32 {
            db.insert((number % 500).to_be_bytes(), vec![number.to_be_bytes()[3] | 1; 900])
                .unwrap();
        }
        db.flush().unwrap();
        for _look in 0..2 {
            follower.look_at = Instant::now();
            before = follower.follow(&file).unwrap();
        }
        assert_eq!(before, tip(&file).unwrap());
        let found = segments(&file).unwrap();
        let in_order = found.values().is_sorted();
        assert!(before > 4 * SEGMENT_BYTES && !in_order, "segments were not used again: {found:?}");
    }
}
