//! Whether what a new record says can be true: ends do not lie before beginnings, codes look like codes.
//!
//! This is asked of what is published, never of what is read: what the log took in before a rule was made stays
//! readable, and its signature holds.

use crate::model::observable::ObservableKind;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::wire::header::invalid;
use crate::wire::pb;
use crate::wire::time;

type Moment<'a> = Option<&'a prost_types::Timestamp>;

/// Checks a body that its other rules let pass, for a record that was made at `create_time`.
pub fn sense(body: &pb::Body, create_time: Timestamp) -> Result<(), Refusal> {
    match &body.content {
        Some(pb::body::Content::Indicator(said)) => indicator(said),
        Some(pb::body::Content::Operation(said)) => operation(said),
        Some(pb::body::Content::Sighting(said)) => rising(
            said.first_seen_time.as_ref(),
            said.last_seen_time.as_ref(),
            "body.sighting.last_seen_time",
            "first_seen_time",
        ),
        Some(pb::body::Content::ActionReport(said)) => {
            metrics(&said.metrics, "body.action_report.metrics")
        }
        Some(pb::body::Content::Withdrawal(said)) => withdrawal(said, create_time),
        Some(
            pb::body::Content::Attribution(_)
            | pb::body::Content::Link(_)
            | pb::body::Content::Opinion(_)
            | pb::body::Content::Inquiry(_)
            | pb::body::Content::Reply(_)
            | pb::body::Content::Note(_)
            | pb::body::Content::Acknowledgement(_)
            | pb::body::Content::Takedown(_)
            | pb::body::Content::AudienceChange(_)
            | pb::body::Content::Erasure(_)
            | pb::body::Content::Retention(_)
            | pb::body::Content::Epoch(_)
            | pb::body::Content::Conflict(_)
            | pb::body::Content::LogKeyChange(_)
            | pb::body::Content::RosterChange(_)
            | pb::body::Content::KeyChange(_)
            | pb::body::Content::Genesis(_),
        )
        | None => Ok(()),
    }
}

fn indicator(said: &pb::Indicator) -> Result<(), Refusal> {
    rising(
        said.first_seen_time.as_ref(),
        said.last_seen_time.as_ref(),
        "body.indicator.last_seen_time",
        "first_seen_time",
    )?;
    rising(
        said.valid_from_time.as_ref(),
        said.valid_until_time.as_ref(),
        "body.indicator.valid_until_time",
        "valid_from_time",
    )?;
    metrics(&said.metrics, "body.indicator.metrics")?;
    said.observable.as_ref().map_or(Ok(()), observable)
}

fn observable(said: &pb::Observable) -> Result<(), Refusal> {
    if let Some(advertisement) = &said.advertisement {
        rising(
            advertisement.run_start_time.as_ref(),
            advertisement.run_end_time.as_ref(),
            "body.indicator.observable.advertisement.run_end_time",
            "run_start_time",
        )?;
    }
    // 64 hex digits are a PDQ hash, or a SHA-256 of the file: they are compared in different ways.
    let is_media = said.kind == ObservableKind::MediaHash.number();
    if is_media && !said.value.is_empty() && said.algorithm.is_empty() {
        let rule = "a media hash must say which it is: pdq, vpdq, tmk, md5, sha256, ...";
        return Err(invalid("body.indicator.observable.algorithm", rule));
    }
    Ok(())
}

fn operation(said: &pb::Operation) -> Result<(), Refusal> {
    rising(
        said.first_activity_time.as_ref(),
        said.last_activity_time.as_ref(),
        "body.operation.last_activity_time",
        "first_activity_time",
    )?;
    regions(&said.origin_regions, "body.operation.origin_regions")?;
    regions(&said.target_regions, "body.operation.target_regions")?;
    if let Some(tag) = said.languages.iter().find(|tag| !is_language(tag)) {
        let rule = format!("{} is no BCP 47 tag, as en or pt-BR", shown(tag));
        return Err(invalid("body.operation.languages", &rule));
    }
    metrics(&said.metrics, "body.operation.metrics")
}

