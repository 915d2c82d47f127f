//! Numbers as people write them: how many of what, and how sure; sums of money; metrics.
//!
//! `22`, `at-least 10` (or `10+`), `10-20`; `22 account on facebook` or `facebook:account:22`.

use watchfire::model::observable::ObservableKind;
use watchfire::model::observable::UnknownKind;
use watchfire::model::platform::Platform;
use watchfire::wire::pb;

use crate::moments;

/// In what a number is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Whole,
    /// Money: hundredths of the currency's unit.
    Hundredths,
}

/// A sum, with its currency if one was said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Money {
    /// In hundredths of the currency's unit.
    pub(crate) figure: pb::Figure,
    /// ISO 4217; empty if none was said.
    pub(crate) currency: String,
}

/// A number that is exact, at least, or between two.
pub(crate) fn figure(text: &str) -> Result<pb::Figure, String> {
    figure_in(text, Unit::Whole)
}

/// How many times.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_no_number| "must be a whole number: 0, 1, 22".to_owned())
}

/// `1200.50 USD`, `at-least 1200 USD`.
pub(crate) fn money(text: &str) -> Result<Money, String> {
    let mut words = Words::of(text);
    let figure = words.figure(Unit::Hundredths)?;
    let currency = words.next().unwrap_or_default();
    words.end()?;
    Ok(Money { figure, currency })
}

/// `22 account on facebook`, or `facebook:account:22`.
pub(crate) fn part(text: &str) -> Result<pb::AggregatePart, String> {
    if let [platform, kind, number] = text.split(':').collect::<Vec<_>>().as_slice() {
        return Ok(pb::AggregatePart {
            of: self::kind(kind)?.number(),
            platform: self::platform(platform)?,
            count: Some(figure(number)?),
        });
    }
    let mut words = Words::of(text);
    let count = Some(words.figure(Unit::Whole)?);
    let of = words.next().ok_or("must say of what: 22 account on facebook")?;
    let of = kind(&of)?.number();
    let platform = match words.next().as_deref() {
        None => String::new(),
        Some("on") => platform(&words.next().ok_or("on what?")?)?,
        Some(word) => return Err(format!("{word} is not understood: 22 account on facebook")),
    };
    words.end()?;
    Ok(pb::AggregatePart { of, platform, count })
}

/// `views 13466 in US on youtube`, `ad-spend 1200.50 USD as-of 2018-08-21 by 'the press'`.
pub(crate) fn metric(text: &str) -> Result<pb::Metric, String> {
    let mut words = Words::of(text);
    let name = words.next().unwrap_or_default();
    let kind = (1..)
        .map_while(|number| pb::MetricKind::try_from(number).ok())
        .find(|kind| crate::table::word(kind.as_str_name(), "METRIC_KIND_") == name)
        .ok_or_else(|| {
            format!(
                "{name} is no metric: views, followers, members, accounts-reached, impressions, engagements, \
                 ad-spend, ad-count, posts"
            )
        })?;
    let is_money = kind == pb::MetricKind::AdSpend;
    let unit = if is_money { Unit::Hundredths } else { Unit::Whole };
    let mut metric = pb::Metric {
        kind: kind.into(),
        figure: Some(words.figure(unit)?),
        ..pb::Metric::default()
    };
    if is_money {
        metric.currency = words.next().unwrap_or_default();
    }
    while let Some(word) = words.next() {
        let next = |words: &mut Words| words.next().ok_or(format!("{word} what?"));
        match word.as_str() {
            "in" => metric.region = next(&mut words)?,
            "on" => metric.platform = platform(&next(&mut words)?)?,
            "as-of" => {
                metric.as_of_time = moments::to_wire(Some(moments::moment(&next(&mut words)?)?));
            }
            "by" => metric.claimant = words.rest(),
            _ => return Err(format!("{word} is not understood: in, on, as-of or by")),
        }
    }
    Ok(metric)
}

/// A kind in the singular or plural.
fn kind(text: &str) -> Result<ObservableKind, String> {
    let one = [Some(text), text.strip_suffix('s'), text.strip_suffix("es")];
    let found = one.into_iter().flatten().find_map(|name| name.parse().ok());
    found.ok_or_else(|| format!("{text}: {UnknownKind}"))
}

fn platform(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let platform: Platform = text.parse().map_err(|error| format!("{text}: {error}"))?;
    Ok(platform.to_string())
}

fn figure_in(text: &str, unit: Unit) -> Result<pb::Figure, String> {
    let value = if let Some(low) = text.strip_prefix("at-least-").or(text.strip_suffix('+')) {
        pb::figure::Value::AtLeast(number(low, unit)?)
    } else if let Some((low, high)) = text.split_once('-') {
        let (low, high) = (number(low, unit)?, number(high, unit)?);
        pb::figure::Value::Between(pb::FigureRange { low, high })
    } else {
        pb::figure::Value::Exact(number(text, unit)?)
    };
    Ok(pb::Figure { value: Some(value) })
}

