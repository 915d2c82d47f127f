//! Random logs must give the same numbers by the fold and by the definition, in any order, from the hub's side and from
//! a member's; and what is nobody's to know must move none of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::ledger::Window;
use crate::ledger::differences;
use crate::ledger::oracle::Oracle;
use crate::ledger::oracle::content;
use crate::ledger::scene::BEGIN;
use crate::ledger::scene::Claimed;
use crate::ledger::scene::SECOND;
use crate::ledger::scene::Said;
use crate::ledger::scene::Scene;
use crate::ledger::scene::action;
use crate::ledger::scene::fold;
use crate::ledger::scene::note;
use crate::ledger::scene::opinion;
use crate::ledger::scene::reach;
use crate::ledger::scene::sighting;
use crate::ledger::scene::takedown;
use crate::ledger::scene::withdrawal;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time::timestamp_to_wire;

const MEMBERS: [(&str, Role); 8] = [
    ("acme-video", Role::Company),
    ("birch-social", Role::Company),
    ("cedar-chat", Role::Company),
    ("dune-forum", Role::Company),
    ("harbour-liaison", Role::Observer),
    ("inlet-liaison", Role::Observer),
    ("jetty-liaison", Role::Observer),
    ("operator", Role::Operator),
];
const CUSTOM: [&str; 2] = ["0123456789abcdef0001", "0123456789abcdef0002"];

/// One step of a random log; numbers choose among what is there.
#[derive(Clone, Debug)]
struct Step {
    publisher: usize,
    what: u8,
    of: usize,
    /// Stance, count, action, whether a body is gone.
    value: i32,
    audiences: u8,
    recipient: usize,
    seconds: u64,
    /// How long before or after now it is said to have happened.
    claimed: Option<i8>,
    revises: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let who = (0..MEMBERS.len() - 1, any::<u8>(), any::<u8>(), 0..MEMBERS.len() - 1);
    let what = (
        0..14_u8,
        prop_oneof![0..3_usize, 0..64_usize],
        0..9_i32,
        proptest::option::of(any::<i8>()),
        any::<bool>(),
    );
    (who, what, 0..3_u64).prop_map(|((publisher, bits, more, recipient), what, seconds)| {
        let (what, of, value, claimed, revises) = what;
        // Most records reach many, so that there is something to count.
        let audiences = if more < 128 { 1 | (bits & 31) } else { bits & 31 };
        Step { publisher, what, of, value, audiences, recipient, seconds, claimed, revises }
    })
}

fn play(scene: &mut Scene, step: &Step) {
    scene.wait(step.seconds);
    let offset = step.claimed.map(|seconds| i64::from(seconds) * 1_000_000);
    let time = offset.map(|offset| {
        let micros = scene.now().as_micros().checked_add_signed(offset).unwrap();
        Timestamp::from_micros(micros).unwrap()
    });
    // Most is said of assets, and of few of them, so that members say more than one thing of each.
    let is_about = |said: &&Said| {
        matches!(said.body_kind, BodyKind::Indicator | BodyKind::Operation)
            || (said.body_kind.is_chosen() && step.value == 7)
    };
    let records: Vec<RecordName> =
        scene.log.iter().filter(is_about).map(|said| said.name.clone()).collect();
    let of = records.get(step.of % records.len().max(1)).cloned();
    let publisher = MEMBERS[step.publisher].0;
    let mut to: Vec<&str> = Vec::new();
    for (bit, audience) in
        ["all", "companies", "observers", CUSTOM[0], CUSTOM[1]].iter().enumerate()
    {
        if step.audiences >> bit & 1 == 1 {
            to.push(audience);
        }
    }
    let recipient = format!("@{}", MEMBERS[step.recipient].0);
    to.push(&recipient);
    let Some(content) = said(step, of.as_ref(), time) else { return };
    let kind = crate::ledger::scene::kind(&content);
    if kind.is_recall() {
        let of = of.expect("there is one");
        let own = if step.value < 6 { of.member.as_str() } else { publisher };
        let withdrawer = if kind == BodyKind::Takedown { "operator" } else { own };
        scene.say_to(withdrawer, &[], content);
        return;
    }
    let last = scene.log.iter().rfind(|said| {
        said.name.member.as_str() == publisher && said.body_kind == kind && said.revision < 4
    });
    match last.map(|said| said.name.clone()).filter(|_name| step.revises) {
        Some(name) => scene.revise(&name, &to, content),
        None => drop(scene.say_to(publisher, &to, content)),
    }
    if step.value == 8 && step.seconds == 0 {
        scene.log.last_mut().expect("it was said").body = None;
    }
}

