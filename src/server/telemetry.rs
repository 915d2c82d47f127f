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
//! | `audit.number`, `audit.digest` | where the audit log stands                |
//! | `config.changed`, `config.settings` | names of settings                    |
//! | `error`            | the cause of a fault of ours                          |

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload;

use crate::server::config::Config;
use crate::server::config::LogFormat;

/// What peers make the transport's libraries say, as often as they like and without a name: not logged unless the
/// operator asks for it. What counts is said by us, at most once a second.
const QUIET: &str = "h2=off,hyper=off,hyper_util=off,rustls=off,tokio_rustls=off";

/// What is logged, while the hub runs.
#[derive(Clone, Default)]
pub struct LogFilter(Option<Arc<Change>>);

/// Puts another filter in the place of the one that holds.
type Change = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

impl LogFilter {
    /// Logs something else from now on. Without log lines of our own there is nothing to change.
    pub(super) fn set(&self, filter: EnvFilter) -> Result<(), String> {
        self.0.as_ref().map_or(Ok(()), |set| set(filter))
    }
}

/// Of two directives for one target the later one holds.
pub(super) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET},{text}"))
}

/// Starts writing log lines to standard error.
pub fn start(config: &Config) -> LogFilter {
    let filter = filter(&config.log_filter)
        .unwrap_or_else(|_checked| EnvFilter::new(format!("{QUIET},info")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match config.log_format {
        LogFormat::Text => {
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            lines.init();
            changing(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.init();
            changing(move |filter| handle.reload(filter))
        }
    }
}

fn changing(
    set: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static,
) -> LogFilter {
    LogFilter(Some(Arc::new(move |filter| set(filter).map_err(|error| error.to_string()))))
}
