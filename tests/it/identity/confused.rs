//! Keys that are taken for others (T-I3): one key for two members, a key of one algorithm for one of another, keys of
//! none that is known, ids that name another key, no signature and a hundred of them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::EcdsaSigningAlgorithm;
use aws_lc_rs::signature::KeyPair as _;
use bytes::Bytes;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::OperatorChange;
use watchfire::client::Signer;
use watchfire::client::proven_key;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::header::HEADER_PAYLOAD_TYPE;
use watchfire::model::header::HUB_PAYLOAD_TYPE;
use watchfire::model::header::POSSESSION_PAYLOAD_TYPE;
use watchfire::model::names::KeyId;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;
use watchfire::profile::OwnKey;
use watchfire::signing;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;
use watchfire::wire::pb::body::Content;

use crate::identity::offer;
use crate::identity::refused;
use crate::identity::sign_anything;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::replay;
use crate::world::sign;

const COMPANIES: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// `SubjectPublicKeyInfo` up to the key, by kind.
const ED25519: &str = "302a300506032b6570032100";
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const SECP256K1: &str = "3056301006072a8648ce3d020106052b8104000a034200";
const P384: &str = "3076301006072a8648ce3d020106052b81040022036200";
const ED448: &str = "3043300506032b6571033a00";
const X25519: &str = "302a300506032b656e032100";

/// A key of the second algorithm, as a member's own device has it.
struct P256Key(Vec<u8>);

impl P256Key {
    fn generate() -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self(document.expect("a key").as_ref().to_vec())
    }

    fn pair(&self, algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(algorithm, &self.0).expect("a key")
    }

    fn spki(&self) -> Vec<u8> {
        let pair = self.pair(&ECDSA_P256_SHA256_FIXED_SIGNING);
        [hex::decode(P256).expect("hex"), pair.public_key().as_ref().to_vec()].concat()
    }

    fn sign(
        &self,
        algorithm: &'static EcdsaSigningAlgorithm,
        payload_type: &str,
        payload: &[u8],
    ) -> Vec<u8> {
        let message = signing::pre_authentication_encoding(payload_type, payload);
        let signature = self.pair(algorithm).sign(&SystemRandom::new(), &message);
        signature.expect("a signature").as_ref().to_vec()
    }

    fn proven(&self, signer: &Signer) -> pb::PublicKey {
        let spki = self.spki();
        let id = KeyId::of_spki(&spki);
        let payload = signing::possession_payload(signer.exchange(), signer.member(), &id);
        let fixed = &ECDSA_P256_SHA256_FIXED_SIGNING;
        pb::PublicKey {
            possession_proof: self.sign(fixed, POSSESSION_PAYLOAD_TYPE, &payload),
            spki,
        }
    }
}

/// A change with which a member brings in a key.
fn add(client: &Client, key: pb::PublicKey) -> pb::Envelope {
    let change = pb::KeyChange { change: Some(pb::key_change::Change::Add(key)) };
    sign_anything(client, BodyKind::KeyChange, Content::KeyChange(change))
}

fn good(client: &Client) -> pb::Envelope {
    let signer = client.signer().expect("a key");
    sign(client, draft(&signer, domain("one.example"), handling(&["companies"], &[])))
}

