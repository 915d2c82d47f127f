//! Keys that change hands: a member's, by itself and by the operator; the operator's own.

use std::path::PathBuf;

use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::From;
use watchfire::client::JoinRequest;
use watchfire::client::OperatorChange;
use watchfire::client::Signer;
use watchfire::client::VerifiedEntry;
use watchfire::client::proven_key;
use watchfire::model::filter::Filter;
use watchfire::model::fingerprint::Fingerprint;
use watchfire::model::header::BodyKind;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;
use watchfire::profile::OwnKey;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;

use crate::world;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::publish;
use crate::world::replay;
use crate::world::watchfired;

const COMPANIES: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("a path in UTF-8")
}

/// A request of a member that lost its keys, made in a new folder: the folder's name, the request, and what the member
/// reads out.
fn request(world: &World, member: &str, folder: &str, exchange: &str) -> (String, Fingerprint) {
    let out = text(world.profile_folder(folder));
    let said = demand(
        &world.watchfire("operator", &["enroll", member, "--exchange", exchange, "--out", &out]),
    );
    let file = format!("{out}/request.json");
    let paper = JoinRequest::parse(&std::fs::read_to_string(&file).expect("a request"));
    let fingerprint = paper.expect("a request").fingerprint().expect("a fingerprint");
    assert!(said.contains(&fingerprint.words()), "{said}");
    (file, fingerprint)
}

/// The operator resets a member's keys, and the member accepts the grant in its new folder.
async fn reset(world: &World, member: &str, folder: &str) -> Fingerprint {
    let exchange = world.client("operator").await.pin().exchange().as_str().to_owned();
    let (file, fingerprint) = request(world, member, folder, &exchange);
    let grant = text(world.data().join(format!("{folder}.grant")));
    let arguments =
        ["keys", "reset", "--request", &file, "--out", &grant, "--reason", "a lost laptop"];
    let said = demand(&world.watchfire("operator", &arguments));
    assert!(said.contains(&fingerprint.words()), "{said}");
    let again = demand(&world.watchfire("operator", &arguments));
    assert!(again.contains("The grant for"), "one that was cut off goes on: {again}");
    demand(&world.watchfire(folder, &["accept", &grant]));
    fingerprint
}

async fn at(client: &Client, sequence: u64) -> VerifiedEntry {
    let mut entries = replay(client, Filter::default()).await;
    entries.retain(|entry| entry.sequence() == sequence);
    entries.pop().expect("the entry")
}

fn refusal(result: Result<impl Sized, ClientError>) -> watchfire::client::Refused {
    let error = result.err().expect("a refusal");
    let ClientError::Refused(refused) = error else { panic!("{error}") };
    *refused
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_operator_resets_are_unconfirmed_until_their_reader_accepts() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let (_, before) = publish(&acme, domain("before.example")).await;
    let fingerprint = reset(&world, "acme-video", "acme-anew").await;

    // The old folder is out: its certificate is revoked, and its key signs nothing.
    world::until("the list of revoked certificates is loaded", || async {
        let old = world.watchfire("acme-video", &["whoami"]);
        (!old.status.success()).then_some(())
    })
    .await;
    let anew = world.client("acme-anew").await;
    let (_, after) = publish(&anew, domain("after.example")).await;
    assert!(!at(&anew, after).await.is_unconfirmed(), "its own keys are its own");

    let birch = world.client("birch-social").await;
    let (was, is) = (at(&birch, before).await, at(&birch, after).await);
    assert!(!was.is_unconfirmed() && is.is_unconfirmed());
    shown_as_unconfirmed(&world, before, after);

    // Keys that the new ones vouch for are no surer than they are.
    demand(&world.watchfire("acme-anew", &["keys", "rotate"]));
    let anew = world.client("acme-anew").await;
    let (_, later) = publish(&anew, domain("later.example")).await;
    assert!(at(&birch, later).await.is_unconfirmed());

    // One that runs learns of it, and so does one that begins.
    confirm(&world, &fingerprint);
    for birch in [birch, world.client("birch-social").await] {
        for sequence in [before, after, later] {
            assert!(!at(&birch, sequence).await.is_unconfirmed());
        }
    }
    let lines = demand(&world.watchfire("birch-social", &["list", "--format", "jsonl"]));
    assert!(!lines.contains("\"unconfirmed\""), "{lines}");
    let warned = world.watchfire("birch-social", &["status"]);
    let warned = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(!warned.contains("keys confirm"), "{warned}");
    world.finish();
}

