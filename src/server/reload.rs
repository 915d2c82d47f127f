//! A signal to load again: certificates and lists, then what of the configuration can change while streams go on. Each of
//! the two is taken whole or not at all.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::exchange::Choice;
use crate::exchange::Hub;
use crate::model::reason::Refusal;
use crate::server::audit::Outcome;
use crate::server::audit::Who;
use crate::server::config::Config;
use crate::server::config::Difference;
use crate::server::observe::Told;
use crate::server::run;
use crate::server::run::ServeError;
use crate::server::telemetry;
use crate::server::telemetry::LogFilter;
use crate::tls::Reloader;

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Config(#[from] crate::server::config::ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Hub(#[from] Refusal),
    #[error("the filter of the log cannot be changed: {0}")]
    Filter(String),
    #[error("the hub stops")]
    Stopping,
}

/// What is loaded again, and where it goes.
pub(super) struct Reload {
    /// What holds now, but for what needs a restart.
    pub(super) config: Config,
    pub(super) hub: Arc<Hub>,
    pub(super) tls: Arc<Reloader>,
    pub(super) filter: LogFilter,
    pub(super) told: Arc<Told>,
    /// For the operator's figures: whether the newest configuration was refused.
    pub(super) is_failing: Arc<AtomicBool>,
}

impl Reload {
    /// Loads again with each signal until `stop`.
    pub(super) async fn on_signal(
        mut self,
        mut signals: watch::Receiver<u64>,
        stop: CancellationToken,
    ) {
        while let Some(Ok(())) = stop.run_until_cancelled(signals.changed()).await {
            signals.borrow_and_update();
            self.told.follow();
            if self.load_tls().await.is_none() {
                return;
            }
            let loaded = self.load_config().await;
            self.is_failing.store(loaded.is_err(), Ordering::Relaxed);
            self.tell(loaded);
        }
    }

    async fn load_tls(&self) -> Option<()> {
        let tls = Arc::clone(&self.tls);
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(_reloaded)) => tracing::info!("TLS files reloaded"),
            Ok(Err(fault)) => {
                let error: &(dyn std::error::Error + 'static) = &fault;
                tracing::error!(error, "TLS files not reloaded: the old ones stay in use");
            }
            Err(_stopping) => return None,
        }
        Some(())
    }

    /// Everything is read and checked before anything is taken.
    async fn load_config(&mut self) -> Result<Difference, Fault> {
        let running = self.config.clone();
        let read = move || -> Result<_, Fault> {
            let config = running.again()?;
            let choice = Choice {
                retention: config.retention,
                warning_lists: run::warning_lists(&config)?,
                frameworks: run::frameworks(&config)?,
            };
            Ok((config, choice))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_stopping| Fault::Stopping)?;
        let (config, choice) = read?;
        let difference = self.config.difference(&config);
        let filter = telemetry::filter(&config.log_filter);
        let filter = filter.map_err(|error| Fault::Filter(error.to_string()))?;
        chosen_then_set(self.hub.choose(choice), || self.filter.set(filter)).await?;
        self.tls.limit(config.connections.clone());
        self.config.take(config);
        Ok(difference)
    }

    fn tell(&self, loaded: Result<Difference, Fault>) {
        let note = |outcome| self.told.note(Who::Hub, "config.reload", "", outcome);
        match loaded {
            Ok(Difference { taken, waiting }) => {
                tracing::info!(config.changed = taken.join(", "), "configuration reloaded");
                if !waiting.is_empty() {
                    let settings = waiting.join(", ");
                    tracing::warn!(config.settings = settings, "settings that need a restart");
                }
                note(Outcome::Done(None));
            }
            Err(fault) => {
                let error: &(dyn std::error::Error + 'static) = &fault;
                tracing::error!(error, "configuration not reloaded: the old one stays in use");
                // Not the text: it may quote the file.
                note(Outcome::Failed("configuration refused".to_owned()));
            }
        }
    }
}

/// First what the hub may refuse, which is busy or stops; a filter that was parsed is only put in place.
async fn chosen_then_set(
    choosing: impl Future<Output = Result<(), Refusal>>,
    set_filter: impl FnOnce() -> Result<(), String>,
) -> Result<(), Fault> {
    choosing.await?;
    set_filter().map_err(Fault::Filter)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::reason::Reason;

    #[tokio::test]
    async fn a_hub_that_is_busy_gets_no_new_filter_either() {
        let is_set = Cell::new(false);
        let set = || {
            is_set.set(true);
            Ok(())
        };
        let busy = async { Err(Refusal::new(Reason::Busy, "the queue is full")) };
        let refused = chosen_then_set(busy, set).await;
        assert!(matches!(refused, Err(Fault::Hub(refusal)) if refusal.reason == Reason::Busy));
        assert!(!is_set.get(), "a part of it was taken");
        chosen_then_set(async { Ok(()) }, set).await.unwrap();
        assert!(is_set.get());
    }
}
