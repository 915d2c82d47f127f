//! Questions to the log, through the front door: what is found, and that nothing is found, or changed, by what a member
//! may not see.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use prost::Message as _;
use serde_json::Value;
use tonic::Code;
use tonic::Status;
use watchfire::client::Client;
use watchfire::client::Draft;
use watchfire::client::LinkFrom;
use watchfire::client::LinksView;
use watchfire::client::LookUpOptions;
use watchfire::client::SearchQuery;
use watchfire::client::VerifiedEntry;
use watchfire::client::Voucher;
use watchfire::model::filter::Filter;
use watchfire::model::handling::Handling;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::reason::Reason;
use watchfire::model::time::Timestamp;
use watchfire::wire;
use watchfire::wire::pb;

use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::in_seconds;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::sign;
use crate::world::until;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company"), ("cedar-micro", "company")];
const ABSENT: &str = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";

fn asset(kind: pb::ObservableKind, platform: &str, value: &str) -> pb::Observable {
    pb::Observable {
        kind: kind.into(),
        platform: platform.to_owned(),
        value: value.to_owned(),
        ..pb::Observable::default()
    }
}

fn indicator(observable: pb::Observable) -> pb::Indicator {
    pb::Indicator { observable: Some(observable), ..pb::Indicator::default() }
}

fn content(indicator: pb::Indicator) -> pb::body::Content {
    pb::body::Content::Indicator(indicator)
}

fn account(handle: &str) -> pb::Indicator {
    indicator(asset(pb::ObservableKind::Account, "x", handle))
}

fn technique(framework: &str, external_id: &str) -> pb::Technique {
    pb::Technique {
        framework: framework.to_owned(),
        external_id: external_id.to_owned(),
        ..pb::Technique::default()
    }
}

fn note(about: &RecordName, text: &str) -> pb::body::Content {
    pb::body::Content::Note(pb::Note { about: about.to_string(), text: text.to_owned() })
}

fn link(
    source: pb::reference::To,
    target: pb::reference::To,
    confidence: u32,
) -> pb::body::Content {
    let reference = |to| Some(pb::Reference { to: Some(to) });
    pb::body::Content::Link(pb::Link {
        source: reference(source),
        target: reference(target),
        r#type: pb::LinkType::Amplifies.into(),
        confidence: Some(confidence),
        description: String::new(),
    })
}

fn to_record(name: &RecordName) -> pb::reference::To {
    pb::reference::To::Record(name.to_string())
}

const fn to_value(value: pb::Observable) -> pb::reference::To {
    pb::reference::To::Value(value)
}

fn text(words: &str) -> SearchQuery {
    SearchQuery { text: words.to_owned(), ..SearchQuery::default() }
}

async fn search_all(client: &Client, query: &SearchQuery, page_size: usize) -> Vec<VerifiedEntry> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (entries, next) = client.search(query, page_size, &token).await.expect("a page");
        all.extend(entries);
        match next {
            Some(next) => token = next,
            None => return all,
        }
    }
}

/// The records that a query finds.
async fn found(client: &Client, query: &SearchQuery) -> BTreeSet<RecordName> {
    let entries = search_all(client, query, 100).await;
    entries.iter().map(|entry| entry.name().clone()).collect()
}

async fn amend(client: &Client, name: &RecordName, content: pb::body::Content) {
    let current = client.current(name).await.expect("an answer").expect("the record");
    let signer = client.signer().expect("a key");
    let next = Draft {
        name: name.clone(),
        previous: Some((current.revision, current.header_digest)),
        ..draft(&signer, content, handling(&["companies"], &[]))
    };
    client.publish_one(sign(client, next)).await.expect("a receipt");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_whatever_their_case_accents_and_defanging() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("L'Élection à Ångström: Große Straße")).await;
    let (voice, _) = publish(&acme, content(account("@Example_Voice"))).await;
    let (news, _) = publish(&acme, domain("news[.]example")).await;
    let (said, _) = publish(&birch, note(&news, "The registrar of NEWS.example was told.")).await;
    for (words, expected) in [
        ("ELECTION", vec![&storm]),
        ("angstrom élection", vec![&storm]),
        ("grosse strasse", vec![&storm]),
        ("@example_voice", vec![&voice]),
        ("EXAMPLE_VOICE", vec![&voice]),
        ("news[.]example", vec![&news, &said]),
        ("news(dot)example registrar", vec![&said]),
        ("election nowhere", vec![]),
    ] {
        let expected: BTreeSet<RecordName> = expected.into_iter().cloned().collect();
        assert_eq!(found(&birch, &text(words)).await, expected, "{words}");
    }
    let shown = demand(&world.watchfire("birch-social", &["search", "angstrom", "ELECTION"]));
    assert!(shown.contains("Große Straße"), "{shown}");
    world.finish();
}

/// Records that differ in every field that can be asked for, by a short name.
async fn varied(acme: &Client, birch: &Client) -> BTreeMap<&'static str, RecordName> {
    let (storm, _) = publish(
        acme,
        pb::body::Content::Operation(pb::Operation {
            title: "Storm".to_owned(),
            origin_regions: vec!["XA".to_owned()],
            target_regions: vec!["GB".to_owned()],
            languages: vec!["fr-CA".to_owned()],
            techniques: vec![technique("disarm", "T0013")],
            ..pb::Operation::default()
        }),
    )
    .await;
    let (calm, _) = publish(
        birch,
        pb::body::Content::Operation(pb::Operation {
            title: "Calm".to_owned(),
            target_regions: vec!["US".to_owned()],
            languages: vec!["frr".to_owned()],
            ..pb::Operation::default()
        }),
    )
    .await;
    let sure = pb::Indicator {
        operation: storm.to_string(),
        confidence: Some(80),
        techniques: vec![technique("attack", "T0013")],
        ..account("storm_voice")
    };
    let (sure, _) = publish(acme, content(sure)).await;
    let past = wire::time::timestamp_to_wire(Timestamp::from_micros(1).expect("a time"));
    let old = pb::Indicator {
        confidence: Some(20),
        valid_until_time: Some(past),
        ..indicator(asset(pb::ObservableKind::Page, "facebook", "storm.page"))
    };
    let (old, _) = publish(birch, content(old)).await;
    let (said, _) = publish(birch, note(&storm, "storm is coming")).await;
    BTreeMap::from([("storm", storm), ("calm", calm), ("sure", sure), ("old", old), ("said", said)])
}