/// Everywhere that records are shown or handed on.
fn shown_as_unconfirmed(world: &World, before: u64, after: u64) {
    let lines = demand(&world.watchfire(
        "birch-social",
        &["subscribe", "--from", "start", "--until-head", "--format", "jsonl"],
    ));
    let mut seen = 0;
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let is_flagged = line["unconfirmed"] == serde_json::Value::Bool(true);
        assert_eq!(is_flagged, line["sequence"] == after, "{line}");
        seen += usize::from(line["sequence"] == after || line["sequence"] == before);
    }
    assert_eq!(seen, 2);
    let table = demand(&world.watchfire("birch-social", &["list"]));
    assert_eq!(table.matches("(key unconfirmed)").count(), 1, "{table}");
    let database = text(world.data().join("birch.db"));
    let sink = format!("sqlite:{database}");
    demand(&world.watchfire("birch-social", &["subscribe", "--until-head", "--into", &sink]));
    let handed = text(world.data().join("handed.jsonl"));
    let take = format!("cat >> {handed}");
    let exec =
        ["subscribe", "--cursor", "handed", "--from", "start", "--until-head", "--exec", &take];
    demand(&world.watchfire("birch-social", &exec));
    let handed = std::fs::read_to_string(&handed).expect("what the command was handed");
    let flagged = handed.lines().filter(|line| line.contains("\"unconfirmed\":true"));
    assert_eq!(flagged.count(), 1, "{handed}");
    let connection = rusqlite::Connection::open(&database).expect("a database");
    let flagged = "SELECT sequence FROM records WHERE unconfirmed = 1";
    let flagged: u64 = connection
        .query_row(flagged, [], |row| row.get::<_, i64>(0))
        .expect("a row")
        .try_into()
        .expect("a place");
    assert_eq!(flagged, after);
    let status = world.watchfire("birch-social", &["status"]);
    let status = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(status.contains("keys confirm acme-video"), "{status}");
}

