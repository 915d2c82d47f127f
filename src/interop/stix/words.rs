//! Numbers and enums as people read them, for notes and descriptions.

use crate::model::observable::ObservableKind;
use crate::wire::pb;

/// `22`, `at least 22`, `22 to 30`.
pub(super) fn figure(figure: Option<&pb::Figure>) -> String {
    use pb::figure::Value;
    match figure.and_then(|figure| figure.value.as_ref()) {
        None => "an unknown number of".to_owned(),
        Some(Value::Exact(number)) => number.to_string(),
        Some(Value::AtLeast(number)) => format!("at least {number}"),
        Some(Value::Between(pb::FigureRange { low, high })) => format!("{low} to {high}"),
    }
}

/// `accounts`; `assets` for what this version does not know.
fn kinds(number: i32) -> String {
    match ObservableKind::from_number(number) {
        None | Some(ObservableKind::Aggregate) => "assets".to_owned(),
        Some(ObservableKind::Petition) => "petitions".to_owned(),
        Some(ObservableKind::FileHash | ObservableKind::MediaHash | ObservableKind::TextHash) => {
            "hashes".to_owned()
        }
        Some(ObservableKind::EmailAddress) => "e-mail addresses".to_owned(),
        Some(ObservableKind::IpAddress) => "IP addresses".to_owned(),
        Some(kind) => format!("{}s", kind.as_str().replace('-', " ")),
    }
}

/// ` on facebook`, or nothing.
pub(super) fn on(platform: &str) -> String {
    if platform.is_empty() { String::new() } else { format!(" on {platform}") }
}

/// `22 accounts on facebook: 10 pages on x`.
pub(super) fn aggregate(aggregate: &pb::Aggregate, platform: &str) -> String {
    let pb::Aggregate { of, count, parts } = aggregate;
    let whole = format!("{} {}{}", figure(count.as_ref()), kinds(*of), on(platform));
    let parts: Vec<String> = parts.iter().map(part).collect();
    if parts.is_empty() { whole } else { format!("{whole}: {}", parts.join(", ")) }
}

/// `10 pages on x`
pub(super) fn part(part: &pb::AggregatePart) -> String {
    let pb::AggregatePart { of, platform, count } = part;
    format!("{} {}{}", figure(count.as_ref()), kinds(*of), on(platform))
}

/// What an indicator is about, in a line.
pub(super) fn asset(observable: &pb::Observable) -> String {
    let pb::Observable { kind, platform, value, platform_id, display_name, .. } = observable;
    if let Some(aggregate) = &observable.aggregate {
        return self::aggregate(aggregate, platform);
    }
    let name = [value, platform_id, display_name].into_iter().find(|name| !name.is_empty());
    let kind = ObservableKind::from_number(*kind).map_or("asset", ObservableKind::as_str);
    let kind = kind.replace('-', " ");
    match name {
        None => format!("{kind}{}", on(platform)),
        Some(name) => format!("{kind} {name}{}", on(platform)),
    }
}

/// The last words of an enum's name, in lower case: `ACTION_NO_ACTION` as `no action`; empty for what is not stated.
pub(super) fn of_enum(name: Option<&str>, prefix: &str) -> String {
    let word = name.and_then(|name| name.strip_prefix(prefix)).unwrap_or_default();
    if word == "UNSPECIFIED" { String::new() } else { word.to_ascii_lowercase().replace('_', " ") }
}

/// Parts of a text that are not empty, each a line.
pub(super) fn lines(parts: &[String]) -> String {
    let parts: Vec<&str> =
        parts.iter().map(String::as_str).filter(|part| !part.trim().is_empty()).collect();
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pb::figure::Value;

    #[expect(clippy::unnecessary_wraps, reason = "the form of the field")]
    fn some(value: Value) -> Option<pb::Figure> {
        Some(pb::Figure { value: Some(value) })
    }

    #[test]
    fn an_aggregate_reads_like_the_sentence_that_it_was() {
        let aggregate = pb::Aggregate {
            of: pb::ObservableKind::Account.into(),
            count: some(Value::Exact(58)),
            parts: vec![
                pb::AggregatePart {
                    of: pb::ObservableKind::Channel.into(),
                    platform: "youtube".to_owned(),
                    count: some(Value::AtLeast(39)),
                },
                pb::AggregatePart {
                    of: pb::ObservableKind::Blog.into(),
                    platform: String::new(),
                    count: some(Value::Between(pb::FigureRange { low: 6, high: 9 })),
                },
            ],
        };
        assert_eq!(
            super::aggregate(&aggregate, "google"),
            "58 accounts on google: at least 39 channels on youtube, 6 to 9 blogs"
        );
        let name = Some(pb::Action::NoAction.as_str_name());
        assert_eq!(of_enum(name, "ACTION_"), "no action");
        assert_eq!(of_enum(Some("ACTION_UNSPECIFIED"), "ACTION_"), "");
    }
}
