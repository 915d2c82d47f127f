//! Lists of our own for every rule, hostile ones, and those that are really published.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::interop::meta_csv::Draft;
use crate::interop::meta_csv::import;
use crate::model::limits::LABEL_BYTES_MAX;
use crate::model::limits::VALUE_BYTES_MAX;
use crate::model::limits::WARNING_PATTERNS_MAX;
use crate::model::limits::WARNINGS_MAX;

const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn list(matching: &str, attributes: &[&str], entries: &[&str]) -> Value {
    json!({"name": matching, "version": 3, "description": "a sample", "type": matching,
        "matching_attributes": attributes, "list": entries})
}

fn taken(lists: &[Value]) -> Result<WarningLists, ListError> {
    let mut taken = WarningLists::default();
    for list in lists {
        taken.add(serde_json::from_value(list.clone()).unwrap())?;
    }
    Ok(taken)
}

fn found(lists: &WarningLists, kind: Kind, value: &str) -> String {
    let form = normal_form(kind, None, value).unwrap();
    let hits = lists.find(&form);
    let spelled = hits.iter().map(|hit| format!("{} {} {}", hit.list, hit.why.as_str(), hit.entry));
    spelled.collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(lists: &WarningLists, rows: &[(Kind, &str, &str)]) {
    for (kind, value, expected) in rows {
        assert_eq!(found(lists, *kind, value), *expected, "{kind} {value}");
    }
}

#[test]
fn the_large_platforms_are_known_and_what_is_on_them() {
    let lists = WarningLists::built_in();
    check(
        &lists,
        &[
            (Kind::Domain, "facebook[.]com", "widely used sites listed facebook.com"),
            (Kind::Domain, "www.YouTube.com", "widely used sites listed youtube.com"),
            (Kind::Url, "https://m.x.com/", "widely used sites below-listed x.com"),
            (Kind::Url, "https://x.com/a/status/1", "widely used sites on-listed-host x.com"),
            (
                Kind::Url,
                "https://u:p@www.bbc.co.uk:8443/news?a=1",
                "widely used sites on-listed-host bbc.co.uk",
            ),
            (Kind::Domain, "docs.google.com", "widely used sites below-listed google.com"),
            (Kind::Url, "https://docs.google.com/d/1", "widely used sites below-listed google.com"),
            (Kind::Url, "https://www.x.com/", "widely used sites listed x.com"),
            // An account there is what indicators are about.
            (Kind::Url, "https://x.com/alice_example", ""),
            (Kind::Account, "alice_example", ""),
            (Kind::EmailAddress, "a@gmail.com", ""),
            (Kind::Post, "https://facebook.com/a/posts/1", ""),
            // Copies are not the original.
            (Kind::Domain, "facebook.com.example", ""),
            (Kind::Domain, "notfacebook.com", ""),
            (Kind::Domain, "lemonde.ltd", ""),
            (Kind::Url, "https://example.com/facebook.com", ""),
            (Kind::Domain, "example.blogspot.com", ""),
        ],
    );
    assert_eq!(lists.lists().len(), 1);
}

#[test]
fn a_hit_says_in_words_how_the_value_meets_the_list() {
    let lists = WarningLists::built_in();
    for (kind, value, expected) in [
        (Kind::Domain, "x.com", "x.com is on the list 'widely used sites'"),
        (
            Kind::Url,
            "https://x.com/i/lists/1",
            "its host x.com is on the list 'widely used sites', where others publish too",
        ),
        (
            Kind::Domain,
            "a.x.com",
            "it is below x.com, on the list 'widely used sites', where others publish too",
        ),
    ] {
        let hits = lists.find(&normal_form(kind, None, value).unwrap()).into_iter();
        assert_eq!(hits.map(|hit| hit.to_string()).collect::<Vec<_>>(), [expected]);
    }
    for why in Why::ALL {
        let hit = Hit { list: "a list", entry: "an entry".to_owned(), why };
        assert!(hit.to_string().contains("an entry") && hit.to_string().contains("'a list'"));
    }
    assert!(Why::ALL.is_sorted());
}

#[test]
fn hostnames_reach_below_and_strings_do_but_for_public_suffixes() {
    let hosts = &["domain", "url"];
    let lists = taken(&[
        list("hostname", hosts, &[".example.com", "WWW.Example.ORG.", "github.io", "onion"]),
        list(
            "string",
            hosts,
            &[
                ".example.net",
                "github.io",
                "co.uk",
                "bücher.example",
                "https://example.edu/a/?utm_id=1",
            ],
        ),
    ])
    .unwrap();
    check(
        &lists,
        &[
            (Kind::Domain, "example.com", "hostname listed example.com"),
            (Kind::Domain, "a.b.example.com", "hostname below-listed example.com"),
            (Kind::Domain, "example.org", "hostname listed example.org"),
            (Kind::Domain, "aexample.com", ""),
            (Kind::Domain, "exampleexample.onion", "hostname below-listed onion"),
            (Kind::Domain, "acme.github.io", "hostname below-listed github.io"),
            (Kind::Domain, "github.io", "hostname listed github.io; string listed github.io"),
            (Kind::Domain, "co.uk", "string listed co.uk"),
            (Kind::Domain, "example.co.uk", ""),
            (Kind::Domain, "a.example.net", "string below-listed example.net"),
            (Kind::Domain, "xn--bcher-kva.example", "string listed xn--bcher-kva.example"),
            (Kind::Url, "http://bücher.example/a", "string on-listed-host xn--bcher-kva.example"),
            (Kind::Url, "http://www.example.edu/a", "string listed https://example.edu/a"),
            (Kind::Url, "http://www.example.edu/b", ""),
            (Kind::EmailAddress, "a@example.com", ""),
        ],
    );
    assert_eq!(lists.lists()[0].unusable, 0);
}

#[test]
fn networks_meet_addresses_and_urls_on_them() {
    let lists = taken(&[
        list("cidr", &["ip-src", "domain|ip"], &["192.0.2.0/24", "192.0.2.0/28", "2001:db8::/32"]),
        list("string", &["ip-dst"], &["192.0.2.1", "::ffff:198.51.100.1"]),
    ])
    .unwrap();
    check(
        &lists,
        &[
            (Kind::IpAddress, "192.0.2.1", "string listed 192.0.2.1; cidr network 192.0.2.0/28"),
            (Kind::IpAddress, "192.0.2.77", "cidr network 192.0.2.0/24"),
            (Kind::IpAddress, "::ffff:192.0.2.77", "cidr network 192.0.2.0/24"),
            (Kind::IpAddress, "198.51.100.1", "string listed 198.51.100.1"),
            (Kind::IpAddress, "192.0.3.1", ""),
            (Kind::IpAddress, "2001:DB8::7", "cidr network 2001:db8::/32"),
            (Kind::IpAddress, "2001:db9::7", ""),
            (Kind::Url, "http://[2001:db8::7]:8080/a", "cidr network 2001:db8::/32"),
            (
                Kind::Url,
                "http://192.0.2.1/a",
                "string on-listed-host 192.0.2.1; cidr network 192.0.2.0/28",
            ),
        ],
    );
}

#[test]
fn texts_and_patterns_are_searched_for_in_the_kinds_of_their_list() {
    let lists = taken(&[
        list("substring", &["email-src"], &["mail.example", "other"]),
        list("regex", &["domain", "hostname"], &[r"/^ns\d+\./i", r"\.test$"]),
    ])
    .unwrap();
    check(
        &lists,
        &[
            (Kind::EmailAddress, "a@MAIL.example", "substring contains mail.example"),
            (Kind::EmailAddress, "a@b-mail.example", "substring contains mail.example"),
            (Kind::Domain, "mail.example", ""),
            (Kind::Domain, "NS1.example.com", r"regex pattern /^ns\d+\./i"),
            (Kind::Domain, "a.test", r"regex pattern \.test$"),
            (Kind::Url, "https://a.test", ""),
        ],
    );
}

#[test]
fn a_list_is_for_the_kinds_that_it_names_or_for_all() {
    let md5 = "D41D8CD98F00B204E9800998ECF8427E";
    let every: Vec<Value> = vec![
        list("string", &["filename|md5"], &[md5]),
        json!({"name": "all", "list": [md5, "+1 202 555 0123", "#Example", "A@Example.com", "some_user", "192.0.2.1", "example.net"]}),
        list("hostname", &["AS", "mutex"], &["example.net"]),
    ];
    let lists = taken(&every).unwrap();
    let lower = md5.to_lowercase();
    check(
        &lists,
        &[
            (Kind::FileHash, md5, &format!("string listed {lower}; all listed {lower}")),
            (Kind::MediaHash, md5, &format!("string listed {lower}; all listed {lower}")),
            (Kind::PhoneNumber, "+12025550123", "all listed +12025550123"),
            (Kind::Hashtag, "example", "all listed example"),
            (Kind::EmailAddress, "a@example.com", "all listed a@example.com"),
            (Kind::EmailAddress, "a@example.net", "all on-listed-host example.net"),
            (Kind::Account, "some_user", "all listed some_user"),
            (Kind::IpAddress, "192.0.2.1", "all listed 192.0.2.1"),
            (Kind::Domain, "example.net", "all listed example.net"),
        ],
    );
}

#[test]
fn a_value_has_one_hit_a_list_and_a_bounded_number_of_them() {
    let named = |name: usize, entries: &[&str]| {
        json!({"name": format!("list {name:02}"), "type": "hostname",
            "matching_attributes": ["domain"], "list": entries})
    };
    let mut many: Vec<Value> = (0..20).map(|name| named(name, &["example.com"])).collect();
    many.push(named(20, &["example.com", "a.example.com", "www.a.example.com", "com"]));
    let lists = taken(&many).unwrap();
    let form = normal_form(Kind::Domain, None, "a.example.com").unwrap();
    let hits = lists.find(&form);
    assert_eq!(hits.len(), WARNINGS_MAX);
    assert_eq!((hits[0].list, hits[0].why), ("list 20", Why::Listed));
    assert_eq!((hits[1].list, hits[1].why), ("list 00", Why::BelowListed));
    assert_eq!(hits.iter().map(|hit| hit.list).collect::<BTreeSet<_>>().len(), hits.len());
}

#[test]
fn entries_that_can_match_nothing_are_counted() {
    let lists = taken(&[
        list("string", &["domain"], &["example.com", "TLD", "not a host", "a...b"]),
        list(
            "hostname",
            &["domain"],
            &["example.com", "example.com/path", "not a host", ".", "tld"],
        ),
    ])
    .unwrap();
    let counts: Vec<(usize, usize)> =
        lists.lists().iter().map(|list| (list.entries, list.unusable)).collect();
    assert_eq!(counts, [(4, 3), (5, 3)]);
    assert_eq!((lists.lists()[0].name.as_str(), lists.lists()[0].version), ("string", 3));
}

#[test]
fn hostile_lists_are_refused_with_what_is_wrong() {
    let long = "a".repeat(VALUE_BYTES_MAX + 1);
    let named = |name: &str| json!({"name": name, "list": ["a"]});
    let patterns: Vec<String> = (0..=WARNING_PATTERNS_MAX).map(|n| format!("a{n}")).collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    // 256 KiB each of states, and more of them than fit.
    let heavy = vec!["[a-z]{200}[0-9]{200}(é|è){400}"; WARNING_PATTERNS_MAX];
    for (raw, expected) in [
        (named(" "), ListError::Name),
        (named(&"n".repeat(LABEL_BYTES_MAX + 1)), ListError::Name),
        (list("string", &[], &["a", "", "b"]), ListError::Entry(1)),
        (list("substring", &[], &["a", " "]), ListError::Entry(1)),
        (list("string", &[], &["a", "b", &long]), ListError::Entry(2)),
        (list("cidr", &[], &["192.0.2.0/24", "192.0.2.0/99"]), ListError::Network(1)),
        (list("cidr", &[], &["example.com"]), ListError::Network(0)),
        (list("regex", &[], &["a", "("]), ListError::Pattern(1)),
        (list("regex", &[], &["(a{1000}){1000}"]), ListError::Pattern(0)),
        (list("regex", &[], &patterns), ListError::TooManyEntries),
        (list("regex", &[], &heavy), ListError::TooManyEntries),
    ] {
        assert_eq!(taken(&[raw]).err(), Some(expected));
    }
    assert!(taken(&[list("regex", &[], &patterns[1..])]).is_ok());
    assert!(taken(&[list("string", &[], &[&"a".repeat(VALUE_BYTES_MAX)])]).is_ok());
    let lists: Vec<Value> = (0..=WARNING_LISTS_MAX).map(|n| named(&n.to_string())).collect();
    assert!(taken(&lists[1..]).is_ok());
    assert_eq!(taken(&lists).err(), Some(ListError::TooManyLists));
}

#[test]
fn entries_beyond_the_limit_are_refused() {
    let mut lists = WarningLists { entries: WARNING_ENTRIES_MAX - 1, ..WarningLists::default() };
    let raw = |entries: &[&str]| serde_json::from_value(list("string", &[], entries)).unwrap();
    assert_eq!(lists.add(raw(&["a", "b"])), Err(ListError::TooManyEntries));
    assert_eq!(lists.add(raw(&["a"])), Ok(()));
    assert_eq!(lists.add(raw(&["b"])), Err(ListError::TooManyEntries));
}

#[test]
fn substrings_beyond_the_limit_are_refused() {
    let half = "ab".repeat(512);
    let entries = |count: usize| vec![half.as_str(); count];
    let fits = crate::model::limits::WARNING_SUBSTRING_BYTES_MAX / half.len();
    assert!(taken(&[list("substring", &[], &entries(fits))]).is_ok());
    let refused = taken(&[list("substring", &[], &entries(fits + 1))]).err();
    assert_eq!(refused, Some(ListError::TooManyEntries));
}

#[test]
fn a_slow_pattern_is_not_slow_here() {
    // Engines that go back would try 2 to the 2000 ways.
    let lists = taken(&[list("regex", &["url"], &["/(a+)+$/", "/(a|aa)+b/"])]).unwrap();
    let value = format!("https://example.com/{}!", "a".repeat(2000));
    check(&lists, &[(Kind::Url, &value, "")]);
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn files_and_folders_are_loaded_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let sample = |name: &str| json!({"name": name, "list": ["example.com"]}).to_string();
    write(folder.path(), "lists/b/list.json", &sample("b"));
    write(folder.path(), "lists/a/list.json", &sample("a"));
    write(folder.path(), "c.json", &sample("c"));
    write(folder.path(), "schema.json", "{\"properties\": {}}");
    write(folder.path(), "README.md", "# not a list");
    write(folder.path(), ".hidden/list.json", "not json");
    let own = write(folder.path(), "own.txt", &sample("own"));

    let lists = WarningLists::load(&[own, folder.path().to_owned()]).unwrap();
    let names: Vec<&str> = lists.lists().iter().map(|list| list.name.as_str()).collect();
    assert_eq!(names, ["own", "c", "a", "b"]);
    let both = WarningLists::built_in().with_files(&[folder.path().join("c.json")]).unwrap();
    check(
        &both,
        &[
            (Kind::Domain, "example.com", "c listed example.com"),
            (Kind::Domain, "x.com", "widely used sites listed x.com"),
        ],
    );
}

#[test]
fn what_cannot_be_loaded_is_told_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| write(folder.path(), name, content);
    let deep = "sub/".repeat(9);
    file(&format!("deep/{deep}list.json"), "{}");
    let lists = vec![json!(["a"]); 2];
    for (path, expected, cause) in [
        (folder.path().join("absent"), "cannot read", "No such file"),
        (folder.path().join("deep"), "holds no list", ""),
        (PathBuf::from("/dev/zero"), "is neither a file nor a folder", ""),
        (file("1.json", "not json"), "is not a warning list", "line 1 column"),
        (file("2.json", "{\"name\": \"a\"}"), "is not a warning list", "missing field `list`"),
        (
            file("3.json", "{\"name\": \"a\", \"type\": \"fuzzy\", \"list\": []}"),
            "is not a warning list",
            "fuzzy",
        ),
        (
            file("4.json", "{\"name\": \"a\", \"list\": [1]}"),
            "is not a warning list",
            "expected a string",
        ),
        (file("5.json", "{\"name\": \"a\", \"list\": [\"\"]}"), "cannot be used", "list[0]"),
        (file("6.json", &json!(lists).to_string()), "is not a warning list", ""),
        (file("7.json", &"[".repeat(100_000)), "is not a warning list", ""),
    ] {
        let error = WarningLists::load(std::slice::from_ref(&path)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains(expected), "{text}");
        let source = error.source().map_or_else(String::new, ToString::to_string);
        assert!(source.contains(cause), "{text}: {source}");
    }
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.json");
    let beyond = u64::try_from(crate::model::limits::WARNING_FILE_BYTES_MAX).unwrap() + 1;
    fs::File::create(&path).unwrap().set_len(beyond).unwrap();
    let refused = WarningLists::load(&[path]);
    assert!(matches!(refused, Err(LoadError::TooLarge(_))));
}

