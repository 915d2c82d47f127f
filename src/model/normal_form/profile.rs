//! Addresses that name a profile on a known platform.

use unicode_normalization::UnicodeNormalization as _;

use crate::model::normal_form::NormalForm;
use crate::model::normal_form::address::Address;
use crate::model::normal_form::address::decode;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Row;
use crate::model::platform::Shape;
use crate::model::platform::row_of_host;

/// The profile that an address names, if it names one.
pub(super) fn profile(address: &Address) -> Option<NormalForm> {
    if !address.is_plain() {
        return None;
    }
    let (row, before) = row_of_host(&address.host)?;
    let segments = segments(&address.path);
    if !row.is_itself(before) {
        return blog(row, before, &segments);
    }
    let by_parameter = |shape| by_parameter(shape, address, &segments);
    let (kind, value) = row
        .shapes
        .iter()
        .find_map(|shape| by_parameter(shape).or_else(|| by_path(row, shape, &segments)))?;
    spelled(row, kind, &value)
}

/// A handle given as the path of its profile: `u/name`, `company/name`.
pub(super) fn profile_of_path(row: &'static Row, text: &str) -> Option<NormalForm> {
    let segments = segments(text);
    let (kind, value) = row
        .shapes
        .iter()
        .filter(|shape| shape.prefix().is_some())
        .find_map(|shape| by_path(row, shape, &segments))?;
    spelled(row, kind, &value)
}

/// A handle on a known platform: where all its profiles are of one kind, the handle is of that kind,
/// and where handles ignore case, so does its spelling.
pub(super) fn spelled(row: &'static Row, kind: Kind, handle: &str) -> Option<NormalForm> {
    let platform = row.name.parse().ok()?;
    let is_profile = matches!(kind, Kind::Account | Kind::Page | Kind::Channel | Kind::Blog);
    let kind = row.sole_kind().filter(|_sole| is_profile).unwrap_or(kind);
    let value = match handle.strip_prefix("channel/").unwrap_or(handle) {
        id if row.name == "youtube" && is_channel_id(handle, id) => format!("channel/{id}"),
        _ if row.fold => handle.to_lowercase(),
        _ => handle.to_owned(),
    };
    Some(NormalForm::new(kind, Some(&platform), value))
}

/// The id of a YouTube channel keeps its case; without `channel/` before it, its shape tells.
fn is_channel_id(handle: &str, id: &str) -> bool {
    let shape = id.len() == 24
        && id.starts_with("UC")
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    shape || handle.len() != id.len()
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// `name.host`, with nothing behind it.
fn blog(row: &'static Row, before: &str, segments: &[&str]) -> Option<NormalForm> {
    const NO_NAMES: [&str; 7] = ["api", "assets", "cdn", "help", "static", "status", "support"];
    let kind = row.subdomain_kind()?;
    let own = segments.is_empty() && !before.contains('.') && !NO_NAMES.contains(&before);
    own.then(|| spelled(row, kind, before)).flatten()
}

fn by_parameter(shape: &Shape, address: &Address, segments: &[&str]) -> Option<(Kind, String)> {
    let Shape::Parameter(page, name, kind) = shape else {
        return None;
    };
    let id = address.parameter(name).filter(|_id| segments == [*page])?;
    Some((*kind, handle(id)?))
}

fn by_path(row: &Row, shape: &Shape, segments: &[&str]) -> Option<(Kind, String)> {
    let (kind, name, tail) = match (shape, segments) {
        (Shape::Only(kind), [name]) => (kind, row.free_name(name)?, [].as_slice()),
        (Shape::Name(kind), [name, tail @ ..]) => (kind, row.free_name(name)?, tail),
        (Shape::At(kind), [name, tail @ ..]) => (kind, name.strip_prefix('@')?, tail),
        (Shape::Under(prefix, kind) | Shape::Kept(prefix, kind), [first, name, tail @ ..])
            if first == prefix =>
        {
            (kind, *name, tail)
        }
        (Shape::Numbered(prefix, kind), [first, .., id])
            if first == prefix && segments.len() > 2 =>
        {
            (kind, number(id)?, [].as_slice())
        }
        _ => return None,
    };
    let name = handle(name).filter(|_name| is_tab(tail))?;
    let value = if let Shape::Kept(prefix, _) = shape { format!("{prefix}/{name}") } else { name };
    Some((*kind, value))
}

fn number(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

/// A part of a path as a handle: letters of any script, digits, and a few marks.
fn handle(part: &str) -> Option<String> {
    let name: String = decode(part)?.nfc().collect();
    let legal = !name.starts_with('@')
        && name.chars().all(|character| {
            character.is_alphanumeric() || matches!(character, '_' | '.' | '-' | '@')
        });
    (legal && (1..=100).contains(&name.len())).then_some(name)
}

/// What may follow a profile's name without naming something else.
fn is_tab(tail: &[&str]) -> bool {
    const TABS: [&str; 21] = [
        "about",
        "answers",
        "comments",
        "community",
        "featured",
        "followers",
        "following",
        "hot",
        "likes",
        "live",
        "media",
        "new",
        "photos",
        "playlists",
        "posts",
        "shorts",
        "streams",
        "submitted",
        "top",
        "videos",
        "with_replies",
    ];
    match tail {
        [] => true,
        [tab] => TABS.contains(tab),
        _ => false,
    }
}
