//! Golden vectors, properties, and lists that were really published.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const VECTORS: &str = include_str!("../../../tests/vectors/normal_form.tsv");

fn parsed(platform: &str) -> Option<Platform> {
    (!platform.is_empty()).then(|| platform.parse().unwrap())
}

fn spelled(outcome: Result<NormalForm>) -> String {
    outcome.map_or_else(
        |_refused| "refused\t\t".to_owned(),
        |form| {
            format!(
                "{}\t{}\t{}",
                form.kind,
                form.platform.as_ref().map_or("", Platform::as_str),
                form.value
            )
        },
    )
}

#[test]
fn golden_vectors_hold() {
    let mut wrong = Vec::new();
    let rows: Vec<&str> = VECTORS.lines().filter(|line| !line.starts_with("# ")).collect();
    assert!(rows.len() >= 280, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.splitn(4, '\t').collect();
        let found =
            spelled(normal_form(cells[0].parse().unwrap(), parsed(cells[1]).as_ref(), cells[2]));
        if found != cells[3] {
            wrong.push(format!(
                "{} {:?}: found {found:?}, expected {:?}",
                cells[0], cells[2], cells[3]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bare_values_are_recognised() {
    for (text, expected) in [
        ("https://x.com/alice", "account\tx\talice"),
        ("example[.]com", "domain\t\texample.com"),
        ("example.blogspot.com", "blog\tblogger\texample"),
        ("example.com/a", "url\t\thttps://example.com/a"),
        ("a[at]example.com", "email-address\t\ta@example.com"),
        ("https://medium.com/@example", "account\tmedium\texample"),
        ("192[.]0[.]2[.]1", "ip-address\t\t192.0.2.1"),
        ("D41D8CD98F00B204E9800998ECF8427E", "file-hash\t\td41d8cd98f00b204e9800998ecf8427e"),
        ("#Example", "hashtag\t\texample"),
        ("+1 202 555 0123", "phone-number\t\t+12025550123"),
        ("example.com:8443", "url\t\thttps://example.com:8443"),
        ("example.com?page=1", "url\t\thttps://example.com?page=1"),
    ] {
        assert_eq!(spelled(recognise(text).ok_or(NormalFormError::Empty)), expected, "{text}");
    }
    for text in [
        "63 accounts",
        "a sentence about something",
        "t[.]/example_bot",
        "",
        "word",
        "@alice",
        "10/12/2020",
        "1/2",
        "and/or",
        "192.0.2.0/24",
        "2001:db8::/32",
        "12:30",
    ] {
        assert_eq!(recognise(text), None, "{text}");
    }
}

#[test]
fn the_digest_tells_kind_platform_and_value_apart() {
    let forms = [
        (Kind::Account, "x", "ab"),
        (Kind::Page, "x", "ab"),
        (Kind::Account, "xa", "b"),
        (Kind::Account, "", "xab"),
        (Kind::Account, "x", "abc"),
    ];
    let digests: std::collections::HashSet<[u8; 32]> = forms
        .iter()
        .map(|(kind, platform, value)| {
            NormalForm::new(*kind, parsed(platform).as_ref(), (*value).to_owned()).digest()
        })
        .collect();
    assert_eq!(digests.len(), forms.len());
    let one = NormalForm::new(Kind::Domain, None, "example.com".to_owned());
    assert_eq!(
        hex::encode(one.digest()),
        "e56fe2e26cac2dd736495527e8d512e93138fc2dc0221838d402101ccd52e40e"
    );
}

#[test]
fn a_value_beyond_the_limit_is_refused() {
    let long = "a".repeat(VALUE_BYTES_MAX + 1);
    for kind in ObservableKind::ALL {
        assert_eq!(normal_form(kind, None, &long), Err(NormalFormError::TooLong));
    }
    assert_eq!(recognise(&long), None);
}

fn values_of(path: &Path, cells: &mut Vec<String>) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).unwrap();
    let headers = reader.byte_headers().unwrap().clone();
    let column = headers.iter().position(|name| {
        matches!(String::from_utf8_lossy(name).trim(), "Indicator" | "indicator_value")
    });
    let column = column.unwrap_or_else(|| panic!("no column of values in {}", path.display()));
    let records = reader.byte_records().map(std::result::Result::unwrap);
    cells.extend(
        records
            .filter_map(|record| Some(String::from_utf8_lossy(record.get(column)?).into_owned())),
    );
}

fn published(folder: &Path, cells: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            published(&path, cells);
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            values_of(&path, cells);
        }
    }
}

#[test]
fn published_indicators_are_recognised_and_stay_as_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/meta-threat-research/indicators/csv");
    if !folder.exists() {
        return;
    }
    let mut cells = Vec::new();
    published(&folder, &mut cells);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for form in cells.iter().filter_map(|cell| recognise(cell)) {
        assert_eq!(normal_form(form.kind, form.platform.as_ref(), &form.value), Ok(form.clone()));
        *counts.entry(form.kind.to_string()).or_default() += 1;
    }
    let spelled: Vec<String> =
        counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    assert_eq!(
        format!("{} cells: {}", cells.len(), spelled.join(", ")),
        "9549 cells: account 342, blog 50, channel 68, domain 7537, file-hash 106, group 2, hashtag 3, ip-address 4, url 468"
    );
}

