//! The server's certificate, the members' authorities and revocation lists: loaded, checked, and loaded again
//! while connections go on.
//!
//! A reload that fails in any part changes nothing and raises an alarm.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::CertificateRevocationList;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::tls::identity::MemberVerifier;

/// How often the files are looked at: mounted secrets swap links, which no file watch sees.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of one file at most.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Where the certificates are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's chain, PEM.
    pub certificate: PathBuf,
    /// The server's private key, PEM.
    pub key: PathBuf,
    /// The members' authorities, PEM; several files and several certificates in a file are taken.
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
    #[error("{path} holds no readable {what}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// There is no revocation list: rustls would then check no revocation at all.
    #[error("there must be one revocation list for each authority, and at least one")]
    NoRevocationList,
    /// A revocation list is older than the one that is in use.
    #[error("{path} has number {found}, lower than {in_use} that is in use")]
    OlderRevocationList {
        /// Which.
        path: PathBuf,
        /// Its number.
        found: u64,
        /// The number in use.
        in_use: u64,
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
    pub(super) config: Arc<ServerConfig>,
    pub(super) revoked: HashSet<String>,
    pub(super) next_update: SystemTime,
    crl_number: u64,
    digest: Digest,
}

/// Holds what is in use and replaces it.
pub struct Reloader {
    files: TlsFiles,
    trust_domain: String,
    loaded: ArcSwap<Loaded>,
    /// For each certificate that has a connection, what ends its connections.
    live: Mutex<HashMap<String, CancellationToken>>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

impl Reloader {
    /// Loads the files for the first time.
    pub fn open(files: TlsFiles, trust_domain: &str, now: SystemTime) -> Result<Arc<Self>, TlsLoadError> {
        let loaded = load(&files, trust_domain, now, 0)?;
        Ok(Arc::new(Self {
            files,
            trust_domain: trust_domain.to_owned(),
            loaded: ArcSwap::from_pointee(loaded),
            live: Mutex::default(),
            reloading: Mutex::new(()),
        }))
    }

    /// Loads the files again; on any error what was in use stays in use.
    pub fn reload(&self, now: SystemTime) -> Result<(), TlsLoadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = self.loaded.load().crl_number;
        let loaded = load(&self.files, &self.trust_domain, now, in_use)?;
        self.loaded.store(Arc::new(loaded));
        self.end_revoked();
        Ok(())
    }

    /// Looks at the files until `stop`, and loads them when they have changed.
    pub async fn watch(self: Arc<Self>, clock: Arc<dyn crate::model::time::Clock>, stop: CancellationToken) {
        let mut failed = None;
        while stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
            let Ok(digest) = files_digest(&self.files) else { continue };
            if digest == self.loaded.load().digest || failed == Some(digest) {
                continue;
            }
            match self.reload(clock.now().into()) {
                Ok(()) => tracing::info!("TLS files reloaded"),
                Err(error) => {
                    failed = Some(digest);
                    tracing::error!(
                        error = &error as &(dyn std::error::Error + 'static),
                        "TLS files not reloaded: the old ones stay in use"
                    );
                }
            }
        }
    }

    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// What is cancelled when this certificate is revoked.
    pub(super) fn kill_token(&self, serial: &str) -> CancellationToken {
        let token = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.entry(serial.to_owned()).or_default().clone()
        };
        // After it was entered: a reload between the handshake and here is not missed.
        self.end_revoked();
        token
    }

    fn end_revoked(&self) {
        let loaded = self.loaded.load();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|serial, token| {
            let revoked = loaded.revoked.contains(serial);
            if revoked {
                token.cancel();
            }
            !revoked
        });
    }

    pub(super) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }
}

