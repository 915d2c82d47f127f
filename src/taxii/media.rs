//! Which media type an answer has, and whether a client takes it.

use http::HeaderMap;
use http::header;

/// The media type of every answer.
pub(super) const TAXII: &str = "application/taxii+json;version=2.1";
/// The media type of every object.
pub(super) const STIX: &str = "application/stix+json;version=2.1";

/// Whether a client takes an answer of ours. One that does not say takes everything; one that names no version takes
/// the last one.
pub(super) fn is_acceptable(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    ranges.peek().is_none() || ranges.any(takes_ours)
}

fn takes_ours(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_taxii = kind == "application/taxii+json";
    if !is_taxii && kind != "*/*" && kind != "application/*" {
        return false;
    }
    parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => value == "2.1",
            "q" => value.parse().is_ok_and(|weight: f32| weight > 0.0),
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(accept: &[&'static str], expected: bool) {
        let values = accept.iter().map(|text| (header::ACCEPT, HeaderValue::from_static(text)));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        assert_eq!(is_acceptable(&headers), expected, "{accept:?}");
    }

    #[test]
    fn who_takes_taxii_of_this_version_or_anything_is_answered() {
        check(&[], true);
        for taken in [
            "application/taxii+json;version=2.1",
            "application/taxii+json; version=2.1",
            "application/taxii+json; version=\"2.1\"",
            "APPLICATION/taxii+json",
            "*/*",
            "application/*;q=0.1",
            "text/html, application/taxii+json;version=2.0, */*;q=0.8",
        ] {
            check(&[taken], true);
        }
        check(&["text/html", "*/*"], true);
    }

    #[test]
    fn who_takes_only_something_else_is_told_so() {
        for other in [
            "application/taxii+json;version=2.0",
            "application/vnd.oasis.taxii+json; version=2.0",
            "application/json",
            "text/html",
            "application/taxii+json;q=0",
            "*/*;q=0.0",
            "application/taxii+jsonx",
            "application",
            "\u{7f}",
        ] {
            if HeaderValue::from_str(other).is_ok() {
                check(&[HeaderValue::from_str(other).map(|_| other).unwrap()], false);
            }
        }
        check(&["text/html", "application/json"], false);
    }
}
