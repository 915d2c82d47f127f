//! Reading back what a database of records holds, as it is exported.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use prost::Message as _;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;
use rusqlite::params;

use crate::client::sink::SinkError;
use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Named;
use crate::interop::exported::Recalled;
use crate::interop::exported::names_of;
use crate::interop::stix;
use crate::model::header::BodyKind;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire::envelope;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// The records of a database that a [`SqliteSink`](crate::client::SqliteSink) writes.
pub struct StoredRecords {
    path: PathBuf,
    connection: Connection,
}

/// A record that is held.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its latest revision. What it names is known as far as it is held, too.
    pub record: ExportedRecord,
    /// Whether its first revision is held, so that its first time is right.
    pub has_first: bool,
}

/// A row of the latest revision.
struct Row {
    epoch: u32,
    sequence: i64,
    accept_time: String,
    envelope: Option<Vec<u8>>,
    has_left: bool,
    withdrawn: Option<(u32, i64)>,
}

impl StoredRecords {
    /// Opens a database that is there, to read.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let path = std::path::absolute(path).map_err(SinkError::reading(path))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)
            .map_err(|source| SinkError::Database { path: path.clone(), source })?;
        Ok(Self { path, connection })
    }

    /// The names of all records that members said something with.
    pub fn names(&self) -> Result<Vec<RecordName>, SinkError> {
        let read = || {
            let mut statement =
                self.connection.prepare("SELECT DISTINCT name, kind FROM records ORDER BY name")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
        };
        let rows = read().map_err(|source| self.failed(source))?;
        let chosen =
            rows.iter().filter(|(_name, word)| kind(word).is_some_and(BodyKind::is_chosen));
        chosen.map(|(name, _word)| super::own_name(name, &self.path)).collect()
    }

    /// A record as it stands; `None` if nothing of it is held that may be shown: it was deleted or erased, or left what is
    /// followed.
    pub fn get(&self, name: &RecordName) -> Result<Option<StoredRecord>, SinkError> {
        let text = name.to_string();
        let Some(row) = self.latest(&text).map_err(|source| self.failed(source))? else {
            return Ok(None);
        };
        let Some(bytes) = row.envelope.as_ref().filter(|_bytes| !row.has_left) else {
            return Ok(None);
        };
        let record = self.record(&text, bytes)?;
        let first = self.first(&text).map_err(|source| self.failed(source))?;
        let (first_time, has_first) = first
            .map_or((row.accept_time.clone(), false), |(time, revision)| (time, revision == 1));
        let mut named = BTreeMap::new();
        for other in names_of(&record) {
            if let Some(known) = self.named(other)? {
                named.insert(other.clone(), known);
            }
        }
        let recalled = match row.withdrawn {
            Some((epoch, sequence)) => {
                let time = self.accepted(epoch, sequence).map_err(|source| self.failed(source))?;
                // A withdrawal is kept before what it takes back is marked; without it, the record's own time is left.
                let time = self.time(&time.unwrap_or_else(|| row.accept_time.clone()))?;
                Some(Recalled { sequence: self.number(sequence)?, accept_time: time })
            }
            None => None,
        };
        let record = ExportedRecord {
            epoch: row.epoch,
            sequence: self.number(row.sequence)?,
            accept_time: self.time(&row.accept_time)?,
            first_accept_time: self.time(&first_time)?,
            record,
            recalled,
            named,
        };
        Ok(Some(StoredRecord { record, has_first }))
    }

    /// What a record is for those that name it; `None` if nothing of it is held.
    fn named(&self, name: &RecordName) -> Result<Option<Named>, SinkError> {
        let failed = |source| self.failed(source);
        let Some(kind) = self.kind(name).map_err(failed)? else { return Ok(None) };
        let known = Named { kind, is_unnameable: false };
        if kind != BodyKind::Indicator {
            return Ok(Some(known));
        }
        let text = name.to_string();
        let envelope = self.latest(&text).map_err(failed)?.and_then(|row| row.envelope);
        match envelope {
            Some(bytes) => Ok(Some(stix::named(&self.record(&text, &bytes)?))),
            None => Ok(Some(known)),
        }
    }

    fn record(&self, name: &str, envelope: &[u8]) -> Result<Record, SinkError> {
        let damaged = |why: String| SinkError::damaged(&self.path, format!("{name}: {why}"));
        let envelope = pb::Envelope::decode(envelope).map_err(|why| damaged(why.to_string()))?;
        envelope::record(envelope).map_err(|why| damaged(why.to_string()))
    }

    fn latest(&self, name: &str) -> rusqlite::Result<Option<Row>> {
        self.connection
            .prepare_cached(
                "SELECT epoch, sequence, accept_time, envelope, left_filter, withdrawn_epoch, withdrawn_sequence
                 FROM records WHERE name = ? ORDER BY revision DESC, epoch DESC, sequence DESC LIMIT 1",
            )?
            .query_row([name], |row| {
                let withdrawn: (Option<u32>, Option<i64>) = (row.get(5)?, row.get(6)?);
                Ok(Row {
                    epoch: row.get(0)?,
                    sequence: row.get(1)?,
                    accept_time: row.get(2)?,
                    envelope: row.get(3)?,
                    has_left: row.get(4)?,
                    withdrawn: withdrawn.0.zip(withdrawn.1),
                })
            })
            .optional()
    }

    /// When the earliest revision that is held was taken in, and which one it is.
    fn first(&self, name: &str) -> rusqlite::Result<Option<(String, u32)>> {
        self.connection
            .prepare_cached(
                "SELECT accept_time, revision FROM records WHERE name = ? ORDER BY revision, epoch, sequence LIMIT 1",
            )?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    fn kind(&self, name: &RecordName) -> rusqlite::Result<Option<BodyKind>> {
        let word: Option<String> = self
            .connection
            .prepare_cached("SELECT kind FROM records WHERE name = ? LIMIT 1")?
            .query_row([name.to_string()], |row| row.get(0))
            .optional()?;
        Ok(word.and_then(|word| kind(&word)))
    }

    fn accepted(&self, epoch: u32, sequence: i64) -> rusqlite::Result<Option<String>> {
        self.connection
            .prepare_cached("SELECT accept_time FROM records WHERE epoch = ? AND sequence = ?")?
            .query_row(params![epoch, sequence], |row| row.get(0))
            .optional()
    }

    fn time(&self, text: &str) -> Result<Timestamp, SinkError> {
        let time: Option<jiff::Timestamp> = text.parse().ok();
        time.and_then(|time| u64::try_from(time.as_microsecond()).ok())
            .and_then(Timestamp::from_micros)
            .ok_or_else(|| SinkError::damaged(&self.path, "it has a time that is none"))
    }

    fn number(&self, sequence: i64) -> Result<u64, SinkError> {
        u64::try_from(sequence)
            .map_err(|_negative| SinkError::damaged(&self.path, "it has a place below zero"))
    }

    fn failed(&self, source: rusqlite::Error) -> SinkError {
        SinkError::Database { path: self.path.clone(), source }
    }
}

