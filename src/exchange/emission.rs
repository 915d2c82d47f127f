//! What an entry of the log brings to a collection of STIX objects.
//!
//! Each revision of a record brings its objects anew, as versions of them; a revision that no longer makes an object
//! revokes it, and what takes a record back revokes all of them. What records share (a value, a technique) is brought
//! by the first entry of the collection that has it, as its reader sees it; members by their admission, and what is
//! always the same by the founding record. So each version of an object is brought once, by one place of the log.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;

use serde_json::Map;
use serde_json::Value;

use crate::exchange::collections::Collection;
use crate::exchange::exporter::Exporter;
use crate::exchange::reads::is_latest;
use crate::exchange::turns::Halt;
use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Recalled;
use crate::interop::stix;
use crate::interop::stix::Object;
use crate::interop::stix::Origin;
use crate::model::facts::Facts;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire::body::Content;
use crate::wire::body::RosterAction;

/// Shared objects whose first entries are remembered while a page is filled.
const BROUGHT_KEPT: usize = 65_536;

/// What one entry brings.
pub(super) struct Emission {
    /// When it was taken in.
    pub(super) accept_time: Timestamp,
    /// Its objects, each shared one before what refers to it.
    pub(super) objects: Vec<Emitted>,
}

/// One version of an object.
pub(super) struct Emitted {
    pub(super) json: Map<String, Value>,
    origin: Origin,
    /// Whether there is no earlier version.
    pub(super) is_first: bool,
    /// Whether there is no later one.
    pub(super) is_last: bool,
}

impl Emitted {
    /// A text of the object; empty if it has none.
    pub(super) fn text(&self, property: &str) -> &str {
        text(&self.json, property)
    }

    /// An object of which there is one version only.
    fn shared(object: Object) -> Self {
        Self { json: object.json, origin: object.origin, is_first: true, is_last: true }
    }
}

fn text<'a>(json: &'a Map<String, Value>, property: &str) -> &'a str {
    json.get(property).and_then(Value::as_str).unwrap_or_default()
}

