//! Records in an `SQLite` database: one transaction for a step, its place in the same one.
//!
//! What is deleted is overwritten in the file (`secure_delete`), and the write-ahead log, which may hold it too, is
//! emptied after every step that deletes.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;
use rusqlite::Transaction;
use rusqlite::TransactionBehavior;
use rusqlite::named_params;
use rusqlite::params;
use serde::Deserialize;
use serde_json::value::RawValue;

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
use crate::client::sink::known;
use crate::client::subscribe::Place;
use crate::profile::SavedCursor;

/// "WFsk": whose file it is.
const APPLICATION_ID: i32 = 0x5746_736b;
/// Of the tables.
const FORMAT: i32 = 1;
const TABLES: &str = include_str!("sqlite.sql");
/// What was held when each withdrawal came; databases that were made before get it when they are opened.
const HELD: &str = "CREATE TABLE IF NOT EXISTS held (
    of TEXT NOT NULL, name TEXT NOT NULL, holding TEXT NOT NULL, PRIMARY KEY (of, name)) STRICT";
/// Whether the operator's reset of a member's keys was confirmed by then; the same.
const UNCONFIRMED: &str = "ALTER TABLE records ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0";
/// Records that can be taken back, as `effects::is_recallable` has it.
macro_rules! recallable {
    () => {
        "kind IN ('indicator', 'operation', 'attribution', 'link', 'sighting', 'opinion', 'action-report', 'inquiry', \
         'reply', 'note')"
    };
}
/// How long another program may hold the database before a step fails.
const BUSY: Duration = Duration::from_secs(30);

/// A database with records.
pub struct SqliteSink {
    path: PathBuf,
    connection: Connection,
    origin: Origin,
    place: Place,
    /// Steps so far: another process that writes would have moved it.
    steps: i64,
    /// Whether the write-ahead log may hold what was deleted.
    must_truncate: bool,
    /// Whether a step failed.
    has_failed: bool,
}

