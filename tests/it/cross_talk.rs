//! Fifty members who say things to each other at random, all of them listening (T-A3): each is sent what is for it, once and
//! in order, and nothing else. Who a record is for is said by [`crate::oracle`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use tonic::Streaming;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::draw_audience;
use watchfire::model::header::BodyKind;
use watchfire::model::names::Audience;
use watchfire::wire;
use watchfire::wire::pb;
use watchfire::wire::pb::subscribe_request::Start;

use crate::oracle::Reach;
use crate::oracle::ReadBy;
use crate::oracle::Reader;
use crate::oracle::Role;
use crate::oracle::may_read;
use crate::trials::Round;
use crate::trials::Trials;
use crate::world::PATIENCE;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::publish_for;

const MEMBERS: usize = 50;
/// Records of one round: on demand the rounds make a million deliveries and more.
const RECORDS: usize = 500;
const ROUNDS: [u64; 2] = [2, 150];
const DELIVERIES: u64 = 1_000_000;
/// Every so many-th member is an observer, and every so many-th an auditor.
const OBSERVERS: usize = 4;
const AUDITORS: usize = 17;

/// A member that listens.
struct Member {
    reader: Reader,
    client: Client,
    frames: Streaming<pb::SubscribeResponse>,
    heard: Vec<u64>,
}

const fn role(number: usize) -> (Role, &'static str) {
    if number % AUDITORS == AUDITORS - 1 {
        (Role::Auditor, "auditor")
    } else if number % OBSERVERS == OBSERVERS - 1 {
        (Role::Observer, "observer")
    } else {
        (Role::Company, "company")
    }
}

fn below(round: &mut Round, end: usize) -> usize {
    usize::try_from(round.below(u64::try_from(end).expect("a number"))).expect("a number")
}

/// The circles: each with its keeper and every so many-th company.
async fn circles(world: &World, names: &[String]) -> BTreeMap<Audience, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for step in [3, 5, 7] {
        let circle = draw_audience().expect("a handle");
        let inside = names
            .iter()
            .enumerate()
            .filter(|(number, _)| number % step == 0 && role(*number).0 != Role::Auditor);
        let inside: Vec<String> = inside.map(|(_, name)| name.clone()).collect();
        let members = inside.iter().skip(1).map(|name| name.parse().expect("a name")).collect();
        let create = KeeperChange::Create { title: format!("Circle of {step}"), members };
        let keeper = world.client(&inside[0]).await;
        keeper.change_audience(&circle, create).await.expect("a receipt");
        all.insert(circle, inside.into_iter().collect());
    }
    all
}

async fn gather(world: &World) -> Vec<Member> {
    let names: Vec<String> = (0..MEMBERS).map(|number| format!("member-{number:02}")).collect();
    for (number, name) in names.iter().enumerate() {
        world.admit(name, role(number).1);
    }
    let circles = circles(world, &names).await;
    let mut all = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let own = circles.iter().filter(|(_, inside)| inside.contains(&name));
        let circles = own.map(|(circle, _)| circle.as_str().to_owned()).collect();
        let client = world.client(&name).await;
        let request = pb::SubscribeRequest {
            start: Some(Start::From(pb::StartPoint::Now.into())),
            ..pb::SubscribeRequest::default()
        };
        let frames = client.exchange_service().subscribe(request).await.expect("a stream");
        let reader = Reader { name, role: role(number).0, suspended: false, circles };
        all.push(Member { reader, client, frames: frames.into_inner(), heard: Vec::new() });
    }
    all
}

/// Whom somebody speaks to: audiences that it may address, and members who read.
fn any_reach(round: &mut Round, speaker: &Reader, members: &[Member]) -> Reach {
    let mut reach = Reach::default();
    match below(round, 8) {
        0 => drop(reach.audiences.insert("all".to_owned())),
        1 | 2 => drop(reach.audiences.insert("companies".to_owned())),
        3 => drop(reach.audiences.insert("observers".to_owned())),
        4 | 5 => reach.audiences.extend(speaker.circles.iter().take(1 + below(round, 2)).cloned()),
        _ => {}
    }
    for _recipient in 0..below(round, 4) {
        let other = &members[below(round, members.len())].reader;
        if other.role != Role::Auditor {
            reach.recipients.insert(other.name.clone());
        }
    }
    reach
}

