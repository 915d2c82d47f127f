//! Certificates to "who is speaking": the acceptor, revocation, reload; and the client's side.
//!
//! The acceptor is ours, not tonic's: that one knows no revocation lists, no choice of version, no reload and no
//! limits on handshakes. TLS knows certificates only; what the roster says is answered at the call.

mod accept;
mod client;
mod connection;
#[doc(hidden)]
pub mod fuzzing;
mod gather;
mod identity;
pub mod limits;
mod live;
mod load;
mod refusal;
mod reload;
mod revocation;
mod settings;
mod tally;

pub use self::accept::Speaks;
pub use self::accept::incoming;
pub use self::accept::incoming_of;
pub use self::client::ClientTls;
pub use self::client::ConnectError;
pub use self::client::connect;
pub use self::client::connect_lazily;
pub use self::connection::Connection;
pub use self::identity::Peer;
pub use self::limits::ConnectionLimits;
pub use self::load::TlsFiles;
pub use self::load::TlsLoadError;
pub use self::refusal::explain;
pub use self::reload::Expiry;
pub use self::reload::Reloaded;
pub use self::reload::Reloader;
pub use self::settings::configure;
pub use self::tally::Refused;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;

/// TLS 1.3 with a hybrid post-quantum key exchange first.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            // All that gRPC's C core offers, and with it Python, Ruby, PHP and C++.
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}
