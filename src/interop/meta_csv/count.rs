//! `22 accounts, 8 Pages`: assets that are counted and not named.

use crate::interop::meta_csv::figure::quantity;
use crate::interop::meta_csv::figure::strip_word;
use crate::interop::techniques::one_line;
use crate::model::observable::ObservableKind;
use crate::wire::pb;
use crate::wire::pb::figure::Value;

const COUNTED: &[(&str, ObservableKind)] = &[
    ("accounts", ObservableKind::Account),
    ("account", ObservableKind::Account),
    ("profiles", ObservableKind::Account),
    ("pages", ObservableKind::Page),
    ("page", ObservableKind::Page),
    ("groups", ObservableKind::Group),
    ("group", ObservableKind::Group),
    ("channels", ObservableKind::Channel),
    ("channel", ObservableKind::Channel),
    ("blogs", ObservableKind::Blog),
    ("events", ObservableKind::Event),
    ("posts", ObservableKind::Post),
    ("domains", ObservableKind::Domain),
    ("websites", ObservableKind::Domain),
];

const PLATFORMS: &[(&str, &str)] = &[
    ("facebook", "facebook"),
    ("instagram", "instagram"),
    ("threads", "threads"),
    ("youtube", "youtube"),
    ("x / twitter", "x"),
    ("x/twitter", "x"),
    ("twitter", "x"),
    ("x", "x"),
    ("tiktok", "tiktok"),
    ("telegram", "telegram"),
    ("reddit", "reddit"),
    ("pinterest", "pinterest"),
    ("google+", "google-plus"),
    ("blogger", "blogger"),
];

/// What a cell counts.
pub(super) struct Count {
    /// The platform; empty if there are several or none is named.
    pub(super) platform: String,
    pub(super) aggregate: pb::Aggregate,
    /// What is counted and where, without the numbers: the identity of the aggregate.
    pub(super) identity: String,
}

struct Part {
    of: ObservableKind,
    platform: String,
    figure: pb::Figure,
}

/// Reads a cell that counts and does nothing else. `place` is the platform that the procedure implies.
pub(super) fn count(text: &str, place: &str) -> Option<Count> {
    let line = one_line(text);
    let mut rest = line.as_str();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if parts.len() == crate::model::limits::ITEMS_MAX {
            return None;
        }
        let (found, after) = part(rest, place)?;
        parts.push(found);
        rest = after.trim_start_matches([' ', ',', ';', '.', '&', '+']);
        rest = strip_word(rest, "and").unwrap_or(rest);
    }
    assemble(parts)
}

fn part<'text>(text: &'text str, place: &str) -> Option<(Part, &'text str)> {
    let quantity = quantity(text)?;
    if quantity.currency.is_some() {
        return None;
    }
    let (named, rest) =
        platform(quantity.rest).map_or((None, quantity.rest), |(name, rest)| (Some(name), rest));
    let (of, mut rest) =
        COUNTED.iter().find_map(|(word, kind)| Some((*kind, strip_word(rest, word)?)))?;
    let mut places: Vec<&str> = named.into_iter().collect();
    if let Some(mut after) = strip_word(rest, "on") {
        while let Some((name, next)) = platform(after) {
            places.push(name);
            rest = next;
            after = strip_word(next, "and").unwrap_or_else(|| next.trim_start_matches([',', ' ']));
        }
    }
    let platform = match places.as_slice() {
        [] => place,
        [one] => one,
        _ => "",
    };
    Some((Part { of, platform: platform.to_owned(), figure: quantity.figure }, rest))
}

fn platform(text: &str) -> Option<(&'static str, &str)> {
    PLATFORMS.iter().find_map(|(word, name)| Some((*name, strip_word(text, word)?)))
}

/// The word under which cells name a platform; `None` if none is read.
pub(super) fn word(platform: &str) -> Option<&'static str> {
    PLATFORMS.iter().find(|(_, name)| *name == platform).map(|(word, _)| *word)
}

fn assemble(parts: Vec<Part>) -> Option<Count> {
    let first = parts.first()?;
    let identity: Vec<String> =
        parts.iter().map(|part| format!("{}@{}", part.of.number(), part.platform)).collect();
    let platform = if parts.iter().all(|part| part.platform == first.platform) {
        first.platform.clone()
    } else {
        String::new()
    };
    let (of, whole) = (first.of.number(), sum(&parts)?);
    let parts = if parts.len() == 1 { Vec::new() } else { parts };
    let wire = |part: Part| pb::AggregatePart {
        of: part.of.number(),
        platform: if part.platform == platform { String::new() } else { part.platform },
        count: Some(part.figure),
    };
    let parts = parts.into_iter().map(wire).collect();
    Some(Count {
        identity: identity.join(","),
        aggregate: pb::Aggregate { of, count: Some(whole), parts },
        platform,
    })
}

/// The whole: exact if every part is, at least if one part has no upper bound, else between.
fn sum(parts: &[Part]) -> Option<pb::Figure> {
    let mut low = 0_u64;
    let mut high = Some(0_u64);
    for part in parts {
        let (least, most) = match part.figure.value.as_ref()? {
            Value::Exact(number) => (*number, Some(*number)),
            Value::AtLeast(number) => (*number, None),
            Value::Between(range) => (range.low, Some(range.high)),
        };
        low = low.checked_add(least)?;
        high = high.zip(most).and_then(|(sum, most)| sum.checked_add(most));
    }
    let value = match high {
        Some(high) if high == low => Value::Exact(low),
        Some(high) => Value::Between(pb::FigureRange { low, high }),
        None => Value::AtLeast(low),
    };
    Some(pb::Figure { value: Some(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_count_become_aggregates() {
        let count = count("22 accounts, 8 Pages", "facebook").unwrap();
        assert_eq!(
            (count.platform.as_str(), count.identity.as_str()),
            ("facebook", "1@facebook,2@facebook")
        );
        assert_eq!(count.aggregate.parts.len(), 2);
        assert_eq!(count.aggregate.count, Some(super::super::figure::exact(30)));
    }

    #[test]
    fn several_platforms_are_no_platform() {
        let count = count("About 110 accounts on Facebook and Instagram", "facebook").unwrap();
        assert_eq!((count.platform.as_str(), count.aggregate.parts.len()), ("", 0));
    }

    #[test]
    fn a_sentence_with_a_number_is_no_count() {
        assert!(count("About 100 accounts followed one or more of these Pages", "").is_none());
        assert!(count("20 USD", "").is_none());
    }
}
