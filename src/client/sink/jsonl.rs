//! Records in a file of JSON lines, and a small file beside it that says how many of its bytes count.
//!
//! A step appends its lines, syncs, and then puts a new `FILE.place` in the old one's place: that is the commit point.
//! What lies behind the length that counts is cut off at the next start. A payload that must go is overwritten where
//! it lies, by the fact that stays of it and blanks, so that the file never has to be written anew: what is to be
//! overwritten stands in `FILE.place` first, and is done again after a crash.

use std::fs::File;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::client::batch::DeletedBy;
use crate::client::batch::ErasedBy;
use crate::client::batch::Fact;
use crate::client::batch::Item;
use crate::client::batch::Payload;
use crate::client::origin::Origin;
use crate::client::sink::Applied;
use crate::client::sink::Effect;
use crate::client::sink::Recall;
use crate::client::sink::Sink;
use crate::client::sink::SinkError;
use crate::client::sink::Step;
use crate::client::sink::Withdrawal;
use crate::client::sink::known;
use crate::client::sink::lines::Index;
use crate::client::sink::lines::Line;
use crate::client::sink::lines::State;
use crate::client::sink::lock;
use crate::client::sink::own_name;
use crate::client::subscribe::Place;
use crate::profile;
use crate::profile::ProfileError;
use crate::profile::SavedCursor;

/// Lines that are overwritten at once: a record may have any number of revisions, and the small file stays small.
const OVERWRITTEN_AT_ONCE: usize = 1024;

/// A file of JSON lines.
pub struct JsonlSink {
    path: PathBuf,
    beside: PathBuf,
    file: File,
    origin: Origin,
    place: Place,
    index: Index,
    has_failed: bool,
}

/// What `FILE.place` holds.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedPlace {
    place: SavedCursor,
    /// The bytes of the file that count.
    length: u64,
    /// Payloads that are to go.
    purges: Vec<Purge>,
    /// Lines that are being overwritten for them.
    overwritten: Vec<Overwritten>,
}

/// Payloads that are to go: of a record, or of one revision of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    name: String,
    revision: Option<u32>,
    deleted: Option<DeletedBy>,
    erased: Option<ErasedBy>,
}

/// A line that is being overwritten, without its line break.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Overwritten {
    offset: u64,
    length: usize,
    line: String,
}

