//! Bodies that go: the blocks they lay in are written anew, and what they were found by is swept.

use std::collections::HashSet;
use std::sync::PoisonError;

use sled::Batch;

use crate::model::facts::Facts;
use crate::model::index_keys::Term;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::block::Builder;
use crate::store::block::Decoded;
use crate::store::block::LogBlock;
use crate::store::disk::Disk as _;
use crate::store::index::Posting;
use crate::store::keys;
use crate::store::log::Store;
use crate::store::log::group::Rows;
use crate::store::log::group::insert_rows;
use crate::store::log::release_pages;
use crate::store::log::views::ScopeKeys;

/// Bodies that go with a group.
#[derive(Debug, Default)]
pub struct Erasing {
    /// Whose, each with the encoding that it has from now on. Rising.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The demand that is met by it: when it was due, and its sequence.
    pub met: Option<(Timestamp, u64)>,
    /// The first sequence whose body is still kept, if it is another from now on.
    pub floor: Option<u64>,
}

/// A demand to erase a record that is not met yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDemand {
    /// From when on.
    pub due: Timestamp,
    /// The sequence of the withdrawal.
    pub sequence: u64,
    /// The record.
    pub of: RecordName,
}

/// Postings of bodies that go.
#[derive(Default)]
struct Gone {
    terms: HashSet<Posting>,
    values: HashSet<Posting>,
}

/// Builds a block anew in which some entries have another encoding, and notes what their bodies were found by. It is
/// never larger than it was.
fn rewrite(
    old: &Decoded,
    erased: &[(u64, Vec<u8>)],
    batch: &mut Batch,
    gone: &mut Gone,
) -> Result<LogBlock, StoreError> {
    let first = old.block.first;
    let mut builder = Builder::new(first);
    let mut scopes = ScopeKeys::default();
    for (sequence, entry) in old.block.entries_from(0) {
        let erased = erased.iter().find(|(other, _framed)| *other == sequence);
        let taken = match erased {
            None => builder.take(&entry.facts, &old.block.framed(entry))?,
            Some((_sequence, framed)) => {
                scopes.look_at(&entry.facts.scope);
                let terms = old.block.terms(entry)?;
                // What the scope says stays.
                let stays: Vec<u64> = scopes.keys(scopes.operation.as_slice()).collect();
                let keys = scopes.keys(&terms).filter(|key| !stays.contains(key));
                gone.terms.extend(keys.map(|key| (key, sequence)));
                let value = entry.facts.value_digest.as_ref().map(Term::value);
                gone.values.extend(scopes.keys(value.as_slice()).map(|key| (key, sequence)));
                builder.take(&Facts { value_digest: None, ..entry.facts.clone() }, framed)?
            }
        };
        if !taken {
            return Err(StoreError::corrupt(format!("block {first}"), "it grew"));
        }
    }
    let built = builder.build(old.head.as_deref())?;
    batch.insert(keys::block(first), built.row.as_ref());
    let pieces = u16::try_from(built.pieces.len()).unwrap_or(u16::MAX);
    for (number, piece) in (0_u16..).zip(built.pieces) {
        batch.insert(keys::piece(first, number), piece);
    }
    for number in pieces..old.pieces {
        batch.remove(keys::piece(first, number));
    }
    Ok(built.block)
}

impl Store {
    /// Writes rows together with blocks whose entries lose their bodies, and forgets what those were found by.
    pub(super) fn write_erasing(
        &self,
        rows: Rows,
        erasing: &Erasing,
    ) -> Result<Vec<LogBlock>, StoreError> {
        let mut batch = Batch::default();
        insert_rows(&mut batch, rows);
        let mut rewritten = Vec::new();
        let mut gone = Gone::default();
        let mut rest = erasing.entries.as_slice();
        while let Some((sequence, _framed)) = rest.first() {
            let old = self.decoded_at(*sequence)?;
            let here = rest.partition_point(|(sequence, _framed)| *sequence < old.block.end());
            let (own, later) = rest.split_at(here.max(1));
            rest = later;
            rewritten.push(rewrite(&old, own, &mut batch, &mut gone)?);
        }
        let _alone = self.rewriting.write().unwrap_or_else(PoisonError::into_inner);
        self.terms.forget(&gone.terms, &mut batch);
        self.values.forget(&gone.values, &mut batch);
        if let Some((due, sequence)) = erasing.met {
            batch.remove(keys::demand(due.as_micros(), sequence));
        }
        if let Some(floor) = erasing.floor {
            batch.insert(&keys::FLOOR, floor.to_be_bytes().to_vec());
        }
        self.written(self.db.apply_batch(batch).map_err(StoreError::io("writing the log")))?;
        Ok(rewritten)
    }

    /// Takes postings of bodies that are gone out of one short run, or one part of a long run, of each index; whether
    /// there were any. By the writing thread only. It is durable with the next group: what a crash takes back is swept
    /// again. Nothing is swept while the disk is full.
    pub fn sweep(&self) -> Result<bool, StoreError> {
        if !self.has_space()? {
            return Ok(false);
        }
        let mut any = false;
        // Names stay.
        for index in [&self.values, &self.terms] {
            let Some(swept) = index.sweep(&self.db)? else { continue };
            let bytes = {
                let _alone = self.rewriting.write().unwrap_or_else(PoisonError::into_inner);
                self.written(index.replace(&self.db, swept))?
            };
            self.wrote(bytes)?;
            any = true;
        }
        release_pages();
        Ok(any)
    }

    /// Demands to erase that are not met yet.
    pub fn demands(&self) -> Result<Vec<OpenDemand>, StoreError> {
        let damaged = || StoreError::corrupt("the demands to erase", "one is unreadable");
        self.db
            .scan_prefix([keys::DEMAND])
            .map(|row| {
                let (key, name) = row.map_err(StoreError::io("reading demands"))?;
                let (due, sequence) = keys::demand_of(&key).ok_or_else(damaged)?;
                let name = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok());
                Ok(OpenDemand {
                    due: Timestamp::from_micros(due).ok_or_else(damaged)?,
                    sequence,
                    of: name.ok_or_else(damaged)?,
                })
            })
            .collect()
    }

    /// The first sequence whose body is kept, as far as retention goes.
    pub fn floor(&self) -> Result<u64, StoreError> {
        Ok(self.get_number(&keys::FLOOR)?.unwrap_or_default())
    }
}
