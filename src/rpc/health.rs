//! `grpc.health.v1`: the hub lives as long as it answers, which is the service without a name; it is ready while it takes
//! records, which are the services by their names.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::exchange::Cause;
use crate::exchange::Readiness;

/// What is told by health.
#[derive(Debug)]
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Health {
    pub(super) const fn new(reporter: HealthReporter, services: Vec<&'static str>) -> Self {
        Self { reporter, services }
    }

    /// Tells what changes until the hub drains, or `stop`; then whoever watches hears the last word, and its stream ends.
    pub async fn follow(
        mut self,
        mut readiness: watch::Receiver<Readiness>,
        stop: CancellationToken,
    ) {
        loop {
            let now = *readiness.borrow_and_update();
            self.tell(now.is_ready()).await;
            if now.has(Cause::Draining) {
                break;
            }
            let changed = stop.run_until_cancelled(readiness.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                self.tell(false).await;
                break;
            }
        }
        self.reporter.clear_service_status("").await;
        for service in &self.services {
            self.reporter.clear_service_status(service).await;
        }
    }

    async fn tell(&self, is_ready: bool) {
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
