//! Who speaks is said by the certificate and by the signature, and by nothing else: not by a name in a header, not by
//! bytes that were overheard, not by another's key, not by what a caller says about itself.

mod confused;
mod impostors;
mod metadata;
mod overheard;
mod places;
pub(crate) mod raw;

use bytes::Bytes;
use prost::Message as _;
use tonic::Status;
use watchfire::client::Client;
use watchfire::model::header::BodyKind;
use watchfire::model::header::HEADER_PAYLOAD_TYPE;
use watchfire::model::reason::Reason;
use watchfire::profile::OwnKey;
use watchfire::wire;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::sign;

/// The answer to one record: its receipt, or why it was refused.
type Answer = Result<pb::Receipt, Box<pb::Refusal>>;

/// The answers to a batch, in order.
fn answers(results: Vec<pb::PublishResult>) -> Vec<Answer> {
    let outcomes = results.into_iter().map(|result| result.outcome.expect("an outcome"));
    let answer = |outcome| match outcome {
        pb::publish_result::Outcome::Receipt(receipt) => Ok(receipt),
        pb::publish_result::Outcome::Refusal(refusal) => Err(Box::new(refusal)),
    };
    outcomes.map(answer).collect()
}

/// Offers envelopes as they are.
async fn offer_all(client: &Client, envelopes: Vec<pb::Envelope>) -> Vec<Answer> {
    let count = envelopes.len();
    let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
    let answer = client.exchange_service().publish(request).await.expect("an answer").into_inner();
    assert_eq!(answer.results.len(), count, "one result for each record");
    answers(answer.results)
}

async fn offer(client: &Client, envelope: pb::Envelope) -> Answer {
    offer_all(client, vec![envelope]).await.pop().expect("an answer")
}

/// Demands that one record is refused for this reason, with its code, and that the log stays as it was.
#[track_caller]
fn refused(client: &Client, envelope: pb::Envelope, reason: Reason) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let before = head(client).await;
        let refusal = match offer(client, envelope).await {
            Ok(receipt) => panic!("{place}: taken at {}", receipt.sequence),
            Err(refusal) => refusal,
        };
        let expected = (reason.as_str(), reason.code().number());
        assert_eq!((refusal.reason.as_str(), refusal.code), expected, "{place}: {refusal:?}");
        assert_eq!(head(client).await, before, "{place}: the log has grown");
    }
}

/// Offers a change by the call that is for it; `None` if there is none.
pub(crate) async fn by_its_call(
    client: &Client,
    content: &Content,
    envelope: pb::Envelope,
) -> Option<(&'static str, Result<(), Status>)> {
    use pb::roster_change::Change;

    let mut roster = client.roster_service();
    let envelope = Some(envelope);
    if matches!(content, Content::AudienceChange(_)) {
        let request = pb::ChangeAudienceRequest { envelope };
        let said = client.audience_service().change_audience(request).await.map(drop);
        return Some(("AudienceService/ChangeAudience", said));
    }
    if let Content::KeyChange(change) = content {
        if matches!(change.change, Some(pb::key_change::Change::Add(_))) {
            let said = roster.rotate_key(pb::RotateKeyRequest { envelope }).await.map(drop);
            return Some(("RosterService/RotateKey", said));
        }
        let said = roster.retire_key(pb::RetireKeyRequest { envelope }).await.map(drop);
        return Some(("RosterService/RetireKey", said));
    }
    let Content::RosterChange(pb::RosterChange { change: Some(change), .. }) = content else {
        return None;
    };
    Some(match change {
        Change::Admit(_) => (
            "RosterService/AdmitMember",
            roster.admit_member(pb::AdmitMemberRequest { envelope }).await.map(drop),
        ),
        Change::Suspend(_) => (
            "RosterService/SuspendMember",
            roster.suspend_member(pb::SuspendMemberRequest { envelope }).await.map(drop),
        ),
        Change::Reinstate(_) => (
            "RosterService/ReinstateMember",
            roster.reinstate_member(pb::ReinstateMemberRequest { envelope }).await.map(drop),
        ),
        Change::RetireKey(_) => (
            "RosterService/RetireKey",
            roster.retire_key(pb::RetireKeyRequest { envelope }).await.map(drop),
        ),
        Change::Quota(_) => (
            "RosterService/SetQuota",
            roster.set_quota(pb::SetQuotaRequest { envelope }).await.map(drop),
        ),
        Change::ResetKeys(_) => (
            "RosterService/ResetKeys",
            roster.reset_keys(pb::ResetKeysRequest { envelope }).await.map(drop),
        ),
    })
}

/// Signs a record about the exchange itself, whatever it says: what our own client would not sign.
pub(crate) fn sign_anything(client: &Client, kind: BodyKind, content: Content) -> pb::Envelope {
    let signer = client.signer().expect("a key");
    let good = sign(client, draft(&signer, domain("one.example"), handling(&[], &[])));
    let body = pb::Body { salt: vec![7; 32], content: Some(content) }.encode_to_vec();
    let header = wire::header::header(&good.payload).expect("a header");
    let header = watchfire::model::header::Header {
        body_kind: kind,
        body_digest: watchfire::model::names::sha256(&body),
        ..header
    };
    let payload = wire::header::header_bytes(&header);
    let key = client.profile().key(OwnKey::Signing).expect("a key");
    let sig = Bytes::copy_from_slice(&key.sign(HEADER_PAYLOAD_TYPE, &payload));
    let signatures = vec![pb::Signature { keyid: key.id().to_string(), sig }];
    let (payload_type, payload) = (HEADER_PAYLOAD_TYPE.to_owned(), payload.into());
    pb::Envelope { payload_type, payload, signatures, body: body.into() }
}
