//! The query of a request: parsed into what cannot be wrong, or refused with the parameter named.

use std::collections::BTreeMap;

use crate::exchange::ObjectsQuery;
use crate::exchange::Version;
use crate::model::limits;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;

/// What a request asks for. Parameters that are not the standard's are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) objects: ObjectsQuery,
    /// At most so many objects.
    pub(super) limit: usize,
    /// Where the page begins; empty for the first.
    pub(super) next: String,
}

/// Which parameters an endpoint has, besides those of every list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matches {
    /// By id, type, version and version of STIX.
    Everything,
    /// By version and version of STIX: of one object.
    OneObject,
    /// By version of STIX: every version of one object.
    Versions,
}

impl Matches {
    const fn by_id_and_type(self) -> bool {
        matches!(self, Self::Everything)
    }

    const fn by_version(self) -> bool {
        matches!(self, Self::Everything | Self::OneObject)
    }
}

/// Parses a query.
pub(super) fn parse(query: &str, matches: Matches) -> Result<Parsed, Refusal> {
    let given = parameters(query)?;
    let get = |name: &str| given.get(name).map(String::as_str);
    let list = |name: &'static str, taken: bool| match get(name).filter(|_text| taken) {
        Some(text) => values(text, name),
        None => Ok(Vec::new()),
    };
    let versions = list("match[version]", matches.by_version())?;
    let mut versions =
        versions.iter().map(|text| version(text)).collect::<Result<Vec<Version>, Refusal>>()?;
    versions.sort_unstable();
    Ok(Parsed {
        objects: ObjectsQuery {
            added_after: get("added_after").map(|text| time(text, "added_after")).transpose()?,
            ids: list("match[id]", matches.by_id_and_type())?,
            types: list("match[type]", matches.by_id_and_type())?,
            versions,
            spec_versions: list("match[spec_version]", true)?,
        },
        limit: get("limit").map_or(Ok(limits::PAGE_ENTRIES_MAX), limit)?,
        next: get("next").map_or(Ok(String::new()), next)?,
    })
}

/// Names and values, decoded; each may be there once.
fn parameters(query: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if parameters.insert(name, value).is_some() {
            return Err(invalid("query", "each parameter may be there once"));
        }
    }
    Ok(parameters)
}

