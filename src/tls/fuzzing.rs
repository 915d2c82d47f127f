//! What `tests/fuzz` reaches of this module and nothing else does: its parsers of foreign bytes, which stay private.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use crate::model::names::MemberId;
use crate::tls::Peer;
use crate::tls::identity;
use crate::tls::load;
use crate::tls::revocation;

/// Who a certificate names, DER; `None` if nobody.
pub fn certificate_identity(leaf: &[u8], trust_domain: &str) -> Option<Arc<Peer>> {
    let identity = identity::identity(leaf, trust_domain).ok()?;
    Some(identity.at((Ipv4Addr::LOCALHOST, 1).into()).0)
}

/// Member and agent of a SPIFFE id.
pub fn spiffe_id(uri: &str, trust_domain: &str) -> Option<(MemberId, Option<String>)> {
    identity::member_of(uri, trust_domain)
}

/// How many certificates a bundle holds, PEM, and whether each could be an authority of its own.
pub fn authorities(pem: &[u8]) -> Option<(usize, bool)> {
    let all = load::certificates_in(pem)?;
    Some((all.len(), revocation::keys(Path::new("bundle"), &all).is_ok()))
}

/// Whether a revocation list, PEM, is one of an authority in a bundle.
pub fn is_revocation_list(pem: &[u8], authorities: &[u8]) -> bool {
    let all = load::certificates_in(authorities).unwrap_or_default();
    revocation::keys(Path::new("bundle"), &all)
        .is_ok_and(|keys| revocation::parse(Path::new("list"), pem, &keys).is_ok())
}