fn number(text: &str, unit: Unit) -> Result<u64, String> {
    let rule = || match unit {
        Unit::Whole => format!("{text} is no number: 22, at-least 10, or 10-20"),
        Unit::Hundredths => format!("{text} is no sum: 1200, 1200.50, at-least 1000, or 1000-2000"),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = match unit {
        Unit::Whole => (text, ""),
        Unit::Hundredths => text.split_once('.').unwrap_or((text, "")),
    };
    let bare_point = unit == Unit::Hundredths && text.ends_with('.');
    if !digits(whole) || !digits(part) || part.len() > 2 || bare_point {
        return Err(rule());
    }
    let whole: u64 = whole.parse().map_err(|_not_one| rule())?;
    if unit == Unit::Whole {
        return Ok(whole);
    }
    let part: u64 = format!("{part:0<2}").parse().map_err(|_not_one| rule())?;
    whole.checked_mul(100).and_then(|sum| sum.checked_add(part)).ok_or_else(rule)
}

/// A text, word by word.
struct Words {
    words: std::collections::VecDeque<String>,
}

impl Words {
    fn of(text: &str) -> Self {
        Self { words: text.split_whitespace().map(str::to_owned).collect() }
    }

    fn next(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    fn figure(&mut self, unit: Unit) -> Result<pb::Figure, String> {
        let first = self.next().ok_or("must begin with a number")?;
        if first == "at-least" {
            let low = self.next().ok_or("at least how many?")?;
            return figure_in(&format!("at-least-{low}"), unit);
        }
        figure_in(&first, unit)
    }

    fn rest(&mut self) -> String {
        self.words.drain(..).collect::<Vec<_>>().join(" ")
    }

    fn end(&mut self) -> Result<(), String> {
        self.next().map_or(Ok(()), |word| Err(format!("{word} is not understood")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn exact(number: u64) -> pb::Figure {
        pb::Figure { value: Some(pb::figure::Value::Exact(number)) }
    }

    const fn at_least(number: u64) -> pb::Figure {
        pb::Figure { value: Some(pb::figure::Value::AtLeast(number)) }
    }

    const fn between(low: u64, high: u64) -> pb::Figure {
        pb::Figure { value: Some(pb::figure::Value::Between(pb::FigureRange { low, high })) }
    }

    #[test]
    fn a_number_says_how_sure_it_is() {
        assert_eq!(figure("22"), Ok(exact(22)));
        assert_eq!(figure("10+"), Ok(at_least(10)));
        assert_eq!(figure("at-least-10"), Ok(at_least(10)));
        assert_eq!(figure("10-20"), Ok(between(10, 20)));
        assert_eq!(figure("18446744073709551615"), Ok(exact(u64::MAX)));
        for bad in ["", "-", "10-", "-10", "ten", "1.5", "18446744073709551616", "1-2-3", "+1"] {
            assert!(figure(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_counted_is_a_whole_number() {
        assert_eq!((count("0"), count("22")), (Ok(0), Ok(22)));
        for bad in ["many", "", "-1", "1.5", "10+"] {
            assert!(count(bad).unwrap_err().contains("whole number"), "{bad}");
        }
        assert!(part("39 things on x").unwrap_err().contains("payment-handle"));
    }

    #[track_caller]
    fn check_part(text: &str, of: ObservableKind, platform: &str, count: pb::Figure) {
        let expected = pb::AggregatePart {
            of: of.number(),
            platform: platform.to_owned(),
            count: Some(count),
        };
        assert_eq!(part(text), Ok(expected), "{text}");
    }

    #[test]
    fn so_many_of_what_and_where() {
        check_part("22 account on facebook", ObservableKind::Account, "facebook", exact(22));
        check_part("22 accounts on Facebook", ObservableKind::Account, "facebook", exact(22));
        check_part("facebook:account:22", ObservableKind::Account, "facebook", exact(22));
        check_part(":page:10+", ObservableKind::Page, "", at_least(10));
        check_part("at-least 10 ad-accounts", ObservableKind::AdAccount, "", at_least(10));
        check_part("10-20 email-addresses", ObservableKind::EmailAddress, "", between(10, 20));
        check_part("3 groups on twitter", ObservableKind::Group, "x", exact(3));
        for bad in ["", "22", "account 22", "22 cats", "22 account at x", "x:account", "22 page on"]
        {
            assert!(part(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sum_is_in_hundredths() {
        let of = |figure, currency: &str| Ok(Money { figure, currency: currency.to_owned() });
        assert_eq!(money("1200.50 USD"), of(exact(120_050), "USD"));
        assert_eq!(money("1200.5 USD"), of(exact(120_050), "USD"));
        assert_eq!(money("at-least 1200 EUR"), of(at_least(120_000), "EUR"));
        assert_eq!(money("15-25 USD"), of(between(1500, 2500), "USD"));
        assert_eq!(money("1200"), of(exact(120_000), ""));
        for bad in ["", "USD 12", "1.234 USD", "1. USD", "12 USD more", "184467440737095516.16 USD"]
        {
            assert!(money(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_metric_says_of_what_where_and_who_says_so() {
        let read = metric("views 13466 in US on youtube as-of 2018-08-23 by the platform").unwrap();
        assert_eq!(read.kind(), pb::MetricKind::Views);
        assert_eq!(read.figure, Some(exact(13_466)));
        assert_eq!((read.region.as_str(), read.platform.as_str()), ("US", "youtube"));
        assert_eq!(read.claimant, "the platform");
        assert!(read.as_of_time.is_some() && read.currency.is_empty());
        let spend = metric("ad-spend at-least 100 USD").unwrap();
        assert_eq!((spend.figure, spend.currency.as_str()), (Some(at_least(10_000)), "USD"));
        for bad in ["", "views", "likes 3", "views many", "views 3 USD", "views 3 in"] {
            assert!(metric(bad).is_err(), "{bad}");
        }
    }
}
