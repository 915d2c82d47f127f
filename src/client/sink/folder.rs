//! Records in a folder: a file for each revision, and the place, whose file is renamed last.
//!
//! ```text
//! place.json                                where it stands, and for whom
//! lock                                      held while it is open
//! records/{member}/{record}/{revision}.json a line as `--format jsonl` prints it, or the fact that stays of it
//! records/{member}/{record}/withdrawn.json  the withdrawal of that record, and what was held when it came
//! ```
//!
//! Every file is written beside its place and renamed. A step writes its files, syncs the volume, and then renames
//! the place: whatever a crash leaves of a step is written again, the same, when the step is repeated. The note of a
//! withdrawal is there before anything is deleted for it, so that a repeated step says the same of what was held.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::client::batch::DeletedBy;
use crate::client::batch::Fact;
use crate::client::batch::Item;
use crate::client::batch::Payload;
use crate::client::origin::Origin;
use crate::client::sink::Applied;
use crate::client::sink::Effect;
use crate::client::sink::Holding;
use crate::client::sink::Recall;
use crate::client::sink::Sink;
use crate::client::sink::SinkError;
use crate::client::sink::Step;
use crate::client::sink::Withdrawal;
use crate::client::sink::effects::is_recallable;
use crate::client::sink::known;
use crate::client::sink::lock;
use crate::client::subscribe::Place;
use crate::model::names::RecordName;
use crate::profile;
use crate::profile::SavedCursor;

const PLACE: &str = "place.json";
const LOCK: &str = "lock";
const RECORDS: &str = "records";
const WITHDRAWN: &str = "withdrawn.json";
/// Withdrawals before the last whose answers are kept: a record has a withdrawal and a takedown at most.
const EARLIER_MAX: usize = 8;
/// Names that may lie in a folder whose place was never written.
const BEGUN: [&str; 2] = [LOCK, PLACE];

/// A folder with records.
pub struct FolderSink {
    folder: PathBuf,
    origin: Origin,
    place: Place,
    has_failed: bool,
    /// Its lock is held as long as it is open.
    lock: File,
}

impl FolderSink {
    /// Opens a folder, or makes it.
    pub fn open(folder: &Path, origin: &Origin) -> Result<Self, SinkError> {
        profile::create_folder(folder)?;
        let path = folder.join(PLACE);
        if !path.exists() {
            demand_unused(folder)?;
        }
        let lock_path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&lock_path).map_err(SinkError::writing(&lock_path))?;
        lock(&file, folder)?;
        let place = if let Some(saved) = SavedCursor::load(&path)? {
            origin.place(&saved).map_err(SinkError::place(folder))?
        } else {
            let place = Place::default();
            origin.saved(&place).save(&path)?;
            place
        };
        let folder = folder.to_owned();
        Ok(Self { folder, origin: origin.clone(), place, has_failed: false, lock: file })
    }

    fn carry_out(&self, step: &Step) -> Result<Applied, SinkError> {
        let mut applied = Applied::default();
        for effect in &step.effects {
            match effect {
                Effect::Store(item) => {
                    let stored = self.store(item)?;
                    applied.stored += u64::from(stored);
                    applied.repeated += u64::from(!stored);
                }
                Effect::Withdraw(withdrawal) => {
                    let holding = self.record(&withdrawal.of).withdraw(withdrawal)?;
                    applied.recalls.push(Recall { withdrawal: withdrawal.clone(), holding });
                }
            }
        }
        if !step.effects.is_empty() {
            rustix::fs::syncfs(&self.lock)
                .map_err(|error| SinkError::writing(&self.folder)(error.into()))?;
        }
        // The commit point: until here the step did not happen.
        self.origin.saved(&step.place).save(&self.folder.join(PLACE))?;
        Ok(applied)
    }

    fn record(&self, name: &RecordName) -> RecordFolder {
        let member = self.folder.join(RECORDS).join(name.member.as_str());
        RecordFolder { folder: member.join(name.record.to_string()) }
    }

    fn store(&self, item: &Item) -> Result<bool, SinkError> {
        self.record(&item.header.name).store(item)
    }
}

