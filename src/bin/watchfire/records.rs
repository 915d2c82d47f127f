//! Showing verified records in the format that was asked for.

use std::io;

use watchfire::client::VerifiedEntry;
use watchfire::client::entry_to_json;
use watchfire::client::match_to_json;
use watchfire::model::time::Timestamp;

use crate::output;
use crate::output::Format;
use crate::table;
use crate::table::Heading;

/// Shows records one run after another.
pub(crate) struct Shown {
    format: Format,
    heading: Heading,
}

impl Shown {
    /// In this format.
    pub(crate) const fn new(format: Format) -> Self {
        Self { format, heading: Heading::Shown }
    }

    /// Shows what was searched for at a time, each with in how many bits it differs from what was sought.
    pub(crate) fn matches(
        &mut self,
        entries: &[VerifiedEntry],
        distances: &[u32],
        now: Timestamp,
    ) -> io::Result<()> {
        let distances = distances.iter().copied().chain(std::iter::repeat(0));
        let matches = entries.iter().zip(distances);
        let shown = match self.format {
            Format::Table => {
                let noted = matches.map(|(entry, distance)| (entry, marks(entry, distance, now)));
                table::noted(noted, self.heading)
            }
            Format::Jsonl => matches
                .map(|(entry, distance)| match_to_json(entry, distance, now) + "\n")
                .collect(),
        };
        self.put(entries.is_empty(), &shown)
    }

    /// Shows more; when this returns, it has left.
    pub(crate) fn show(&mut self, entries: &[VerifiedEntry]) -> io::Result<()> {
        let shown = match self.format {
            Format::Table => table::entries(entries, self.heading),
            Format::Jsonl => entries.iter().map(|entry| entry_to_json(entry) + "\n").collect(),
        };
        self.put(entries.is_empty(), &shown)
    }

    fn put(&mut self, is_empty: bool, shown: &str) -> io::Result<()> {
        if is_empty {
            return Ok(());
        }
        output::raw(shown.as_bytes())?;
        self.heading = Heading::Left;
        output::flush()
    }
}

/// What a reader should know before acting on a match.
fn marks(entry: &VerifiedEntry, distance: u32, now: Timestamp) -> String {
    let expired = if entry.has_expired(now) { " (expired)" } else { "" };
    let near = match distance {
        0 => String::new(),
        1 => " (1 bit off)".to_owned(),
        bits => format!(" ({bits} bits off)"),
    };
    format!("{near}{expired}")
}
