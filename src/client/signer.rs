//! Making records: salt, body, header, signature. What is signed is checked as the hub will check it.

use prost::Message as _;
use prost::bytes::Bytes;

use crate::client::error::ClientError;
use crate::client::said::Said;
use crate::model::handling::Handling;
use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::profile::OwnKey;
use crate::profile::Profile;
use crate::signing::InvalidKey;
use crate::signing::SecretKey;
use crate::wire;
use crate::wire::pb;

/// A record that is not signed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its name.
    pub name: RecordName,
    /// The revision before it and that one's header digest; `None` for the first.
    pub previous: Option<(u32, Digest)>,
    /// Who may read it.
    pub handling: Handling,
    /// What it says.
    pub content: pb::body::Content,
}

/// Signs for one member of one exchange.
#[derive(Clone, Debug)]
pub struct Signer {
    exchange: ExchangeName,
    member: MemberId,
    key: SecretKey,
}

impl Signer {
    /// A signer with this key.
    pub const fn new(exchange: ExchangeName, member: MemberId, key: SecretKey) -> Self {
        Self { exchange, member, key }
    }

    /// The signer of a profile, with one of its keys.
    pub fn of(profile: &Profile, which: OwnKey) -> Result<Self, ClientError> {
        let settings = profile.settings();
        let key = profile.key(which)?;
        Ok(Self::new(settings.exchange.clone(), settings.member.clone(), key))
    }

    /// The exchange that it signs for.
    pub const fn exchange(&self) -> &ExchangeName {
        &self.exchange
    }

    /// The member that it signs for.
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// The key that it signs with.
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Signs a record; refuses what the hub would refuse of any such bytes.
    pub fn sign(&self, draft: Draft, now: Timestamp) -> Result<pb::Envelope, ClientError> {
        let salt = random::<32>()?.to_vec();
        let body = pb::Body { salt, content: Some(draft.content.clone()) }.encode_to_vec();
        self.sign_body(draft, body, now)
    }

    /// The same, of what was said in these bytes, so that fields that this version does not know stay; refuses bytes
    /// that say something else than the draft.
    pub fn sign_said(
        &self,
        draft: Draft,
        said: &Said,
        now: Timestamp,
    ) -> Result<pb::Envelope, ClientError> {
        let body = said.salted(&random()?);
        let is_same = wire::body::body(&body)
            .is_ok_and(|decoded| decoded.content.as_ref() == Some(&draft.content));
        if !is_same {
            let message = "the bytes say something else than the draft";
            let refusal = Refusal::field(Reason::FieldInvalid, "body", message);
            return Err(ClientError::Invalid(refusal));
        }
        self.sign_body(draft, body, now)
    }

    fn sign_body(
        &self,
        draft: Draft,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<pb::Envelope, ClientError> {
        let Draft { name, previous, handling, content } = draft;
        let body_kind = kind_of(&content);
        let header = Header {
            exchange: self.exchange.clone(),
            name,
            revision: previous.map_or(1, |(revision, _digest)| revision.saturating_add(1)),
            previous_digest: previous.map(|(_revision, digest)| digest),
            create_time: now,
            nonce: random()?,
            handling,
            body_kind,
            body_digest: sha256(&body),
        };
        let payload = wire::header::header_bytes(&header);
        let signature = self.key.sign(HEADER_PAYLOAD_TYPE, &payload);
        let envelope = pb::Envelope {
            payload_type: HEADER_PAYLOAD_TYPE.to_owned(),
            payload: payload.into(),
            signatures: vec![pb::Signature {
                keyid: self.key.id().to_string(),
                sig: Bytes::copy_from_slice(&signature),
            }],
            body: body.into(),
        };
        let record = wire::envelope::record(envelope.clone()).map_err(ClientError::Invalid)?;
        wire::sense(&record.body, now).map_err(ClientError::Invalid)?;
        Ok(envelope)
    }
}

/// The kind of body that a content makes.
pub(super) const fn kind_of(content: &pb::body::Content) -> BodyKind {
    match content {
        pb::body::Content::Indicator(_) => BodyKind::Indicator,
        pb::body::Content::Operation(_) => BodyKind::Operation,
        pb::body::Content::Attribution(_) => BodyKind::Attribution,
        pb::body::Content::Link(_) => BodyKind::Link,
        pb::body::Content::Sighting(_) => BodyKind::Sighting,
        pb::body::Content::Opinion(_) => BodyKind::Opinion,
        pb::body::Content::ActionReport(_) => BodyKind::ActionReport,
        pb::body::Content::Inquiry(_) => BodyKind::Inquiry,
        pb::body::Content::Reply(_) => BodyKind::Reply,
        pb::body::Content::Note(_) => BodyKind::Note,
        pb::body::Content::Withdrawal(_) => BodyKind::Withdrawal,
        pb::body::Content::Acknowledgement(_) => BodyKind::Acknowledgement,
        pb::body::Content::RosterChange(_) => BodyKind::RosterChange,
        pb::body::Content::KeyChange(_) => BodyKind::KeyChange,
        pb::body::Content::AudienceChange(_) => BodyKind::AudienceChange,
        pb::body::Content::Takedown(_) => BodyKind::Takedown,
        pb::body::Content::Erasure(_) => BodyKind::Erasure,
        pb::body::Content::Retention(_) => BodyKind::Retention,
        pb::body::Content::Epoch(_) => BodyKind::Epoch,
        pb::body::Content::Conflict(_) => BodyKind::Conflict,
        pb::body::Content::LogKeyChange(_) => BodyKind::LogKeyChange,
        pb::body::Content::Genesis(_) => BodyKind::Genesis,
    }
}

fn random<const N: usize>() -> Result<[u8; N], ClientError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_no_randomness| InvalidKey::Private)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::model::reason::Reason;

    #[test]
    fn two_records_of_the_same_content_share_no_digest() {
        let world = World::new();
        let first = world.publish(&world.acme, domain("example.com"));
        let second = world.publish(&world.acme, domain("example.com"));
        assert_ne!(sha256(&first.body), sha256(&second.body));
        assert_ne!(first.payload, second.payload);
    }

    #[test]
    fn what_the_hub_would_refuse_is_not_signed() {
        let world = World::new();
        let mut draft = world.draft(&world.acme, domain("example.com"));
        draft.content = pb::body::Content::Operation(pb::Operation::default());
        let error = world.acme.sign(draft, world.now).unwrap_err();
        assert!(
            matches!(&error, ClientError::Invalid(refusal) if refusal.reason == Reason::FieldInvalid)
        );
    }
}
