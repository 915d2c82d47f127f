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
            let uri = |name: &GeneralName<'_>| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            };
            names.value.general_names.iter().filter_map(uri).collect()
        })
        .unwrap_or_default();
    Ok(CertificateFacts {
        serial: hex::encode(certificate.raw_serial()),
        not_after: system_time(certificate.validity().not_after.timestamp()),
        uri_names,
        der: der.to_vec(),
    })
}

/// The end of life of a revocation list.
pub fn next_update(crl_pem: &str) -> Result<SystemTime, PkiError> {
    let unreadable = || PkiError::Unreadable("revocation list");
    let der = CertificateRevocationListDer::from_pem_slice(crl_pem.as_bytes())
        .map_err(|_not_pem| unreadable())?;
    let (_rest, list) =
        x509_parser::prelude::CertificateRevocationList::from_der(&der).map_err(|_not_a_list| unreadable())?;
    let next = list.next_update().ok_or_else(unreadable)?;
    Ok(system_time(next.timestamp()))
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

    /// Certifies a member, or a program of it. Only the public key is taken from the request, whose own signature
    /// shows that the sender holds the private key.
    pub fn issue_member(
        &self,
        trust_domain: &str,
        member: &MemberId,
        request_pem: &str,
        validity: Validity,
    ) -> Result<Issued, PkiError> {
        let mut params = params(member.as_str(), validity)?;
        let uri = format!("spiffe://{trust_domain}/members/{member}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, request_pem)
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

    fn issue(&self, mut params: CertificateParams, request_pem: &str) -> Result<Issued, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(request_pem)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), serial: hex::encode(serial) })
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
