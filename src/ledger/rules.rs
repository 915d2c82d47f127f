//! Each rule of the ledger by example.

use std::time::Duration;

use crate::ledger::Fold;
use crate::ledger::Ledger;
use crate::ledger::Row;
use crate::ledger::Stage;
use crate::ledger::StageTime;
use crate::ledger::Window;
use crate::ledger::differences;
use crate::ledger::scene::Scene;
use crate::ledger::scene::acknowledgement;
use crate::ledger::scene::action;
use crate::ledger::scene::indicator;
use crate::ledger::scene::member;
use crate::ledger::scene::note;
use crate::ledger::scene::operation;
use crate::ledger::scene::opinion;
use crate::ledger::scene::part_of;
use crate::ledger::scene::seen;
use crate::ledger::scene::sighting;
use crate::ledger::scene::takedown;
use crate::ledger::scene::withdrawal;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::roster::Role;
use crate::model::time::Timestamp;
use crate::wire::pb;

const STANCES: [(pb::Stance, bool, bool); 6] = [
    (pb::Stance::StronglyAgree, true, false),
    (pb::Stance::Agree, true, false),
    (pb::Stance::Neutral, false, false),
    (pb::Stance::Disagree, false, true),
    (pb::Stance::StronglyDisagree, false, true),
    (pb::Stance::Unspecified, false, false),
];

const ACTIONS: [(pb::Action, bool); 9] = [
    (pb::Action::Removed, true),
    (pb::Action::Restricted, true),
    (pb::Action::Labelled, true),
    (pb::Action::Demonetised, true),
    (pb::Action::Referred, true),
    (pb::Action::Monitored, false),
    (pb::Action::NoAction, false),
    (pb::Action::Restored, false),
    (pb::Action::Unspecified, false),
];

/// What is confirmed, disputed and acted on of acme's, with by how many.
#[track_caller]
fn check_feedback(scene: &Scene, confirmed: [u64; 2], disputed: [u64; 2], acted_on: [u64; 2]) {
    let row = scene.row("birch-social", "acme-video");
    let found = [
        [row.confirmed, row.confirmed_by],
        [row.disputed, row.disputed_by],
        [row.acted_on, row.acted_on_by],
    ];
    assert_eq!(found, [confirmed, disputed, acted_on]);
}

/// An indicator of acme's, and what others say about it.
fn told(what: impl Fn(&RecordName) -> Vec<(&'static str, pb::body::Content)>) -> Scene {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    for (publisher, content) in what(&name) {
        scene.wait(1);
        scene.say(publisher, content);
    }
    scene
}

#[test]
fn records_are_counted_by_kind_and_once_however_often_they_are_revised() {
    let mut scene = Scene::new();
    let first = scene.say("acme-video", indicator());
    scene.revise(&first, &["companies"], indicator());
    scene.revise(&first, &["companies", "observers"], indicator());
    scene.say("acme-video", indicator());
    scene.say("acme-video", operation());
    scene.say("acme-video", note(&first));
    let row = scene.row("birch-social", "acme-video");
    let given: Vec<_> = row.given.into_iter().collect();
    let expected = [(BodyKind::Indicator, 2), (BodyKind::Operation, 1), (BodyKind::Note, 1)];
    assert_eq!(given, expected);
    assert_eq!(row.members, 1);
    assert_eq!(row.role, Some(Role::Company));
}

#[test]
fn what_was_withdrawn_counts_apart_and_nowhere_else() {
    let mut scene = Scene::new();
    let [kept, withdrawn, taken] = std::array::from_fn(|_| scene.say("acme-video", indicator()));
    for name in [&kept, &withdrawn, &taken] {
        scene.say("cedar-chat", opinion(name, pb::Stance::Agree));
        scene.say("cedar-chat", action(name, pb::Action::Removed, None));
    }
    scene.withdraw(&withdrawn);
    scene.say_to("operator", &[], takedown(&taken));
    // Not its own: the hub refuses such a withdrawal, and the ledger knows no better hub.
    scene.say_to("cedar-chat", &[], withdrawal(&kept));
    let row = scene.row("birch-social", "acme-video");
    assert_eq!((row.given[&BodyKind::Indicator], row.withdrawn), (1, 2));
    assert_eq!((row.confirmed, row.acted_on), (1, 1));
    let reader = scene.row("birch-social", "cedar-chat");
    assert_eq!((reader.received, reader.received_acted_on), (1, 1));
}

