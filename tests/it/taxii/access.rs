//! Who is given what: everything that one may read, by every endpoint, and nothing else by any.

#![expect(clippy::excessive_nesting, reason = "every endpoint for every reader")]

use std::collections::BTreeSet;

use serde_json::Value;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::model::names::RecordName;

use crate::recalls::erased;
use crate::taxii::everything;
use crate::taxii::served;
use crate::taxii::tail;
use crate::taxii::tool::Answer;
use crate::taxii::tool::Tool;
use crate::world::CANARY;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::until;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("harbour-liaison", "observer"),
    ("jetty-audit", "auditor"),
];

/// Whose objects stand in a list, of these records.
fn shown(objects: &[Value], records: &[RecordName]) -> BTreeSet<RecordName> {
    let has = |record: &&RecordName| {
        let tail = tail(record);
        objects.iter().any(|object| object["id"].as_str().expect("an id").ends_with(&tail))
    };
    records.iter().filter(has).cloned().collect()
}

/// The id of the object of a record, as whoever published it is given it.
async fn id_of(tool: &Tool, record: &RecordName) -> String {
    let all = tool.walk(&format!("{}objects/", everything(tool).await), "").await;
    let tail = tail(record);
    let mut ids = all.iter().map(|object| object["id"].as_str().expect("an id").to_owned());
    ids.find(|id| id.ends_with(&tail)).expect("its own")
}

/// An answer without what tells when it was given.
fn said(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.body.clone())
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "every endpoint for every reader")]
async fn everyone_is_given_what_is_for_them_by_every_endpoint_and_nothing_else() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let circle = draw_audience().expect("a handle");
    let members = vec!["birch-social".parse().expect("a member")];
    let create = KeeperChange::Create { title: "Circle of two".to_owned(), members };
    acme.change_audience(&circle, create).await.expect("a receipt");
    let named = circle.as_str();
    let reaches: [(&[&str], &[&str], &[&str]); 6] = [
        (&["companies"], &[], &["acme-video", "birch-social", "cedar-chat"]),
        (&["observers"], &[], &["acme-video", "harbour-liaison"]),
        (&["all"], &[], &["acme-video", "birch-social", "cedar-chat", "harbour-liaison"]),
        (&[], &["harbour-liaison"], &["acme-video", "harbour-liaison"]),
        (&[], &[], &["acme-video"]),
        (&[named], &[], &["acme-video", "birch-social"]),
    ];
    let mut records = Vec::new();
    for (number, (audiences, recipients, _)) in reaches.iter().enumerate() {
        let handling = || handling(audiences, recipients);
        let one = domain(&format!("value-{number}.example"));
        records.push(publish_for(&acme, one, handling()).await.0);
        // The same value in all of them: what they share is brought by the first that one sees.
        records.push(publish_for(&acme, domain("shared.example"), handling()).await.0);
        let title = format!("Operation {number}");
        records.push(publish_for(&acme, operation(&title), handling()).await.0);
    }
    let own = Tool::of(&world, "acme-video");
    let all = everything(&own).await;
    let mut ids = Vec::new();
    for record in &records {
        ids.push(id_of(&own, record).await);
    }
    let theirs = collections(&own).await;
    let absent = "indicator--f7f459f8-3d40-4709-a2d4-b4bc3b45e523";
    for (member, _role) in MEMBERS.iter().chain(&[("operator", "operator")]) {
        let tool = Tool::of(&world, member);
        let expected: BTreeSet<RecordName> = reaches
            .iter()
            .zip(records.chunks(3))
            .filter(|((_, _, readers), _)| readers.contains(member))
            .flat_map(|(_, records)| records.iter().cloned())
            .collect();
        for list in ["objects/", "manifest/"] {
            let given = tool.walk(&format!("{all}{list}"), "limit=3").await;
            assert_eq!(shown(&given, &records), expected, "{member}: {list}");
            let unique: BTreeSet<&str> =
                given.iter().map(|object| object["id"].as_str().expect("an id")).collect();
            assert_eq!(unique.len(), given.len(), "{member}: something is given twice");
        }
        for (record, id) in records.iter().zip(&ids) {
            let one = tool.get(&format!("{all}objects/{id}/")).await;
            let versions = tool.get(&format!("{all}objects/{id}/versions/")).await;
            let matched = tool.get(&format!("{all}objects/?match[id]={id}")).await;
            let of_absent = tool.get(&format!("{all}objects/{absent}/")).await;
            if expected.contains(record) {
                assert_eq!((one.status, versions.status), (200, 200), "{member}: {id}");
                assert_eq!(one.objects().len(), 1, "{one:?}");
                assert_eq!(matched.objects(), one.objects());
            } else {
                assert_eq!(said(&one), said(&of_absent), "{member}: {id}");
                assert_eq!(said(&versions), said(&of_absent), "{member}: {id}");
                assert_eq!(matched.objects().len(), 0, "{member}: {id}");
            }
        }
        let own: BTreeSet<(String, String)> = collections(&tool).await;
        let unknown = "/exchange/collections/f7f459f8-3d40-4709-a2d4-b4bc3b45e523/";
        for (id, title) in &theirs {
            let path = format!("/exchange/collections/{id}/");
            for rest in ["", "objects/", "manifest/", &format!("objects/{absent}/")] {
                let asked = tool.get(&format!("{path}{rest}")).await;
                if own.iter().any(|(own, _)| own == id) {
                    assert_eq!(asked.status == 404, rest.len() > 30, "{member}: {title} {rest}");
                } else {
                    let missing = tool.get(&format!("{unknown}{rest}")).await;
                    assert_eq!(said(&asked), said(&missing), "{member}: {title} {rest}");
                }
            }
        }
        let titles: BTreeSet<&str> = own.iter().map(|(_, title)| title.as_str()).collect();
        assert_eq!(
            titles.contains("Circle of two"),
            ["acme-video", "birch-social"].contains(member)
        );
        for (number, (_, _, readers)) in reaches.iter().enumerate() {
            let title = format!("Operation {number}");
            assert_eq!(titles.contains(title.as_str()), readers.contains(member), "{member}");
        }
    }
    world.finish();
}

