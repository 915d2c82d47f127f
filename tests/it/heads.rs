//! Heads: what publishers sign of their own entries, who may see it, and what shows when the hub has something else.

#![expect(clippy::excessive_nesting, reason = "tables of cases, page by page")]

use std::time::Duration;

use tonic::Status;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::From;
use watchfire::client::HEAD_DUE_AFTER;
use watchfire::client::HeadState;
use watchfire::client::Signer;
use watchfire::model::filter::Filter;
use watchfire::model::head::Counted;
use watchfire::model::head::HeadName;
use watchfire::model::head::PublisherHead;
use watchfire::signing::VerifyingKey;
use watchfire::wire::head::HEAD_PAYLOAD_TYPE;
use watchfire::wire::head::Signed;
use watchfire::wire::head::head_bytes;
use watchfire::wire::pb;

use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::sign;
use crate::world::subscribe;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-chat", "company"),
    ("harbour-liaison", "observer"),
];

fn reason_of(status: &Status) -> String {
    let info = tonic_types::StatusExt::get_details_error_info(status);
    info.map(|info| info.reason).unwrap_or_default()
}

async fn put_all(client: &Client) -> usize {
    let outcome = client.put_heads(true, HEAD_DUE_AFTER).await.expect("answers");
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    outcome.put.len()
}

async fn check(client: &Client) -> Vec<(String, u64, HeadState)> {
    let checked = client.check_heads(None).await.expect("heads").into_iter();
    checked
        .map(|one| (one.head.name.scope.to_string(), one.head.counted.count, one.state))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_publishers_sign_is_what_the_hub_lists() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (one, _) = publish(&acme, domain("one.example")).await;
    publish_for(&acme, domain("two.example"), handling(&["companies"], &["harbour-liaison"])).await;
    publish_for(&acme, domain("three.example"), handling(&[], &["birch-social"])).await;
    publish_for(&acme, domain("four.example"), handling(&[], &[])).await;
    publish_for(&acme, crate::world::withdrawal(&one), handling(&[], &[])).await;
    assert_eq!(put_all(&acme).await, 3);
    // Nothing has come since.
    let again = acme.put_heads(false, HEAD_DUE_AFTER).await.expect("answers");
    assert!(again.put.is_empty() && again.refused.is_empty());

    let (birch, cedar) = (world.client("birch-social").await, world.client("cedar-chat").await);
    let harbour = world.client("harbour-liaison").await;
    let held = |scope: &str, count| (scope.to_owned(), count, HeadState::Held);
    // What was withdrawn counts on, and so does its withdrawal.
    let companies = held("audiences/companies", 3);
    assert_eq!(check(&birch).await, [companies.clone(), held("members/birch-social", 1)]);
    assert_eq!(check(&cedar).await, std::slice::from_ref(&companies));
    assert_eq!(check(&harbour).await, [held("members/harbour-liaison", 1)]);
    assert_eq!(check(&acme).await.len(), 3, "its own");

    // From the command line: publishing signs by itself, whoever follows is told nothing, and the hub may restart.
    world.stop();
    world.start(&[]).await;
    let audience = ["--tlp", "green", "--audience", "companies"];
    let publish = ["publish", "--kind", "domain", "--value", "five.example"];
    demand(&world.watchfire("acme-video", &[&publish[..], &audience].concat()));
    let said = demand(&world.watchfire("birch-social", &["heads", "check", "acme-video"]));
    let line = said.lines().find(|line| line.contains("companies")).expect("a line");
    assert!(line.contains(" 4 ") && line.contains("all there"), "{said}");
    let said = demand(&world.watchfire("acme-video", &["heads", "publish", "--all"]));
    assert!(said.contains("audiences/companies: 4 entries below "), "{said}");
    let said = demand(&world.watchfire("acme-video", &["heads", "rebuild"]));
    assert!(said.starts_with("5 entries count"), "{said}");
    demand(&world.watchfire("acme-video", &["heads", "publish", "--all"]));
    world.finish();
}

/// A head as a publisher with another journal would sign it.
fn signed(signer: &Signer, change: impl FnOnce(&mut PublisherHead)) -> Signed {
    let now = watchfire::model::time::Clock::now(&watchfire::model::time::SystemClock::default());
    let mut head = PublisherHead {
        exchange: signer.exchange().clone(),
        name: HeadName {
            publisher: signer.member().clone(),
            key: signer.key().id(),
            scope: "audiences/companies".parse().expect("a scope"),
        },
        epoch: 1,
        size: 1,
        counted: Counted::default(),
        time: now,
        next_due: now.saturating_add(Duration::from_hours(1)),
        seen: Vec::new(),
    };
    change(&mut head);
    let statement = head_bytes(&head);
    let signature = signer.key().sign(HEAD_PAYLOAD_TYPE, &statement).to_vec();
    Signed { statement, signature }
}

