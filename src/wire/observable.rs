//! The normal form of an observable on the wire.

use crate::model::names::Digest;
use crate::model::normal_form;
use crate::model::normal_form::NORMAL_FORM_VERSION;
use crate::model::normal_form::NormalForm;
use crate::model::observable::ObservableKind;
use crate::model::platform::Platform;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::pb;

/// What look-ups and filters need of an observable.
pub(super) struct Form {
    pub(super) kind: i32,
    pub(super) platform: String,
    pub(super) digest: Option<Digest>,
}

pub(super) fn normal_form(wire: &pb::Observable) -> Result<Form, Refusal> {
    let kind = kind(wire)?;
    let platform = platform(wire)?;
    if kind == ObservableKind::Aggregate || wire.value.is_empty() {
        let platform = platform.map_or_else(String::new, |platform| platform.to_string());
        return Ok(Form { kind: kind.number(), platform, digest: None });
    }
    let form = normal_form::normal_form(kind, platform.as_ref(), &wire.value)
        .map_err(|error| invalid("body.indicator.observable.value", error.to_string()))?;
    let digest = Some(form.digest());
    let platform = form.platform.map_or_else(String::new, |platform| platform.to_string());
    Ok(Form { kind: form.kind.number(), platform, digest })
}

/// The normal form of the observable in a body, if it has one.
pub fn normal_form_of_body(body: &pb::Body) -> Option<pb::NormalForm> {
    let Some(pb::body::Content::Indicator(indicator)) = &body.content else {
        return None;
    };
    let wire = indicator.observable.as_ref()?;
    let platform = platform(wire).ok()?;
    let form = normal_form::normal_form(kind(wire).ok()?, platform.as_ref(), &wire.value).ok()?;
    Some(to_wire(form))
}

/// The normal form of the value that a reference names, if it names one.
pub fn normal_form_of_reference(reference: &pb::Reference) -> Option<pb::NormalForm> {
    let Some(pb::reference::To::Value(value)) = &reference.to else {
        return None;
    };
    let platform = platform(value).ok()?;
    normal_form::normal_form(kind(value).ok()?, platform.as_ref(), &value.value).ok().map(to_wire)
}

fn to_wire(form: NormalForm) -> pb::NormalForm {
    pb::NormalForm {
        kind: form.kind.number(),
        platform: form.platform.map_or_else(String::new, |platform| platform.to_string()),
        value: form.value,
        version: NORMAL_FORM_VERSION,
    }
}

fn kind(wire: &pb::Observable) -> Result<ObservableKind, Refusal> {
    ObservableKind::from_number(wire.kind)
        .ok_or_else(|| invalid("body.indicator.observable.kind", "must be a known kind".to_owned()))
}

fn platform(wire: &pb::Observable) -> Result<Option<Platform>, Refusal> {
    if wire.platform.is_empty() {
        return Ok(None);
    }
    let parsed = wire.platform.parse().map(Some);
    parsed.map_err(|error: crate::model::platform::InvalidPlatform| {
        invalid("body.indicator.observable.platform", error.to_string())
    })
}

fn invalid(field: &'static str, message: String) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, message)
}

/// The normal form that a look-up asks for, and its digest. Without a kind it is recognised from the value.
pub fn query_form(query: &pb::ValueQuery) -> Result<(pb::NormalForm, Digest), Refusal> {
    let pb::ValueQuery { value, kind: number, platform: _parsed_below } = query;
    let wire = pb::Observable {
        kind: *number,
        platform: query.platform.clone(),
        value: value.clone(),
        ..pb::Observable::default()
    };
    let platform = platform(&wire)?;
    let form = if *number == 0 {
        let recognised = normal_form::recognise(value);
        recognised.ok_or_else(|| {
            invalid("queries.value", "is not recognised: name its kind and platform".to_owned())
        })?
    } else {
        normal_form::normal_form(kind(&wire)?, platform.as_ref(), value)
            .map_err(|error| invalid("queries.value", error.to_string()))?
    };
    let digest = form.digest();
    Ok((to_wire(form), digest))
}