/// Queries with one field each, and some with several, and what they find.
fn queries(
    names: &BTreeMap<&'static str, RecordName>,
    middle: Timestamp,
) -> Vec<(SearchQuery, Vec<&'static str>)> {
    let within = |filter| SearchQuery { filter, ..SearchQuery::default() };
    let texts = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let kinds =
        |kinds: &[BodyKind]| within(Filter { body_kinds: kinds.to_vec(), ..Filter::default() });
    let confident = |least| SearchQuery { confidence_min: Some(least), ..SearchQuery::default() };
    let everything = ["storm", "calm", "sure", "old", "said"];
    vec![
        (SearchQuery::default(), everything.to_vec()),
        (kinds(&[BodyKind::Operation, BodyKind::Note]), vec!["storm", "calm", "said"]),
        (
            within(Filter { kinds: vec![ObservableKind::Page.number()], ..Filter::default() }),
            vec!["old"],
        ),
        (within(Filter { platforms: texts(&["x"]), ..Filter::default() }), vec!["sure"]),
        (
            within(Filter {
                publishers: vec!["birch-social".parse().expect("a member")],
                ..Filter::default()
            }),
            vec!["calm", "old", "said"],
        ),
        (
            within(Filter { operations: vec![names["storm"].clone()], ..Filter::default() }),
            vec!["storm", "sure", "said"],
        ),
        (confident(20), vec!["sure", "old"]),
        (confident(21), vec!["sure"]),
        (confident(0), vec!["sure", "old"]),
        (
            SearchQuery { active_only: true, ..SearchQuery::default() },
            vec!["storm", "calm", "sure", "said"],
        ),
        (
            SearchQuery { since: Some(middle), ..SearchQuery::default() },
            vec!["sure", "old", "said"],
        ),
        (SearchQuery { until: Some(middle), ..SearchQuery::default() }, vec!["storm", "calm"]),
        (
            SearchQuery { since: Some(middle), until: Some(middle), ..SearchQuery::default() },
            vec![],
        ),
        // Of several fields all count.
        (SearchQuery { active_only: true, ..confident(0) }, vec!["sure"]),
        (
            SearchQuery {
                text: "storm".to_owned(),
                regions: texts(&["US"]),
                ..SearchQuery::default()
            },
            vec![],
        ),
        (SearchQuery { text: "storm".to_owned(), ..kinds(&[BodyKind::Note]) }, vec!["said"]),
        (
            SearchQuery {
                since: Some(middle),
                techniques: texts(&["T0013"]),
                ..SearchQuery::default()
            },
            vec!["sure"],
        ),
    ]
}

