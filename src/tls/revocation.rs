//! Which certificates no longer hold.
//!
//! rustls checks no revocation without a list, and with two lists of one issuer it may look at the wrong one. So there
//! is exactly one list for each authority, signed by it, alive, and not older than the one before.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::CertificateRevocationList;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::tls::identity::CertificateId;
use crate::tls::load::TlsFiles;
use crate::tls::load::TlsLoadError;
use crate::tls::load::content;
use crate::tls::load::read;

/// The authorities whose certificates are taken, each with what it revoked.
pub(super) struct Revocation {
    authorities: HashMap<Digest, List>,
    /// When the first of the lists ends.
    pub(super) next_update: SystemTime,
}

pub(super) struct List {
    number: BigUint,
    revoked: HashSet<String>,
}

impl Revocation {
    /// Reads and checks the lists of these authorities; the lists in use are those that may not be undercut.
    pub(super) fn read(
        files: &TlsFiles,
        authorities: &[CertificateDer<'_>],
        in_use: Option<&Self>,
        now: SystemTime,
    ) -> Result<(Self, Vec<CertificateRevocationListDer<'static>>), TlsLoadError> {
        let path = files.client_ca.first().map_or(Path::new(""), |path| path.as_path());
        let keys = keys(path, authorities)?;
        let mut lists = Vec::new();
        let mut ends = Vec::new();
        let mut read_lists = HashMap::new();
        for path in &files.revocation_lists {
            let (der, (issuer, list, end)) = parse(path, &read(path)?, &keys)?;
            if end <= now {
                return Err(TlsLoadError::Expired { path: path.clone() });
            }
            if let Some(before) = in_use.and_then(|in_use| in_use.authorities.get(&issuer)) {
                demand_not_older(path, &list, before)?;
            }
            if read_lists.insert(issuer, list).is_some() {
                return Err(TlsLoadError::NoRevocationList);
            }
            ends.push(end);
            lists.push(der);
        }
        let next_update = ends.into_iter().min().ok_or(TlsLoadError::NoRevocationList)?;
        if read_lists.len() != keys.len() {
            return Err(TlsLoadError::NoRevocationList);
        }
        Ok((Self { authorities: read_lists, next_update }, lists))
    }

    /// Whether a certificate no longer holds: revoked, or of an authority that is not one any more.
    pub(super) fn is_over(&self, certificate: &CertificateId) -> bool {
        let CertificateId { issuer, serial } = certificate;
        self.authorities.get(issuer).is_none_or(|list| list.revoked.contains(serial))
    }
}

/// The public key of each authority, by its name.
pub(super) fn keys(
    path: &Path,
    authorities: &[CertificateDer<'_>],
) -> Result<HashMap<Digest, Vec<u8>>, TlsLoadError> {
    let mut keys = HashMap::new();
    for authority in authorities {
        let (_rest, authority) = X509Certificate::from_der(authority)
            .map_err(|_not_x509| content(path, "certificate"))?;
        let key = authority.public_key().subject_public_key.data.to_vec();
        if keys.insert(sha256(authority.subject().as_raw()), key).is_some() {
            return Err(content(path, "authorities with names of their own"));
        }
    }
    Ok(keys)
}

/// Its issuer, what it revokes, and its end.
type Read = (Digest, List, SystemTime);

pub(super) fn parse(
    path: &Path,
    pem: &[u8],
    keys: &HashMap<Digest, Vec<u8>>,
) -> Result<(CertificateRevocationListDer<'static>, Read), TlsLoadError> {
    let der = CertificateRevocationListDer::from_pem_slice(pem)
        .map_err(|_not_a_list| content(path, "revocation list"))?;
    let (_rest, list) = CertificateRevocationList::from_der(&der)
        .map_err(|_not_a_list| content(path, "revocation list"))?;
    let issuer = sha256(list.issuer().as_raw());
    let foreign = || TlsLoadError::ForeignRevocationList { path: path.to_owned() };
    let key = keys.get(&issuer).ok_or_else(foreign)?;
    if !is_signed(&super::provider(), key, &list) {
        return Err(foreign());
    }
    let number = list.crl_number().cloned().ok_or_else(|| content(path, "number of a list"))?;
    let end = list.next_update().ok_or_else(|| content(path, "next update"))?;
    let end = u64::try_from(end.timestamp()).unwrap_or(0);
    let serials = list.iter_revoked_certificates();
    let revoked = serials.map(|revoked| hex::encode(revoked.raw_serial())).collect();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    Ok((der, (issuer, List { number, revoked }, end)))
}

/// webpki checks this too, but in a handshake, when it is too late to say so to the operator.
fn is_signed(provider: &CryptoProvider, key: &[u8], list: &CertificateRevocationList<'_>) -> bool {
    let message = list.tbs_cert_list.as_ref();
    let algorithms = provider.signature_verification_algorithms.all;
    algorithms.iter().any(|algorithm| {
        algorithm.verify_signature(key, message, &list.signature_value.data).is_ok()
    })
}

fn demand_not_older(path: &Path, list: &List, before: &List) -> Result<(), TlsLoadError> {
    if list.number >= before.number {
        return Ok(());
    }
    Err(TlsLoadError::OlderRevocationList {
        path: path.to_owned(),
        found: list.number.to_string(),
        in_use: before.number.to_string(),
    })
}