fn kind(word: &str) -> Option<BodyKind> {
    BodyKind::ALL.iter().copied().find(|kind| kind.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::batch::Item;
    use crate::client::batch::Payload;
    use crate::client::origin::sample;
    use crate::client::sink::Sink as _;
    use crate::client::sink::SqliteSink;
    use crate::client::sink::tests::Maker;
    use crate::client::sink::tests::step;

    #[test]
    fn what_is_held_is_read_back_as_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let maker = Maker::new();
        let [two, withdrawn, deleted, erased, left] = [(); 5].map(|()| maker.record());
        let mut sink = SqliteSink::open(&path, &sample("00")).unwrap();
        let leaving = Item { has_left_filter: true, ..maker.revision(9, &left, 2) };
        let gone = maker.revision(6, &erased, 1);
        let gone = Item { payload: Payload::Erased { cause_sequence: 7 }, ..gone };
        sink.apply(&step(vec![
            maker.revision(1, &two, 1),
            maker.revision(2, &two, 2),
            maker.revision(3, &withdrawn, 1),
            maker.withdrawal(4, &withdrawn, false),
            maker.revision(5, &deleted, 1),
            gone,
            maker.withdrawal(7, &deleted, true),
            maker.revision(8, &left, 1),
            leaving,
        ]))
        .unwrap();
        let stored = StoredRecords::open(&path).unwrap();
        assert_eq!(stored.names().unwrap().len(), 5, "withdrawals say nothing of their own");
        let found = stored.get(&two).unwrap().unwrap();
        assert_eq!((found.record.sequence, found.record.record.header.revision), (2, 2));
        assert!(found.has_first && found.record.recalled.is_none());
        let found = stored.get(&withdrawn).unwrap().unwrap();
        assert_eq!(found.record.recalled.map(|recalled| recalled.sequence), Some(4));
        for name in [&deleted, &erased, &left, &maker.record()] {
            assert!(stored.get(name).unwrap().is_none(), "{name}");
        }
    }
}