/// The ids and titles of a member's collections.
async fn collections(tool: &Tool) -> BTreeSet<(String, String)> {
    let listed = tool.get("/exchange/collections/").await;
    let listed = listed.body["collections"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    listed.iter().map(|one| (text(&one["id"]), text(&one["title"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_an_audience_or_operation_has_what_belongs_to_it() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (lantern, _) = publish(&acme, operation("Lantern")).await;
    let (other, _) = publish(&acme, operation("Other")).await;
    let of = |value: &str, operation: &RecordName| {
        let mut content = domain(value);
        if let watchfire::wire::pb::body::Content::Indicator(said) = &mut content {
            said.operation = operation.to_string();
        }
        content
    };
    let (inside, _) = publish(&acme, of("inside.example", &lantern)).await;
    let (outside, _) = publish(&acme, of("outside.example", &other)).await;
    let to_all = publish_for(&acme, domain("all.example"), handling(&["all"], &[])).await.0;
    let records = [lantern.clone(), other, inside.clone(), outside, to_all.clone()];

    let tool = Tool::of(&world, "birch-social");
    let listed = collections(&tool).await;
    let objects = |title: &str| {
        let (id, _) = listed.iter().find(|(_, own)| own == title).expect("a collection");
        format!("/exchange/collections/{id}/objects/")
    };
    let given = tool.walk(&objects("Lantern"), "limit=1").await;
    assert_eq!(shown(&given, &records), BTreeSet::from([lantern, inside]));
    let given = tool.walk(&objects("all"), "limit=1").await;
    assert_eq!(shown(&given, &records), BTreeSet::from([to_all.clone()]));
    let given = tool.walk(&objects("companies"), "limit=1").await;
    assert_eq!(
        shown(&given, &records),
        records.iter().filter(|one| **one != to_all).cloned().collect()
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_is_gained_or_lost_counts_from_the_next_call_on() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let circle = draw_audience().expect("a handle");
    let create = KeeperChange::Create { title: "Circle".to_owned(), members: Vec::new() };
    acme.change_audience(&circle, create).await.expect("a receipt");
    let mut records = Vec::new();
    for number in 0..4 {
        let one = domain(&format!("value-{number}.example"));
        records.push(publish_for(&acme, one, handling(&[circle.as_str()], &[])).await.0);
    }
    let cedar = Tool::of(&world, "cedar-chat");
    let all = everything(&cedar).await;
    let objects = format!("{all}objects/");
    assert_eq!(shown(&cedar.walk(&objects, "").await, &records).len(), 0);

    let add = KeeperChange::Add(vec!["cedar-chat".parse().expect("a member")]);
    acme.change_audience(&circle, add).await.expect("a receipt");
    assert_eq!(shown(&cedar.walk(&objects, "").await, &records).len(), 4);
    // The circle is a collection of its own, by which what is older is found without the rest.
    let listed = collections(&cedar).await;
    let (id, _) = listed.iter().find(|(_, title)| title == "Circle").expect("a collection");
    let inside = format!("/exchange/collections/{id}/objects/");
    assert_eq!(shown(&cedar.walk(&inside, "").await, &records).len(), 4);
    let asked = format!("{objects}?limit=1&match[id]={}", ids(&cedar, &records).await);
    let first = cedar.get(&asked).await;
    assert!(first.more(), "{first:?}");

    let remove = KeeperChange::Remove(vec!["cedar-chat".parse().expect("a member")]);
    acme.change_audience(&circle, remove).await.expect("a receipt");
    assert_eq!(shown(&cedar.walk(&objects, "match[version]=all").await, &records).len(), 0);
    assert_eq!(cedar.get(&inside).await.status, 404);
    // A token keeps nothing open.
    let rest = cedar.get(&format!("{asked}&next={}", first.next())).await;
    assert_eq!((rest.status, rest.objects().len()), (200, 0), "{rest:?}");
    world.finish();
}

async fn ids(tool: &Tool, records: &[RecordName]) -> String {
    let mut ids = Vec::new();
    for record in records {
        ids.push(id_of(tool, record).await);
    }
    ids.join(",")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_member_is_told_so_by_every_path_and_given_nothing() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish(&acme, domain("news.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let id = id_of(&tool, &record).await;
    let paths = [
        "/taxii2/".to_owned(),
        "/exchange/".to_owned(),
        "/exchange/collections/".to_owned(),
        "/exchange/status/f7f459f8-3d40-4709-a2d4-b4bc3b45e523/".to_owned(),
        all.clone(),
        format!("{all}objects/"),
        format!("{all}manifest/"),
        format!("{all}objects/{id}/"),
        format!("{all}objects/{id}/versions/"),
        "/nothing/".to_owned(),
    ];
    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    for path in &paths {
        let answer = tool.get(path).await;
        let code = answer.body["error_code"].as_str();
        assert_eq!((answer.status, code), (403, Some("MEMBER_SUSPENDED")), "{path}");
        assert!(!answer.body.to_string().contains(CANARY));
    }
    demand(&world.watchfire("operator", &["reinstate", "birch-social"]));
    assert_eq!(tool.get(&format!("{all}objects/{id}/")).await.status, 200);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_opens_nothing_and_its_open_connections_end() {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;

    let world = served(MEMBERS).await;
    let tool = Tool::of(&world, "birch-social");
    let mut open = tool.dial().await.expect("a connection");
    let request = b"GET /taxii2/ HTTP/1.1\r\nHost: hub\r\n\r\n";
    open.write_all(request).await.expect("it is sent");
    let mut first = [0; 15];
    open.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    demand(&world.watchfire("operator", &["revoke", "birch-social"]));
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(crate::world::PATIENCE, open.read_to_end(&mut rest));
    let _closed = ended.await.expect("it ends");
    until("nobody is let in", || async {
        let answer = tool.converse(request).await.unwrap_or_default();
        answer.is_empty().then_some(())
    })
    .await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_is_in_no_answer() {
    let world = served(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish(&acme, domain("erased-host.example")).await;
    let tool = Tool::of(&world, "birch-social");
    let all = everything(&tool).await;
    let id = id_of(&tool, &record).await;
    publish_for(&acme, recall(&record), handling(&[], &[])).await;
    erased(&acme, &record).await;
    for path in [
        format!("{all}objects/?match[version]=all"),
        format!("{all}objects/"),
        format!("{all}objects/{id}/?match[version]=all"),
        format!("{all}manifest/?match[version]=all"),
        format!("{all}objects/{id}/versions/"),
    ] {
        let answer = tool.get(&path).await;
        assert!([200, 404].contains(&answer.status), "{answer:?}");
        let text = answer.body.to_string();
        assert!(!text.contains("erased-host") && !text.contains(CANARY), "{path}: {text}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_not_asked_to_serves_no_taxii() {
    let world = World::with(&MEMBERS[..1]).await;
    assert!(Tool::of(&world, "acme-video").dial().await.is_err());
    world.finish();
}
