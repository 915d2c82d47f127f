//! Who waits for whom: things that are about each other, in their order, each looked at once.

use std::collections::HashMap;

/// Things by their places, and those that they wait for.
#[derive(Debug)]
pub(super) struct Waiting {
    counts: Vec<usize>,
    /// By place: those that wait for it.
    behind: HashMap<usize, Vec<usize>>,
}

impl Waiting {
    /// So many things, none of which waits.
    pub(super) fn of(things: usize) -> Self {
        Self { counts: vec![0; things], behind: HashMap::new() }
    }

    /// One waits for another one; as often as this is said.
    pub(super) fn wait(&mut self, place: usize, other: usize) {
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
            self.behind.entry(other).or_default().push(place);
        }
    }

    /// Those that wait for nothing.
    pub(super) fn free(&self) -> Vec<usize> {
        let counts = self.counts.iter().enumerate();
        counts.filter(|(_place, count)| **count == 0).map(|(place, _count)| place).collect()
    }

    /// One is done: those that wait for nothing else.
    pub(super) fn done(&mut self, place: usize) -> Vec<usize> {
        let mut free = self.behind.remove(&place).unwrap_or_default();
        free.retain(|place| {
            let Some(count) = self.counts.get_mut(*place) else { return false };
            *count = count.saturating_sub(1);
            *count == 0
        });
        free
    }

    /// Whether one still waits; at the end those do that wait for each other in a circle.
    pub(super) fn is_waiting(&self, place: usize) -> bool {
        self.counts.get(place).is_some_and(|count| *count > 0)
    }
}
