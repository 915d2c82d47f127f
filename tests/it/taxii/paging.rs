//! Pages: each version of an object once, none missing, whatever is published in between.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::taxii::everything;
use crate::taxii::served;
use crate::taxii::tail;
use crate::taxii::tool::Tool;
use crate::world::domain;
use crate::world::publish;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
const BEFORE: usize = 40;
const DURING: usize = 60;

/// What tells versions apart in a manifest.
fn version(entry: &Value) -> (String, String) {
    let text = |property: &str| entry[property].as_str().expect("a text").to_owned();
    (text("id"), text("version"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_twice_and_nothing_is_missed_while_others_publish() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let mut records = Vec::new();
    for number in 0..BEFORE {
        // Each value in several records.
        let one = domain(&format!("value-{}.example", number % 10));
        records.push(publish(&acme, one).await.0);
    }
    let publishing = TaskTracker::new().spawn(async move {
        let mut records = Vec::new();
        for number in 0..DURING {
            let one = domain(&format!("value-{}.example", number % 20));
            records.push(publish(&acme, one).await.0);
        }
        records
    });
    let tool = Tool::of(&world, "birch-social");
    let manifest = format!("{}manifest/", everything(&tool).await);
    let mut given: Vec<Value> = Vec::new();
    let mut after = String::new();
    let mut is_over = false;
    // Walk to the end, then ask for what was added after the last, as tools do.
    loop {
        let query = format!("limit=7&match[version]=all{after}");
        given.extend(tool.walk(&manifest, &query).await);
        if let Some(last) = given.last() {
            after = format!("&added_after={}", last["date_added"].as_str().expect("a time"));
        }
        if is_over {
            break;
        }
        is_over = publishing.is_finished();
    }
    records.extend(publishing.await.expect("they are published"));
    let versions: BTreeSet<(String, String)> = given.iter().map(version).collect();
    assert_eq!(versions.len(), given.len(), "something is given twice");
    let dates: Vec<&str> =
        given.iter().map(|entry| entry["date_added"].as_str().expect("a time")).collect();
    assert!(dates.is_sorted(), "{dates:?}");
    for record in &records {
        let tail = tail(record);
        assert!(versions.iter().any(|(id, _)| id.ends_with(&tail)), "{record} is missing");
    }
    let at_once = tool.walk(&manifest, "match[version]=all").await;
    assert_eq!(given, at_once, "the same as in one go");
    let objects = format!("{}objects/", everything(&tool).await);
    let objects = tool.walk(&objects, "limit=11&match[version]=all").await;
    let ids = |list: &[Value]| list.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&objects), ids(&at_once), "objects and manifest agree");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_shows_the_log_as_it_was_when_it_began() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (first, _) = publish(&acme, domain("first.example")).await;
    let (second, _) = publish(&acme, domain("second.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let objects = format!("{}objects/", everything(&tool).await);
    let page = tool.get(&format!("{objects}?limit=1")).await;
    assert!(page.more(), "{page:?}");
    let (late, _) = publish(&acme, domain("late.example")).await;
    let rest = tool.walk(&objects, &format!("limit=1000&next={}", page.next())).await;
    let has = |list: &[Value], record| {
        let tail = tail(record);
        list.iter().any(|one| one["id"].as_str().expect("an id").ends_with(&tail))
    };
    let whole = [page.objects(), rest].concat();
    assert!(has(&whole, &first) && has(&whole, &second) && !has(&whole, &late));
    assert!(has(&tool.walk(&objects, "").await, &late));
    world.finish();
}
