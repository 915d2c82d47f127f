//! Recalls and erasure: what is taken back reaches everyone who could see it, is answered once, and is gone where it
//! was; the log stays whole. And what a reader itself knows of a record, which changes nothing of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::Compacted;
use watchfire::client::Delivery;
use watchfire::client::Fact;
use watchfire::client::From;
use watchfire::client::KeeperChange;
use watchfire::client::LookUpOptions;
use watchfire::client::Outcome;
use watchfire::client::RecallHolder;
use watchfire::client::Recalls;
use watchfire::client::VerifiedEntry;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::model::header::BodyKind;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::reason::Reason;
use watchfire::wire::pb;

use crate::durable::json_lines;
use crate::durable::pause;
use crate::durable::start;
use crate::world::CANARY;
use crate::world::Ends;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::head;
use crate::world::next_entries;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::random_moment;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::until;

const MEMBERS: &[(&str, &str)] = &[
    ("acme-video", "company"),
    ("birch-social", "company"),
    ("cedar-microblog", "company"),
    ("dune-forum", "company"),
    ("harbour-liaison", "observer"),
    ("lantern-audit", "auditor"),
];

fn content(entry: &VerifiedEntry) -> pb::body::Content {
    entry.body().content.clone().expect("a body")
}

async fn of_kind(client: &Client, kind: BodyKind) -> Vec<VerifiedEntry> {
    let filter = Filter { body_kinds: vec![kind], ..Filter::default() };
    let mut all = replay(client, filter).await;
    all.retain(|entry| entry.header().body_kind == kind);
    all
}

/// Who answered what about which record, each as often as it did, as its publisher reads it.
async fn answers(publisher: &Client) -> BTreeMap<(String, String), Vec<String>> {
    let mut all: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for entry in of_kind(publisher, BodyKind::Acknowledgement).await {
        let Some(pb::body::Content::Acknowledgement(said)) = &entry.body().content else {
            panic!("an acknowledgement");
        };
        let key = (entry.header().name.member.to_string(), said.of.clone());
        let answer = said.answer().as_str_name().trim_start_matches("ACKNOWLEDGEMENT_ANSWER_");
        all.entry(key).or_default().push(answer.to_owned());
    }
    all
}

fn withdraw(world: &World, member: &str, record: &RecordName, more: &[&str]) {
    let record = record.to_string();
    let words = [&["withdraw", &record, "--reason", "error"][..], more].concat();
    demand(&world.watchfire(member, &words));
}

fn into<'a>(target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["subscribe", "--until-head", "--into", target][..], more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_holder_answers_once_by_what_its_sink_held() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish_for(&acme, domain("news.example"), handling(&["all"], &[])).await;
    let place = scratch();
    let target =
        |member: &str, kind: &str| format!("{kind}{}", place.path().join(member).display());
    let sinks = [
        ("birch-social", target("birch-social", "jsonl:"), "DELETED"),
        ("harbour-liaison", target("harbour-liaison", "sqlite:"), "DELETED"),
        ("cedar-microblog", target("cedar-microblog", ""), "NOT_HELD"),
    ];
    for (member, target, _) in &sinks[..2] {
        demand(&world.watchfire(member, &into(target, &[])));
    }
    withdraw(&world, "acme-video", &record, &["--demand-deletion", "--acknowledge-by", "1d"]);
    let recall = head(&acme).await - 1;

    let waiting = world.watchfire("dune-forum", &["recalls", "--to-answer", "--format", "jsonl"]);
    let waiting = json_lines(&waiting);
    assert_eq!((waiting.len(), &waiting[0]["withdrawn_sequence"]), (1, &recall.into()));
    assert_eq!(waiting[0]["demand_deletion"], true);
    for _again in 0..3 {
        for (member, target, _) in &sinks {
            demand(&world.watchfire(member, &into(target, &["--from", "now"])));
        }
        // Who holds nothing and reads nothing has nothing to say; and a client that is told not to says nothing.
        for member in ["lantern-audit", "operator"] {
            let target = target(member, "jsonl:");
            demand(&world.watchfire(member, &into(&target, &[])));
        }
        let quiet = target("dune-forum", "jsonl:");
        demand(&world.watchfire("dune-forum", &into(&quiet, &["--no-acknowledge"])));
    }
    let expected: BTreeMap<_, _> = sinks
        .iter()
        .map(|(member, _, answer)| {
            (((*member).to_owned(), record.to_string()), vec![(*answer).to_owned()])
        })
        .collect();
    assert_eq!(answers(&acme).await, expected);

    let (deleted, not_held) =
        (pb::AcknowledgementAnswer::Deleted, pb::AcknowledgementAnswer::NotHeld);
    let row = |member: &str, delivered, answer| (member.to_owned(), delivered, answer);
    // A sink that began behind the withdrawal was not sent it on a stream.
    let rows = [
        row("birch-social", true, Some(deleted)),
        row("cedar-microblog", false, Some(not_held)),
        row("dune-forum", true, None),
        row("harbour-liaison", true, Some(deleted)),
    ];
    assert_eq!(holders(&acme, &record).await, rows);
    let table = demand(&world.watchfire("acme-video", &["recalls"]));
    for words in ["dune-forum", "none", "not-held at", "delete by", "there"] {
        assert!(table.contains(words), "{words} in {table}");
    }
    by_hand(&world, &acme, &record).await;
    world.finish();
}