fn load(
    files: &TlsFiles,
    trust_domain: &str,
    now: SystemTime,
    crl_in_use: u64,
) -> Result<Loaded, TlsLoadError> {
    let digest = files_digest(files)?;
    let mut roots = RootCertStore::empty();
    for path in &files.client_ca {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(TlsLoadError::Unfit)?;
        }
    }
    let lists = Lists::read(files, now, crl_in_use)?;
    let provider = Arc::new(super::provider());
    let inner = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .with_crls(lists.ders)
        .enforce_revocation_expiration()
        .build()?;
    let verifier = MemberVerifier { inner, trust_domain: trust_domain.to_owned() };
    let chain = certificates(&files.certificate)?;
    demand_alive(&files.certificate, &chain, now)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_not_a_key| content(&files.key, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
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
    Ok(Loaded {
        config: Arc::new(config),
        revoked: lists.revoked,
        next_update: lists.next_update,
        crl_number: lists.number,
        digest,
    })
}

struct Lists {
    ders: Vec<CertificateRevocationListDer<'static>>,
    revoked: HashSet<String>,
    next_update: SystemTime,
    number: u64,
}

impl Lists {
    fn read(files: &TlsFiles, now: SystemTime, in_use: u64) -> Result<Self, TlsLoadError> {
        if files.revocation_lists.is_empty() {
            return Err(TlsLoadError::NoRevocationList);
        }
        let mut lists = Self {
            ders: Vec::new(),
            revoked: HashSet::new(),
            next_update: now + Duration::from_hours(24 * 365 * 10),
            number: 0,
        };
        for path in &files.revocation_lists {
            let der = CertificateRevocationListDer::from_pem_slice(&read(path)?)
                .map_err(|_not_a_list| content(path, "revocation list"))?;
            lists.take(path, &der, now, in_use)?;
            lists.ders.push(der);
        }
        Ok(lists)
    }

    fn take(&mut self, path: &Path, der: &[u8], now: SystemTime, in_use: u64) -> Result<(), TlsLoadError> {
        let (_rest, list) = CertificateRevocationList::from_der(der)
            .map_err(|_not_a_list| content(path, "revocation list"))?;
        let number = list.crl_number().and_then(|number| number.to_u64_digits().first().copied());
        let number = number.unwrap_or(0);
        if number < in_use {
            return Err(TlsLoadError::OlderRevocationList { path: path.to_owned(), found: number, in_use });
        }
        self.number = self.number.max(number);
        let next = list.next_update().ok_or_else(|| content(path, "next update"))?;
        let next = SystemTime::UNIX_EPOCH
            + Duration::from_secs(u64::try_from(next.timestamp()).unwrap_or(0));
        if next <= now {
            return Err(TlsLoadError::Expired { path: path.to_owned() });
        }
        self.next_update = self.next_update.min(next);
        let serials = list.iter_revoked_certificates();
        self.revoked.extend(serials.map(|revoked| hex::encode(revoked.raw_serial())));
        Ok(())
    }
}

fn demand_alive(
    path: &Path,
    chain: &[CertificateDer<'_>],
    now: SystemTime,
) -> Result<(), TlsLoadError> {
    let leaf = chain.first().ok_or_else(|| content(path, "certificate"))?;
    let (_rest, leaf) =
        X509Certificate::from_der(leaf).map_err(|_not_x509| content(path, "certificate"))?;
    let end = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    if SystemTime::UNIX_EPOCH + Duration::from_secs(end) <= now {
        return Err(TlsLoadError::Expired { path: path.to_owned() });
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsLoadError> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) | Err(_) => Err(content(path, "certificate")),
    }
}

fn files_digest(files: &TlsFiles) -> Result<Digest, TlsLoadError> {
    let mut all = Vec::new();
    let lists = files.client_ca.iter().chain(&files.revocation_lists);
    for path in [&files.certificate, &files.key].into_iter().chain(lists) {
        all.extend_from_slice(&sha256(&read(path)?));
    }
    Ok(sha256(&all))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsLoadError> {
    let failed = |cause| TlsLoadError::File { path: path.to_owned(), cause };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(content(path, "file of a sensible size"));
    }
    std::fs::read(path).map_err(failed)
}

fn content(path: &Path, what: &'static str) -> TlsLoadError {
    TlsLoadError::Content { path: path.to_owned(), what }
}
