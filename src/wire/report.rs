//! Reports of misbehaviour: what the hub demands of evidence that is handed to it, and what it signs when it takes it in.

use prost::Message as _;
use serde::Deserialize;

use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::signing::VerifyingKey;
use crate::wire::head::Signed;
use crate::wire::pb;
use crate::wire::strict;
use crate::wire::time;

/// The DSSE payload type of what the hub signs when it takes evidence in.
pub const REPORT_PAYLOAD_TYPE: &str = "application/vnd.watchfire.report.v1+protobuf";
/// The version of evidence that is taken in.
const EVIDENCE_VERSION: u32 = 1;
/// Bytes of a statement at most: two names, a digest and a time.
const STATEMENT_BYTES_MAX: usize = 1024;
const FIELD: &str = "evidence";

/// What the hub signs when it takes evidence in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportStatement {
    /// The exchange.
    pub exchange: ExchangeName,
    /// Who handed it in.
    pub member: MemberId,
    /// SHA-256 of the evidence.
    pub evidence_digest: Digest,
    /// When, by the hub's clock.
    pub time: Timestamp,
}

impl ReportStatement {
    /// The bytes to be signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { exchange, member, evidence_digest, time } = self;
        pb::ReportStatement {
            exchange: exchange.name(),
            member: member.name(),
            evidence_digest: evidence_digest.to_vec(),
            time: Some(time::timestamp_to_wire(*time)),
        }
        .encode_to_vec()
    }

    /// Parses the exact bytes that were signed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(malformed("statement"));
        }
        let pb::ReportStatement { exchange, member, evidence_digest, time: wire_time } =
            strict::decode(bytes, "statement")?;
        let wire_time = wire_time.ok_or_else(|| malformed("statement.time"))?;
        Ok(Self {
            exchange: ExchangeName::from_name(&exchange)
                .map_err(|_invalid| malformed("statement.exchange"))?,
            member: MemberId::from_name(&member)
                .map_err(|_invalid| malformed("statement.member"))?,
            evidence_digest: evidence_digest
                .try_into()
                .map_err(|_length| malformed("statement.evidence_digest"))?,
            time: time::timestamp(&wire_time, "statement.time")?,
        })
    }
}

impl Signed {
    /// That evidence was taken in, signed by the log's key.
    pub fn report(&self, log_key: &VerifyingKey) -> Result<ReportStatement, Refusal> {
        self.demand(REPORT_PAYLOAD_TYPE, log_key)?;
        ReportStatement::from_bytes(&self.statement)
    }
}

fn malformed(field: &'static str) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, "is not what it must be")
}

/// A file of evidence, as far as the hub looks into it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is not looked at must be there, and nothing else")]
struct Evidence {
    #[serde(rename = "watchfire_evidence")]
    version: u32,
    exchange: String,
    genesis: String,
    finder: String,
    time: String,
    deviation: String,
    exhibits: Vec<Exhibit>,
}

/// What shows it: who reads it looks into it.
#[derive(Deserialize)]
#[expect(dead_code, reason = "it must be there")]
struct Exhibit {
    kind: String,
}