async fn put(client: &Client, head: &Signed) -> String {
    let request = pb::PutPublisherHeadRequest { head: Some(head.to_wire()) };
    let answer = client.transparency_service().put_publisher_head(request).await;
    answer.map_or_else(|status| reason_of(&status), |_kept| "OK".to_owned())
}

/// What is changed in a head, and the field that is refused for it.
type Change<'a> = (&'a dyn Fn(&mut PublisherHead), &'a str);

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of heads")]
async fn a_head_that_does_not_hold_is_refused() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    let mut counted = Counted::default();
    for value in ["one.example", "two.example"] {
        let envelope = sign(&acme, draft(&signer, domain(value), handling(&["companies"], &[])));
        let receipt = acme.publish_one(envelope).await.expect("a receipt");
        counted.take(receipt.sequence, &receipt.header_digest);
    }
    let size = head(&acme).await;
    let with = |change: &dyn Fn(&mut PublisherHead)| {
        signed(&signer, |head| {
            (head.size, head.counted) = (size, counted);
            change(head);
        })
    };
    let good = with(&|_same| ());
    // Missing, malformed, and signed by somebody else.
    let empty = pb::PutPublisherHeadRequest::default();
    let refused = acme.transparency_service().put_publisher_head(empty).await.expect_err("empty");
    assert_eq!(reason_of(&refused), "FIELD_INVALID");
    // Nor does one accuse anybody that counts nothing.
    let nothing = signed(&signer, |head| head.size = 0);
    let checked = birch.check_given_head(&nothing).await.expect("a verdict");
    assert_eq!(checked.state, HeadState::Held);
    let cut = Signed { statement: good.statement[..9].to_vec(), ..good.clone() };
    assert_eq!(put(&acme, &cut).await, "MALFORMED_ENVELOPE");
    let odd = Signed { statement: [&good.statement[..], &[0xf8, 7, 1]].concat(), ..good.clone() };
    assert_eq!(put(&acme, &odd).await, "UNSUPPORTED_FIELD");
    let unsigned = Signed { signature: vec![0; 64], ..good.clone() };
    assert_eq!(put(&acme, &unsigned).await, "BAD_SIGNATURE");
    assert_eq!(put(&birch, &good).await, "SIGNER_IS_NOT_CALLER");
    let birchs = birch.signer().expect("a key").key().clone();
    let stolen = Signer::new(signer.exchange().clone(), signer.member().clone(), birchs);
    assert_eq!(put(&acme, &signed(&stolen, |_same| ())).await, "KEY_NOT_VALID", "another's key");
    // Another key of the same member signs nothing of the named one.
    let statement = good.statement.clone();
    let signature = birch.signer().expect("a key").key().sign(HEAD_PAYLOAD_TYPE, &statement);
    let other = Signed { statement, signature: signature.to_vec() };
    assert_eq!(put(&acme, &other).await, "BAD_SIGNATURE");
    // What the hub sees to be wrong.
    let other = "exchanges/spring-0123456789abcdef";
    let other = watchfire::model::names::ExchangeName::from_name(other).expect("a name");
    let scope = |name: &str| name.parse().expect("a scope");
    let nowhere = "audiences/q0nowher7k3v9q0z8m1x7c5b2n";
    let hours = |count| Duration::from_hours(count);
    let bad: [Change<'_>; 11] = [
        (&|head| (head.size, head.counted) = (0, Counted::default()), "FIELD_INVALID"),
        (&|head| head.size += 9, "FIELD_INVALID"),
        (&|head| head.counted.count -= 1, "FIELD_INVALID"),
        (&|head| head.counted.digest[0] ^= 1, "FIELD_INVALID"),
        (&|head| head.counted = Counted::default(), "FIELD_INVALID"),
        (&|head| head.epoch = 2, "FIELD_INVALID"),
        (&|head| head.name.scope = scope("audiences/all"), "FIELD_INVALID"),
        (&|head| head.name.scope = scope(nowhere), "AUDIENCE_FORBIDDEN"),
        (&|head| head.next_due = head.time.saturating_add(hours(32 * 24)), "FIELD_INVALID"),
        (
            &|head| {
                head.time = head.time.saturating_add(hours(1));
                head.next_due = head.time;
            },
            "CLOCK_SKEW",
        ),
        (&|head| head.exchange = other.clone(), "WRONG_EXCHANGE"),
    ];
    for (change, reason) in bad {
        assert_eq!(put(&acme, &with(change)).await, reason);
    }
    assert_eq!(put(&acme, &good).await, "OK");
    assert_eq!(put(&acme, &good).await, "OK", "again");
    // Back to a smaller log, or to fewer entries.
    let back = signed(&signer, |head| head.size = 1);
    assert_eq!(put(&acme, &back).await, "FIELD_INVALID");
    let earlier = with(&|head| head.time = head.time.saturating_sub(Duration::from_hours(1)));
    assert_eq!(put(&acme, &earlier).await, "FIELD_INVALID");
    // A key that was retired signs no more.
    demand(&world.watchfire("acme-video", &["keys", "rotate"]));
    assert_eq!(
        put(&acme, &with(&|head| head.time = head.time.saturating_add(Duration::from_secs(9))))
            .await,
        "KEY_NOT_VALID"
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_about_heads_are_refused() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let key = acme.signer().expect("a key").key().id().to_string();
    let mut log = acme.transparency_service();
    let good = || pb::ListPublisherEntriesRequest {
        publisher: "members/acme-video".to_owned(),
        key: key.clone(),
        scope: "audiences/companies".to_owned(),
        ..pb::ListPublisherEntriesRequest::default()
    };
    log.list_publisher_entries(good()).await.expect("an empty list");
    let size = head(&acme).await + 1;
    for bad in [
        pb::ListPublisherEntriesRequest { publisher: "acme".to_owned(), ..good() },
        pb::ListPublisherEntriesRequest { key: "00".to_owned(), ..good() },
        pb::ListPublisherEntriesRequest { scope: "companies".to_owned(), ..good() },
        pb::ListPublisherEntriesRequest { page_size: 1001, ..good() },
        pb::ListPublisherEntriesRequest { size, ..good() },
    ] {
        let refused = log.list_publisher_entries(bad.clone()).await.expect_err("refused");
        assert_eq!(reason_of(&refused), "FIELD_INVALID", "{bad:?}");
    }
    let list = pb::ListPublisherHeadsRequest::default;
    for (bad, reason) in [
        (pb::ListPublisherHeadsRequest { publisher: "acme".to_owned(), ..list() }, "FIELD_INVALID"),
        (pb::ListPublisherHeadsRequest { page_size: 1001, ..list() }, "FIELD_INVALID"),
        (
            pb::ListPublisherHeadsRequest { page_token: "zz".to_owned(), ..list() },
            "PAGE_TOKEN_INVALID",
        ),
    ] {
        let refused = log.list_publisher_heads(bad).await.expect_err("refused");
        assert_eq!(reason_of(&refused), reason);
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_page_by_page_and_is_signed_at_its_end() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let signer = acme.signer().expect("a key");
    for batch in 0..7 {
        let drafts = (0..40).map(|at| {
            let reach = if at % 2 == 0 {
                handling(&["companies"], &[])
            } else {
                handling(&[], &["birch-social"])
            };
            draft(&signer, domain(&format!("host{batch}-{at}.example")), reach)
        });
        let envelopes = drafts.map(|draft| sign(&acme, draft)).collect();
        acme.publish(envelopes).await.expect("receipts");
        assert_eq!(put_all(&acme).await, 2);
        assert!(
            check(&birch).await.iter().all(|(_, count, state)| {
                *count == 20 * (batch + 1) && *state == HeadState::Held
            })
        );
    }
    let (mut start, mut seen) = (0, Counted::default());
    let log_key = birch.pin().log_key().verifying();
    loop {
        let request = pb::ListPublisherEntriesRequest {
            publisher: "members/acme-video".to_owned(),
            key: signer.key().id().to_string(),
            scope: "audiences/companies".to_owned(),
            start_sequence: start,
            page_size: 9,
            ..pb::ListPublisherEntriesRequest::default()
        };
        let page = birch.transparency_service().list_publisher_entries(request).await;
        let page = page.expect("a page").into_inner();
        for entry in &page.entries {
            seen.take(entry.sequence, &entry.header_digest.clone().try_into().expect("a digest"));
        }
        start = page.next_sequence;
        if let Some(listing) = page.listing {
            let listing = Signed::from_wire(listing).listing(log_key).expect("signed");
            assert_eq!((listing.counted, start), (seen, 0));
            assert_eq!(seen.count, 140);
            break;
        }
        assert_eq!(page.entries.len(), 9);
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_left_out_is_proven_by_what_both_signed() {
    let mut world = World::with_members_then_stopped(MEMBERS).await;
    // The same exchange and log key, and another log: what a hub that leaves out an entry has.
    let mut liar = world.twin();
    world.start(&[]).await;
    liar.start(&[]).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    put_all(&acme).await;
    let heads = acme.list_heads(None).await.expect("heads");
    let cedar = liar.client("cedar-chat").await;
    publish(&cedar, domain("another.example")).await;
    // Its publisher's head reaches birch on another way than through that hub.
    let birch = liar.client("birch-social").await;
    let checked = birch.check_given_head(&heads[0]).await.expect("a verdict");
    let HeadState::Omitted(omission) = checked.state else { panic!("{checked:?}") };
    let key = VerifyingKey::from_spki(&acme.signer().expect("a key").key().spki());
    let log_key = birch.pin().log_key().verifying();
    let (head, listing) = omission.check(log_key, &key.expect("a key")).expect("evidence");
    assert_eq!((head.counted.count, listing.counted.count), (1, 0));
    // The honest hub's listing is none.
    let birch = world.client("cedar-chat").await;
    let checked = birch.check_given_head(&heads[0]).await.expect("a verdict");
    assert_eq!(checked.state, HeadState::Held);
    liar.finish();
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_member_has_seen_tells_another_of_what_is_hidden_from_it() {
    let mut world = World::with(MEMBERS).await;
    let birch = world.client("birch-social").await;
    publish(&birch, domain("known-to-all.example")).await;
    world.stop();
    let mut liar = world.twin();
    world.start(&[]).await;
    liar.start(&[]).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    publish(&acme, domain("one.example")).await;
    put_all(&acme).await;
    assert_eq!(check(&birch).await.len(), 1);
    put_all(&birch).await;
    // Birch's head names acme's, and both hold where nothing is hidden.
    let cedar = world.client("cedar-chat").await;
    let held = check(&cedar).await;
    assert!(held.len() == 2 && held.iter().all(|(_, _, state)| *state == HeadState::Held));
    let birchs = birch.list_heads(Some(birch.signer().expect("a key").member())).await;
    let birchs = birchs.expect("heads").remove(0);
    assert_eq!(birchs.head_unchecked().expect("a head").seen.len(), 1);
    // Where acme's record is hidden, birch's head tells of it, and is true itself.
    let other = liar.client("cedar-chat").await;
    publish(&other, domain("another.example")).await;
    let checked = other.check_given_head(&birchs).await.expect("a verdict");
    let HeadState::SeenOtherwise(otherwise) = checked.state else { panic!("{checked:?}") };
    let key = VerifyingKey::from_spki(&birch.signer().expect("a key").key().spki());
    let log_key = other.pin().log_key().verifying();
    let (seen, listing) = otherwise.check(log_key, &key.expect("a key")).expect("evidence");
    assert_eq!(seen.publisher.as_str(), "acme-video");
    assert_eq!((seen.counted.count, listing.counted.count), (1, 0));
    liar.finish();
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_puts_a_head_back_is_found_out_by_who_follows() {
    let mut world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    put_all(&acme).await;
    world.stop();
    let mut old = world.twin();
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("two.example")).await;
    put_all(&acme).await;
    let birch = world.client("birch-social").await;
    assert_eq!(check(&birch).await.len(), 1);
    // Birch comes to a hub that was set back, and has lost what it knew of the log, but not the heads.
    old.start(&[]).await;
    let folder = old.profile_folder("birch-social");
    std::fs::copy(
        world.profile_folder("birch-social").join("heads.json"),
        folder.join("heads.json"),
    )
    .expect("a copy");
    let birch = old.client("birch-social").await;
    let state = check(&birch).await.remove(0).2;
    assert!(matches!(state, HeadState::WentBack(_)), "{state:?}");
    let refused = old.watchfire("birch-social", &["heads", "check"]);
    assert_eq!(refused.status.code(), Some(5));
    let mut following = subscribe(&birch, From::Now, Filter::default(), Ends::Never).await;
    following.check_heads_every(Duration::ZERO);
    let error = loop {
        match following.next().await {
            Ok(delivery) => drop(delivery.expect("no end")),
            Err(error) => break error,
        }
    };
    assert_eq!(error.exit_code(), 5, "{error}");
    let ClientError::Unverified(error) = &error else { panic!("{error}") };
    assert!(error.to_string().contains("signed a later head"), "{error}");
    assert!(error.evidence().is_some());
    old.finish();
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_misses_records_is_refused_and_made_anew() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("one.example")).await;
    // The journal is lost, as by a power cut, and more is published.
    std::fs::remove_file(world.profile_folder("acme-video").join("journal.json")).expect("there");
    publish(&acme, domain("two.example")).await;
    let outcome = acme.put_heads(false, HEAD_DUE_AFTER).await.expect("answers");
    assert_eq!((outcome.put.len(), outcome.refused.len()), (0, 1));
    let said = world.watchfire("acme-video", &["heads", "publish"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("heads rebuild"));
    assert_eq!(acme.rebuild_journal().await.expect("a journal"), 2);
    assert_eq!(put_all(&acme).await, 1);
    world.finish();
}