/// Who could see the one record of a publisher that was taken back, whether the hub sent them the withdrawal, and what
/// they answered.
async fn holders(
    publisher: &Client,
    record: &RecordName,
) -> Vec<(String, bool, Option<pb::AcknowledgementAnswer>)> {
    let listed = publisher.recalls(Recalls::Own).await.expect("an answer");
    let [recall] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&recall.record, recall.erased_sequence), (record, None));
    let holders = recall.holders.iter();
    holders.map(|holder| (holder.member.to_string(), holder.delivered, holder.answer)).collect()
}

/// A member answers by hand; who holds nothing may not.
async fn by_hand(world: &World, acme: &Client, record: &RecordName) {
    assert!(birch_recalls(world).is_empty());
    let by_hand = ["acknowledge", &record.to_string(), "--answer", "refused", "--text", "A court."];
    demand(&world.watchfire("dune-forum", &by_hand));
    assert_eq!(answers(acme).await.len(), 4);
    let waiting = world.watchfire("dune-forum", &["recalls", "--to-answer", "--format", "jsonl"]);
    assert!(json_lines(&waiting).is_empty());
    // The operator and auditors have no recalls, and may not answer.
    for member in ["operator", "lantern-audit"] {
        let own =
            world.watchfire(member, &["acknowledge", &record.to_string(), "--answer", "deleted"]);
        assert_eq!(own.status.code(), Some(3));
    }
}

