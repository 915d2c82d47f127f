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
    /// Whoever asks after that hears the same: the hub lives, and takes no records.
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
        self.let_go("", ServingStatus::Serving).await;
        for service in std::mem::take(&mut self.services) {
            self.let_go(service, ServingStatus::NotServing).await;
        }
    }

    /// Ends the streams of those who watch a service, and leaves the word for those who ask.
    async fn let_go(&mut self, service: &str, last: ServingStatus) {
        self.reporter.clear_service_status(service).await;
        self.reporter.set_service_status(service, last).await;
    }

    async fn tell(&self, is_ready: bool) {
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Wire;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;

    fn about(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    #[tokio::test]
    async fn a_hub_that_drains_lets_go_who_watches_and_answers_who_asks() {
        let reporter = HealthReporter::new();
        let asked = HealthService::from_health_reporter(reporter.clone());
        let health = Health::new(reporter, vec!["watchfire.v1.Ours"]);
        health.tell(true).await;
        let mut watched = Vec::new();
        for service in ["", "watchfire.v1.Ours"] {
            watched.push(asked.watch(about(service)).await.unwrap().into_inner());
        }
        let drains = Readiness::default().with(Cause::Draining, true);
        let (_told, readiness) = watch::channel(drains);
        health.follow(readiness, CancellationToken::new()).await;
        for mut stream in watched {
            // It comes to its end.
            assert!(stream.all(|word| word.is_ok()).await);
        }
        let answers = [("", Wire::Serving), ("watchfire.v1.Ours", Wire::NotServing)];
        for (service, expected) in answers {
            let answer = asked.check(about(service)).await.unwrap().into_inner();
            assert_eq!(answer.status(), expected, "{service:?}");
        }
    }
}
