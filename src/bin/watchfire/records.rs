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
use crate::table::Heading;

/// Shows records one run after another.
pub(crate) struct Shown {
    format: Format,
    heading: Heading,
    overlays: Overlays,
}

impl Shown {
    /// In this format, with the profile's own view of them.
    pub(crate) fn with(format: Format, profile: &Profile) -> anyhow::Result<Self> {
        Ok(Self { format, heading: Heading::Shown, overlays: profile.overlays()? })
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
        let rows = entries
            .iter()
            .zip(distances)
            .map(|(entry, distance)| (entry, Reading { distance, ..self.reading(entry, now) }));
        match self.format {
            Format::Table => output::raw(table::entries(rows, self.heading).as_bytes())?,
            Format::Jsonl => {
                let lines: String =
                    rows.map(|(entry, reading)| entry_to_json_for(entry, reading) + "\n").collect();
                output::raw(lines.as_bytes())?;
            }
        }
        self.heading = Heading::Left;
        output::flush()
    }

    /// Shows more; when this returns, it has left.
    pub(crate) fn show(&mut self, entries: &[VerifiedEntry]) -> io::Result<()> {
        self.matches(entries, &[])
    }

    fn reading(
        &self,
        entry: &VerifiedEntry,
        now: watchfire::model::time::Timestamp,
    ) -> Reading<'_> {
        Reading { now, overlay: self.overlays.get(&entry.header().name), distance: 0 }
    }
}