/// The same for what describes an operation.
fn describing() -> Vec<(SearchQuery, Vec<&'static str>)> {
    let texts = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let technique = |ids: &[&str]| SearchQuery { techniques: texts(ids), ..SearchQuery::default() };
    let regions = |codes: &[&str]| SearchQuery { regions: texts(codes), ..SearchQuery::default() };
    let languages =
        |tags: &[&str]| SearchQuery { languages: texts(tags), ..SearchQuery::default() };
    vec![
        (technique(&["T0013"]), vec!["storm", "sure"]),
        (technique(&["t0013"]), vec!["storm", "sure"]),
        (technique(&["disarm/T0013"]), vec!["storm"]),
        (technique(&["disarm/T9999", "attack/T0013"]), vec!["sure"]),
        (regions(&["gb"]), vec!["storm"]),
        (regions(&["XA", "US"]), vec!["storm", "calm"]),
        (languages(&["fr"]), vec!["storm"]),
        (languages(&["FR-ca"]), vec!["storm"]),
        (languages(&["frr"]), vec!["calm"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_narrows_alone_and_with_others() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let names = varied(&acme, &birch).await;
    let of_sure = RevisionName { record: names["sure"].clone(), revision: None };
    let middle = acme.get(&of_sure).await.expect("the record").entry.accept_time();
    let cedar = world.client("cedar-micro").await;
    for (query, expected) in queries(&names, middle).into_iter().chain(describing()) {
        let expected: BTreeSet<RecordName> =
            expected.into_iter().map(|name| names[name].clone()).collect();
        assert_eq!(found(&cedar, &query).await, expected, "{query:?}");
    }
    let shown = demand(&world.watchfire(
        "cedar-micro",
        &["search", "--technique", "T0013", "--confidence-min", "70", "--format", "jsonl"],
    ));
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.contains(&names["sure"].to_string()), "{shown}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_the_log_as_it_was_while_others_publish() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("Storm")).await;
    let claim = |value: String| {
        let observable = asset(pb::ObservableKind::Domain, "", &value);
        content(pb::Indicator { operation: storm.to_string(), ..indicator(observable) })
    };
    let mut names = Vec::new();
    for number in 0..25 {
        names.push(publish(&acme, claim(format!("page-{number}.example"))).await.0);
    }
    // So that the operation is the last that is shown.
    amend(&acme, &storm, operation("Storm again")).await;
    let filter = Filter { operations: vec![storm.clone()], ..Filter::default() };
    let by_operation = SearchQuery { filter, ..SearchQuery::default() };
    let everything = SearchQuery::default();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut tokens, mut round) = ((String::new(), String::new()), 0_usize);
    loop {
        let (entries, next) = birch.search(&by_operation, 4, &tokens.0).await.expect("a page");
        first.extend(entries);
        let (entries, also) = birch.search(&everything, 4, &tokens.1).await.expect("a page");
        second.extend(entries);
        let (Some(next), Some(also)) = (next, also) else { break };
        tokens = (next, also);
        // One that was shown, one that was not yet, the operation itself, and a new one.
        amend(&acme, &names[round], claim(format!("again-{round}.example"))).await;
        amend(&acme, &names[24 - round], claim(format!("later-{round}.example"))).await;
        amend(&acme, &storm, operation(&format!("Storm {round}"))).await;
        publish(&acme, claim(format!("new-{round}.example"))).await;
        round += 1;
    }
    assert!(round >= 5, "{round}");
    let expected: BTreeSet<RecordName> = names.iter().cloned().chain([storm.clone()]).collect();
    for shown in [first, second] {
        let records: Vec<RecordName> = shown.iter().map(|entry| entry.name().clone()).collect();
        assert_eq!(records.len(), 26, "none twice: {records:?}");
        assert_eq!(records.into_iter().collect::<BTreeSet<_>>(), expected, "none missing");
        let (last, others) = shown.split_last().expect("some");
        assert_eq!((last.name(), last.header().revision), (&storm, 2), "as it was");
        assert!(others.iter().all(|entry| entry.header().revision == 1), "as they were");
        assert!(shown.is_sorted_by_key(VerifiedEntry::sequence));
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_between_two_pages_is_not_shown_any_more() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut names = Vec::new();
    for number in 0..6 {
        names.push(publish(&acme, domain(&format!("gone-{number}.example"))).await.0);
    }
    let query = text("canary");
    let (page, next) = birch.search(&query, 3, "").await.expect("a page");
    assert_eq!(page.len(), 3);
    publish_for(&acme, withdrawal(&names[4]), handling(&[], &[])).await;
    let (page, _) = birch.search(&query, 3, &next.expect("a token")).await.expect("a page");
    let shown: Vec<&RecordName> = page.iter().map(VerifiedEntry::name).collect();
    assert_eq!(shown, [&names[3], &names[5]]);
    world.finish();
}

fn labels(view: &LinksView) -> BTreeMap<String, (u32, u64)> {
    let label = |node: &watchfire::client::LinkNode| match (&node.record, &node.value) {
        (Some(record), _) => record.to_string(),
        (None, Some(value)) => value.value.clone(),
        (None, None) => String::new(),
    };
    view.nodes.iter().map(|node| (label(node), (node.step, node.beyond))).collect()
}

fn from_domain(value: &str) -> LinkFrom {
    LinkFrom::Value(pb::ValueQuery { value: value.to_owned(), ..pb::ValueQuery::default() })
}

/// An operation with a site and five pages, the link that an account has to the site, and one of that to a channel.
async fn linked(acme: &Client, birch: &Client) -> [RecordName; 3] {
    let (storm, _) = publish(acme, operation("Storm")).await;
    let (site, _) = publish(
        acme,
        content(pb::Indicator {
            operation: storm.to_string(),
            ..indicator(asset(pb::ObservableKind::Domain, "", "daily[.]example"))
        }),
    )
    .await;
    let voice = asset(pb::ObservableKind::Account, "x", "@example_voice");
    let (amplifies, _) = publish(
        birch,
        link(
            to_value(voice.clone()),
            to_value(asset(pb::ObservableKind::Domain, "", "daily.example")),
            70,
        ),
    )
    .await;
    let channel = asset(pb::ObservableKind::Channel, "youtube", "@example_daily");
    publish(acme, link(to_value(voice), to_value(channel), 40)).await;
    for number in 0..5 {
        let page = asset(pb::ObservableKind::Page, "facebook", &format!("page.{number}"));
        publish(birch, content(pb::Indicator { operation: storm.to_string(), ..indicator(page) }))
            .await;
    }
    [storm, site, amplifies]
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_across_platforms_step_by_step_and_count_what_is_beyond() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let [storm, site, amplifies] = linked(&acme, &birch).await;
    let cedar = world.client("cedar-micro").await;
    let (storm, site) = (storm.to_string(), site.to_string());
    let one = labels(&cedar.links(from_domain("daily.example"), 1, 0).await.expect("an answer"));
    let expected = [("daily.example", (0, 0)), (site.as_str(), (1, 1)), ("example_voice", (1, 1))];
    assert_eq!(one, expected.into_iter().map(|(name, at)| (name.to_owned(), at)).collect());

    let two = cedar.links(from_domain("daily.example"), 2, 0).await.expect("an answer");
    let shown = labels(&two);
    assert_eq!((shown[&storm], shown["example_daily"]), ((2, 5), (2, 0)));
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert!(two.edges.iter().all(|edge| edge.voucher == Voucher::Publisher), "{:?}", two.edges);
    let edge = two.edges.iter().find(|edge| edge.record == amplifies).expect("the link");
    assert_eq!((edge.confidence, edge.link_type), (Some(70), pb::LinkType::Amplifies));
    assert_eq!(labels(&two)["daily.example"], (0, 0), "it leads from the account: {edge:?}");

    let four = cedar.links(from_domain("daily.example"), 4, 0).await.expect("an answer");
    assert_eq!(four.nodes.len(), 5 + 5 + 5, "with five indicators and their values");
    let few = cedar.links(from_domain("daily.example"), 4, 3).await.expect("an answer");
    assert_eq!(few.nodes.len(), 3);
    assert_eq!(few.nodes.iter().map(|node| node.beyond).sum::<u64>(), 2);

    let tree =
        demand(&world.watchfire("cedar-micro", &["links", "daily[.]example", "--steps", "2"]));
    for line in [
        "domain daily[.]example",
        "has value [acme-video]",
        "amplifies [birch-social, confidence 70] account x example_voice",
        "operation Storm",
        "5 more, not shown*",
    ] {
        assert!(tree.contains(line), "{line:?} in {tree}");
    }
    let json = demand(
        &world.watchfire("cedar-micro", &["links", &storm, "--steps", "1", "--format", "json"]),
    );
    let json: Value = serde_json::from_str(&json).expect("an object");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(7));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_values_are_looked_up_at_once() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    let value = |number: usize| format!("bulk-{number}.example");
    for batch in 0..4 {
        let envelopes = (0..250).map(|number| {
            let content = domain(&value(batch * 250 + number));
            sign(&acme, draft(&signer, content, handling(&["companies"], &[])))
        });
        let outcomes = acme.publish(envelopes.collect()).await.expect("an answer");
        assert_eq!(outcomes.len(), 250);
    }
    let query = |number| pb::ValueQuery { value: value(number), ..pb::ValueQuery::default() };
    let request = |count: usize| pb::LookupValuesRequest {
        queries: (0..count).map(query).collect(),
        ..pb::LookupValuesRequest::default()
    };
    let answer = birch.exchange_service().lookup_values(request(1000)).await.expect("an answer");
    let results = answer.into_inner().results;
    assert_eq!(results.len(), 1000);
    assert!(results.iter().all(|result| result.entries.len() == 1 && !result.more));
    let refused = birch.exchange_service().lookup_values(request(1001)).await;
    demand_status(&refused.expect_err("a refusal"), Code::ResourceExhausted, Reason::BatchTooLarge);

    let values: Vec<String> = (0..1000).map(value).collect();
    let looked = birch.look_up(&values, &LookUpOptions::default()).await.expect("an answer");
    assert!(looked.iter().all(|found| found.entries.len() == 1));
    world.finish();
}

/// Members who say much of one value cannot make the answer about a thousand of them too large.
#[tokio::test(flavor = "multi_thread")]
async fn matches_that_do_not_fit_one_answer_are_had_one_by_one() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    for value in ["much-1.example", "much-2.example"] {
        let observable = asset(pb::ObservableKind::Domain, "", value);
        let long = pb::Indicator {
            description: "long ".repeat(800),
            labels: (0..60).map(|number| format!("{number} {}", "label".repeat(40))).collect(),
            ..indicator(observable)
        };
        let long = || draft(&signer, content(long.clone()), handling(&["companies"], &[]));
        for _batch in 0..2 {
            let envelopes = (0..45).map(|_record| sign(&acme, long())).collect();
            acme.publish(envelopes).await.expect("an answer");
        }
    }
    let values = ["much-1.example".to_owned(), "much-2.example".to_owned()];
    let queries = values
        .iter()
        .map(|value| pb::ValueQuery { value: value.clone(), ..pb::ValueQuery::default() });
    let request = pb::LookupValuesRequest {
        queries: queries.collect(),
        matches_max: 100,
        include_record: true,
        ..pb::LookupValuesRequest::default()
    };
    let answer = birch.exchange_service().lookup_values(request).await.expect("an answer");
    let results = answer.into_inner().results;
    assert!(results.iter().all(|result| result.more), "both were cut");
    let looked = birch.look_up(&values, &LookUpOptions::default()).await.expect("an answer");
    let counts: Vec<usize> = looked.iter().map(|found| found.entries.len()).collect();
    assert!(counts.iter().all(|count| *count > 50), "alone each has more room: {counts:?}");
    world.finish();
}

/// A hash with so many bits of another flipped, spread over it.
fn flipped(hash: [u8; 32], bits: usize) -> String {
    let mut hash = hash;
    for bit in 0..bits {
        let at = bit * 8;
        *hash.get_mut(at / 8 % 32).expect("a byte") ^= 1 << (at / 256);
    }
    hex::encode(hash)
}

fn media(value: &str, algorithm: &str) -> pb::Observable {
    pb::Observable {
        algorithm: algorithm.to_owned(),
        ..asset(pb::ObservableKind::MediaHash, "", value)
    }
}

async fn distances(
    client: &Client,
    kind: ObservableKind,
    value: &str,
    bits: Option<u32>,
) -> Vec<u32> {
    let options =
        LookUpOptions { kind: Some(kind), distance_max: bits, ..LookUpOptions::default() };
    let mut looked = client.look_up(&[value.to_owned()], &options).await.expect("an answer");
    looked.pop().expect("a result").distances
}

#[tokio::test(flavor = "multi_thread")]
async fn near_images_are_found_up_to_thirty_one_bits_and_other_hashes_exactly() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let hash: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7 % 256).expect("small"));
    for bits in [0, 1, 16, 31, 32, 33] {
        publish(&acme, content(indicator(media(&flipped(hash, bits), "pdq")))).await;
    }
    publish(&acme, content(indicator(media(&flipped(hash, 2), "sha256")))).await;
    let file = asset(pb::ObservableKind::FileHash, "", &flipped(hash, 3));
    publish(&acme, content(indicator(file))).await;
    let sought = hex::encode(hash);
    let near = |bits| distances(&birch, ObservableKind::MediaHash, &sought, bits);
    assert_eq!(near(None).await, [0, 1, 16, 31], "not 32, and nothing that is no PDQ hash");
    assert_eq!(near(Some(31)).await, [0, 1, 16, 31]);
    assert_eq!(near(Some(16)).await, [0, 1, 16]);
    assert_eq!(near(Some(0)).await, [0]);
    let files = distances(&birch, ObservableKind::FileHash, &sought, None).await;
    assert_eq!(files, [0_u32; 0], "three bits off is another file");
    let exact = flipped(hash, 3);
    assert_eq!(distances(&birch, ObservableKind::FileHash, &exact, None).await, [0]);

    let arguments =
        ["lookup", "--kind", "media-hash", "--distance", "16", &sought, "--format", "jsonl"];
    let shown = demand(&world.watchfire("birch-social", &arguments));
    let lines: Vec<Value> =
        shown.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let said: Vec<Option<u64>> = lines.iter().map(|line| line["distance"].as_u64()).collect();
    assert_eq!(said, [None, Some(1), Some(16)]);
    let table = demand(&world.watchfire("birch-social", &arguments[..6]));
    assert!(table.contains("[16 bits off]") && table.contains("KNOWN TO"), "{table}");
    world.finish();
}

