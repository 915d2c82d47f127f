//! Addresses that name a profile on a known platform.

use crate::model::normal_form::NormalForm;
use crate::model::normal_form::address::Address;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::MOBILE;
use crate::model::platform::Platform;
use crate::model::platform::Row;
use crate::model::platform::Shape;
use crate::model::platform::row_of_host;

/// The profile that an address names, if it names one.
pub(super) fn profile(address: &Address) -> Option<NormalForm> {
    if !address.user.is_empty() || !address.port.is_empty() {
        return None;
    }
    let (row, before) = row_of_host(&address.host)?;
    let segments: Vec<&str> = address
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let by_id = || {
        if row.name == "facebook" {
            facebook(address, &segments)
        } else {
            None
        }
    };
    let (kind, value) = by_id().or_else(|| {
        row.shapes
            .iter()
            .find_map(|shape| shape_match(row, shape, before, &segments))
    })?;
    let platform: Platform = row.name.parse().ok()?;
    let value = if row.fold && !has_own_case(row, &value) {
        value.to_lowercase()
    } else {
        value
    };
    Some(NormalForm::new(kind, Some(&platform), value))
}

fn shape_match(
    row: &Row,
    shape: &Shape,
    before: &str,
    segments: &[&str],
) -> Option<(Kind, String)> {
    if let Shape::Subdomain(kind) = shape {
        let own = !MOBILE.contains(&before) && !before.contains('.') && segments.is_empty();
        return own.then(|| (*kind, before.to_owned()));
    }
    let country = before.len() == 2 && before.bytes().all(|byte| byte.is_ascii_lowercase())
        || before.len() == 5 && before.contains('-');
    if !MOBILE.contains(&before) && !country {
        return None;
    }
    let (kind, name, tail, prefix) = match (shape, segments) {
        (Shape::Name(kind), [name, tail @ ..]) => (kind, *name, tail, ""),
        (Shape::At(kind), [name, tail @ ..]) => (kind, name.strip_prefix('@')?, tail, ""),
        (Shape::Under(prefix, kind), [first, name, tail @ ..]) if first == prefix => {
            (kind, *name, tail, "")
        }
        (Shape::Kept(prefix, kind), [first, name, tail @ ..]) if first == prefix => {
            (kind, *name, tail, *prefix)
        }
        _ => return None,
    };
    let name = if matches!(shape, Shape::Name(_)) {
        free_name(row, name)?
    } else {
        name
    };
    if !is_handle(name) || !is_tab(tail) {
        return None;
    }
    let value = if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    };
    Some((*kind, value))
}

fn free_name<'a>(row: &Row, name: &'a str) -> Option<&'a str> {
    let reserved = row.reserved.contains(&name.to_ascii_lowercase().as_str());
    (!reserved).then(|| name.strip_prefix('@').unwrap_or(name))
}

fn is_handle(name: &str) -> bool {
    let legal = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    legal && (1..=100).contains(&name.len())
}

/// What may follow a profile's name without naming something else.
fn is_tab(tail: &[&str]) -> bool {
    const TABS: [&str; 12] = [
        "about",
        "videos",
        "shorts",
        "featured",
        "with_replies",
        "media",
        "followers",
        "following",
        "likes",
        "photos",
        "posts",
        "streams",
    ];
    match tail {
        [] => true,
        [tab] => TABS.contains(tab),
        _ => false,
    }
}

/// Facebook's addresses by number: `profile.php?id=`, `/people/Name/id`, `/pages/Name/id`.
fn facebook(address: &Address, segments: &[&str]) -> Option<(Kind, String)> {
    let (kind, id) = match segments {
        ["profile.php"] => (
            Kind::Account,
            address
                .query
                .split('&')
                .find_map(|part| part.strip_prefix("id="))?,
        ),
        ["people", _, id] => (Kind::Account, *id),
        ["pages", _, id] | ["pages", "category", _, id] => (Kind::Page, *id),
        ["pages", name] => (Kind::Page, *name),
        _ => return None,
    };
    is_handle(id).then(|| (kind, id.to_owned()))
}

/// A YouTube channel id keeps its case, wherever it stands.
pub(super) fn has_own_case(row: &Row, name: &str) -> bool {
    row.name == "youtube" && name.starts_with("channel/")
}