/// The same record with another signature.
fn signed(envelope: &pb::Envelope, keyid: &str, sig: &[u8]) -> pb::Envelope {
    let signature = pb::Signature { keyid: keyid.to_owned(), sig: Bytes::copy_from_slice(sig) };
    pb::Envelope { signatures: vec![signature], ..envelope.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_one_algorithm_signs_nothing_as_one_of_another() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let (key, fixed) = (P256Key::generate(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let id = KeyId::of_spki(&key.spki()).to_string();
    let envelope = good(&acme);
    let by_p256 = key.sign(fixed, HEADER_PAYLOAD_TYPE, &envelope.payload);
    refused(&acme, signed(&envelope, &id, &by_p256), Reason::KeyNotValid).await;
    offer(&acme, add(&acme, key.proven(&signer))).await.expect("a receipt: it may be registered");

    let own = signer.key().id().to_string();
    let by_ed25519 = signer.key().sign(HEADER_PAYLOAD_TYPE, &envelope.payload);
    refused(&acme, signed(&envelope, &id, &by_ed25519), Reason::BadSignature).await;
    refused(&acme, signed(&envelope, &own, &by_p256), Reason::BadSignature).await;
    // The other encoding of such a signature is of another length.
    let der = key.sign(&ECDSA_P256_SHA256_ASN1_SIGNING, HEADER_PAYLOAD_TYPE, &envelope.payload);
    refused(&acme, signed(&envelope, &id, &der), Reason::MalformedEnvelope).await;
    let receipt = offer(&acme, signed(&envelope, &id, &by_p256)).await.expect("a receipt");
    let seen = replay(&world.client("birch-social").await, Filter::default()).await;
    assert!(
        seen.iter().any(|entry| entry.sequence() == receipt.sequence),
        "its reader verifies it"
    );
    world.finish();
}

/// Public keys that are none, or of an algorithm that nobody here knows, with the length that each should have.
fn odd_keys(own: &SecretKey) -> Vec<(&'static str, Vec<u8>)> {
    let of = |prefix: &str, key: &[u8]| [hex::decode(prefix).expect("hex"), key.to_vec()].concat();
    let point = P256Key::generate().spki().split_off(26);
    let ed25519 = own.spki().split_off(12);
    let mut off_the_curve = point.clone();
    off_the_curve[64] ^= 1;
    let compressed = [&[2][..], &point[1..33]].concat();
    vec![
        ("nothing", Vec::new()),
        ("noise", vec![0x30; 44]),
        ("an Ed25519 key as P-256", of(P256, &ed25519)),
        ("an Ed25519 key twice as P-256", of(P256, &[&[4][..], &ed25519, &ed25519].concat())),
        ("a P-256 point as Ed25519", of(ED25519, &point)),
        ("half a P-256 point as Ed25519", of(ED25519, &point[1..33])),
        ("a point that is not on the curve", of(P256, &off_the_curve)),
        ("a compressed point", of(P256, &compressed)),
        ("the point at infinity", of(P256, &[0; 65])),
        ("a byte too many", [own.spki(), vec![0]].concat()),
        ("a byte too few", own.spki()[..43].to_vec()),
        ("a key of secp256k1", of(SECP256K1, &point)),
        ("a key of P-384", of(P384, &[4; 97])),
        ("a key of Ed448", of(ED448, &[7; 57])),
        ("a key of X25519", of(X25519, &ed25519)),
        ("a key of RSA", hex::decode(RSA_START).expect("hex")),
        ("a neutral element", of(ED25519, &[&[1][..], &[0; 31]].concat())),
        ("a point that is written with its prime added", of(ED25519, &NOT_CANONICAL)),
    ]
}

/// `SubjectPublicKeyInfo` of an RSA key, cut short: what says the algorithm comes first.
const RSA_START: &str = "305c300d06092a864886f70d0101010500034b003048024100";
/// 2^255 - 18, which is 1 with the prime of the curve added.
const NOT_CANONICAL: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xee;
    bytes[31] = 0x7f;
    bytes
};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_not_registered() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let fresh = SecretKey::generate().expect("a key");
    let proof = proven_key(signer.exchange(), signer.member(), &fresh).possession_proof;
    for (name, spki) in odd_keys(&fresh) {
        let before = head(&acme).await;
        let key = pb::PublicKey { spki, possession_proof: proof.clone() };
        let refusal = offer(&acme, add(&acme, key)).await.expect_err(name);
        assert_eq!(refusal.reason, Reason::FieldInvalid.as_str(), "{name}: {refusal:?}");
        assert_eq!(head(&acme).await, before, "{name}");
    }
    for (name, proof) in [
        ("of zeros", vec![0; 64]),
        ("a byte short", proof[..63].to_vec()),
        ("in another type", fresh.sign(HEADER_PAYLOAD_TYPE, b"").to_vec()),
        ("for another member", of_another(&signer, &fresh)),
        ("for another exchange", elsewhere(&signer, &fresh)),
    ] {
        let key = pb::PublicKey { spki: fresh.spki(), possession_proof: proof };
        let refusal = offer(&acme, add(&acme, key)).await.expect_err(name);
        assert_eq!(refusal.reason, Reason::FieldInvalid.as_str(), "{name}: {refusal:?}");
    }
    acme.add_key(&signer, &fresh).await.expect("a receipt: with its own proof it is registered");
    world.finish();
}

fn of_another(signer: &Signer, key: &SecretKey) -> Vec<u8> {
    let birch: MemberId = "birch-social".parse().expect("a name");
    proven_key(signer.exchange(), &birch, key).possession_proof
}

fn elsewhere(signer: &Signer, key: &SecretKey) -> Vec<u8> {
    let other =
        watchfire::model::names::ExchangeName::from_name("exchanges/autumn-0123456789abcdef");
    proven_key(&other.expect("a name"), signer.member(), key).possession_proof
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_one_owner_for_good() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let operator = world.client("operator").await;
    let (own, theirs) = (acme.signer().expect("a key"), birch.signer().expect("a key"));
    let retired = SecretKey::generate().expect("a key");
    acme.add_key(&own, &retired).await.expect("a receipt");
    acme.retire_key(&own, retired.id(), None).await.expect("a receipt");
    let recovery = acme.profile().key(OwnKey::Recovery).expect("a key");
    let of_the_operator = operator.signer().expect("a key").key().clone();
    let taken = [own.key().clone(), recovery, retired.clone(), of_the_operator];
    let dune: MemberId = "dune-forum".parse().expect("a name");
    let before = head(&birch).await;
    for key in &taken {
        // Whoever holds the private key of another member could make the proof.
        let proven = proven_key(theirs.exchange(), theirs.member(), key);
        refused(&birch, add(&birch, proven), Reason::RosterConflict).await;
        let proven = |key: &SecretKey| Some(proven_key(own.exchange(), &dune, key));
        let fresh = SecretKey::generate().expect("a key");
        for (signing_key, recovery_key) in [(key, &fresh), (&fresh, key), (key, key)] {
            let admission = OperatorChange::Admit(pb::Admission {
                role: pb::Role::Company.into(),
                signing_key: proven(signing_key),
                recovery_key: proven(recovery_key),
                ..pb::Admission::default()
            });
            conflicts(&operator, &dune, admission).await;
        }
    }
    // Nor does its own owner bring a key back.
    let again = proven_key(own.exchange(), own.member(), &retired);
    refused(&acme, add(&acme, again), Reason::RosterConflict).await;
    assert_eq!(head(&birch).await, before, "nothing was written");
    world.finish();
}

async fn conflicts(operator: &Client, member: &MemberId, change: OperatorChange) {
    let error = operator.change_roster(member, change).await.expect_err("a refusal");
    let ClientError::Refused(refusal) = error else { panic!("{error}") };
    assert!(refusal.is(Reason::RosterConflict), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_names_one_key_and_one_key_signs() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let envelope = good(&acme);
    let sig = envelope.signatures[0].sig.clone();
    let own = envelope.signatures[0].keyid.clone();
    let other = birch.signer().expect("a key").key().id().to_string();
    let recovery = acme.profile().key(OwnKey::Recovery).expect("a key").id().to_string();
    let pem = std::fs::read_to_string(world.data().join("log.key")).expect("the log key");
    let log_key = SecretKey::from_pem(&pem).expect("a key");
    let nobodys = KeyId::of_spki(b"nobody's").to_string();
    let ids: [(&str, Reason); 10] = [
        (&other, Reason::BadSignature),
        (&recovery, Reason::BadSignature),
        (&nobodys, Reason::KeyNotValid),
        (&log_key.id().to_string(), Reason::KeyNotValid),
        (&own.to_uppercase(), Reason::MalformedEnvelope),
        (own.get(..63).expect("digits"), Reason::MalformedEnvelope),
        (&format!("{own}0"), Reason::MalformedEnvelope),
        (&format!("members/acme-video/keys/{own}"), Reason::MalformedEnvelope),
        ("", Reason::MalformedEnvelope),
        ("../../log.key", Reason::MalformedEnvelope),
    ];
    for (id, reason) in ids {
        refused(&acme, signed(&envelope, id, &sig), reason).await;
    }
    for (length, reason) in [
        (0, Reason::MalformedEnvelope),
        (63, Reason::MalformedEnvelope),
        (64, Reason::BadSignature),
        (65, Reason::MalformedEnvelope),
        (72, Reason::MalformedEnvelope),
    ] {
        refused(&acme, signed(&envelope, &own, &vec![0; length]), reason).await;
    }
    several(&acme, &birch, &envelope).await;
    // Bytes that the same key signed as something else.
    let signer = acme.signer().expect("a key");
    let raw = signer.key().sign_bytes(&envelope.payload);
    let possession = signer.key().sign(POSSESSION_PAYLOAD_TYPE, &envelope.payload);
    let as_hub = signer.key().sign(HUB_PAYLOAD_TYPE, &envelope.payload);
    for sig in [raw, possession, as_hub] {
        refused(&acme, signed(&envelope, &own, &sig), Reason::BadSignature).await;
    }
    let by_log = log_key.sign(HUB_PAYLOAD_TYPE, &envelope.payload);
    let hubs = signed(&envelope, &log_key.id().to_string(), &by_log);
    let hubs = pb::Envelope { payload_type: HUB_PAYLOAD_TYPE.to_owned(), ..hubs };
    refused(&acme, hubs, Reason::UnsupportedField).await;
    offer(&acme, envelope).await.expect("a receipt: it was good all the time");
    world.finish();
}

/// No signature, and several: the good one among them or not.
async fn several(acme: &Client, birch: &Client, envelope: &pb::Envelope) {
    let good = envelope.signatures[0].clone();
    let key = birch.profile().key(OwnKey::Signing).expect("a key");
    let countersigned = pb::Signature {
        keyid: key.id().to_string(),
        sig: Bytes::copy_from_slice(&key.sign(HEADER_PAYLOAD_TYPE, &envelope.payload)),
    };
    for signatures in [
        Vec::new(),
        vec![good.clone(); 2],
        vec![good.clone(), countersigned.clone()],
        vec![countersigned, good.clone()],
        vec![good; 100],
        vec![pb::Signature::default(); 100],
    ] {
        let several = pb::Envelope { signatures, ..envelope.clone() };
        refused(acme, several, Reason::MalformedEnvelope).await;
    }
}
