//! The normative statements of TAXII 2.1 (OASIS Standard, 10 June 2021) that concern a server that is read from, each
//! with the section and what shows that it holds.
//!
//! | section | a server must | shown by |
//! |---|---|---|
//! | 1.6.8, 3.2 | answer in `application/taxii+json;version=2.1`, and 406 to who takes nothing of that | `media_types` |
//! | 1.6.9 | speak TLS, and let in who may come in only | `access::a_revoked_certificate_...` |
//! | 2 | write times in UTC with a `Z` and six digits | `times_are_in_utc_with_six_digits` |
//! | 3.1 | end its paths with a slash | `hostile::tricks_with_paths_...` |
//! | 3.2 | send the dates of the first and last object with objects, manifests and versions | `lists` |
//! | 3.3 | sort by the date on which an object was added | `paging::nothing_is_given_twice_...` |
//! | 3.4 | give what was added after a time, itself not included | `filters` |
//! | 3.4 | give no more than the limit, and say `more` and `next` | `lists` |
//! | 3.4 | take `next` with the same request, and give what follows | `paging`, `hostile::a_token_...` |
//! | 3.4 | join fields by AND and values by OR | `filters` |
//! | 3.4.1 | `match[id]`, `[type]`, `[version]`, `[spec_version]`; the last version unless another is asked for | `filters`, `versions` |
//! | 3.6.1 | say what went wrong in an error message with a title; a status in it is that of the answer | `errors` |
//! | 3.7 | leave out `objects` if there are none | `filters` |
//! | 4.1 | answer `/taxii2/` with a title; `default` is one of `api_roots` | `resources` |
//! | 4.2 | have title, versions and `max_content_length` of an API root | `resources` |
//! | 4.3 | answer 404 for a status that there is not | `errors` |
//! | 5.1, 5.2 | have id, title, `can_read`, `can_write` of a collection; an id is a UUID | `resources` |
//! | 5.3 | have id, date, version and, if known, media type of each object in a manifest | `lists` |
//! | 5.4 | give objects that a collection has and no others; 403 or 404 where one may not read | `access` |
//! | 5.5, 5.7 | refuse to write where `can_write` is false | `errors` |
//! | 5.6 | give one object, 404 if there is none | `lists`, `errors` |
//! | 5.8 | list the versions of one object | `versions` |

#![expect(clippy::excessive_nesting, reason = "lists, page by page")]

use serde_json::Value;
use watchfire::model::time::Timestamp;

use crate::taxii::everything;
use crate::taxii::served;
use crate::taxii::tool::Answer;
use crate::taxii::tool::TAXII;
use crate::taxii::tool::Tool;
use crate::world::World;
use crate::world::domain;
use crate::world::operation;
use crate::world::publish;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const FIRST: &str = "x-taxii-date-added-first";
const LAST: &str = "x-taxii-date-added-last";

/// A world with something published, a tool, and the path of everything.
async fn filled() -> (World, Tool, String) {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, operation("Lantern")).await;
    for number in 0..6 {
        publish(&acme, domain(&format!("value-{number}.example"))).await;
    }
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    (world, tool, all)
}