impl SqliteSink {
    /// Opens a database, or makes it.
    pub fn open(path: &Path, origin: &Origin) -> Result<Self, SinkError> {
        // In full: ":memory:" and the empty name mean something else to SQLite.
        let path = std::path::absolute(path).map_err(SinkError::reading(path))?;
        create_private(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |source| SinkError::Database { path: path.clone(), source };
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        let is_new = whose(&connection, &path)?;
        settle(&connection).map_err(failed)?;
        if is_new {
            create(&mut connection, origin).map_err(failed)?;
        }
        complete(&mut connection).map_err(failed)?;
        let (place, steps) = load(&connection, &path, origin)?;
        let mut sink = Self {
            path,
            connection,
            origin: origin.clone(),
            place,
            steps,
            must_truncate: true,
            has_failed: false,
        };
        sink.truncate()?;
        Ok(sink)
    }

    /// Empties the write-ahead log. A reader may hold it for now; then it is tried again with the next step.
    fn truncate(&mut self) -> Result<(), SinkError> {
        if !self.must_truncate {
            return Ok(());
        }
        let checkpoint = |connection: &Connection| {
            connection.busy_timeout(Duration::ZERO)?;
            let pragma = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy = connection.query_row(pragma, [], |row| row.get::<_, i64>(0))?;
            connection.busy_timeout(BUSY)?;
            Ok(busy != 0)
        };
        self.must_truncate = checkpoint(&self.connection)
            .map_err(|source| SinkError::Database { path: self.path.clone(), source })?;
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<Applied, SinkError> {
        let path = self.path.clone();
        let failed = |source| SinkError::Database { path: path.clone(), source };
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let mut work = Work { transaction: &transaction, applied: Applied::default(), purged: 0 };
        for effect in &step.effects {
            work.effect(effect).map_err(failed)?;
        }
        let Work { transaction: _lent, applied, purged } = work;
        let saved = self.origin.saved(&step.place);
        let moved = save(&transaction, &saved, self.steps).map_err(failed)?;
        if moved != 1 {
            return Err(SinkError::InUse { path });
        }
        transaction.commit().map_err(failed)?;
        self.steps += 1;
        self.place = step.place.clone();
        self.must_truncate |= purged > 0;
        self.truncate()?;
        Ok(applied)
    }
}

impl Sink for SqliteSink {
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

/// The file, empty if it is new, readable by its owner alone; `SQLite` gives its companions the same mode.
fn create_private(path: &Path) -> Result<(), SinkError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(SinkError::writing(path)(error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the database is new; refuses one that is something else's.
fn whose(connection: &Connection, path: &Path) -> Result<bool, SinkError> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let read = || -> rusqlite::Result<(i32, i32, i32)> {
        let objects = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, objects))
    };
    match read() {
        Ok((0, 0, 0)) => Ok(true),
        Ok((APPLICATION_ID, FORMAT, _)) => Ok(false),
        Ok((APPLICATION_ID, version, _)) => {
            Err(SinkError::foreign(path, format!("its tables have format {version}")))
        }
        Ok(_) => Err(SinkError::foreign(path, "it is a database of something else")),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(SinkError::foreign(path, "it is not a database"))
        }
        Err(source) => Err(SinkError::Database { path: path.to_owned(), source }),
    }
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")
}

fn create(connection: &mut Connection, origin: &Origin) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    let blank = origin.saved(&Place::default());
    transaction.execute(
        "INSERT INTO sink (only, exchange, member, filter, epoch, steps) VALUES (1, ?, ?, ?, 0, 0)",
        params![blank.exchange, blank.member, blank.filter],
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Adds what databases that were made before do not have.
fn complete(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(HELD)?;
    let columns = "SELECT count(*) FROM pragma_table_info('records') WHERE name = 'unconfirmed'";
    if transaction.query_row(columns, [], |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(UNCONFIRMED)?;
    }
    transaction.commit()
}

fn load(connection: &Connection, path: &Path, origin: &Origin) -> Result<(Place, i64), SinkError> {
    let row = connection.query_row(
        "SELECT exchange, member, filter, cursor, epoch, sequence, steps FROM sink",
        [],
        |row| {
            let saved = SavedCursor {
                exchange: row.get(0)?,
                member: row.get(1)?,
                filter: row.get(2)?,
                cursor: row.get(3)?,
                epoch: row.get(4)?,
                sequence: row.get::<_, Option<i64>>(5)?.and_then(|number| number.try_into().ok()),
                offered: None,
            };
            Ok((saved, row.get(6)?))
        },
    );
    let damaged = |error: rusqlite::Error| SinkError::damaged(path, error.to_string());
    let (saved, steps) = row.map_err(damaged)?;
    Ok((origin.place(&saved).map_err(SinkError::place(path))?, steps))
}

fn save(transaction: &Transaction<'_>, saved: &SavedCursor, steps: i64) -> rusqlite::Result<usize> {
    transaction.execute(
        "UPDATE sink SET cursor = ?, epoch = ?, sequence = ?, steps = steps + 1 WHERE steps = ?",
        params![saved.cursor, saved.epoch, saved.sequence.map(number).transpose()?, steps],
    )
}

/// `SQLite`'s whole numbers have a sign.
fn number(sequence: u64) -> rusqlite::Result<i64> {
    i64::try_from(sequence).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The body's part of a line.
fn body_of(line: &str) -> rusqlite::Result<&str> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        body: &'a RawValue,
    }

    let parsed: Line<'_> = serde_json::from_str(line)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(parsed.body.get())
}

/// A step that is carried out.
struct Work<'a> {
    transaction: &'a Transaction<'a>,
    applied: Applied,
    /// Rows whose payload went.
    purged: usize,
}

