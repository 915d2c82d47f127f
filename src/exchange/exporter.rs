//! Entries on their way out, as one reader may see them: what writers of other formats are given.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::exchange::entries;
use crate::exchange::search::latest_below;
use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Named;
use crate::interop::exported::names_of;
use crate::interop::stix;
use crate::model::facts::Facts;
use crate::model::names::RecordName;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::time::Timestamp;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::StoredEntry;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// Named records that are remembered: most records of a run name the same few.
const NAMED_KEPT: usize = 4096;

/// Reads entries for one reader. Whatever it says of a record that another one names is asked of the policy too.
pub(super) struct Exporter<'a> {
    pub(super) store: &'a Store,
    pub(super) reader: &'a Reader,
    /// The size of the log that is shown.
    pub(super) size: u64,
    block: Option<LogBlock>,
    named: HashMap<RecordName, Option<Named>>,
    /// The places of which the reader was told something, until they are taken.
    shown: Vec<u64>,
}

impl<'a> Exporter<'a> {
    pub(super) fn new(store: &'a Store, reader: &'a Reader, size: u64) -> Self {
        Self { store, reader, size, block: None, named: HashMap::new(), shown: Vec::new() }
    }

    /// The facts at a place, if the reader may see what is there.
    pub(super) fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, StoreError> {
        let reader = self.reader;
        if sequence >= self.size {
            return Ok(None);
        }
        let stored = self.stored(sequence)?;
        let shown = stored.filter(|(_block, stored)| may_see(reader, &stored.facts.scope));
        let facts = shown.map(|(_block, stored)| stored.facts.clone());
        self.shown.extend(facts.as_ref().map(|_seen| sequence));
        Ok(facts)
    }

    /// The places that were judged since this was last asked, and may be seen: what was said of them may be sent for as long
    /// as that is so.
    pub(super) fn take_shown(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.shown)
    }

    /// The place of the latest revision of a record that is shown, with its facts, if the reader may see that one.
    pub(super) fn latest(&mut self, name: &RecordName) -> Result<Option<(u64, Facts)>, StoreError> {
        let Some(place) = latest_below(self.store, name, self.size)? else { return Ok(None) };
        Ok(self.facts(place)?.map(|facts| (place, facts)))
    }

    /// The record at a place that was judged already, with everything that a format needs.
    pub(super) fn record(&mut self, sequence: u64) -> Result<ExportedRecord, StoreError> {
        let mut record = self.bare(sequence)?;
        record.first_accept_time = self.first_accept_time(&record)?;
        let names: Vec<RecordName> = names_of(&record.record).into_iter().cloned().collect();
        for name in names {
            if let Some(named) = self.named(&name)? {
                record.named.insert(name, named);
            }
        }
        Ok(record)
    }

    /// The same without what lies elsewhere in the log: it counts as the first revision, and names nothing.
    pub(super) fn bare(&mut self, sequence: u64) -> Result<ExportedRecord, StoreError> {
        let (block, stored) =
            self.stored(sequence)?.ok_or_else(|| StoreError::missing(sequence))?;
        exported(entries::decode(block, stored)?)
    }

    /// When the first revision was taken in. One that the reader may not see counts as this one.
    fn first_accept_time(&mut self, record: &ExportedRecord) -> Result<Timestamp, StoreError> {
        if record.record.header.revision == 1 {
            return Ok(record.accept_time);
        }
        let Some(first) = self.store.revision(record.name(), 1)? else {
            return Ok(record.accept_time);
        };
        match self.facts(first)? {
            Some(_seen) => entries::accept_time(self.store, first),
            None => Ok(record.accept_time),
        }
    }

    /// What a record is for those that name it; `None` if it is not there for this reader.
    fn named(&mut self, name: &RecordName) -> Result<Option<Named>, StoreError> {
        if let Some(named) = self.named.get(name) {
            return Ok(*named);
        }
        let named = match self.latest(name)? {
            Some((place, _facts)) => Some(stix::named(&self.bare(place)?.record)),
            None => None,
        };
        if self.named.len() >= NAMED_KEPT {
            self.named.clear();
        }
        self.named.insert(name.clone(), named);
        Ok(named)
    }

    fn stored(&mut self, sequence: u64) -> Result<Option<(&LogBlock, &StoredEntry)>, StoreError> {
        if self.block.as_ref().is_none_or(|block| block.at(sequence).is_none()) {
            self.block = self.store.block_at(sequence)?;
        }
        Ok(self.block.as_ref().and_then(|block| Some((block, block.at(sequence)?))))
    }
}

/// An entry as it is, as if it were alone in the log.
fn exported(entry: pb::Entry) -> Result<ExportedRecord, StoreError> {
    let (epoch, sequence) = (entry.epoch, entry.sequence);
    let damaged = |what| StoreError::Corrupt { place: format!("sequence {sequence}"), what };
    let time = entry.accept_time.unwrap_or_default();
    let accept_time = wire::time::timestamp(&time, "entry.accept_time")
        .map_err(|_refused| damaged("its time is unreadable"))?;
    let record: Record =
        wire::envelope::of_entry(entry).map_err(|_refused| damaged("its record is unreadable"))?;
    Ok(ExportedRecord {
        epoch,
        sequence,
        accept_time,
        first_accept_time: accept_time,
        record,
        recalled: None,
        named: BTreeMap::new(),
    })
}
