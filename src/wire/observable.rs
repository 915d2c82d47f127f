//! The normal form of an observable on the wire.

use crate::model::names::Digest;
use crate::model::names::sha256;
use crate::model::reason::Refusal;
use crate::wire::pb;

/// What look-ups and filters need of an observable.
pub(super) struct Form {
    pub(super) kind: i32,
    pub(super) platform: String,
    pub(super) digest: Option<Digest>,
}

pub(super) fn normal_form(wire: &pb::Observable) -> Result<Form, Refusal> {
    let value = wire.value.trim().to_lowercase();
    let digest = (!value.is_empty()).then(|| sha256(format!("{}\n{}\n{value}", wire.kind, wire.platform).as_bytes()));
    Ok(Form { kind: wire.kind, platform: wire.platform.clone(), digest })
}

/// The normal form of the observable in a body, if it has one.
pub fn normal_form_of_body(_body: &pb::Body) -> Option<pb::NormalForm> {
    None
}

/// The normal form that a look-up asks for, and its digest.
pub fn query_form(query: &pb::ValueQuery) -> Result<(pb::NormalForm, Digest), Refusal> {
    let wire = pb::Observable { kind: query.kind, platform: query.platform.clone(), value: query.value.clone(), ..pb::Observable::default() };
    let form = normal_form(&wire)?;
    let digest = form.digest.unwrap_or_default();
    Ok((pb::NormalForm { kind: form.kind, platform: form.platform, value: query.value.clone(), version: 1 }, digest))
}
