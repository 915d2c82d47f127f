//! Certificates to "who is speaking": the acceptor, revocation, reload.
