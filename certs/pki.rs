//! A small authority for tests, and certificates with whatever is wrong with them.
//!
//! Good certificates are made by the crate itself; this makes those that it would never issue. A test takes it in with
//! `#[path = "../certs/pki.rs"] mod pki;`.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::SanType;
use rcgen::SignatureAlgorithm;
use rcgen::string::Ia5String;
use watchfire::pki::CertificateAuthority;
use watchfire::pki::CertificateRequest;
use watchfire::pki::Validity;
use watchfire::tls::TlsFiles;

/// The name under which test hubs are reached.
pub(crate) const HOST: &str = "hub.example";
/// The trust domain of test exchanges.
pub(crate) const TRUST_DOMAIN: &str = "spring.example";

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) serial: String,
}

/// An authority and the folder in which a hub finds its files.
pub(crate) struct Pki {
    pub(crate) ca: CertificateAuthority,
    pub(crate) now: SystemTime,
    folder: tempfile::TempDir,
}

impl Pki {
    /// An authority, a hub's certificate and an empty list with number 1.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self::named("spring CA", now)
    }

    /// The same under another name.
    pub(crate) fn named(title: &str, now: SystemTime) -> Self {
        let ca = CertificateAuthority::generate(title, days(now, 1, 3650)).expect("a CA");
        let folder = tempfile::tempdir().expect("a folder");
        let pki = Self { ca, now, folder };
        pki.write("ca.pem", pki.ca.certificate_pem());
        pki.install(&pki.server(days(now, 1, 90)));
        pki.revoke(&[], 1);
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write_at_once(&self.path(name), text);
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: vec![self.path("ca.pem")],
            revocation_lists: vec![self.path("crl.pem")],
        }
    }

    /// A hub's certificate.
    pub(crate) fn server(&self, validity: Validity) -> Credentials {
        let request = CertificateRequest::generate("watchfired").expect("a request");
        let hosts = [HOST.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = self.ca.issue_server(&hosts, &request.request_pem, validity);
        let issued = issued.expect("a certificate");
        Credentials {
            certificate_pem: issued.certificate_pem,
            key_pem: request.key_pem.to_string(),
            serial: issued.serial,
        }
    }

    /// Puts a hub's certificate and key where the hub looks.
    pub(crate) fn install(&self, server: &Credentials) {
        self.write("server.pem", &server.certificate_pem);
        self.write("server.key", &server.key_pem);
    }

    /// A good member's certificate for a year.
    pub(crate) fn member(&self, member: &str) -> Credentials {
        self.member_for(member, days(self.now, 1, 365))
    }

    pub(crate) fn member_for(&self, member: &str, validity: Validity) -> Credentials {
        let request = CertificateRequest::generate(member).expect("a request");
        let member = member.parse().expect("a member's id");
        let issued = self.ca.issue_member(TRUST_DOMAIN, &member, &request.request_pem, validity);
        let issued = issued.expect("a certificate");
        Credentials {
            certificate_pem: issued.certificate_pem,
            key_pem: request.key_pem.to_string(),
            serial: issued.serial,
        }
    }

    /// Puts a list for 90 days where the hub looks.
    pub(crate) fn revoke(&self, revoked: &[&Credentials], number: u64) {
        self.revoke_for(revoked, number, days(self.now, 1, 90));
    }

    pub(crate) fn revoke_for(&self, revoked: &[&Credentials], number: u64, validity: Validity) {
        let revoked: Vec<_> =
            revoked.iter().map(|credentials| (credentials.serial.clone(), self.now)).collect();
        let list = self.ca.revocation_list(&revoked, number, validity).expect("a list");
        self.write("crl.pem", &list);
    }

    /// A certificate as wished, however wrong.
    pub(crate) fn forge(&self, wish: &Wish) -> Credentials {
        let key = KeyPair::from_pem(self.ca.key_pem()).expect("the CA's key");
        let issuer = Issuer::from_ca_cert_pem(self.ca.certificate_pem(), key).expect("the CA");
        let key = KeyPair::generate_for(wish.algorithm).expect("a key");
        let certificate = wish.params(self.now).signed_by(&key, &issuer).expect("a certificate");
        let serial = watchfire::pki::inspect(&certificate.pem()).expect("its facts").serial;
        Credentials { certificate_pem: certificate.pem(), key_pem: key.serialize_pem(), serial }
    }
}

/// What a forged certificate says. [`Wish::good`] is one that the hub takes.
pub(crate) struct Wish {
    pub(crate) uris: Vec<String>,
    pub(crate) usage: ExtendedKeyUsagePurpose,
    pub(crate) is_authority: bool,
    pub(crate) algorithm: &'static SignatureAlgorithm,
    pub(crate) serial: Option<Vec<u8>>,
}

impl Wish {
    pub(crate) fn good(member: &str) -> Self {
        Self {
            uris: vec![format!("spiffe://{TRUST_DOMAIN}/members/{member}")],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            is_authority: false,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
            serial: None,
        }
    }

    fn params(&self, now: SystemTime) -> CertificateParams {
        let validity = days(now, 1, 365);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "forged");
        params.not_before = validity.not_before.into();
        params.not_after = validity.not_after.into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage.clone()];
        params.serial_number = self.serial.clone().map(Into::into);
        if self.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let uri = |uri: &String| SanType::URI(Ia5String::try_from(uri.clone()).expect("ASCII"));
        params.subject_alt_names = self.uris.iter().map(uri).collect();
        params
    }
}

/// From some days ago to some days ahead.
pub(crate) fn days(now: SystemTime, ago: u64, ahead: u64) -> Validity {
    let day = Duration::from_hours(24);
    let times = |count: u64| day * u32::try_from(count).expect("not that many days");
    Validity { not_before: now - times(ago), not_after: now + times(ahead) }
}

/// As an operator should: a reader sees the old text or the new one.
fn write_at_once(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("a file");
    std::fs::rename(&beside, path).expect("a file in place");
}
