//! A small exchange for the unit tests: an operator, two companies, and the log entries that admit them.

use crate::client::Draft;
use crate::client::KnownRoster;
use crate::client::Pin;
use crate::client::Signer;
use crate::client::Verifier;
use crate::client::founding;
use crate::client::founding::Founding;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::names::Audience;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::signing::SecretKey;
use crate::wire::pb;

pub(crate) struct Founded {
    pub(crate) exchange: ExchangeName,
    pub(crate) genesis: pb::Envelope,
}

pub(crate) struct World {
    pub(crate) founding: Founded,
    pub(crate) log_secret: SecretKey,
    pub(crate) operator: Signer,
    pub(crate) acme: Signer,
    pub(crate) bravo: Signer,
    pub(crate) now: Timestamp,
    /// Entries 0 to 2: the founding, and the admission of `acme-video` and `bravo-net`.
    pub(crate) entries: Vec<pb::Entry>,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let [operator_key, recovery, log_secret, acme, bravo] =
            std::array::from_fn(|_| SecretKey::generate().unwrap());
        let operator: MemberId = "operator".parse().unwrap();
        let (exchange, genesis) = founding::found(
            &Founding {
                title: "spring",
                trust_domain: "spring.watchfire.internal",
                operator: &operator,
                operator_key: &operator_key,
                operator_recovery_key: &recovery,
                log_key_spki: &log_secret.spki(),
                ca_der: b"ca",
            },
            now,
        )
        .unwrap();
        let signer =
            |member: &str, key| Signer::new(exchange.clone(), member.parse().unwrap(), key);
        let mut world = Self {
            operator: signer("operator", operator_key),
            acme: signer("acme-video", acme),
            bravo: signer("bravo-net", bravo),
            entries: vec![Self::entry(0, genesis.clone())],
            founding: Founded { exchange, genesis },
            log_secret,
            now,
        };
        for (place, member) in [(1, world.acme.clone()), (2, world.bravo.clone())] {
            let envelope = world.change(&world.operator, &world.admission(&member));
            world.entries.push(Self::entry(place, envelope));
        }
        world
    }

    pub(crate) fn pin(&self) -> Pin {
        use prost::Message as _;
        Pin::open(&self.founding.genesis.encode_to_vec()).unwrap()
    }

    pub(crate) fn known(&self) -> KnownRoster {
        let mut known = KnownRoster::new(&self.pin());
        for entry in &self.entries {
            known.fold(entry.clone()).unwrap();
        }
        known
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.known().verifier().as_ref().clone()
    }

    pub(crate) fn entry(sequence: u64, envelope: pb::Envelope) -> pb::Entry {
        pb::Entry {
            epoch: 1,
            sequence,
            accept_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 1000 }),
            envelope: Some(envelope),
            erased: None,
            record: None,
        }
    }

    #[expect(clippy::unused_self, reason = "reads as the world's")]
    pub(crate) fn draft(&self, signer: &Signer, content: pb::body::Content) -> Draft {
        Draft {
            name: RecordName { member: signer.member().clone(), record: uuid::Uuid::now_v7() },
            previous: None,
            handling: Handling {
                tlp: Tlp::Green,
                reach: Reach { audiences: vec![Audience::companies()], recipients: Vec::new() },
                onward_uses: Vec::new(),
                use_until: None,
            },
            content,
        }
    }

    pub(crate) fn publish(&self, signer: &Signer, content: pb::body::Content) -> pb::Envelope {
        signer.sign(self.draft(signer, content), self.now).unwrap()
    }

    /// Signs something whose reach is not its own to choose.
    pub(crate) fn change(&self, signer: &Signer, content: &pb::body::Content) -> pb::Envelope {
        let mut draft = self.draft(signer, content.clone());
        draft.handling = founding::unaddressed();
        signer.sign(draft, self.now).unwrap()
    }

    /// An entry of the hub's own.
    pub(crate) fn notice(&self, secret: &SecretKey, content: pb::body::Content) -> pb::Envelope {
        use prost::Message as _;

        use crate::model::header::HUB_PAYLOAD_TYPE;
        use crate::model::names::sha256;

        let body_kind = crate::client::signer::kind_of(&content);
        let body = pb::Body { salt: vec![7; 32], content: Some(content) }.encode_to_vec();
        let header = crate::model::header::Header {
            exchange: self.founding.exchange.clone(),
            name: RecordName { member: MemberId::hub(), record: uuid::Uuid::now_v7() },
            revision: 1,
            previous_digest: None,
            create_time: self.now,
            nonce: [3; 16],
            handling: Handling { tlp: Tlp::Clear, ..founding::unaddressed() },
            body_kind,
            body_digest: sha256(&body),
        };
        let payload = crate::wire::header::header_bytes(&header);
        let sig = secret.sign(HUB_PAYLOAD_TYPE, &payload).to_vec().into();
        pb::Envelope {
            payload_type: HUB_PAYLOAD_TYPE.to_owned(),
            signatures: vec![pb::Signature { keyid: secret.id().to_string(), sig }],
            payload: payload.into(),
            body: body.into(),
        }
    }

    /// The log's next key, and who vouches for it at a place.
    pub(crate) fn succession(
        &self,
        next: &SecretKey,
        place: u64,
        vouching: &[&Signer],
    ) -> pb::LogKeyChange {
        let exchange = &self.founding.exchange;
        let (old, new) = (self.log_secret.id(), next.id());
        let place = crate::model::names::Sequence(place);
        let payload = crate::wire::succession_payload(exchange, &old, &new, place);
        let payload_type = crate::model::header::LOG_KEY_SUCCESSION_PAYLOAD_TYPE;
        let cosignature = |signer: &&Signer| pb::LogKeyCosignature {
            key: format!("{}/keys/{}", signer.member().name(), signer.key().id()),
            signature: signer.key().sign(payload_type, &payload).to_vec(),
        };
        pb::LogKeyChange {
            new_key: Some(founding::proven_key(exchange, &MemberId::hub(), next)),
            cosignatures: vouching.iter().map(cosignature).collect(),
        }
    }

    /// The operator's reset of a member's keys: the new signing key, and the change that puts it in place.
    pub(crate) fn reset(&self, member: &MemberId) -> (Signer, pb::body::Content) {
        let [signing, recovery] = std::array::from_fn(|_| SecretKey::generate().unwrap());
        let key =
            |key: &SecretKey| Some(founding::proven_key(&self.founding.exchange, member, key));
        let content = pb::body::Content::RosterChange(pb::RosterChange {
            member: member.name(),
            change: Some(pb::roster_change::Change::ResetKeys(pb::KeyReset {
                signing_key: key(&signing),
                recovery_key: key(&recovery),
                reason: "they were lost".to_owned(),
            })),
        });
        (Signer::new(self.founding.exchange.clone(), member.clone(), signing), content)
    }

    /// A member's own change that adds a key.
    pub(crate) fn addition(&self, member: &MemberId, key: &SecretKey) -> pb::body::Content {
        let proven = founding::proven_key(&self.founding.exchange, member, key);
        pb::body::Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Add(proven)),
        })
    }

    pub(crate) fn admission(&self, member: &Signer) -> pb::body::Content {
        let recovery = SecretKey::generate().unwrap();
        let key = |key: &SecretKey| {
            Some(founding::proven_key(&self.founding.exchange, member.member(), key))
        };
        pb::body::Content::RosterChange(pb::RosterChange {
            member: member.member().name(),
            change: Some(pb::roster_change::Change::Admit(pb::Admission {
                role: pb::Role::Company.into(),
                signing_key: key(member.key()),
                recovery_key: key(&recovery),
                may_publish_indicators: false,
                display_name: String::new(),
            })),
        })
    }
}

pub(crate) fn domain(value: &str) -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator {
        observable: Some(pb::Observable {
            kind: pb::ObservableKind::Domain.into(),
            value: value.to_owned(),
            ..pb::Observable::default()
        }),
        ..pb::Indicator::default()
    })
}
