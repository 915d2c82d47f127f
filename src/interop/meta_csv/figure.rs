//! Figures in words: followers, members, ad spend, and how sure a number is.
//!
//! `About 110` is no exact figure: it is read as the interval that rounds to it.

use crate::interop::techniques::bounded;
use crate::interop::techniques::one_line;
use crate::model::limits;
use crate::wire::pb;
use crate::wire::pb::figure::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sureness {
    Exact,
    About,
    AtLeast,
    Below,
}

/// A number that was read off the front of a text.
pub(super) struct Quantity<'text> {
    pub(super) figure: pb::Figure,
    /// The code of the currency, if it is money.
    pub(super) currency: Option<&'static str>,
    pub(super) rest: &'text str,
}

/// Reads `About $1.9 million ...`, `4,789 ...`, `No ...`.
pub(super) fn quantity(text: &str) -> Option<Quantity<'_>> {
    let (sureness, text) = qualifier(text.trim());
    if let Some(rest) = strip_word(text, "no") {
        return Some(Quantity { figure: exact(0), currency: None, rest });
    }
    let (mut currency, text) = symbol(text);
    let end = text
        .find(|digit: char| !digit.is_ascii_digit() && digit != ',' && digit != '.')
        .unwrap_or(text.len());
    let digits = text.get(..end)?.trim_end_matches(['.', ',']);
    let mut rest = text.get(digits.len()..)?.trim_start();
    let mut scale = 1_u64;
    for (word, factor) in [("thousand", 1_000), ("million", 1_000_000), ("billion", 1_000_000_000)]
    {
        if let Some(after) = strip_word(rest, word) {
            (scale, rest) = (factor, after);
        }
    }
    for (word, code) in
        [("usd", "USD"), ("eur", "EUR"), ("gbp", "GBP"), ("dollars", "USD"), ("euros", "EUR")]
    {
        if currency.is_none()
            && let Some(after) = strip_word(rest, word)
        {
            (currency, rest) = (Some(code), after);
        }
    }
    let hundredths = if currency.is_some() { 100 } else { 1 };
    let (number, unit) = scaled(digits, scale.checked_mul(hundredths)?)?;
    Some(Quantity { figure: figure(sureness, number, unit), currency, rest })
}

fn qualifier(text: &str) -> (Sureness, &str) {
    const WORDS: [(&str, Sureness); 12] = [
        ("about", Sureness::About),
        ("around", Sureness::About),
        ("approximately", Sureness::About),
        ("nearly", Sureness::About),
        ("almost", Sureness::About),
        ("roughly", Sureness::About),
        ("more than", Sureness::AtLeast),
        ("over", Sureness::AtLeast),
        ("at least", Sureness::AtLeast),
        ("less than", Sureness::Below),
        ("fewer than", Sureness::Below),
        ("under", Sureness::Below),
    ];
    WORDS
        .iter()
        .find_map(|(word, sureness)| Some((*sureness, strip_word(text, word)?)))
        .unwrap_or((Sureness::Exact, text))
}

/// The rest after a word in any case, if the text begins with it.
pub(super) fn strip_word<'text>(text: &'text str, word: &str) -> Option<&'text str> {
    let (start, rest) = (text.get(..word.len())?, text.get(word.len()..)?);
    let ends = !rest.starts_with(char::is_alphanumeric);
    (ends && start.eq_ignore_ascii_case(word)).then(|| rest.trim_start())
}

fn symbol(text: &str) -> (Option<&'static str>, &str) {
    [("$", "USD"), ("€", "EUR"), ("£", "GBP")]
        .into_iter()
        .find_map(|(sign, code)| Some((Some(code), text.strip_prefix(sign)?.trim_start())))
        .unwrap_or((None, text))
}

