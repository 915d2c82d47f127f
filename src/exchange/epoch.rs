//! Beginning a new epoch of a log that was restored: the operator's entry, then the erasures that a newer copy knew.

use crate::exchange::admission;
use crate::exchange::entries;
use crate::exchange::eraser::erased_in;
use crate::exchange::founding::Founding;
use crate::exchange::hub::OpenError;
use crate::exchange::hub::current_log_key;
use crate::exchange::hub::fold_roster;
use crate::exchange::hub::log_keys;
use crate::exchange::hub_entries;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::limits;
use crate::model::names::ExchangeName;
use crate::model::names::Sequence;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::time::Clock;
use crate::model::time::Timestamp;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::Verified;
use crate::signing::VerifyingKey;
use crate::store::Erasing;
use crate::store::Group;
use crate::store::Head;
use crate::store::NewEntry;
use crate::store::Store;
use crate::store::StoreError;
use crate::transparency::LogKey;
use crate::transparency::LogKeys;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// Why an epoch does not begin.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The log cannot be opened as this exchange's.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was signed does not begin an epoch of this log.
    #[error("the signed entry does not begin an epoch of this log: {0}")]
    Entry(String),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An epoch that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunEpoch {
    /// Its number.
    pub epoch: u32,
    /// The place of its first entry.
    pub place: u64,
    /// How many bodies were erased that a newer copy knew to be erased.
    pub erased: u64,
}

/// Whether a record is signed by the operator, with a key that signs records. Its signature is checked elsewhere.
pub(super) fn is_the_operators(roster: &Roster, record: &Record) -> bool {
    let publisher = &record.header.name.member;
    let is_operator = roster.member(publisher).is_some_and(|member| member.role == Role::Operator);
    let key = roster.key(&record.key_id);
    is_operator && key.is_some_and(|key| key.member == *publisher && key.key_use == KeyUse::Signing)
}

/// Begins an epoch with the operator's entry, and erases the bodies at these places of the log before it. It may be
/// done again after a crash: what is there is not written twice.
pub fn begin_epoch(
    store: &Store,
    genesis: pb::Envelope,
    log_secret: &SecretKey,
    signed: pb::Envelope,
    erased: &[u64],
    clock: &dyn Clock,
) -> Result<BegunEpoch, EpochError> {
    let founding = Founding::check(genesis)?;
    let mut head = store.head()?;
    if head.frontier.size() == 0 {
        return Err(EpochError::Entry("the log is empty".to_owned()));
    }
    founding.demand_first(store)?;
    let (roster, _epochs) = fold_roster(store, &founding.exchange)?;
    let log_key = current_log_key(&founding.exchange, &roster, log_secret)?;
    let log = Appender { store, founding: &founding, log_key: &log_key, log_secret, clock };
    let record = wire::envelope::record(signed).map_err(|refusal| refused(&refusal))?;
    let Content::Epoch(start) = record.content.clone() else {
        return Err(EpochError::Entry("it is of another kind".to_owned()));
    };
    let place = if let Some(place) = log.begun(&head, &record)? {
        place
    } else {
        demand_last(&log_keys(&founding.exchange, &roster)?, &head, &start)?;
        let record = log.check(&roster, record, head.frontier.size())?;
        head.epoch = start.epoch;
        log.append(&mut head, record, None)?
    };
    let mut count = 0;
    for places in erased.chunks(limits::ERASED_MAX) {
        count += log.erase(&mut head, places, place)?;
    }
    Ok(BegunEpoch { epoch: start.epoch, place, erased: count })
}

/// The founding record of a log that was verified, its exchange, and the keys that have signed for it.
pub fn founding_of(store: &Store) -> Result<(pb::Envelope, ExchangeName, LogKeys), StoreError> {
    let damaged = || StoreError::corrupt("sequence 0", "it is not a founding record");
    let envelope = entries::read(store, 0)?.entry.envelope.unwrap_or_default();
    let record = wire::envelope::record(envelope.clone()).map_err(|_refused| damaged())?;
    let exchange = record.header.exchange;
    let folded = fold_roster(store, &exchange).map_err(|_fault| damaged())?;
    let keys = log_keys(&exchange, &folded.0).map_err(|_fault| damaged())?;
    Ok((envelope, exchange, keys))
}

fn refused(refusal: &Refusal) -> EpochError {
    EpochError::Entry(refusal.to_string())
}

