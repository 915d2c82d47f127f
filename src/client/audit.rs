//! An audit: every leaf of the log, whoever may read its entry, against the checkpoints that the hub signs.
//!
//! The leaves say without any body that no place is missing, that time never runs backwards, and that no revision of a
//! record is there twice. What was audited is kept in the profile, so that the next audit goes on where this one ended;
//! it is on the disk, so that a longer log takes no more memory.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Transaction;
use rusqlite::params;

use crate::client::account::Deviation;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::evidence::Exhibit;
use crate::client::verifier::VerificationError;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::Sequence;
use crate::model::time::Timestamp;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::Frontier;
use crate::transparency::LeafData;
use crate::wire;
use crate::wire::pb;

/// The file in the profile.
const FILE: &str = "audit.sqlite";

/// What an audit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The checkpoint whose tree was worked out from the leaves.
    pub checkpoint: Checkpoint,
    /// Leaves that were looked at for the first time.
    pub fresh: u64,
    /// When the last entry was taken in.
    pub accept_time: Timestamp,
}

/// An audit that can go on.
pub struct Audit {
    client: Client,
    kept: Connection,
    place: Place,
}

/// How far the log was audited.
#[derive(Clone, Debug, Default)]
struct Place {
    epoch: u32,
    tree: Frontier,
    accept_time: Timestamp,
}

impl Audit {
    /// Goes on where the last audit of this profile ended.
    pub fn open(client: Client) -> Result<Self, ClientError> {
        let path = client.profile().folder().join(FILE);
        let failed = |error: rusqlite::Error| unusable(&path, &error);
        let kept = Connection::open(&path).map_err(failed)?;
        kept.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL,
                 size INTEGER NOT NULL, peaks BLOB NOT NULL, accept_time INTEGER NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS slot (name_digest BLOB PRIMARY KEY, sequence INTEGER NOT NULL)
                 STRICT, WITHOUT ROWID;",
        )
        .map_err(failed)?;
        let place = load(&kept).map_err(failed)?.unwrap_or_default();
        Ok(Self { client, kept, place })
    }

    /// Audits up to the hub's newest checkpoint; `progress` hears how far it is, and how far it goes.
    pub async fn advance(
        &mut self,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Audited, ClientError> {
        let (target, note) = self.client.newest().await?;
        if self.place.epoch != target.epoch {
            self.begin(target.epoch)?;
        }
        let before = self.place.tree.size();
        while self.place.tree.size() < target.size {
            let leaves = self.page(target.size).await?;
            if let Err(deviation) = self.take(&leaves)? {
                return Err(self.accuse(deviation, &note, &leaves).await);
            }
            progress(self.place.tree.size(), target.size);
        }
        if self.place.tree.size() == target.size && self.place.tree.root() != target.root {
            return Err(self.accuse(Deviation::Root, &note, &[]).await);
        }
        Ok(Audited {
            checkpoint: target,
            fresh: target.size.saturating_sub(before),
            accept_time: self.place.accept_time,
        })
    }

    /// The next leaves below a size, as the hub lists them.
    async fn page(&self, end: u64) -> Result<Vec<LeafData>, ClientError> {
        let start = self.place.tree.size();
        let room =
            end.saturating_sub(start).min(u64::try_from(limits::PAGE_ENTRIES_MAX).unwrap_or(0));
        let request = pb::ListLeafHashesRequest {
            start_sequence: start,
            page_size: u32::try_from(room).unwrap_or(u32::MAX),
        };
        let answer = self.client.transparency_service().list_leaf_hashes(request).await?;
        let leaves = answer.into_inner().leaves.into_iter();
        let leaves = leaves.take(limits::PAGE_ENTRIES_MAX).map(leaf_from_wire);
        let leaves = leaves.collect::<Option<Vec<_>>>();
        let leaves = leaves.ok_or_else(|| VerificationError::answer("a leaf is malformed"))?;
        if leaves.is_empty() {
            let why =
                format!("it has no leaf at sequence {start}, though its log has {end} entries");
            return Err(VerificationError::answer(why).into());
        }
        Ok(leaves)
    }

    /// Takes leaves that follow; they and the place are kept together.
    fn take(&mut self, leaves: &[LeafData]) -> Result<Result<(), Deviation>, ClientError> {
        let path = self.client.profile().folder().join(FILE);
        let failed = |error: rusqlite::Error| unusable(&path, &error);
        let mut next = self.place.clone();
        let transaction = self.kept.transaction().map_err(failed)?;
        for leaf in leaves {
            if leaf.sequence.0 != next.tree.size() {
                return Ok(Err(Deviation::Place));
            }
            if leaf.accept_time < next.accept_time {
                return Ok(Err(Deviation::BackDated(leaf.sequence.0)));
            }
            if let Some(taken) = slot(&transaction, leaf).map_err(failed)? {
                return Ok(Err(Deviation::TakenTwice { first: taken, second: leaf.sequence.0 }));
            }
            next.accept_time = leaf.accept_time;
            next.tree.push(leaf.hash());
        }
        save(&transaction, &next).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.place = next;
        Ok(Ok(()))
    }

    /// A new epoch is a new log: it is audited from its first entry on.
    fn begin(&mut self, epoch: u32) -> Result<(), ClientError> {
        let path = self.client.profile().folder().join(FILE);
        let failed = |error: rusqlite::Error| unusable(&path, &error);
        let transaction = self.kept.transaction().map_err(failed)?;
        transaction.execute("DELETE FROM slot", []).map_err(failed)?;
        let place = Place { epoch, ..Place::default() };
        save(&transaction, &place).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.place = place;
        Ok(())
    }

    async fn accuse(&self, deviation: Deviation, note: &str, leaves: &[LeafData]) -> ClientError {
        let bytes: Vec<u8> = leaves.iter().flat_map(LeafData::to_bytes).collect();
        let exhibits = vec![Exhibit::checkpoint(note), Exhibit::received("leaf data", &bytes)];
        let error = VerificationError::deviation(deviation);
        self.client.keep_evidence(error, exhibits, None).await.into()
    }
}