/// Three records of a value: one that has expired, one that is about to last, one whose use was limited.
async fn ends(acme: &Client) -> [RecordName; 3] {
    let ago = Timestamp::from_micros(acme.now().as_micros() - 60_000_000).expect("a time");
    let later = in_seconds(acme, 3600);
    let valid = |until: Timestamp| {
        content(pb::Indicator {
            valid_until_time: Some(wire::time::timestamp_to_wire(until)),
            ..indicator(asset(pb::ObservableKind::Domain, "", "ends.example"))
        })
    };
    let (past, _) = publish(acme, valid(ago)).await;
    let (lasting, _) = publish(acme, valid(later)).await;
    let limited = Handling { use_until: Some(ago), ..handling(&["companies"], &[]) };
    let (unusable, _) = publish_for(acme, valid(later), limited).await;
    [past, lasting, unusable]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_marked_and_left_out_where_that_is_asked() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let [past, lasting, unusable] = ends(&acme).await;
    let values = ["ends.example".to_owned()];
    let names = |entries: &[VerifiedEntry]| -> Vec<RecordName> {
        entries.iter().map(|entry| entry.name().clone()).collect()
    };
    let all = birch.look_up(&values, &LookUpOptions::default()).await.expect("an answer");
    assert_eq!(names(&all[0].entries), [past.clone(), lasting.clone(), unusable.clone()]);
    let expired: Vec<bool> =
        all[0].entries.iter().map(|entry| entry.has_expired(birch.now())).collect();
    assert_eq!(expired, [true, false, true]);
    let options = LookUpOptions { active_only: true, ..LookUpOptions::default() };
    let active = birch.look_up(&values, &options).await.expect("an answer");
    assert_eq!(names(&active[0].entries), std::slice::from_ref(&lasting));
    let query = SearchQuery { active_only: true, ..text("ends.example") };
    assert_eq!(found(&birch, &query).await, BTreeSet::from([lasting]));

    let request = pb::SearchRecordsRequest {
        text: "ends.example".to_owned(),
        include_record: true,
        ..pb::SearchRecordsRequest::default()
    };
    let page = birch.query_service().search_records(request).await.expect("a page").into_inner();
    let said: Vec<bool> = page
        .entries
        .iter()
        .map(|entry| entry.record.as_ref().is_some_and(|record| record.expired))
        .collect();
    assert_eq!(said, expired, "the hub says the same");

    let table = demand(&world.watchfire("birch-social", &["lookup", "ends[.]example"]));
    assert_eq!(table.matches("[expired ").count(), 2, "{table}");
    assert!(table.contains("ends[.]example  acme-video"), "who knows it: {table}");
    let lines =
        demand(&world.watchfire("birch-social", &["search", "ends.example", "--format", "jsonl"]));
    assert_eq!(lines.matches("\"expired\":true").count(), 2, "{lines}");
    let lines = demand(&world.watchfire(
        "birch-social",
        &["lookup", "ends.example", "--active-only", "--format", "jsonl"],
    ));
    assert!(lines.lines().count() == 1 && !lines.contains("\"expired\":true"), "{lines}");
    world.finish();
}

