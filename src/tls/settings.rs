//! The HTTP/2 settings of the hub. tonic's defaults leave most limits off, so each one is set by hand.

use tonic::transport::Server;

use crate::tls::limits;

/// Sets every limit of a server.
///
/// `max_connection_age_grace` stays unset: with it tonic skips the GOAWAY. The hard end of a connection is that of
/// [`Connection`](crate::tls::Connection).
#[must_use]
pub fn configure<Layer>(server: Server<Layer>) -> Server<Layer> {
    server
        .accept_http1(false)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .concurrency_limit_per_connection(limits::CALLS_MAX)
        .load_shed(true)
        .http2_max_pending_accept_reset_streams(Some(limits::PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(limits::ERROR_RESETS_MAX))
        .http2_max_header_list_size(limits::HEADER_LIST_BYTES_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .timeout(limits::CALL_MAX)
        .max_connection_age(limits::CONNECTION_AGE_SOFT)
}