/// The number times the scale, and the worth of its last significant digit.
fn scaled(digits: &str, scale: u64) -> Option<(u64, u64)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let grouped = whole.split(',').skip(1).all(|group| group.len() == 3);
    if whole.is_empty() || !grouped || fraction.contains(['.', ',']) {
        return None;
    }
    let mut divisor = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let mut number: u64 = format!("{}{fraction}", whole.replace(',', "")).parse().ok()?;
    while divisor > 1 && number.is_multiple_of(10) {
        (number, divisor) = (number / 10, divisor / 10);
    }
    if !scale.is_multiple_of(divisor) {
        return None;
    }
    let step = scale / divisor;
    let mut unit = step;
    let mut left = number;
    while left > 0 && left.is_multiple_of(10) {
        (left, unit) = (left / 10, unit.checked_mul(10)?);
    }
    Some((number.checked_mul(step)?, unit))
}

fn figure(sureness: Sureness, number: u64, unit: u64) -> pb::Figure {
    let value = match sureness {
        Sureness::Exact => Value::Exact(number),
        Sureness::AtLeast => Value::AtLeast(number),
        Sureness::Below => {
            Value::Between(pb::FigureRange { low: 0, high: number.saturating_sub(1) })
        }
        Sureness::About => Value::Between(pb::FigureRange {
            low: number.saturating_sub(unit / 2),
            high: number.saturating_add(unit / 2),
        }),
    };
    pb::Figure { value: Some(value) }
}

pub(super) fn exact(number: u64) -> pb::Figure {
    pb::Figure { value: Some(Value::Exact(number)) }
}

/// The metric that a sentence states.
pub(super) fn metric(text: &str) -> Option<pb::Metric> {
    let line = one_line(text);
    let quantity = quantity(&line)?;
    let rest = quantity.rest.to_lowercase();
    let says = |word: &str| rest.contains(word);
    let kind = if quantity.currency.is_some() {
        (says("spend") || says("spent") || says("ads")).then_some(pb::MetricKind::AdSpend)?
    } else if says("follow") {
        pb::MetricKind::Followers
    } else if says("joined") || says("members") {
        pb::MetricKind::Members
    } else if rest.starts_with("views") {
        pb::MetricKind::Views
    } else if rest.starts_with("impressions") {
        pb::MetricKind::Impressions
    } else if rest.starts_with("ads") {
        pb::MetricKind::AdCount
    } else if rest.starts_with("posts") {
        pb::MetricKind::Posts
    } else {
        return None;
    };
    let platform = match (says("facebook") || says("pages") || says("group"), says("instagram")) {
        (true, false) => "facebook",
        (false, true) => "instagram",
        _ => "",
    };
    Some(pb::Metric {
        kind: kind.into(),
        figure: Some(quantity.figure),
        currency: quantity.currency.unwrap_or_default().to_owned(),
        platform: platform.to_owned(),
        note: bounded(&line, limits::TEXT_BYTES_MAX),
        ..pb::Metric::default()
    })
}

/// `Around $xx in spending`: somebody forgot to fill in the figure.
pub(super) fn is_template(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["$x", "€x", "£x", "$[", "$__"].iter().any(|mark| lower.contains(mark))
        || lower.split_whitespace().any(|word| matches!(word, "xx" | "xxx"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_say_how_sure_they_are() {
        let between = |low, high| Some(Value::Between(pb::FigureRange { low, high }));
        for (text, expected) in [
            ("4,789 accounts", Some(Value::Exact(4789))),
            ("About 110 accounts", between(105, 115)),
            ("About 1.9 million accounts", between(1_850_000, 1_950_000)),
            ("less than 100 accounts", between(0, 99)),
            ("More than 3,000 ads", Some(Value::AtLeast(3000))),
            ("No accounts", Some(Value::Exact(0))),
            ("About 20 USD in spending", between(1500, 2500)),
            ("About $73,600 in spending", between(7_355_000, 7_365_000)),
        ] {
            assert_eq!(
                quantity(text).and_then(|quantity| quantity.figure.value),
                expected,
                "{text}"
            );
        }
        for text in
            ["$xx in spending", "4,78 accounts", "99999999999999999999 accounts", "Sharing", ""]
        {
            assert!(quantity(text).is_none(), "{text}");
        }
    }
}
