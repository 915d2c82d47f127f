//! The server's certificate, the members' authorities and revocation lists: loaded, and loaded again while
//! connections go on.
//!
//! A reload that fails in any part changes nothing and raises an alarm. One that succeeds ends the connections whose
//! certificate no longer holds.

use std::error::Error;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::model::time::Clock;
use crate::tls::identity::CertificateId;
use crate::tls::identity::Peer;
use crate::tls::limits::ConnectionLimits;
use crate::tls::live::Lease;
use crate::tls::live::Live;
use crate::tls::load::Loaded;
use crate::tls::load::TlsFiles;
use crate::tls::load::TlsLoadError;
use crate::tls::load::digest;
use crate::tls::load::load;
use crate::tls::tally::Refusals;
use crate::tls::tally::Refused;

/// What a reload brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The ends of life of what is now in use.
    pub expiry: Expiry,
    /// Connections that were ended because their certificate no longer holds.
    pub ended: usize,
}

/// When the operator must have acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The server's own certificate ends.
    pub certificate: SystemTime,
    /// The first of the revocation lists ends, and with it every member's access.
    pub revocation_lists: SystemTime,
}

/// Holds what is in use and replaces it.
pub struct Reloader {
    files: TlsFiles,
    trust_domain: String,
    clock: Arc<dyn Clock>,
    loaded: ArcSwap<Loaded>,
    live: Arc<Live>,
    /// One reload at a time.
    reloading: Mutex<()>,
    /// Whether the newest files could not be loaded.
    is_failing: AtomicBool,
    /// Connections that its listeners refused.
    pub(super) refusals: Refusals,
    /// How many connections are taken, if that is not what listeners were told at the start.
    limits: ArcSwapOption<ConnectionLimits>,
    /// Turns at the threads for the handshakes of all listeners.
    turns: OnceLock<Arc<Semaphore>>,
}

impl Reloader {
    /// Loads the files for the first time.
    pub fn open(
        files: TlsFiles,
        trust_domain: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, TlsLoadError> {
        let loaded = load(&files, trust_domain, &clock, None)?;
        Ok(Arc::new(Self {
            files,
            trust_domain: trust_domain.to_owned(),
            clock,
            loaded: ArcSwap::from_pointee(loaded),
            live: Arc::default(),
            reloading: Mutex::new(()),
            is_failing: AtomicBool::new(false),
            refusals: Refusals::default(),
            limits: ArcSwapOption::empty(),
            turns: OnceLock::new(),
        }))
    }

    /// Loads the files again; on any error what was in use stays in use. Reads files: not for the runtime's threads.
    pub fn reload(&self) -> Result<Reloaded, TlsLoadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.loaded.load();
        let loaded = load(&self.files, &self.trust_domain, &self.clock, Some(&before));
        self.is_failing.store(loaded.is_err(), Ordering::Relaxed);
        self.loaded.store(Arc::new(loaded?));
        Ok(Reloaded { expiry: self.expiry(), ended: self.end_revoked() })
    }

    /// Looks at the files until `stop`, and loads them when they have changed.
    pub async fn watch(self: Arc<Self>, interval: Duration, stop: CancellationToken) {
        let mut failed = None;
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let reloader = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || reloader.look(failed));
            failed = looked.await.unwrap_or(failed);
        }
    }

    /// Ends connections, such as all of them when the server stops; says how many.
    pub fn end_if(&self, is_over: impl Fn(&Peer) -> bool) -> usize {
        self.live.end_if(|open| is_over(&open.peer))
    }

    /// How many connections are open.
    pub fn live(&self) -> usize {
        self.live.count()
    }

    /// Whether the newest files could not be loaded, so that older ones are in use.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Connections that were refused since the start, for each reason that there is.
    pub fn refusals(&self) -> Vec<(Refused, u64)> {
        self.refusals.counted()
    }

    /// So many connections are taken by every listener from now on; those that are open stay. Handshakes at once are
    /// as many as at the start.
    pub fn limit(&self, limits: ConnectionLimits) {
        self.limits.store(Some(Arc::new(limits)));
    }

    /// Turns at the threads of the runtime that asks first: one for every two, but one at least, so that the others
    /// serve whoever is connected meanwhile.
    pub(super) fn turns(&self) -> Arc<Semaphore> {
        let new = || Semaphore::new((Handle::current().metrics().num_workers() / 2).max(1));
        Arc::clone(self.turns.get_or_init(|| Arc::new(new())))
    }

    /// How many connections are taken, if that was said since the start.
    pub(super) fn limits(&self) -> Option<Arc<ConnectionLimits>> {
        self.limits.load_full()
    }

    /// When what is in use ends.
    pub fn expiry(&self) -> Expiry {
        let loaded = self.loaded.load();
        Expiry { certificate: loaded.not_after, revocation_lists: loaded.revocation.next_update }
    }

    /// Loads what has changed, unless it is what failed already; returns what fails.
    fn look(&self, failed: Option<Digest>) -> Option<Digest> {
        // A file that cannot be read is told once, too.
        let found =
            digest(&self.files).unwrap_or_else(|error| sha256(error.to_string().as_bytes()));
        if found == self.loaded.load().digest {
            self.is_failing.store(false, Ordering::Relaxed);
            return None;
        }
        if failed == Some(found) {
            return failed;
        }
        match self.reload() {
            Ok(reloaded) => {
                tracing::info!(tls.ended = reloaded.ended, "TLS files reloaded");
                None
            }
            Err(error) => {
                let error: &(dyn Error + 'static) = &error;
                tracing::error!(error, "TLS files not reloaded: the old ones stay in use");
                Some(found)
            }
        }
    }

    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Enters a connection, so that it can be ended.
    pub(super) fn enter(&self, certificate: &CertificateId, peer: &Arc<Peer>) -> Lease {
        let lease = self.live.enter(certificate.clone(), peer);
        // After it was entered: a reload between the handshake and here is not missed.
        if self.loaded.load().revocation.is_over(certificate) {
            lease.end.cancel();
        }
        lease
    }

    fn end_revoked(&self) -> usize {
        let loaded = self.loaded.load();
        self.live.end_if(|open| loaded.revocation.is_over(&open.certificate))
    }

    /// The clock by which certificates and lists are judged.
    pub fn now(&self) -> SystemTime {
        self.clock.now().into()
    }

    pub(super) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }
}