/// How many times a record stands in any answer: as a search result, a match, a node, or a part of its operation.
async fn occurrences(
    client: &Client,
    operation: &RecordName,
    name: &RecordName,
    value: &str,
) -> usize {
    let searched = found(client, &SearchQuery::default()).await.contains(name);
    let worded = found(client, &text(value)).await.contains(name);
    let looked =
        client.look_up(&[value.to_owned()], &LookUpOptions::default()).await.expect("an answer");
    let looked = looked.iter().flat_map(|found| &found.entries).any(|entry| entry.name() == name);
    let mut places = usize::from(searched) + usize::from(worded) + usize::from(looked);
    for from in [from_domain(value), LinkFrom::Record(operation.clone())] {
        let view = client.links(from, 2, 0).await.expect("an answer");
        places += view.nodes.iter().filter(|node| node.record.as_ref() == Some(name)).count();
        places += view.edges.iter().filter(|edge| edge.record == *name).count();
        places +=
            usize::try_from(view.nodes.iter().map(|node| node.beyond).sum::<u64>()).expect("few");
    }
    let view = client.operation(operation).await.expect("an answer");
    let assets: u64 = view.assets.iter().map(|count| count.count).sum();
    let metrics = view.metrics.iter().filter(|claim| claim.record == *name).count();
    places + usize::try_from(assets).expect("few") + metrics + view.techniques.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_or_erased_is_in_no_answer() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("Storm")).await;
    let claim = |value: &str| {
        content(pb::Indicator {
            operation: storm.to_string(),
            techniques: vec![technique("disarm", "T0013")],
            metrics: vec![pb::Metric {
                kind: pb::MetricKind::Views.into(),
                figure: Some(pb::Figure { value: Some(pb::figure::Value::Exact(7)) }),
                ..pb::Metric::default()
            }],
            ..indicator(asset(pb::ObservableKind::Domain, "", value))
        })
    };
    let (kept, _) = publish(&acme, claim("taken.example")).await;
    assert!(occurrences(&birch, &storm, &kept, "taken.example").await >= 9);
    publish_for(&acme, withdrawal(&kept), handling(&[], &[])).await;
    assert_eq!(occurrences(&birch, &storm, &kept, "taken.example").await, 0);

    let (gone, _) = publish(&acme, claim("erased.example")).await;
    assert!(occurrences(&birch, &storm, &gone, "erased.example").await >= 9);
    publish_for(&acme, recall(&gone), handling(&[], &[])).await;
    let name = RevisionName { record: gone.clone(), revision: Some(1) };
    until("the body is erased", || async {
        birch.get(&name).await.expect("the record").entry.erased_by()
    })
    .await;
    assert_eq!(occurrences(&birch, &storm, &gone, "erased.example").await, 0);

    publish_for(&acme, withdrawal(&storm), handling(&[], &[])).await;
    assert_eq!(found(&birch, &text("storm")).await, BTreeSet::new());
    let view = birch.operation(&storm).await.expect("an answer");
    assert!(view.withdrawn_sequence.is_some(), "an operation that is asked for by name says so");
    world.finish();
}

