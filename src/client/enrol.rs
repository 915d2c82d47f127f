//! The papers of an enrolment: a member's request, the operator's grant, and a request for a renewed certificate.
//!
//! None of them holds anything secret. A request carries its proofs; a grant carries the founding record, which
//! the member compares by name with what it was told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;

use crate::client::founding::proven_key;
use crate::model::fingerprint::Fingerprint;
use crate::model::header::POSSESSION_PAYLOAD_TYPE;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::VerifyingKey;
use crate::wire::pb;

/// The version of the papers.
const VERSION: u32 = 1;
/// The DSSE payload type of a request for a renewed certificate.
const RENEWAL_PAYLOAD_TYPE: &str = "application/vnd.watchfire.certificate-renewal.v1";

/// A paper that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {paper} does not hold: {why}")]
pub struct InvalidPaper {
    paper: &'static str,
    why: String,
}

impl InvalidPaper {
    /// A paper, and why it does not hold.
    pub fn new(paper: &'static str, why: impl Into<String>) -> Self {
        Self { paper, why: why.into() }
    }
}

/// What a member sends to the operator to be admitted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    version: u32,
    exchange: String,
    member: String,
    signing_key: ProvenKey,
    recovery_key: ProvenKey,
    certificate_request: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ProvenKey {
    spki: String,
    possession_proof: String,
}

impl JoinRequest {
    /// Makes one; the keys prove that their holder wants them registered.
    pub fn new(
        exchange: &ExchangeName,
        member: &MemberId,
        keys: [&SecretKey; 2],
        certificate_request_pem: &str,
    ) -> Self {
        let [signing_key, recovery_key] = keys.map(|key| {
            let pb::PublicKey { spki, possession_proof } = proven_key(exchange, member, key);
            ProvenKey {
                spki: BASE64.encode(spki),
                possession_proof: BASE64.encode(possession_proof),
            }
        });
        Self {
            version: VERSION,
            exchange: exchange.name(),
            member: member.to_string(),
            signing_key,
            recovery_key,
            certificate_request: certificate_request_pem.to_owned(),
        }
    }

    /// Reads one and checks its proofs.
    pub fn parse(json: &str) -> Result<Self, InvalidPaper> {
        let request: Self = parse("request", json)?;
        if request.version != VERSION {
            return Err(InvalidPaper::new("request", "it is of another version"));
        }
        let (exchange, member) = (request.exchange()?, request.member()?);
        for key in request.keys()? {
            check_possession(&exchange, &member, &key)?;
        }
        Ok(request)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// The exchange that the member wants to join.
    pub fn exchange(&self) -> Result<ExchangeName, InvalidPaper> {
        ExchangeName::from_name(&self.exchange)
            .map_err(|error| InvalidPaper::new("request", error.to_string()))
    }

    /// The member.
    pub fn member(&self) -> Result<MemberId, InvalidPaper> {
        self.member.parse().map_err(|error: crate::model::names::InvalidName| {
            InvalidPaper::new("request", error.to_string())
        })
    }

    /// The signing key and the recovery key.
    pub fn keys(&self) -> Result<[pb::PublicKey; 2], InvalidPaper> {
        let key = |key: &ProvenKey| {
            Ok::<_, InvalidPaper>(pb::PublicKey {
                spki: from_base64("request", &key.spki)?,
                possession_proof: from_base64("request", &key.possession_proof)?,
            })
        };
        Ok([key(&self.signing_key)?, key(&self.recovery_key)?])
    }

    /// What the member and the operator compare: the signing key and the recovery key together.
    pub fn fingerprint(&self) -> Result<Fingerprint, InvalidPaper> {
        let [signing, recovery] = self.keys()?;
        Ok(Fingerprint::of_keys(&[&signing.spki, &recovery.spki]))
    }

    /// PKCS#10, PEM.
    pub fn certificate_request_pem(&self) -> &str {
        &self.certificate_request
    }
}

fn check_possession(
    exchange: &ExchangeName,
    member: &MemberId,
    key: &pb::PublicKey,
) -> Result<(), InvalidPaper> {
    let parsed = VerifyingKey::from_spki(&key.spki)
        .map_err(|error| InvalidPaper::new("request", error.to_string()))?;
    let payload = signing::possession_payload(exchange, member, &parsed.id());
    let claim = Claim {
        payload_type: POSSESSION_PAYLOAD_TYPE,
        payload: &payload,
        signature: &key.possession_proof,
        key: &parsed,
        value: (),
    };
    signing::verify(claim)
        .map(|_verified| ())
        .map_err(|_bad| InvalidPaper::new("request", "a key's proof of possession does not verify"))
}

/// What the operator gives to an admitted member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    version: u32,
    /// `exchanges/{exchange}`: its digits are the fingerprint to compare.
    pub exchange: String,
    /// The operator's key id.
    pub operator_key: String,
    /// The log's key id.
    pub log_key: String,
    /// The member's id.
    pub member: String,
    /// What it may do.
    pub role: String,
    /// `host:port` of the hub.
    pub address: String,
    /// The name in the hub's certificate.
    pub server_name: String,
    /// The SPIFFE trust domain.
    pub trust_domain: String,
    /// The hub's authority, PEM.
    pub certificate_authority: String,
    /// The member's certificate, PEM.
    pub certificate: String,
    genesis: String,
}

/// What goes into a grant beside the operator's own settings.
pub struct Granted<'a> {
    /// The founding record.
    pub pin: &'a crate::client::Pin,
    /// The operator's settings.
    pub settings: &'a crate::profile::Settings,
    /// The admitted member.
    pub member: &'a MemberId,
    /// What it may do.
    pub role: crate::model::roster::Role,
    /// The hub's authority, PEM.
    pub ca_pem: &'a str,
    /// The member's certificate, PEM.
    pub certificate_pem: &'a str,
}

