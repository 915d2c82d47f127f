//! Versions: each revision is one, a withdrawal is the last.

use serde_json::Value;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::model::names::RecordName;
use watchfire::model::names::sha256;

use crate::taxii::everything;
use crate::taxii::served;
use crate::taxii::tail;
use crate::taxii::tool::Tool;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::sign;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

/// Publishes three revisions of a record, each with a value of its own.
async fn revised(client: &Client) -> RecordName {
    let signer = client.signer().expect("a key");
    let mut next = draft(&signer, domain("first.example"), handling(&["companies"], &[]));
    for (revision, value) in (1..).zip(["second.example", "third.example", ""]) {
        let envelope = sign(client, next.clone());
        let digest = sha256(&envelope.payload);
        client.publish_one(envelope).await.expect("a receipt");
        next = Draft { previous: Some((revision, digest)), content: domain(value), ..next };
    }
    next.name
}

fn of<'a>(objects: &'a [Value], record: &RecordName) -> Vec<&'a Value> {
    let tail = tail(record);
    let has = |object: &&Value| object["id"].as_str().expect("an id").ends_with(&tail);
    objects.iter().filter(has).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_is_a_version_and_a_withdrawal_the_last() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let record = revised(&acme).await;
    let (kept, _) = publish(&acme, domain("kept.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let manifest = format!("{all}manifest/");
    let three = tool.walk(&manifest, "match[version]=all").await;
    let three = of(&three, &record);
    assert_eq!(three.len(), 3, "{three:?}");
    let id = three[0]["id"].as_str().expect("an id").to_owned();
    let version = |entry: &Value| entry["version"].as_str().expect("a text").to_owned();
    let versions: Vec<String> = three.iter().map(|entry| version(entry)).collect();
    assert!(versions.is_sorted() && versions[0] != versions[2], "{versions:?}");

    // The last unless another is asked for.
    for (query, expected) in [
        ("", vec![2]),
        ("match[version]=last", vec![2]),
        ("match[version]=first", vec![0]),
        ("match[version]=first,last", vec![0, 2]),
        (&format!("match[version]={}", versions[1]), vec![1]),
        (&format!("match[version]={},last", versions[1]), vec![1, 2]),
        ("match[version]=1999-01-01T00:00:00Z", vec![]),
    ] {
        let listed = tool.walk(&manifest, query).await;
        let listed: Vec<String> = of(&listed, &record).iter().map(|entry| version(entry)).collect();
        let expected: Vec<String> =
            expected.iter().map(|at: &usize| versions[*at].clone()).collect();
        assert_eq!(listed, expected, "{query}");
        let one = tool.get(&format!("{all}objects/{id}/?{query}")).await;
        assert_eq!(one.objects().len(), expected.len(), "{query}: {one:?}");
    }
    let listed = tool.get(&format!("{all}objects/{id}/versions/")).await;
    assert_eq!(listed.body["versions"], serde_json::json!(versions));

    publish_for(&acme, withdrawal(&record), handling(&[], &[])).await;
    let listed = tool.get(&format!("{all}objects/{id}/versions/")).await;
    let listed = listed.body["versions"].as_array().expect("a list").clone();
    assert_eq!(listed.len(), 4, "{listed:?}");
    let last = tool.get(&format!("{all}objects/{id}/")).await.objects();
    assert_eq!(last.len(), 1);
    if last[0].get("modified").is_some() {
        assert_eq!(last[0]["revoked"], true, "{last:?}");
        assert_eq!(last[0]["modified"], listed[3]);
    }
    let after = three[2]["date_added"].as_str().expect("a time");
    let news = tool.walk(&manifest, &format!("added_after={after}")).await;
    assert_eq!(of(&news, &record).len(), 1, "who asks for news learns of it");
    assert_eq!(of(&news, &kept).len(), 1);
    world.finish();
}
