//! From what a cell says to the record that is published.

use crate::interop::meta_csv::Draft;
use crate::interop::meta_csv::SkipReason;
use crate::interop::meta_csv::cell;
use crate::interop::meta_csv::cell::Found;
use crate::interop::meta_csv::count;
use crate::interop::meta_csv::plan::clean;
use crate::interop::techniques::bounded;
use crate::model::limits;
use crate::model::normal_form::normal_form;
use crate::model::observable::ObservableKind;
use crate::model::platform::Platform;
use crate::wire::pb;

pub(super) fn values(
    found: Vec<Found>,
    behind: &str,
    remark: &str,
    technique: Option<&pb::Technique>,
) -> Vec<Draft> {
    let description = [behind, remark]
        .iter()
        .filter(|text| !text.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("\n");
    let source = found.first().map(|found| found.value.clone()).unwrap_or_default();
    let mut drafts: Vec<Draft> =
        found.into_iter().map(|found| draft(found, &description, technique)).collect();
    let led_to = format!("redirect target of {source}");
    drafts
        .extend(cell::redirects(remark).into_iter().map(|found| draft(found, &led_to, technique)));
    drafts
}

fn draft(found: Found, description: &str, technique: Option<&pb::Technique>) -> Draft {
    let Found { form, value, algorithm } = found;
    let platform = form.platform.as_ref().map_or("", Platform::as_str).to_owned();
    let observable = pb::Observable {
        kind: form.kind.number(),
        platform,
        value,
        algorithm: algorithm.to_owned(),
        ..pb::Observable::default()
    };
    let indicator = pb::Indicator {
        observable: Some(observable),
        techniques: technique.cloned().into_iter().collect(),
        description: bounded(description, limits::TEXT_BYTES_MAX),
        ..pb::Indicator::default()
    };
    Draft { kind: form.kind, platform: form.platform, normal_form: form.value, indicator }
}

pub(super) fn aggregate(
    count: count::Count,
    cell: &str,
    technique: Option<pb::Technique>,
    remark: &str,
) -> Draft {
    let observable = pb::Observable {
        kind: ObservableKind::Aggregate.number(),
        platform: count.platform.clone(),
        value: bounded(cell, limits::VALUE_BYTES_MAX),
        aggregate: Some(count.aggregate),
        ..pb::Observable::default()
    };
    let indicator = pb::Indicator {
        observable: Some(observable),
        techniques: technique.into_iter().collect(),
        description: bounded(remark, limits::TEXT_BYTES_MAX),
        ..pb::Indicator::default()
    };
    Draft {
        kind: ObservableKind::Aggregate,
        platform: count.platform.parse().ok(),
        normal_form: count.identity,
        indicator,
    }
}

pub(super) fn flat(
    kind: &str,
    value: &str,
    comment: &str,
    date: &str,
) -> Result<Draft, SkipReason> {
    let value = clean(value);
    if value.is_empty() {
        return Err(SkipReason::Empty);
    }
    let plain = |kind, platform: Option<&str>| {
        let platform = platform.and_then(|name| name.parse().ok());
        let form =
            normal_form(kind, platform.as_ref(), &value).map_err(|_form| SkipReason::Invalid)?;
        Ok(Found { form, value: value.clone(), algorithm: "" })
    };
    let found = match kind.trim() {
        "domain_name" => plain(ObservableKind::Domain, None)
            .or_else(|_url| cell::address(&value).ok_or(SkipReason::Invalid)),
        "url" | "cib_url" | "telegram_url" | "phishing_url" => {
            cell::address(&value).ok_or(SkipReason::Invalid)
        }
        "ip" => plain(ObservableKind::IpAddress, None),
        "md5" | "sha1" | "sha256" => cell::value(&value)
            .filter(|found| found.algorithm == kind.trim())
            .ok_or(SkipReason::Invalid),
        "email" => plain(ObservableKind::EmailAddress, None),
        "android_package_name" => plain(ObservableKind::App, Some("google-play")),
        "ios_app_id" => plain(ObservableKind::App, Some("app-store")),
        _ => Err(SkipReason::UnknownType),
    }?;
    let mut draft = draft(found, &clean(comment), None);
    let date = clean(date);
    draft.indicator.labels.push(kind.trim().to_owned());
    draft.indicator.labels.extend(
        (!date.is_empty()).then(|| bounded(&format!("reported:{date}"), limits::LABEL_BYTES_MAX)),
    );
    Ok(draft)
}

/// The platform that a procedure of acquiring accounts implies.
pub(super) fn place(external_id: &str) -> &'static str {
    match external_id {
        "0.9.1" | "7.2.2" | "7.2.3" => "facebook",
        "0.9.2" | "7.2.4" => "instagram",
        "0.9.3" => "threads",
        "0.9.4" => "x",
        "0.9.5" => "youtube",
        "0.9.6" => "tiktok",
        "0.9.7" => "telegram",
        "0.9.10" => "pinterest",
        _ => "",
    }
}

/// Registrars, shorteners and hosts that everybody uses: the role comes from the procedure.
pub(super) fn is_service(external_id: &str, found: &[Found]) -> bool {
    let used = external_id.starts_with("5.1.") || matches!(external_id, "5.2.1" | "5.5.3");
    used && found.iter().all(|found| found.form.kind == ObservableKind::Domain)
}
