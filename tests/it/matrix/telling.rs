//! What bytes tell: every marker, value, digest and name that stands in them, wherever that is.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use watchfire::model::names::RecordName;

use crate::matrix::cast::CIRCLE;
use crate::matrix::pieces::Book;
use crate::matrix::pieces::media;
use crate::oracle::Reader;
use crate::oracle::Role;

/// Finds what bytes tell.
pub(crate) struct Telling {
    automaton: AhoCorasick,
    meanings: Vec<Meaning>,
}

/// What a pattern that stands in an answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// What a revision says.
    Body(usize),
    /// That a revision is there.
    Digest(usize),
    /// That a record is there.
    Name(RecordName),
    /// That the circle is there.
    Circle,
}

/// What one reader may be told: one verdict a pattern.
pub(crate) struct Ears(Vec<bool>);

impl Telling {
    pub(crate) fn new(book: &Book) -> Self {
        let (mut patterns, mut meanings) = (Vec::new(), Vec::new());
        let mut add = |pattern: Vec<u8>, meaning: Meaning| {
            patterns.push(pattern);
            meanings.push(meaning);
        };
        for (index, piece) in book.pieces.iter().enumerate() {
            add(piece.marker.clone().into_bytes(), Meaning::Body(index));
            add(media(&piece.marker).into_bytes(), Meaning::Body(index));
            add(piece.digest.to_vec(), Meaning::Digest(index));
            add(hex::encode(piece.digest).into_bytes(), Meaning::Digest(index));
        }
        for name in book.latest.keys() {
            add(name.record.to_string().into_bytes(), Meaning::Name(name.clone()));
            add(name.record.as_bytes().to_vec(), Meaning::Name(name.clone()));
        }
        add(CIRCLE.as_bytes().to_vec(), Meaning::Circle);
        Self { automaton: AhoCorasick::new(patterns).expect("patterns"), meanings }
    }

    /// What a reader may be told: what it may read, and what stands in that. `was_inside`: whether it knows the circle.
    pub(crate) fn ears(&self, book: &Book, reader: &Reader, was_inside: bool) -> Ears {
        let seen: Vec<usize> =
            (0..book.pieces.len()).filter(|index| book.may(reader, *index)).collect();
        let mut bodies = BTreeSet::new();
        let mut digests = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut circle = was_inside || (reader.role == Role::Operator && !reader.suspended);
        for index in seen {
            let piece = &book.pieces[index];
            if !book.erased.contains(&piece.name) {
                bodies.insert(index);
            }
            digests.insert(index);
            // Its header names the one before.
            digests.extend(
                book.of(&piece.name)
                    .filter(|(_, other)| other.revision + 1 == piece.revision)
                    .map(|(other, _)| other),
            );
            names.insert(&piece.name);
            names.extend(&piece.about);
            names.extend(piece.operation.as_ref().filter(|_| piece.asset.is_some()));
            circle |= piece.reach.audiences.contains(CIRCLE);
        }
        let may = |meaning: &Meaning| match meaning {
            Meaning::Body(index) => bodies.contains(index),
            Meaning::Digest(index) => digests.contains(index),
            Meaning::Name(name) => names.contains(name),
            Meaning::Circle => circle,
        };
        Ears(self.meanings.iter().map(may).collect())
    }

    /// The first thing in these bytes that is not for these ears.
    pub(crate) fn leak(&self, book: &Book, ears: &Ears, bytes: &[u8]) -> Option<String> {
        let mut found = self.automaton.find_iter(bytes).map(|found| found.pattern().as_usize());
        let pattern = found.find(|pattern| !ears.0[*pattern])?;
        let of = match &self.meanings[pattern] {
            Meaning::Body(index) | Meaning::Digest(index) => &book.pieces[*index],
            Meaning::Name(name) => &book.pieces[book.latest[name]],
            Meaning::Circle => return Some("the circle".to_owned()),
        };
        Some(format!("{:?}: {} {:?} {:?}", self.meanings[pattern], of.name, of.kind, of.read_by))
    }
}