/// The reader compares, wrongly at first.
fn confirm(world: &World, fingerprint: &Fingerprint) {
    let words = fingerprint.words();
    let shown = demand(&world.watchfire("birch-social", &["keys", "confirm", "acme-video"]));
    for part in ["old signing key", "old recovery key", "new signing key", &words] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(shown.contains("not confirmed"), "to look confirms nothing: {shown}");
    let (first, last) = words.split_once(' ').expect("words");
    let turned = format!("{last} {first}");
    for wrong in ["yes", first, &turned, &Fingerprint::of_keys(&[b"another"]).to_string()] {
        let arguments = ["keys", "confirm", "acme-video", "--as", wrong];
        let said = world.watchfire("birch-social", &arguments);
        assert_eq!(said.status.code(), Some(5), "{wrong}");
    }
    let shown = demand(&world.watchfire("birch-social", &["keys", "confirm", "acme-video"]));
    assert!(shown.contains("not confirmed"), "{shown}");
    let spoken = words.to_uppercase();
    demand(&world.watchfire("birch-social", &["keys", "confirm", "acme-video", "--as", &spoken]));
    let other = demand(&world.watchfire("birch-social", &["keys", "confirm", "birch-social"]));
    assert!(other.contains("never reset"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_does_not_hold_is_refused() {
    let world = World::with(COMPANIES).await;
    let operator = world.client("operator").await;
    let birch = world.client("birch-social").await;
    let exchange = operator.pin().exchange().clone();
    let acme: MemberId = "acme-video".parse().expect("a name");
    let head = world::head(&operator).await;
    let fresh = |member: &MemberId| {
        let key = SecretKey::generate().expect("a key");
        proven_key(&exchange, member, &key)
    };
    let of = |signing_key, recovery_key| {
        OperatorChange::ResetKeys(pb::KeyReset {
            signing_key: Some(signing_key),
            recovery_key: Some(recovery_key),
            reason: String::new(),
        })
    };
    let birch_key = birch.profile().key(OwnKey::Signing).expect("a key");
    let owned = proven_key(&exchange, &acme, &birch_key);
    let twice = fresh(&acme);
    let unproven = pb::PublicKey { possession_proof: vec![1; 64], ..fresh(&acme) };
    let small =
        "302a300506032b6570032100c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let weak =
        pb::PublicKey { spki: hex::decode(small).expect("hex"), possession_proof: vec![0; 64] };
    let stranger: MemberId = "stranger".parse().expect("a name");
    let own: MemberId = "operator".parse().expect("a name");
    let cases = [
        (&acme, owned.clone(), fresh(&acme), Reason::RosterConflict),
        (&acme, fresh(&acme), owned, Reason::RosterConflict),
        (&acme, twice.clone(), twice, Reason::RosterConflict),
        (&acme, unproven.clone(), fresh(&acme), Reason::FieldInvalid),
        (&acme, fresh(&acme), unproven, Reason::FieldInvalid),
        (&acme, weak, fresh(&acme), Reason::FieldInvalid),
        (&acme, fresh(&stranger), fresh(&acme), Reason::FieldInvalid),
        (&stranger, fresh(&stranger), fresh(&stranger), Reason::RosterConflict),
        (&own, fresh(&own), fresh(&own), Reason::RosterConflict),
    ];
    for (number, (member, signing, recovery, reason)) in cases.into_iter().enumerate() {
        let refused = refusal(operator.change_roster(member, of(signing, recovery)).await);
        assert!(refused.is(reason), "case {number}: {refused}");
    }
    // A member resets nobody's keys, not even its own.
    let refused = refusal(birch.change_roster(&acme, of(fresh(&acme), fresh(&acme))).await);
    assert!(refused.is(Reason::RoleForbids), "{refused}");
    let me: MemberId = "birch-social".parse().expect("a name");
    let refused = refusal(birch.change_roster(&me, of(fresh(&me), fresh(&me))).await);
    assert!(refused.is(Reason::RoleForbids), "{refused}");
    assert_eq!(world::head(&operator).await, head, "nothing was written");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_key_is_said_to_be_compromised_and_its_records_are_in_doubt() {
    let world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let (_, before) = publish(&acme, domain("before.example")).await;
    let (_, stolen) = publish(&acme, domain("stolen.example")).await;
    let old = acme.signer().expect("a key").key().id().to_string();
    let since = stolen.to_string();
    demand(&world.watchfire(
        "acme-video",
        &["keys", "rotate", "--with-recovery-key", "--compromised-since", &since],
    ));
    let acme = world.client("acme-video").await;
    let (_, after) = publish(&acme, domain("after.example")).await;
    let birch = world.client("birch-social").await;
    for (sequence, doubt) in [(before, false), (stolen, true), (after, false)] {
        let entry = at(&birch, sequence).await;
        assert_eq!((entry.is_in_doubt(), entry.is_unconfirmed()), (doubt, false), "{sequence}");
    }
    // It turns out to have been stolen earlier: the operator can say so too, but never that it was later.
    let before_text = before.to_string();
    let retire = |since: &str| {
        world.watchfire(
            "operator",
            &["keys", "retire", &old, "--member", "acme-video", "--compromised-since", since],
        )
    };
    demand(&retire(&before_text));
    assert_eq!(retire(&since).status.code(), Some(3));
    assert!(at(&world.client("birch-social").await, before).await.is_in_doubt());
    let listed = demand(&world.watchfire("birch-social", &["keys", "list", "acme-video"]));
    assert!(listed.contains(&format!("in doubt since {before}")), "{listed}");
    let words = Fingerprint::of_key(old.parse().expect("a key")).words();
    let (start, _) = words.split_at(words.match_indices(' ').nth(5).expect("twelve words").0);
    assert!(listed.contains(start), "{listed}");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_key_is_rotated_and_the_old_one_signs_nothing_more() {
    let world = World::with(COMPANIES).await;
    let operator = world.client("operator").await;
    let old: Signer = operator.signer().expect("a key");
    demand(&world.watchfire("operator", &["keys", "rotate"]));
    // The new key admits; whoever joins pins the founding record, and follows from there.
    world.admit("dune-forum", "company");
    let dune = world.client("dune-forum").await;
    let roster = dune.roster().await.expect("a roster");
    assert!(roster.roster().key(&old.key().id()).expect("a key").retired_at.is_some());
    assert_eq!(dune.pin().operator_key_id(), old.key().id(), "the name stays what it is");
    let whoami = demand(&world.watchfire("dune-forum", &["whoami"]));
    assert!(whoami.contains(&dune.pin().fingerprint().words()), "{whoami}");

    // The old key neither rules nor comes back.
    let operator = world.client("operator").await;
    let member: MemberId = "birch-social".parse().expect("a name");
    let suspension = pb::body::Content::RosterChange(pb::RosterChange {
        member: member.name(),
        change: Some(pb::roster_change::Change::Suspend(pb::Suspension::default())),
    });
    let draft = world::draft(&old, suspension, world::handling(&[], &[]));
    let envelope = Some(old.sign(draft, operator.now()).expect("a record"));
    let request = pb::SuspendMemberRequest { envelope };
    let refused = operator.roster_service().suspend_member(request).await.expect_err("a refusal");
    assert!(ClientError::from(refused).to_string().contains("retired"));
    let key = SecretKey::generate().expect("a key");
    let refused = refusal(operator.add_key(&old, &key).await);
    assert!(refused.is(Reason::KeyNotValid), "{refused}");

    // Lost altogether: the recovery key brings in the next one.
    std::fs::remove_file(world.profile_folder("operator").join("signing.key")).expect("it is gone");
    demand(&world.watchfire("operator", &["keys", "rotate", "--with-recovery-key"]));
    demand(&world.watchfire("operator", &["suspend", "birch-social"]));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_read_the_same_words_on_both_ends_of_an_enrolment() {
    let world = World::new().await;
    let operator = world.client("operator").await;
    let exchange = operator.pin().exchange().as_str().to_owned();
    let words = operator.pin().fingerprint().words();
    let (file, keys) = request(&world, "dune-forum", "dune-forum", &exchange);
    let grant = text(world.data().join("grant.json"));
    let granted = demand(&world.watchfire(
        "operator",
        &["admit", "--request", &file, "--role", "company", "--out", &grant],
    ));
    assert!(granted.contains(&words) && granted.contains(&keys.words()), "{granted}");
    let accepted = demand(&world.watchfire("dune-forum", &["accept", &grant]));
    assert!(accepted.contains(&words), "{accepted}");
    world.finish();
}

/// Serving must fail at once.
fn refuses_to_serve(world: &World) {
    let data = text(world.data());
    let served = watchfired(&["serve", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(served.status.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_key_is_rotated_and_every_client_follows_it() {
    let mut world = World::with(COMPANIES).await;
    let acme = world.client("acme-video").await;
    let birch = world.client("birch-social").await;
    let (_, before) = publish(&acme, domain("before.example")).await;
    let mut live =
        world::subscribe(&birch, From::Start, Filter::default(), world::Ends::Never).await;
    while world::next_entries(&mut live).await.last().map(VerifiedEntry::sequence) != Some(before) {
    }
    demand(&world.watchfire("birch-social", &["status"]));

    world.stop();
    let key = world.data().join("log.key");
    let old = std::fs::read(&key).expect("a key");
    let said = demand(&world.rotate_log_key(&[]));
    assert!(said.contains("changed at sequence"), "{said}");
    let new = std::fs::read(&key).expect("a key");
    assert!(old != new && !world.data().join("log.key.next").exists());
    // The old key does not serve any more.
    std::fs::write(&key, &old).expect("the old key");
    refuses_to_serve(&world);
    // A change that was cut off before the key was in place goes on.
    let next = world.data().join("log.key.next");
    watchfire::profile::write_private(&next, &new).expect("the new key");
    let said = demand(&world.rotate_log_key(&[]));
    assert!(said.contains("was changed before"), "{said}");
    assert_eq!(std::fs::read(&key).expect("a key"), new);
    world.start(&[]).await;

    // Clients that were connected, profiles that were not, and a live stream.
    let (_, after) = publish(&acme, domain("after.example")).await;
    while world::next_entries(&mut live).await.last().map(VerifiedEntry::sequence) != Some(after) {}
    let birch = world.client("birch-social").await;
    let kinds: Vec<BodyKind> = replay(&birch, Filter::default())
        .await
        .iter()
        .filter(|entry| (before..=after).contains(&entry.sequence()))
        .map(|entry| entry.header().body_kind)
        .collect();
    assert_eq!(kinds, [BodyKind::Indicator, BodyKind::LogKeyChange, BodyKind::Indicator]);
    world.admit("dune-forum", "company");
    let dune = world.client("dune-forum").await;
    let roster = dune.roster().await.expect("a roster");
    assert_eq!(roster.roster().log_keys().len(), 2);
    publish(&dune, domain("later.example")).await;

    // And once more, without anybody having looked in between.
    world.stop();
    demand(&world.rotate_log_key(&[]));
    demand(&world.rotate_log_key(&[]));
    world.start(&[]).await;
    demand(&world.watchfire("acme-video", &["status"]));
    let acme = world.client("acme-video").await;
    publish(&acme, domain("last.example")).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_key_is_replaced_by_the_word_of_most_companies() {
    let mut world = World::with(&[COMPANIES, &[("cedar-microblog", "company")]].concat()).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("before.example")).await;
    for member in ["acme-video", "birch-social", "cedar-microblog"] {
        demand(&world.watchfire(member, &["status"]));
    }
    world.stop();
    std::fs::remove_file(world.data().join("log.key")).expect("it is lost");
    refuses_to_serve(&world);
    assert!(!world.rotate_log_key(&[]).status.success());
    let request = text(world.data().join("request.json"));
    let said = demand(&world.rotate_log_key(&["--lost", "--request", &request]));
    assert!(said.starts_with("2 companies must sign"), "{said}");
    let words = said.lines().find_map(|line| line.trim().strip_prefix("in words"));
    let words = words.expect("the words").trim().to_owned();
    let answer = |member: &str| text(world.data().join(format!("{member}.signature")));
    let cosign = |member: &str, said: &str| {
        let out = answer(member);
        world.watchfire(
            member,
            &["keys", "cosign-log-key", "--request", &request, "--out", &out, "--as", said],
        )
    };
    assert_eq!(cosign("acme-video", "yes").status.code(), Some(5));
    demand(&cosign("acme-video", &words));
    demand(&cosign("operator", &words));
    demand(&cosign("birch-social", &words));
    let [one, two, operators] = ["acme-video", "birch-social", "operator"].map(answer);
    for few in [vec![&one], vec![&one, &one], vec![&one, &operators]] {
        let signatures: Vec<&str> = few.into_iter().map(String::as_str).collect();
        let refused =
            world.rotate_log_key(&[&["--lost", "--signatures"], &signatures[..]].concat());
        assert!(!refused.status.success());
    }
    demand(&world.rotate_log_key(&["--lost", "--signatures", &one, &two]));
    world.start(&[]).await;
    let acme = world.client("acme-video").await;
    publish(&acme, domain("after.example")).await;
    for member in ["birch-social", "cedar-microblog"] {
        demand(&world.watchfire(member, &["subscribe", "--from", "start", "--until-head"]));
    }
    world.finish();
}
