//! What a stranger, an address and a connection may cost, by name and with the reason.

use std::time::Duration;

/// From accepting a connection to the end of its handshake, waiting for a turn included.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// From the end of the handshake to the last byte of the HTTP/2 preface, which a client sends unasked.
pub const PREFACE_MAX: Duration = Duration::from_secs(2);
/// How long a refused client's bytes are read, so that they do not turn our alert into a reset.
pub const DRAIN_MAX: Duration = Duration::from_millis(250);
/// The pause after a failed accept: out of file descriptors, as a rule.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Verified connections that wait for the server to take them.
pub const ACCEPTED_QUEUE: usize = 64;
/// Silence on a socket before the kernel asks whether the other end is there.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// The age at which a connection ends, whatever it does: its certificate is then looked at anew.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_hours(1);
/// The age at which a client is told to take its next call elsewhere; before the earliest of the hard ends, which are
/// spread by a tenth.
pub const CONNECTION_AGE_SOFT: Duration = Duration::from_mins(50);
/// One line in the log about refused connections in this time: strangers do not get to fill the disk.
pub const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Intermediate certificates of a chain at most; each costs a signature check.
pub const INTERMEDIATES_MAX: usize = 3;
/// Bytes of one certificate, key or list file at most.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How often the files are looked at. A revoked member is out within a second, and no file watch sees the links that
/// mounted secrets swap.
pub const RELOAD_INTERVAL: Duration = Duration::from_millis(500);

/// Streams of one connection.
pub const STREAMS_MAX: u32 = 64;
/// Calls of one connection that are worked on.
pub const CALLS_MAX: usize = 64;
/// Streams that a client opens and resets before they are looked at (CVE-2023-44487).
pub const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset for a client's errors (RUSTSEC-2024-0003).
pub const ERROR_RESETS_MAX: usize = 64;
/// Bytes of the headers of one call; bounds CONTINUATION frames too.
pub const HEADER_LIST_BYTES_MAX: u32 = 8 * 1024;
/// Bytes of one HTTP/2 frame.
pub const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Bytes that a client may send on one stream before they are read.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes that a client may send on all its streams before they are read.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Silence on a connection before it is asked for a sign of life, and the wait for that. A client uses the same.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long the answer to a keep-alive may take.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the head of a request to the head of its response; streams may last longer.
pub const CALL_MAX: Duration = Duration::from_secs(10);

/// A client's wait for a connection.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes that a hub may send on one stream before a client reads them: with less, replay waits at every round trip.
pub const CLIENT_STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes that a hub may send on all streams before a client reads them.
pub const CLIENT_CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// How many connections are taken.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub total: usize,
    /// From one IPv4 address or one IPv6 network of 64 bits.
    pub per_address: usize,
    /// Of one member.
    pub per_member: usize,
    /// Handshakes at once, from a client's first byte on. A client that stops half-way keeps its turn for
    /// [`HANDSHAKE_MAX`], so that there must be many more than one address can take; each may hold 64 KiB.
    pub handshakes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 2000, per_address: 64, per_member: 16, handshakes: 1024 }
    }
}
