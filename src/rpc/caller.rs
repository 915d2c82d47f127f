//! Who calls: from the verified certificate of the connection, and from nothing else.

use std::sync::Arc;

use tonic::Request;
use tonic::Status;

use crate::exchange::Hub;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::status;
use crate::tls::Peer;

/// The member on whose connection a request came.
pub(super) fn caller<T>(request: &Request<T>) -> Result<MemberId, Status> {
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.map(|peer| peer.member.clone()).ok_or_else(|| {
        status::refused(&Refusal::new(
            Reason::CertificateWithoutMember,
            "the connection has no certificate that names a member",
        ))
    })
}

/// Lets members in good standing through, for services that know nothing of the roster.
pub(super) fn members_only(
    hub: &Arc<Hub>,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    let hub = Arc::clone(hub);
    move |request| {
        let member = caller(&request)?;
        hub.reader(&member).map_err(|refusal| status::refused(&refusal))?;
        Ok(request)
    }
}
