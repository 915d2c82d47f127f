//! Indicators as rows: of several ways to write one, the first that the reader reads back as the same asset.

use std::collections::BTreeSet;

use crate::interop::meta_csv::Draft;
use crate::interop::meta_csv::count;
use crate::interop::meta_csv::import;
use crate::interop::meta_csv::write::Asset;
use crate::interop::meta_csv::write::FLAT_HEADER;
use crate::interop::meta_csv::write::KILL_CHAIN_HEADER;
use crate::interop::meta_csv::write::ROWS_OF_ASSET_MAX;
use crate::interop::meta_csv::write::account::Key;
use crate::interop::meta_csv::write::cells;
use crate::interop::meta_csv::write::cells::harmless;
use crate::interop::techniques::KILL_CHAIN;
use crate::interop::techniques::numbered;
use crate::model::observable::ObservableKind;
use crate::wire::pb;
use crate::wire::pb::figure::Value;

/// What `reported:2021-03-24` is kept under by the reader.
const REPORTED: &str = "reported:";
/// Types of the flat layout that the reader knows.
const FLAT_TYPES: [&str; 12] = [
    "domain_name",
    "url",
    "cib_url",
    "telegram_url",
    "phishing_url",
    "ip",
    "md5",
    "sha1",
    "sha256",
    "email",
    "android_package_name",
    "ios_app_id",
];

pub(super) type KillChainRow = [String; KILL_CHAIN_HEADER.len()];
pub(super) type FlatRow = [String; FLAT_HEADER.len()];

/// The rows of indicators in the kill-chain layout; which indicators they are goes into `written`.
pub(super) fn kill_chain_rows(assets: &[Asset], written: &mut BTreeSet<Key>) -> Vec<KillChainRow> {
    let keys: BTreeSet<Key> = assets.iter().map(Asset::key).collect();
    let mut rows = Vec::new();
    for asset in assets {
        let key = asset.key();
        if written.contains(&key) {
            continue;
        }
        let of_asset = kill_chain_rows_of(asset, &key, &keys);
        if !of_asset.is_empty() {
            written.insert(key);
            rows.extend(of_asset);
        }
    }
    rows
}

/// A row for each technique that the layout can say, the remark in the first.
fn kill_chain_rows_of(asset: &Asset, key: &Key, keys: &BTreeSet<Key>) -> Vec<KillChainRow> {
    let indicator = &asset.indicator;
    let mut rows: Vec<KillChainRow> = Vec::new();
    let techniques = indicator.techniques.iter().filter(|technique| columns(technique).is_some());
    for technique in techniques.take(ROWS_OF_ASSET_MAX) {
        let remark = if rows.is_empty() { indicator.description.as_str() } else { "" };
        rows.extend(kill_chain_row(asset, key, keys, Some(technique), remark));
    }
    if rows.is_empty() {
        rows.extend(kill_chain_row(asset, key, keys, None, &indicator.description));
    }
    rows
}

/// The first way to write an asset with a technique that reads back as it, and as nothing else that is not here.
fn kill_chain_row(
    asset: &Asset,
    key: &Key,
    keys: &BTreeSet<Key>,
    technique: Option<&pb::Technique>,
    remark: &str,
) -> Option<KillChainRow> {
    let [tactic, label, procedure] = technique.and_then(columns).unwrap_or_default();
    let remarks = if remark.is_empty() { vec![""] } else { vec![remark, ""] };
    for remark in remarks {
        for cell in spellings(asset) {
            let row = [&tactic, &label, &procedure, &harmless(&cell), &harmless(remark)];
            let row = row.map(Clone::clone);
            let drafts = read(&KILL_CHAIN_HEADER, &row.each_ref().map(String::as_str));
            let is_it = drafts.first().is_some_and(|draft| Key::of_draft(draft) == *key);
            if is_it && drafts.iter().all(|draft| keys.contains(&Key::of_draft(draft))) {
                return Some(row);
            }
        }
    }
    None
}

/// Tactic, technique and procedure; `None` if the layout cannot say the technique.
pub(super) fn columns(technique: &pb::Technique) -> Option<[String; 3]> {
    let pb::Technique { framework, external_id, name, phase, .. } = technique;
    let label = format!("{external_id} {name}");
    let label = label.trim_end();
    if framework != KILL_CHAIN || numbered(label)?.0 != *external_id {
        return None;
    }
    let parts: Vec<&str> = external_id.split('.').collect();
    let tactic = match parts.first()?.parse::<u8>() {
        Ok(number @ 0..=9) => format!("{number}. {phase}"),
        Ok(_) | Err(_) => phase.clone(),
    };
    let (technique, procedure) = match parts.as_slice() {
        [_, _] => (label.to_owned(), String::new()),
        [first, second, ..] => (format!("{first}.{second}"), label.to_owned()),
        _ => return None,
    };
    Some([harmless(tactic.trim_end()), technique, harmless(&procedure)])
}

