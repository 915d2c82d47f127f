//! Log lines: a constant message and fields, never a payload, a key, or what a member reported about a person.
//!
//! | field              | what it is                                            |
//! |--------------------|-------------------------------------------------------|
//! | `peer.ip`          | where a refused connection came from                  |
//! | `tls.refused`      | why it was refused                                    |
//! | `hub.time`, `log.time` | the clock and the log's last accept time          |
//! | `disk.free`, `disk.minimum` | bytes on the data volume                     |
//! | `exchange`, `listen`, `head` | what is served, where (figures too), and how far |
//! | `connections`      | connections that a shutdown had to cut                |
//! | `error`            | the cause of a fault of ours                          |

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::server::config::Config;
use crate::server::config::LogFormat;

/// What peers make the transport's libraries say, as often as they like and without a name: not logged unless the
/// operator asks for it. What counts is said by us, at most once a second.
const QUIET: &str = "h2=off,hyper=off,hyper_util=off,rustls=off,tokio_rustls=off";

/// Starts writing log lines to standard error.
pub fn start(config: &Config) {
    // Of two directives for one target the later one holds.
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.log_filter))
        .unwrap_or_else(|_checked| EnvFilter::new(format!("{QUIET},info")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
