//! The connections that are open, and the means to end them.
//!
//! A handshake looks at a certificate once; what is revoked afterwards is found here.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio_util::sync::CancellationToken;

use crate::tls::identity::CertificateId;
use crate::tls::identity::Peer;

/// All open connections.
#[derive(Default)]
pub(super) struct Live(Mutex<Registered>);

#[derive(Default)]
struct Registered {
    next: u64,
    connections: HashMap<u64, Open>,
}

/// One open connection.
pub(super) struct Open {
    pub(super) certificate: CertificateId,
    pub(super) peer: Arc<Peer>,
    end: CancellationToken,
}

/// A connection's entry, removed when it is dropped.
pub(super) struct Lease {
    live: Arc<Live>,
    number: u64,
    /// Cancelled when the connection is to end.
    pub(super) end: CancellationToken,
}

impl Live {
    pub(super) fn enter(self: &Arc<Self>, certificate: CertificateId, peer: &Arc<Peer>) -> Lease {
        let end = CancellationToken::new();
        let open = Open { certificate, peer: Arc::clone(peer), end: end.clone() };
        let mut registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = registered.next;
        registered.next += 1;
        registered.connections.insert(number, open);
        drop(registered);
        Lease { live: Arc::clone(self), number, end }
    }

    /// Ends those connections; says how many there were.
    pub(super) fn end_if(&self, is_over: impl Fn(&Open) -> bool) -> usize {
        let registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = registered
            .connections
            .values()
            .filter(|open| !open.end.is_cancelled() && is_over(open));
        over.map(|open| open.end.cancel()).count()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).connections.len()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut registered = self.live.0.lock().unwrap_or_else(PoisonError::into_inner);
        registered.connections.remove(&self.number);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Live").field("count", &self.count()).finish()
    }
}