impl Sink for FolderSink {
    fn place(&self) -> Option<&Place> {
        known(&self.place)
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SinkError> {
        if self.has_failed {
            return Err(SinkError::Failed { path: self.folder.clone() });
        }
        self.has_failed = true;
        let applied = self.carry_out(step)?;
        self.place = step.place.clone();
        self.has_failed = false;
        Ok(applied)
    }
}

/// A folder without a place is empty, or the first start was cut off.
fn demand_unused(folder: &Path) -> Result<(), SinkError> {
    for entry in fs::read_dir(folder).map_err(SinkError::reading(folder))? {
        let name = entry.map_err(SinkError::reading(folder))?.file_name();
        let own = name.to_str().is_some_and(|name| BEGUN.iter().any(|own| name.starts_with(own)));
        if !own {
            return Err(SinkError::foreign(folder, "it holds other files and no place.json"));
        }
    }
    Ok(())
}

/// What is kept of one record. Its path is made of a member's id and a UUID, never of a text that was sent.
struct RecordFolder {
    folder: PathBuf,
}

/// The note of a withdrawal.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Withdrawn {
    withdrawal: String,
    epoch: u32,
    sequence: u64,
    demand_deletion: bool,
    holding: Holding,
    /// What was said of those before it, the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Said>,
}

/// What was held when a withdrawal came.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Said {
    withdrawal: String,
    holding: Holding,
}

/// A revision's file, as far as it counts.
#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    fact: Fact,
    #[serde(default)]
    envelope: String,
}

impl Kept {
    /// Whether it has a payload that can be taken back.
    fn may_go(&self) -> bool {
        !self.envelope.is_empty() && is_recallable(&self.fact.kind)
    }
}

impl RecordFolder {
    /// Keeps an entry; whether it was not there before.
    fn store(&self, item: &Item) -> Result<bool, SinkError> {
        profile::create_folder(&self.folder)?;
        let path = self.folder.join(format!("{}.json", item.header.revision));
        let kept = read::<Kept>(&path)?;
        let mut fact = item.fact();
        let known = kept.as_ref().map(|kept| (kept.fact.epoch, kept.fact.sequence));
        let is_new = known != Some((item.epoch, item.sequence));
        // In another epoch the same revision has another place; the last one counts.
        if known.is_some_and(|known| known > (item.epoch, item.sequence)) {
            return Ok(false);
        }
        let kept = kept.as_ref().map(|kept| &kept.fact);
        fact.erased = fact.erased.or_else(|| kept.and_then(|kept| kept.erased.clone()));
        fact.deleted = kept.and_then(|kept| kept.deleted.clone());
        if fact.deleted.is_none() && is_recallable(&fact.kind) {
            fact.deleted = self.withdrawn()?.and_then(Withdrawn::deletion);
        }
        let line = match &item.payload {
            Payload::Whole { line, .. } if fact.erased.is_none() && fact.deleted.is_none() => {
                line.clone()
            }
            Payload::Whole { .. } | Payload::Erased { .. } => fact.line(),
        };
        write(&path, &line)?;
        Ok(is_new)
    }

    fn withdraw(&self, withdrawal: &Withdrawal) -> Result<Holding, SinkError> {
        profile::create_folder(&self.folder)?;
        let before = self.withdrawn()?;
        let demand_deletion =
            withdrawal.demand_deletion || before.as_ref().is_some_and(|note| note.demand_deletion);
        let mut earlier = before.map(Withdrawn::said).unwrap_or_default();
        let name = withdrawal.name.to_string();
        let holding = match earlier.iter().find(|said| said.withdrawal == name) {
            Some(said) => said.holding,
            None => self.holding(withdrawal)?,
        };
        earlier.retain(|said| said.withdrawal != name);
        earlier.drain(..earlier.len().saturating_sub(EARLIER_MAX));
        let note = Withdrawn {
            withdrawal: name,
            epoch: withdrawal.epoch,
            sequence: withdrawal.sequence,
            demand_deletion,
            holding,
            earlier,
        };
        let text = serde_json::to_string(&note).unwrap_or_default();
        write(&self.folder.join(WITHDRAWN), &text)?;
        if demand_deletion {
            self.purge(withdrawal)?;
        }
        Ok(holding)
    }

