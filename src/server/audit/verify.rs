//! Whether an audit log is whole: each line holds the digest of the line before, across its files.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::server::audit::CUT;
use crate::server::audit::file::LINE_BYTES_MAX;
use crate::server::audit::file::link;

/// What holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifiedAudit {
    /// How many lines.
    pub lines: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The digest of the last: it covers all the others.
    pub digest: Digest,
    /// Lines that were cut off, as by a crash, each with a line behind it that says so.
    pub cut: u64,
}

/// Why it does not.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A line is not what the one before says.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line in it.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// What the lines so far say about the next.
#[derive(Debug, Default)]
struct Expected {
    found: VerifiedAudit,
    /// The last line has no number of its own: the next must say that it was cut off.
    is_cut: bool,
}

/// Checks files, the oldest first.
pub fn verify_audit(files: &[PathBuf]) -> Result<VerifiedAudit, AuditFault> {
    let mut expected = Expected::default();
    for path in files {
        of_file(path, &mut expected)?;
    }
    if expected.is_cut {
        let path = files.last().cloned().unwrap_or_default();
        return Err(fault(
            &path,
            expected.found.lines,
            "it is cut off; the hub ends it when it starts",
        ));
    }
    Ok(expected.found)
}

fn of_file(path: &Path, expected: &mut Expected) -> Result<(), AuditFault> {
    let failed = |cause| AuditFault::File { path: path.to_owned(), cause };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    for number in 1.. {
        let mut line = Vec::new();
        let limited = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if limited.map_err(failed)? == 0 {
            return Ok(());
        }
        let has_end = line.pop_if(|last| *last == b'\n').is_some();
        expected.take(&line, has_end).map_err(|what| fault(path, number, what))?;
    }
    Ok(())
}

impl Expected {
    fn take(&mut self, line: &[u8], has_end: bool) -> Result<(), &'static str> {
        let is_first = self.found.lines == 0;
        let next = self.found.last.saturating_add(1);
        let parsed = link(line).filter(|_whole| has_end);
        let was_cut = std::mem::replace(&mut self.is_cut, parsed.is_none());
        match &parsed {
            Some(said) => {
                if !is_first && hex::encode(self.found.digest) != said.previous {
                    return Err("it does not follow the line before: one was removed or changed");
                }
                if !is_first && said.number != next {
                    return Err("its number does not follow: a line was removed or changed");
                }
                if was_cut && said.what != CUT {
                    return Err("the line before is no line, and nothing says that it was cut off");
                }
                if is_first && said.number == 1 && said.previous != hex::encode(Digest::default()) {
                    return Err("the first line follows another: lines before it were removed");
                }
                self.found.last = said.number;
            }
            None if was_cut => return Err("it is no line, and neither is the one before"),
            None => {
                self.found.cut = self.found.cut.saturating_add(1);
                self.found.last = next;
            }
        }
        if is_first {
            self.found.first = self.found.last;
        }
        self.found.lines = self.found.lines.saturating_add(1);
        self.found.digest = sha256(line);
        Ok(())
    }
}

fn fault(path: &Path, line: u64, what: &'static str) -> AuditFault {
    AuditFault::Line { path: path.to_owned(), line, what }
}
