//! The gRPC face: decode, call, encode; the only place where an error becomes a `Status`.

mod audience_face;
mod batches;
mod bulk;
mod caller;
mod change;
mod codec;
mod exchange_face;
mod export_face;
mod health;
mod held;
mod query_face;
mod roster_face;
mod status;
mod subscription_face;
mod transparency_face;

pub use self::bulk::Amount;
pub use self::bulk::Bulk;
pub(crate) use self::codec::MessageCodec;
pub use self::health::Health;
pub use self::held::HeldLayer;

use std::sync::Arc;

use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::exchange::Hub;
use crate::model::limits;
use crate::wire::DESCRIPTORS;
use crate::wire::face::audience_service_server::AudienceServiceServer;
use crate::wire::face::exchange_service_server::ExchangeServiceServer;
use crate::wire::face::export_service_server::ExportServiceServer;
use crate::wire::face::query_service_server::QueryServiceServer;
use crate::wire::face::roster_service_server::RosterServiceServer;
use crate::wire::face::subscription_service_server::SubscriptionServiceServer;
use crate::wire::face::transparency_service_server::TransparencyServiceServer;

/// Every service of the hub, and what tells of its health. Health and reflection are for members too.
pub fn routes(hub: &Arc<Hub>) -> Result<(Routes, Health), tonic_reflection::server::Error> {
    let exchange = ExchangeServiceServer::new(exchange_face::ExchangeFace::new(Arc::clone(hub)))
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX)
        .max_encoding_message_size(limits::ANSWER_BYTES_MAX);
    let roster = RosterServiceServer::new(roster_face::RosterFace::new(Arc::clone(hub)))
        .max_decoding_message_size(limits::ENVELOPE_BYTES_MAX * 2);
    let audiences = AudienceServiceServer::new(audience_face::AudienceFace::new(Arc::clone(hub)))
        .max_decoding_message_size(limits::ENVELOPE_BYTES_MAX * 2);
    let subscriptions = subscription_face::SubscriptionFace::new(Arc::clone(hub));
    let subscriptions = SubscriptionServiceServer::new(subscriptions)
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX);
    let queries = QueryServiceServer::new(query_face::QueryFace::new(Arc::clone(hub)))
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX)
        .max_encoding_message_size(limits::ANSWER_BYTES_MAX);
    let transparency = transparency_face::TransparencyFace::new(Arc::clone(hub));
    let transparency = TransparencyServiceServer::new(transparency)
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX)
        .max_encoding_message_size(limits::ANSWER_BYTES_MAX);
    let exports = ExportServiceServer::new(export_face::ExportFace::new(Arc::clone(hub)))
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    let told = Health::new(
        reporter,
        vec![
            name_of(&exchange),
            name_of(&roster),
            name_of(&audiences),
            name_of(&subscriptions),
            name_of(&queries),
            name_of(&transparency),
            name_of(&exports),
        ],
    );
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let members_only = caller::members_only(hub);
    let routes = Routes::new(exchange)
        .add_service(roster)
        .add_service(audiences)
        .add_service(subscriptions)
        .add_service(queries)
        .add_service(transparency)
        .add_service(exports)
        .add_service(InterceptedService::new(health, members_only.clone()))
        .add_service(InterceptedService::new(reflection().build_v1()?, members_only.clone()))
        .add_service(InterceptedService::new(reflection().build_v1alpha()?, members_only));
    Ok((routes, told))
}

const fn name_of<S: NamedService>(_service: &S) -> &'static str {
    S::NAME
}

/// The status of a refusal, for tests of who reads it.
#[cfg(test)]
pub(crate) fn refused_for_test(refusal: &crate::model::reason::Refusal) -> tonic::Status {
    status::refused(refusal)
}