/// What the flat layout calls its values.
fn kind_of_type(name: &str) -> Option<(Kind, &'static str)> {
    Some(match name {
        "domain_name" => (Kind::Domain, ""),
        "url" | "cib_url" | "telegram_url" | "phishing_url" => (Kind::Url, ""),
        "md5" | "sha256" => (Kind::FileHash, ""),
        "ip" => (Kind::IpAddress, ""),
        "android_package_name" => (Kind::App, "google-play"),
        "ios_app_id" => (Kind::App, "app-store"),
        _ => return None,
    })
}

/// Type and value of every record of a list in the flat layout.
fn typed_values(path: &Path) -> Vec<(String, String)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let (kind, value) = (column("indicator_type"), column("indicator_value"));
    let records = reader.records().map(std::result::Result::unwrap);
    records.map(|record| (record[kind].to_owned(), record[value].to_owned())).collect()
}

#[test]
fn published_values_with_a_type_have_a_normal_form_or_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/meta-threat-research/indicators/csv");
    if !folder.exists() {
        return;
    }
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let lists = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for (name, value) in lists.filter(|path| path.is_file()).flat_map(|path| typed_values(&path)) {
        let (kind, platform) = kind_of_type(&name).unwrap_or_else(|| panic!("{name}"));
        let (taken, refused) = counts.entry(name).or_default();
        match normal_form(kind, parsed(platform).as_ref(), &value) {
            Ok(form) => {
                *taken += 1;
                let again = normal_form(form.kind, form.platform.as_ref(), &form.value);
                assert_eq!(again, Ok(form));
            }
            Err(_refused) => *refused += 1,
        }
    }
    let spelled: Vec<String> =
        counts.iter().map(|(name, (taken, refused))| format!("{name} {taken}+{refused}")).collect();
    // The one that is refused is an "md5" of 33 characters.
    assert_eq!(
        spelled.join(", "),
        "android_package_name 355+0, cib_url 22+0, domain_name 864+0, ios_app_id 47+0, ip 4+0, md5 57+1, phishing_url 3+0, sha256 20+0, telegram_url 15+0, url 10+0"
    );
}

fn kind_strategy() -> impl Strategy<Value = ObservableKind> {
    prop::sample::select(ObservableKind::ALL.to_vec())
}

fn platform_strategy() -> impl Strategy<Value = Option<Platform>> {
    prop::sample::select(vec![
        "",
        "x",
        "youtube",
        "facebook",
        "reddit",
        "tumblr",
        "quora",
        "weibo",
        "mastodon",
        "google-play",
        "app-store",
        "some-forum",
    ])
    .prop_map(parsed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_normal_form_is_idempotent_and_refuses_only_hopeless_text(
        kind in kind_strategy(),
        platform in platform_strategy(),
        text in r"((https?://)?(www\.|m\.|ab\.|en-gb\.){0,3}(x\.com|twitter\.com|youtube\.com|youtu\.be|facebook\.com|example\.org|t\.me|a\.medium\.com|tumblr\.com|reddit\.com|weibo\.cn|play\.google\.com))?([/?&=#@%.:-]|#!|utm_|s=|si=|channel/|c/|u/|/s/|groups|pages|user|UC|id=|profile\.php|www\.|%41|%2f|%C3%89|%CC%87|[A-Za-z0-9]{1,4}|\PC){0,12}",
    ) {
        match normal_form(kind, platform.as_ref(), &text) {
            Ok(form) => prop_assert_eq!(normal_form(form.kind, form.platform.as_ref(), &form.value), Ok(form)),
            Err(error) => prop_assert!(!matches!(error, NormalFormError::TooLong | NormalFormError::Unstable), "{error}"),
        }
        if let Some(form) = recognise(&text) {
            prop_assert_eq!(normal_form(form.kind, form.platform.as_ref(), &form.value), Ok(form));
        }
    }
}