/// Demands that what was signed names the log as it ends.
fn demand_last(
    log_keys: &LogKeys,
    head: &Head,
    start: &wire::body::EpochStart,
) -> Result<(), EpochError> {
    let fault = |what: String| Err(EpochError::Entry(what));
    let named = log_keys.open(&start.checkpoint);
    let named = named.map_err(|error| EpochError::Entry(error.to_string()))?;
    if named != head.summary() {
        return fault(format!(
            "it names a log of {} entries in epoch {}, and this one ends with {} in epoch {}",
            named.size,
            named.epoch,
            head.frontier.size(),
            head.epoch
        ));
    }
    if start.previous != head.epoch {
        return fault(format!(
            "it follows epoch {}, and this log is in {}",
            start.previous, head.epoch
        ));
    }
    Ok(())
}

/// Appends to a log that nobody serves.
struct Appender<'a> {
    store: &'a Store,
    founding: &'a Founding,
    log_key: &'a LogKey,
    log_secret: &'a SecretKey,
    clock: &'a dyn Clock,
}

impl Appender<'_> {
    /// Where this very entry began the epoch that the log is in, if it did.
    fn begun(&self, head: &Head, record: &Record) -> Result<Option<u64>, StoreError> {
        let place = self.store.revision(&record.header.name, record.header.revision)?;
        let Some(place) = place else { return Ok(None) };
        let there = entries::read(self.store, place)?;
        let is_it = there.header_digest == record.header_digest && there.epoch == head.epoch;
        Ok(is_it.then_some(place))
    }

    fn check(
        &self,
        roster: &Roster,
        record: Record,
        place: u64,
    ) -> Result<Verified<Box<Record>>, EpochError> {
        let fault = |what: &str| EpochError::Entry(what.to_owned());
        if record.header.exchange != self.founding.exchange {
            return Err(fault("it was signed for another exchange"));
        }
        let key = roster.key(&record.key_id).filter(|key| key.is_valid_at(Sequence(place)));
        let key = key.filter(|_key| is_the_operators(roster, &record));
        let key = key.ok_or_else(|| fault("it is not signed by a key of the operator"))?;
        let key = VerifyingKey::from_spki(&key.spki)
            .map_err(|error| EpochError::Entry(error.to_string()))?;
        let signature = record.envelope.signatures.first();
        let signature = signature.map(|first| first.sig.clone()).unwrap_or_default();
        let payload = record.envelope.payload.clone();
        signing::verify(Claim {
            payload_type: HEADER_PAYLOAD_TYPE,
            payload: &payload,
            signature: &signature,
            key: &key,
            value: Box::new(record),
        })
        .map_err(|error| EpochError::Entry(error.to_string()))
    }

    /// Erases the bodies at some places that have one still, with a notice that names the beginning of the epoch.
    fn erase(&self, head: &mut Head, places: &[u64], cause: u64) -> Result<u64, StoreError> {
        let notice = head.frontier.size();
        let mut entries = Vec::new();
        for place in places.iter().filter(|place| **place < cause) {
            entries.extend(erased_in(self.store, *place..place.saturating_add(1), notice)?);
        }
        if entries.is_empty() {
            return Ok(0);
        }
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let content = pb::body::Content::Erasure(pb::ErasureNotice {
            demand_sequence: cause,
            sequences: entries.iter().map(|(place, _framed)| *place).collect(),
        });
        let record = hub_entries::notice(
            &self.founding.exchange,
            self.log_secret,
            BodyKind::Erasure,
            content,
            Tlp::Clear,
            self.now(head),
        )?;
        self.append(head, record, Some(Erasing { entries, met: None, floor: None }))?;
        Ok(count)
    }

    fn now(&self, head: &Head) -> Timestamp {
        self.clock.now().max(head.accept_time)
    }

    /// Appends a record of its own group, durably; its place.
    fn append(
        &self,
        head: &mut Head,
        record: Verified<Box<Record>>,
        erasing: Option<Erasing>,
    ) -> Result<u64, StoreError> {
        let (place, accept_time) = (head.frontier.size(), self.now(head));
        let parsed = record.get();
        let leaf_hash = entries::leaf(parsed, Sequence(place), accept_time).hash();
        let framed = entries::encode(head.epoch, Sequence(place), accept_time, &parsed.envelope);
        let facts = admission::own_facts(parsed);
        let terms = wire::terms(&parsed.content, &parsed.body, &parsed.header.handling.reach);
        head.push(parsed.header.body_kind, leaf_hash);
        head.accept_time = accept_time;
        head.bytes = head.bytes.saturating_add(u64::try_from(framed.len()).unwrap_or(u64::MAX));
        head.checkpoint = self.log_key.sign(&head.summary(), self.log_secret);
        let entry = NewEntry { record, facts, framed, terms, leaf_hash };
        let group = Group { entries: vec![entry], head: head.clone(), erasing, ..Group::default() };
        self.store.append(&group)?;
        self.store.apply_views(place, &group.entries)?;
        Ok(place)
    }
}