#[test]
fn each_stance_counts_as_what_it_says() {
    for (stance, agrees, disagrees) in STANCES {
        let scene = told(|name| vec![("cedar-chat", opinion(name, stance))]);
        check_feedback(&scene, [agrees.into(); 2], [disagrees.into(); 2], [0, 0]);
    }
}

#[test]
fn each_action_counts_if_something_was_done() {
    for (what, is_act) in ACTIONS {
        let scene = told(|name| vec![("cedar-chat", action(name, what, None))]);
        check_feedback(&scene, [0, 0], [0, 0], [is_act.into(); 2]);
    }
}

#[test]
fn what_was_seen_is_confirmed_and_what_was_looked_for_in_vain_is_not() {
    check_feedback(&told(|name| vec![("cedar-chat", sighting(name, 1))]), [1, 1], [0, 0], [0, 0]);
    check_feedback(&told(|name| vec![("cedar-chat", sighting(name, 0))]), [0, 0], [0, 0], [0, 0]);
}

#[test]
fn a_member_may_have_seen_what_it_disputes() {
    let scene = told(|name| {
        vec![("cedar-chat", sighting(name, 3)), ("cedar-chat", opinion(name, pb::Stance::Disagree))]
    });
    check_feedback(&scene, [1, 1], [1, 1], [0, 0]);
}

#[test]
fn many_members_count_once_a_record_and_once_each() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        let name = scene.say("acme-video", indicator());
        for publisher in ["birch-social", "cedar-chat"] {
            scene.say(publisher, opinion(&name, pb::Stance::Agree));
            scene.say(publisher, sighting(&name, 9));
        }
    }
    check_feedback(&scene, [3, 2], [0, 0], [0, 0]);
}

#[test]
fn who_changed_its_mind_is_taken_at_its_last_word() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    let first = scene.say("cedar-chat", opinion(&name, pb::Stance::Agree));
    scene.revise(&first, &["companies"], opinion(&name, pb::Stance::Disagree));
    check_feedback(&scene, [0, 0], [1, 1], [0, 0]);
    let second = scene.say("cedar-chat", opinion(&name, pb::Stance::StronglyAgree));
    check_feedback(&scene, [1, 1], [0, 0], [0, 0]);
    let third = scene.say("cedar-chat", opinion(&name, pb::Stance::Neutral));
    check_feedback(&scene, [0, 0], [0, 0], [0, 0]);
    scene.withdraw(&third);
    check_feedback(&scene, [1, 1], [0, 0], [0, 0]);
    scene.withdraw(&second);
    check_feedback(&scene, [0, 0], [1, 1], [0, 0]);
    scene.withdraw(&first);
    check_feedback(&scene, [0, 0], [0, 0], [0, 0]);
}

#[test]
fn a_revision_that_is_about_something_else_is_about_that_alone() {
    let mut scene = Scene::new();
    let acmes = scene.say("acme-video", indicator());
    let birchs = scene.say("birch-social", indicator());
    let said = scene.say("cedar-chat", action(&birchs, pb::Action::Removed, None));
    scene.wait(60);
    scene.revise(&said, &["companies"], action(&acmes, pb::Action::Removed, None));
    check_feedback(&scene, [0, 0], [0, 0], [1, 1]);
    assert_eq!(scene.row("birch-social", "birch-social").acted_on, 0);
    let time = scene.time("birch-social", Some("cedar-chat"), Stage::Acted).unwrap();
    assert_eq!(time.percentiles, Some((Duration::from_mins(1), Duration::from_mins(1))));
}

#[test]
fn feedback_on_what_is_no_asset_counts_as_nothing() {
    let mut scene = Scene::new();
    let about = scene.say("acme-video", indicator());
    let remark = scene.say("acme-video", note(&about));
    scene.say("cedar-chat", opinion(&remark, pb::Stance::Agree));
    check_feedback(&scene, [0, 0], [0, 0], [0, 0]);
}

