//! Whether an audit log is whole: each line holds the digest of the line before, across its files.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;
use crate::server::audit::CUT;
use crate::server::audit::file::LINE_BYTES_MAX;
use crate::server::audit::file::files_of;
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
    /// Lines that were cut off, as by a crash: those with a line behind them that says so, and those at the end.
    pub cut: u64,
    /// Whether the last line is one of them. Nothing says so yet: the hub does when it starts.
    pub ends_cut: bool,
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
        cause: io::Error,
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

/// What the lines so far say about the next: if the last was cut off, the next must say so.
#[derive(Debug, Default)]
struct Expected {
    found: VerifiedAudit,
}

/// Checks files, the oldest first. A last line that is cut off does not hold.
pub fn verify_audit(files: &[PathBuf]) -> Result<VerifiedAudit, AuditFault> {
    let found = followed(files)?;
    if found.ends_cut {
        let path = files.last().cloned().unwrap_or_default();
        return Err(fault(&path, found.lines, "it is cut off; the hub ends it when it starts"));
    }
    Ok(found)
}

/// Checks an audit log as it lies there, by the path of its file: what was put aside by size, then the file itself. `None`
/// if there is nothing of it. A last line that is cut off holds: a hub that was killed leaves one, and says so when it
/// starts.
pub fn verify_audit_log(file: &Path) -> Result<Option<VerifiedAudit>, AuditFault> {
    let failed = |cause| AuditFault::File { path: file.to_owned(), cause };
    let files = files_of(file).map_err(failed)?;
    if files.is_empty() { Ok(None) } else { followed(&files).map(Some) }
}

fn followed(files: &[PathBuf]) -> Result<VerifiedAudit, AuditFault> {
    let mut expected = Expected::default();
    for path in files {
        of_file(path, &mut expected)?;
    }
    Ok(expected.found)
}

fn of_file(path: &Path, expected: &mut Expected) -> Result<(), AuditFault> {
    let failed = |cause| AuditFault::File { path: path.to_owned(), cause };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut number = 0_u64;
    while let Some(line) = next_line(&mut reader).map_err(failed)? {
        number = number.saturating_add(1);
        expected.take(&line).map_err(|what| fault(path, number, what))?;
    }
    Ok(())
}

/// A line as it was read.
struct Read {
    /// Nothing of a line that is longer than ours can be, as of zeroes after a power cut.
    text: Vec<u8>,
    /// Of all of it.
    digest: Digest,
    has_end: bool,
}

fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Read>> {
    let (mut hasher, mut text, mut pieces) = (Sha256::new(), Vec::new(), 0_u64);
    loop {
        let mut piece = Vec::new();
        reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut piece)?;
        let is_over = piece.is_empty();
        if is_over && pieces == 0 {
            return Ok(None);
        }
        let has_end = piece.pop_if(|last| *last == b'\n').is_some();
        hasher.update(&piece);
        if pieces == 0 {
            text = piece;
        } else if !is_over {
            text.clear();
        }
        pieces = pieces.saturating_add(1);
        if has_end || is_over {
            return Ok(Some(Read { text, digest: hasher.finalize().into(), has_end }));
        }
    }
}

impl Expected {
    fn take(&mut self, line: &Read) -> Result<(), &'static str> {
        let is_first = self.found.lines == 0;
        let next = self.found.last.saturating_add(1);
        let parsed = link(&line.text).filter(|_whole| line.has_end);
        let was_cut = std::mem::replace(&mut self.found.ends_cut, parsed.is_none());
        if let Some(said) = &parsed {
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
        } else {
            // As many as it takes: what says that a line was cut off may be cut off in its turn.
            self.found.cut = self.found.cut.saturating_add(1);
            self.found.last = next;
        }
        if is_first {
            self.found.first = self.found.last;
        }
        self.found.lines = self.found.lines.saturating_add(1);
        self.found.digest = line.digest;
        Ok(())
    }
}

