//! The path of a record: published, streamed, read, found, withdrawn; and who does not see it.

use std::collections::BTreeSet;
use std::time::Instant;

use tonic::Code;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::LookUpOptions;
use watchfire::client::Outcome;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RevisionName;
use watchfire::model::reason::Reason;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;

use crate::world;
use crate::world::CANARY;
use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::next_entries;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::replay;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::until;
use crate::world::withdrawal;

const COMPANIES: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

fn latest(name: &watchfire::model::names::RecordName) -> RevisionName {
    RevisionName { record: name.clone(), revision: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_goes_from_one_company_to_another_and_is_recalled() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut live = subscribe(&birch, From::Now, Filter::default(), Ends::Never).await;

    let (name, sequence) = publish(&acme, domain("Rumours[.]example.")).await;
    let entries = next_entries(&mut live).await;
    assert_eq!((entries.len(), entries[0].sequence()), (1, sequence));
    assert_eq!(entries[0].header().name, name);

    let found = birch.get(&latest(&name)).await.expect("the record");
    assert_eq!(found.entry.sequence(), sequence);
    let looked = birch
        .look_up(
            &["hxxps://www.rumours.example/".to_owned(), "rumours.example".to_owned()],
            &LookUpOptions::default(),
        )
        .await;
    assert!(looked.expect("an answer").iter().any(|value| value.entries.len() == 1));

    let (_name, recalled) = publish_for(&acme, withdrawal(&name), handling(&[], &[])).await;
    let entries = next_entries(&mut live).await;
    assert_eq!(entries[0].sequence(), recalled, "a recall reaches those who could see its target");
    assert_eq!(
        birch.get(&latest(&name)).await.expect("the record").withdrawn_sequence,
        Some(recalled)
    );
    let looked = birch
        .look_up(&["rumours.example".to_owned()], &LookUpOptions::default())
        .await
        .expect("an answer");
    assert!(looked[0].entries.is_empty(), "what was withdrawn is not found by value");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_what_is_for_them_and_nothing_else() {
    let mut members = COMPANIES.to_vec();
    members.extend([("harbour-liaison", "observer"), ("quill-audit", "auditor")]);
    let world = World::with(&members).await;
    let acme = world.client("acme-video").await;
    let cases: &[(&[&str], &[&str])] = &[
        (&["all"], &[]),
        (&["companies"], &[]),
        (&["observers"], &[]),
        (&[], &["birch-social"]),
        (&[], &["harbour-liaison"]),
        (&[], &[]),
    ];
    let mut published = Vec::new();
    for (audiences, recipients) in cases {
        let handling = handling(audiences, recipients);
        published.push(publish_for(&acme, domain("one.example"), handling).await);
    }
    let expectations: &[(&str, &[usize])] = &[
        ("acme-video", &[0, 1, 2, 3, 4, 5]),
        ("birch-social", &[0, 1, 3]),
        ("harbour-liaison", &[0, 2, 4]),
        ("quill-audit", &[]),
        ("operator", &[]),
    ];
    for (member, visible) in expectations {
        let client = world.client(member).await;
        let expected: BTreeSet<u64> = visible.iter().map(|index| published[*index].1).collect();
        let seen = replay(&client, Filter::default()).await;
        let seen: BTreeSet<u64> = seen
            .iter()
            .filter(|entry| entry.header().body_kind == BodyKind::Indicator)
            .map(watchfire::client::VerifiedEntry::sequence)
            .collect();
        assert_eq!(seen, expected, "{member} subscribes");
        let listed = client.list_all(&Filter::default()).await.expect("a list");
        let listed: BTreeSet<u64> = listed
            .iter()
            .filter(|entry| entry.header().body_kind == BodyKind::Indicator)
            .map(watchfire::client::VerifiedEntry::sequence)
            .collect();
        assert_eq!(listed, expected, "{member} lists");
        let looked = client
            .look_up(&["one.example".to_owned()], &LookUpOptions::default())
            .await
            .expect("an answer");
        assert_eq!(looked[0].entries.len(), expected.len(), "{member} looks up");
        for (name, sequence) in &published {
            let got = client.get(&latest(name)).await;
            assert_eq!(got.is_ok(), expected.contains(sequence), "{member} gets {sequence}");
        }
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_and_forbidden_are_answered_alike() {
    let mut members = COMPANIES.to_vec();
    members.push(("harbour-liaison", "observer"));
    let world = World::with(&members).await;
    let acme = world.client("acme-video").await;
    let (forbidden, _sequence) = publish(&acme, domain("one.example")).await;
    let absent =
        draft(&acme.signer().expect("a key"), domain("x.example"), handling(&[], &[])).name;
    let mut service = world.client("harbour-liaison").await.exchange_service();
    let mut answers = Vec::new();
    for name in [forbidden, absent] {
        let request = pb::GetRecordRequest { name: name.to_string(), include_record: false };
        let status = service.get_record(request).await.expect_err("a refusal");
        answers.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    assert_eq!(answers[0].0, Code::NotFound);
    assert_eq!(answers[0], answers[1]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_after_the_hub_was_killed() {
    let mut world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let mut places = Vec::new();
    for number in 0..40 {
        places.push(publish(&acme, domain(&format!("n{number}.example"))).await.1);
    }
    let mut seen = Vec::new();
    let mut first = subscribe(&birch, From::Start, Filter::default(), Ends::AtHead).await;
    let mut place = first.place().clone();
    while let Some(delivery) = first.next().await.expect("a delivery") {
        if let Delivery::Entries { entries, .. } = delivery {
            seen.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
        }
        place = first.place().clone();
    }
    world.kill();
    world.start(&[]).await;
    for number in 40..80 {
        places.push(publish(&acme, domain(&format!("n{number}.example"))).await.1);
    }
    let mut second = subscribe(&birch, From::Place(place), Filter::default(), Ends::AtHead).await;
    while let Some(delivery) = second.next().await.expect("a delivery") {
        if let Delivery::Entries { entries, .. } = delivery {
            seen.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
        }
    }
    let distinct: BTreeSet<u64> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "nothing comes twice");
    assert!(places.iter().all(|place| distinct.contains(place)), "nothing is missing");
    world.finish();
}

/// What a stream sends up to the head, as it comes: our client would leave out what it has seen.
async fn sent(client: &Client, start: pb::subscribe_request::Start) -> (Vec<u64>, Vec<pb::Mark>) {
    let request = pb::SubscribeRequest {
        start: Some(start),
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let answer = client.exchange_service().subscribe(request).await.expect("a stream");
    let mut frames = answer.into_inner();
    let (mut sequences, mut marks) = (Vec::new(), Vec::new());
    while let Some(frame) = frames.message().await.expect("a frame") {
        sequences.extend(frame.entries.iter().map(|entry| entry.sequence));
        marks.extend(frame.mark);
    }
    (sequences, marks)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_cursor_comes_what_was_not_sent_and_nothing_else() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let from_start = || pb::subscribe_request::Start::From(pb::StartPoint::Start.into());
    let mut marks = Vec::new();
    for number in 0..4 {
        publish(&acme, domain(&format!("n{number}.example"))).await;
        marks.extend(sent(&birch, from_start()).await.1);
    }
    let (all, _marks) = sent(&birch, from_start()).await;
    for mark in marks {
        let start = pb::subscribe_request::Start::Cursor(mark.cursor);
        let (sequences, later) = sent(&birch, start).await;
        let expected: Vec<u64> =
            all.iter().copied().filter(|sequence| *sequence >= mark.position).collect();
        assert_eq!(sequences, expected, "behind {}", mark.position);
        assert_eq!(later.first().map(|first| first.position), Some(mark.position));
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_holds_for_what_is_there_and_for_what_comes() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (title, _) = publish(&acme, operation("Lantern")).await;
    let named = |value: &str| {
        let pb::body::Content::Indicator(indicator) = domain(value) else {
            panic!("a domain is an indicator");
        };
        let operation = title.to_string();
        pb::body::Content::Indicator(pb::Indicator { operation, ..indicator })
    };
    let filter = Filter { operations: vec![title.clone()], ..Filter::default() };
    let (name, _) = publish(&acme, named("inside.example")).await;
    publish(&acme, domain("outside.example")).await;
    let mut live = subscribe(&birch, From::Now, filter.clone(), Ends::Never).await;
    publish(&acme, domain("outside-too.example")).await;
    let (_, inside) = publish(&acme, named("inside-too.example")).await;
    assert_eq!(next_entries(&mut live).await[0].sequence(), inside);
    let replayed = replay(&birch, filter).await;
    assert_eq!(replayed.len(), 3, "the operation and its two indicators");

    // The record leaves the operation: those who follow the operation still hear of it, marked.
    let current = acme.current(&name).await.expect("an answer").expect("the record");
    let mut next = draft(
        &acme.signer().expect("a key"),
        domain("inside.example"),
        handling(&["companies"], &[]),
    );
    next.name = name;
    next.previous = Some((current.revision, current.header_digest));
    let receipt = acme.publish_one(sign(&acme, next)).await.expect("a receipt");
    loop {
        let delivery = live.next().await.expect("a delivery").expect("no end");
        if let Delivery::Entries { entries, left_filter, .. } = delivery {
            assert_eq!(entries[0].sequence(), receipt.sequence);
            assert_eq!(left_filter, vec![receipt.sequence]);
            break;
        }
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_member_is_out_within_a_second_and_may_come_back() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let mut stream = world
        .client("birch-social")
        .await
        .exchange_service()
        .subscribe(pb::SubscribeRequest::default())
        .await
        .expect("a stream")
        .into_inner();
    stream.message().await.expect("a frame").expect("no end");

    let begun = Instant::now();
    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    let status = loop {
        match stream.message().await {
            Ok(Some(_frame)) => {}
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("suspended"));
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
    let refused = world.watchfire("birch-social", &["list"]);
    assert_eq!(refused.status.code(), Some(3));

    let (_name, meanwhile) = publish(&acme, domain("meanwhile.example")).await;
    demand(&world.watchfire("operator", &["reinstate", "birch-social"]));
    let birch = world.client("birch-social").await;
    let seen = replay(&birch, Filter::default()).await;
    assert!(seen.iter().any(|entry| entry.sequence() == meanwhile));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_member_cannot_connect() {
    let world = World::with(COMPANIES).await;
    demand(&world.watchfire("operator", &["revoke", "birch-social"]));
    until("the list is loaded", async || {
        let refused = world.watchfire("birch-social", &["whoami"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        (refused.status.code() == Some(3) && said.contains("revoked")).then_some(())
    })
    .await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_breaks_no_old_record() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let (_, before) = publish(&acme, domain("before.example")).await;
    demand(&world.watchfire("acme-video", &["keys", "rotate"]));
    let acme = world.client("acme-video").await;
    let (_, after) = publish(&acme, domain("after.example")).await;
    let birch = world.client("birch-social").await;
    let seen: BTreeSet<u64> = replay(&birch, Filter::default())
        .await
        .iter()
        .map(watchfire::client::VerifiedEntry::sequence)
        .collect();
    assert!(seen.contains(&before) && seen.contains(&after));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_record_again_gets_its_first_receipt() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let signer = acme.signer().expect("a key");
    let envelope =
        sign(&acme, draft(&signer, domain("once.example"), handling(&["companies"], &[])));
    let first = acme.publish_one(envelope.clone()).await.expect("a receipt");
    let again = acme.publish_one(envelope.clone()).await.expect("a receipt");
    assert!(!first.repeated && again.repeated);
    assert_eq!((first.sequence, first.leaf_hash), (again.sequence, again.leaf_hash));

    // Even after the record was withdrawn and its key retired.
    publish_for(&acme, withdrawal(&first.name), handling(&[], &[])).await;
    demand(&world.watchfire("acme-video", &["keys", "rotate"]));
    let late = acme.publish_one(envelope).await.expect("a receipt");
    assert_eq!(late.sequence, first.sequence);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_imported_again_publishes_only_what_is_new() {
    let world = World::with(COMPANIES).await;
    let list = world.data().join("list.csv");
    let rows =
        "indicator_type,indicator_value,comment,ds\r\ndomain_name,one.example,,2022-09-27\r\n";
    std::fs::write(&list, rows).expect("a file");
    let list_name = list.to_str().expect("a path in UTF-8").to_owned();
    let import = || {
        demand(&world.watchfire(
            "acme-video",
            &[
                "publish",
                "--meta-csv",
                &list_name,
                "--operation",
                "L",
                "--tlp",
                "green",
                "--audience",
                "companies",
            ],
        ))
    };
    assert!(import().contains("2 new, 0 changed, 0 unchanged"), "the operation and one indicator");
    assert!(import().contains("0 new, 0 changed, 2 unchanged"));
    let longer = rows.replace(",one.example,,", ",one.example,seen again,")
        + "domain_name,two.example,,2022-09-27\r\n";
    std::fs::write(&list, longer).expect("a file");
    assert!(import().contains("1 new, 1 changed, 1 unchanged"));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_says_where_to_go_on() {
    let mut world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("before.example")).await;
    let birch = world.client("birch-social").await;
    let mut stream = birch
        .exchange_service()
        .subscribe(pb::SubscribeRequest::default())
        .await
        .expect("a stream")
        .into_inner();
    while stream.message().await.expect("a frame").expect("no end").mark.is_none() {}
    world.ask_to_stop();
    let status = loop {
        match stream.message().await {
            Ok(Some(_frame)) => {}
            Ok(None) => panic!("the stream ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    let info = tonic_types::StatusExt::get_details_error_info(&status).expect("a reason");
    assert_eq!(info.reason, Reason::Draining.as_str());
    let cursor = hex::decode(&info.metadata["cursor"]).expect("a cursor");
    world.stop();
    world.start(&[]).await;
    let (_, after) = publish(&world.client("acme-video").await, domain("after.example")).await;
    let request = pb::SubscribeRequest {
        start: Some(pb::subscribe_request::Start::Cursor(cursor)),
        until_head: true,
        ..pb::SubscribeRequest::default()
    };
    let birch = world.client("birch-social").await;
    let mut stream =
        birch.exchange_service().subscribe(request).await.expect("a stream").into_inner();
    let mut sequences = Vec::new();
    while let Some(frame) = stream.message().await.expect("a frame") {
        sequences.extend(frame.entries.iter().map(|entry| entry.sequence));
    }
    assert_eq!(sequences, vec![after]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_records_come_back_whole() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let mut envelopes = Vec::new();
    for bytes in [200, 8_000, 8_200, 30_000, 55_000] {
        let narratives = vec!["n".repeat(4_000); bytes / 4_000 + 1];
        let content = pb::body::Content::Operation(pb::Operation {
            title: format!("{CANARY} {bytes}"),
            narratives,
            ..pb::Operation::default()
        });
        let signer = acme.signer().expect("a key");
        envelopes.push(sign(&acme, draft(&signer, content, handling(&["companies"], &[]))));
    }
    let outcomes = acme.publish(envelopes.clone()).await.expect("answers");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Taken(_))), "{outcomes:?}");
    let seen =
        replay(&birch, Filter { body_kinds: vec![BodyKind::Operation], ..Filter::default() }).await;
    let bodies: Vec<_> = seen.iter().map(|entry| entry.envelope().clone()).collect();
    assert_eq!(bodies, envelopes);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_enrols_without_showing_a_private_key() {
    let world = World::new().await;
    let folder = world.profile_folder("dune-forum");
    let folder = folder.to_str().expect("a path in UTF-8").to_owned();
    let exchange = world.client("operator").await.pin().exchange().as_str().to_owned();
    demand(&world.watchfire(
        "operator",
        &["enroll", "dune-forum", "--exchange", &exchange, "--out", &folder],
    ));
    let request = std::path::Path::new(&folder).join("request.json");
    let grant = world.data().join("grant.json");
    let request = request.to_str().expect("a path in UTF-8").to_owned();
    let grant = grant.to_str().expect("a path in UTF-8").to_owned();
    assert!(!std::fs::read_to_string(&request).expect("a request").contains("PRIVATE"));
    demand(&world.watchfire(
        "operator",
        &["admit", "--request", &request, "--role", "company", "--out", &grant],
    ));
    demand(&world.watchfire("dune-forum", &["accept", &grant]));
    let whoami = demand(&world.watchfire("dune-forum", &["whoami"]));
    assert!(whoami.contains("members/dune-forum"), "{whoami}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_member_owns_is_not_registered_again() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let shared = SecretKey::generate().expect("a key");
    acme.add_key(&acme.signer().expect("a key"), &shared).await.expect("a receipt");
    let before = world::head(&birch).await;
    let refused =
        birch.add_key(&birch.signer().expect("a key"), &shared).await.expect_err("a refusal");
    let ClientError::Refused(refused) = refused else { panic!("{refused}") };
    assert!(refused.is(Reason::RosterConflict), "{refused}");
    assert_eq!(world::head(&birch).await, before);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_else_sees_do_not_hide_a_value_from_a_look_up() {
    let world = World::with(COMPANIES).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    for _batch in 0..5 {
        let private = || draft(&signer, domain("flooded.example"), handling(&[], &[]));
        let batch = (0..250).map(|_record| sign(&acme, private())).collect();
        let outcomes = acme.publish(batch).await.expect("an answer");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Taken(_))));
    }
    let (_name, sequence) = publish(&birch, domain("flooded.example")).await;
    let looked = birch
        .look_up(&["flooded.example".to_owned()], &LookUpOptions::default())
        .await
        .expect("an answer");
    let found: Vec<u64> =
        looked[0].entries.iter().map(watchfire::client::VerifiedEntry::sequence).collect();
    assert_eq!((found, looked[0].more), (vec![sequence], false));
    world.finish();
}
