//! Who tries to look better than it is, or to learn what it should not, and what comes of it.

use std::time::Duration;

use crate::ledger::Row;
use crate::ledger::Stage;
use crate::ledger::scene::Scene;
use crate::ledger::scene::acknowledgement;
use crate::ledger::scene::action;
use crate::ledger::scene::indicator;
use crate::ledger::scene::member;
use crate::ledger::scene::opinion;
use crate::ledger::scene::sighting;
use crate::ledger::scene::withdrawal;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::roster::Role;
use crate::wire::pb;

fn given(row: &Row) -> u64 {
    row.given.values().sum()
}

#[test]
fn a_flood_of_acknowledgements_gains_nothing() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    scene.withdraw(&name);
    let before = scene.ledger("acme-video");
    for _ in 0..1000 {
        scene.say_to("birch-social", &["@acme-video"], acknowledgement(&name));
    }
    assert_eq!(scene.ledger("acme-video"), before);
    assert_eq!(given(&scene.row("birch-social", "birch-social")), 0);
}

#[test]
fn a_flood_that_is_withdrawn_or_revised_gains_nothing() {
    let mut scene = Scene::new();
    let kept = scene.say("acme-video", indicator());
    for _ in 0..100 {
        let name = scene.say("acme-video", indicator());
        scene.withdraw(&name);
        scene.revise(&kept, &["companies"], indicator());
    }
    let row = scene.row("birch-social", "acme-video");
    assert_eq!((given(&row), row.withdrawn), (1, 100));
    assert_eq!(scene.row("birch-social", "cedar-chat").received, 1);
}

#[test]
fn who_confirms_itself_gains_nothing() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    for _ in 0..10 {
        scene.say("acme-video", opinion(&name, pb::Stance::StronglyAgree));
        scene.say("acme-video", sighting(&name, 1000));
        scene.say("acme-video", action(&name, pb::Action::Removed, Some(scene.now())));
    }
    let row = scene.row("birch-social", "acme-video");
    assert_eq!([row.confirmed, row.confirmed_by, row.acted_on, row.acted_on_by], [0; 4]);
    assert_eq!((row.received, row.received_acted_on), (0, 0));
    assert_eq!(scene.time("birch-social", None, Stage::Acted), None);
    assert_eq!(row.given[&BodyKind::Opinion], 10, "it is there for all to see what it gave");
}

#[test]
fn two_who_confirm_each_other_in_a_loop_have_one_voice_each() {
    let mut scene = Scene::new();
    for _ in 0..50 {
        for (publisher, friend) in [("acme-video", "birch-social"), ("birch-social", "acme-video")]
        {
            let name = scene.say(publisher, indicator());
            scene.say(friend, opinion(&name, pb::Stance::Agree));
            scene.say(friend, sighting(&name, 7));
        }
    }
    let honest = scene.say("cedar-chat", indicator());
    scene.admit("dune-forum", Role::Company);
    for publisher in ["acme-video", "birch-social", "dune-forum"] {
        scene.say(publisher, opinion(&honest, pb::Stance::Agree));
    }
    // Each record is confirmed, which is what was said; by one member alone, which is what it is worth.
    for publisher in ["acme-video", "birch-social"] {
        let row = scene.row("dune-forum", publisher);
        assert_eq!((row.confirmed, row.confirmed_by), (50, 1), "{publisher}");
    }
    let row = scene.row("dune-forum", "cedar-chat");
    assert_eq!((row.confirmed, row.confirmed_by), (1, 3));
}

#[test]
fn who_backdates_looks_no_faster_by_the_log() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    let before = scene.now();
    scene.wait(3600);
    // It claims to have acted at once, and before the record was there; the log knows when it said so.
    scene.say("birch-social", action(&name, pb::Action::Removed, Some(before)));
    let early = crate::model::time::Timestamp::from_micros(before.as_micros() - 1).unwrap();
    scene.say("cedar-chat", action(&name, pb::Action::Removed, Some(early)));
    let hour = Duration::from_hours(1);
    let acted = scene.time("acme-video", None, Stage::Acted).unwrap();
    assert_eq!((acted.count, acted.percentiles), (2, Some((hour, hour))));
    let claimed = scene.time("acme-video", None, Stage::ActedAsClaimed).unwrap();
    assert_eq!((claimed.count, claimed.left_out), (1, 1));
    assert_eq!(claimed.percentiles.unwrap().0, Duration::ZERO);
}

