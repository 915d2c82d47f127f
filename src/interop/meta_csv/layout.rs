//! Records and their columns: the two layouts, and the physical line on which each record begins.

use crate::interop::meta_csv::ImportError;

/// A row by its columns.
pub(super) enum Columns<'row> {
    KillChain {
        tactic: &'row str,
        technique: &'row str,
        procedure: &'row str,
        indicator: &'row str,
        remark: &'row str,
    },
    Flat {
        kind: &'row str,
        value: &'row str,
        comment: &'row str,
        date: &'row str,
    },
}

/// Which layout a file has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    KillChain,
    Flat,
}

/// A record with the line on which it begins; `None` if it is not UTF-8.
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) cells: Option<csv::StringRecord>,
}

impl Record {
    pub(super) fn is_blank(&self) -> bool {
        self.cells.as_ref().is_some_and(|cells| cells.iter().all(|cell| cell.trim().is_empty()))
    }

    pub(super) fn columns(&self, layout: Layout) -> Option<Columns<'_>> {
        let cells = self.cells.as_ref()?;
        let cell = |at: usize| cells.get(at).unwrap_or_default();
        Some(match layout {
            Layout::KillChain => Columns::KillChain {
                tactic: cell(0),
                technique: cell(1),
                procedure: cell(2),
                indicator: cell(3),
                remark: cell(4),
            },
            Layout::Flat => {
                Columns::Flat { kind: cell(0), value: cell(1), comment: cell(2), date: cell(3) }
            }
        })
    }
}

/// Reads every record after the header.
pub(super) fn read(text: &[u8]) -> Result<(Layout, Vec<Record>), ImportError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.iter().fold(false, |open, byte| open ^ (*byte == b'"')) {
        return Err(ImportError::UnclosedQuote);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut records = Vec::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    for record in reader.byte_records() {
        let record = record.map_err(|_csv| ImportError::Malformed { line: lines.line })?;
        let start = record.position().map_or(0, csv::Position::byte);
        let line = lines.of(usize::try_from(start).unwrap_or(usize::MAX));
        records.push(Record { line, cells: csv::StringRecord::from_byte_record(record).ok() });
    }
    let mut records = records.into_iter();
    let layout = records.next().as_ref().and_then(layout_of).ok_or(ImportError::UnknownLayout)?;
    Ok((layout, records.collect()))
}

fn layout_of(header: &Record) -> Option<Layout> {
    let names: Vec<String> =
        header.cells.as_ref()?.iter().map(|name| name.trim().to_lowercase()).collect();
    let starts = |expected: [&str; 4]| names.iter().take(4).map(String::as_str).eq(expected);
    if starts(["tactic", "technique", "procedure", "indicator"]) {
        return Some(Layout::KillChain);
    }
    starts(["indicator_type", "indicator_value", "comment", "ds"]).then_some(Layout::Flat)
}

/// Counts lines as the offsets rise.
struct Lines<'text> {
    text: &'text [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the first byte at or after `offset` that is no line break: the reader's offsets may stand
    /// before the end of the previous record's CRLF.
    fn of(&mut self, offset: usize) -> u64 {
        while let Some(byte) = self.text.get(self.at) {
            let is_break = matches!(byte, b'\r' | b'\n');
            if self.at >= offset && !is_break {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}
