//! From files to a configuration of TLS, with every check that can be made before the first client comes.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::model::time::Clock;
use crate::tls::identity::MemberVerifier;
use crate::tls::limits::FILE_BYTES_MAX;
use crate::tls::revocation::Revocation;

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's chain, PEM.
    pub certificate: PathBuf,
    /// The server's private key, PEM.
    pub key: PathBuf,
    /// The authorities that issue members' certificates, PEM; several files and several certificates in a file are
    /// taken.
    pub client_ca: Vec<PathBuf>,
    /// One revocation list for each of them, PEM.
    pub revocation_lists: Vec<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsLoadError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {what}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// There is an authority without a revocation list: rustls would then check no revocation at all.
    #[error("there must be one revocation list for each authority, and at least one")]
    NoRevocationList,
    /// A revocation list is not signed by any of the authorities.
    #[error("{path} is a revocation list of another authority")]
    ForeignRevocationList {
        /// Which.
        path: PathBuf,
    },
    /// A revocation list is older than the one that is in use.
    #[error("{path} has number {found}, lower than {in_use} that is in use")]
    OlderRevocationList {
        /// Which.
        path: PathBuf,
        /// Its number.
        found: String,
        /// The number in use.
        in_use: String,
    },
    /// The parts do not fit together.
    #[error("the TLS files do not fit together")]
    Unfit(#[source] rustls::Error),
    /// The server's own certificate or a revocation list is past its end.
    #[error("{path} expired")]
    Expired {
        /// Which.
        path: PathBuf,
    },
    /// The authorities cannot verify clients.
    #[error("the authorities or revocation lists cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What is in use at the moment.
pub(super) struct Loaded {
    /// For gRPC.
    pub(super) config: Arc<ServerConfig>,
    /// The same for a listener that speaks HTTP/1.1 too.
    pub(super) http: Arc<ServerConfig>,
    pub(super) revocation: Revocation,
    /// The end of the server's own certificate.
    pub(super) not_after: SystemTime,
    pub(super) digest: Digest,
}

/// Reads and checks all files; `before` is what is in use.
pub(super) fn load(
    files: &TlsFiles,
    trust_domain: &str,
    clock: &Arc<dyn Clock>,
    before: Option<&Loaded>,
) -> Result<Loaded, TlsLoadError> {
    // The digest first: files that change while they are read are then read again.
    let digest = digest(files)?;
    let now = clock.now().into();
    let mut authorities = Vec::new();
    for path in &files.client_ca {
        authorities.extend(certificates(path)?);
    }
    let in_use = before.map(|loaded| &loaded.revocation);
    let (revocation, lists) = Revocation::read(files, &authorities, in_use, now)?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(TlsLoadError::Unfit)?;
    }
    let provider = Arc::new(super::provider());
    let inner = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()?;
    let verifier = MemberVerifier { inner, trust_domain: trust_domain.to_owned() };
    let chain = certificates(&files.certificate)?;
    let not_after = end_of_life(&files.certificate, &chain)?;
    if not_after <= now {
        return Err(TlsLoadError::Expired { path: files.certificate.clone() });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_not_a_key| content(&files.key, "private key"))?;
    let time = Arc::new(ClockTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsLoadError::Unfit)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)
        .map_err(TlsLoadError::Unfit)?;
    // No resumption in any form: it would skip the revocation check.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut http = config.clone();
    http.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Loaded { config: Arc::new(config), http: Arc::new(http), revocation, not_after, digest })
}

/// Our clock as rustls wants it.
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = self.0.now().as_micros();
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClockTime")
    }
}

fn end_of_life(path: &Path, chain: &[CertificateDer<'_>]) -> Result<SystemTime, TlsLoadError> {
    let leaf = chain.first().ok_or_else(|| content(path, "certificate"))?;
    let (_rest, leaf) =
        X509Certificate::from_der(leaf).map_err(|_not_x509| content(path, "certificate"))?;
    let end = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(end))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsLoadError> {
    certificates_in(&read(path)?).ok_or_else(|| content(path, "certificate"))
}

/// One certificate or more; `None` if there are none, or if anything in between is damaged.
pub(super) fn certificates_in(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

/// A digest of all files, by which a change is seen.
pub(super) fn digest(files: &TlsFiles) -> Result<Digest, TlsLoadError> {
    let mut all = Vec::new();
    let lists = files.client_ca.iter().chain(&files.revocation_lists);
    for path in [&files.certificate, &files.key].into_iter().chain(lists) {
        all.extend_from_slice(&sha256(&read(path)?));
    }
    Ok(sha256(&all))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsLoadError> {
    let failed = |cause| TlsLoadError::File { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    // One byte more than may be: devices say that they have no length.
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(content(path, "file of a sensible size"))
    }
}

pub(super) fn content(path: &Path, what: &'static str) -> TlsLoadError {
    TlsLoadError::Content { path: path.to_owned(), what }
}
