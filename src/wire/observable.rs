//! The normal form of an observable on the wire.

use crate::model::hash_algorithm::check_algorithm;
use crate::model::names::Digest;
use crate::model::normal_form;
use crate::model::normal_form::NORMAL_FORM_VERSION;
use crate::model::normal_form::NormalForm;
use crate::model::observable::ObservableKind;
use crate::model::perceptual::Pdq;
use crate::model::platform::Platform;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::pb;

/// What look-ups and filters need of an observable.
pub(super) struct Form {
    pub(super) kind: i32,
    pub(super) platform: String,
    pub(super) digest: Option<Digest>,
    pub(super) whole: Option<NormalForm>,
}

pub(super) fn normal_form(wire: &pb::Observable) -> Result<Form, Refusal> {
    let kind = kind(wire)?;
    let platform = platform(wire)?;
    if kind == ObservableKind::Aggregate || wire.value.is_empty() {
        let platform = platform.map_or_else(String::new, |platform| platform.to_string());
        return Ok(Form { kind: kind.number(), platform, digest: None, whole: None });
    }
    let form = normal_form::normal_form(kind, platform.as_ref(), &wire.value)
        .map_err(|error| invalid("body.indicator.observable.value", error.to_string()))?;
    check_algorithm(form.kind, &wire.algorithm, &form.value)
        .map_err(|error| invalid("body.indicator.observable.algorithm", error.to_string()))?;
    let digest = Some(form.digest());
    let platform = form.platform.as_ref().map_or_else(String::new, ToString::to_string);
    Ok(Form { kind: form.kind.number(), platform, digest, whole: Some(form) })
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

/// The PDQ hash that an observable is, if it is one.
pub fn pdq(wire: &pb::Observable) -> Option<Pdq> {
    let is_pdq =
        kind(wire).ok()? == ObservableKind::MediaHash && wire.algorithm.eq_ignore_ascii_case("pdq");
    if is_pdq { wire.value.parse().ok() } else { None }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_of_a_hash_is_checked_by_name_and_value() {
        let form = |kind: pb::ObservableKind, algorithm: &str| {
            let wire = pb::Observable {
                kind: kind.into(),
                value: "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95"
                    .to_owned(),
                algorithm: algorithm.to_owned(),
                ..pb::Observable::default()
            };
            normal_form(&wire).map(|form| form.digest).map_err(|refusal| refusal.field)
        };
        let refused = Err("body.indicator.observable.algorithm");
        let media = form(pb::ObservableKind::MediaHash, "");
        assert!(media.is_ok());
        assert_eq!(form(pb::ObservableKind::MediaHash, "pdq"), media);
        assert_eq!(form(pb::ObservableKind::MediaHash, "sha256"), media);
        assert_eq!(form(pb::ObservableKind::MediaHash, "md5"), refused);
        assert_eq!(form(pb::ObservableKind::FileHash, "pdq"), refused);
        assert!(form(pb::ObservableKind::TextHash, "some-hash").is_ok());
    }
}