fn demand_status(status: &Status, code: Code, reason: Reason) {
    let info = tonic_types::StatusExt::get_details_error_info(status).expect("a reason");
    assert_eq!((status.code(), info.reason.as_str()), (code, reason.as_str()), "{status}");
}

#[track_caller]
fn demand_refused<T: std::fmt::Debug>(answer: Result<T, Status>, reason: Reason, field: &str) {
    let code =
        if reason == Reason::RecordNotFound { Code::NotFound } else { Code::InvalidArgument };
    let status = answer.expect_err("a refusal");
    demand_status(&status, code, reason);
    let violated = tonic_types::StatusExt::get_details_bad_request(&status);
    let violated = violated.map(|request| request.field_violations).unwrap_or_default();
    let fields: Vec<&str> = violated.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, [field], "{status}");
}

/// Requests that cannot be, each with what is wrong with it.
fn bad_searches() -> Vec<(pb::SearchRecordsRequest, Reason, &'static str)> {
    let bad = |spoil: fn(&mut pb::SearchRecordsRequest), reason, field| {
        let mut request = pb::SearchRecordsRequest::default();
        spoil(&mut request);
        (request, reason, field)
    };
    let (invalid, token) = (Reason::FieldInvalid, Reason::PageTokenInvalid);
    let unknown = Reason::UnsupportedField;
    vec![
        bad(|request| " ?! ".clone_into(&mut request.text), invalid, "text"),
        bad(|request| request.text = words(17), invalid, "text"),
        bad(|request| request.text = "a".repeat(2049), invalid, "text"),
        bad(|request| request.page_size = 1001, invalid, "page_size"),
        bad(|request| "zz".clone_into(&mut request.page_token), token, "page_token"),
        bad(|request| request.page_token = "ab".repeat(300), token, "page_token"),
        bad(|request| request.confidence_min = Some(101), invalid, "confidence_min"),
        bad(|request| request.techniques = vec![String::new()], invalid, "techniques"),
        bad(|request| request.regions = vec!["x".to_owned(); 257], invalid, "regions"),
        bad(|request| request.languages = vec!["x".repeat(257)], invalid, "languages"),
        bad(|request| request.accepted_since_time = BEFORE_ALL, invalid, "accepted_since_time"),
        bad(|request| request.accepted_until_time = BEFORE_ALL, invalid, "accepted_until_time"),
        bad(|request| filter_of(request).kinds = vec![99], unknown, "filter.kinds"),
        bad(|request| filter_of(request).body_kinds = vec![77], unknown, "filter.body_kinds"),
        bad(
            |request| filter_of(request).operations = vec!["storm".to_owned()],
            invalid,
            "filter.operations",
        ),
        bad(
            |request| filter_of(request).publishers = vec!["acme".to_owned()],
            invalid,
            "filter.publishers",
        ),
    ]
}

fn words(count: usize) -> String {
    (0..count).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ")
}

const BEFORE_ALL: Option<prost_types::Timestamp> =
    Some(prost_types::Timestamp { seconds: -1, nanos: 0 });

fn filter_of(request: &mut pb::SearchRecordsRequest) -> &mut pb::Filter {
    request.filter.get_or_insert_default()
}