#[test]
fn a_body_that_is_gone_still_was_given_and_says_nothing_more() {
    let mut scene = told(|name| vec![("cedar-chat", opinion(name, pb::Stance::Agree))]);
    for said in &mut scene.log {
        said.body = None;
    }
    check_feedback(&scene, [0, 0], [0, 0], [0, 0]);
    assert_eq!(scene.row("birch-social", "acme-video").given[&BodyKind::Indicator], 1);
    assert_eq!(scene.row("birch-social", "cedar-chat").given[&BodyKind::Opinion], 1);
}

#[test]
fn a_record_that_came_with_a_later_revision_only_is_not_counted() {
    let mut scene = Scene::new();
    let name = scene.say_to("acme-video", &["@cedar-chat"], indicator());
    scene.revise(&name, &["companies"], indicator());
    scene.say("cedar-chat", opinion(&name, pb::Stance::Agree));
    assert!(scene.row("birch-social", "acme-video").given.is_empty());
    check_feedback(&scene, [0, 0], [0, 0], [0, 0]);
    let row = scene.row("cedar-chat", "acme-video");
    assert_eq!((row.given[&BodyKind::Indicator], row.confirmed), (1, 1));
    let received = scene.row("cedar-chat", "birch-social").received;
    assert_eq!(received, 2, "the opinion, and the indicator by its widest reach");
}

#[test]
fn one_receives_what_one_may_read_of_others_suspended_or_not() {
    let mut scene = Scene::new();
    scene.say("acme-video", indicator());
    scene.say_to("acme-video", &["@birch-social"], indicator());
    scene.say_to("acme-video", &["all"], indicator());
    scene.say_to("acme-video", &[], indicator());
    scene.suspend("cedar-chat");
    scene.admit("dune-forum", Role::Company);
    let received = |of| scene.row("acme-video", of).received;
    assert_eq!((received("acme-video"), received("birch-social")), (0, 3));
    assert_eq!((received("cedar-chat"), received("dune-forum")), (2, 2));
    let [.., others] = &scene.ledger("acme-video").rows[..] else { panic!("no rows") };
    assert_eq!((others.role, others.received), (Some(Role::Observer), 1));
    assert_eq!(scene.row("birch-social", "dune-forum").received, 2, "of what birch may see");
}

#[test]
fn one_receives_through_audiences_that_the_caller_is_in_and_no_others() {
    let mut scene = Scene::new();
    let [own, other] = ["0123456789abcdef0001", "0123456789abcdef0002"];
    let [acme, birch, cedar] = ["acme-video", "birch-social", "cedar-chat"].map(member);
    let mut create = |name: &str, members: &[crate::model::names::MemberId]| {
        let name = name.parse().unwrap();
        scene.roster.audiences.create(&name, String::new(), &acme, members, Sequence(0)).unwrap();
    };
    create(own, &[birch, cedar.clone()]);
    create(other, &[cedar]);
    scene.say_to("acme-video", &[own], indicator());
    scene.say_to("acme-video", &[other, "@birch-social"], indicator());
    assert_eq!(scene.row("birch-social", "cedar-chat").received, 1);
    assert_eq!(scene.row("acme-video", "cedar-chat").received, 2);
    assert_eq!(scene.row("cedar-chat", "birch-social").received, 2);
}

#[test]
fn one_acted_on_what_one_received() {
    let scene = told(|name| {
        vec![
            ("cedar-chat", action(name, pb::Action::Removed, None)),
            ("cedar-chat", action(name, pb::Action::Labelled, None)),
            ("harbour-liaison", action(name, pb::Action::Referred, None)),
        ]
    });
    let row = scene.row("birch-social", "cedar-chat");
    assert_eq!((row.received, row.received_acted_on), (2, 1), "one more is the observer's report");
    let rows = scene.ledger("birch-social").rows;
    let others = rows.last().unwrap();
    assert_eq!((others.received, others.received_acted_on), (0, 0), "it could not read it");
}

