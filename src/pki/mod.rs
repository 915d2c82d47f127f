//! Making certificates, certificate requests and revocation lists. Texts in, texts out; no files.
//!
//! The profile is in `certs/README.md`: ECDSA P-256, TLS only, one URI name for a member.

use std::time::SystemTime;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::CertificateSigningRequestParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyIdMethod;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::RevokedCertParams;
use rcgen::SanType;
use rcgen::SerialNumber;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::CertificateRevocationList;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;
use zeroize::Zeroizing;

use crate::model::names::MemberId;

/// Why something could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate, request or list could not be made.
    #[error("the certificate work failed")]
    Make(#[from] rcgen::Error),
    /// A text is not the PEM that it should be.
    #[error("the {0} is unreadable")]
    Unreadable(&'static str),
    /// No randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// A certificate that was just issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM.
    pub certificate_pem: String,
    /// Its serial number, lower-case hex.
    pub serial: String,
    /// The end of its life.
    pub not_after: SystemTime,
}

/// A span of time in which a certificate holds.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// From.
    pub not_before: SystemTime,
    /// To.
    pub not_after: SystemTime,
}

/// A new TLS key and what its holder sends to be certified.
#[derive(Debug)]
pub struct CertificateRequest {
    /// PKCS#10, PEM.
    pub request_pem: String,
    /// The private key, PKCS#8 PEM; it never leaves its holder.
    pub key_pem: Zeroizing<String>,
}

impl CertificateRequest {
    /// Makes a key and its request.
    pub fn generate(common_name: &str) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(common_name);
        let request_pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { request_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    /// Lower-case hex.
    pub serial: String,
    /// The beginning of its life.
    pub not_before: SystemTime,
    /// The end of its life.
    pub not_after: SystemTime,
    /// URI names.
    pub uri_names: Vec<String>,
    /// The DER bytes.
    pub der: Vec<u8>,
}

/// Reads the first certificate of a PEM text.
pub fn inspect(pem: &str) -> Result<CertificateFacts, PkiError> {
    let unreadable = || PkiError::Unreadable("certificate");
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_not_pem| unreadable())?;
    let (_rest, certificate) = X509Certificate::from_der(&der).map_err(|_not_x509| unreadable())?;
    let names = certificate.subject_alternative_name().map_err(|_bad_extension| unreadable())?;
    let uri_names = names
        .map(|names| {
            let uri = |name: &GeneralName<'_>| {
                if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None }
            };
            names.value.general_names.iter().filter_map(uri).collect()
        })
        .unwrap_or_default();
    Ok(CertificateFacts {
        serial: hex::encode(certificate.raw_serial()),
        not_before: system_time(certificate.validity().not_before.timestamp()),
        not_after: system_time(certificate.validity().not_after.timestamp()),
        uri_names,
        der: der.to_vec(),
    })
}

/// What a revocation list says: all that the next one needs.
#[derive(Clone, Debug)]
pub struct RevocationFacts {
    /// Its number; the next list has a higher one.
    pub number: u64,
    /// The end of its life.
    pub next_update: SystemTime,
    /// What it revokes: serial numbers in lower-case hex, each with its time.
    pub revoked: Vec<(String, SystemTime)>,
}

/// Reads a revocation list; its signature is not checked here.
pub fn inspect_list(pem: &str) -> Result<RevocationFacts, PkiError> {
    let unreadable = || PkiError::Unreadable("revocation list");
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes())
        .map_err(|_not_pem| unreadable())?;
    let (_rest, list) =
        CertificateRevocationList::from_der(&der).map_err(|_not_a_list| unreadable())?;
    let number = list.crl_number().and_then(|number| u64::try_from(number).ok());
    let next_update = list.next_update().ok_or_else(unreadable)?;
    let revoked = list.iter_revoked_certificates().map(|revoked| {
        let time = system_time(revoked.revocation_date.timestamp());
        (hex::encode(revoked.raw_serial()), time)
    });
    Ok(RevocationFacts {
        number: number.ok_or_else(unreadable)?,
        next_update: system_time(next_update.timestamp()),
        revoked: revoked.collect(),
    })
}

/// The end of life of a revocation list.
pub fn next_update(crl_pem: &str) -> Result<SystemTime, PkiError> {
    Ok(inspect_list(crl_pem)?.next_update)
}