/// Demands that bytes are a file of evidence about an exchange. Whether it proves anything is for its readers to judge, who
/// need not trust the hub.
pub fn demand_evidence(bytes: &[u8], exchange: &ExchangeName) -> Result<(), Refusal> {
    if bytes.len() > limits::REPORT_BYTES_MAX {
        let message =
            format!("it has {} bytes, more than {}", bytes.len(), limits::REPORT_BYTES_MAX);
        return Err(Refusal::field(Reason::BatchTooLarge, FIELD, message));
    }
    let refuse = |message: String| Refusal::field(Reason::FieldInvalid, FIELD, message);
    let evidence: Evidence = serde_json::from_slice(bytes).map_err(|error| {
        // What it quotes is the sender's own.
        refuse(format!("it is not a file of evidence: {error}"))
    })?;
    if evidence.version != EVIDENCE_VERSION {
        return Err(refuse(format!("version {} is not known", evidence.version)));
    }
    if evidence.exhibits.len() > limits::REPORT_EXHIBITS_MAX {
        let count = evidence.exhibits.len();
        return Err(refuse(format!(
            "it has {count} exhibits, more than {}",
            limits::REPORT_EXHIBITS_MAX
        )));
    }
    if evidence.exchange != exchange.name() {
        let message = "it is about another exchange";
        return Err(Refusal::field(Reason::WrongExchange, FIELD, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::SecretKey;

    const EXCHANGE: &str = "exchanges/spring-0123456789abcdef";

    fn exchange() -> ExchangeName {
        ExchangeName::from_name(EXCHANGE).unwrap()
    }

    fn statement() -> ReportStatement {
        ReportStatement {
            exchange: exchange(),
            member: "acme-video".parse().unwrap(),
            evidence_digest: [7; 32],
            time: Timestamp::from_micros(1_800_000_000_000_001).unwrap(),
        }
    }

    #[test]
    fn a_statement_survives_its_bytes_which_have_one_spelling() {
        let bytes = statement().to_bytes();
        assert_eq!(ReportStatement::from_bytes(&bytes), Ok(statement()));
        let longer = [bytes.as_slice(), &[0xf8, 0x07, 0x01]].concat();
        assert_eq!(
            ReportStatement::from_bytes(&longer).unwrap_err().reason,
            Reason::UnsupportedField
        );
        let cut = (0..bytes.len()).find(|end| ReportStatement::from_bytes(&bytes[..*end]).is_ok());
        assert_eq!(cut, None, "every field counts");
        let long = vec![0; STATEMENT_BYTES_MAX + 1];
        assert_eq!(ReportStatement::from_bytes(&long).unwrap_err().reason, Reason::FieldInvalid);
    }

    #[test]
    fn a_statement_counts_only_under_the_key_and_the_payload_type_that_signed_it() {
        let (secret, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let key = |secret: &SecretKey| VerifyingKey::from_spki(&secret.spki()).unwrap();
        let bytes = statement().to_bytes();
        let signed = |payload_type: &str| Signed {
            statement: bytes.clone(),
            signature: secret.sign(payload_type, &bytes).to_vec(),
        };
        assert_eq!(signed(REPORT_PAYLOAD_TYPE).report(&key(&secret)), Ok(statement()));
        signed(REPORT_PAYLOAD_TYPE).report(&key(&other)).unwrap_err();
        signed(crate::wire::head::LISTING_PAYLOAD_TYPE).report(&key(&secret)).unwrap_err();
    }

    fn evidence(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut evidence = serde_json::json!({
            "watchfire_evidence": 1,
            "exchange": EXCHANGE,
            "genesis": "AA==",
            "finder": "members/acme-video",
            "time": "2027-01-15T08:00:00Z",
            "deviation": "because",
            "exhibits": [{"kind": "checkpoint", "note": "a note"}],
        });
        change(&mut evidence);
        serde_json::to_vec(&evidence).unwrap()
    }

    fn reason(bytes: &[u8]) -> Option<Reason> {
        demand_evidence(bytes, &exchange()).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn only_evidence_about_this_exchange_is_taken() {
        assert_eq!(reason(&evidence(|_same| ())), None);
        let new = evidence(|evidence| evidence["exhibits"][0]["kind"] = "of tomorrow".into());
        assert_eq!(reason(&new), None, "kinds that are not known yet");
        let elsewhere = evidence(|evidence| {
            evidence["exchange"] = "exchanges/autumn-0123456789abcdef".into();
        });
        assert_eq!(reason(&elsewhere), Some(Reason::WrongExchange));
        let refused = Some(Reason::FieldInvalid);
        for bad in ["", "{}", "[]", "null", "\u{0}", "{\"watchfire_evidence\":1}"] {
            assert_eq!(reason(bad.as_bytes()), refused, "{bad}");
        }
        assert_eq!(reason(&[0xff; 9]), refused);
        assert_eq!(reason("[".repeat(100_000).as_bytes()), refused, "deep");
        for field in ["watchfire_evidence", "genesis", "finder", "time", "deviation", "exhibits"] {
            let less = evidence(|evidence| drop(evidence.as_object_mut().unwrap().remove(field)));
            assert_eq!(reason(&less), refused, "without {field}");
        }
        let changes: [&dyn Fn(&mut serde_json::Value); 4] = [
            &|evidence| evidence["watchfire_evidence"] = 2.into(),
            &|evidence| evidence["more"] = 1.into(),
            &|evidence| evidence["exhibits"][0] = serde_json::json!({"note": "no kind"}),
            &|evidence| evidence["exhibits"] = "none".into(),
        ];
        for change in changes {
            assert_eq!(reason(&evidence(change)), refused);
        }
        let twice = String::from_utf8(evidence(|_same| ())).unwrap();
        let twice = twice.replacen('{', "{\"exchange\":\"exchanges/other\",", 1);
        assert_eq!(reason(twice.as_bytes()), refused, "a field twice");
    }

    #[test]
    fn evidence_is_bounded_in_bytes_and_exhibits() {
        let long = |length: usize| {
            let bare = evidence(|evidence| evidence["deviation"] = "".into()).len();
            evidence(|evidence| evidence["deviation"] = "x".repeat(length - bare).into())
        };
        let most = long(limits::REPORT_BYTES_MAX);
        assert_eq!((most.len(), reason(&most)), (limits::REPORT_BYTES_MAX, None));
        let more = long(limits::REPORT_BYTES_MAX + 1);
        assert_eq!(reason(&more), Some(Reason::BatchTooLarge));
        let exhibits = |count| {
            let exhibit = serde_json::json!({"kind": "x"});
            evidence(|evidence| evidence["exhibits"] = vec![exhibit; count].into())
        };
        assert_eq!(reason(&exhibits(limits::REPORT_EXHIBITS_MAX)), None);
        assert_eq!(reason(&exhibits(limits::REPORT_EXHIBITS_MAX + 1)), Some(Reason::FieldInvalid));
    }

    proptest! {
        #[test]
        fn no_bytes_make_parsing_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(ReportStatement::from_bytes(&bytes));
            drop(demand_evidence(&bytes, &exchange()));
        }
    }
}
