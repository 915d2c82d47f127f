//! What members claim of an operation: who is behind it, how much of what, what it reached, how it works. Competing
//! claims are rows of their own.

use std::collections::BTreeMap;

use watchfire::client::MetricClaim;
use watchfire::client::OperationView;
use watchfire::client::TechniqueUse;
use watchfire::client::TotalClaim;
use watchfire::client::VerifiedEntry;
use watchfire::client::Voucher;
use watchfire::model::names::MemberId;
use watchfire::wire::pb;

use crate::operation_text::by;
use crate::operation_text::confidence;
use crate::operation_text::name;
use crate::operation_text::part;
use crate::operation_text::span;
use crate::operation_text::texts;
use crate::operation_text::time;
use crate::table;
use crate::table::doubts;
use crate::table::harmless_text;
use crate::table::word;

/// Adds the parts with claims.
pub(crate) fn add(view: &OperationView, out: &mut String) {
    attributions(view, out);
    let rows = view.assets.iter().map(|count| {
        [
            count.publisher.to_string(),
            harmless_text(&count.platform),
            count.kind.to_string(),
            number(count.count),
            number(count.expired),
        ]
    });
    let titles = ["PUBLISHER", "PLATFORM", "KIND", "COUNT*", "EXPIRED*"];
    part("Indicators that name it", titles, rows.collect(), out);
    let rows = view.totals.iter().map(total).collect();
    let titles = ["SAYS", "PLATFORM", "TOTAL", "PARTS", "SEEN", "CONFIDENCE", "TEXT", "RECORD"];
    part("Totals, as each claims them", titles, rows, out);
    let rows = view.metrics.iter().map(metric).collect();
    let titles = ["SAYS", "PUBLISHED BY", "WHAT", "FIGURE", "IN", "ON", "AS OF", "NOTE", "RECORD"];
    part("Figures, as each claims them", titles, rows, out);
    techniques(view, out);
}

fn attributions(view: &OperationView, out: &mut String) {
    let row = |entry: &VerifiedEntry| {
        let Some(pb::body::Content::Attribution(said)) = &entry.body().content else {
            return None;
        };
        Some([
            claimant(&said.claimant, &entry.name().member),
            harmless_text(&said.actor),
            specified(&word(said.actor_type().as_str_name(), "ACTOR_TYPE_")),
            confidence(said.confidence),
            specified(&word(said.basis().as_str_name(), "ATTRIBUTION_BASIS_")),
            by(entry),
            harmless_text(&said.rationale),
            texts(&said.references),
            name(entry),
        ])
    };
    let rows = view.attributions.iter().filter_map(row).collect();
    let titles = [
        "SAYS",
        "ACTOR",
        "TYPE",
        "CONFIDENCE",
        "BASIS",
        "PUBLISHED BY",
        "REASONING",
        "READ MORE",
        "RECORD",
    ];
    part("Who is behind it, as each claims", titles, rows, out);
}

fn total(claim: &TotalClaim) -> [String; 8] {
    let pb::Aggregate { of, count, parts } = &claim.aggregate;
    let said = match claim.entry.as_ref().and_then(|entry| entry.body().content.as_ref()) {
        Some(pb::body::Content::Indicator(said)) => said.clone(),
        _ => pb::Indicator::default(),
    };
    [
        marked(&claim.publisher, claim.voucher()) + claim.entry.as_ref().map_or("", doubts),
        harmless_text(&claim.platform),
        self::count(count.as_ref(), *of),
        counts(parts),
        span(said.first_seen_time.as_ref(), said.last_seen_time.as_ref()),
        confidence(said.confidence),
        harmless_text(&said.description),
        claim.record.to_string(),
    ]
}

fn metric(claim: &MetricClaim) -> [String; 9] {
    let pb::Metric {
        kind: _named_below,
        figure: value,
        currency,
        region,
        platform,
        as_of_time,
        claimant: says,
        note,
    } = &claim.metric;
    let value = if claim.metric.kind() == pb::MetricKind::AdSpend {
        format!("{} {}", figure(value.as_ref(), money), harmless_text(currency))
    } else {
        figure(value.as_ref(), number)
    };
    [
        claimant(says, &claim.publisher),
        marked(&claim.publisher, claim.voucher),
        word(claim.metric.kind().as_str_name(), "METRIC_KIND_"),
        value,
        harmless_text(region),
        harmless_text(platform),
        time(as_of_time.as_ref()),
        harmless_text(note),
        claim.record.to_string(),
    ]
}

