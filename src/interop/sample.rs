//! Records for the tests of writers, as members could have signed them; nobody did.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::interop::exported::ExportedRecord;
use crate::model::handling::Handling;
use crate::model::handling::OnwardUse;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::names::Audience;
use crate::model::names::ExchangeName;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// So many seconds after the moment that all of this is about.
pub(in crate::interop) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000).unwrap()
}

/// The same on the wire.
pub(in crate::interop) fn wire_at(seconds: u64) -> prost_types::Timestamp {
    wire::time::timestamp_to_wire(at(seconds))
}

/// The name of a record of `acme-video`.
pub(in crate::interop) fn name(number: u32) -> RecordName {
    format!("members/acme-video/records/01890a5d-ac96-774b-bcce-{number:012x}").parse().unwrap()
}

/// A handling with this label; readers may block.
pub(in crate::interop) fn handling(tlp: Tlp) -> Handling {
    let (audiences, recipients) = match tlp {
        Tlp::Red => (Vec::new(), vec!["birch-social".parse().unwrap()]),
        Tlp::Clear | Tlp::Green | Tlp::Amber | Tlp::AmberStrict => {
            (vec![Audience::companies()], Vec::new())
        }
    };
    Handling {
        tlp,
        reach: Reach { audiences, recipients },
        onward_uses: vec![OnwardUse::Block],
        use_until: None,
    }
}

/// A record that says this, taken in at [`at`] zero.
pub(in crate::interop) fn record(
    number: u32,
    body_kind: BodyKind,
    content: Content,
    handling: Handling,
) -> ExportedRecord {
    let body = pb::Body { salt: vec![7; 32], content: Some(content) }.encode_to_vec();
    let header = Header {
        exchange: ExchangeName::derive("spring", b"operator", b"log").unwrap(),
        name: name(number),
        revision: 1,
        previous_digest: None,
        create_time: at(0),
        nonce: [9; 16],
        handling,
        body_kind,
        body_digest: sha256(&body),
    };
    let envelope = pb::Envelope {
        payload_type: HEADER_PAYLOAD_TYPE.to_owned(),
        payload: wire::header::header_bytes(&header).into(),
        signatures: vec![pb::Signature { keyid: "ab".repeat(32), sig: vec![1; 64].into() }],
        body: body.into(),
    };
    ExportedRecord {
        epoch: 1,
        sequence: u64::from(number),
        accept_time: at(0),
        first_accept_time: at(0),
        record: wire::envelope::record(envelope).unwrap(),
        recalled: None,
        named: BTreeMap::new(),
    }
}

/// An asset that readers may block.
pub(in crate::interop) fn asset(
    number: u32,
    kind: pb::ObservableKind,
    platform: &str,
    value: &str,
) -> ExportedRecord {
    let said = indicator(kind, platform, value);
    record(number, BodyKind::Indicator, Content::Indicator(said), handling(Tlp::Green))
}

/// The same before anybody signs it.
pub(in crate::interop) fn indicator(
    kind: pb::ObservableKind,
    platform: &str,
    value: &str,
) -> pb::Indicator {
    let observable = pb::Observable {
        kind: kind.into(),
        platform: platform.to_owned(),
        value: value.to_owned(),
        ..pb::Observable::default()
    };
    pb::Indicator { observable: Some(observable), ..pb::Indicator::default() }
}