impl JsonlSink {
    /// Opens a file, or makes it. Reads it once.
    pub fn open(path: &Path, origin: &Origin) -> Result<Self, SinkError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".place");
        let beside = path.with_file_name(name);
        let saved = load(&beside)?;
        if saved.is_none() && path.metadata().is_ok_and(|file| file.len() > 0) {
            return Err(SinkError::foreign(
                path,
                "it holds something, and there is no .place beside it",
            ));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(SinkError::writing(path))?;
        lock(&file, path)?;
        // Again: only now it is nobody else's.
        let saved = load(&beside)?.unwrap_or_else(|| SavedPlace {
            place: origin.saved(&Place::default()),
            length: 0,
            purges: Vec::new(),
            overwritten: Vec::new(),
        });
        let mut sink = Self {
            path: path.to_owned(),
            beside,
            file,
            origin: origin.clone(),
            place: origin.place(&saved.place).map_err(SinkError::place(path))?,
            index: Index::default(),
            has_failed: false,
        };
        sink.recover(saved)?;
        Ok(sink)
    }

    /// Cuts off what does not count, does again what a crash interrupted, and reads where everything lies.
    fn recover(&mut self, saved: SavedPlace) -> Result<(), SinkError> {
        let SavedPlace { place: _taken, length, purges, overwritten } = saved;
        let there = self.file.metadata().map_err(SinkError::reading(&self.path))?.len();
        if there < length {
            let why = format!("it has {there} bytes of the {length} that count");
            return Err(SinkError::damaged(&self.path, why));
        }
        self.file.set_len(length).map_err(SinkError::writing(&self.path))?;
        self.overwrite(&overwritten, length)?;
        self.index = Index::read(&self.file, length, &self.path)?;
        self.finish(&purges)?;
        // Written in any case: a first start leaves a file with nothing in it, and that it is ours.
        self.save(&[], &[])
    }

    fn carry_out(&mut self, step: &Step) -> Result<Applied, SinkError> {
        let (mut applied, mut purges) = (Applied::default(), Vec::new());
        let mut text = String::new();
        let begin = self.index.length;
        for effect in &step.effects {
            match effect {
                Effect::Store(item) => {
                    purges.extend(erasure(item));
                    let stored = self.index.store(item, &mut text);
                    applied.stored += u64::from(stored);
                    applied.repeated += u64::from(!stored);
                }
                Effect::Withdraw(withdrawal) => {
                    let holding = self.index.withdraw(withdrawal);
                    purges.extend(deletion(withdrawal));
                    applied.recalls.push(Recall { withdrawal: withdrawal.clone(), holding });
                }
            }
        }
        if !text.is_empty() {
            self.file
                .write_all_at(text.as_bytes(), begin)
                .and_then(|()| self.file.sync_data())
                .map_err(SinkError::writing(&self.path))?;
        }
        self.place = step.place.clone();
        // The commit point: what was appended counts from here on.
        self.save(&purges, &[])?;
        if !purges.is_empty() {
            self.finish(&purges)?;
            self.save(&[], &[])?;
        }
        Ok(applied)
    }

    fn save(&self, purges: &[Purge], overwritten: &[Overwritten]) -> Result<(), SinkError> {
        let saved = SavedPlaceRef {
            place: self.origin.saved(&self.place),
            length: self.index.length,
            purges,
            overwritten,
        };
        let text = serde_json::to_string(&saved)
            .map_err(|error| SinkError::damaged(&self.beside, error.to_string()))?;
        Ok(profile::write_private(&self.beside, text.as_bytes())?)
    }

    /// Overwrites every payload that is to go.
    fn finish(&mut self, purges: &[Purge]) -> Result<(), SinkError> {
        for purge in purges {
            let name = own_name(&purge.name, &self.beside)?;
            let found: Vec<Line> = self.index.whole(&name, purge.revision).collect();
            for lines in found.chunks(OVERWRITTEN_AT_ONCE) {
                let overwritten = lines
                    .iter()
                    .map(|line| self.without_payload(line, purge))
                    .collect::<Result<Vec<_>, _>>()?;
                self.save(purges, &overwritten)?;
                self.overwrite(&overwritten, self.index.length)?;
            }
            let erased = purge.erased.as_ref().map(|by| State::Erased(by.cause_sequence));
            let deleted = purge.deleted.as_ref().map(|by| State::Deleted(by.epoch, by.sequence));
            if let Some(state) = erased.or(deleted) {
                self.index.set(&name, purge.revision, state);
            }
        }
        Ok(())
    }

    /// What stays of a line.
    fn without_payload(&self, line: &Line, purge: &Purge) -> Result<Overwritten, SinkError> {
        let mut bytes = vec![0; line.length];
        self.file.read_exact_at(&mut bytes, line.offset).map_err(SinkError::reading(&self.path))?;
        let damaged = |why: String| SinkError::damaged(&self.path, why);
        let fact: Fact = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(format!("at byte {}: {error}", line.offset)))?;
        let (deleted, erased) = (purge.deleted.clone(), purge.erased.clone());
        let left = Fact { deleted, erased, ..fact }.line();
        Ok(Overwritten { offset: line.offset, length: line.length, line: left })
    }

    fn overwrite(&self, overwritten: &[Overwritten], end: u64) -> Result<(), SinkError> {
        for one in overwritten {
            let Overwritten { offset, length, line } = one;
            let behind = u64::try_from(*length).ok().and_then(|length| offset.checked_add(length));
            let fits = line.len() <= *length && behind.is_some_and(|behind| behind < end);
            if !fits || !line.is_ascii() || line.contains('\n') {
                return Err(SinkError::damaged(&self.beside, "a line to overwrite does not fit"));
            }
            let padded = format!("{line:<length$}");
            self.file
                .write_all_at(padded.as_bytes(), *offset)
                .map_err(SinkError::writing(&self.path))?;
        }
        if overwritten.is_empty() {
            return Ok(());
        }
        self.file.sync_data().map_err(SinkError::writing(&self.path))
    }
}

#[derive(Serialize)]
struct SavedPlaceRef<'a> {
    place: SavedCursor,
    length: u64,
    purges: &'a [Purge],
    overwritten: &'a [Overwritten],
}