#[test]
fn a_window_chooses_records_and_ends_feedback() {
    let mut scene = Scene::new();
    let before = scene.say("acme-video", indicator());
    scene.wait(10);
    let since = scene.now();
    let within = scene.say("acme-video", indicator());
    scene.wait(10);
    scene.say("cedar-chat", opinion(&before, pb::Stance::Agree));
    scene.say("cedar-chat", opinion(&within, pb::Stance::Agree));
    scene.revise(&before, &["companies"], indicator());
    let until = scene.now().saturating_add(Duration::from_secs(1));
    scene.wait(10);
    scene.say("birch-social", opinion(&within, pb::Stance::Disagree));
    scene.withdraw(&within);
    let window = Window::new(Some(since), Some(until), u64::MAX);
    let ledger = scene.ledger_in("birch-social", window);
    let acme = &ledger.rows[0];
    assert_eq!((acme.given[&BodyKind::Indicator], acme.withdrawn), (1, 0));
    assert_eq!((acme.confirmed, acme.disputed), (1, 0));
    assert_eq!(ledger.bounds, Some((1, 4)), "the second to the revision");
    assert_eq!(ledger.rows[1].received, 3, "the indicator and cedar's two opinions");
}

#[test]
fn a_ledger_ends_at_its_head() {
    let scene = told(|name| vec![("cedar-chat", opinion(name, pb::Stance::Agree))]);
    let ledger = scene.ledger_in("birch-social", Window::new(None, None, 1));
    assert_eq!((ledger.bounds, ledger.head, ledger.rows[0].confirmed), (Some((0, 0)), 1, 0));
    let wire = pb::GetLedgerResponse::from(&ledger);
    assert_eq!((wire.first_sequence, wire.end_sequence, wire.head), (0, 1, 1));
    let empty = scene.ledger_in("birch-social", Window::new(None, None, 0));
    let wire = pb::GetLedgerResponse::from(&empty);
    assert_eq!((wire.first_sequence, wire.end_sequence, wire.rows.len()), (0, 0, 4));
}

#[test]
fn who_sees_nothing_gets_rows_of_nothing() {
    let mut scene = told(|name| vec![("cedar-chat", opinion(name, pb::Stance::Agree))]);
    scene.admit("quill-audit", Role::Auditor);
    scene.suspend("birch-social");
    for caller in ["quill-audit", "operator", "birch-social", "nobody"] {
        let Ledger { bounds, rows, times, .. } = scene.ledger(caller);
        assert_eq!(bounds, None, "{caller}");
        assert!(times.is_empty(), "{caller}");
        let nothing = |row: &Row| row.given.is_empty() && row.confirmed == 0 && row.received == 0;
        assert!(rows.iter().all(nothing), "{caller}");
    }
}

#[test]
fn times_are_kept_apart_by_who_vouches_for_them() {
    let mut scene = Scene::new();
    let observed = scene.now();
    scene.wait(100);
    let name = scene.say("acme-video", seen(None, Some(observed)));
    let published = scene.now();
    scene.wait(50);
    let done = scene.now();
    scene.wait(10);
    scene.say("cedar-chat", action(&name, pb::Action::Removed, Some(done)));
    for (member, seconds) in [("birch-social", 3), ("cedar-chat", 5), ("harbour-liaison", 7)] {
        let at = published.saturating_add(Duration::from_secs(seconds));
        scene.claimed.delivered.insert((member.parse().unwrap(), 0), at);
    }
    let seconds = |of, stage| {
        let time = scene.time("acme-video", of, stage)?;
        let (p50, p90) = time.percentiles?;
        Some((time.count, p50.as_secs_f64().round(), p90.as_secs_f64().round()))
    };
    let same = |count, seconds| Some((count, seconds, seconds));
    assert_eq!(seconds(None, Stage::Published), same(1, 100.0));
    assert_eq!(seconds(Some("acme-video"), Stage::Published), same(1, 100.0));
    assert_eq!(seconds(None, Stage::Acted), same(1, 60.0));
    assert_eq!(seconds(Some("cedar-chat"), Stage::Acted), same(1, 60.0));
    assert_eq!(seconds(Some("cedar-chat"), Stage::ActedAsClaimed), same(1, 50.0));
    assert_eq!(seconds(None, Stage::Delivered), Some((2, 3.0, 5.0)), "not the observer");
    assert_eq!(seconds(Some("cedar-chat"), Stage::Delivered), same(1, 5.0));
    assert_eq!(seconds(Some("harbour-liaison"), Stage::Delivered), None);
    assert_eq!(seconds(None, Stage::Acknowledged), None);
}

