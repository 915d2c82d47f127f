//! What a member has receipts for, counted by signing key and scope: what its heads say.
//!
//! It is written before the outbox lets records go, and not synced: it costs a small file for each batch. What a power
//! cut takes from it shows when the hub refuses a head that counts too little, and is made good from the log.
//!
//! Receipts of one process mostly rise, and those of several calls at once nearly: the last ones are kept apart, sorted,
//! and counted for good only when there are many behind them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::head::Counted;
use crate::model::head::HeadScope;
use crate::model::names::Digest;
use crate::model::names::KeyId;
use crate::profile::ProfileError;
use crate::profile::files;

/// Entries that are kept apart at least, and at most when the file is written.
const RECENT_MIN: usize = 64;
const RECENT_MAX: usize = 128;

/// A record that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The key that signed it.
    pub key: KeyId,
    /// The log's epoch.
    pub epoch: u32,
    /// Its place.
    pub sequence: u64,
    /// Its identity.
    pub header_digest: Digest,
    /// What its handling names; not empty.
    pub scopes: Vec<HeadScope>,
}

/// What one's own head of a scope says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHead {
    /// The scope.
    pub scope: HeadScope,
    /// The epoch.
    pub epoch: u32,
    /// Behind the last record of the key.
    pub size: u64,
    /// The entries that count.
    pub counted: Counted,
    /// How many of them the last head that was put counts.
    pub put: u64,
}

/// The journal of a profile.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Book {
    keys: BTreeMap<String, Pages>,
}

/// Of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    epoch: u32,
    /// Everything below is counted for good.
    counted_to: u64,
    scopes: BTreeMap<String, Tally>,
    /// Rising.
    recent: Vec<Recent>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Tally {
    count: u64,
    digest: String,
    put: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Recent {
    sequence: u64,
    digest: String,
    scopes: Vec<String>,
}

impl Journal {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes note of records that were taken in; those that it has are passed over.
    pub fn take(&self, entries: &[JournalEntry]) -> Result<(), ProfileError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.change(|book| entries.iter().for_each(|entry| book.take(entry)))
    }

    /// What the heads of a key say next.
    pub fn heads(&self, key: &KeyId) -> Result<Vec<OwnHead>, ProfileError> {
        Ok(self.load()?.keys.get(&key.to_string()).map(Pages::heads).unwrap_or_default())
    }

    /// Takes note of heads that the hub keeps.
    pub fn put(&self, key: &KeyId, heads: &[OwnHead]) -> Result<(), ProfileError> {
        self.change(|book| {
            let Some(pages) = book.keys.get_mut(&key.to_string()) else { return };
            for head in heads {
                let tally = pages.scopes.entry(head.scope.to_string()).or_default();
                tally.put = tally.put.max(head.counted.count);
            }
        })
    }

    /// Forgets what it has of a key, and takes these records instead, in which nothing is missing.
    pub fn rebuild(&self, key: &KeyId, entries: &[JournalEntry]) -> Result<(), ProfileError> {
        let _lock = self.lock()?;
        // What is there may be unreadable.
        let mut book = self.load().unwrap_or_default();
        book.keys.remove(&key.to_string());
        entries.iter().filter(|entry| entry.key == *key).for_each(|entry| book.take(entry));
        self.save(&mut book)
    }

    fn change(&self, change: impl FnOnce(&mut Book)) -> Result<(), ProfileError> {
        let _lock = self.lock()?;
        let mut book = self.load()?;
        change(&mut book);
        self.save(&mut book)
    }

    /// Held while another process of this member must not write.
    fn lock(&self) -> Result<File, ProfileError> {
        let path = self.path.with_extension("lock");
        let file = File::options().create(true).append(true).open(&path);
        let locked = file.and_then(|file| file.lock().map(|()| file));
        locked.map_err(files::writing(&path))
    }

    fn load(&self) -> Result<Book, ProfileError> {
        if !self.path.exists() {
            return Ok(Book::default());
        }
        let malformed = |why: String| ProfileError::Malformed {
            path: self.path.clone(),
            why: format!("{why}; make it anew with `watchfire heads rebuild`"),
        };
        serde_json::from_str(&files::read_text(&self.path)?)
            .map_err(|error| malformed(error.to_string()))
    }

    fn save(&self, book: &mut Book) -> Result<(), ProfileError> {
        book.keys.values_mut().for_each(Pages::settle);
        // Names and numbers: there is nothing in it that JSON cannot say.
        let text = serde_json::to_string(book).unwrap_or_default();
        files::write_unsynced(&self.path, text.as_bytes())
    }
}

