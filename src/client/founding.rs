//! Founding an exchange: its name, and the operator's record at sequence 0.

use uuid::Uuid;

use crate::client::error::ClientError;
use crate::client::signer::Draft;
use crate::client::signer::Signer;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::names::ExchangeName;
use crate::model::names::InvalidName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::signing::SecretKey;
use crate::wire::pb;

pub use crate::wire::proven_key;

/// What an exchange is founded on.
pub struct Founding<'a> {
    /// The name that people use.
    pub title: &'a str,
    /// The SPIFFE trust domain of its certificates.
    pub trust_domain: &'a str,
    /// The operator's id.
    pub operator: &'a MemberId,
    /// The operator's signing key.
    pub operator_key: &'a SecretKey,
    /// The operator's recovery key.
    pub operator_recovery_key: &'a SecretKey,
    /// The log's public key, `SubjectPublicKeyInfo`.
    pub log_key_spki: &'a [u8],
    /// The certificate authority's certificate, DER.
    pub ca_der: &'a [u8],
}

/// The exchange's name and its founding envelope.
pub fn found(
    founding: &Founding<'_>,
    now: Timestamp,
) -> Result<(ExchangeName, pb::Envelope), ClientError> {
    let Founding { title, trust_domain, operator, operator_key, operator_recovery_key, .. } =
        *founding;
    let exchange = ExchangeName::derive(title, &operator_key.spki(), founding.log_key_spki)
        .map_err(|error| invalid_name(&error))?;
    let genesis = pb::Genesis {
        title: title.to_owned(),
        trust_domain: trust_domain.to_owned(),
        operator: operator.name(),
        operator_key: Some(proven_key(&exchange, operator, operator_key)),
        operator_recovery_key: Some(proven_key(&exchange, operator, operator_recovery_key)),
        log_key: founding.log_key_spki.to_vec(),
        ca_digest: sha256(founding.ca_der).to_vec(),
    };
    let signer = Signer::new(exchange.clone(), operator.clone(), operator_key.clone());
    let draft = Draft {
        name: RecordName { member: operator.clone(), record: Uuid::now_v7() },
        previous: None,
        handling: unaddressed(),
        content: pb::body::Content::Genesis(genesis),
    };
    Ok((exchange, signer.sign(draft, now)?))
}

/// The handling of records whose reach is not theirs to choose.
pub fn unaddressed() -> Handling {
    Handling { tlp: Tlp::Green, reach: Reach::default(), onward_uses: Vec::new(), use_until: None }
}

pub(super) fn invalid_name(error: &InvalidName) -> ClientError {
    ClientError::Invalid(Refusal::new(Reason::FieldInvalid, error.to_string()))
}