impl Grant {
    /// Makes one.
    pub fn new(granted: &Granted<'_>) -> Self {
        use prost::Message as _;

        let Granted { pin, settings, member, role, ca_pem, certificate_pem } = *granted;
        Self {
            version: VERSION,
            exchange: pin.exchange().name(),
            operator_key: pin.operator_key_id().to_string(),
            log_key: pin.log_key_id().to_string(),
            member: member.to_string(),
            role: role.as_str().to_owned(),
            address: settings.address.clone(),
            server_name: settings.server_name.clone(),
            trust_domain: settings.trust_domain.clone(),
            certificate_authority: ca_pem.to_owned(),
            certificate: certificate_pem.to_owned(),
            genesis: BASE64.encode(pin.envelope().encode_to_vec()),
        }
    }

    /// Reads one.
    pub fn parse(json: &str) -> Result<Self, InvalidPaper> {
        let grant: Self = parse("grant", json)?;
        if grant.version == VERSION {
            Ok(grant)
        } else {
            Err(InvalidPaper::new("grant", "it is of another version"))
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// The founding envelope, encoded.
    pub fn genesis(&self) -> Result<Vec<u8>, InvalidPaper> {
        from_base64("grant", &self.genesis)
    }
}

/// What a member sends to the operator before its certificate ends, signed with its signing key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RenewalRequest {
    version: u32,
    exchange: String,
    member: String,
    key: String,
    certificate_request: String,
    signature: String,
}

impl RenewalRequest {
    /// Makes and signs one.
    pub fn new(signer: &crate::client::Signer, certificate_request_pem: &str) -> Self {
        let mut request = Self {
            version: VERSION,
            exchange: signer.exchange().name(),
            member: signer.member().to_string(),
            key: signer.key().id().to_string(),
            certificate_request: certificate_request_pem.to_owned(),
            signature: String::new(),
        };
        let signature = signer.key().sign(RENEWAL_PAYLOAD_TYPE, &request.payload());
        request.signature = BASE64.encode(signature);
        request
    }

    /// Reads one; its signature must be by a key that the roster has for the member.
    pub fn parse(
        json: &str,
        verifier: &crate::client::Verifier,
    ) -> Result<(Self, MemberId), InvalidPaper> {
        let invalid = |why: &str| InvalidPaper::new("renewal request", why);
        let request: Self = parse("renewal request", json)?;
        if request.version != VERSION {
            return Err(invalid("it is of another version"));
        }
        let member: MemberId =
            request.member.parse().map_err(|_not_a_name| invalid("the member is not one"))?;
        let id = request.key.parse().map_err(|_not_a_key| invalid("the key is not one"))?;
        let roster = verifier.roster();
        let standing = roster.member(&member).filter(|member| !member.suspended);
        let registered = roster
            .key(&id)
            .filter(|key| standing.is_some() && key.member == member && key.retired_at.is_none())
            .ok_or_else(|| invalid("the key is not one of a member in good standing"))?;
        let key = VerifyingKey::from_spki(&registered.spki)
            .map_err(|error| invalid(&error.to_string()))?;
        let signature = from_base64("renewal request", &request.signature)?;
        let claim = Claim {
            payload_type: RENEWAL_PAYLOAD_TYPE,
            payload: &request.payload(),
            signature: &signature,
            key: &key,
            value: (),
        };
        signing::verify(claim).map_err(|_bad| invalid("its signature does not verify"))?;
        Ok((request, member))
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// PKCS#10, PEM.
    pub fn certificate_request_pem(&self) -> &str {
        &self.certificate_request
    }

    fn payload(&self) -> Vec<u8> {
        format!("{}\n{}\n{}", self.exchange, self.member, self.certificate_request).into_bytes()
    }
}

fn parse<T: for<'de> Deserialize<'de>>(paper: &'static str, json: &str) -> Result<T, InvalidPaper> {
    serde_json::from_str(json).map_err(|error| InvalidPaper::new(paper, error.to_string()))
}

fn to_json<T: Serialize>(value: &T) -> String {
    // Texts and a number: there is nothing in it that JSON cannot say.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn from_base64(paper: &'static str, text: &str) -> Result<Vec<u8>, InvalidPaper> {
    BASE64.decode(text).map_err(|error| InvalidPaper::new(paper, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;

    #[test]
    fn a_request_proves_its_keys_for_one_exchange_and_member() {
        let world = World::new();
        let key = SecretKey::generate().unwrap();
        let member = "charlie".parse().unwrap();
        let request =
            JoinRequest::new(&world.founding.exchange, &member, [&key, world.bravo.key()], "pem");
        let json = request.to_json();
        assert_eq!(JoinRequest::parse(&json).unwrap(), request);
        let elsewhere = World::new().founding.exchange.name();
        JoinRequest::parse(&json.replace(&world.founding.exchange.name(), &elsewhere)).unwrap_err();
        JoinRequest::parse(&json.replace("charlie", "charlotte")).unwrap_err();
    }

    #[test]
    fn only_a_member_can_ask_for_its_renewal() {
        let world = World::new();
        let json = RenewalRequest::new(&world.acme, "pem").to_json();
        let (_request, member) = RenewalRequest::parse(&json, &world.verifier()).unwrap();
        assert_eq!(member, *world.acme.member());
        for (from, to) in [("acme-video", "bravo-net"), ("pem", "mep")] {
            assert!(
                RenewalRequest::parse(&json.replace(from, to), &world.verifier()).is_err(),
                "{to}"
            );
        }
    }
}
