use super::*;
use crate::interop::sample::asset;
use crate::interop::sample::at;
use crate::interop::sample::handling;
use crate::interop::sample::indicator;
use crate::interop::sample::name;
use crate::interop::sample::record;
use crate::interop::sample::wire_at;
use crate::model::header::BodyKind;
use crate::model::normal_form::normal_form;
use crate::model::observable::ObservableKind as Kind;
use crate::wire::pb::ObservableKind as Wire;
use crate::wire::pb::body::Content as Said;
use proptest::prelude::*;

fn rules(sort: Sort) -> Rules {
    Rules {
        sort,
        bare_handles: false,
        tlp_max: Tlp::AmberStrict,
        confidence_min: None,
        with_warned: false,
        warnings: WarningLists::built_in(),
        allowed: Allowed::default(),
    }
}

/// The lines of a list of these.
fn lines(rules: Rules, records: &[ExportedRecord]) -> Vec<String> {
    let mut list = Blocklist::new(rules);
    for record in records {
        list.put(record).unwrap();
    }
    list.listed(at(0)).lines.into_iter().collect()
}

/// What becomes of one value.
#[track_caller]
fn check(sort: Sort, kind: Wire, platform: &str, value: &str, expected: Result<&str, LeftOut>) {
    let mut list = Blocklist::new(rules(sort));
    list.put(&asset(1, kind, platform, value)).unwrap();
    let listed = list.listed(at(0));
    match expected {
        Ok(line) => assert_eq!(listed.lines, BTreeSet::from([line.to_owned()]), "{value}"),
        Err(why) => assert_eq!(listed.left_out, BTreeMap::from([(why, 1)]), "{value}"),
    }
}

#[test]
fn values_stand_in_their_normal_form() {
    check(Sort::Domains, Wire::Domain, "", "Evil[.]Example.NET.", Ok("evil.example.net"));
    check(Sort::Domains, Wire::Domain, "", "bücher.net", Ok("xn--bcher-kva.net"));
    check(Sort::Urls, Wire::Url, "", "hxxp://evil.net/a?b=c", Ok("https://evil.net/a?b=c"));
    check(Sort::Handles, Wire::Account, "twitter", "@Puppet_1", Ok("x:puppet_1"));
    check(Sort::Handles, Wire::Account, "vk", "пример", Ok("vk:пример"));
}

#[test]
fn what_would_hit_others_is_left_out() {
    use LeftOut::Common;
    use LeftOut::Internal;
    use LeftOut::PublicSuffix;
    use LeftOut::Unsafe;

    let domain = |value, why| check(Sort::Domains, Wire::Domain, "", value, Err(why));
    domain("co.uk", PublicSuffix);
    domain("blogspot.com", PublicSuffix);
    domain("github.io", PublicSuffix);
    domain("facebook.com", Common);
    domain("mail.google.com", Common);
    domain("printer.local", Internal);
    domain("a.localhost", Internal);
    domain("1.168.192.in-addr.arpa", Internal);
    let url = |value, why| check(Sort::Urls, Wire::Url, "", value, Err(why));
    url("https://google.com/", Common);
    url("https://blogspot.com/", PublicSuffix);
    url("http://10.0.0.7/admin", Internal);
    url("http://127.1/x", Internal);
    url("http://[::ffff:192.168.0.1]/x", Internal);
    url("http://[fd00::1]/x", Internal);
    url("https://google.com@evil.net/x", Unsafe);
    url("https://evil.net/*", Unsafe);
    url("https://evil.net/a#!b", Unsafe);
    url("https://evil.net/$x|y", Unsafe);
    url("ftp://evil.net/x", Unsafe);
    check(
        Sort::Urls,
        Wire::Url,
        "",
        "https://facebook.com/groups/1/posts/2",
        Ok("https://facebook.com/groups/1/posts/2"),
    );
    check(Sort::Handles, Wire::Account, "", "puppet", Err(LeftOut::NoPlatform));
    check(Sort::Handles, Wire::Account, "vk", "--all", Err(Unsafe));
    check(Sort::Handles, Wire::Account, "vk", "a b", Err(Unsafe));
    check(Sort::Handles, Wire::Account, "vk", "10.0.0.0/8", Err(Unsafe));
    check(Sort::Handles, Wire::Account, "vk", "a#b", Err(Unsafe));
}

#[test]
fn an_empty_question_makes_no_page_of_a_site() {
    use LeftOut::PublicSuffix;
    use LeftOut::Unsafe;

    let url = |value, why| check(Sort::Urls, Wire::Url, "", value, Err(why));
    url("https://facebook.com?q", Unsafe);
    url("https://facebook.com/?q", Unsafe);
    url("https://evil.net?q=1", Unsafe);
    url("https://github.io?a", PublicSuffix);
    url("https://co.uk?a", PublicSuffix);
    url("https://co.uk//?a", PublicSuffix);
    url("https://github.io:8443", PublicSuffix);
    url("https://github.io/%2e%2e/.", PublicSuffix);
    check(Sort::Urls, Wire::Url, "", "https://evil.net/a?q=1", Ok("https://evil.net/a?q=1"));
    // No rule of the reader's own lets it in.
    let warned = Rules { with_warned: true, ..rules(Sort::Urls) };
    assert!(lines(warned, &[asset(1, Wire::Url, "", "https://facebook.com?q")]).is_empty());
    // All of a host that has what is allowed, too.
    let allowed = Allowed::parse("https://shop.cedar.net/sale\nmail.elm.net").unwrap();
    let own = Rules { allowed, ..rules(Sort::Urls) };
    let both = ["https://shop.cedar.net", "https://elm.net", "https://elm.net/a"];
    let [shop, above, page] = both.map(|value| asset(1, Wire::Url, "", value));
    let mut list = Blocklist::new(own);
    for (record, expected) in [(shop, 0), (above, 0), (page, 1)] {
        list.clear();
        list.put(&record).unwrap();
        assert_eq!(list.listed(at(0)).lines.len(), expected, "{:?}", record.record.content);
    }
}

