//! Headers and handling: from signed bytes, and to bytes that are about to be signed.

use prost::Message as _;

use crate::model::handling::Handling;
use crate::model::handling::OnwardUse;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::pb;
use crate::wire::strict;
use crate::wire::time;

/// Parses the exact bytes of a header.
pub fn header(bytes: &[u8]) -> Result<Header, Refusal> {
    if bytes.len() > limits::HEADER_BYTES_MAX {
        return Err(Refusal::field(
            Reason::RecordTooLarge,
            "payload",
            format!("the header has {} bytes, more than {}", bytes.len(), limits::HEADER_BYTES_MAX),
        ));
    }
    let pb::Header {
        exchange,
        name,
        revision,
        previous_digest,
        create_time,
        nonce,
        handling,
        body_kind,
        body_digest,
    } = strict::decode(bytes, "payload")?;
    if revision == 0 {
        return Err(invalid("header.revision", "must be 1 or more"));
    }
    let previous_digest = match (revision, previous_digest.is_empty()) {
        (1, true) => None,
        (1, false) => {
            return Err(invalid("header.previous_digest", "must be empty at revision 1"));
        }
        _ => Some(fixed(&previous_digest, "header.previous_digest", "must be 32 bytes")?),
    };
    let create_time = create_time.ok_or_else(|| invalid("header.create_time", "must be set"))?;
    let handling = handling.ok_or_else(|| {
        Refusal::field(Reason::TlpMissing, "header.handling.tlp", "every record has a TLP label")
    })?;
    Ok(Header {
        exchange: ExchangeName::from_name(&exchange)
            .map_err(|error| invalid("header.exchange", &error.to_string()))?,
        name: name.parse().map_err(|error: crate::model::names::InvalidName| {
            invalid("header.name", &error.to_string())
        })?,
        revision,
        previous_digest,
        create_time: time::timestamp(&create_time, "header.create_time")?,
        nonce: fixed(&nonce, "header.nonce", "must be 16 bytes")?,
        handling: handling_from_wire(handling)?,
        body_kind: BodyKind::from_number(body_kind).ok_or_else(|| {
            Refusal::field(
                Reason::UnsupportedField,
                "header.body_kind",
                format!("body kind {body_kind} is not taken by this version"),
            )
        })?,
        body_digest: fixed(&body_digest, "header.body_digest", "must be 32 bytes")?,
    })
}

/// The canonical bytes of a header, to be signed.
pub fn header_bytes(header: &Header) -> Vec<u8> {
    header_to_wire(header).encode_to_vec()
}

/// The message of a header, for reading.
pub fn header_to_wire(header: &Header) -> pb::Header {
    pb::Header {
        exchange: header.exchange.name(),
        name: header.name.to_string(),
        revision: header.revision,
        previous_digest: header.previous_digest.map(|digest| digest.to_vec()).unwrap_or_default(),
        create_time: Some(time::timestamp_to_wire(header.create_time)),
        nonce: header.nonce.to_vec(),
        handling: Some(handling_to_wire(&header.handling)),
        body_kind: header.body_kind.number(),
        body_digest: header.body_digest.to_vec(),
    }
}

fn handling_from_wire(wire: pb::Handling) -> Result<Handling, Refusal> {
    let pb::Handling { tlp, audiences, recipients, onward_uses, use_until_time } = wire;
    let tlp = tlp_from_number(tlp)?;
    let reach = Reach {
        audiences: names(
            &audiences,
            limits::AUDIENCES_MAX,
            "header.handling.audiences",
            Audience::from_name,
        )?,
        recipients: names(
            &recipients,
            limits::RECIPIENTS_MAX,
            "header.handling.recipients",
            MemberId::from_name,
        )?,
    };
    if tlp == Tlp::Red && (reach.recipients.is_empty() || !reach.audiences.is_empty()) {
        let message = "TLP:RED takes named recipients and no audience";
        return Err(invalid("header.handling.recipients", message));
    }
    let onward_uses = onward_uses.into_iter().map(onward_use).collect::<Result<Vec<_>, _>>()?;
    if !onward_uses.is_sorted_by(|a, b| a < b) {
        return Err(invalid("header.handling.onward_uses", "must be sorted, without repeats"));
    }
    let use_until = use_until_time
        .map(|until| time::timestamp(&until, "header.handling.use_until_time"))
        .transpose()?;
    Ok(Handling { tlp, reach, onward_uses, use_until })
}

/// The message of a handling.
pub fn handling_to_wire(handling: &Handling) -> pb::Handling {
    pb::Handling {
        tlp: tlp_number(handling.tlp).into(),
        audiences: handling.reach.audiences.iter().map(Audience::name).collect(),
        recipients: handling.reach.recipients.iter().map(MemberId::name).collect(),
        onward_uses: handling.onward_uses.iter().map(|onward| onward_number(*onward)).collect(),
        use_until_time: handling.use_until.map(time::timestamp_to_wire),
    }
}

fn tlp_from_number(number: i32) -> Result<Tlp, Refusal> {
    match pb::Tlp::try_from(number) {
        Ok(pb::Tlp::Unspecified) => Err(Refusal::field(
            Reason::TlpMissing,
            "header.handling.tlp",
            "every record has a TLP label",
        )),
        Ok(pb::Tlp::Clear) => Ok(Tlp::Clear),
        Ok(pb::Tlp::Green) => Ok(Tlp::Green),
        Ok(pb::Tlp::Amber) => Ok(Tlp::Amber),
        Ok(pb::Tlp::AmberStrict) => Ok(Tlp::AmberStrict),
        Ok(pb::Tlp::Red) => Ok(Tlp::Red),
        Err(_unknown) => Err(unknown("header.handling.tlp", number)),
    }
}