/// By framework, then phase by phase in the order of the framework's own codes.
fn techniques(view: &OperationView, out: &mut String) {
    let mut uses: Vec<&TechniqueUse> = view.techniques.iter().collect();
    uses.sort_by_cached_key(|one| {
        (one.technique.framework.clone(), in_order(&one.technique.external_id))
    });
    let mut phases: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (at, one) in uses.iter().enumerate() {
        phases.entry(phase_of(one)).or_insert(at);
    }
    uses.sort_by_key(|one| phases.get(&phase_of(one)).copied());
    let rows = uses.into_iter().map(|one| {
        let technique = &one.technique;
        let publishers: Vec<&str> = one.publishers.iter().map(MemberId::as_str).collect();
        [
            harmless_text(&technique.phase),
            harmless_text(&format!("{}/{}", technique.framework, technique.external_id)),
            harmless_text(&technique.name),
            publishers.join(", "),
            number(one.records),
            harmless_text(&technique.observed),
        ]
    });
    let titles = ["PHASE", "TECHNIQUE", "NAME", "SEEN BY*", "RECORDS*", "OBSERVED"];
    part("Techniques, phase by phase", titles, rows.collect(), out);
}

fn phase_of(one: &TechniqueUse) -> (String, String) {
    (one.technique.framework.clone(), one.technique.phase.clone())
}

/// `0.9.4` before `0.10.1`: runs of digits count as numbers.
fn in_order(code: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = Vec::new();
    let mut digits = String::new();
    for character in code.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        if !digits.is_empty() {
            parts.push((digits.parse().unwrap_or(u64::MAX), String::new()));
            digits.clear();
        }
        parts.push((0, character.to_string()));
    }
    if !digits.is_empty() {
        parts.push((digits.parse().unwrap_or(u64::MAX), String::new()));
    }
    parts
}

/// Who says so: whoever is named, else the publisher.
fn claimant(named: &str, publisher: &MemberId) -> String {
    if named.is_empty() { publisher.to_string() } else { harmless_text(named) }
}

fn marked(publisher: &MemberId, voucher: Voucher) -> String {
    let mark = if voucher == Voucher::Publisher { "" } else { "*" };
    format!("{publisher}{mark}")
}

/// `39 channel on youtube, 13 account on google-plus`.
pub(crate) fn counts(parts: &[pb::AggregatePart]) -> String {
    let part = |part: &pb::AggregatePart| {
        let count = count(part.count.as_ref(), part.of);
        if part.platform.is_empty() {
            count
        } else {
            format!("{count} on {}", harmless_text(&part.platform))
        }
    };
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// `at least 3,000 ad`.
pub(crate) fn count(figure: Option<&pb::Figure>, of: i32) -> String {
    format!("{} {}", self::figure(figure, number), table::kind_name(of))
}

fn figure(figure: Option<&pb::Figure>, number: fn(u64) -> String) -> String {
    match figure.and_then(|figure| figure.value.as_ref()) {
        Some(pb::figure::Value::Exact(exact)) => number(*exact),
        Some(pb::figure::Value::AtLeast(least)) => format!("at least {}", number(*least)),
        Some(pb::figure::Value::Between(range)) => {
            format!("{} to {}", number(range.low), number(range.high))
        }
        None => "?".to_owned(),
    }
}

/// `126,000,000`.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Hundredths of a unit: `1,200.50`.
fn money(hundredths: u64) -> String {
    format!("{}.{:02}", number(hundredths / 100), hundredths % 100)
}

/// A word of an enum; empty if nothing was said.
pub(crate) fn specified(word: &str) -> String {
    if word == "unspecified" { String::new() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (value, expected) in
            [(0, "0"), (652, "652"), (3000, "3,000"), (126_000_000, "126,000,000")]
        {
            assert_eq!(number(value), expected);
        }
        assert_eq!(money(120_050), "1,200.50");
    }

    #[test]
    fn codes_are_in_the_order_of_their_numbers() {
        let mut codes = vec!["0.10.1", "T0013", "0.9.4", "0.9", "T0002"];
        codes.sort_by_key(|code| in_order(code));
        assert_eq!(codes, ["0.9", "0.9.4", "0.10.1", "T0002", "T0013"]);
    }

    #[test]
    fn counts_say_how_sure_they_are_and_where() {
        let count = |value| Some(pb::Figure { value: Some(value) });
        let parts = [
            pb::AggregatePart {
                of: 4,
                platform: "youtube".to_owned(),
                count: count(pb::figure::Value::Exact(39)),
            },
            pb::AggregatePart {
                of: 1,
                platform: String::new(),
                count: count(pb::figure::Value::AtLeast(13)),
            },
        ];
        assert_eq!(counts(&parts), "39 channel on youtube, at least 13 account");
    }
}