impl Sink for JsonlSink {
    fn place(&self) -> Option<&Place> {
        known(&self.place)
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SinkError> {
        if self.has_failed {
            return Err(SinkError::Failed { path: self.path.clone() });
        }
        self.has_failed = true;
        let applied = self.carry_out(step)?;
        self.has_failed = false;
        Ok(applied)
    }
}

fn load(beside: &Path) -> Result<Option<SavedPlace>, SinkError> {
    if !beside.exists() {
        return Ok(None);
    }
    let saved = serde_json::from_slice(&profile::read(beside)?);
    let malformed = |why| ProfileError::Malformed { path: beside.to_owned(), why };
    Ok(Some(saved.map_err(|error| malformed(error.to_string()))?))
}

fn erasure(item: &Item) -> Option<Purge> {
    let Payload::Erased { cause_sequence } = item.payload else {
        return None;
    };
    Some(Purge {
        name: item.header.name.to_string(),
        revision: Some(item.header.revision),
        deleted: None,
        erased: Some(ErasedBy { cause_sequence }),
    })
}

fn deletion(withdrawal: &Withdrawal) -> Option<Purge> {
    withdrawal.demand_deletion.then(|| Purge {
        name: withdrawal.of.to_string(),
        revision: None,
        deleted: Some(withdrawal.deleted_by()),
        erased: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::origin::sample;
    use crate::client::sink::Holding;
    use crate::client::sink::tests::Maker;
    use crate::client::sink::tests::step;

    fn open(path: &Path) -> Result<JsonlSink, SinkError> {
        JsonlSink::open(path, &sample("00"))
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_is_what_format_jsonl_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let maker = Maker::new();
        let items =
            vec![maker.revision(3, &maker.record(), 1), maker.revision(4, &maker.record(), 1)];
        let lines: String = items
            .iter()
            .flat_map(|item| {
                [
                    item.line(),
                    "
"
                    .into(),
                ]
            })
            .collect();
        open(&path).unwrap().apply(&step(items)).unwrap();
        assert_eq!(text(&path), lines);
    }

    #[test]
    fn what_does_not_count_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let maker = Maker::new();
        let first = step(vec![maker.revision(3, &maker.record(), 1)]);
        let second = step(vec![maker.revision(4, &maker.record(), 1)]);
        open(&path).unwrap().apply(&first).unwrap();
        let counts = text(&path);
        for torn in ["{\"epoch\":1,\"sequ", "\u{0}\u{0}\u{0}", "whole\n", "\n\n"] {
            std::fs::write(&path, format!("{counts}{torn}")).unwrap();
            let mut sink = open(&path).unwrap();
            assert_eq!(text(&path), counts);
            assert_eq!(sink.place().unwrap().sequence, Some(3));
            assert_eq!(sink.apply(&first).unwrap().repeated, 1);
        }
        open(&path).unwrap().apply(&second).unwrap();
        assert_eq!(text(&path).lines().count(), 2);
    }

    #[test]
    fn a_deleted_payload_is_overwritten_where_it_lay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let maker = Maker::new();
        let (record, other) = (maker.record(), maker.record());
        let mut sink = open(&path).unwrap();
        sink.apply(&step(vec![
            maker.revision(3, &record, 1),
            maker.revision(4, &other, 9),
            maker.revision(5, &record, 2),
        ]))
        .unwrap();
        let before = text(&path);
        let deleted = maker.withdrawal(6, &record, true);
        let applied = sink.apply(&step(vec![deleted.clone()])).unwrap();
        assert_eq!(applied.recalls[0].holding, Holding::Deleted);
        let after = text(&path);
        assert!(!after.contains("r1.example") && !after.contains("r2.example"), "{after}");
        assert!(after.contains("r9.example"));
        assert_eq!(after.len(), before.len() + deleted.line().len() + 1);
        let facts: Vec<Fact> =
            after.lines().take(3).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(facts[0].deleted.as_ref().unwrap().sequence, 6);
        assert_eq!(facts[1].deleted, None);
        drop(sink);
        let mut again = open(&path).unwrap();
        assert_eq!(again.apply(&step(vec![deleted])).unwrap().recalls, applied.recalls);
        assert_eq!(text(&path), after);
    }

    #[test]
    fn an_overwriting_that_was_cut_off_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let maker = Maker::new();
        let record = maker.record();
        let mut sink = open(&path).unwrap();
        let revisions = OVERWRITTEN_AT_ONCE + 2;
        let item = maker.revision(3, &record, 1);
        let items = (1_u32..).take(revisions).map(|number| {
            let mut item = item.clone();
            item.sequence += u64::from(number);
            item
        });
        sink.apply(&step(items.collect())).unwrap();
        let withdrawal = maker.withdrawal(9000, &record, true);
        sink.apply(&step(vec![withdrawal.clone()])).unwrap();
        let done = text(&path);
        drop(sink);
        // As a crash leaves it: the first lines are being overwritten, one of them is torn, the rest is as it was.
        let torn = folder.path().join("torn.jsonl");
        let mut sink = open(&torn).unwrap();
        sink.apply(&step(
            (1_u32..)
                .take(revisions)
                .map(|number| {
                    let mut item = item.clone();
                    item.sequence += u64::from(number);
                    item
                })
                .collect(),
        ))
        .unwrap();
        let mut appended = String::new();
        for effect in step(vec![withdrawal]).effects {
            match effect {
                Effect::Store(item) => assert!(sink.index.store(&item, &mut appended)),
                Effect::Withdraw(withdrawal) => {
                    let purge = deletion(&withdrawal).unwrap();
                    let lines: Vec<Line> =
                        sink.index.whole(&record, None).take(OVERWRITTEN_AT_ONCE).collect();
                    let overwritten: Vec<Overwritten> = lines
                        .iter()
                        .map(|line| sink.without_payload(line, &purge).unwrap())
                        .collect();
                    sink.save(&[purge], &overwritten).unwrap();
                }
            }
        }
        drop(sink);
        let mut bytes = text(&torn).into_bytes();
        bytes[40..300].fill(b'#');
        bytes.extend(appended.as_bytes());
        std::fs::write(&torn, bytes).unwrap();
        let sink = open(&torn).unwrap();
        assert_eq!(text(&torn), done);
        assert_eq!(sink.index.whole(&record, None).count(), 0);
    }

