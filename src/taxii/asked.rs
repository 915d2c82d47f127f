//! Who asks: from the verified certificate of the connection, and from nothing else.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::exchange::Hub;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::taxii::answer::Fault;
use crate::taxii::media;
use crate::tls::Peer;

/// A request of a member in good standing, that takes what we answer.
pub(super) struct Asked {
    pub(super) hub: Arc<Hub>,
    pub(super) member: MemberId,
    /// The query, as it was sent.
    pub(super) query: String,
}

impl FromRequestParts<Arc<Hub>> for Asked {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Fault> {
        let nobody = || {
            let message = "the connection has no certificate that names a member";
            Refusal::new(Reason::CertificateWithoutMember, message)
        };
        let peer = parts.extensions.get::<Arc<Peer>>().ok_or_else(nobody)?;
        hub.reader(&peer.member)?;
        if !media::is_acceptable(&parts.headers) {
            return Err(Fault::not_acceptable());
        }
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self { hub: Arc::clone(hub), member: peer.member.clone(), query })
    }
}
