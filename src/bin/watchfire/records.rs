//! Showing verified records in the format that was asked for, with what the reader itself knows of them.

use std::io;

use watchfire::client::Reading;
use watchfire::client::VerifiedEntry;
use watchfire::client::entry_to_json_for;
use watchfire::profile::Overlays;
use watchfire::profile::Profile;

use crate::crl::now;
use crate::output;
use crate::output::Format;
use crate::table;

/// Shows records one run after another.
pub(crate) struct Shown {
    format: Format,
    table: table::Entries,
    is_empty: bool,
    overlays: Overlays,
}

impl Shown {
    /// In this format, with the profile's own view of them.
    pub(crate) fn with(format: Format, profile: &Profile) -> anyhow::Result<Self> {
        let overlays = profile.overlays()?;
        Ok(Self { format, table: table::Entries::new(), is_empty: true, overlays })
    }

    /// Shows what was looked up, each with in how many bits it differs from what was sought; when this returns, it has
    /// left.
    pub(crate) fn matches(
        &mut self,
        entries: &[VerifiedEntry],
        distances: &[u32],
    ) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let now = now();
        let distances = distances.iter().copied().chain(std::iter::repeat(0));
        let overlays = &self.overlays;
        let rows = entries.iter().zip(distances).map(|(entry, distance)| {
            (entry, Reading { now, overlay: overlays.get(&entry.header().name), distance })
        });
        let shown: String = match self.format {
            Format::Table => self.table.next(rows),
            Format::Jsonl => {
                rows.map(|(entry, reading)| entry_to_json_for(entry, reading) + "\n").collect()
            }
        };
        self.is_empty = false;
        output::raw(shown.as_bytes())?;
        output::flush()
    }

    /// Shows more; when this returns, it has left.
    pub(crate) fn show(&mut self, entries: &[VerifiedEntry]) -> io::Result<()> {
        self.matches(entries, &[])
    }

    /// After the last: tells people if there was nothing.
    pub(crate) fn end(&self) {
        if self.is_empty {
            output::note("nothing matches");
        }
    }
}
