//! Showing verified records in the format that was asked for.

use std::io;

use watchfire::client::VerifiedEntry;
use watchfire::client::entry_to_json;

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

    /// Shows more; when this returns, it has left.
    pub(crate) fn show(&mut self, entries: &[VerifiedEntry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        match self.format {
            Format::Table => output::raw(table::entries(entries, self.heading).as_bytes())?,
            Format::Jsonl => {
                let lines: String =
                    entries.iter().map(|entry| entry_to_json(entry) + "\n").collect();
                output::raw(lines.as_bytes())?;
            }
        }
        self.heading = Heading::Left;
        output::flush()
    }
}