    /// What is held, and what was deleted for this very withdrawal by a step that was cut off.
    fn holding(&self, withdrawal: &Withdrawal) -> Result<Holding, SinkError> {
        let kept: Vec<Kept> = self
            .revisions()?
            .iter()
            .filter_map(|path| read(path).transpose())
            .collect::<Result<_, _>>()?;
        let deleted = Some(withdrawal.deleted_by());
        let was_there = |kept: &Kept| kept.may_go() || kept.fact.deleted == deleted;
        Ok(withdrawal.holding(kept.iter().any(was_there)))
    }

    /// Leaves of every revision the fact alone, and nothing of what was being written.
    fn purge(&self, withdrawal: &Withdrawal) -> Result<(), SinkError> {
        for path in self.revisions()? {
            match read::<Kept>(&path)? {
                Some(kept) if kept.may_go() => {
                    let deleted = Some(withdrawal.deleted_by());
                    write(&path, &Fact { deleted, ..kept.fact }.line())?;
                }
                Some(_) => {}
                None => fs::remove_file(&path).map_err(SinkError::writing(&path))?,
            }
        }
        for path in self.files("tmp")? {
            fs::remove_file(&path).map_err(SinkError::writing(&path))?;
        }
        Ok(())
    }

    fn withdrawn(&self) -> Result<Option<Withdrawn>, SinkError> {
        read(&self.folder.join(WITHDRAWN))
    }

    fn revisions(&self) -> Result<Vec<PathBuf>, SinkError> {
        let mut paths = self.files("json")?;
        paths.retain(|path| path.file_name().is_some_and(|name| name != WITHDRAWN));
        Ok(paths)
    }

    fn files(&self, extension: &str) -> Result<Vec<PathBuf>, SinkError> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(SinkError::reading(&self.folder))? {
            let path = entry.map_err(SinkError::reading(&self.folder))?.path();
            if path.extension().is_some_and(|own| own == extension) {
                paths.push(path);
            }
        }
        Ok(paths)
    }
}

impl Withdrawn {
    /// What was said so far.
    fn said(self) -> Vec<Said> {
        let Self { withdrawal, holding, mut earlier, .. } = self;
        earlier.push(Said { withdrawal, holding });
        earlier
    }

    /// What is noted with a revision that comes after its record was to be deleted.
    fn deletion(self) -> Option<DeletedBy> {
        let Self { withdrawal, epoch, sequence, demand_deletion, .. } = self;
        demand_deletion.then_some(DeletedBy { withdrawal, epoch, sequence })
    }
}

/// Reads a file; `None` if it is not there, or is not what a whole write leaves: its step did not happen.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, SinkError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(_) | Err(_) => Ok(serde_json::from_slice(&profile::read(path)?).ok()),
    }
}

