//! Around every call: who called what, how it ended, and how long it took until its answer began. Nothing of what was
//! asked or answered is looked at.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use http::HeaderMap;
use http::Request;
use http::Response;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;
use tower::Layer;
use tower::Service;

use crate::model::reason::Reason;
use crate::rpc::Bulk;
use crate::server::observe::Called;
use crate::server::observe::End;
use crate::server::observe::Told;
use crate::server::traces::Origin;
use crate::tls::Peer;
use crate::wire::DESCRIPTORS;

/// What a call is named that is of no method that there is.
const UNKNOWN: &str = "unknown";

/// Puts a service under watch.
#[derive(Clone, Debug)]
pub(super) struct WatchCalls(pub(super) Arc<Told>);

impl<S> Layer<S> for WatchCalls {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, told: Arc::clone(&self.0) }
    }
}

/// A service under watch.
#[derive(Clone, Debug)]
pub(super) struct Watched<S> {
    inner: S,
    told: Arc<Told>,
}

impl<S, B, R> Service<Request<B>> for Watched<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let open = self.told.is_asked().then(|| Open::of(&self.told, &request));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answered = answer.await;
            if let (Some(open), Ok(response)) = (open, &answered) {
                open.end(response.headers(), response.extensions().get::<Bulk>());
            }
            answered
        })
    }
}

/// A call whose answer has not begun. If it never does, that is told too.
struct Open {
    told: Arc<Told>,
    begun: Instant,
    /// What is known so far; it is taken when the call is told.
    call: Option<Called>,
}

impl Open {
    fn of<B>(told: &Arc<Told>, request: &Request<B>) -> Self {
        let call = Called {
            peer: request.extensions().get::<Arc<Peer>>().cloned(),
            method: method(request.uri().path()),
            begun: told.clock().now(),
            took: std::time::Duration::ZERO,
            end: End::Dropped,
            bulk: None,
            origin: Origin::of(request.headers()),
        };
        Self { told: Arc::clone(told), begun: Instant::now(), call: Some(call) }
    }

    fn end(mut self, headers: &HeaderMap, bulk: Option<&Bulk>) {
        if let Some(call) = &mut self.call {
            call.end = end(headers);
            call.bulk = bulk.cloned();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(mut call) = self.call.take() {
            call.took = self.begun.elapsed();
            self.told.called(&call);
        }
    }
}

/// `Service/Method` of a method that there is. A client may send any path, and be refused before anybody looks whether
/// there is such a method: its text must not become a word of the audit log.
fn method(path: &str) -> String {
    static KNOWN: OnceLock<HashMap<String, String>> = OnceLock::new();
    KNOWN.get_or_init(known).get(path).map_or(UNKNOWN, String::as_str).to_owned()
}

/// Every method by its path, from what describes the services: ours, health and reflection.
fn known() -> HashMap<String, String> {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut known = HashMap::new();
    // They are part of the program, and a test sees that each can be read.
    let sets = sets.into_iter().filter_map(|set| FileDescriptorSet::decode(set).ok());
    for file in sets.flat_map(|set| set.file) {
        for service in &file.service {
            known.extend(service.method.iter().map(|method| {
                let short = format!("{}/{}", service.name(), method.name());
                (format!("/{}.{short}", file.package()), short)
            }));
        }
    }
    known
}

/// How a call ended, by the head of its answer: without a status there, the answer began.
fn end(headers: &HeaderMap) -> End {
    let Some(status) = Status::from_header_map(headers) else { return End::Answered };
    if status.code() == Code::Ok {
        return End::Answered;
    }
    let info = status.get_details_error_info();
    let reason = info
        .and_then(|info| Reason::ALL.iter().copied().find(|reason| reason.as_str() == info.reason));
    reason.map_or_else(|| End::Failed(i32::from(status.code())), End::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(method(path), expected, "{path}");
    }

    #[test]
    fn every_method_that_there_is_has_its_name() {
        check("/watchfire.v1.ExchangeService/Publish", "ExchangeService/Publish");
        check("/watchfire.v1.ExportService/Export", "ExportService/Export");
        check("/grpc.health.v1.Health/Check", "Health/Check");
        check("/grpc.health.v1.Health/Watch", "Health/Watch");
        let reflection = "ServerReflection/ServerReflectionInfo";
        for version in ["v1", "v1alpha"] {
            check(&format!("/grpc.reflection.{version}.{reflection}"), reflection);
        }
        let ours = known().into_keys().filter(|path| path.starts_with("/watchfire.v1."));
        assert!(ours.count() > 40, "calls of ours have no name");
    }

    #[test]
    fn nobody_chooses_a_name() {
        check("/grpc.health.v1.Health/MadeUp", UNKNOWN);
        check("/grpc.health.v1.Health/x.ExchangeService/Publish", UNKNOWN);
        check("/grpc.health.v1.Health/", UNKNOWN);
        check("/grpc.health.v1.Health/Check/", UNKNOWN);
        check("/grpc.reflection.v1.ServerReflection/MadeUp", UNKNOWN);
        check("/grpc.reflection.v2.ServerReflection/ServerReflectionInfo", UNKNOWN);
        check("/watchfire.v1.ExchangeService/MadeUp", UNKNOWN);
        check("/watchfire.v1.ExchangeService/publish", UNKNOWN);
        check("//watchfire.v1.ExchangeService/Publish", UNKNOWN);
        check("ExchangeService/Publish", UNKNOWN);
        check("/other.v1.Service/Publish", UNKNOWN);
        check("/watchfire.v1.ExchangeService/Publish?member=acme", UNKNOWN);
        check("/watchfire.v1.ExchangeService/\u{202e}", UNKNOWN);
        check(&format!("/watchfire.v1.{}", "x".repeat(200)), UNKNOWN);
        check("/", UNKNOWN);
    }

    #[test]
    fn an_answer_that_began_has_no_status_in_its_head() {
        assert_eq!(end(&HeaderMap::new()), End::Answered);
        let refused = crate::model::reason::Refusal::new(Reason::Quota, "because");
        let status = crate::rpc::refused_for_test(&refused);
        let response = status.into_http::<()>();
        assert_eq!(end(response.headers()), End::Refused(Reason::Quota));
        let response = Status::unimplemented("").into_http::<()>();
        assert_eq!(end(response.headers()), End::Failed(12));
    }
}