fn fault(path: &Path, line: u64, what: &'static str) -> AuditFault {
    AuditFault::Line { path: path.to_owned(), line, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::sha256;
    use crate::model::time::Timestamp;
    use crate::server::audit::Event;
    use crate::server::audit::Who;

    #[track_caller]
    fn check(lines: &[&str], expected: Option<&str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.concat()).unwrap();
        let said = verify_audit(&[file.path().to_owned()]).err().map(|fault| fault.to_string());
        match (expected, said) {
            (None, None) => {}
            (Some(expected), Some(said)) if said.contains(expected) => {}
            other => panic!("{other:?}"),
        }
    }

    fn line(number: u64, previous: &str, what: &str) -> String {
        let event = Event::done(Timestamp::default(), Who::Hub, what, "");
        event.line(number, &sha256(previous.trim_end().as_bytes())) + "\n"
    }

    #[test]
    fn lines_that_are_none_need_one_that_says_so_behind_them() {
        let nothing = Event::done(Timestamp::default(), Who::Hub, "serve", "");
        let first = nothing.line(1, &Digest::default()) + "\n";
        let zeroes = "\0".repeat(300 * 1024) + "\n";
        for cut in ["{\"number\":2\n", &zeroes] {
            let told = line(4, "half\n", CUT);
            check(&[&first, cut, "half\n", &told], None);
            check(&[&first, cut, "half\n", &told, &line(5, &told, "stop")], None);
            let silent = line(4, "half\n", "stop");
            check(&[&first, cut, "half\n", &silent], Some("nothing says that it was cut off"));
            check(&[&first, cut, "half\n"], Some("it is cut off"));
            check(&[&first, "half\n", &told], Some("line 3: its number does not follow"));
            let other = line(4, "another\n", CUT);
            check(&[&first, cut, "half\n", &other], Some("line 4: it does not follow"));
        }
        let told = line(3, &zeroes, CUT);
        check(&[&first, &zeroes, &told], None);
        check(&[&first, &zeroes.replacen('\0', "\u{1}", 1), &told], Some("does not follow"));
    }

    #[test]
    fn a_log_as_it_lies_there_is_all_of_its_files_and_may_end_with_a_line_that_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.jsonl");
        assert_eq!(verify_audit_log(&folder.path().join("no/audit.jsonl")).unwrap(), None);
        assert_eq!(verify_audit_log(&file).unwrap(), None);
        let first = Event::done(Timestamp::default(), Who::Hub, "init", "");
        let first = first.line(1, &Digest::default()) + "\n";
        let second = line(2, &first, "serve");
        let third = line(3, &second, "stop");
        let put = |name: &str, lines: &[&str]| {
            std::fs::write(folder.path().join(name), lines.concat()).unwrap();
        };
        let found = || verify_audit_log(&file).map(Option::unwrap);
        put("audit.jsonl.000000000001", &[&first]);
        put("audit.jsonl.000000000002", &[&second]);
        put("audit.jsonl", &[&third]);
        // What somebody else put beside them is none of it.
        put("audit.jsonl.1", &["something else"]);
        let whole = found().unwrap();
        assert_eq!((whole.first, whole.last, whole.cut, whole.ends_cut), (1, 3, 0, false));
        for cut in ["{\"number\":4,\"ti", "{\"number\":4,\"ti\n", "\0\0\0"] {
            put("audit.jsonl", &[&third, cut]);
            let killed = found().unwrap();
            assert_eq!((killed.lines, killed.cut, killed.ends_cut), (4, 1, true), "{cut:?}");
            assert!(verify_audit(std::slice::from_ref(&file)).is_err(), "{cut:?}");
        }
        put("audit.jsonl", &[&third.replace("stop", "stay"), &line(4, &third, "serve")]);
        let fault = found().unwrap_err().to_string();
        assert!(fault.contains("audit.jsonl, line 2: it does not follow"), "{fault}");
        put("audit.jsonl", &[&third]);
        std::fs::remove_file(folder.path().join("audit.jsonl.000000000002")).unwrap();
        let fault = found().unwrap_err().to_string();
        assert!(fault.contains("audit.jsonl, line 1: it does not follow"), "{fault}");
    }
}
