//! What an exchange was founded on: its first record, checked.

use std::sync::Arc;

use crate::exchange::entries;
use crate::exchange::hub::OpenError;
use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::facts::Shape;
use crate::model::handling::Reach;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::names::ExchangeName;
use crate::model::names::Sequence;
use crate::model::time::Clock;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::VerifyingKey;
use crate::store::Group;
use crate::store::Head;
use crate::store::NewEntry;
use crate::store::Store;
use crate::transparency::LogKey;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// The founding facts, checked.
pub(super) struct Founding {
    pub(super) record: Record,
    pub(super) exchange: ExchangeName,
    pub(super) log_key: LogKey,
    pub(super) trust_domain: String,
    pub(super) verifying: VerifyingKey,
}

impl Founding {
    pub(super) fn check(genesis: pb::Envelope) -> Result<Self, OpenError> {
        let refused = |what: String| OpenError::Genesis(what);
        let record =
            wire::envelope::record(genesis).map_err(|refusal| refused(refusal.to_string()))?;
        let Content::Genesis(facts) = &record.content else {
            return Err(refused("it is a record of another kind".to_owned()));
        };
        let exchange = ExchangeName::derive(&facts.title, &facts.operator_key.spki, &facts.log_key)
            .map_err(|error| refused(error.to_string()))?;
        if exchange != record.header.exchange || facts.operator != record.header.name.member {
            return Err(refused("its names do not fit its keys".to_owned()));
        }
        let verifying = VerifyingKey::from_spki(&facts.operator_key.spki)
            .map_err(|error| refused(error.to_string()))?;
        let log_key = VerifyingKey::from_spki(&facts.log_key)
            .ok()
            .and_then(|key| LogKey::new(&exchange, key))
            .ok_or_else(|| refused("the log key is not an Ed25519 key".to_owned()))?;
        let trust_domain = facts.trust_domain.clone();
        Ok(Self { record, exchange, log_key, trust_domain, verifying })
    }

    /// Where the log stands, and its first entry, which is appended if there is none.
    pub(super) fn begin(
        &self,
        store: &Store,
        log_secret: &SecretKey,
        clock: &dyn Clock,
    ) -> Result<(Head, pb::Entry), OpenError> {
        let mut head = store.head()?;
        if head.frontier.size() == 0 {
            head = self.append(store, log_secret, clock)?;
        }
        Ok((head, self.demand_first(store)?))
    }

    /// The first entry, which must be this.
    pub(super) fn demand_first(&self, store: &Store) -> Result<pb::Entry, OpenError> {
        let first = entries::read(store, 0)?.entry;
        if first.envelope.as_ref().map(|envelope| &envelope.payload)
            != Some(&self.record.envelope.payload)
        {
            return Err(OpenError::Genesis("the log began with another one".to_owned()));
        }
        Ok(first)
    }

    fn append(
        &self,
        store: &Store,
        log_secret: &SecretKey,
        clock: &dyn Clock,
    ) -> Result<Head, OpenError> {
        if self.log_key.verifying().id() != log_secret.id() {
            return Err(OpenError::LogKey);
        }
        let signature = self.record.envelope.signatures.first();
        let signature = signature.map(|first| first.sig.clone()).unwrap_or_default();
        let payload = self.record.envelope.payload.clone();
        let verified = signing::verify(Claim {
            payload_type: HEADER_PAYLOAD_TYPE,
            payload: &payload,
            signature: &signature,
            key: &self.verifying,
            value: Box::new(self.record.clone()),
        })
        .map_err(|error| OpenError::Genesis(error.to_string()))?;
        let accept_time = clock.now();
        let mut head = Head { epoch: 1, accept_time, ..Head::default() };
        let leaf_hash = entries::leaf(&self.record, Sequence(0), accept_time).hash();
        head.push(self.record.header.body_kind, leaf_hash);
        head.checkpoint = self.log_key.sign(&head.summary(), log_secret);
        let framed = entries::encode(1, Sequence(0), accept_time, &self.record.envelope);
        let entry = NewEntry {
            facts: Facts {
                scope: Arc::new(Scope {
                    publisher: self.record.header.name.member.clone(),
                    body_kind: self.record.header.body_kind,
                    reach: Reach::default(),
                    publisher_is_reached: false,
                    shapes: vec![Shape::default()],
                }),
                record: self.record.header.name.record,
                revision: 1,
                value_digest: None,
                withdraws: None,
            },
            framed,
            record: verified,
            terms: wire::terms(
                &self.record.content,
                &self.record.body,
                &self.record.header.handling.reach,
            ),
            leaf_hash,
        };
        let group = Group { entries: vec![entry], head: head.clone(), ..Group::default() };
        store.append(&group)?;
        store.apply_views(0, &group.entries)?;
        Ok(head)
    }
}