fn birch_recalls(world: &World) -> Vec<serde_json::Value> {
    json_lines(&world.watchfire("birch-social", &["recalls", "--to-answer", "--format", "jsonl"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_without_a_demand_is_for_people_to_answer() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish(&acme, domain("news.example")).await;
    let place = scratch();
    let target = format!("jsonl:{}", place.path().join("sink").display());
    demand(&world.watchfire("birch-social", &into(&target, &[])));
    withdraw(&world, "acme-video", &record, &[]);
    demand(&world.watchfire("birch-social", &into(&target, &[])));
    assert!(answers(&acme).await.is_empty());
    assert_eq!(birch_recalls(&world).len(), 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_given_once_however_often_either_side_is_killed() {
    let mut world = World::with(&MEMBERS[..3]).await;
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    let arguments = ["subscribe", "--name", "main", "--into", &target];
    let mut recalled = BTreeSet::new();
    for round in 0..6_u32 {
        let acme = world.client("acme-video").await;
        let mut fresh = Vec::new();
        for _record in 0..5 {
            fresh.push(publish(&acme, domain("news.example")).await.0);
        }
        let mut child = start(&world, "birch-social", &arguments);
        pause(random_moment() * 4).await;
        for record in &fresh {
            let said = pb::body::Content::Withdrawal(pb::Withdrawal {
                of: record.to_string(),
                reason: pb::WithdrawalReason::Error.into(),
                demand_deletion: true,
                ..pb::Withdrawal::default()
            });
            publish_for(&acme, said, handling(&[], &[])).await;
        }
        pause(random_moment() * 4).await;
        if round % 3 == 2 {
            world.kill();
            world.start(&[]).await;
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        recalled.extend(fresh.into_iter().map(|record| record.to_string()));
    }
    let whole = [&arguments[..], &["--until-head"]].concat();
    demand(&world.watchfire("birch-social", &whole));
    // Another sink, from the start, has nothing to answer any more.
    let second = format!("sqlite:{}", place.path().join("second.db").display());
    demand(&world.watchfire("birch-social", &into(&second, &[])));
    let acme = world.client("acme-video").await;
    let given = answers(&acme).await;
    assert!(given.values().all(|answers| answers.len() == 1), "{given:?}");
    let about: BTreeSet<String> = given.keys().map(|(_member, of)| of.clone()).collect();
    assert_eq!(about, recalled);
    assert!(birch_recalls(&world).is_empty());
    let lines = std::fs::read_to_string(&file).expect("a file");
    assert!(!lines.contains("news.example"), "what was demanded is deleted");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_one_profile_that_run_at_once_answer_once_together() {
    let world = World::with(&MEMBERS[..3]).await;
    let acme = world.client("acme-video").await;
    let place = scratch();
    let targets = ["jsonl:", "sqlite:", ""].map(|kind| {
        format!("{kind}{}", place.path().join(format!("sink{}", kind.len())).display())
    });
    let mut recalled = BTreeSet::new();
    for round in 0..3 {
        let mut fresh = Vec::new();
        for _record in 0..8 {
            fresh.push(publish(&acme, domain("news.example")).await.0);
        }
        // The first ones live, the others from what is listed at the start.
        let arguments: Vec<Vec<&str>> = targets.iter().map(|target| into(target, &[])).collect();
        let live = (round == 0).then(|| {
            let live = ["subscribe", "--into", &targets[0]];
            start(&world, "birch-social", &live)
        });
        if live.is_some() {
            pause(Duration::from_millis(500)).await;
        }
        for record in &fresh {
            withdraw(&world, "acme-video", record, &["--demand-deletion"]);
        }
        if let Some(mut live) = live {
            pause(Duration::from_millis(300)).await;
            World::signal(&live, "-TERM");
            assert!(live.wait().expect("it ends").success());
        }
        let running: Vec<_> =
            arguments.iter().map(|words| start(&world, "birch-social", words)).collect();
        for mut child in running {
            assert!(child.wait().expect("it ends").success());
        }
        recalled.extend(fresh.into_iter().map(|record| record.to_string()));
        let given = answers(&acme).await;
        assert!(given.values().all(|answers| answers.len() == 1), "{given:?}");
        let about: BTreeSet<String> = given.keys().map(|(_member, of)| of.clone()).collect();
        assert_eq!(about, recalled);
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_reaches_whoever_could_see_the_record_and_nobody_else() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let desk = draw_audience().expect("a handle");
    let members = vec!["birch-social".parse::<MemberId>().expect("a member")];
    let create = KeeperChange::Create { title: "Desk".to_owned(), members: members.clone() };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let to_desk = handling(&[desk.as_str()], &[]);
    let (record, _) = publish_for(&acme, domain("news.example"), to_desk).await;
    let birch = world.client("birch-social").await;
    // A stream whose filter the record never matched.
    let urls = Filter { kinds: vec![pb::ObservableKind::Url.into()], ..Filter::default() };
    let mut filtered = subscribe(&birch, From::Now, urls, Ends::Never).await;
    let cedar = world.client("cedar-microblog").await;
    acme.change_audience(&desk, KeeperChange::Remove(members)).await.expect("a receipt");
    birch
        .get(&RevisionName { record: record.clone(), revision: None })
        .await
        .expect_err("it may not see it any more");
    withdraw(&world, "acme-video", &record, &["--demand-deletion", "--acknowledge-by", "1d"]);
    let recall = head(&acme).await - 1;
    let came = next_entries(&mut filtered).await;
    assert_eq!(came.last().map(VerifiedEntry::sequence), Some(recall));
    assert!(replay(&birch, Filter::default()).await.iter().any(|entry| entry.sequence() == recall));
    assert!(replay(&cedar, Filter::default()).await.iter().all(|entry| entry.sequence() != recall));
    // Who has left may answer, and who was never in may not tell that there is something.
    let of = record.to_string();
    let answer = ["acknowledge", &of, "--answer", "deleted"];
    demand(&world.watchfire("birch-social", &answer));
    let stranger = world.watchfire("cedar-microblog", &answer);
    assert_eq!(stranger.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&stranger.stderr).contains(Reason::RecordNotFound.as_str()));
    let listed = acme.recalls(Recalls::Own).await.expect("an answer");
    let holders: Vec<String> =
        listed[0].holders.iter().map(|holder| holder.member.to_string()).collect();
    assert_eq!(holders, ["birch-social"]);
    assert!(listed[0].holders[0].delivered && listed[0].holders[0].answer.is_some());
    world.finish();
}

/// Waits until the hub erased a record's body; the notice's place.
pub(crate) async fn erased(client: &Client, record: &RecordName) -> u64 {
    let notice = until("the hub erased it", || async {
        let name = RevisionName { record: record.clone(), revision: None };
        client.get(&name).await.expect("the fact").entry.erased_by()
    })
    .await;
    // A body goes at once; what says so is shown once it is durable.
    until("the hub says so", || async { (head(client).await > notice).then_some(()) }).await;
    notice
}

/// Words that stand in what is erased and nowhere else.
const WORDS: &str = "heliotrope caravan";

fn spoken(value: &str, operation: &RecordName) -> pb::body::Content {
    let pb::body::Content::Indicator(indicator) = domain(value) else { panic!("an indicator") };
    pb::body::Content::Indicator(pb::Indicator {
        description: WORDS.to_owned(),
        operation: operation.to_string(),
        ..indicator
    })
}

/// Every way in which a member could still come by a body.
async fn is_gone_everywhere(client: &Client, record: &RecordName, storm: &RecordName, value: &str) {
    let name = |revision| RevisionName { record: record.clone(), revision };
    for revision in [None, Some(1), Some(2)] {
        let entry = client.get(&name(revision)).await.expect("the fact").entry;
        assert!(entry.envelope().body.is_empty() && entry.erased_by().is_some());
    }
    for entry in client.list_all(&Filter::default()).await.expect("a list") {
        assert!(!bytes_say(&entry.envelope().body), "list");
    }
    for entry in replay(client, Filter::default()).await {
        assert!(!bytes_say(&entry.envelope().body), "replay");
    }
    let found =
        client.look_up(&[value.to_owned()], &LookUpOptions::default()).await.expect("an answer");
    assert!(found.iter().all(|found| found.entries.is_empty()), "look-up");
    let mut queries = client.query_service();
    let request = pb::SearchRecordsRequest { text: WORDS.to_owned(), ..Default::default() };
    let found = queries.search_records(request).await.expect("an answer").into_inner();
    assert!(found.entries.is_empty(), "search");
    let request = pb::GetOperationRequest { name: storm.to_string() };
    let whole = queries.get_operation(request).await.expect("an answer").into_inner();
    assert!(whole.assets.iter().all(|asset| asset.count == 0), "{:?}", whole.assets);
    let start = Some(pb::list_links_request::Start::Value(pb::ValueQuery {
        value: value.to_owned(),
        ..pb::ValueQuery::default()
    }));
    let request = pb::ListLinksRequest { start, ..pb::ListLinksRequest::default() };
    let linked = queries.list_links(request).await.expect("an answer").into_inner();
    assert!(linked.nodes.iter().all(|node| node.record != record.to_string()), "links");
}

fn bytes_say(bytes: &[u8]) -> bool {
    bytes.windows(WORDS.len()).any(|window| window == WORDS.as_bytes())
}

/// Late sinks get the fact, and what is shown verifies.
fn late_readers_get_the_fact(world: &World, of: &str, at: u64, notice: u64) {
    let place = scratch();
    for kind in ["jsonl:", "sqlite:", ""] {
        let path = place.path().join(format!("sink{}", kind.len()));
        let target = format!("{kind}{}", path.display());
        demand(&world.watchfire("cedar-microblog", &into(&target, &[])));
        if kind == "jsonl:" {
            let text = std::fs::read_to_string(&path).expect("a file");
            let line = text.lines().find(|line| line.contains(&format!("\"sequence\":{at},")));
            let fact = line.and_then(Fact::from_line).expect("a fact");
            assert_eq!(fact.erased.map(|by| by.cause_sequence), Some(notice));
        }
    }
    let lines =
        world.watchfire("birch-social", &["subscribe", "--until-head", "--format", "jsonl"]);
    let lines = demand(&lines);
    assert!(!lines.contains(WORDS) && lines.contains(&format!("\"cause_sequence\":{notice}")));
    let file = place.path().join("shown.jsonl");
    std::fs::write(&file, &lines).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let verified = demand(&world.watchfire("birch-social", &["verify", file]));
    assert!(
        verified.contains(&format!("{} verified, 0 failed", lines.lines().count())),
        "{verified}"
    );
    let table = demand(&world.watchfire("birch-social", &["get", of]));
    assert!(table.contains(&format!("erased, see {notice}")), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_is_gone_everywhere_and_the_log_is_whole() {
    let mut world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("Spring storm")).await;
    let (record, at) = publish(&acme, spoken("news.example", &storm)).await;
    let receipt = format!("{record}@1");
    let before = birch.get(&receipt.parse().expect("a name")).await.expect("it").entry;
    let mut drafter = acme.drafter();
    let amended = drafter
        .amendment(&record, spoken("news2.example", &storm), &watchfire::client::Wish::default())
        .await
        .expect("a draft");
    acme.publish_one(acme.signer().expect("a key").sign(amended, acme.now()).expect("it"))
        .await
        .expect("a receipt");
    let of = record.to_string();
    demand(&world.watchfire("birch-social", &["opine", &of, "--stance", "disagree"]));
    let opinion = of_kind(&acme, BodyKind::Opinion).await.pop().expect("an opinion");
    let lines =
        world.watchfire("birch-social", &["subscribe", "--until-head", "--format", "jsonl"]);
    assert!(demand(&lines).contains(WORDS));

    // Not before it is due.
    withdraw(&world, "acme-video", &record, &["--demand-deletion", "--acknowledge-by", "4s"]);
    let withdrawal = head(&acme).await - 1;
    let entry = birch.get(&receipt.parse().expect("a name")).await.expect("it").entry;
    assert_eq!(entry.erased_by(), None);
    assert!(bytes_say(&entry.envelope().body));
    let mut tail = subscribe(&birch, From::Now, Filter::default(), Ends::Never).await;
    let notice = erased(&birch, &record).await;
    let said = loop {
        let entries = next_entries(&mut tail).await;
        if let Some(entry) = entries.iter().find(|entry| entry.sequence() == notice) {
            break content(entry);
        }
    };
    let pb::body::Content::Erasure(said) = said else { panic!("{said:?}") };
    assert_eq!((said.demand_sequence, &said.sequences[..]), (withdrawal, &[at, at + 1][..]));
    is_gone_everywhere(&birch, &record, &storm, "news.example").await;
    is_gone_everywhere(&birch, &record, &storm, "news2.example").await;
    is_gone_everywhere(&acme, &record, &storm, "news2.example").await;
    let after = birch.get(&receipt.parse().expect("a name")).await.expect("it").entry;
    assert_eq!(after.header_digest(), before.header_digest());
    assert_eq!(after.erased_by(), Some(notice));
    // What others said of it stands.
    let name = RevisionName { record: opinion.header().name.clone(), revision: None };
    assert!(birch.get(&name).await.expect("it").entry.erased_by().is_none());

    late_readers_get_the_fact(&world, &of, at, notice);

    // It is not brought back: not amended, not sent again, and not by a restart.
    let again = ["publish", "--value", "news.example", "--amend", &of];
    let refused = world.watchfire("acme-video", &again);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    let again = acme.publish_one(before.envelope().clone()).await.expect("its first receipt");
    assert!(again.repeated && again.sequence == at);
    world.kill();
    world.start(&[]).await;
    let birch = world.client("birch-social").await;
    is_gone_everywhere(&birch, &record, &storm, "news2.example").await;
    assert!(!CANARY.contains(WORDS));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_imported_again_does_not_bring_back_what_was_erased() {
    let world = World::with(MEMBERS).await;
    let list = world.data().join("list.csv");
    let rows =
        "indicator_type,indicator_value,comment,ds\r\ndomain_name,one.example,,2022-09-27\r\n";
    std::fs::write(&list, rows).expect("a file");
    let list = list.to_str().expect("a path in UTF-8").to_owned();
    let words = ["publish", "--meta-csv", &list, "--operation", "L", "--tlp", "green"];
    let import =
        || world.watchfire("acme-video", &[&words[..], &["--audience", "companies"]].concat());
    demand(&import());
    let acme = world.client("acme-video").await;
    let record =
        of_kind(&acme, BodyKind::Indicator).await.pop().expect("one").header().name.clone();
    withdraw(&world, "acme-video", &record, &["--demand-deletion"]);
    erased(&acme, &record).await;
    let before = head(&acme).await;
    let again = import();
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(head(&acme).await, before, "nothing was appended: {said}");
    assert!(
        acme.look_up(&["one.example".to_owned()], &LookUpOptions::default()).await.expect("it")[0]
            .entries
            .is_empty()
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_takes_down_is_erased_at_once_and_answered() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (storm, _) = publish(&acme, operation("Spring storm")).await;
    let (record, at) = publish(&acme, spoken("news.example", &storm)).await;
    let place = scratch();
    let file = place.path().join("records.jsonl");
    let target = format!("jsonl:{}", file.display());
    demand(&world.watchfire("birch-social", &into(&target, &[])));
    let of = record.to_string();
    let takedown = ["takedown", &of, "--reason", "legal", "--explanation", "A court ordered it."];
    let refused = world.watchfire("acme-video", &takedown);
    assert_eq!(refused.status.code(), Some(3), "only the operator");
    demand(&world.watchfire("operator", &takedown));
    let notice = erased(&birch, &record).await;
    let said = of_kind(&birch, BodyKind::Erasure).await.pop().expect("a notice");
    assert_eq!(said.sequence(), notice);
    let Some(pb::body::Content::Erasure(said)) = &said.body().content else { panic!("a notice") };
    assert_eq!(said.sequences, [at]);
    for _again in 0..2 {
        demand(&world.watchfire("birch-social", &into(&target, &[])));
    }
    assert!(!std::fs::read_to_string(&file).expect("a file").contains(WORDS));
    let given = answers(&acme).await;
    assert_eq!(given[&("birch-social".to_owned(), of.clone())], ["DELETED"]);
    // Its publisher sees who answered.
    let listed = acme.recalls(Recalls::Own).await.expect("an answer");
    assert_eq!((listed.len(), listed[0].erased_sequence), (1, Some(notice)));
    assert!(listed[0].demand_deletion && listed[0].due.is_none());
    // A sink of lines that is opened again still knows it.
    let late = format!("jsonl:{}", place.path().join("late.jsonl").display());
    demand(&world.watchfire("cedar-microblog", &into(&late, &["--catch-up"])));
    assert_eq!(answers(&acme).await[&("cedar-microblog".to_owned(), of)], ["NOT_HELD"]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_of_what_was_said_about_a_record_is_carried_out_too() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish(&acme, domain("news.example")).await;
    let note = ["note", &record.to_string(), WORDS];
    let note = demand(&world.watchfire("acme-video", &note));
    let note: RecordName = note.split('@').next().expect("a name").parse().expect("a name");
    let place = scratch();
    let targets = ["jsonl:", "sqlite:", ""].map(|kind| {
        format!("{kind}{}", place.path().join(format!("sink{}", kind.len())).display())
    });
    for target in &targets {
        demand(&world.watchfire("birch-social", &into(target, &["--no-acknowledge"])));
    }
    withdraw(&world, "acme-video", &note, &["--demand-deletion", "--acknowledge-by", "1d"]);
    for target in &targets {
        let told = world.watchfire("birch-social", &into(target, &["--no-acknowledge"]));
        demand(&told);
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.contains("deleted here, as was demanded"), "{target}: {told}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readers_own_confidence_and_the_end_of_validity_are_shown_beside_what_was_signed() {
    let world = World::with(MEMBERS).await;
    let publish = |value: &str, until: &str| {
        let words = [
            "publish",
            "--kind",
            "domain",
            "--value",
            value,
            "--confidence",
            "80",
            "--valid-until",
            until,
            "--tlp",
            "green",
            "--audience",
            "companies",
        ];
        let said = demand(&world.watchfire("acme-video", &words));
        said.split('@').next().expect("a name").to_owned()
    };
    let (old, fresh) = (publish("old.example", "2020-01-01"), publish("new.example", "30d"));
    let set = ["overlay", "set", &old, "--confidence", "30", "--text", "Seen elsewhere."];
    demand(&world.watchfire("birch-social", &set));
    let table = demand(&world.watchfire("birch-social", &["lookup", "old.example"]));
    for words in ["confidence 80", "own confidence 30", "expired 2020-01-01"] {
        assert!(table.contains(words), "{words} in {table}");
    }
    let table = demand(&world.watchfire("birch-social", &["get", &fresh]));
    assert!(table.contains("until 20") && !table.contains("expired"), "{table}");
    assert!(!table.contains("own confidence"), "{table}");

    let output =
        world.watchfire("birch-social", &["list", "--body", "indicator", "--format", "jsonl"]);
    let lines = json_lines(&output);
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).expect("a line");
    assert_eq!((&of(&old)["expired"], &of(&fresh)["expired"]), (&true.into(), &false.into()));
    assert_eq!(of(&old)["overlay"]["confidence"], 30);
    assert_eq!(of(&fresh).get("overlay"), None);
    let body = of(&old)["body"].to_string();
    assert!(body.contains("80") && !body.contains("30") && !body.contains("elsewhere"), "{body}");
    // What was printed verifies; nobody else sees the reader's view.
    let place = scratch();
    let file = place.path().join("shown.jsonl");
    std::fs::write(&file, demand(&output)).expect("a file");
    let path = file.to_str().expect("a path in UTF-8");
    assert!(
        demand(&world.watchfire("birch-social", &["verify", path]))
            .contains("2 verified, 0 failed")
    );
    for member in ["acme-video", "cedar-microblog"] {
        let table = demand(&world.watchfire(member, &["get", &old]));
        assert!(table.contains("confidence 80") && !table.contains("own confidence"), "{table}");
    }
    let listed =
        json_lines(&world.watchfire("birch-social", &["overlay", "list", "--format", "jsonl"]));
    assert_eq!((listed.len(), &listed[0]["overlay"]["text"]), (1, &"Seen elsewhere.".into()));
    let high = ["overlay", "set", &old, "--confidence", "101"];
    assert_eq!(world.watchfire("birch-social", &high).status.code(), Some(2));
    demand(&world.watchfire("birch-social", &["overlay", "clear", &old]));
    let table = demand(&world.watchfire("birch-social", &["get", &old]));
    assert!(!table.contains("own confidence"), "{table}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_takes_the_current_state_hears_of_what_was_taken_back() {
    let world = World::with(MEMBERS).await;
    let (acme, birch) = (world.client("acme-video").await, world.client("birch-social").await);
    let (record, _) = publish(&acme, domain("news.example")).await;
    withdraw(&world, "acme-video", &record, &["--demand-deletion", "--acknowledge-by", "1d"]);
    let recall = head(&acme).await - 1;
    let options = watchfire::client::SubscribeOptions {
        from: From::Snapshot,
        filter: Filter { platforms: vec!["x".to_owned()], ..Filter::default() },
        until_head: true,
        patience: watchfire::client::Patience::Limited(PATIENCE),
    };
    let mut stream = birch.subscribe_or(options, Compacted::Refused).await.expect("a stream");
    let mut seen = Vec::new();
    while let Some(delivery) = stream.next().await.expect("a delivery") {
        if let Delivery::Entries { entries, .. } = delivery {
            seen.extend(entries.iter().map(VerifiedEntry::sequence));
        }
    }
    assert_eq!(seen, [recall]);
    world.finish();
}

/// What the publisher reads of the holders of each recall of its own: who answered what, by recall.
async fn answered(publisher: &Client) -> Vec<BTreeMap<String, Option<pb::AcknowledgementAnswer>>> {
    let listed = publisher.recalls(Recalls::Own).await.expect("an answer");
    let holders = listed.iter().map(|recall| recall.holders.iter());
    let of = |holder: &RecallHolder| (holder.member.to_string(), holder.answer);
    holders.map(|holders| holders.map(of).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_withdrawal_does_not_answer_the_takedown_behind_it() {
    let world = World::with(&MEMBERS[..3]).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish_for(&acme, domain("news.example"), handling(&["all"], &[])).await;
    let of = record.to_string();
    let place = scratch();
    let target = format!("jsonl:{}", place.path().join("records.jsonl").display());
    demand(&world.watchfire("birch-social", &into(&target, &[])));
    withdraw(&world, "acme-video", &record, &["--demand-deletion", "--acknowledge-by", "1d"]);
    demand(&world.watchfire("birch-social", &into(&target, &[])));
    assert!(birch_recalls(&world).is_empty());
    let takedown = ["takedown", &of, "--reason", "legal", "--explanation", "A court ordered it."];
    demand(&world.watchfire("operator", &takedown));

    let (deleted, refused) =
        (pb::AcknowledgementAnswer::Deleted, pb::AcknowledgementAnswer::Refused);
    let rows = |birch, cedar| {
        BTreeMap::from([("birch-social".to_owned(), birch), ("cedar-microblog".to_owned(), cedar)])
    };
    assert_eq!(answered(&acme).await, [rows(Some(deleted), None), rows(None, None)]);
    let takedown = acme.recalls(Recalls::Own).await.expect("an answer")[1].withdrawal.sequence();
    let waiting = birch_recalls(&world);
    assert_eq!((waiting.len(), &waiting[0]["withdrawn_sequence"]), (1, &takedown.into()));
    // A client that was not there meanwhile answers what is left, and changes nothing of what it answered before.
    for _again in 0..2 {
        demand(&world.watchfire("birch-social", &into(&target, &["--from", "now"])));
    }
    let not_held = pb::AcknowledgementAnswer::NotHeld;
    let both = [rows(Some(deleted), None), rows(Some(not_held), None)];
    assert_eq!(answered(&acme).await, both);
    assert_eq!(answers(&acme).await[&("birch-social".to_owned(), of.clone())].len(), 2);
    // Who answers only now has answered both.
    let by_hand = ["acknowledge", &of, "--answer", "refused", "--text", "A court."];
    demand(&world.watchfire("cedar-microblog", &by_hand));
    let now = answered(&acme).await;
    assert_eq!(
        (now[0]["cedar-microblog"], now[1]["cedar-microblog"]),
        (Some(refused), Some(refused))
    );
    let cedar = world.client("cedar-microblog").await;
    assert!(cedar.recalls(Recalls::ToAnswer).await.expect("an answer").is_empty());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hides_the_answers_of_others_behind_notes() {
    let world = World::with(&MEMBERS[..3]).await;
    let acme = world.client("acme-video").await;
    let (record, _) = publish_for(&acme, domain("news.example"), handling(&["all"], &[])).await;
    let (other, _) = publish_for(&acme, domain("more.example"), handling(&["all"], &[])).await;
    let of = record.to_string();
    withdraw(&world, "acme-video", &record, &[]);
    withdraw(&world, "acme-video", &other, &[]);
    // More than a page examines, for the very people whose answers are looked for.
    let birch = world.client("birch-social").await;
    let signer = birch.signer().expect("a key");
    let note = pb::body::Content::Note(pb::Note { about: of.clone(), text: WORDS.to_owned() });
    let people = handling(&[], &["acme-video", "cedar-microblog"]);
    let notes = (0..10_060).map(|_note| sign(&birch, draft(&signer, note.clone(), people.clone())));
    let outcomes = birch.publish(notes.collect()).await.expect("outcomes");
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Taken(_))).count();
    assert_eq!(taken, 10_060);
    for member in ["cedar-microblog", "birch-social"] {
        demand(&world.watchfire(member, &["acknowledge", &of, "--answer", "deleted"]));
    }
    let answer = Some(pb::AcknowledgementAnswer::Deleted);
    let rows = |answer| {
        ["birch-social", "cedar-microblog"].map(|member| (member.to_owned(), answer)).into()
    };
    assert_eq!(answered(&acme).await, [rows(answer), rows(None)]);
    for member in ["cedar-microblog", "birch-social"] {
        let client = world.client(member).await;
        let waiting = client.recalls(Recalls::ToAnswer).await.expect("an answer");
        let waiting: Vec<_> = waiting.iter().map(|recall| &recall.record).collect();
        assert_eq!(waiting, [&other], "{member}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_after_the_erasure_holds_nothing_and_is_not_asked() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let desk = draw_audience().expect("a handle");
    let members = |id: &str| vec![id.parse::<MemberId>().expect("a member")];
    let create =
        KeeperChange::Create { title: "Desk".to_owned(), members: members("birch-social") };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let to_desk = handling(&[desk.as_str()], &[]);
    let (narrow, _) = publish_for(&acme, domain("news.example"), to_desk).await;
    let (wide, _) = publish_for(&acme, domain("more.example"), handling(&["companies"], &[])).await;
    for record in [&narrow, &wide] {
        withdraw(&world, "acme-video", record, &["--demand-deletion"]);
        erased(&acme, record).await;
    }
    let add = KeeperChange::Add(members("cedar-microblog"));
    acme.change_audience(&desk, add).await.expect("a receipt");
    world.admit("ember-news", "company");
    let listed = acme.recalls(Recalls::Own).await.expect("an answer");
    let holders: Vec<Vec<String>> = listed
        .iter()
        .map(|recall| recall.holders.iter().map(|holder| holder.member.to_string()).collect())
        .collect();
    let early = ["birch-social", "cedar-microblog", "dune-forum"].map(str::to_owned);
    assert_eq!(holders, [vec!["birch-social".to_owned()], early.to_vec()]);
    let asked = async |member: &str| {
        let listed = world.client(member).await.recalls(Recalls::ToAnswer).await;
        listed.expect("an answer").into_iter().map(|recall| recall.record).collect::<Vec<_>>()
    };
    assert_eq!(asked("birch-social").await, [narrow, wide.clone()]);
    assert_eq!(asked("cedar-microblog").await, [wide]);
    assert_eq!(asked("ember-news").await, []);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_that_passed_unseen_was_not_delivered_until_access_was_gained() {
    let world = World::with(&MEMBERS[..3]).await;
    let acme = world.client("acme-video").await;
    let desk = draw_audience().expect("a handle");
    let members = |id: &str| vec![id.parse::<MemberId>().expect("a member")];
    let create =
        KeeperChange::Create { title: "Desk".to_owned(), members: members("birch-social") };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let to_desk = handling(&[desk.as_str()], &[]);
    let (record, _) = publish_for(&acme, domain("news.example"), to_desk).await;
    withdraw(&world, "acme-video", &record, &[]);
    // Both are there when it passes; only one may see it.
    for member in ["birch-social", "cedar-microblog"] {
        let client = world.client(member).await;
        replay(&client, Filter::default()).await;
    }
    let add = KeeperChange::Add(members("cedar-microblog"));
    acme.change_audience(&desk, add).await.expect("a receipt");
    let row = |member: &str, delivered| (member.to_owned(), delivered, None);
    let unseen = [row("birch-social", true), row("cedar-microblog", false)];
    assert_eq!(holders(&acme, &record).await, unseen);
    let cedar = world.client("cedar-microblog").await;
    let seen = replay(&cedar, Filter::default()).await;
    assert!(seen.iter().any(|entry| entry.header().body_kind == BodyKind::Withdrawal));
    let seen = [row("birch-social", true), row("cedar-microblog", true)];
    assert_eq!(holders(&acme, &record).await, seen);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_gains_access_is_sent_a_recall_of_before() {
    let world = World::with(&MEMBERS[..3]).await;
    let acme = world.client("acme-video").await;
    let desk = draw_audience().expect("a handle");
    let create = KeeperChange::Create { title: "Desk".to_owned(), members: Vec::new() };
    acme.change_audience(&desk, create).await.expect("a receipt");
    let to_desk = handling(&[desk.as_str()], &[]);
    let (record, _) = publish_for(&acme, domain("news.example"), to_desk).await;
    let cedar = world.client("cedar-microblog").await;
    let mut tail = subscribe(&cedar, From::Now, Filter::default(), Ends::Never).await;
    withdraw(&world, "acme-video", &record, &[]);
    let recall = head(&acme).await - 1;
    let add = KeeperChange::Add(vec!["cedar-microblog".parse().expect("a member")]);
    acme.change_audience(&desk, add).await.expect("a receipt");
    while next_entries(&mut tail).await.iter().all(|entry| entry.sequence() != recall) {}
    until("it is known as sent", || async {
        let rows = holders(&acme, &record).await;
        (rows == [("cedar-microblog".to_owned(), true, None)]).then_some(())
    })
    .await;
    world.finish();
}
