//! Who a certificate says is speaking.
//!
//! Exactly one URI name, `spiffe://{trust domain}/members/{member}[/agents/{agent}]`, checked in the handshake
//! after the chain and the revocation list. Nothing else, and no header, ever carries identity.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::sha256;
use crate::tls::limits::INTERMEDIATES_MAX;

/// The other end of a connection, as its certificate has it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The member.
    pub member: MemberId,
    /// The program or team that acts for it.
    pub agent: Option<String>,
    /// The certificate's serial number, lower-case hex.
    pub serial: String,
    /// The end of the certificate's life.
    pub not_after: SystemTime,
    /// Where it came from.
    pub address: SocketAddr,
}

/// Which certificate: serial numbers are unique for one authority only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateId {
    /// SHA-256 of the issuer's name.
    pub(super) issuer: Digest,
    /// Lower-case hex.
    pub(super) serial: String,
}

/// What a certificate says about its holder.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    member: MemberId,
    agent: Option<String>,
    certificate: CertificateId,
    not_after: SystemTime,
}

impl Identity {
    pub(super) fn at(self, address: SocketAddr) -> (Arc<Peer>, CertificateId) {
        let Self { member, agent, certificate, not_after } = self;
        let serial = certificate.serial.clone();
        (Arc::new(Peer { member, agent, serial, not_after, address }), certificate)
    }
}

/// Reads the identity of a leaf certificate; says why not, for the log.
pub(super) fn identity(leaf: &[u8], trust_domain: &str) -> Result<Identity, &'static str> {
    let (_rest, certificate) =
        X509Certificate::from_der(leaf).map_err(|_not_x509| "the certificate is unreadable")?;
    if certificate.is_ca() {
        return Err("the certificate is one of an authority");
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|_bad_extension| "the alternative names are unreadable")?
        .ok_or("the certificate has no alternative name")?;
    // A name that the parser cannot read counts: it might be a second URI.
    let mut uris = names.value.general_names.iter().filter_map(uri_of);
    let (Some(uri), None) = (uris.next(), uris.next()) else {
        return Err("the certificate must have exactly one URI name");
    };
    let (member, agent) =
        member_of(uri, trust_domain).ok_or("the URI name names no member here")?;
    let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Identity {
        member,
        agent,
        certificate: CertificateId {
            issuer: sha256(certificate.issuer().as_raw()),
            serial: hex::encode(certificate.raw_serial()),
        },
        not_after: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(not_after),
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "names of other kinds say nothing here")]
fn uri_of<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        GeneralName::Invalid(..) => Some(""),
        _ => None,
    }
}

pub(super) fn member_of(uri: &str, trust_domain: &str) -> Option<(MemberId, Option<String>)> {
    let rest = uri.strip_prefix("spiffe://")?.strip_prefix(trust_domain)?;
    let rest = rest.strip_prefix("/members/")?;
    let (member, agent) = match rest.split_once('/') {
        None => (rest, None),
        Some((member, path)) => (member, Some(path.strip_prefix("agents/")?)),
    };
    // An agent's id has the form of a member's.
    let agent = agent.map(|agent| agent.parse::<MemberId>().map(|id| id.to_string())).transpose();
    Some((member.parse().ok()?, agent.ok()?))
}

/// The chain and revocation check of webpki, then the rule about names.
#[derive(Debug)]
pub(super) struct MemberVerifier {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) trust_domain: String,
}

impl ClientCertVerifier for MemberVerifier {
    /// None: strangers do not learn who the members' authorities are.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if intermediates.len() > INTERMEDIATES_MAX {
            return Err(Error::General("the chain is too long".to_owned()));
        }
        let verified = self.inner.verify_client_cert(leaf, intermediates, now)?;
        identity(leaf, &self.trust_domain).map_err(|why| {
            tracing::debug!(tls.refused = why, "certificate without a member");
            Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, expected: Option<(&str, Option<&str>)>) {
        let found = member_of(uri, "spring.example");
        let found = found.as_ref().map(|(member, agent)| (member.as_str(), agent.as_deref()));
        assert_eq!(found, expected, "{uri}");
    }

    /// A certificate with these URIs as its alternative names, whatever bytes they are.
    fn certificate(uris: &[&[u8]]) -> Vec<u8> {
        let name = |uri: &&[u8]| [&[0x86, u8::try_from(uri.len()).unwrap()], *uri].concat();
        let names: Vec<u8> = uris.iter().flat_map(name).collect();
        let sequence = [&[0x30, u8::try_from(names.len()).unwrap()], names.as_slice()].concat();
        let mut params = rcgen::CertificateParams::default();
        let alternative_names = [2, 5, 29, 17];
        params.custom_extensions =
            vec![rcgen::CustomExtension::from_oid_content(&alternative_names, sequence)];
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_name_that_cannot_be_read_is_one_too_many() {
        let good = b"spiffe://spring.example/members/acme-video";
        let read = |uris: &[&[u8]]| identity(&certificate(uris), "spring.example");
        assert_eq!(read(&[good]).unwrap().member.as_str(), "acme-video");
        let why = "the certificate must have exactly one URI name";
        assert_eq!(read(&[good, b"spiffe://spring.example/\xff"]).err(), Some(why));
        assert_eq!(read(&[b"\xff", good]).err(), Some(why));
    }

    #[test]
    fn a_uri_names_one_member_of_one_trust_domain() {
        check("spiffe://spring.example/members/acme-video", Some(("acme-video", None)));
        check(
            "spiffe://spring.example/members/acme-video/agents/feed",
            Some(("acme-video", Some("feed"))),
        );
        check("spiffe://spring.example./members/acme-video", None);
        check("spiffe://SPRING.example/members/acme-video", None);
        check("spiffe://spring.example.evil.example/members/acme-video", None);
        check("spiffe://spring.example/members/acme-video/", None);
        check("spiffe://spring.example/members/../members/acme-video", None);
        check("spiffe://spring.example/members/acme%2dvideo", None);
        check("spiffe://spring.example/members/Acme", None);
        check("spiffe://spring.example/members/acme-video?x=1", None);
        check("https://spring.example/members/acme-video", None);
    }
}