impl Book {
    fn take(&mut self, entry: &JournalEntry) {
        let pages = self.keys.entry(entry.key.to_string()).or_default();
        if pages.epoch < entry.epoch {
            // A restore may have taken entries from the log: what is known of another epoch counts no more.
            *pages = Pages { epoch: entry.epoch, ..Pages::default() };
        }
        if pages.epoch != entry.epoch || entry.sequence < pages.counted_to {
            return;
        }
        let at = pages.recent.partition_point(|recent| recent.sequence < entry.sequence);
        if pages.recent.get(at).is_some_and(|recent| recent.sequence == entry.sequence) {
            return;
        }
        let recent = Recent {
            sequence: entry.sequence,
            digest: hex::encode(entry.header_digest),
            scopes: entry.scopes.iter().map(ToString::to_string).collect(),
        };
        pages.recent.insert(at, recent);
        if pages.recent.len() > RECENT_MAX.saturating_mul(64) {
            pages.settle();
        }
    }
}

impl Pages {
    /// Counts for good what has enough behind it.
    fn settle(&mut self) {
        if self.recent.len() <= RECENT_MAX {
            return;
        }
        let many = self.recent.len().saturating_sub(RECENT_MIN);
        let mut tallies = self.tallies();
        for recent in self.recent.drain(..many) {
            recent.count(&mut tallies);
            self.counted_to = recent.sequence.saturating_add(1);
        }
        self.store(&tallies);
    }

    fn tallies(&self) -> BTreeMap<String, Counted> {
        let counted = |tally: &Tally| Counted { count: tally.count, digest: digest(&tally.digest) };
        self.scopes.iter().map(|(scope, tally)| (scope.clone(), counted(tally))).collect()
    }

    fn store(&mut self, tallies: &BTreeMap<String, Counted>) {
        for (scope, counted) in tallies {
            let tally = self.scopes.entry(scope.clone()).or_default();
            tally.count = counted.count;
            tally.digest = hex::encode(counted.digest);
        }
    }

    fn heads(&self) -> Vec<OwnHead> {
        let mut tallies = self.tallies();
        self.recent.iter().for_each(|recent| recent.count(&mut tallies));
        let last = self.recent.last().map(|recent| recent.sequence.saturating_add(1));
        let size = last.unwrap_or(self.counted_to);
        let own = tallies.into_iter().filter(|(_scope, counted)| counted.count > 0);
        let head = |(name, counted): (String, Counted)| {
            Some(OwnHead {
                scope: name.parse().ok()?,
                epoch: self.epoch,
                size,
                counted,
                put: self.scopes.get(&name).map(|tally| tally.put).unwrap_or_default(),
            })
        };
        own.filter_map(head).collect()
    }
}

impl Recent {
    fn count(&self, tallies: &mut BTreeMap<String, Counted>) {
        let digest = digest(&self.digest);
        for scope in &self.scopes {
            if let Some(counted) = tallies.get_mut(scope) {
                counted.take(self.sequence, &digest);
            } else {
                let mut counted = Counted::default();
                counted.take(self.sequence, &digest);
                tallies.insert(scope.clone(), counted);
            }
        }
    }
}

/// A digest as it was written; the hub refuses what does not come out right.
fn digest(text: &str) -> Digest {
    let mut bytes = Digest::default();
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => bytes,
        Err(_malformed) => Digest::default(),
    }
}

