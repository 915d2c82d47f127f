//! The records of a feed, and the events that they make: only those that changed are made again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::interop::exported::ExportedRecord;
use crate::interop::misp::asset;
use crate::interop::misp::event::Event;
use crate::interop::misp::event::event;
use crate::interop::misp::event::listed;
use crate::interop::misp::home::Home;
use crate::model::handling::Tlp;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;

/// Records of a feed at most: all of them are held while it is made, about 3 KiB each.
pub(super) const FEED_RECORDS_MAX: usize = 500_000;

/// More records than a feed can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {FEED_RECORDS_MAX} records match: narrow the filter")]
pub struct TooMany;

/// What a feed is made of.
#[derive(Debug)]
pub struct Feed {
    tlp_max: Tlp,
    records: BTreeMap<RecordName, ExportedRecord>,
    /// The events as they were made last: what belonged to them.
    made: BTreeMap<Home, BTreeSet<RecordName>>,
    /// What changed since.
    changed: BTreeSet<RecordName>,
    /// How many were left out for their label.
    too_strict: BTreeSet<RecordName>,
}

impl Feed {
    /// Without records. Those with a stricter label than this are left out.
    pub const fn new(tlp_max: Tlp) -> Self {
        Self {
            tlp_max,
            records: BTreeMap::new(),
            made: BTreeMap::new(),
            changed: BTreeSet::new(),
            too_strict: BTreeSet::new(),
        }
    }

    /// Puts a record in, in place of an earlier revision.
    pub fn put(&mut self, record: ExportedRecord) -> Result<(), TooMany> {
        let name = record.name().clone();
        let is_strict = record.record.header.handling.tlp > self.tlp_max;
        if record.is_erased() || record.recalled.is_some() || is_strict {
            self.remove(&name);
            if is_strict {
                self.too_strict.insert(name);
            }
            return Ok(());
        }
        self.too_strict.remove(&name);
        self.changed.insert(name.clone());
        self.records.insert(name, record);
        if self.records.len() > FEED_RECORDS_MAX { Err(TooMany) } else { Ok(()) }
    }

    /// Takes a record out: it was withdrawn or erased, or is not to be seen any more.
    pub fn remove(&mut self, name: &RecordName) {
        self.too_strict.remove(name);
        if self.records.remove(name).is_some() {
            self.changed.insert(name.clone());
        }
    }

    /// How many records were left out since their label is stricter than the feed takes.
    pub fn too_strict(&self) -> usize {
        self.too_strict.len()
    }

    /// When the feed changes by itself, after `now`.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.records.values().filter_map(|record| asset::next_change(record, now)).min()
    }

    /// Makes the events anew that changed since they were made at `since`, and tells which there are no more.
    pub fn make(&mut self, since: Timestamp, now: Timestamp) -> (Vec<Event>, Vec<Uuid>) {
        let mut homes: BTreeMap<Home, BTreeSet<RecordName>> = BTreeMap::new();
        for (name, record) in &self.records {
            if let Some(home) = Home::of(record, &self.records) {
                homes.entry(home).or_default().insert(name.clone());
            }
        }
        let turned = |name: &RecordName| {
            let turn = self.records.get(name).and_then(|record| asset::next_change(record, since));
            turn.is_some_and(|turn| turn <= now)
        };
        let is_new = |home: &Home, names: &BTreeSet<RecordName>| {
            self.made.get(home) != Some(names)
                || names.iter().any(|name| self.changed.contains(name) || turned(name))
        };
        let events = homes
            .iter()
            .filter(|(home, names)| is_new(home, names))
            .map(|(home, names)| {
                let records: Vec<&ExportedRecord> =
                    names.iter().filter_map(|name| self.records.get(name)).collect();
                event(home, &records, now)
            })
            .collect();
        let gone =
            self.made.keys().filter(|home| !homes.contains_key(*home)).map(Home::event).collect();
        self.made = homes;
        self.changed.clear();
        (events, gone)
    }
}

/// The manifest of these events, each as its file says it.
pub fn manifest<'a, I: Iterator<Item = &'a Value>>(events: I) -> Value {
    let one = |json: &Value| {
        let uuid = json.get("Event")?.get("uuid")?.as_str()?.to_owned();
        Some((uuid, listed(json)))
    };
    Value::Object(events.filter_map(one).collect::<Map<_, _>>())
}

/// `hashes.csv`: which event has a value with this MD5.
pub fn hashes_csv<'a, I: Iterator<Item = (Uuid, &'a BTreeSet<String>)>>(events: I) -> String {
    let pairs =
        events.flat_map(|(uuid, hashes)| hashes.iter().map(move |hash| (hash.as_str(), uuid)));
    let pairs: BTreeSet<(&str, Uuid)> = pairs.collect();
    let mut text = String::new();
    for (hash, uuid) in pairs {
        text.push_str(hash);
        text.push(',');
        text.push_str(&uuid.to_string());
        text.push('\n');
    }
    text
}