fn published() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/misp-warninglists");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("{} is absent: passed over", folder.display());
    None
}

#[test]
fn published_lists_are_loaded_whole() {
    let Some(folder) = published() else {
        return;
    };
    let lists = WarningLists::load(&[folder]).unwrap();
    let entries: usize = lists.lists().iter().map(|list| list.entries).sum();
    assert_eq!((lists.lists().len(), entries), (19, 69_469));
    let unusable: BTreeMap<&str, usize> = lists
        .lists()
        .iter()
        .filter(|list| list.unusable > 0)
        .map(|list| (list.name.as_str(), list.unusable))
        .collect();
    let expected = [
        // Hashes of an algorithm that no file here has.
        ("List of known hashes for empty files", 2),
        // Single labels: nothing below them is meant.
        ("Second level TLDs as known by Mozilla Foundation", 1448),
        ("TLDs as known by IANA", 1438),
        // "marketingplatform.google....", cut where it was taken from.
        ("Top 500 domains and pages from https://moz.com/top500", 1),
    ];
    assert_eq!(unusable, BTreeMap::from(expected));
}

#[test]
fn published_lists_know_what_is_known() {
    let Some(folder) = published() else {
        return;
    };
    let lists = WarningLists::load(&[folder]).unwrap();
    for (kind, value, list, why, entry) in [
        (Kind::Domain, "google.com", "List of known google domains", Why::Listed, "google.com"),
        (
            Kind::Url,
            "https://bit.ly/a",
            "List of known URL Shorteners domains",
            Why::OnListedHost,
            "bit.ly",
        ),
        (
            Kind::Domain,
            "a.duckdns.org",
            "List of known dynamic DNS domains",
            Why::BelowListed,
            "duckdns.org",
        ),
        (
            Kind::IpAddress,
            "192.168.1.1",
            "List of RFC 1918 CIDR blocks",
            Why::Network,
            "192.168.0.0/16",
        ),
        (
            Kind::IpAddress,
            "2001:67c:4e8::1",
            "List of known Telegram IP address ranges",
            Why::Network,
            "2001:67c:4e8::/48",
        ),
        (
            Kind::EmailAddress,
            "a@mailinator.com",
            "List of disposable email domains",
            Why::Contains,
            "mailinator.com",
        ),
        (Kind::FileHash, EMPTY_MD5, "List of known hashes for empty files", Why::Listed, EMPTY_MD5),
        (
            Kind::Domain,
            "co.uk",
            "Second level TLDs as known by Mozilla Foundation",
            Why::Listed,
            "co.uk",
        ),
    ] {
        let form = normal_form(kind, None, value).unwrap();
        let hit = Hit { list, entry: entry.to_owned(), why };
        assert!(lists.find(&form).contains(&hit), "{value}: {:?}", lists.find(&form));
    }
}