/// Finds out what entries bring, for one reader and one collection.
pub(super) struct Emitter<'a> {
    exporter: Exporter<'a>,
    /// The same for looks back, so that neither takes the other's block away.
    back: Exporter<'a>,
    collection: &'a Collection,
    halt: &'a Halt,
    /// The groups among which earlier entries are looked for.
    groups: Vec<Group>,
    /// Entries that have a shared object, by its id: the first ones that were met.
    brought: HashMap<String, u64>,
    /// Earlier entries of the collection all of whose shared objects are there.
    known: HashSet<u64>,
    /// Places at which earlier entries may still be looked for, for the entry that was asked for last.
    looks_back: usize,
    /// Entries looked at so far.
    pub(super) examined: usize,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(exporter: Exporter<'a>, collection: &'a Collection, halt: &'a Halt) -> Self {
        let back = Exporter::new(exporter.store, exporter.reader, exporter.size);
        let groups = match collection {
            Collection::Everything | Collection::Operation(_) => Group::of_reader(exporter.reader),
            Collection::Audience(audience) => vec![Group::of_audience(audience)],
        };
        Self {
            exporter,
            back,
            collection,
            halt,
            groups,
            brought: HashMap::new(),
            known: HashSet::new(),
            looks_back: 0,
            examined: 0,
        }
    }

    /// The size of the log that is shown.
    pub(super) const fn size(&self) -> u64 {
        self.exporter.size
    }

    pub(super) const fn store(&self) -> &'a Store {
        self.exporter.store
    }

    /// What the entry at a place brings; nothing if it is not in the collection or not for the reader.
    pub(super) fn emission(&mut self, sequence: u64) -> Result<Option<Emission>, StoreError> {
        self.halt.check()?;
        self.examined = self.examined.saturating_add(1);
        self.looks_back = limits::BROUGHT_EXAMINED_MAX;
        let Some(facts) = self.exporter.facts(sequence)? else { return Ok(None) };
        let kind = facts.scope.body_kind;
        if kind.is_recall() {
            return self.recall(sequence);
        }
        if !self.collection.has(&facts) {
            return Ok(None);
        }
        if kind == BodyKind::Genesis || kind == BodyKind::RosterChange {
            return Ok(Some(founding(&self.exporter.bare(sequence)?)));
        }
        if kind.is_chosen() { Ok(Some(self.revision(sequence, &facts)?)) } else { Ok(None) }
    }

    /// Whether no earlier entry of the collection brings the object too, of the entry that was asked for last.
    pub(super) fn is_brought_by(
        &mut self,
        emitted: &Emitted,
        sequence: u64,
    ) -> Result<bool, StoreError> {
        match &emitted.origin {
            Origin::Record | Origin::Member(_) | Origin::Fixed => return Ok(true),
            Origin::Value(_) | Origin::Technique(_) => {}
        }
        let id = emitted.text("id");
        if let Some(first) = self.brought.get(id) {
            return Ok(*first == sequence);
        }
        let is_first = !self.is_in_earlier(&emitted.origin, id, sequence)?;
        if is_first {
            self.remember([id.to_owned()], sequence);
        }
        Ok(is_first)
    }

    /// Remembers that an entry has shared objects.
    fn remember(&mut self, ids: impl IntoIterator<Item = String>, sequence: u64) {
        if self.brought.len() >= BROUGHT_KEPT {
            self.brought.clear();
            self.known.clear();
        }
        for id in ids {
            self.brought.entry(id).or_insert(sequence);
        }
    }

    /// The objects of a revision, and of those that the one before it made the ones that it does not.
    fn revision(&mut self, sequence: u64, facts: &Facts) -> Result<Emission, StoreError> {
        let record = self.exporter.record(sequence)?;
        let stands = self.stands(facts)?;
        let mut earlier = self.previous(facts)?;
        let mut objects = Vec::new();
        for object in stix::objects(&record) {
            match &object.origin {
                Origin::Member(_) | Origin::Fixed => {}
                Origin::Value(_) | Origin::Technique(_) => objects.push(Emitted::shared(object)),
                Origin::Record => {
                    let is_first = earlier.remove(text(&object.json, "id")).is_none();
                    let Object { json, origin } = object;
                    objects.push(Emitted { json, origin, is_first, is_last: stands });
                }
            }
        }
        if !earlier.is_empty() {
            let later = if stands { BTreeSet::new() } else { self.ids_of_latest(facts)? };
            let now = stix::modified(&record).to_string();
            for (id, mut json) in earlier {
                revoke(&mut json, &now);
                let is_last = !later.contains(&id);
                objects.push(Emitted { json, origin: Origin::Record, is_first: false, is_last });
            }
        }
        Ok(Emission { accept_time: record.accept_time, objects })
    }

    /// Whether a revision is the latest, of a record that was not taken back.
    fn stands(&self, facts: &Facts) -> Result<bool, StoreError> {
        let (store, size) = (self.store(), self.size());
        let withdrawn = store.withdrawn(&facts.name())?.is_some_and(|place| place < size);
        Ok(!withdrawn && is_latest(store, facts, size)?)
    }

    /// The objects that the revision before this one made by itself, by id; none if the reader may not see it.
    fn previous(
        &mut self,
        facts: &Facts,
    ) -> Result<BTreeMap<String, Map<String, Value>>, StoreError> {
        let before = facts.revision.saturating_sub(1);
        if before == 0 {
            return Ok(BTreeMap::new());
        }
        self.examined = self.examined.saturating_add(1);
        let Some(place) = self.store().revision(&facts.name(), before)? else {
            return Ok(BTreeMap::new());
        };
        match self.back.facts(place)? {
            Some(_seen) => Ok(own(stix::objects(&self.back.record(place)?))),
            None => Ok(BTreeMap::new()),
        }
    }

    fn ids_of_latest(&mut self, facts: &Facts) -> Result<BTreeSet<String>, StoreError> {
        let Some((place, _facts)) = self.back.latest(&facts.name())? else {
            return Ok(BTreeSet::new());
        };
        self.examined = self.examined.saturating_add(1);
        Ok(own(stix::objects(&self.back.record(place)?)).into_keys().collect())
    }

    /// The objects of a record that is taken back, revoked. It is where the record is.
    fn recall(&mut self, sequence: u64) -> Result<Option<Emission>, StoreError> {
        let recall = self.exporter.bare(sequence)?;
        let Some(of) = recall.record.content.withdraws() else { return Ok(None) };
        let Some((place, facts)) = self.back.latest(of)? else { return Ok(None) };
        if !self.collection.has(&facts) {
            return Ok(None);
        }
        let mut record = self.back.record(place)?;
        let before = own(stix::objects(&record));
        let accept_time = recall.accept_time;
        record.recalled = Some(Recalled { sequence, accept_time });
        let last = self.store().withdrawn(of)?.filter(|last| *last < self.size());
        let is_last = last.is_none_or(|last| last == sequence);
        let now = stix::modified(&record).to_string();
        let objects = own(stix::objects(&record)).into_iter().map(|(id, mut json)| {
            let is_first = !before.contains_key(&id);
            revoke(&mut json, &now);
            Emitted { json, origin: Origin::Record, is_first, is_last }
        });
        Ok(Some(Emission { accept_time, objects: objects.collect() }))
    }

    /// Whether an entry before a place brings a shared object to the collection. No, if so many others have to be looked
    /// at for it that it is given again. Each is taken apart once, whatever is looked for.
    fn is_in_earlier(
        &mut self,
        origin: &Origin,
        id: &str,
        before: u64,
    ) -> Result<bool, StoreError> {
        let places = self.places_with(origin)?;
        for place in places.into_iter().take_while(|place| *place < before) {
            if self.known.contains(&place) {
                continue;
            }
            self.halt.check()?;
            let Some(left) = self.looks_back.checked_sub(1) else { return Ok(false) };
            self.looks_back = left;
            self.examined = self.examined.saturating_add(1);
            let Some(facts) = self.back.facts(place)? else { continue };
            if !facts.scope.body_kind.is_chosen() || !self.collection.has(&facts) {
                continue;
            }
            let ids = stix::shared_ids(&self.back.bare(place)?);
            let is_found = ids.contains(id);
            self.remember(ids, place);
            self.known.insert(place);
            if is_found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Places that may have a shared object, rising.
    fn places_with(&self, origin: &Origin) -> Result<Vec<u64>, StoreError> {
        let limit = limits::BROUGHT_EXAMINED_MAX;
        let mut places = Vec::new();
        for group in &self.groups {
            self.halt.check()?;
            match origin {
                Origin::Value(digest) => {
                    places.extend(self.store().find_value(digest, *group, limit)?);
                    places.extend(self.store().find_term(Term::end(digest), *group, 0, limit)?);
                }
                Origin::Technique(id) => {
                    places.extend(self.store().find_term(Term::technique(id), *group, 0, limit)?);
                }
                Origin::Record | Origin::Member(_) | Origin::Fixed => {}
            }
        }
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }
}

/// What the founding record and admissions bring.
fn founding(record: &ExportedRecord) -> Emission {
    let mut objects = Vec::new();
    if let Content::Genesis(genesis) = &record.record.content {
        objects.extend(stix::fixed_objects());
        objects.push(stix::member(&genesis.operator));
    }
    if let Content::RosterChange { member, change: RosterAction::Admit { .. } } =
        &record.record.content
    {
        objects.push(stix::member(member));
    }
    let objects = objects.into_iter().map(Emitted::shared).collect();
    Emission { accept_time: record.accept_time, objects }
}

/// The objects that a record makes by itself, by id.
fn own(objects: Vec<Object>) -> BTreeMap<String, Map<String, Value>> {
    let own = objects.into_iter().filter(|object| object.origin == Origin::Record);
    own.map(|object| (text(&object.json, "id").to_owned(), object.json)).collect()
}

/// Makes an object the version of it that says that it no longer holds.
fn revoke(json: &mut Map<String, Value>, modified: &str) {
    json.insert("revoked".to_owned(), Value::Bool(true));
    json.insert("modified".to_owned(), Value::String(modified.to_owned()));
}