impl Work<'_> {
    fn effect(&mut self, effect: &Effect) -> rusqlite::Result<()> {
        match effect {
            Effect::Store(item) => self.store(item),
            Effect::Withdraw(withdrawal) => self.withdraw(withdrawal),
        }
    }

    fn store(&mut self, item: &Item) -> rusqlite::Result<()> {
        if let Payload::Erased { cause_sequence } = item.payload {
            self.erase(item, cause_sequence)?;
        }
        let stored = self.insert(item)?;
        self.applied.stored += u64::from(stored);
        self.applied.repeated += u64::from(!stored);
        Ok(())
    }

    /// Whether it was not there before. What is known of its record and revision already holds for it too.
    fn insert(&self, item: &Item) -> rusqlite::Result<bool> {
        let fact = item.fact();
        let header = &item.header;
        let erased_by = self.erased_by(item)?;
        let withdrawn = self.withdrawn(&fact.name, &fact.kind)?;
        let is_deleted = withdrawn.is_some_and(|(_epoch, _sequence, demand)| demand);
        let whole = match &item.payload {
            Payload::Whole { line, envelope } if !is_deleted && erased_by.is_none() => {
                Some((line, envelope))
            }
            Payload::Whole { .. } | Payload::Erased { .. } => None,
        };
        let handling = whole.map(|_held| &header.handling);
        let names = |names: Vec<String>| serde_json::Value::from(names).to_string();
        let reach = handling.map(|handling| &handling.reach);
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO records (epoch, sequence, name, revision, publisher, kind, accept_time, header_digest,
                previous_digest, create_time, tlp, audiences, recipients, onward_uses, use_until, in_doubt, left_filter,
                unconfirmed, withdrawn_epoch, withdrawn_sequence, deleted, erased_by, body, body_digest, envelope)
             VALUES (:epoch, :sequence, :name, :revision, :publisher, :kind, :accept_time, :header_digest,
                :previous_digest, :create_time, :tlp, :audiences, :recipients, :onward_uses, :use_until, :in_doubt, :left_filter,
                :unconfirmed, :withdrawn_epoch, :withdrawn_sequence, :deleted, :erased_by, :body, :body_digest, :envelope)
             ON CONFLICT (epoch, sequence) DO NOTHING",
        )?;
        let rows = statement.execute(named_params! {
            ":epoch": item.epoch,
            ":sequence": number(item.sequence)?,
            ":name": fact.name,
            ":revision": header.revision,
            ":publisher": fact.publisher,
            ":kind": fact.kind,
            ":accept_time": fact.accept_time,
            ":header_digest": fact.header_digest,
            ":previous_digest": header.previous_digest.map(hex::encode),
            ":create_time": whole.map(|_held| header.create_time.to_string()),
            ":tlp": handling.map(|handling| handling.tlp.to_string()),
            ":audiences": reach.map(|reach| names(reach.audiences.iter().map(ToString::to_string).collect())),
            ":recipients": reach.map(|reach| names(reach.recipients.iter().map(ToString::to_string).collect())),
            ":onward_uses": handling.map(|handling| names(handling.onward_uses.iter().map(|onward| onward.as_str().to_owned()).collect())),
            ":use_until": handling.and_then(|handling| handling.use_until).map(|time| time.to_string()),
            ":in_doubt": item.doubts.compromised,
            ":left_filter": item.has_left_filter,
            ":unconfirmed": item.doubts.unconfirmed,
            ":withdrawn_epoch": withdrawn.map(|(epoch, _, _)| epoch),
            ":withdrawn_sequence": withdrawn.map(|(_, sequence, _)| sequence),
            ":deleted": is_deleted,
            ":erased_by": erased_by,
            ":body": whole.map(|(line, _)| body_of(line)).transpose()?,
            ":body_digest": hex::encode(header.body_digest),
            ":envelope": whole.map(|(_, envelope)| envelope),
        })?;
        Ok(rows > 0)
    }

    /// Epoch and sequence of the record's withdrawal, and whether it demands deletion.
    fn withdrawn(&self, name: &str, kind: &str) -> rusqlite::Result<Option<(u32, i64, bool)>> {
        if !super::effects::is_recallable(kind) {
            return Ok(None);
        }
        self.transaction
            .prepare_cached(
                "SELECT epoch, sequence, demand_deletion FROM withdrawals WHERE of = ?",
            )?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
    }

    /// The cause, if this revision's body was erased, as it says itself or as is known.
    fn erased_by(&self, item: &Item) -> rusqlite::Result<Option<i64>> {
        if let Payload::Erased { cause_sequence } = item.payload {
            return number(cause_sequence).map(Some);
        }
        self.transaction
            .prepare_cached(
                "SELECT erased_by FROM records WHERE name = ? AND revision = ? AND erased_by IS NOT NULL LIMIT 1",
            )?
            .query_row(params![item.header.name.to_string(), item.header.revision], |row| row.get(0))
            .optional()
    }

    /// Deletes what is held of one revision.
    fn erase(&mut self, item: &Item, cause_sequence: u64) -> rusqlite::Result<()> {
        self.purged += self
            .transaction
            .prepare_cached(
                "UPDATE records SET erased_by = ?, body = NULL, envelope = NULL, create_time = NULL, tlp = NULL,
                    audiences = NULL, recipients = NULL, onward_uses = NULL, use_until = NULL
                 WHERE name = ? AND revision = ? AND erased_by IS NULL",
            )?
            .execute(params![
                number(cause_sequence)?,
                item.header.name.to_string(),
                item.header.revision
            ])?;
        Ok(())
    }

    fn withdraw(&mut self, withdrawal: &Withdrawal) -> rusqlite::Result<()> {
        let of = withdrawal.of.to_string();
        let holding = self.holding(withdrawal, &of)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO withdrawals (of, name, epoch, sequence, demand_deletion, holding)
                 VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (of) DO UPDATE SET name = excluded.name, epoch = excluded.epoch,
                    sequence = excluded.sequence, holding = excluded.holding,
                    demand_deletion = max(demand_deletion, excluded.demand_deletion)",
            )?
            .execute(params![
                of,
                withdrawal.name.to_string(),
                withdrawal.epoch,
                number(withdrawal.sequence)?,
                withdrawal.demand_deletion,
                holding.as_str()
            ])?;
        self.transaction
            .prepare_cached(
                "INSERT INTO held (of, name, holding) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )?
            .execute(params![of, withdrawal.name.to_string(), holding.as_str()])?;
        self.mark(withdrawal, &of)?;
        self.applied.recalls.push(Recall { withdrawal: withdrawal.clone(), holding });
        Ok(())
    }

    /// What is held of a record; what was said of this withdrawal before is said again.
    fn holding(&self, withdrawal: &Withdrawal, of: &str) -> rusqlite::Result<Holding> {
        let said: Option<String> = self
            .transaction
            .prepare_cached(
                "SELECT holding FROM held WHERE of = ?1 AND name = ?2
                 UNION ALL SELECT holding FROM withdrawals WHERE of = ?1 AND name = ?2 LIMIT 1",
            )?
            .query_row([of, &withdrawal.name.to_string()], |row| row.get(0))
            .optional()?;
        let all = [Holding::Deleted, Holding::Held, Holding::NotHeld];
        if let Some(said) = all.into_iter().find(|one| said.as_deref() == Some(one.as_str())) {
            return Ok(said);
        }
        let is_held: bool = self
            .transaction
            .prepare_cached(concat!(
                "SELECT EXISTS (SELECT 1 FROM records WHERE name = ? AND envelope IS NOT NULL AND ",
                recallable!(),
                ")"
            ))?
            .query_row([of], |row| row.get(0))?;
        Ok(withdrawal.holding(is_held))
    }

    fn mark(&mut self, withdrawal: &Withdrawal, of: &str) -> rusqlite::Result<()> {
        let sequence = number(withdrawal.sequence)?;
        self.transaction
            .prepare_cached(
                concat!(
                    "UPDATE records SET withdrawn_epoch = ?, withdrawn_sequence = ? WHERE name = ? AND ",
                    recallable!()
                ),
            )?
            .execute(params![withdrawal.epoch, sequence, of])?;
        if withdrawal.demand_deletion {
            self.purged += self
                .transaction
                .prepare_cached(
                    concat!(
                        "UPDATE records SET deleted = 1, body = NULL, envelope = NULL, create_time = NULL, tlp = NULL,
                            audiences = NULL, recipients = NULL, onward_uses = NULL, use_until = NULL
                         WHERE name = ? AND deleted = 0 AND ",
                        recallable!()
                    ),
                )?
                .execute([of])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::origin::sample;
    use crate::client::sink::tests::Maker;
    use crate::client::sink::tests::step;

    fn open(path: &Path) -> Result<SqliteSink, SinkError> {
        SqliteSink::open(path, &sample("00"))
    }

    #[test]
    fn the_view_shows_latest_revisions_that_were_not_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let maker = Maker::new();
        let (first, second) = (maker.record(), maker.record());
        let mut sink = open(&path).unwrap();
        sink.apply(&step(vec![
            maker.revision(3, &first, 1),
            maker.revision(4, &second, 1),
            maker.revision(5, &first, 2),
            maker.withdrawal(6, &second, false),
        ]))
        .unwrap();
        let current = |sink: &SqliteSink| -> Vec<(i64, String)> {
            let mut statement = sink
                .connection
                .prepare(
                    "SELECT sequence, body FROM current WHERE kind = 'indicator' ORDER BY sequence",
                )
                .unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        let shown = current(&sink);
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].0, 5);
        assert!(shown[0].1.contains("r2.example"), "{}", shown[0].1);
        drop(sink);
        let again = open(&path).unwrap();
        assert_eq!(current(&again), shown);
        assert_eq!(again.place().unwrap().sequence, Some(6));
    }

    #[test]
    fn the_database_and_the_model_agree_on_what_can_be_taken_back() {
        let connection = Connection::open_in_memory().unwrap();
        let sql = concat!("SELECT ", recallable!(), " FROM (SELECT ? AS kind)");
        for kind in crate::model::header::BodyKind::ALL {
            let kind = kind.as_str();
            let told: bool = connection.query_row(sql, [kind], |row| row.get(0)).unwrap();
            assert_eq!(told, crate::client::sink::effects::is_recallable(kind), "{kind}");
        }
    }

    #[test]
    fn an_envelope_verifies_again() {
        use prost::Message as _;

        let folder = tempfile::tempdir().unwrap();
        let maker = Maker::new();
        let mut sink = open(&folder.path().join("records.db")).unwrap();
        let record = maker.record();
        sink.apply(&step(vec![maker.revision(3, &record, 1)])).unwrap();
        let bytes: Vec<u8> = sink
            .connection
            .query_row("SELECT envelope FROM records WHERE sequence = 3", [], |row| row.get(0))
            .unwrap();
        let envelope = crate::wire::pb::Envelope::decode(bytes.as_slice()).unwrap();
        let entry = maker.verify(3, envelope).unwrap();
        assert_eq!(entry.header().name, record);
    }

    #[test]
    fn what_is_deleted_is_in_none_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let maker = Maker::new();
        let record = maker.record();
        let holds = || {
            let files = std::fs::read_dir(folder.path()).unwrap();
            let mut bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
            bytes.any(|bytes| bytes.windows(10).any(|window| window == b"r1.example"))
        };
        let mut sink = open(&path).unwrap();
        sink.apply(&step(vec![maker.revision(3, &record, 1)])).unwrap();
        assert!(holds());
        sink.apply(&step(vec![maker.withdrawal(4, &record, true)])).unwrap();
        assert!(!holds(), "while it is open");
        drop(sink);
        assert!(!holds());
    }

    #[test]
    fn a_reader_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let log = folder.path().join("records.db-wal");
        let maker = Maker::new();
        let record = maker.record();
        let mut sink = open(&path).unwrap();
        sink.apply(&step(vec![maker.revision(3, &record, 1)])).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM records").unwrap();
        let begun = std::time::Instant::now();
        let recall = sink.apply(&step(vec![maker.withdrawal(4, &record, true)])).unwrap();
        assert_eq!(recall.recalls[0].holding, Holding::Deleted);
        assert!(begun.elapsed() < BUSY / 2);
        assert!(log.metadata().unwrap().len() > 0, "the reader still needs it");
        reader.execute_batch("COMMIT").unwrap();
        sink.apply(&step(vec![maker.revision(5, &maker.record(), 1)])).unwrap();
        assert_eq!(log.metadata().unwrap().len(), 0);
    }

    #[test]
    fn other_files_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let garbage = folder.path().join("garbage");
        std::fs::write(&garbage, "not a database ".repeat(100)).unwrap();
        assert!(matches!(open(&garbage), Err(SinkError::Foreign { .. })));
        assert_eq!(std::fs::read(&garbage).unwrap().len(), 1500);

        let other = folder.path().join("other.db");
        let connection = Connection::open(&other).unwrap();
        connection.execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
        assert!(matches!(open(&other), Err(SinkError::Foreign { .. })));

        let newer = folder.path().join("newer.db");
        drop(open(&newer).unwrap());
        let connection = Connection::open(&newer).unwrap();
        connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        assert!(matches!(open(&newer), Err(SinkError::Foreign { .. })));
    }

    #[test]
    fn a_database_that_knew_nothing_of_unconfirmed_keys_learns_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let maker = Maker::new();
        let mut sink = open(&path).unwrap();
        sink.apply(&step(vec![maker.revision(3, &maker.record(), 1)])).unwrap();
        sink.connection.execute_batch("ALTER TABLE records DROP COLUMN unconfirmed").unwrap();
        drop(sink);
        let mut sink = open(&path).unwrap();
        let mut item = maker.revision(4, &maker.record(), 1);
        item.doubts.unconfirmed = true;
        sink.apply(&step(vec![item])).unwrap();
        let flags =
            "SELECT group_concat(unconfirmed) FROM (SELECT * FROM current ORDER BY sequence)";
        let flags: String = sink.connection.query_row(flags, [], |row| row.get(0)).unwrap();
        assert_eq!(flags, "0,1");
    }

    #[test]
    fn a_database_that_was_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let maker = Maker::new();
        let mut sink = open(&path).unwrap();
        sink.apply(&step(vec![maker.revision(3, &maker.record(), 1)])).unwrap();
        drop(sink);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        assert!(open(&path).is_err());
    }

    #[test]
    fn two_processes_do_not_write_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let maker = Maker::new();
        let (mut first, mut second) = (open(&path).unwrap(), open(&path).unwrap());
        first.apply(&step(vec![maker.revision(3, &maker.record(), 1)])).unwrap();
        let late = step(vec![maker.revision(4, &maker.record(), 1)]);
        assert!(matches!(second.apply(&late), Err(SinkError::InUse { .. })));
        assert!(matches!(second.apply(&late), Err(SinkError::Failed { .. })));
        let count = "SELECT count(*) FROM records";
        let rows: i64 = first.connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "nothing of the other's step is there");
    }

    #[test]
    fn names_that_mean_something_to_sqlite_are_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in [":memory:", "file:x?mode=memory", "a?b#c"] {
            let path = folder.path().join(name);
            drop(open(&path).unwrap());
            assert!(path.metadata().unwrap().len() > 0, "{name}");
        }
        let mode = std::os::unix::fs::MetadataExt::mode(
            &folder.path().join(":memory:").metadata().unwrap(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_sequence_that_sqlite_cannot_count_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let maker = Maker::new();
        let mut sink = open(&folder.path().join("records.db")).unwrap();
        let mut item = maker.revision(3, &maker.record(), 1);
        item.sequence = u64::MAX;
        assert!(matches!(sink.apply(&step(vec![item])), Err(SinkError::Database { .. })));
    }
}