/// Records of many publishers, in batches of each; who each is for, by its place.
async fn speak(round: &mut Round, members: &[Member]) -> BTreeMap<u64, (String, Reach)> {
    let mut said: BTreeMap<usize, Vec<(pb::Envelope, Reach)>> = BTreeMap::new();
    for number in 0..RECORDS {
        let speaker = loop {
            let speaker = below(round, members.len());
            if members[speaker].reader.role == Role::Company {
                break speaker;
            }
        };
        let member = &members[speaker];
        let reach = any_reach(round, &member.reader, members);
        let texts = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
        let (audiences, recipients) = (texts(&reach.audiences), texts(&reach.recipients));
        let handling = handling(
            &audiences.iter().map(String::as_str).collect::<Vec<_>>(),
            &recipients.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let signer = member.client.signer().expect("a key");
        let content = domain(&format!("said-{}-{number}.example", round.number));
        let envelope = signer.sign(draft(&signer, content, handling), member.client.now());
        said.entry(speaker).or_default().push((envelope.expect("a record"), reach));
    }
    let mut placed = BTreeMap::new();
    for (speaker, records) in said {
        let (envelopes, reaches): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        let name = &members[speaker].reader.name;
        let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
        let answer = members[speaker].client.exchange_service().publish(request).await;
        let results = answer.expect("an answer").into_inner().results;
        for (result, reach) in results.into_iter().zip(reaches) {
            let Some(pb::publish_result::Outcome::Receipt(receipt)) = result.outcome else {
                panic!("{name} to {reach:?}: {result:?}");
            };
            placed.insert(receipt.sequence, (name.clone(), reach));
        }
    }
    placed
}

/// Everything that comes up to a place.
async fn listen(member: &mut Member, goal: u64) {
    loop {
        let frame = tokio::time::timeout(PATIENCE, member.frames.message()).await;
        let frame = frame.expect("a frame in time").expect("a frame").expect("no end");
        let indicators = frame.entries.iter().filter(|entry| {
            let payload = &entry.envelope.as_ref().expect("an envelope").payload;
            wire::header::header(payload).expect("a header").body_kind == BodyKind::Indicator
        });
        member.heard.extend(indicators.map(|entry| entry.sequence));
        if frame.mark.is_some_and(|mark| mark.position >= goal) {
            return;
        }
    }
}

/// One round; how many entries were delivered.
async fn play(round: &mut Round, members: &mut [Member]) -> u64 {
    let placed = speak(round, members).await;
    // For everyone, so that a mark comes behind it.
    let all = handling(&["all"], &[]);
    let (_, last) = publish_for(&members[0].client, domain("last.example"), all).await;
    futures_util::future::join_all(members.iter_mut().map(|member| listen(member, last + 1))).await;
    let mut delivered = 0;
    for member in members {
        let heard = std::mem::take(&mut member.heard);
        let heard: Vec<u64> = heard.into_iter().filter(|sequence| *sequence != last).collect();
        let is_for = |(name, reach): &(String, Reach)| {
            may_read(&member.reader, name, &ReadBy::Chosen(reach.clone()))
        };
        let expected: Vec<u64> =
            placed.iter().filter(|(_, said)| is_for(said)).map(|(place, _)| *place).collect();
        assert_eq!(heard, expected, "{} ({:?})", member.reader.name, member.reader.role);
        delivered += u64::try_from(heard.len()).expect("a number");
    }
    delivered
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_members_are_each_sent_what_is_for_them_and_nothing_else() {
    let [commit, demand] = ROUNDS;
    let mut trials = Trials::of("cross_talk", commit, demand);
    let world = World::new().await;
    let mut members = gather(&world).await;
    while let Some(mut round) = trials.next() {
        let delivered = play(&mut round, &mut members).await;
        // Enough on demand for what is asked for, and the control: neither all is for everyone, nor nothing.
        assert!(delivered * demand >= DELIVERIES, "{delivered} deliveries");
        let most = u64::try_from(RECORDS * MEMBERS).expect("a number");
        assert!(delivered * 10 < most * 9, "{delivered} deliveries of {most}");
        round.note("deliveries", delivered);
        trials.keep(round);
    }
    trials.finish();
    world.finish();
}