fn text<'a>(value: &'a Value, property: &str) -> &'a str {
    value[property].as_str().unwrap_or_else(|| panic!("{property} of {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_have_what_they_must() {
    let (world, tool, all) = filled().await;
    let discovery = tool.get("/taxii2/").await.body;
    assert!(!text(&discovery, "title").is_empty());
    let roots = discovery["api_roots"].as_array().expect("a list");
    assert!(roots.contains(&discovery["default"]));
    let root = tool.get(text(&discovery, "default")).await.body;
    assert!(!text(&root, "title").is_empty());
    assert_eq!(root["versions"], serde_json::json!([TAXII]));
    assert!(root["max_content_length"].as_u64().expect("a number") > 0);
    let listed = tool.get("/exchange/collections/").await.body;
    let listed = listed["collections"].as_array().expect("a list").clone();
    assert!(listed.len() >= 4, "everything, two audiences, an operation: {listed:?}");
    for collection in &listed {
        let id: uuid::Uuid = text(collection, "id").parse().expect("a UUID");
        assert!(!text(collection, "title").is_empty());
        assert_eq!(
            (&collection["can_read"], &collection["can_write"]),
            (&true.into(), &false.into())
        );
        let one = tool.get(&format!("/exchange/collections/{id}/")).await.body;
        assert_eq!(&one, collection);
    }
    assert!(listed.iter().any(|one| one["title"] == "Lantern"));
    assert_eq!(tool.get(&all).await.status, 200);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn media_types_are_agreed_on() {
    let (world, tool, all) = filled().await;
    for path in
        ["/taxii2/", "/exchange/", "/exchange/collections/", &all, &format!("{all}objects/")]
    {
        for accept in
            [TAXII, "application/taxii+json", "application/taxii+json; version=2.1", "*/*"]
        {
            let answer = tool.ask("GET", path, &[("Accept", accept)]).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, TAXII),
                "{path} {accept}"
            );
        }
        let answer = tool.ask("GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, TAXII));
        for accept in ["application/json", "application/taxii+json;version=2.0", "text/html"] {
            let answer = tool.ask("GET", path, &[("Accept", accept)]).await;
            check_error(&answer, 406, "NOT_ACCEPTABLE");
        }
    }
    let head = tool.ask("HEAD", &format!("{all}objects/"), &[("Accept", TAXII)]).await;
    assert_eq!((head.status, head.body), (200, Value::Null));
    world.finish();
}

#[track_caller]
fn check_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, TAXII), "{answer:?}");
    assert!(!text(&answer.body, "title").is_empty());
    assert_eq!(text(&answer.body, "http_status"), status.to_string());
    assert_eq!(text(&answer.body, "error_code"), code);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_went_wrong() {
    let (world, tool, all) = filled().await;
    let accept = [("Accept", TAXII)];
    let object = "indicator--f7f459f8-3d40-4709-a2d4-b4bc3b45e523";
    let status = "/exchange/status/f7f459f8-3d40-4709-a2d4-b4bc3b45e523/";
    for path in [status, "/other/", &format!("{all}objects/{object}/")] {
        check_error(&tool.get(path).await, 404, "RECORD_NOT_FOUND");
    }
    check_error(&tool.get(&format!("{all}objects/?limit=0")).await, 400, "FIELD_INVALID");
    let written = tool.ask("POST", &format!("{all}objects/"), &accept).await;
    check_error(&written, 403, "READ_ONLY");
    let written = tool.ask("DELETE", &format!("{all}objects/{object}/"), &accept).await;
    check_error(&written, 403, "READ_ONLY");
    for (method, path) in [
        ("POST", "/taxii2/".to_owned()),
        ("PUT", format!("{all}objects/")),
        ("DELETE", all.clone()),
        ("POST", format!("{all}manifest/")),
        ("PATCH", format!("{all}objects/{object}/versions/")),
    ] {
        let answer = tool.ask(method, &path, &accept).await;
        check_error(&answer, 405, "METHOD_NOT_ALLOWED");
        assert!(answer.header("allow").contains("GET"), "{answer:?}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_when_they_go_on_and_when_objects_were_added() {
    let (world, tool, all) = filled().await;
    let manifest = tool.walk(&format!("{all}manifest/"), "").await;
    for entry in &manifest {
        assert_eq!(text(entry, "media_type"), "application/stix+json;version=2.1");
        assert!(!text(entry, "version").is_empty() && text(entry, "id").contains("--"));
    }
    let (mut at, mut next) = (0, String::new());
    for list in ["objects", "manifest"] {
        loop {
            let answer = tool.get(&format!("{all}{list}/?limit=2{next}")).await;
            let objects = answer.objects();
            assert!(!objects.is_empty() && objects.len() <= 2, "{answer:?}");
            let dates = &manifest[at..at + objects.len()];
            assert_eq!(answer.header(FIRST), text(&dates[0], "date_added"));
            assert_eq!(answer.header(LAST), text(&dates[dates.len() - 1], "date_added"));
            let ids: Vec<&str> = objects.iter().map(|object| text(object, "id")).collect();
            let listed: Vec<&str> = dates.iter().map(|entry| text(entry, "id")).collect();
            assert_eq!(ids, listed);
            at += objects.len();
            assert_eq!(answer.more(), at < manifest.len());
            if !answer.more() {
                break;
            }
            next = format!("&next={}", answer.next());
        }
        (at, next) = (0, String::new());
    }
    let id = text(&manifest[manifest.len() - 1], "id");
    let one = tool.get(&format!("{all}objects/{id}/")).await;
    assert_eq!((one.objects().len(), one.more()), (1, false));
    assert_eq!(one.header(FIRST), one.header(LAST));
    let versions = tool.get(&format!("{all}objects/{id}/versions/")).await;
    assert_eq!(versions.body["versions"].as_array().map(Vec::len), Some(1), "{versions:?}");
    assert_eq!(versions.header(FIRST), one.header(FIRST));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_what_is_given() {
    let (world, tool, all) = filled().await;
    let objects = format!("{all}objects/");
    let whole = tool.walk(&format!("{all}manifest/"), "").await;
    let ids =
        |list: &[Value]| list.iter().map(|one| text(one, "id").to_owned()).collect::<Vec<_>>();
    let middle = text(&whole[whole.len() / 2], "date_added");
    let later: Vec<Value> =
        whole.iter().filter(|one| text(one, "date_added") > middle).cloned().collect();
    assert!(!later.is_empty() && later.len() < whole.len());
    assert_eq!(ids(&tool.walk(&objects, &format!("added_after={middle}")).await), ids(&later));

    let kind = |id: &String| id.split("--").next().expect("a type").to_owned();
    let all_ids = ids(&whole);
    let last = kind(&all_ids[all_ids.len() - 1]);
    let of_kind: Vec<String> = all_ids.iter().filter(|id| kind(id) == last).cloned().collect();
    assert_eq!(ids(&tool.walk(&objects, &format!("match[type]={last}")).await), of_kind);
    let either = format!("match[type]={last},nothing");
    assert_eq!(ids(&tool.walk(&objects, &either).await), of_kind);
    let two = [of_kind[0].clone(), of_kind[of_kind.len() - 1].clone()];
    let by_id = format!("match[id]={},{}", two[1], two[0]);
    assert_eq!(ids(&tool.walk(&objects, &by_id).await), two);
    assert_eq!(ids(&tool.walk(&objects, &format!("limit=1&{by_id}")).await), two, "page by page");
    let both = format!("{by_id}&match[type]=nothing");
    let none = tool.get(&format!("{objects}?{both}")).await;
    assert_eq!((none.status, &none.body), (200, &serde_json::json!({})));
    assert_eq!((none.header(FIRST), none.header(LAST)), ("", ""));
    assert_eq!(ids(&tool.walk(&objects, "match[spec_version]=2.1,2.0").await), all_ids);
    assert_eq!(tool.walk(&objects, "match[spec_version]=2.0").await, Vec::<Value>::new());
    // Each of them by itself, shared ones too.
    for id in &all_ids {
        assert_eq!(
            ids(&tool.walk(&objects, &format!("match[id]={id}")).await),
            std::slice::from_ref(id)
        );
        assert_eq!(tool.get(&format!("{objects}{id}/")).await.status, 200, "{id}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_in_utc_with_six_digits() {
    let (world, tool, all) = filled().await;
    let answer = tool.get(&format!("{all}manifest/")).await;
    let mut times = vec![answer.header(FIRST).to_owned(), answer.header(LAST).to_owned()];
    times.extend(answer.objects().iter().map(|entry| text(entry, "date_added").to_owned()));
    for time in times {
        let parsed = Timestamp::parse(&time).expect("a time");
        assert_eq!((parsed.to_string(), time.len()), (time.clone(), 27), "{time}");
        assert!(time.ends_with('Z'));
    }
    world.finish();
}