/// A deadline that has passed when it is set would have copies erased at once, which is said by setting none.
fn withdrawal(said: &pb::Withdrawal, create_time: Timestamp) -> Result<(), Refusal> {
    let field = "body.withdrawal.acknowledge_by_time";
    let due = said.acknowledge_by_time.as_ref().map(|due| time::timestamp(due, field));
    if due.transpose()?.is_some_and(|due| due < create_time) {
        let rule = "lies before the withdrawal itself; leave it out to have copies deleted at once";
        return Err(invalid(field, rule));
    }
    Ok(())
}

fn metrics(said: &[pb::Metric], field: &'static str) -> Result<(), Refusal> {
    let region = |metric: &pb::Metric| metric.region.clone();
    let said: Vec<String> = said.iter().map(region).filter(|region| !region.is_empty()).collect();
    regions(&said, field)
}

fn regions(said: &[String], field: &'static str) -> Result<(), Refusal> {
    match said.iter().find(|code| !is_region(code)) {
        None => Ok(()),
        Some(code) => {
            let rule = format!("{} is no ISO 3166 code, as GB, GBR or GB-SCT", shown(code));
            Err(invalid(field, &rule))
        }
    }
}

/// The second moment does not lie before the first.
fn rising(
    first: Moment<'_>,
    last: Moment<'_>,
    field: &'static str,
    first_field: &str,
) -> Result<(), Refusal> {
    let place = |moment: &prost_types::Timestamp| (moment.seconds, moment.nanos);
    match first.zip(last) {
        Some((first, last)) if place(last) < place(first) => {
            Err(invalid(field, &format!("must not lie before {first_field}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The form of ISO 3166: two or three letters, and perhaps a subdivision of one to three letters and digits. Which
/// codes are assigned changes; what was right once is not refused.
fn is_region(code: &str) -> bool {
    let (country, part) = code.split_once('-').map_or((code, None), |(c, p)| (c, Some(p)));
    let is_country =
        matches!(country.len(), 2..=3) && country.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_part = |part: &str| {
        matches!(part.len(), 1..=3) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    is_country && part.is_none_or(|part| country.len() == 2 && is_part(part))
}

/// The form of BCP 47 as it is in use: a language of two or three letters, or `x` for a private tag, then subtags of
/// one to eight letters and digits.
fn is_language(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    let is_code =
        matches!(primary.len(), 2..=3) && primary.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_private = primary.eq_ignore_ascii_case("x") && tag.len() > 2;
    let is_subtag = |part: &str| {
        matches!(part.len(), 1..=8) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    (is_code || is_private) && subtags.all(is_subtag)
}

/// What was said in place of a code, short enough for an error.
fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 32;

    format!("{:?}", text.chars().take(CHARACTERS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::model::header::BodyKind;

    fn at(seconds: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos: 0 }
    }

    #[track_caller]
    fn check(content: pb::body::Content, expected: Result<(), &str>) {
        let body = pb::Body { salt: Vec::new(), content: Some(content) };
        let now = Timestamp::from_micros(1_000_000_000).unwrap();
        let found = sense(&body, now).map_err(|refusal| refusal.field);
        assert_eq!(found, expected);
    }

    #[test]
    fn an_end_does_not_lie_before_its_beginning() {
        let indicator = |first, last, from, until| {
            pb::body::Content::Indicator(pb::Indicator {
                first_seen_time: first,
                last_seen_time: last,
                valid_from_time: from,
                valid_until_time: until,
                ..pb::Indicator::default()
            })
        };
        check(indicator(Some(at(1)), Some(at(1)), Some(at(2)), Some(at(3))), Ok(()));
        check(indicator(Some(at(2)), None, None, Some(at(1))), Ok(()));
        check(
            indicator(Some(at(2)), Some(at(1)), None, None),
            Err("body.indicator.last_seen_time"),
        );
        check(
            indicator(None, None, Some(at(2)), Some(at(1))),
            Err("body.indicator.valid_until_time"),
        );
        let ad = |start, end| {
            let run = pb::Advertisement {
                run_start_time: start,
                run_end_time: end,
                ..pb::Advertisement::default()
            };
            let observable =
                Some(pb::Observable { advertisement: Some(run), ..pb::Observable::default() });
            pb::body::Content::Indicator(pb::Indicator { observable, ..pb::Indicator::default() })
        };
        check(ad(Some(at(1)), Some(at(1))), Ok(()));
        check(
            ad(Some(at(2)), Some(at(1))),
            Err("body.indicator.observable.advertisement.run_end_time"),
        );
        let operation = |first, last| {
            pb::body::Content::Operation(pb::Operation {
                first_activity_time: first,
                last_activity_time: last,
                ..pb::Operation::default()
            })
        };
        check(operation(Some(at(1)), Some(at(2))), Ok(()));
        check(operation(Some(at(2)), Some(at(1))), Err("body.operation.last_activity_time"));
        let sighting = |first, last| {
            pb::body::Content::Sighting(pb::Sighting {
                first_seen_time: first,
                last_seen_time: last,
                ..pb::Sighting::default()
            })
        };
        check(sighting(Some(at(2)), Some(at(2))), Ok(()));
        check(sighting(Some(at(2)), Some(at(1))), Err("body.sighting.last_seen_time"));
    }

    #[test]
    fn what_was_taken_in_before_a_rule_was_made_is_still_read() {
        let observable = pb::Observable {
            kind: pb::ObservableKind::Domain.into(),
            value: "one.example".to_owned(),
            ..pb::Observable::default()
        };
        let said = pb::Indicator {
            observable: Some(observable),
            first_seen_time: Some(at(2)),
            last_seen_time: Some(at(1)),
            ..pb::Indicator::default()
        };
        let content = Some(pb::body::Content::Indicator(said));
        let bytes = pb::Body { salt: vec![7; 32], content }.encode_to_vec();
        let (_content, body) = crate::wire::body::content(&bytes, BodyKind::Indicator).unwrap();
        let refusal = sense(&body, Timestamp::default()).unwrap_err();
        assert_eq!(refusal.field, "body.indicator.last_seen_time");
    }

    #[test]
    fn a_deadline_does_not_lie_before_the_withdrawal() {
        let withdrawal = |due| {
            pb::body::Content::Withdrawal(pb::Withdrawal {
                demand_deletion: true,
                acknowledge_by_time: due,
                ..pb::Withdrawal::default()
            })
        };
        check(withdrawal(None), Ok(()));
        check(withdrawal(Some(at(1000))), Ok(()));
        check(withdrawal(Some(at(999))), Err("body.withdrawal.acknowledge_by_time"));
    }

    #[test]
    fn codes_look_like_codes() {
        let operation = |targets: &[&str], languages: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            pb::body::Content::Operation(pb::Operation {
                target_regions: texts(targets),
                languages: texts(languages),
                ..pb::Operation::default()
            })
        };
        check(operation(&["GB", "us", "DEU", "GB-SCT", "FR-75", "XX"], &[]), Ok(()));
        for bad in ["", "G", "Britain", "GB-", "GB-SCOT", "GBR-SCT", "G1", "en_US", "ÄÖ", "GB-S-T"]
        {
            check(operation(&["GB", bad], &[]), Err("body.operation.target_regions"));
        }
        let tags = ["en", "pt-BR", "zh-Hant-TW", "frr", "de-1996", "x-klingon", "und", "sl-rozaj"];
        check(operation(&[], &tags), Ok(()));
        for bad in
            ["", "e", "english", "en_GB", "en-", "-en", "x", "x-", "en-toolongsubtag", "日本"]
        {
            check(operation(&[], &["en", bad]), Err("body.operation.languages"));
        }
        let metric = pb::Metric { region: "Britain".to_owned(), ..pb::Metric::default() };
        let said = pb::ActionReport { metrics: vec![metric], ..pb::ActionReport::default() };
        check(pb::body::Content::ActionReport(said), Err("body.action_report.metrics"));
    }

    #[test]
    fn a_media_hash_says_which_it_is() {
        let hash = |kind: pb::ObservableKind, algorithm: &str| {
            let observable = Some(pb::Observable {
                kind: kind.into(),
                value: "ab".repeat(32),
                algorithm: algorithm.to_owned(),
                ..pb::Observable::default()
            });
            pb::body::Content::Indicator(pb::Indicator { observable, ..pb::Indicator::default() })
        };
        check(hash(pb::ObservableKind::MediaHash, "pdq"), Ok(()));
        check(hash(pb::ObservableKind::FileHash, ""), Ok(()));
        let refused = Err("body.indicator.observable.algorithm");
        check(hash(pb::ObservableKind::MediaHash, ""), refused);
    }
}