#[test]
fn published_lists_of_suffixes_do_not_reach_below() {
    let Some(folder) = published() else {
        return;
    };
    let lists = WarningLists::load(&[folder]).unwrap();
    for value in ["example.co.uk", "example.gov.br", "exampleexample.example"] {
        assert_eq!(found(&lists, Kind::Domain, value), "", "{value}");
    }
}

/// The lists that Meta published, row by row.
fn indicators(folder: &Path, forms: &mut Vec<NormalForm>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            indicators(&path, forms);
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            let name = path.file_name().unwrap().to_string_lossy();
            let file = import(&name, &fs::read(&path).unwrap()).unwrap();
            let value = |draft: &Draft| draft.indicator.observable.as_ref().unwrap().value.clone();
            forms.extend(file.drafts().filter_map(|draft| {
                normal_form(draft.kind, draft.platform.as_ref(), &value(draft)).ok()
            }));
        }
    }
}

#[test]
fn published_indicators_meet_published_lists_now_and_then() {
    let Some(folder) = published() else {
        return;
    };
    let lists = WarningLists::built_in().with_files(std::slice::from_ref(&folder)).unwrap();
    let mut forms = Vec::new();
    indicators(&folder.join("../meta-threat-research/indicators/csv"), &mut forms);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for form in &forms {
        let closest = lists.find(form).first().map_or("none", |hit| hit.why.as_str());
        *counts.entry(closest).or_default() += 1;
    }
    // Nobody published a listed site itself; posts on platforms and sites below shared hosts are real indicators.
    let expected = [("below-listed", 69), ("contains", 6), ("none", 8065), ("on-listed-host", 332)];
    assert_eq!(counts, BTreeMap::from(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_listed_host_is_found_and_so_is_all_below_it_and_nothing_else(
        hosts in prop::collection::btree_set(r"[a-c]{1,2}(\.[a-c]{1,2}){0,2}\.example", 1..8),
        value in r"[a-c]{1,2}(\.[a-c]{1,2}){0,3}\.example",
    ) {
        let entries: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let lists = taken(&[list("hostname", &["domain"], &entries)]).unwrap();
        let form = normal_form(Kind::Domain, None, &value).unwrap();
        let naive = hosts.iter().filter(|host| {
            form.value == **host || form.value.ends_with(&format!(".{host}"))
        }).max_by_key(|host| host.len());
        let hits = lists.find(&form);
        prop_assert_eq!(hits.first().map(|hit| &hit.entry), naive);
        prop_assert!(hits.len() <= 1);
        if let (Some(hit), Some(host)) = (hits.first(), naive) {
            prop_assert_eq!(hit.why == Why::Listed, form.value == *host);
        }
    }

    #[test]
    fn finding_is_total_and_bounded(kind in prop::sample::select(Kind::ALL.to_vec()), value in r"\PC{0,40}|(https?://)?[a-z.@\[\]:/#?-]{0,40}") {
        let lists = taken(&[
            list("hostname", &[], &["example", "com"]),
            list("string", &[], &["a", "example.com"]),
            list("substring", &[], &["a"]),
            list("regex", &[], &["."]),
            list("cidr", &[], &["0.0.0.0/0", "::/0"]),
        ]).unwrap();
        // Not only what is normal: the fields are public.
        for form in [
            normal_form(kind, None, &value).ok(),
            Some(NormalForm { kind, platform: None, value: value.clone() }),
        ].into_iter().flatten() {
            let hits = lists.find(&form);
            prop_assert!(hits.len() <= 5);
            prop_assert!(hits.is_sorted_by_key(|hit| hit.why));
            prop_assert_eq!(form.value.is_empty() || form.value.contains('\n'), !hits.iter().any(|hit| hit.list == "regex"));
        }
    }

    #[test]
    fn any_json_is_taken_or_refused(name in r"\PC{0,8}", matching in "string|hostname|substring|regex|cidr", entries in prop::collection::vec(r"\PC{0,12}|/.*/[imsx]?", 0..6)) {
        let raw = json!({"name": name, "type": matching, "list": entries});
        if let Ok(lists) = taken(&[raw]) {
            prop_assert_eq!(lists.lists()[0].entries, entries.len());
        }
    }
}