fn said(
    step: &Step,
    of: Option<&RecordName>,
    time: Option<Timestamp>,
) -> Option<pb::body::Content> {
    let wire = time.map(timestamp_to_wire);
    Some(match step.what {
        0 | 1 => pb::body::Content::Indicator(pb::Indicator {
            first_seen_time: wire,
            ..pb::Indicator::default()
        }),
        2 => pb::body::Content::Indicator(pb::Indicator {
            last_seen_time: wire,
            operation: of?.to_string(),
            ..pb::Indicator::default()
        }),
        3 => pb::body::Content::Operation(pb::Operation {
            last_activity_time: wire,
            ..pb::Operation::default()
        }),
        4 | 5 | 12 => opinion(of?, pb::Stance::try_from(step.value % 6).ok()?),
        6 => sighting(of?, u64::try_from(step.value % 3).ok()?),
        7 | 8 | 13 => action(of?, pb::Action::try_from(step.value).ok()?, time),
        9 => note(of?),
        10 => withdrawal(of?),
        _ if step.value < 3 => takedown(of?),
        _ => return None,
    })
}

/// A random exchange: who is in it, who is suspended, who is in which custom audience, and what they said.
fn scene() -> impl Strategy<Value = Scene> {
    let steps = proptest::collection::vec(step(), 1..120);
    let claims =
        proptest::collection::vec((0..7_usize, 0..100_u64, any::<bool>(), -3..400_i32), 0..80);
    (1..=4_usize, 0..=3_usize, any::<u8>(), any::<u16>(), steps, claims).prop_map(
        |(companies, observers, suspended, audiences, steps, claims)| {
            let mut scene = Scene::empty();
            for (place, (id, role)) in MEMBERS.iter().enumerate() {
                if place < companies || (4..4 + observers).contains(&place) || place == 7 {
                    scene.admit(id, *role);
                }
            }
            gather(&mut scene, audiences);
            let is_in = |scene: &Scene, place: usize| {
                scene.roster.member(&MEMBERS[place].0.parse().unwrap()).is_some()
            };
            let told = steps.iter().filter(|step| is_in(&scene, step.publisher));
            let told: Vec<&Step> = told.collect();
            for step in told {
                play(&mut scene, step);
            }
            for place in (0..7).filter(|place| suspended >> place & 1 == 1 && suspended < 64) {
                if is_in(&scene, place) {
                    scene.suspend(MEMBERS[place].0);
                }
            }
            scene.claimed = claimed(&scene, &claims);
            scene
        },
    )
}

fn gather(scene: &mut Scene, bits: u16) {
    let keeper: MemberId = "acme-video".parse().unwrap();
    for (place, name) in CUSTOM.iter().enumerate() {
        let others: Vec<MemberId> = (1..7)
            .filter(|member| bits >> (place * 7 + member) & 1 == 1)
            .map(|member| MEMBERS[member].0.parse().unwrap())
            .filter(|id| scene.roster.member(id).is_some())
            .collect();
        // The first is kept by acme-video, the second by whoever comes first, which may not be in the first.
        let keeper = if place == 0 { &keeper } else { others.first().unwrap_or(&keeper) };
        let audience: Audience = name.parse().unwrap();
        let audiences = &mut scene.roster.audiences;
        audiences.create(&audience, String::new(), keeper, &others, Sequence(0)).unwrap();
    }
}

fn claimed(scene: &Scene, claims: &[(usize, u64, bool, i32)]) -> Claimed {
    let mut claimed = Claimed::default();
    for (place, sequence, acknowledged, tenths) in claims {
        let Some(said) = scene.log.iter().find(|said| said.sequence == *sequence) else { continue };
        let micros = said.accept_time.as_micros();
        let micros = micros.checked_add_signed(i64::from(*tenths) * 100_003).unwrap();
        let time = Timestamp::from_micros(micros).unwrap();
        let all = if *acknowledged { &mut claimed.acknowledged } else { &mut claimed.delivered };
        all.insert((MEMBERS[*place].0.parse().unwrap(), *sequence), time);
    }
    claimed
}

/// What a member was sent, and what it can know of audiences.
fn as_sent(scene: &Scene, caller: &MemberId) -> (Roster, Vec<Said>) {
    let mut roster = scene.roster.clone();
    let foreign: Vec<Audience> = roster
        .audiences
        .iter()
        .filter(|(_name, audience)| !audience.members.contains(caller))
        .map(|(name, _audience)| name.clone())
        .collect();
    let mut known = crate::model::audiences::Audiences::default();
    for (name, audience) in roster.audiences.iter().filter(|(name, _)| !foreign.contains(name)) {
        let members: Vec<MemberId> = audience.members.iter().cloned().collect();
        let title = audience.title.clone();
        known.create(name, title, &audience.keeper, &members, audience.created_at).unwrap();
    }
    roster.audiences = known;
    let oracle = Oracle { scene, caller: caller.clone(), since: None, until: None, head: u64::MAX };
    let seen: BTreeSet<RecordName> = oracle.names();
    let is_sent = |said: &&Said| match content(said) {
        Some(pb::body::Content::Withdrawal(recall)) => {
            seen.iter().any(|name| name.to_string() == recall.of)
        }
        Some(pb::body::Content::Takedown(recall)) => {
            seen.iter().any(|name| name.to_string() == recall.of)
        }
        _ => oracle.may(caller, said, false),
    };
    (roster, scene.log.iter().filter(is_sent).cloned().collect())
}

