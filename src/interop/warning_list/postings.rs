//! Which lists have an entry. Most entries are on one list, so that is kept without an allocation of its own.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// The place of a list among the lists.
pub(super) type ListId = u16;

/// From entries to lists.
#[derive(Debug)]
pub(super) struct Postings<K> {
    first: HashMap<K, ListId>,
    more: HashMap<K, Vec<ListId>>,
}

impl<K: Hash + Eq> Postings<K> {
    /// Adds an entry of a list; lists come one after the other.
    pub(super) fn add(&mut self, entry: K, list: ListId) {
        let Some(first) = self.first.get(&entry) else {
            self.first.insert(entry, list);
            return;
        };
        if *first == list {
            return;
        }
        let more = self.more.entry(entry).or_default();
        if more.last() != Some(&list) {
            more.push(list);
        }
    }

    /// The lists that have an entry.
    pub(super) fn get<'a, Q: Hash + Eq + ?Sized>(
        &'a self,
        entry: &Q,
    ) -> impl Iterator<Item = ListId> + use<'a, K, Q>
    where
        K: Borrow<Q>,
    {
        let first = self.first.get(entry).copied();
        let more = first.and_then(|_found| self.more.get(entry));
        first.into_iter().chain(more.into_iter().flatten().copied())
    }
}

impl<K> Default for Postings<K> {
    fn default() -> Self {
        Self { first: HashMap::new(), more: HashMap::new() }
    }
}