    #[test]
    fn other_files_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letter.txt");
        std::fs::write(&path, "dear all\n").unwrap();
        assert!(matches!(open(&path), Err(SinkError::Foreign { .. })));
        assert_eq!(text(&path), "dear all\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(open(folder.path()).is_err());
    }

    #[test]
    fn a_file_that_was_changed_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let maker = Maker::new();
        open(&path).unwrap().apply(&step(vec![maker.revision(3, &maker.record(), 1)])).unwrap();
        let whole = text(&path);
        for changed in [
            whole.trim_end().to_owned(),
            whole.replace("{\"epoch\"", "{\"epcoh\""),
            whole.replace("members/", "members/../"),
            whole.replace('\n', " "),
            "\u{0}".repeat(whole.len()),
        ] {
            std::fs::write(&path, &changed).unwrap();
            assert!(matches!(open(&path), Err(SinkError::Damaged { .. })), "{changed}");
        }
    }

    #[test]
    fn a_place_that_does_not_fit_its_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let beside = folder.path().join("records.jsonl.place");
        let maker = Maker::new();
        open(&path).unwrap().apply(&step(vec![maker.revision(3, &maker.record(), 1)])).unwrap();
        let (lines, place) = (text(&path), text(&beside));
        let overwritten = |offset: u64, length: usize, line: &str| {
            let one = Overwritten { offset, length, line: line.to_owned() };
            place.replace(
                "\"overwritten\":[]",
                &format!("\"overwritten\":[{}]", serde_json::to_string(&one).unwrap()),
            )
        };
        for changed in [
            "garbage".to_owned(),
            String::new(),
            place.replace("\"length\"", "\"width\""),
            overwritten(u64::MAX, 10, "{}"),
            overwritten(0, usize::MAX, "{}"),
            overwritten(0, 1, "{}"),
            overwritten(0, lines.len(), "{}"),
            overwritten(0, 10, "{}\n"),
        ] {
            assert_ne!(changed, place);
            std::fs::write(&beside, &changed).unwrap();
            assert!(open(&path).is_err(), "{changed}");
            assert_eq!(text(&path), lines, "{changed}");
        }
    }

    #[test]
    fn two_processes_do_not_write_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let first = open(&path).unwrap();
        assert!(matches!(open(&path), Err(SinkError::InUse { .. })));
        drop(first);
        open(&path).unwrap();
    }
}
