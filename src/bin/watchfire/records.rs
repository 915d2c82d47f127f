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

    /// Shows more; when this returns, it has left.
    pub(crate) fn show(&mut self, entries: &[VerifiedEntry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let now = now();
        let read = |entry| (entry, self.reading(entry, now));
        let rows = entries.iter().map(read);
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

    fn reading(
        &self,
        entry: &VerifiedEntry,
        now: watchfire::model::time::Timestamp,
    ) -> Reading<'_> {
        Reading { now, overlay: self.overlays.get(&entry.header().name) }
    }
}