#[test]
fn what_was_observed_is_what_the_first_revision_says() {
    let mut scene = Scene::new();
    let early = scene.now();
    scene.wait(10);
    let later = scene.now();
    scene.wait(90);
    let took = |content: pb::body::Content| {
        let mut scene = scene.clone();
        let name = scene.say("acme-video", content);
        scene.wait(1000);
        let now = scene.now();
        scene.revise(&name, &["companies"], seen(Some(now), Some(now)));
        let time = scene.time("birch-social", None, Stage::Published)?;
        Some((time.percentiles.map(|(p50, _)| p50.as_secs()), time.left_out))
    };
    let active = |first: Option<Timestamp>, last: Option<Timestamp>| {
        let wire = crate::wire::time::timestamp_to_wire;
        pb::body::Content::Operation(pb::Operation {
            first_activity_time: first.map(wire),
            last_activity_time: last.map(wire),
            ..pb::Operation::default()
        })
    };
    assert_eq!(took(seen(Some(early), Some(later))), Some((Some(90), 0)));
    assert_eq!(took(seen(Some(early), None)), Some((Some(100), 0)));
    assert_eq!(took(active(Some(early), Some(later))), Some((Some(90), 0)));
    assert_eq!(took(active(Some(early), None)), Some((Some(100), 0)));
    assert_eq!(took(seen(None, None)), None);
    let future = scene.now().saturating_add(Duration::from_secs(5));
    assert_eq!(took(seen(None, Some(future))), Some((None, 1)), "left out, and said so");
}

#[test]
fn a_report_that_became_an_act_counts_from_then_on() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    scene.wait(5);
    let report = scene.say("cedar-chat", action(&name, pb::Action::Monitored, None));
    scene.wait(5);
    scene.revise(&report, &["companies"], action(&name, pb::Action::Labelled, None));
    scene.wait(5);
    scene.revise(&report, &["companies"], action(&name, pb::Action::Removed, None));
    let acted = |scene: &Scene| scene.time("acme-video", None, Stage::Acted);
    assert_eq!(acted(&scene).unwrap().percentiles.unwrap().0.as_secs(), 10);
    scene.say("cedar-chat", action(&name, pb::Action::Restored, None));
    assert_eq!(acted(&scene).unwrap().count, 1, "it may be about one asset of many");
    scene.revise(&report, &["companies"], action(&name, pb::Action::NoAction, None));
    assert_eq!(acted(&scene), None);
}

#[test]
fn of_several_reports_the_earliest_act_counts() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    for (wait, done) in [(20, None), (5, Some(9)), (5, Some(7)), (5, Some(8))] {
        scene.wait(wait);
        let done = done
            .map(|seconds| scene.log[0].accept_time.saturating_add(Duration::from_secs(seconds)));
        scene.say("cedar-chat", action(&name, pb::Action::Removed, done));
    }
    let took = |stage| {
        let time = scene.time("acme-video", Some("cedar-chat"), stage).unwrap();
        (time.count, time.percentiles.unwrap().0.as_secs())
    };
    assert_eq!(took(Stage::Acted), (1, 20));
    assert_eq!(took(Stage::ActedAsClaimed), (1, 7));
}

