//! The anchor: a small file beside the log that says how much of it was known to be on the disk.
//!
//! A log that lost its end to damage looks like one that never had it. So each group is noted here once it is durable and
//! those know it who wait for it: one write of a sector into the file system's memory, without a sync of its own. It is never ahead of the log, and
//! behind it by what a power cut takes: then less is demanded of the log, and nothing too much. A store that is closed
//! syncs it, too.
//!
//! ```text
//! file := slot, at byte 0 || slot, at byte 4,096          the one with the higher number holds
//! slot := crc32 u32 || 0x01 || number u64 || end of sled's log u64 || entries u64 || root 32 || writes of state u64
//! ```

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::model::names::Digest;
use crate::store::StoreError;
use crate::store::block;
use crate::store::inspect::Lsn;

const NAME: &str = "anchor";
const NEW_NAME: &str = "anchor.new";
const VERSION: u8 = 1;
const SLOT_BYTES: usize = 4 + 1 + 8 + 8 + 8 + 32 + 8;
const SLOTS: u64 = 2;
const SLOT_DISTANCE: u64 = 4096;

/// What was on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// How far sled's log was on the disk, or 0.
    pub(super) lsn: Lsn,
    /// Entries.
    pub(super) size: u64,
    /// The root of the tree over them.
    pub(super) root: Digest,
    /// Writes of state that no entry counts.
    pub(super) writes: u64,
}

/// The file of a store that is open.
#[derive(Debug)]
pub(super) struct Anchor {
    file: File,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    number: u64,
    known: Known,
}

/// What a store's anchor says; nothing where there is none yet.
pub(super) fn read(folder: &Path) -> Result<Option<Known>, StoreError> {
    match std::fs::read(folder.join(NAME)) {
        Ok(bytes) => newest(&bytes)
            .map(|(_number, known)| Some(known))
            .ok_or_else(|| StoreError::corrupt("the file anchor", "it is unreadable")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

impl Anchor {
    /// Begins a new file that says what is known now, in the place of the old. Both are whole, whatever happens.
    pub(super) fn begin(folder: &Path, known: Known) -> Result<Self, StoreError> {
        let write = || {
            let path = folder.join(NEW_NAME);
            let mut file = File::create(&path)?;
            let mut bytes = vec![0; usize::try_from(SLOT_DISTANCE).unwrap_or(0)];
            let (first, second) = (encode(0, &known), encode(1, &known));
            bytes.splice(..first.len(), first);
            bytes.extend_from_slice(&second);
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&path, folder.join(NAME))?;
            Ok(file)
        };
        let file = write().map_err(|error| failed(&error))?;
        Ok(Self { file, last: Mutex::new(Last { number: 1, known }) })
    }

    /// Notes a group that is durable. Who cannot write this can write nothing else for long, and would not notice at the
    /// next start if that group were gone.
    pub(super) fn raise(&self, known: &Known) -> Result<(), StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.known = Known { lsn: last.known.lsn.max(known.lsn), ..known.clone() };
        self.put(&mut last).map_err(|error| failed(&error))
    }

    /// Notes where sled's log ends, in both slots, and syncs.
    pub(super) fn rest(&self, lsn: Lsn) -> Result<(), StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.known.lsn = last.known.lsn.max(lsn);
        for _slot in 0..SLOTS {
            self.put(&mut last).map_err(|error| failed(&error))?;
        }
        rustix::fs::fdatasync(&self.file).map_err(|error| failed(&error.into()))
    }

    fn put(&self, last: &mut Last) -> std::io::Result<()> {
        let number = last.number.saturating_add(1);
        let slot = encode(number, &last.known);
        self.file.write_all_at(&slot, number % SLOTS * SLOT_DISTANCE)?;
        // Only then: what is tried again must not fall on the slot that is whole.
        last.number = number;
        Ok(())
    }
}

fn encode(number: u64, known: &Known) -> Vec<u8> {
    let mut payload = vec![VERSION];
    for value in [number, known.lsn, known.size] {
        payload.extend_from_slice(&value.to_be_bytes());
    }
    payload.extend_from_slice(&known.root);
    payload.extend_from_slice(&known.writes.to_be_bytes());
    block::seal(&payload)
}

/// The newer of the slots that are readable.
fn newest(bytes: &[u8]) -> Option<(u64, Known)> {
    let slots = (0..SLOTS).filter_map(|slot| {
        let start = usize::try_from(slot * SLOT_DISTANCE).ok()?;
        decode(bytes.get(start..start.checked_add(SLOT_BYTES)?)?)
    });
    slots.max_by_key(|(number, _known)| *number)
}

fn decode(slot: &[u8]) -> Option<(u64, Known)> {
    let (version, rest) = block::open(slot)?.split_first()?;
    (*version == VERSION).then_some(())?;
    let mut rest = rest;
    let mut number = || -> Option<u64> {
        let (value, behind) = rest.split_first_chunk()?;
        rest = behind;
        Some(u64::from_be_bytes(*value))
    };
    let (place, lsn, size) = (number()?, number()?, number()?);
    let (root, rest) = rest.split_first_chunk()?;
    let writes = u64::from_be_bytes(rest.try_into().ok()?);
    Some((place, Known { lsn, size, root: *root, writes }))
}

fn failed(error: &std::io::Error) -> StoreError {
    StoreError::Io { action: "keeping the log's anchor", cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(size: u64) -> Known {
        Known { lsn: 7, size, root: [9; 32], writes: 3 }
    }

    #[test]
    fn what_was_noted_last_is_read_and_one_flipped_bit_costs_one_note_at_most() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let anchor = Anchor::begin(folder.path(), known(1)).unwrap();
        anchor.raise(&known(2)).unwrap();
        anchor.raise(&Known { lsn: 0, ..known(3) }).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(known(3)), "an end is never taken back");
        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..SLOT_BYTES).chain(4096..4096 + SLOT_BYTES) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let found = read(folder.path()).unwrap().unwrap();
            assert!(found == known(3) || found == known(2), "{found:?}");
        }
        std::fs::write(&path, [0; 5000]).unwrap();
        assert!(matches!(read(folder.path()), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn what_cannot_be_noted_is_an_error_and_costs_no_slot() {
        let folder = tempfile::tempdir().unwrap();
        let anchor = Anchor::begin(folder.path(), known(1)).unwrap();
        anchor.raise(&known(2)).unwrap();
        let read_only = File::open(folder.path().join(NAME)).unwrap();
        let number = anchor.last.lock().unwrap().number;
        let last = Mutex::new(Last { number, known: known(2) });
        let failing = Anchor { file: read_only, last };
        for _again in 0..3 {
            assert!(matches!(failing.raise(&known(3)), Err(StoreError::Io { .. })));
            assert_eq!(failing.last.lock().unwrap().number, number);
        }
        assert!(failing.rest(900).is_err());
        assert_eq!(read(folder.path()).unwrap(), Some(known(2)));
    }

    #[test]
    fn at_rest_both_slots_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let anchor = Anchor::begin(folder.path(), known(1)).unwrap();
        anchor.raise(&known(2)).unwrap();
        anchor.rest(900).unwrap();
        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for at in [5, 4096 + 5] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let found = read(folder.path()).unwrap().unwrap();
            assert_eq!(found, Known { lsn: 900, ..known(2) });
        }
    }
}