fn system_time(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

/// A certificate authority with its private key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

impl CertificateAuthority {
    /// Makes a new one.
    pub fn generate(common_name: &str, validity: Validity) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let mut params = params(common_name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, key_pem })
    }

    /// Reads one.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key_pem)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(certificate_pem, key)?,
            certificate_pem: certificate_pem.to_owned(),
            key_pem: Zeroizing::new(key_pem.to_owned()),
        })
    }

    /// Its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key, PKCS#8 PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Certifies a hub under host names and addresses.
    pub fn issue_server(
        &self,
        hosts: &[String],
        request_pem: &str,
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let mut params = params("watchfired", validity)?;
        params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, request_pem)
    }

    /// Certifies a member. Only the public key is taken from the request, whose own signature shows that the sender
    /// holds the private key.
    pub fn issue_member(
        &self,
        trust_domain: &str,
        member: &MemberId,
        request_pem: &str,
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let uri = format!("spiffe://{trust_domain}/members/{member}");
        self.issue_client(member, uri, request_pem, validity)
    }

    /// Certifies a program or team that acts for a member. Its id has the form of a member's.
    pub fn issue_agent(
        &self,
        trust_domain: &str,
        (member, agent): (&MemberId, &MemberId),
        request_pem: &str,
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let uri = format!("spiffe://{trust_domain}/members/{member}/agents/{agent}");
        self.issue_client(member, uri, request_pem, validity)
    }

    /// A list of the serials that no longer hold.
    pub fn revocation_list(
        &self,
        revoked: &[(String, SystemTime)],
        number: u64,
        validity: Validity,
    ) -> Result<String, PkiError> {
        let revoked_certs = revoked
            .iter()
            .map(|(serial, time)| {
                let serial =
                    hex::decode(serial).map_err(|_not_hex| PkiError::Unreadable("serial"))?;
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&serial),
                    revocation_time: (*time).into(),
                    reason_code: None,
                    invalidity_date: None,
                })
            })
            .collect::<Result<Vec<_>, PkiError>>()?;
        let params = CertificateRevocationListParams {
            this_update: validity.not_before.into(),
            next_update: validity.not_after.into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }

    fn issue_client(
        &self,
        member: &MemberId,
        uri: String,
        request_pem: &str,
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let mut params = params(member.as_str(), validity)?;
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, request_pem)
    }

    fn issue(&self, mut params: CertificateParams, request_pem: &str) -> Result<Issued, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(request_pem)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
        let not_after = params.not_after.into();
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        let serial = hex::encode(serial);
        Ok(Issued { certificate_pem: certificate.pem(), serial, not_after })
    }
}

fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, PkiError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_no_randomness| PkiError::Random)?;
    // Positive and of full length, so that its bytes are the same in every encoding.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    params.not_before = validity.not_before.into();
    params.not_after = validity.not_after.into();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(24 * (20_000 + days))
    }

    fn year() -> Validity {
        Validity { not_before: at(0), not_after: at(365) }
    }

    fn authority() -> CertificateAuthority {
        CertificateAuthority::generate("spring CA", year()).unwrap()
    }

    fn parsed<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
        let der = inspect(pem).unwrap().der;
        look(&X509Certificate::from_der(&der).unwrap().1)
    }

    #[test]
    fn a_member_certificate_is_for_clients_and_has_one_name() {
        let ca = authority();
        let request = CertificateRequest::generate("acme-video").unwrap();
        let member = "acme-video".parse().unwrap();
        let issued =
            ca.issue_member("spring.example", &member, &request.request_pem, year()).unwrap();
        let facts = inspect(&issued.certificate_pem).unwrap();
        assert_eq!(facts.uri_names, ["spiffe://spring.example/members/acme-video"]);
        assert_eq!(facts.serial, issued.serial);
        assert_eq!((facts.not_before, facts.not_after), (at(0), at(365)));
        assert_eq!(issued.not_after, at(365));
        parsed(&issued.certificate_pem, |certificate| {
            let usage = certificate.extended_key_usage().unwrap().unwrap().value;
            assert!(usage.client_auth && !usage.server_auth && !usage.any);
            assert!(!certificate.is_ca());
        });
    }

    #[test]
    fn an_agent_is_named_below_its_member() {
        let ca = authority();
        let request = CertificateRequest::generate("feed").unwrap();
        let (member, agent) = ("acme-video".parse().unwrap(), "feed".parse().unwrap());
        let issued = ca
            .issue_agent("spring.example", (&member, &agent), &request.request_pem, year())
            .unwrap();
        let facts = inspect(&issued.certificate_pem).unwrap();
        assert_eq!(facts.uri_names, ["spiffe://spring.example/members/acme-video/agents/feed"]);
    }

    #[test]
    fn only_the_key_is_taken_from_a_request() {
        let key = KeyPair::generate().unwrap();
        let mut wish = CertificateParams::new(["hub.example".to_owned()]).unwrap();
        wish.distinguished_name = named("someone-else");
        wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wish.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = wish.serialize_request(&key).unwrap().pem().unwrap();
        let member = "acme-video".parse().unwrap();
        let issued = authority().issue_member("spring.example", &member, &request, year()).unwrap();
        parsed(&issued.certificate_pem, |certificate| {
            assert!(!certificate.is_ca());
            assert_eq!(certificate.subject().to_string(), "CN=acme-video");
            let names = certificate.subject_alternative_name().unwrap().unwrap();
            assert_eq!(names.value.general_names.len(), 1);
            assert!(!certificate.extended_key_usage().unwrap().unwrap().value.server_auth);
            assert!(!certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
            let der = rcgen::PublicKeyData::subject_public_key_info(&key);
            assert_eq!(certificate.public_key().raw, der);
        });
    }

    #[test]
    fn a_request_that_its_key_did_not_sign_is_refused() {
        let request = CertificateRequest::generate("acme-video").unwrap();
        let mut der = pem_bytes(&request.request_pem);
        // A bit of the common name, which the signature covers.
        let place = der.windows(4).position(|bytes| bytes == b"acme").unwrap();
        der[place] ^= 1;
        let result = CertificateSigningRequestParams::from_der(&der.clone().into());
        assert!(matches!(result, Err(rcgen::Error::InvalidCertificationRequestSignature)));
        let forged = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der);
        let forged = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{forged}\n-----END CERTIFICATE REQUEST-----\n"
        );
        let member = "acme-video".parse().unwrap();
        let issued = authority().issue_member("spring.example", &member, &forged, year());
        assert!(matches!(issued, Err(PkiError::Make(_))));
    }

    fn pem_bytes(pem: &str) -> Vec<u8> {
        use rustls::pki_types::CertificateSigningRequestDer;

        CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    }

    #[test]
    fn a_server_is_certified_under_names_and_addresses() {
        let request = CertificateRequest::generate("watchfired").unwrap();
        let hosts = ["hub.example".to_owned(), "192.0.2.1".to_owned()];
        let issued = authority().issue_server(&hosts, &request.request_pem, year()).unwrap();
        parsed(&issued.certificate_pem, |certificate| {
            let names = certificate.subject_alternative_name().unwrap().unwrap();
            assert_eq!(
                names.value.general_names,
                [GeneralName::DNSName("hub.example"), GeneralName::IPAddress(&[192, 0, 2, 1])]
            );
            let usage = certificate.extended_key_usage().unwrap().unwrap().value;
            assert!(usage.server_auth && !usage.client_auth);
        });
    }

    #[test]
    fn an_authority_survives_its_files() {
        let ca = authority();
        let again = CertificateAuthority::from_pem(ca.certificate_pem(), ca.key_pem()).unwrap();
        let list = again.revocation_list(&[], 1, year()).unwrap();
        assert_eq!(inspect_list(&list).unwrap().revoked, []);
        parsed(again.certificate_pem(), |certificate| {
            let constraints = certificate.basic_constraints().unwrap().unwrap().value;
            assert!(constraints.ca);
            assert_eq!(constraints.path_len_constraint, Some(0));
            assert!(certificate.key_usage().unwrap().unwrap().value.crl_sign());
        });
    }

    #[test]
    fn a_revocation_list_holds_what_the_next_one_needs() {
        let revoked = [("4a00ff".to_owned(), at(1)), ("7b".repeat(16), at(2))];
        let list = authority().revocation_list(&revoked, 7, year()).unwrap();
        let facts = inspect_list(&list).unwrap();
        assert_eq!(facts.number, 7);
        assert_eq!(facts.next_update, at(365));
        assert_eq!(next_update(&list).unwrap(), at(365));
        assert_eq!(facts.revoked, revoked);
    }

    #[test]
    fn texts_that_are_no_pem_are_refused() {
        assert!(matches!(inspect("hello"), Err(PkiError::Unreadable("certificate"))));
        assert!(matches!(inspect_list("hello"), Err(PkiError::Unreadable("revocation list"))));
    }
}
