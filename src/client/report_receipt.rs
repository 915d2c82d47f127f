//! What the hub signed when evidence was handed in, as a file that can be shown to others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::client::known::KnownRoster;
use crate::client::pin::Pin;
use crate::client::verifier::VerificationError;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::signing::VerifyingKey;
use crate::wire::head::Signed;
use crate::wire::pb;
use crate::wire::report::ReportStatement;

/// The version of the format.
const VERSION: u32 = 1;
/// The field that tells such a file from others.
const MARK: &str = "watchfire_report_receipt";
/// Bytes of a receipt at most: the roster of a large exchange fits.
const RECEIPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A receipt for evidence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReportReceipt {
    #[serde(rename = "watchfire_report_receipt")]
    version: u32,
    /// The founding envelope, Base64: it names the log's key, and the exchange is named after both.
    genesis: String,
    /// Encoded roster entries, Base64, rising: which later key of the log signed it, if one did. Else none.
    roster: Vec<String>,
    /// What the hub signed, Base64.
    statement: String,
    /// Its signature, Base64.
    signature: String,
}

impl ReportReceipt {
    /// Of what the hub answered. It is not checked yet.
    pub(super) fn new(pin: &Pin, known: &KnownRoster, signed: &Signed) -> Self {
        let is_first = known.log_keys().load().count() == 1;
        let entries = known.entries().filter(|_entry| !is_first);
        Self {
            version: VERSION,
            genesis: BASE64.encode(pin.envelope().encode_to_vec()),
            roster: entries.map(|entry| BASE64.encode(entry.encode_to_vec())).collect(),
            statement: BASE64.encode(&signed.statement),
            signature: BASE64.encode(&signed.signature),
        }
    }

    /// Reads one; `None` if the text is none at all, but something else.
    pub fn parse(text: &str) -> Option<Result<Self, VerificationError>> {
        if text.len() > RECEIPT_BYTES_MAX || !text.contains(&format!("\"{MARK}\"")) {
            return None;
        }
        let read = serde_json::from_str::<Self>(text).ok();
        let read = read.filter(|receipt| receipt.version == VERSION);
        Some(
            read.ok_or_else(|| VerificationError::receipt("it is not one of a form that is known")),
        )
    }

    /// The founding record that it is about. Who reads it must know its fingerprints from elsewhere.
    pub fn pin(&self) -> Result<Pin, VerificationError> {
        let malformed = || VerificationError::receipt("its founding record is unreadable");
        Pin::open(&BASE64.decode(&self.genesis).map_err(|_invalid| malformed())?)
    }

    /// What the hub signed: who handed in which evidence, and when.
    pub fn check(&self) -> Result<ReportStatement, VerificationError> {
        let unreadable = || VerificationError::receipt("it is unreadable");
        let decode = |text: &String| BASE64.decode(text).map_err(|_invalid| unreadable());
        let pin = self.pin()?;
        let mut known = KnownRoster::new(&pin);
        for entry in &self.roster {
            let entry = pb::Entry::decode(decode(entry)?.as_slice());
            known.fold(entry.map_err(|_invalid| unreadable())?)?;
        }
        let signed =
            Signed { statement: decode(&self.statement)?, signature: decode(&self.signature)? };
        let log_keys = known.log_keys().load_full();
        open(&signed, &pin, log_keys.current().verifying())
    }

    /// As a text.
    pub(super) fn to_json(&self) -> String {
        // Texts and a number: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// Opens what a hub signed of an exchange.
fn open(
    signed: &Signed,
    pin: &Pin,
    log_key: &VerifyingKey,
) -> Result<ReportStatement, VerificationError> {
    let unsigned = || VerificationError::receipt("the log's key did not sign it");
    let statement = signed.report(log_key).map_err(|_refused| unsigned())?;
    if statement.exchange == *pin.exchange() {
        Ok(statement)
    } else {
        Err(VerificationError::receipt("it is of another exchange"))
    }
}

/// Demands that what came back is for this evidence of this member, signed by the log's key of now.
pub(super) fn open_own(
    signed: &Signed,
    (pin, log_key): (&Pin, &VerifyingKey),
    (member, evidence): (&MemberId, &[u8]),
) -> Result<(ReportStatement, Digest), VerificationError> {
    let statement = open(signed, pin, log_key)?;
    let digest = sha256(evidence);
    if statement.member != *member {
        return Err(VerificationError::receipt("it is another member's"));
    }
    if statement.evidence_digest != digest {
        return Err(VerificationError::receipt("it is for other evidence"));
    }
    Ok((statement, digest))
}