/// Puts a line in a file's place. What is beside it has one name, so that the next write takes it away.
fn write(path: &Path, line: &str) -> Result<(), SinkError> {
    let beside = path.with_extension("json.tmp");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&beside)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(SinkError::writing(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::origin::sample;
    use crate::client::sink::tests::Maker;
    use crate::client::sink::tests::step;

    fn open(path: &Path) -> Result<FolderSink, SinkError> {
        FolderSink::open(path, &sample("00"))
    }

    fn text(sink: &FolderSink, record: &RecordName, file: &str) -> String {
        fs::read_to_string(sink.record(record).folder.join(file)).unwrap()
    }

    #[test]
    fn a_revision_has_a_file_that_is_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let maker = Maker::new();
        let record = maker.record();
        let mut sink = open(&folder.path().join("records")).unwrap();
        let items = vec![maker.revision(3, &record, 1), maker.revision(4, &record, 2)];
        let lines: Vec<String> = items.iter().map(|item| format!("{}\n", item.line())).collect();
        sink.apply(&step(items)).unwrap();
        assert_eq!([text(&sink, &record, "1.json"), text(&sink, &record, "2.json")], *lines);
        let line = lines[0].trim_end();
        crate::client::entry_from_json(line, &maker.world.verifier()).unwrap();
    }

    #[test]
    fn a_step_that_was_cut_off_is_done_again_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let maker = Maker::new();
        let record = maker.record();
        let whole = step(vec![
            maker.revision(3, &record, 1),
            maker.withdrawal(4, &record, true),
            maker.revision(5, &maker.record(), 1),
        ]);
        let mut sink = open(&path).unwrap();
        let blank = fs::read(path.join(PLACE)).unwrap();
        let first = sink.apply(&whole).unwrap();
        assert_eq!(first.recalls[0].holding, Holding::Deleted);
        drop(sink);
        // As a crash leaves it before the place is renamed, with a torn file and one that was being written.
        fs::write(path.join(PLACE), &blank).unwrap();
        let mut sink = open(&path).unwrap();
        assert_eq!(sink.place(), None);
        let own = sink.record(&record).folder;
        fs::write(own.join("1.json.tmp"), "{\"epoch\":1,\"seq").unwrap();
        let second = sink.apply(&whole).unwrap();
        assert_eq!(second.recalls, first.recalls);
        assert_eq!((second.stored, second.repeated), (0, 3));
        assert!(!text(&sink, &record, "1.json").contains("envelope"));
        assert!(!own.join("1.json.tmp").exists());
    }

    #[test]
    fn torn_files_are_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let maker = Maker::new();
        let record = maker.record();
        let mut sink = open(&path).unwrap();
        for torn in ["", "{\"epoch\":1,\"sequ", "[]", "\u{0}\u{0}\u{0}"] {
            let own = sink.record(&record).folder;
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("1.json"), torn).unwrap();
            fs::write(own.join(WITHDRAWN), torn).unwrap();
            let applied = sink.apply(&step(vec![maker.revision(3, &record, 1)])).unwrap();
            assert_eq!(applied.stored, 1, "{torn:?}");
            assert!(text(&sink, &record, "1.json").contains("envelope"));
        }
        // A withdrawal leaves nothing of what cannot be read.
        let own = sink.record(&record).folder;
        fs::write(own.join("2.json"), "r2.example").unwrap();
        fs::write(own.join("2.json.tmp"), "r2.example").unwrap();
        sink.apply(&step(vec![maker.withdrawal(5, &record, true)])).unwrap();
        assert!(!own.join("2.json").exists() && !own.join("2.json.tmp").exists());
    }

    #[test]
    fn a_torn_place_is_told_and_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        drop(open(&path).unwrap());
        for torn in ["", "{}", "garbage", "{\"exchange\":"] {
            fs::write(path.join(PLACE), torn).unwrap();
            assert!(matches!(open(&path), Err(SinkError::File(_))), "{torn:?}");
        }
    }

    #[test]
    fn other_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter.txt"), "dear all").unwrap();
        assert!(matches!(open(folder.path()), Err(SinkError::Foreign { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was left in it");
        let file = folder.path().join("letter.txt");
        assert!(matches!(open(&file), Err(SinkError::File(_))));
    }

    #[test]
    fn a_first_start_that_was_cut_off_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "").unwrap();
        fs::write(folder.path().join("place.json.0123.tmp"), "{").unwrap();
        assert_eq!(open(folder.path()).unwrap().place(), None);
    }

    #[test]
    fn two_processes_do_not_write_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        assert!(matches!(open(folder.path()), Err(SinkError::InUse { .. })));
        drop(first);
        open(folder.path()).unwrap();
    }

    #[test]
    fn every_name_stays_inside() {
        let folder = tempfile::tempdir().unwrap();
        let sink = open(folder.path()).unwrap();
        for hostile in ["members/../records/", "members/a/b/records/", "members//records/"] {
            let name = format!("{hostile}01890a5d-ac96-774b-bcce-b302099a8057");
            assert!(name.parse::<RecordName>().is_err(), "{name}");
        }
        let name = "members/con/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let own = sink.record(&name).folder;
        assert!(own.starts_with(folder.path().join(RECORDS).join("con")));
    }
}