fn bad_walks() -> Vec<(pb::ListLinksRequest, Reason, &'static str)> {
    use pb::list_links_request::Start;

    let value = |value: &str, kind| {
        Some(Start::Value(pb::ValueQuery {
            value: value.to_owned(),
            kind,
            platform: String::new(),
        }))
    };
    let good =
        || pb::ListLinksRequest { start: value("one.example", 0), steps_max: 0, nodes_max: 0 };
    let from = |start| pb::ListLinksRequest { start, ..good() };
    vec![
        (pb::ListLinksRequest { steps_max: 5, ..good() }, Reason::FieldInvalid, "steps_max"),
        (pb::ListLinksRequest { nodes_max: 1001, ..good() }, Reason::FieldInvalid, "nodes_max"),
        (from(None), Reason::FieldInvalid, "start"),
        (from(Some(Start::Record("storm".to_owned()))), Reason::FieldInvalid, "record"),
        (from(Some(Start::Record(ABSENT.to_owned()))), Reason::RecordNotFound, "record"),
        (from(value("?", 0)), Reason::FieldInvalid, "queries.value"),
        (from(value("one.example", 99)), Reason::FieldInvalid, "body.indicator.observable.kind"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_with_its_reason_and_field() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let mut service = acme.query_service();
    let most = pb::SearchRecordsRequest { text: words(16), ..pb::SearchRecordsRequest::default() };
    service.search_records(most).await.expect("sixteen words are taken");
    for (request, reason, field) in bad_searches() {
        demand_refused(service.search_records(request).await, reason, field);
    }
    for (request, reason, field) in bad_walks() {
        demand_refused(service.list_links(request).await, reason, field);
    }
    let (asset, _) = publish(&acme, domain("one.example")).await;
    for (name, reason) in [
        ("", Reason::FieldInvalid),
        ("storm", Reason::FieldInvalid),
        (ABSENT, Reason::RecordNotFound),
        // An indicator is no operation.
        (&asset.to_string(), Reason::RecordNotFound),
    ] {
        let request = pb::GetOperationRequest { name: name.to_owned() };
        demand_refused(service.get_operation(request).await, reason, "name");
    }
    let mut exchange = acme.exchange_service();
    let good = pb::LookupValuesRequest::default;
    let far = pb::LookupValuesRequest { distance_max: Some(32), ..good() };
    demand_refused(exchange.lookup_values(far).await, Reason::FieldInvalid, "distance_max");
    let many = pb::LookupValuesRequest { matches_max: 101, ..good() };
    demand_refused(exchange.lookup_values(many).await, Reason::FieldInvalid, "matches_max");
    let queries = ["", "?", &"a".repeat(3000)]
        .map(|value| pb::ValueQuery { value: value.to_owned(), ..pb::ValueQuery::default() });
    let request = pb::LookupValuesRequest { queries: queries.to_vec(), ..good() };
    let answer = exchange.lookup_values(request).await.expect("an answer").into_inner();
    let reasons =
        answer.results.into_iter().map(|result| result.refusal.expect("a refusal").reason);
    assert!(reasons.into_iter().all(|reason| reason == "FIELD_INVALID"));

    for arguments in [
        ["links", "one.example", "--steps", "5"],
        ["links", "one.example", "--nodes", "1001"],
        ["lookup", "one.example", "--distance", "32"],
        ["search", "word", "--confidence-min", "101"],
        ["show", "members/acme-video/records/1", "--format", "table"],
    ] {
        let said = world.watchfire("acme-video", &arguments);
        assert_eq!(said.status.code(), Some(2), "{arguments:?}");
    }
    let absent = world.watchfire("acme-video", &["show", ABSENT]);
    assert_eq!(absent.status.code(), Some(3));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_serves_its_member_and_request_only() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    for number in 0..3 {
        publish(&acme, domain(&format!("token-{number}.example"))).await;
    }
    let query = text("canary");
    let (_, token) = acme.search(&query, 1, "").await.expect("a page");
    let token = token.expect("a token");
    let (page, _) = acme.search(&query, 1, &token).await.expect("a page");
    assert_eq!(page.len(), 1);
    let ask = |client: &Client, text: &str, page_token: &str| {
        let request = pb::SearchRecordsRequest {
            text: text.to_owned(),
            page_size: 1,
            page_token: page_token.to_owned(),
            ..pb::SearchRecordsRequest::default()
        };
        let mut service = client.query_service();
        async move { service.search_records(request).await }
    };
    let invalid = Reason::PageTokenInvalid;
    demand_refused(ask(&birch, "canary", &token).await, invalid, "page_token");
    demand_refused(ask(&acme, "description", &token).await, invalid, "page_token");
    let listed = pb::ListRecordsRequest { page_size: 1, ..pb::ListRecordsRequest::default() };
    let listed = acme.exchange_service().list_records(listed).await.expect("a page").into_inner();
    demand_refused(ask(&acme, "", &listed.next_page_token).await, invalid, "page_token");
    let mut forged = token.clone().into_bytes();
    forged[20] = if forged[20] == b'0' { b'1' } else { b'0' };
    let forged = String::from_utf8(forged).expect("text");
    demand_refused(ask(&acme, "canary", &forged).await, invalid, "page_token");
    world.finish();
}

/// Every answer that a member gets to the same questions, as bytes.
async fn answers(client: &Client, storm: &RecordName, site: &RecordName) -> Vec<Vec<u8>> {
    use pb::list_links_request::Start;

    let mut queries = client.query_service();
    let request = pb::GetOperationRequest { name: storm.to_string() };
    let answer = queries.get_operation(request).await.expect("an answer").into_inner();
    let mut all = vec![answer.encode_to_vec()];
    let value = |value: &str| {
        Start::Value(pb::ValueQuery { value: value.to_owned(), ..pb::ValueQuery::default() })
    };
    let records = [storm, site].map(|name| Start::Record(name.to_string()));
    for start in records.into_iter().chain([value("shared.example"), value("unheard.example")]) {
        for steps_max in [1, 2, 4] {
            for nodes_max in [1, 3, 100] {
                let request =
                    pb::ListLinksRequest { start: Some(start.clone()), steps_max, nodes_max };
                let answer = queries.list_links(request).await.expect("an answer").into_inner();
                all.push(answer.encode_to_vec());
            }
        }
    }
    for text in ["", "shared", "hidden", "storm"] {
        let request = pb::SearchRecordsRequest {
            text: text.to_owned(),
            include_record: true,
            ..pb::SearchRecordsRequest::default()
        };
        let page = queries.search_records(request).await.expect("a page").into_inner();
        all.push(page.encode_to_vec());
    }
    let queries = ["shared.example", "unheard.example"]
        .map(|value| pb::ValueQuery { value: value.to_owned(), ..pb::ValueQuery::default() });
    let request = pb::LookupValuesRequest {
        queries: queries.to_vec(),
        include_record: true,
        ..pb::LookupValuesRequest::default()
    };
    let looked = client.exchange_service().lookup_values(request).await.expect("an answer");
    all.push(looked.into_inner().encode_to_vec());
    all
}

/// Everything that can be said of an operation and its indicator, for two only.
async fn say_in_private(acme: &Client, storm: &RecordName, site: &RecordName) {
    use pb::body::Content;

    let private = || handling(&[], &["birch-social"]);
    let hidden = pb::Indicator {
        operation: storm.to_string(),
        techniques: vec![technique("disarm", "T0099")],
        description: "hidden".to_owned(),
        ..indicator(asset(pb::ObservableKind::Domain, "", "shared.example"))
    };
    let (secret, _) = publish_for(acme, content(hidden.clone()), private()).await;
    let aggregate = pb::Observable {
        aggregate: Some(pb::Aggregate {
            of: pb::ObservableKind::Page.into(),
            count: Some(pb::Figure { value: Some(pb::figure::Value::Exact(653)) }),
            parts: Vec::new(),
        }),
        ..asset(pb::ObservableKind::Aggregate, "facebook", "")
    };
    let whole = storm.to_string();
    let shared = asset(pb::ObservableKind::Domain, "", "shared.example");
    let said = [
        content(pb::Indicator { observable: Some(aggregate), ..hidden }),
        Content::Attribution(pb::Attribution {
            operation: whole.clone(),
            actor: "hidden".to_owned(),
            ..pb::Attribution::default()
        }),
        Content::ActionReport(pb::ActionReport {
            of: whole.clone(),
            action: pb::Action::Removed.into(),
            ..pb::ActionReport::default()
        }),
        Content::Opinion(pb::Opinion {
            of: site.to_string(),
            stance: pb::Stance::Disagree.into(),
            ..pb::Opinion::default()
        }),
        Content::Sighting(pb::Sighting { of: whole.clone(), count: 3, ..pb::Sighting::default() }),
        Content::Inquiry(pb::Inquiry {
            about: Some(pb::Reference { to: Some(to_record(storm)) }),
            question: "hidden?".to_owned(),
            ..pb::Inquiry::default()
        }),
        note(site, "hidden"),
        link(to_record(storm), to_record(&secret), 50),
        link(to_value(shared.clone()), to_record(site), 50),
        link(
            to_value(asset(pb::ObservableKind::Account, "x", "hidden_voice")),
            to_value(shared),
            5,
        ),
    ];
    for content in said {
        publish_for(acme, content, private()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_may_not_see_changes_no_byte_of_any_answer() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let cedar = world.client("cedar-micro").await;
    let (storm, _) = publish(&acme, operation("Storm")).await;
    let shared = pb::Indicator {
        operation: storm.to_string(),
        ..indicator(asset(pb::ObservableKind::Domain, "", "shared.example"))
    };
    let (site, _) = publish(&acme, content(shared)).await;
    publish(&birch, note(&storm, "storm is shared")).await;
    let before = answers(&cedar, &storm, &site).await;
    let (first, birch_before) = (before.len(), answers(&birch, &storm, &site).await);
    Box::pin(say_in_private(&acme, &storm, &site)).await;
    assert_eq!(answers(&cedar, &storm, &site).await, before);
    let birch_after = answers(&birch, &storm, &site).await;
    let changed = birch_before.iter().zip(&birch_after).filter(|(before, after)| before != after);
    assert!(changed.count() > first / 2, "those who may see it are told");
    let view = birch.operation(&storm).await.expect("an answer");
    let lists = [
        &view.attributions,
        &view.actions,
        &view.opinions,
        &view.sightings,
        &view.inquiries,
        &view.notes,
        &view.links,
    ];
    assert!(lists.iter().all(|list| !list.is_empty()) && view.totals.len() == 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_or_gone_is_not_counted_beyond_the_bound() {
    let world = World::with(MEMBERS).await;
    let (acme, cedar) = (world.client("acme-video").await, world.client("cedar-micro").await);
    let (hidden, _) =
        publish_for(&acme, operation("Hidden"), handling(&[], &["birch-social"])).await;
    let site = pb::Indicator {
        operation: hidden.to_string(),
        ..indicator(asset(pb::ObservableKind::Domain, "", "beyond.example"))
    };
    publish(&acme, content(site)).await;
    let beyond = |view: &LinksView| view.nodes.iter().map(|node| node.beyond).sum::<u64>();
    let view = cedar.links(from_domain("beyond.example"), 1, 0).await.expect("an answer");
    assert_eq!((view.nodes.len(), beyond(&view)), (2, 0), "not the operation");
    let birch = world.client("birch-social").await;
    let view = birch.links(from_domain("beyond.example"), 1, 0).await.expect("an answer");
    assert_eq!(beyond(&view), 1, "it may be seen");

    let (gone, _) = publish(&acme, domain("gone.example")).await;
    let voice = asset(pb::ObservableKind::Account, "x", "far_voice");
    for confidence in [10, 20] {
        let twice = link(to_value(voice.clone()), to_record(&gone), confidence);
        publish(&acme, twice).await;
    }
    let from = LinkFrom::Value(pb::ValueQuery {
        value: "far_voice".to_owned(),
        kind: pb::ObservableKind::Account.into(),
        platform: "x".to_owned(),
    });
    let view = cedar.links(from.clone(), 1, 1).await.expect("an answer");
    assert_eq!(beyond(&view), 1, "one neighbour, though by two links");
    publish_for(&acme, withdrawal(&gone), handling(&[], &[])).await;
    let view = cedar.links(from, 1, 1).await.expect("an answer");
    assert_eq!(beyond(&view), 0);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_an_operation_hides_nobody() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("Storm")).await;
    let signer = acme.signer().expect("a key");
    for _batch in 0..4 {
        let loud =
            || draft(&signer, note(&storm, &"loud ".repeat(800)), handling(&["companies"], &[]));
        let envelopes = (0..150).map(|_record| sign(&acme, loud())).collect();
        acme.publish(envelopes).await.expect("an answer");
    }
    let (quiet, _) = publish(&birch, note(&storm, "quiet")).await;
    let view = birch.operation(&storm).await.expect("an answer that fits");
    assert!(view.notes.iter().any(|entry| *entry.name() == quiet), "it has its turn");
    assert_eq!(u64::try_from(view.notes.len()).expect("few") + view.more, 601);
    let shown = demand(&world.watchfire("birch-social", &["show", &storm.to_string()]));
    assert!(shown.contains("were left out.*"), "it says so");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_more_of_an_operation_than_is_read_hides_nobody() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("Storm")).await;
    let signer = acme.signer().expect("a key");
    let loud = || draft(&signer, note(&storm, "loud"), handling(&["companies"], &[]));
    let examined = watchfire::model::limits::OPERATION_EXAMINED_MAX;
    for _batch in 0..=examined / 256 {
        let envelopes = (0..256).map(|_record| sign(&acme, loud())).collect();
        acme.publish(envelopes).await.expect("an answer");
    }
    let (quiet, _) = publish(&birch, note(&storm, "quiet")).await;
    let view = birch.operation(&storm).await.expect("an answer");
    assert!(view.notes.iter().any(|entry| *entry.name() == quiet), "it has its share");
    assert!(view.more > 0);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_members_commands_no_terminal() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let evil = "Sto\u{1b}[31mrm\u{202e} https://evil.example/\r\nTotals, as each claims them";
    let (storm, _) = publish(&acme, operation(evil)).await;
    publish(&acme, note(&storm, evil)).await;
    let voice = asset(pb::ObservableKind::Account, "x", "evil_voice");
    publish(&acme, link(to_value(voice), to_record(&storm), 1)).await;
    let name = storm.to_string();
    for arguments in [vec!["show", &name], vec!["links", &name], vec!["search", "evil.example"]] {
        let shown = demand(&world.watchfire("birch-social", &arguments));
        assert!(shown.contains("evil[.]example"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown:?}");
        assert!(
            !shown.contains("evil.example")
                && !shown.lines().any(|line| line == "Totals, as each claims them")
        );
    }
    world.finish();
}