/// How the indicator's cell may be written, the publisher's own way first.
fn spellings(asset: &Asset) -> Vec<String> {
    let Some(observable) = &asset.indicator.observable else { return Vec::new() };
    let value = observable.value.clone();
    if let Some(aggregate) = &observable.aggregate {
        let mut ways = vec![value];
        ways.extend(counted(aggregate, &observable.platform));
        return ways;
    }
    // Twice: alone under a procedure of using services it would be taken for the service's own name.
    let twice = format!("{value} {value}");
    let mut ways = vec![value, twice];
    if let Some(form) = &asset.form {
        ways.push(form.value.clone());
    }
    ways
}

/// `22 accounts on facebook, 8 pages on facebook`, if the figures can be said in words that the reader knows.
fn counted(aggregate: &pb::Aggregate, platform: &str) -> Option<String> {
    let whole =
        pb::AggregatePart { of: aggregate.of, platform: String::new(), count: aggregate.count };
    let parts = if aggregate.parts.is_empty() { vec![whole] } else { aggregate.parts.clone() };
    let said = parts.iter().map(|part| {
        let kind = ObservableKind::from_number(part.of)?;
        let noun = format!("{}s", kind.as_str());
        let figure = match part.count?.value? {
            Value::Exact(number) => number.to_string(),
            Value::AtLeast(number) => format!("at least {number}"),
            Value::Between(range) if range.low == 0 => {
                format!("fewer than {}", range.high.checked_add(1)?)
            }
            Value::Between(range) => {
                format!("about {}", range.low.checked_add(range.high.checked_sub(range.low)? / 2)?)
            }
        };
        let place = if part.platform.is_empty() { platform } else { &part.platform };
        let on = match (place.is_empty(), count::word(place)) {
            (true, _) => String::new(),
            (false, word) => format!(" on {}", word?),
        };
        Some(format!("{figure} {noun}{on}"))
    });
    Some(said.collect::<Option<Vec<_>>>()?.join(", "))
}

/// The rows of indicators in the flat layout; which indicators they are goes into `written`.
pub(super) fn flat_rows(assets: &[Asset], written: &mut BTreeSet<Key>) -> Vec<FlatRow> {
    let mut rows = Vec::new();
    for asset in assets {
        let key = asset.key();
        if !written.contains(&key)
            && let Some(row) = flat_row(asset, &key)
        {
            written.insert(key);
            rows.push(row);
        }
    }
    rows
}

fn flat_row(asset: &Asset, key: &Key) -> Option<FlatRow> {
    let pb::Indicator { labels, description, observable, .. } = &asset.indicator;
    let date = labels.iter().find_map(|label| label.strip_prefix(REPORTED)).unwrap_or_default();
    let own = labels.first().filter(|label| FLAT_TYPES.contains(&label.as_str()));
    let types = own.map(String::as_str).into_iter().chain(flat_types(asset).iter().copied());
    for kind in types {
        let given = observable.as_ref().map(|observable| observable.value.as_str());
        let ways = given.into_iter().chain(asset.form.as_ref().map(|form| form.value.as_str()));
        for value in ways {
            let row = [kind.to_owned(), harmless(value), harmless(description), harmless(date)];
            let drafts = read(&FLAT_HEADER, &row.each_ref().map(String::as_str));
            if drafts.first().is_some_and(|draft| Key::of_draft(draft) == *key) {
                return Some(row);
            }
        }
    }
    None
}

/// Types that may fit, the closest first.
fn flat_types(asset: &Asset) -> &'static [&'static str] {
    let Some(form) = &asset.form else { return &[] };
    match form.kind {
        ObservableKind::Domain => &["domain_name"],
        ObservableKind::IpAddress => &["ip"],
        ObservableKind::EmailAddress => &["email"],
        ObservableKind::FileHash => &["md5", "sha1", "sha256"],
        ObservableKind::App => &["android_package_name", "ios_app_id"],
        ObservableKind::Url
        | ObservableKind::Account
        | ObservableKind::Page
        | ObservableKind::Group
        | ObservableKind::Channel
        | ObservableKind::Blog
        | ObservableKind::Post
        | ObservableKind::Ad
        | ObservableKind::AdAccount
        | ObservableKind::Event
        | ObservableKind::Petition => &["url"],
        ObservableKind::Hashtag
        | ObservableKind::PhoneNumber
        | ObservableKind::PaymentHandle
        | ObservableKind::MediaHash
        | ObservableKind::TextHash
        | ObservableKind::Aggregate => &[],
    }
}

/// What the reader makes of one row.
fn read(header: &[&str], row: &[&str]) -> Vec<Draft> {
    let mut text = String::new();
    cells::push(&mut text, header);
    cells::push(&mut text, row);
    import("", text.as_bytes()).map(|file| file.drafts().cloned().collect()).unwrap_or_default()
}