fn load(kept: &Connection) -> rusqlite::Result<Option<Place>> {
    let query = "SELECT epoch, size, peaks, accept_time FROM place";
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, u32>(0)?, number(row, 1)?, row.get::<_, Vec<u8>>(2)?, number(row, 3)?))
    };
    let Some((epoch, size, peaks, time)) = kept.query_row(query, [], row).optional()? else {
        return Ok(None);
    };
    let tree = Frontier::from_peaks(size, peaks.as_chunks().0.to_vec());
    // One that cannot be read is begun anew.
    Ok(tree.zip(Timestamp::from_micros(time)).map(|(tree, accept_time)| Place {
        epoch,
        tree,
        accept_time,
    }))
}

fn save(transaction: &Transaction<'_>, place: &Place) -> rusqlite::Result<()> {
    let Place { epoch, tree, accept_time } = place;
    let (size, time) = (tree.size().cast_signed(), accept_time.as_micros().cast_signed());
    let row = params![epoch, size, tree.peaks().concat(), time];
    let insert = "INSERT OR REPLACE INTO place (one, epoch, size, peaks, accept_time) VALUES (1, ?, ?, ?, ?)";
    transaction.execute(insert, row).map(drop)
}

/// Takes the slot of a revision; the place that has it already, if one has.
fn slot(transaction: &Transaction<'_>, leaf: &LeafData) -> rusqlite::Result<Option<u64>> {
    let insert = "INSERT OR IGNORE INTO slot (name_digest, sequence) VALUES (?, ?)";
    let mut insert = transaction.prepare_cached(insert)?;
    if insert.execute(params![leaf.name_digest, leaf.sequence.0.cast_signed()])? == 1 {
        return Ok(None);
    }
    let find = "SELECT sequence FROM slot WHERE name_digest = ?";
    transaction.query_row(find, params![leaf.name_digest], |row| number(row, 0)).map(Some)
}

/// `SQLite`'s numbers have a sign; the bits are the same.
fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn leaf_from_wire(wire: pb::Leaf) -> Option<LeafData> {
    let pb::Leaf { sequence, accept_time, name_digest, header_digest, signatures_digest } = wire;
    let digest = |bytes: Vec<u8>| -> Option<Digest> { bytes.try_into().ok() };
    Some(LeafData {
        sequence: Sequence(sequence),
        accept_time: wire::time::timestamp(&accept_time?, "leaf.accept_time").ok()?,
        name_digest: digest(name_digest)?,
        header_digest: digest(header_digest)?,
        signatures_digest: digest(signatures_digest)?,
    })
}

fn unusable(path: &Path, error: &rusqlite::Error) -> ClientError {
    ProfileError::Malformed { path: path.to_owned(), why: error.to_string() }.into()
}
