//! Requests that nobody honest makes: refused in words, or cut off, and the hub goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::model::limits;
use watchfire::wire::pb;

use crate::taxii::everything;
use crate::taxii::served;
use crate::taxii::tool::TAXII;
use crate::taxii::tool::Tool;
use crate::world::PATIENCE;
use crate::world::domain;
use crate::world::operation;
use crate::world::publish;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_named_and_a_great_limit_is_a_smaller_one() {
    let world = served(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("news.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("added_after=yesterday", "added_after"),
        ("added_after=2018-13-22T00:00:00Z", "added_after"),
        ("match[version]=newest", "match[version]"),
        ("match[type]=", "match[type]"),
        ("match[id]=a&match[id]=b", "query"),
        ("match[id]=%ff", "query"),
        ("next=00", "next"),
        ("next=", "next"),
        ("next=%00", "next"),
    ] {
        for list in ["objects/", "manifest/"] {
            let answer = tool.get(&format!("{all}{list}?{query}")).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            let said = answer.body["description"].as_str().expect("words");
            assert!(said.starts_with(&format!("{field}: ")), "{query}: {said}");
        }
    }
    for limit in ["1000000000", "99999999999999999999999"] {
        let answer = tool.get(&format!("{all}objects/?limit={limit}")).await;
        assert_eq!((answer.status, answer.more()), (200, false), "{answer:?}");
    }
    let future = tool.get(&format!("{all}objects/?added_after=9999-12-30T00:00:00Z")).await;
    assert_eq!((future.status, future.objects().len()), (200, 0));
    let past = tool.get(&format!("{all}objects/?added_after=1900-01-01T00:00:00Z")).await;
    assert!(!past.objects().is_empty());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_serves_its_member_collection_and_request_alone() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, operation("Lantern")).await;
    for number in 0..4 {
        publish(&acme, domain(&format!("value-{number}.example"))).await;
    }
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let first = tool.get(&format!("{all}objects/?limit=1&match[version]=all")).await;
    let next = first.next().to_owned();
    assert!(first.more() && !next.is_empty());
    let goes_on = format!("{all}objects/?limit=2&match[version]=all&next={next}");
    let second = tool.get(&goes_on).await;
    assert_eq!((second.status, second.objects().len()), (200, 2), "the limit may change");
    assert_eq!(tool.get(&goes_on).await.objects(), second.objects(), "and it can be asked again");

    let listed = tool.get("/exchange/collections/").await;
    let other = listed.body["collections"].as_array().expect("a list").last().cloned();
    let other = other.expect("one")["id"].as_str().expect("an id").to_owned();
    let theirs = Tool::of(&world, "acme-video");
    let mut changed = next.clone().into_bytes();
    changed[9] ^= 1;
    let changed = String::from_utf8(changed).expect("text");
    for (who, path, query) in [
        (&theirs, all.as_str(), format!("match[version]=all&next={next}")),
        (
            &tool,
            &format!("/exchange/collections/{other}/"),
            format!("match[version]=all&next={next}"),
        ),
        (&tool, &all, format!("next={next}")),
        (&tool, &all, format!("match[version]=all&match[type]=indicator&next={next}")),
        (&tool, &all, format!("match[version]=all&next={changed}")),
        (&tool, &all, format!("match[version]=all&next={}", next.get(..40).expect("it is long"))),
        (&tool, &all, format!("match[version]=all&next={}", "ab".repeat(2000))),
    ] {
        let answer = who.get(&format!("{path}objects/?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(answer.body["description"].as_str().expect("words").starts_with("next: "));
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_paths_find_nothing() {
    let world = served(MEMBERS).await;
    publish(&world.client("acme-video").await, domain("news.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let id = all.trim_end_matches('/').rsplit('/').next().expect("an id").to_owned();
    for path in [
        "/",
        "/taxii2",
        "/exchange/collections",
        "/exchange//collections/",
        "/exchange/collections/../../etc/passwd",
        "/exchange/collections/%2e%2e/",
        "/exchange/collections/%2F/",
        "/exchange/collections/%ff/",
        "/exchange/collections/%00/",
        &format!("/exchange/collections/{}/", id.to_uppercase()),
        &format!("/exchange/collections/{{{id}}}/"),
        &format!("/exchange/collections/urn:uuid:{id}/"),
        &format!("/exchange/collections/{}/", id.replace('-', "")),
        &format!("/exchange/collections/{id}%2fobjects/"),
        &format!("{all}objects/x/"),
        &format!("{all}objects/indicator--/"),
        &format!("{all}objects/{}/", "a".repeat(2000)),
        &format!("{all}objects/%ff/"),
        "/watchfire.v1.ExchangeService/ListRecords",
    ] {
        let answer = tool.get(path).await;
        let is_missing = (answer.status, answer.body["error_code"].as_str());
        assert_eq!(is_missing, (404, Some("RECORD_NOT_FOUND")), "{path}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_slow_is_cut_off() {
    let world = served(MEMBERS).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let huge = format!(
        "GET {all}objects/?match[id]={} HTTP/1.1\r\nHost: hub\r\n\r\n",
        "a".repeat(100_000)
    );
    let answer = tool.converse(huge.as_bytes()).await.expect("a connection");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let fields = "X-Field: 1\r\n".repeat(200);
    let many = format!("GET /taxii2/ HTTP/1.1\r\nHost: hub\r\n{fields}\r\n");
    let answer = tool.converse(many.as_bytes()).await.expect("a connection");
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 431"));
    let garbage = tool.converse(&[0x16; 4096]).await.expect("a connection");
    assert!(!String::from_utf8_lossy(&garbage).contains("200 OK"));

    // A client that sends its head byte by byte does not keep its place.
    let slow = async {
        let mut stream = tool.dial().await.expect("a connection");
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        let mut answer = [0; 64];
        loop {
            tokio::select! {
                _ = tick.tick() => if stream.write_all(b"X").await.is_err() { return },
                read = stream.read(&mut answer) => if !read.is_ok_and(|read| read > 0) { return },
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(45), slow).await.expect("it is cut off");

    // One that says that it will send a body is answered all the same; none is read.
    let request = format!(
        "GET {all}objects/ HTTP/1.1\r\nHost: hub\r\nAccept: {TAXII}\r\nContent-Length: 1000000000\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = tool.converse(request.as_bytes()).await.expect("a connection");
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    assert_eq!(tool.get("/taxii2/").await.status, 200, "the hub goes on");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_to_whoever_offers_it_within_bounds() {
    let world = served(MEMBERS).await;
    let tool = Tool::of(&world, "birch-social").speaking(&[b"h2", b"http/1.1"]);
    let stream = tool.dial().await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
    let connection = TaskTracker::new().spawn(connection);
    let mut sender = sender.ready().await.expect("it is ready");
    let request = || {
        let request = http::Request::get("https://hub/taxii2/").header("accept", TAXII);
        request.body(()).expect("a request")
    };
    let (answer, _) = sender.send_request(request(), true).expect("it is sent");
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &TAXII.parse().expect("a value"))
    );
    let settings = sender.current_max_send_streams();
    assert!(settings <= 2, "{settings} requests at once");
    // Who opens and resets without end is sent away.
    let flood = async {
        loop {
            sender = match sender.clone().ready().await {
                Ok(ready) => ready,
                Err(_closed) => return,
            };
            match sender.send_request(request(), true) {
                Ok((_answer, mut stream)) => stream.send_reset(h2::Reason::CANCEL),
                Err(_closed) => return,
            }
        }
    };
    let _bounded = tokio::time::timeout(Duration::from_secs(2), flood).await;
    connection.abort();
    assert_eq!(Tool::of(&world, "birch-social").get("/taxii2/").await.status, 200);

    let other = Tool::of(&world, "birch-social").speaking(&[b"spdy/3"]);
    let answer = other.converse(b"GET /taxii2/ HTTP/1.1\r\nHost: hub\r\n\r\n").await;
    assert!(answer.unwrap_or_default().is_empty(), "no protocol in common");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_waits_for_no_idle_connection() {
    let mut world = served(MEMBERS).await;
    let tool = Tool::of(&world, "birch-social");
    let mut idle = tool.dial().await.expect("a connection");
    idle.write_all(b"GET /taxii2/ HTTP/1.1\r\nHost: hub\r\n\r\n").await.expect("it is sent");
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.expect("an answer");
    let begun = std::time::Instant::now();
    world.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    let _closed = idle.read_to_end(&mut rest).await;
    world.check_log();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_count_against_the_quota_of_look_ups() {
    let world = served(MEMBERS).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let set = ["quota", "set", "birch-social", "--lookups-per-second", "1"];
    crate::world::demand(&world.watchfire("operator", &set));
    let mut refused = None;
    for _call in 0..100 {
        let answer = tool.get(&format!("{all}objects/")).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a hundred at once are too many");
    assert_eq!((refused.status, refused.body["error_code"].as_str()), (429, Some("QUOTA")));
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    world.finish();
}

/// An indicator with as many techniques as one may have.
fn heavy(value: usize, framework: &str) -> pb::body::Content {
    let mut content = domain(&format!("heavy-{value}.example"));
    if let pb::body::Content::Indicator(said) = &mut content {
        let technique = |number| pb::Technique {
            framework: framework.to_owned(),
            external_id: format!("T{number}"),
            ..pb::Technique::default()
        };
        said.techniques = (0..limits::TECHNIQUES_MAX).map(technique).collect();
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_techniques_under_the_same_codes_stop_nobodys_walk() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    for number in 0..12 {
        publish(&acme, heavy(number, "disarm")).await;
    }
    publish(&acme, heavy(12, "attack")).await;
    let (last, _) = publish(&acme, domain("behind.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let objects = format!("{}objects/", everything(&tool).await);
    let all = tool.walk(&objects, "").await;
    let ids: BTreeSet<&str> = all.iter().map(|one| one["id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), all.len(), "something is given twice");
    let patterns = ids.iter().filter(|id| id.starts_with("attack-pattern--")).count();
    assert_eq!(patterns, 2 * limits::TECHNIQUES_MAX);
    let last = crate::taxii::tail(&last);
    assert!(ids.iter().any(|id| id.ends_with(&last)), "what lies behind them is reached");
    // Neither do they for whoever asks for none of it.
    let urls = tool.walk(&objects, "match[type]=url&match[version]=all").await;
    assert_eq!(urls.len(), 0);
    world.finish();
}

/// The token of a page leads further than the one before it.
fn demand_progress(seen: &mut BTreeSet<String>, token: &str) {
    assert!(seen.insert(token.to_owned()), "the page ends where it began");
}

/// A list by as many platforms as one may ask for.
async fn list_by_many_platforms(acme: &Client, birch: &Client) {
    let account = pb::Observable {
        kind: pb::ObservableKind::Account.into(),
        platform: "p0".to_owned(),
        value: "someone".to_owned(),
        ..pb::Observable::default()
    };
    let observable = Some(account);
    let content = pb::Indicator { observable, ..pb::Indicator::default() };
    publish(acme, pb::body::Content::Indicator(content)).await;
    let platforms = (0..limits::FILTER_VALUES_MAX).map(|number| format!("p{number}")).collect();
    let filter = Some(pb::Filter { platforms, ..pb::Filter::default() });
    let mut request = pb::ListRecordsRequest { filter, ..pb::ListRecordsRequest::default() };
    let (mut found, mut seen) = (0, BTreeSet::new());
    loop {
        let listed = birch.exchange_service().list_records(request.clone()).await;
        let listed = listed.expect("a page").into_inner();
        found += listed.entries.len();
        if listed.next_page_token.is_empty() {
            break;
        }
        demand_progress(&mut seen, &listed.next_page_token);
        request.page_token = listed.next_page_token;
    }
    assert_eq!(found, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_many_audiences_comes_to_the_end_of_each_list() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    for number in 0..50 {
        let members = vec!["birch-social".parse().expect("a member")];
        let create = KeeperChange::Create { title: format!("Circle {number}"), members };
        let circle = draw_audience().expect("a handle");
        acme.change_audience(&circle, create).await.expect("a receipt");
    }
    let mut ids = Vec::new();
    for number in 0..limits::FILTER_VALUES_MAX {
        let (record, _) = publish(&acme, domain(&format!("value-{number}.example"))).await;
        ids.push(format!("indicator{}", crate::taxii::tail(&record)));
    }
    let tool = Tool::of(&world, "birch-social");
    let objects = format!("{}objects/", everything(&tool).await);
    let (mut given, mut seen, mut next) = (0, BTreeSet::new(), String::new());
    loop {
        let asked = format!("{objects}?match[id]={}&limit=100{next}", ids.join(","));
        let page = tool.get(&asked).await;
        assert_eq!(page.status, 200, "{page:?}");
        given += page.objects().len();
        if !page.more() {
            break;
        }
        demand_progress(&mut seen, page.next());
        next = format!("&next={}", page.next());
    }
    assert_eq!(given, ids.len());
    // Many ids of one UUID are one look.
    let (_kind, uuid) = ids[0].split_once("--").expect("an id");
    let prefixes: Vec<String> = (0..250).map(|number| format!("x{number}--{uuid}")).collect();
    let same = tool.get(&format!("{objects}?match[id]={},{}", ids[0], prefixes.join(","))).await;
    assert_eq!((same.status, same.objects().len(), same.more()), (200, 1, false));

    let birch = world.client("birch-social").await;
    list_by_many_platforms(&acme, &birch).await;
    world.finish();
}