/// The journal's file in a profile's folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("journal.json")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(sequence: u64, scopes: &[&str]) -> JournalEntry {
        let mut header_digest = [7; 32];
        header_digest[..8].copy_from_slice(&sequence.to_be_bytes());
        JournalEntry {
            key: KeyId::of_spki(b"key"),
            epoch: 1,
            sequence,
            header_digest,
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        }
    }

    fn plain(entries: &[JournalEntry], scope: &str) -> Counted {
        let scope: HeadScope = scope.parse().unwrap();
        let mut counted = Counted::default();
        let named = entries.iter().filter(|entry| entry.scopes.contains(&scope));
        named.for_each(|entry| counted.take(entry.sequence, &entry.header_digest));
        counted
    }

    #[test]
    fn heads_count_what_was_taken_in_across_processes() {
        let folder = tempfile::tempdir().unwrap();
        let journal = || Journal::at(path(folder.path()));
        let entries: Vec<JournalEntry> = (0..1000)
            .map(|at| {
                let scopes: &[&str] = match at % 3 {
                    0 => &["audiences/companies"],
                    1 => &["audiences/companies", "members/birch-social"],
                    _ => &["members/birch-social"],
                };
                entry(at * 2 + 5, scopes)
            })
            .collect();
        for batch in entries.chunks(77) {
            journal().take(batch).unwrap();
            // The same receipts again, after an answer that was lost.
            journal().take(batch).unwrap();
        }
        let key = KeyId::of_spki(b"key");
        let heads = journal().heads(&key).unwrap();
        assert_eq!(heads.len(), 2);
        for head in &heads {
            assert_eq!(head.counted, plain(&entries, &head.scope.to_string()));
            assert_eq!((head.size, head.put, head.epoch), (2004, 0, 1));
        }
        journal().put(&key, &heads[..1]).unwrap();
        let put: Vec<u64> = journal().heads(&key).unwrap().iter().map(|head| head.put).collect();
        assert_eq!(put, [heads[0].counted.count, 0]);
        assert!(std::fs::metadata(path(folder.path())).unwrap().len() < 40_000, "it stays small");
        assert_eq!(journal().heads(&KeyId::of_spki(b"other")).unwrap(), []);
    }

    #[test]
    fn a_new_epoch_begins_anew_and_an_unreadable_journal_is_rebuilt() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::at(path(folder.path()));
        let old = entry(9, &["audiences/all"]);
        let new = JournalEntry { epoch: 2, ..entry(3, &["audiences/all"]) };
        journal.take(&[old.clone(), new.clone()]).unwrap();
        let heads = journal.heads(&old.key).unwrap();
        assert_eq!((heads[0].epoch, heads[0].counted.count, heads[0].size), (2, 1, 4));
        std::fs::write(path(folder.path()), "{").unwrap();
        assert!(journal.take(&[new]).unwrap_err().to_string().contains("heads rebuild"));
        journal.rebuild(&old.key, std::slice::from_ref(&old)).unwrap();
        assert_eq!(journal.heads(&old.key).unwrap()[0].counted, plain(&[old], "audiences/all"));
    }

    proptest! {
        /// Receipts that come a little out of order count in the order of the log.
        #[test]
        fn receipts_of_calls_at_once_are_counted_in_order(
            late in prop::collection::vec(0_u64..32, 300),
            batch in 1_usize..50,
        ) {
            // Each comes up to 32 places late, so that fewer than a window of later ones come before it.
            let mut order: Vec<(u64, u64)> =
                (0_u64..).zip(&late).map(|(at, late)| (at + late, at)).collect();
            order.sort_unstable();
            let sequences: Vec<u64> = order.into_iter().map(|(_, at)| at).collect();
            let mut book = Book::default();
            for batch in sequences.chunks(batch) {
                for at in batch {
                    book.take(&entry(*at, &["audiences/all"]));
                }
                book.keys.values_mut().for_each(Pages::settle);
            }
            let mut sorted = sequences;
            sorted.sort_unstable();
            let sorted: Vec<_> = sorted.iter().map(|at| entry(*at, &["audiences/all"])).collect();
            let pages = book.keys.values().next().unwrap();
            prop_assert_eq!(pages.heads()[0].counted, plain(&sorted, "audiences/all"));
        }
    }
}