#[test]
fn only_what_its_publisher_lets_readers_block_is_listed() {
    let said = || Said::Indicator(indicator(Wire::Domain, "", "evil.net"));
    let made = |handling| record(1, BodyKind::Indicator, said(), handling);
    let listed = |record: ExportedRecord| lines(rules(Sort::Domains), &[record]);
    assert_eq!(listed(made(handling(Tlp::AmberStrict))), ["evil.net"]);
    assert!(listed(made(handling(Tlp::Red))).is_empty());
    let silent =
        crate::model::handling::Handling { onward_uses: Vec::new(), ..handling(Tlp::Clear) };
    assert!(listed(made(silent)).is_empty());
    let recalled = crate::interop::exported::Recalled { sequence: 9, accept_time: at(0) };
    assert!(
        listed(ExportedRecord { recalled: Some(recalled), ..made(handling(Tlp::Clear)) })
            .is_empty()
    );
    let sure = |confidence| {
        let said = pb::Indicator { confidence, ..indicator(Wire::Domain, "", "evil.net") };
        let made = record(1, BodyKind::Indicator, Said::Indicator(said), handling(Tlp::Clear));
        lines(Rules { confidence_min: Some(50), ..rules(Sort::Domains) }, &[made]).len()
    };
    assert_eq!([sure(None), sure(Some(49)), sure(Some(50))], [0, 0, 1]);
}

#[test]
fn a_list_changes_when_something_begins_or_ends() {
    let said = pb::Indicator {
        valid_from_time: Some(wire_at(10)),
        valid_until_time: Some(wire_at(20)),
        ..indicator(Wire::Domain, "", "evil.net")
    };
    let mut list = Blocklist::new(rules(Sort::Domains));
    list.put(&record(1, BodyKind::Indicator, Said::Indicator(said), handling(Tlp::Clear))).unwrap();
    let seen = |now: u64| {
        let listed = list.listed(at(now));
        (listed.lines.len(), listed.next_change)
    };
    assert_eq!(seen(9), (0, Some(at(10))));
    assert_eq!(seen(10), (1, Some(at(20))));
    assert_eq!(seen(20), (0, None));
    list.remove(&name(1));
    assert_eq!(list.listed(at(15)).lines.len(), 0);
}

#[test]
fn one_s_own_is_never_blocked() {
    let allowed = "# ours\n\nbirch.net\nhttps://shop.cedar.net/sale\nx:birch\n@cedar\n";
    let allowed = || Rules { allowed: Allowed::parse(allowed).unwrap(), ..rules(Sort::Domains) };
    let domain = |value| lines(allowed(), &[asset(1, Wire::Domain, "", value)]);
    assert!(domain("birch.net").is_empty() && domain("www.birch.net").is_empty());
    assert!(domain("a.birch.net").is_empty() && domain("shop.cedar.net").is_empty());
    assert_eq!(domain("evilbirch.net"), ["evilbirch.net"]);
    let url =
        |value| lines(Rules { sort: Sort::Urls, ..allowed() }, &[asset(1, Wire::Url, "", value)]);
    assert!(url("https://a.birch.net/x").is_empty() && url("https://birch.net:8443/x").is_empty());
    assert!(url("https://shop.cedar.net/sale").is_empty());
    assert_eq!(url("https://shop.cedar.net/other").len(), 1);
    let handle = |platform, value| {
        lines(
            Rules { sort: Sort::Handles, ..allowed() },
            &[asset(1, Wire::Account, platform, value)],
        )
    };
    assert!(handle("x", "Birch").is_empty() && handle("tiktok", "cedar").is_empty());
    assert_eq!(handle("tiktok", "birch").len(), 1);
    // Above one's own, all of it would be blocked.
    let deep = Rules { allowed: Allowed::parse("mail.elm.net").unwrap(), ..rules(Sort::Domains) };
    assert!(lines(deep, &[asset(1, Wire::Domain, "", "elm.net")]).is_empty());
    assert_eq!(Allowed::parse("birch.net\n???").unwrap_err(), InvalidAllowed::Line { line: 2 });
}

proptest! {
    /// Whatever members say, a line is one value, and means nothing else.
    #[test]
    fn no_value_is_more_than_one_line(
        value in ".{0,40}",
        hostile in "[a-z0-9.*#|^$,;/:@ \\n\\r\\t\"'<>\\-]{0,30}",
        kind in 0_usize..3,
    ) {
        let kinds = [Kind::Domain, Kind::Url, Kind::Account];
        let platform: crate::model::platform::Platform = "x".parse().unwrap();
        for value in [&value, &hostile, &format!("https://{hostile}"), &format!("{hostile}.net")] {
            let Ok(form) = normal_form(kinds[kind], Some(&platform), value) else { continue };
            for sort in [Sort::Domains, Sort::Urls, Sort::Handles] {
                if !sort.takes(&form) {
                    continue;
                }
                let Ok(line) = line::line(sort, &form, false) else { continue };
                let is_unsafe = |one: char| one.is_whitespace() || one.is_control() || "*#|^,;\"'<>$".contains(one);
                let rest = line.replace(|one| sort == Sort::Urls && matches!(one, ',' | ';'), "");
                prop_assert!(!rest.contains(is_unsafe), "{line:?}");
                prop_assert!(!line.is_empty() && !line.starts_with('-'));
            }
        }
    }
}
