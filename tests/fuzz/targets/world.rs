//! One exchange, the same in every run: its keys, its founding record, and records of each kind.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use uuid::Uuid;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::header::HEADER_PAYLOAD_TYPE;
use watchfire::model::header::HUB_PAYLOAD_TYPE;
use watchfire::model::header::Header;
use watchfire::model::names::Audience;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::names::sha256;
use watchfire::model::time::Timestamp;
use watchfire::signing::SecretKey;
use watchfire::signing::VerifyingKey;
use watchfire::transparency::Checkpoint;
use watchfire::transparency::LogKey;
use watchfire::transparency::LogKeys;
use watchfire::wire;
use watchfire::wire::pb;

/// PKCS#8 of an Ed25519 key up to its 32 secret bytes.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The members whose keys are known: the operator, and two others.
pub(crate) const MEMBERS: [&str; 3] = ["operator", "acme-video", "birch-social"];

/// The exchange.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) exchange: ExchangeName,
    pub(crate) log: SecretKey,
    pub(crate) log_keys: LogKeys,
    pub(crate) keys: [SecretKey; 3],
    pub(crate) recovery: [SecretKey; 3],
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: String,
    pub(crate) now: Timestamp,
}

/// The exchange, made once.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// A key that is no secret.
pub(crate) fn key(seed: u8) -> SecretKey {
    let der = [PKCS8.as_slice(), &[seed; 32]].concat();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der));
    SecretKey::from_pem(&pem).expect("a key")
}

impl World {
    fn new() -> Self {
        let keys = [key(1), key(2), key(3)];
        let log = key(9);
        let exchange = ExchangeName::derive("spring", &key(1).spki(), &log.spki()).expect("a name");
        let verifying = VerifyingKey::from_spki(&log.spki()).expect("a key");
        let log_key = LogKey::new(&exchange, verifying).expect("an Ed25519 key");
        let checkpoint = Checkpoint { epoch: 1, size: 12, root: [5; 32], roster: [6; 32] };
        let note = log_key.sign(&checkpoint, &log);
        let now = Timestamp::from_micros(1_800_000_000_000_001).expect("a time");
        let log_keys = LogKeys::new(log_key);
        let recovery = [key(11), key(12), key(13)];
        Self { exchange, log, log_keys, keys, recovery, checkpoint, note, now }
    }

    /// A member, by a number.
    pub(crate) fn member(number: u8) -> MemberId {
        let name = MEMBERS.iter().cycle().nth(usize::from(number) % MEMBERS.len());
        name.expect("some").parse().expect("an id")
    }

    /// A record's name.
    pub(crate) fn record(member: u8, record: u8) -> RecordName {
        RecordName { member: Self::member(member), record: Uuid::from_bytes([record.max(1); 16]) }
    }

    /// A header of some body.
    pub(crate) fn header(&self, member: MemberId, kind: BodyKind, body: &[u8]) -> Header {
        Header {
            exchange: self.exchange.clone(),
            name: RecordName { member, record: Uuid::from_bytes([7; 16]) },
            revision: 1,
            previous_digest: None,
            create_time: self.now,
            nonce: [7; 16],
            handling: Handling {
                tlp: Tlp::Green,
                reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
                onward_uses: Vec::new(),
                use_until: None,
            },
            body_kind: kind,
            body_digest: sha256(body),
        }
    }

    /// A signed envelope around a body.
    pub(crate) fn envelope(&self, member: u8, kind: BodyKind, body: Vec<u8>) -> pb::Envelope {
        let (publisher, secret, payload_type) = if kind.is_hub() {
            (MemberId::hub(), &self.log, HUB_PAYLOAD_TYPE)
        } else {
            let [operator, acme, birch] = &self.keys;
            let secret = match member % 3 {
                0 => operator,
                1 => acme,
                _ => birch,
            };
            (Self::member(member), secret, HEADER_PAYLOAD_TYPE)
        };
        let payload = wire::header::header_bytes(&self.header(publisher, kind, &body));
        let sig = secret.sign(payload_type, &payload).to_vec().into();
        pb::Envelope {
            payload_type: payload_type.to_owned(),
            payload: payload.into(),
            signatures: vec![pb::Signature { keyid: secret.id().to_string(), sig }],
            body: body.into(),
        }
    }

    /// The founding envelope, encoded.
    pub(crate) fn founding(&self) -> Vec<u8> {
        let [operator, ..] = &self.keys;
        let [recovery, ..] = &self.recovery;
        let id = Self::member(0);
        let genesis = pb::Genesis {
            title: "spring".to_owned(),
            trust_domain: "spring.example".to_owned(),
            operator: id.name(),
            operator_key: Some(wire::proven_key(&self.exchange, &id, operator)),
            operator_recovery_key: Some(wire::proven_key(&self.exchange, &id, recovery)),
            log_key: self.log.spki(),
            ca_digest: vec![4; 32],
        };
        let body =
            pb::Body { salt: vec![7; 32], content: Some(pb::body::Content::Genesis(genesis)) };
        self.envelope(0, BodyKind::Genesis, body.encode_to_vec()).encode_to_vec()
    }
}
