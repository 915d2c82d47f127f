//! The keys that the log had, each with the sizes whose checkpoints it signs.
//!
//! An entry of the log puts the next key in place: it signs what has that entry in it, and the key before signs what has
//! not. Nearly every log has one key, and pays nothing for the others.

use crate::model::names::ExchangeName;
use crate::model::roster::LogKeyTerm;
use crate::signing::VerifyingKey;
use crate::transparency::Checkpoint;
use crate::transparency::InvalidCheckpoint;
use crate::transparency::LogKey;
use crate::transparency::checkpoint::Note;

/// Who signs checkpoints of which size, and the hub's own entries at which place.
#[derive(Clone, Debug)]
pub struct LogKeys {
    first: LogKey,
    /// Each with the place of the entry that put it in place; rising.
    later: Vec<(u64, LogKey)>,
}

impl LogKeys {
    /// Of a log that has had one key.
    pub const fn new(first: LogKey) -> Self {
        Self { first, later: Vec::new() }
    }

    /// Those of a roster; `None` if there is none, or one that signs no checkpoints, which no fold lets in.
    pub fn of(exchange: &ExchangeName, terms: &[LogKeyTerm]) -> Option<Self> {
        let key =
            |term: &LogKeyTerm| LogKey::new(exchange, VerifyingKey::from_spki(&term.spki).ok()?);
        let (first, later) = terms.split_first()?;
        let later = later.iter().map(|term| Some((term.since.0, key(term)?)));
        Some(Self { first: key(first)?, later: later.collect::<Option<Vec<_>>>()? })
    }

    /// The one that signs what has so many entries in it.
    pub fn for_size(&self, size: u64) -> &LogKey {
        let in_force = self.later.iter().rev().find(|(since, _key)| *since < size);
        in_force.map_or(&self.first, |(_since, key)| key)
    }

    /// The one that signs now.
    pub fn current(&self) -> &LogKey {
        self.later.last().map_or(&self.first, |(_since, key)| key)
    }

    /// Every one that it had.
    pub fn all(&self) -> impl Iterator<Item = &LogKey> {
        std::iter::once(&self.first).chain(self.later.iter().map(|(_since, key)| key))
    }

    /// How many there were.
    pub const fn count(&self) -> usize {
        self.later.len().saturating_add(1)
    }

    /// The same, and the note without other signatures than the log's.
    pub(super) fn bare(&self, note: &str) -> Result<(Checkpoint, String), InvalidCheckpoint> {
        let note = Note::read(note)?;
        self.for_size(note.checkpoint.size).bare(&note)
    }

    /// Opens a checkpoint of this log, signed by the key of its size and no other.
    pub fn open(&self, note: &str) -> Result<Checkpoint, InvalidCheckpoint> {
        let note = Note::read(note)?;
        self.for_size(note.checkpoint.size).open_read(&note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::KeyId;
    use crate::model::names::Sequence;
    use crate::signing::SecretKey;

    fn exchange() -> ExchangeName {
        ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap()
    }

    fn term(secret: &SecretKey, since: u64) -> LogKeyTerm {
        let spki = secret.spki();
        LogKeyTerm { id: KeyId::of_spki(&spki), spki, since: Sequence(since) }
    }

    fn signed(secret: &SecretKey, size: u64) -> String {
        let key = VerifyingKey::from_spki(&secret.spki()).unwrap();
        let checkpoint = Checkpoint { epoch: 1, size, root: [7; 32], roster: [8; 32] };
        LogKey::new(&exchange(), key).unwrap().sign(&checkpoint, secret)
    }

    #[test]
    fn each_key_signs_the_sizes_of_its_own_term_and_no_others() {
        let secrets: [SecretKey; 3] = std::array::from_fn(|_| SecretKey::generate().unwrap());
        let terms = [term(&secrets[0], 0), term(&secrets[1], 10), term(&secrets[2], 11)];
        let keys = LogKeys::of(&exchange(), &terms).unwrap();
        assert_eq!(keys.count(), 3);
        // The entry at place 10 is in a log of 11 entries, and in none of 10.
        for (size, owner) in [(1, 0), (10, 0), (11, 1), (12, 2), (1000, 2)] {
            for (number, secret) in secrets.iter().enumerate() {
                let opened = keys.open(&signed(secret, size)).is_ok();
                assert_eq!(opened, number == owner, "key {number} at size {size}");
            }
        }
        assert_eq!(keys.current().verifying().id(), terms[2].id);
    }

    #[test]
    fn a_log_of_one_key_is_what_it_was() {
        let secret = SecretKey::generate().unwrap();
        let keys = LogKeys::of(&exchange(), &[term(&secret, 0)]).unwrap();
        for size in [1, 2, u64::MAX] {
            assert_eq!(keys.open(&signed(&secret, size)).unwrap().size, size);
        }
        assert!(LogKeys::of(&exchange(), &[]).is_none());
    }
}