/// Percent-encoding and `+` undone.
fn decoded(text: &str) -> Result<String, Refusal> {
    let wrong = || invalid("query", "must be percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high * 16 + low).map_err(|_too_large| wrong())?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_not_utf8| wrong())
}

/// The values of a list, sorted: their order says nothing.
fn values(text: &str, name: &'static str) -> Result<Vec<String>, Refusal> {
    let mut values: Vec<String> = text.split(',').map(str::to_owned).collect();
    if values.len() > limits::FILTER_VALUES_MAX {
        let message = format!("at most {} values are taken", limits::FILTER_VALUES_MAX);
        return Err(invalid(name, &message));
    }
    let fits = |value: &String| !value.is_empty() && value.len() <= limits::LABEL_BYTES_MAX;
    if !values.iter().all(fits) {
        let message = format!("each value must have 1 to {} bytes", limits::LABEL_BYTES_MAX);
        return Err(invalid(name, &message));
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

fn version(text: &str) -> Result<Version, Refusal> {
    match text {
        "first" => Ok(Version::First),
        "last" => Ok(Version::Last),
        "all" => Ok(Version::All),
        _ => Ok(Version::At(time(text, "match[version]")?)),
    }
}

fn time(text: &str, name: &'static str) -> Result<Timestamp, Refusal> {
    let message = "must be a time like 2018-08-22T00:00:00.000000Z";
    Timestamp::parse(text).ok_or_else(|| invalid(name, message))
}

/// A client may ask for more than it gets at once.
fn limit(text: &str) -> Result<usize, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { text.parse().unwrap_or(usize::MAX) } else { 0 };
    if number == 0 {
        return Err(invalid("limit", "must be a whole number from 1 on"));
    }
    Ok(number.min(limits::PAGE_ENTRIES_MAX))
}

fn next(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > limits::TOKEN_BYTES_MAX {
        return Err(invalid("next", "was not made by this server"));
    }
    Ok(text.to_owned())
}

fn invalid(name: &'static str, message: &str) -> Refusal {
    Refusal::field(Reason::FieldInvalid, name, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn parsed(query: &str) -> Parsed {
        parse(query, Matches::Everything).unwrap()
    }

    #[track_caller]
    fn check_refused(query: &str, field: &str) {
        let refusal = parse(query, Matches::Everything).unwrap_err();
        assert_eq!((refusal.reason, refusal.field), (Reason::FieldInvalid, field), "{query}");
    }

    #[test]
    fn everything_that_the_standard_has_is_taken() {
        let query = "added_after=2018-08-22T00%3A00%3A00.000001Z&match%5Bid%5D=b--1,a--2\
                     &match[type]=url%2Cindicator&match[version]=last,first,2018-08-22T00:00:00Z\
                     &match[spec_version]=2.1&limit=7&next=abc&unknown=1";
        let Parsed { objects, limit, next } = parsed(query);
        let time = |micros| Timestamp::from_micros(micros).unwrap();
        assert_eq!(objects.added_after, Some(time(1_534_896_000_000_001)));
        assert_eq!(objects.ids, ["a--2", "b--1"]);
        assert_eq!(objects.types, ["indicator", "url"]);
        let at = Version::At(time(1_534_896_000_000_000));
        assert_eq!(objects.versions, [Version::First, Version::Last, at]);
        assert_eq!((objects.spec_versions, limit, next), (vec!["2.1".to_owned()], 7, "abc".into()));
        let whole = Parsed {
            objects: ObjectsQuery::default(),
            limit: limits::PAGE_ENTRIES_MAX,
            next: String::new(),
        };
        assert_eq!(parsed(""), whole);
        assert_eq!(parsed("&&x"), whole);
    }

    #[test]
    fn an_endpoint_does_not_look_at_what_it_does_not_have() {
        let query =
            "match[id]=a--1&match[type]=url&match[version]=nonsense&match[spec_version]=2.0";
        let objects = parse(query, Matches::Versions).unwrap().objects;
        let spec_versions = vec!["2.0".to_owned()];
        assert_eq!(objects, ObjectsQuery { spec_versions, ..ObjectsQuery::default() });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for limit in ["0", "-1", "", "1.5", "x", "+1", "%31%"] {
            let field = if limit.contains('%') { "query" } else { "limit" };
            check_refused(&format!("limit={limit}"), field);
        }
        for time in ["", "yesterday", "2018-08-22", "2018-08-22T25:00:00Z", "1534896000"] {
            check_refused(&format!("added_after={time}"), "added_after");
        }
        check_refused("match[version]=newest", "match[version]");
        check_refused("match[version]=last,", "match[version]");
        check_refused("match[type]=", "match[type]");
        check_refused("match[id]=a,,b", "match[id]");
        check_refused(&format!("match[id]={}", "a,".repeat(300)), "match[id]");
        check_refused(&format!("match[type]={}", "a".repeat(300)), "match[type]");
        check_refused("next=", "next");
        check_refused(&format!("next={}", "a".repeat(600)), "next");
        check_refused("limit=1&limit=2", "query");
        check_refused("limit=1&%6Cimit=2", "query");
        check_refused("match[type]=%ff", "query");
        check_refused("match[type]=%f", "query");
    }

    #[test]
    fn a_great_limit_is_the_greatest() {
        for limit in ["1000", "1001", "1000000000", "99999999999999999999999999"] {
            assert_eq!(parsed(&format!("limit={limit}")).limit, limits::PAGE_ENTRIES_MAX);
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".{0,200}") {
            let _parsed = parse(&query, Matches::Everything);
        }
    }
}