/// Bounds in seconds from the begin, and a head.
fn window() -> impl Strategy<Value = (Option<u64>, Option<u64>, u64)> {
    let moment = || proptest::option::of((0..60_u64).prop_map(|seconds| BEGIN + seconds * SECOND));
    (moment(), moment(), prop_oneof![Just(u64::MAX), 0..60_u64])
}

fn to_window((since, until, head): (Option<u64>, Option<u64>, u64)) -> Window {
    let time = |micros: Option<u64>| micros.and_then(Timestamp::from_micros);
    Window::new(time(since), time(until), head)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_gives_what_the_definition_says(
        scene in scene(),
        caller in 0..8_usize,
        bounds in window(),
    ) {
        let (since, until, head) = bounds;
        let caller = MEMBERS[caller].0.parse().unwrap();
        let oracle = Oracle { scene: &scene, caller, since, until, head };
        let ledger = scene.ledger_in(oracle.caller.as_str(), to_window(bounds));
        prop_assert_eq!(ledger, oracle.ledger());
    }

    #[test]
    fn neither_order_nor_repetition_matters(
        (scene, order) in scene().prop_flat_map(|scene| {
            let twice: Vec<usize> = (0..scene.log.len()).chain(0..scene.log.len() / 2).collect();
            (Just(scene), Just(twice).prop_shuffle())
        }),
        caller in 0..8_usize,
        bounds in window(),
    ) {
        let caller = MEMBERS[caller].0;
        let shuffled: Vec<&Said> = order.iter().map(|place| &scene.log[*place]).collect();
        let window = to_window(bounds);
        let again = fold(&scene.roster, &shuffled, caller, window, Some(&scene.claimed));
        prop_assert_eq!(again, scene.ledger_in(caller, window));
    }

    #[test]
    fn a_member_computes_what_the_hub_answers(
        scene in scene(),
        caller in 0..8_usize,
        bounds in window(),
    ) {
        let caller = MEMBERS[caller].0;
        let window = to_window(bounds);
        let (roster, sent) = as_sent(&scene, &caller.parse().unwrap());
        let sent: Vec<&Said> = sent.iter().rev().collect();
        let computed = fold(&roster, &sent, caller, window, None);
        let answered = scene.ledger_in(caller, window);
        let found = differences(&(&answered).into(), &(&computed).into());
        prop_assert_eq!(found, Vec::new());
        let with_claims = fold(&roster, &sent, caller, window, Some(&scene.claimed));
        prop_assert_eq!(with_claims, answered);
    }

    #[test]
    fn claims_about_those_who_are_not_told_apart_move_no_number(
        scene in scene(),
        caller in 0..8_usize,
    ) {
        let caller: MemberId = MEMBERS[caller].0.parse().unwrap();
        let before = scene.ledger(caller.as_str());
        let oracle = Oracle { scene: &scene, caller, since: None, until: None, head: u64::MAX };
        let mut other = scene.clone();
        for (id, _role) in oracle.members().into_iter().filter(|(id, role)| !oracle.by_name(id, *role)) {
            other.claimed.delivered.retain(|(member, _sequence), _time| *member != id);
            for said in &scene.log {
                other.claimed.acknowledged.insert((id.clone(), said.sequence), said.accept_time);
            }
        }
        prop_assert_eq!(other.ledger(oracle.caller.as_str()), before);
    }

    #[test]
    fn what_the_caller_may_not_see_moves_no_number(scene in scene(), caller in 0..8_usize) {
        let caller: MemberId = MEMBERS[caller].0.parse().unwrap();
        let before = scene.ledger(caller.as_str());
        let mut less = scene.clone();
        let oracle = Oracle { scene: &scene, caller, since: None, until: None, head: u64::MAX };
        less.log.retain(|said| !said.body_kind.is_chosen() || oracle.may(&oracle.caller, said, false));
        prop_assert_eq!(less.ledger(oracle.caller.as_str()), before);
    }
}

#[test]
fn a_reach_is_read_as_it_is_written() {
    let written = reach(&["companies", "@acme-video"]);
    assert_eq!((written.audiences.len(), written.recipients.len()), (1, 1));
}
