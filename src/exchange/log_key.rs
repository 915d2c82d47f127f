//! The log key's succession, with the hub stopped: an entry of the hub's own, after which another key signs.

use std::sync::Arc;

use crate::exchange::admission;
use crate::exchange::entries;
use crate::exchange::hub::OpenError;
use crate::exchange::hub::fold_roster;
use crate::exchange::hub_entries;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::reason::Refusal;
use crate::model::roster::Roster;
use crate::model::time::Clock;
use crate::signing::SecretKey;
use crate::store::Group;
use crate::store::Head;
use crate::store::NewEntry;
use crate::store::Store;
use crate::store::StoreError;
use crate::transparency::LogKeys;
use crate::wire;
use crate::wire::pb;

/// Why the log key was not changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// The change does not hold.
    #[error("the change of the log key does not hold: {0}")]
    Refused(#[from] Refusal),
    /// The log cannot be read as it should.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A log as it stands before its key changes.
pub struct LogKeyChanger<'a> {
    store: &'a Store,
    exchange: ExchangeName,
    roster: Arc<Roster>,
    head: Head,
}

impl<'a> LogKeyChanger<'a> {
    /// Reads who takes part, and where the log stands.
    pub fn open(store: &'a Store) -> Result<Self, SuccessionError> {
        let head = store.head()?;
        let first = entries::read(store, 0)?.entry;
        let exchange = wire::envelope::of_entry(first)?.header.exchange;
        let (roster, _epochs) = fold_roster(store, &exchange)?;
        Ok(Self { store, exchange, roster, head })
    }

    /// The exchange.
    pub const fn exchange(&self) -> &ExchangeName {
        &self.exchange
    }

    /// The key that signs now; `None` if the log names none, which none that was served does.
    pub fn current(&self) -> Option<KeyId> {
        self.roster.log_keys().last().map(|term| term.id)
    }

    /// The place that the change gets: members sign for it and no other.
    pub const fn place(&self) -> Sequence {
        Sequence(self.head.frontier.size())
    }

    /// How many companies must vouch for the next key where the old one is lost.
    pub fn threshold(&self) -> usize {
        wire::succession_threshold(&self.roster)
    }

    /// Puts the next key in place: by the word of the old one, which is `signer` then; or by that of members, where
    /// `signer` is the next key itself.
    pub fn change(
        self,
        signer: &SecretKey,
        next: &SecretKey,
        cosignatures: Vec<pb::LogKeyCosignature>,
        clock: &dyn Clock,
    ) -> Result<Sequence, SuccessionError> {
        let place = self.place();
        let Self { store, exchange, roster, mut head } = self;
        let accept_time = clock.now().max(head.accept_time);
        let new_key = wire::proven_key(&exchange, &MemberId::hub(), next);
        let content = pb::LogKeyChange { new_key: Some(new_key), cosignatures };
        let content = pb::body::Content::LogKeyChange(content);
        let kind = BodyKind::LogKeyChange;
        let notice =
            hub_entries::notice(&exchange, signer, kind, content, Tlp::Clear, accept_time)?;
        let record = notice.get();
        let changed = wire::roster::apply(&roster, &exchange, record, place)?;
        let changed = changed.map_or(roster, Arc::new);
        let damaged = || StoreError::Corrupt { place: "the roster".to_owned(), what: "no log key" };
        let keys = LogKeys::of(&exchange, changed.log_keys()).ok_or_else(damaged)?;
        let leaf_hash = entries::leaf(record, place, accept_time).hash();
        let framed = entries::encode(head.epoch, place, accept_time, &record.envelope);
        let facts = admission::own_facts(record);
        let terms = wire::terms(&record.content, &record.body, &record.header.handling.reach);
        head.push(kind, leaf_hash);
        head.accept_time = accept_time;
        head.bytes = head.bytes.saturating_add(u64::try_from(framed.len()).unwrap_or(u64::MAX));
        head.checkpoint = keys.current().sign(&head.summary(), next);
        let entry = NewEntry { facts, framed, record: notice, terms, leaf_hash };
        let group = Group { entries: vec![entry], head, ..Group::default() };
        store.append(&group)?;
        store.apply_views(place.0, &group.entries)?;
        Ok(place)
    }
}