fn tlp_number(tlp: Tlp) -> pb::Tlp {
    match tlp {
        Tlp::Clear => pb::Tlp::Clear,
        Tlp::Green => pb::Tlp::Green,
        Tlp::Amber => pb::Tlp::Amber,
        Tlp::AmberStrict => pb::Tlp::AmberStrict,
        Tlp::Red => pb::Tlp::Red,
    }
}

fn onward_use(number: i32) -> Result<OnwardUse, Refusal> {
    match pb::OnwardUse::try_from(number) {
        Ok(pb::OnwardUse::Block) => Ok(OnwardUse::Block),
        Ok(pb::OnwardUse::NotifyAffected) => Ok(OnwardUse::NotifyAffected),
        Ok(pb::OnwardUse::PassToGovernment) => Ok(OnwardUse::PassToGovernment),
        Ok(pb::OnwardUse::Unspecified) | Err(_) => {
            Err(unknown("header.handling.onward_uses", number))
        }
    }
}

fn onward_number(onward: OnwardUse) -> i32 {
    i32::from(match onward {
        OnwardUse::Block => pb::OnwardUse::Block,
        OnwardUse::NotifyAffected => pb::OnwardUse::NotifyAffected,
        OnwardUse::PassToGovernment => pb::OnwardUse::PassToGovernment,
    })
}

/// Names in one spelling: parsed, sorted as text, without repeats.
fn names<T, E: ToString>(
    wire: &[String],
    maximum: usize,
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Refusal> {
    if wire.len() > maximum {
        return Err(invalid(field, &format!("at most {maximum} are taken")));
    }
    if !wire.is_sorted_by(|a, b| a < b) {
        return Err(invalid(field, "must be sorted, without repeats"));
    }
    wire.iter()
        .map(|name| parse(name).map_err(|error| invalid(field, &error.to_string())))
        .collect()
}

pub(super) fn invalid(field: &'static str, message: &str) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, message)
}

fn unknown(field: &'static str, number: i32) -> Refusal {
    Refusal::field(
        Reason::UnsupportedField,
        field,
        format!("{number} is not known to this version"),
    )
}

fn fixed<const N: usize>(
    bytes: &[u8],
    field: &'static str,
    rule: &'static str,
) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_length| invalid(field, rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    pub(crate) fn example() -> Header {
        Header {
            exchange: ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap(),
            name: "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057"
                .parse()
                .unwrap(),
            revision: 1,
            previous_digest: None,
            create_time: Timestamp::from_micros(1_534_896_000_000_001).unwrap(),
            nonce: [7; 16],
            handling: Handling {
                tlp: Tlp::Green,
                reach: Reach { audiences: vec![Audience::companies()], recipients: vec![] },
                onward_uses: vec![OnwardUse::Block],
                use_until: None,
            },
            body_kind: BodyKind::Indicator,
            body_digest: [9; 32],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut pb::Header), expected: Reason) {
        let mut wire = header_to_wire(&example());
        change(&mut wire);
        assert_eq!(header(&wire.encode_to_vec()).unwrap_err().reason, expected);
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let bytes = header_bytes(&example());
        assert_eq!(header(&bytes).unwrap(), example());
    }

    #[test]
    fn the_bytes_of_a_header_are_golden() {
        // Every signature ever made depends on these bytes.
        assert_eq!(
            hex::encode(header_bytes(&example())),
            include_str!("../../tests/vectors/header.hex").trim()
        );
    }

    #[test]
    fn what_must_not_be_is_refused() {
        check(|header| header.revision = 0, Reason::FieldInvalid);
        check(|header| header.revision = 2, Reason::FieldInvalid);
        check(|header| header.previous_digest = vec![1; 32], Reason::FieldInvalid);
        check(|header| header.nonce.push(1), Reason::FieldInvalid);
        check(|header| header.create_time = None, Reason::FieldInvalid);
        check(|header| header.create_time.as_mut().unwrap().nanos = 1, Reason::FieldInvalid);
        check(|header| header.handling = None, Reason::TlpMissing);
        check(|header| header.handling.as_mut().unwrap().tlp = 0, Reason::TlpMissing);
        check(|header| header.handling.as_mut().unwrap().tlp = 6, Reason::UnsupportedField);
        check(|header| header.handling.as_mut().unwrap().tlp = 5, Reason::FieldInvalid);
        check(
            |header| header.handling.as_mut().unwrap().onward_uses = vec![9],
            Reason::UnsupportedField,
        );
        check(
            |header| {
                header.handling.as_mut().unwrap().audiences =
                    vec!["audiences/companies".into(), "audiences/all".into()];
            },
            Reason::FieldInvalid,
        );
        check(|header| header.body_kind = 24, Reason::UnsupportedField);
        check(|header| header.exchange = "exchanges/spring".into(), Reason::FieldInvalid);
    }

    #[test]
    fn odd_spellings_are_refused() {
        let bytes = header_bytes(&example());
        let unknown_field = [bytes.as_slice(), &[0xf8, 0x01, 0x01]].concat();
        let twice = [bytes.as_slice(), &[0x18, 0x01]].concat();
        let long_varint: Vec<u8> = {
            // Field 3 (0x18), value 1, written in two bytes.
            let at = bytes.windows(2).position(|pair| pair == [0x18, 0x01]).unwrap();
            [&bytes[..=at], &[0x81, 0x00], &bytes[at + 2..]].concat()
        };
        for odd in [unknown_field, twice, long_varint] {
            assert_eq!(header(&odd).unwrap_err().reason, Reason::UnsupportedField);
        }
        assert_eq!(
            header(&bytes[..bytes.len() - 1]).unwrap_err().reason,
            Reason::MalformedEnvelope
        );
    }
}