#[test]
fn who_withdraws_for_another_withdraws_nothing() {
    let mut scene = Scene::new();
    let name = scene.say("acme-video", indicator());
    scene.say_to("birch-social", &[], withdrawal(&name));
    // Nor by a name that begins like its own.
    scene.admit("acme-video-two", Role::Company);
    let second = scene.say("acme-video-two", indicator());
    scene.say_to("acme-video", &[], withdrawal(&second));
    assert_eq!(scene.row("birch-social", "acme-video").withdrawn, 0);
    assert_eq!(scene.row("birch-social", "acme-video-two").withdrawn, 0);
}

/// What the hub claims of everyone, for the first record.
fn claimed(scene: &mut Scene, members: &[&str]) {
    for id in members {
        scene.claimed.delivered.insert((member(id), 0), scene.now());
        scene.claimed.acknowledged.insert((member(id), 0), scene.now());
    }
}

#[test]
fn members_of_a_small_role_are_one_row_without_the_hubs_claims() {
    let mut scene = Scene::new();
    scene.admit("inlet-liaison", Role::Observer);
    scene.say_to("acme-video", &["all"], indicator());
    claimed(&mut scene, &["birch-social", "cedar-chat", "harbour-liaison", "inlet-liaison"]);
    let rows = scene.ledger("acme-video").rows;
    let found: Vec<Option<&str>> =
        rows.iter().map(|row| row.member.as_ref().map(MemberId::as_str)).collect();
    let expected = [Some("acme-video"), Some("birch-social"), Some("cedar-chat"), None];
    assert_eq!(found, expected);
    let delivered: Vec<Option<u64>> = rows.iter().map(|row| row.delivered).collect();
    assert_eq!(delivered, [Some(0), Some(1), Some(1), None]);
    assert_eq!((rows[3].members, rows[3].role, rows[3].received), (2, Some(Role::Observer), 2));

    // One of them gets its own row, with the claims about itself and none about the other.
    let rows = scene.ledger("harbour-liaison").rows;
    let own = rows.iter().find(|row| row.member == Some(member("harbour-liaison"))).unwrap();
    assert_eq!((own.delivered, own.acknowledged), (Some(1), Some(1)));
    let others = rows.last().unwrap();
    assert_eq!((others.members, others.delivered, others.acknowledged), (1, None, None));

    // With a third one they are told apart.
    scene.admit("jetty-liaison", Role::Observer);
    assert_eq!(scene.row("acme-video", "inlet-liaison").delivered, Some(1));
    scene.suspend("jetty-liaison");
    assert_eq!(scene.ledger("acme-video").rows.len(), 4, "one that is suspended hides nobody");
}

#[test]
fn nothing_is_had_by_subtraction_from_what_is_told_of_all() {
    let mut scene = Scene::new();
    scene.say_to("acme-video", &["all"], indicator());
    claimed(&mut scene, &["birch-social", "cedar-chat"]);
    let without = scene.ledger("acme-video");
    scene.wait(1000);
    claimed(&mut scene, &["harbour-liaison"]);
    assert_eq!(scene.ledger("acme-video"), without, "no number of anybody's has moved");
    assert_ne!(scene.ledger("harbour-liaison").times, without.times, "its own has");
}

#[test]
fn in_an_exchange_of_two_each_is_told_of_itself_alone() {
    let mut scene = Scene::empty();
    scene.admit("acme-video", Role::Company);
    scene.admit("birch-social", Role::Company);
    scene.admit("harbour-liaison", Role::Observer);
    scene.say_to("acme-video", &["all"], indicator());
    claimed(&mut scene, &["birch-social", "harbour-liaison"]);
    let rows = scene.ledger("acme-video").rows;
    assert_eq!(rows.len(), 2);
    let others = &rows[1];
    assert_eq!((others.role, others.members, others.received), (None, 2, 2));
    assert_eq!(others.delivered, None);
    assert_eq!(scene.time("acme-video", None, Stage::Delivered), None);
    assert_eq!(scene.time("birch-social", None, Stage::Delivered).unwrap().count, 1);
}