#[test]
fn operations_have_times_of_their_own_the_largest_ones() {
    let mut scene = Scene::new();
    let small = scene.say("acme-video", operation());
    let large = scene.say("acme-video", operation());
    let told = scene.now();
    for operation in [&small, &large, &large] {
        scene.wait(1);
        let mut content = part_of(operation);
        if let pb::body::Content::Indicator(indicator) = &mut content {
            indicator.last_seen_time = Some(crate::wire::time::timestamp_to_wire(told));
        }
        scene.say("acme-video", content);
    }
    let of = |ledger: &Ledger, name: &RecordName| -> Option<StageTime> {
        ledger.times.iter().find(|time| time.operation.as_ref() == Some(name)).cloned()
    };
    let ledger = scene.ledger("birch-social");
    assert_eq!(of(&ledger, &small).unwrap().count, 1);
    assert_eq!(of(&ledger, &large).unwrap().percentiles.unwrap().1.as_secs(), 3);
    assert_eq!(ledger.operations_left_out, 0);
    for _ in 1..limits::LEDGER_OPERATIONS_MAX {
        let operation = scene.say("cedar-chat", operation());
        scene.say("cedar-chat", part_of(&operation));
        scene.say("cedar-chat", part_of(&operation));
    }
    let ledger = scene.ledger("birch-social");
    assert_eq!((of(&ledger, &small), ledger.operations_left_out), (None, 1));
    assert_eq!(of(&ledger, &large).unwrap().count, 2);
}

#[test]
fn more_entries_than_it_holds_are_refused_with_the_field() {
    let scene = told(|name| vec![("cedar-chat", sighting(name, 1)), ("cedar-chat", note(name))]);
    let mut fold = Fold::new(&member("acme-video"), Window::new(None, None, 9)).with_entries_max(2);
    fold.take(&scene.log[0].entry()).unwrap();
    fold.take(&scene.log[1].entry()).unwrap();
    let refusal = fold.take(&scene.log[2].entry()).unwrap_err();
    assert_eq!(refusal.field, "since_time");
}

#[test]
fn bodies_that_are_not_looked_at_need_not_be_read() {
    let mut scene =
        told(|name| vec![("cedar-chat", note(name)), ("cedar-chat", acknowledgement(name))]);
    let whole = scene.ledger("birch-social");
    for said in scene.log.iter_mut().filter(|said| !Fold::reads_body(said.body_kind)) {
        said.body = None;
    }
    assert_eq!(scene.ledger("birch-social"), whole);
    let read = BodyKind::ALL.iter().filter(|kind| Fold::reads_body(**kind)).count();
    assert_eq!(read, 7);
}

#[test]
fn differences_are_named_and_claims_are_none() {
    let mut scene = told(|name| vec![("cedar-chat", sighting(name, 1))]);
    scene.claimed.delivered.insert((member("cedar-chat"), 0), scene.now());
    let answered = pb::GetLedgerResponse::from(&scene.ledger("birch-social"));
    let entries: Vec<_> = scene.log.iter().collect();
    let window = Window::new(None, None, u64::MAX);
    let ledger = crate::ledger::scene::fold(&scene.roster, &entries, "birch-social", window, None);
    let computed = pb::GetLedgerResponse::from(&ledger);
    assert_ne!(answered, computed);
    assert_eq!(differences(&answered, &computed), []);

    let mut lie = answered;
    lie.rows[0].confirmed += 1;
    lie.rows[2].given.clear();
    lie.rows.push(lie.rows[1].clone());
    lie.times.push(pb::TimeToShare { count: 7, ..pb::TimeToShare::default() });
    let found = differences(&lie, &computed);
    let fields: Vec<&str> = found.iter().map(|difference| difference.field.as_str()).collect();
    assert!(fields.contains(&"members/acme-video: confirmed"), "{fields:?}");
    assert!(fields.contains(&"members/cedar-chat: given sighting"), "{fields:?}");
    assert!(fields.contains(&"members/birch-social: received"), "a row stands twice: {fields:?}");
    assert!(fields.iter().any(|field| field.starts_with("all: ")), "{fields:?}");
    let lied = found.iter().find(|difference| difference.field == "members/acme-video: confirmed");
    let text = "members/acme-video: confirmed: the hub says 2, the entries say 1";
    assert_eq!(lied.unwrap().to_string(), text);
}

#[test]
fn a_reach_of_nobody_is_for_its_publisher() {
    let mut scene = Scene::new();
    scene.say_to("acme-video", &[], indicator());
    assert_eq!(scene.log[0].reach, Reach::default());
    assert_eq!(scene.row("acme-video", "acme-video").given[&BodyKind::Indicator], 1);
    assert!(scene.row("birch-social", "acme-video").given.is_empty());
}
