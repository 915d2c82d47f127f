//! `export --follow`: files that are kept current say what a one-shot export says, whatever happens to who keeps them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use watchfire::client::Client;
use watchfire::model::filter::Filter;
use watchfire::model::handling::Handling;
use watchfire::model::handling::OnwardUse;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::durable::pause;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::in_seconds;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::random_moment;
use crate::world::recall;
use crate::world::replay;
use crate::world::scratch;
use crate::world::sign;
use crate::world::until;
use crate::world::withdrawal;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];
/// Kills of each follower in one run; more by the environment.
const ROUNDS: u32 = 12;

fn rounds() -> u32 {
    let more = std::env::var("WATCHFIRE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    more.unwrap_or(ROUNDS)
}

/// Readers may block it.
fn blockable() -> Handling {
    Handling { onward_uses: vec![OnwardUse::Block], ..handling(&["companies"], &[]) }
}

fn of_operation(value: &str, operation: &RecordName) -> pb::body::Content {
    let pb::body::Content::Indicator(said) = domain(value) else { panic!("an indicator") };
    let operation = operation.to_string();
    pb::body::Content::Indicator(pb::Indicator { operation, ..said })
}

/// The three products of a follower, each with its flags.
fn products(folder: &Path) -> [Vec<String>; 3] {
    let out = |name: &str| folder.join(name).display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let list = words(&["export", "blocklist", "--format", "domains", "--bare", "--out"]);
    [
        [words(&["export", "misp", "--out"]), vec![out("feed")]].concat(),
        [list, vec![out("list.txt")]].concat(),
        [words(&["export", "stix", "--out"]), vec![out("stix")]].concat(),
    ]
}

fn with<'a>(words: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    words.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

fn start(world: &World, words: &[String], more: &[&str]) -> Child {
    let mut command = world.command("birch-social", &with(words, more));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("watchfire runs")
}

fn kill(mut child: Child) {
    assert!(child.try_wait().expect("its state").is_none(), "it ran until it was killed");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

/// Follows everything to the head, and compares it with one-shot exports elsewhere.
fn check(world: &World, folder: &Path) {
    for words in &products(folder) {
        demand(&world.watchfire("birch-social", &with(words, &["--follow", "--until-head"])));
    }
    let fresh = scratch();
    for (number, words) in products(fresh.path()).iter().enumerate() {
        let mut words = words.clone();
        if number == 2 {
            words[3] = fresh.path().join("stix.json").display().to_string();
        }
        demand(&world.watchfire("birch-social", &with(&words, &[])));
    }
    let list = |folder: &Path| std::fs::read_to_string(folder.join("list.txt")).expect("a list");
    assert_eq!(list(folder), list(fresh.path()), "the block lists");
    assert_eq!(events(&folder.join("feed")), events(&fresh.path().join("feed")), "the feeds");
    let bundle = json(&fresh.path().join("stix.json"));
    let mut once = objects(bundle["objects"].as_array().expect("objects"));
    // All that has an end has ended by now: a bundle says so, and its file has gone.
    once.retain(|_id, object| object.get("valid_until").is_none());
    let mut kept = BTreeMap::new();
    for path in files(&folder.join("stix")) {
        kept.extend(objects(json(&path)["objects"].as_array().expect("objects")));
    }
    // A bundle says what was taken back, too; what need not be told any more may be missing in either.
    let revoked: BTreeSet<String> = kept
        .iter()
        .chain(&once)
        .filter(|(_id, object)| object["revoked"] == true)
        .map(|(id, _object)| id.clone())
        .collect();
    let is_revoked = |objects: &BTreeMap<String, Value>, id: &String| {
        objects.get(id).is_none_or(|object| object["revoked"] == true)
    };
    let agree = |id: &String| is_revoked(&kept, id) && is_revoked(&once, id);
    assert!(revoked.iter().all(agree), "what was taken back is revoked");
    let is_main = |id: &String| id.starts_with("indicator--") || id.starts_with("campaign--");
    let names = |objects: &BTreeMap<String, Value>| -> BTreeSet<String> {
        let main = objects.keys().filter(|id| is_main(id));
        main.filter(|id| !revoked.contains(*id)).cloned().collect()
    };
    assert_eq!(names(&kept), names(&once), "the bundles");
    // What an asset that has ended brought besides has gone with it.
    let mut both = once.iter().filter(|(id, _object)| kept.contains_key(*id));
    let differ = both.find(|(id, object)| kept.get(*id) != Some(object));
    assert!(differ.is_none(), "{differ:?} and {:?}", differ.map(|(id, _)| kept.get(id)));
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

fn objects(all: &[Value]) -> BTreeMap<String, Value> {
    let id = |object: &Value| object["id"].as_str().expect("an id").to_owned();
    all.iter().map(|object| (id(object), object.clone())).collect()
}

/// What a feed says now: no times of events, and nothing of what is deleted.
fn events(folder: &Path) -> BTreeMap<String, Value> {
    let manifest = json(&folder.join("manifest.json"));
    let mut events = BTreeMap::new();
    for path in files(folder) {
        let uuid = path.file_stem().expect("a name").to_str().expect("a text").to_owned();
        if path.extension().is_none_or(|end| end != "json") || uuid == "manifest" {
            continue;
        }
        assert!(manifest[&uuid].is_object(), "the manifest lists {uuid}");
        let mut event = json(&path)["Event"].take();
        let told = event["timestamp"].take();
        assert_eq!(manifest[&uuid]["timestamp"], told);
        event["publish_timestamp"].take();
        let mut left = 0;
        for list in ["Attribute", "Object", "EventReport"] {
            let items = event[list].as_array_mut().expect("a list");
            items.retain(|item| item["deleted"] != true);
            for item in items.iter_mut().filter(|_item| list == "EventReport") {
                item["timestamp"].take();
            }
            left += items.len();
        }
        if left > 0 {
            events.insert(uuid, event);
        }
    }
    events
}

/// Publishes, changes and takes back, until it is told to stop.
async fn publish_on(client: Client, stop: CancellationToken) {
    let signer = client.signer().expect("a key");
    let (storm, _) = publish(&client, operation("Storm")).await;
    let mut number = 0;
    while !stop.is_cancelled() {
        let mut drafts = Vec::new();
        for _ in 0..6 {
            number += 1;
            let value = format!("n{number}.example");
            let content =
                if number % 3 == 0 { domain(&value) } else { of_operation(&value, &storm) };
            let mut handling = blockable();
            handling.use_until = (number % 5 == 0).then(|| in_seconds(&client, 1));
            drafts.push(draft(&signer, content, handling));
        }
        let names: Vec<RecordName> = drafts.iter().map(|draft| draft.name.clone()).collect();
        let envelopes = drafts.into_iter().map(|draft| sign(&client, draft)).collect();
        let request = pb::PublishRequest { envelopes, ..pb::PublishRequest::default() };
        client.exchange_service().publish(request).await.expect("an answer");
        let sighting =
            pb::Sighting { of: names[1].to_string(), count: 3, ..pb::Sighting::default() };
        publish_for(&client, pb::body::Content::Sighting(sighting), blockable()).await;
        publish_for(&client, withdrawal(&names[0]), handling(&[], &[])).await;
        publish_for(&client, recall(&names[2]), handling(&[], &[])).await;
        pause(random_moment()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_current_however_often_their_keeper_is_killed() {
    let world = World::with(MEMBERS).await;
    let place = scratch();
    let stop = CancellationToken::new();
    let publisher = publish_on(world.client("acme-video").await, stop.clone());
    let kills = async {
        for _round in 0..rounds() {
            let children = products(place.path()).map(|words| start(&world, &words, &["--follow"]));
            // Long enough to write, at times.
            pause(random_moment() * 16).await;
            children.into_iter().for_each(kill);
        }
        stop.cancel();
    };
    tokio::join!(publisher, kills);
    // What ends, ends before they are compared.
    pause(std::time::Duration::from_millis(1200)).await;
    check(&world, place.path());
    let unfinished = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("-tmp");
    assert!(!files(place.path()).iter().any(unfinished), "nothing half-written stays");
    assert!(!files(&place.path().join("feed")).iter().any(unfinished));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_and_what_is_taken_back_leaves_by_itself() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let place = scratch();
    let short = Handling { use_until: Some(in_seconds(&acme, 4)), ..blockable() };
    publish_for(&acme, domain("short.example"), short).await;
    let (stays, _) = publish_for(&acme, domain("stays.example"), blockable()).await;
    let (secret, _) = publish_for(&acme, domain("deleted.example"), blockable()).await;
    let children = products(place.path()).map(|words| start(&world, &words, &["--follow"]));
    let file = place.path().join("list.txt");
    let listed = |expected: &'static str| {
        let file = &file;
        async move { (std::fs::read_to_string(file).ok()? == expected).then_some(()) }
    };
    until("all are listed", || listed("deleted.example\nshort.example\nstays.example\n")).await;
    until("one has ended", || listed("deleted.example\nstays.example\n")).await;
    publish_for(&acme, recall(&secret), handling(&[], &[])).await;
    until("one is gone", || listed("stays.example\n")).await;
    let is_said = |word: &str| {
        let folders = [place.path().join("feed"), place.path().join("stix")];
        let states = [place.path().to_owned(), place.path().join("list.txt.watchfire")];
        let hidden = folders.each_ref().map(|folder| folder.join(".watchfire"));
        let all = folders.iter().chain(&states).chain(&hidden).filter(|folder| folder.is_dir());
        all.flat_map(|folder| files(folder)).any(|path| {
            // A file may go while it is looked for.
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes.windows(word.len()).any(|window| window == word.as_bytes())
        })
    };
    until("no file says it", || async { (!is_said("deleted.example")).then_some(()) }).await;
    assert!(is_said("stays.example"));
    publish_for(&acme, withdrawal(&stays), handling(&[], &[])).await;
    until("the list is empty", || listed("")).await;
    let (_new, _) = publish_for(&acme, domain("new.example"), blockable()).await;
    until("what is new is listed", || listed("new.example\n")).await;
    children.into_iter().for_each(kill);
    check(&world, place.path());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_writes_to_a_place_and_the_hub_is_told_when_it_is_done() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    publish_for(&acme, domain("one.example"), blockable()).await;
    let place = scratch();
    let products = products(place.path());
    for (number, words) in products.iter().enumerate() {
        let name = format!("kept-{number}");
        let follow = ["--follow", "--subscription", &name];
        let first = start(&world, words, &follow);
        let out = Path::new(words.last().expect("a place"));
        let made = || async {
            out.join("manifest.json").exists()
                || out.is_file()
                || (out.is_dir() && !files(out).is_empty())
        };
        until("the files are there", || async { made().await.then_some(()) }).await;
        // A bundle that is written once is a file, and none of this place's.
        let seconds: &[&[&str]] =
            if number == 2 { &[&["--follow"]] } else { &[&["--follow"], &[]] };
        for more in seconds {
            let second = world.watchfire("birch-social", &with(words, more));
            let told = String::from_utf8_lossy(&second.stderr).into_owned();
            assert!(!second.status.success() && told.contains("another process"), "{told}");
        }
        kill(first);
        publish_for(&acme, domain(&format!("more-{number}.example")), blockable()).await;
        demand(
            &world.watchfire(
                "birch-social",
                &with(words, &[&follow[..], &["--until-head"]].concat()),
            ),
        );
    }
    let birch = world.client("birch-social").await;
    let kept = birch.subscriptions().await.expect("subscriptions");
    assert_eq!(kept.len(), 3);
    let lag: Vec<u64> = kept.iter().map(|kept| kept.lag_entries).collect();
    // Each was told of everything that was there when it ended.
    assert_eq!(lag, [2, 1, 0]);
    // A place that was lost: all of it comes again, wherever the hub's place is.
    std::fs::remove_dir_all(place.path().join("feed")).expect("it is there");
    let whole = with(&products[0], &["--follow", "--subscription", "kept-0", "--until-head"]);
    demand(&world.watchfire("birch-social", &whole));
    check(&world, place.path());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_access_was_lost_to_is_not_kept() {
    let world = World::with(MEMBERS).await;
    let acme = world.client("acme-video").await;
    let create = ["audience", "create", "--title", "Desk", "birch-social"];
    let desk = demand(&world.watchfire("acme-video", &create));
    let desk = desk.split(' ').next().expect("a handle").to_owned();
    let handle = desk.trim_start_matches("audiences/");
    let inner = Handling { onward_uses: vec![OnwardUse::Block], ..handling(&[handle], &[]) };
    publish_for(&acme, domain("inner.example"), inner).await;
    publish_for(&acme, domain("outer.example"), blockable()).await;
    let place = scratch();
    let [feed, list, stix] = products(place.path());
    let listed = || std::fs::read_to_string(place.path().join("list.txt")).unwrap_or_default();
    let child = start(&world, &list, &["--follow"]);
    let both = "inner.example\nouter.example\n";
    until("both are listed", || async { (listed() == both).then_some(()) }).await;
    for words in [&feed, &stix] {
        demand(&world.watchfire("birch-social", &with(words, &["--follow", "--until-head"])));
    }
    demand(&world.watchfire("acme-video", &["audience", "remove", &desk, "birch-social"]));
    // One that runs learns it at once, the others when they go on.
    until("one is left", || async { (listed() == "outer.example\n").then_some(()) }).await;
    kill(child);
    check(&world, place.path());
    for folder in ["feed", "stix"] {
        for path in files(&place.path().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a file");
            assert!(!text.contains("inner.example"), "{}", path.display());
        }
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_of_something_else_is_left_alone() {
    let world = World::with(MEMBERS).await;
    let place = scratch();
    let folder = place.path().join("feed");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("thesis.txt"), "mine").expect("a file");
    let [misp, ..] = products(place.path());
    let refused = world.watchfire("birch-social", &with(&misp, &[]));
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(files(&folder).len(), 1);
    // A folder of the state's name makes it no more ours, and what others put beside our files stays.
    std::fs::create_dir(folder.join(".watchfire")).expect("a folder");
    let [.., stix] = products(place.path());
    let kept = place.path().join("stix");
    let follow = ["--follow", "--until-head"];
    demand(&world.watchfire("birch-social", &with(&stix, &follow)));
    std::fs::write(kept.join(".htaccess"), "theirs").expect("a file");
    for _try in 0..2 {
        let refused = world.watchfire("birch-social", &with(&misp, &follow));
        assert_eq!(refused.status.code(), Some(2));
        demand(&world.watchfire("birch-social", &with(&stix, &follow)));
    }
    assert_eq!((files(&folder).len(), files(&kept).len()), (1, 1));
    let nowhere = ["export", "blocklist", "--format", "domains", "--follow"];
    assert_eq!(world.watchfire("birch-social", &nowhere).status.code(), Some(2));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_may_do_is_published_and_stays_when_a_record_is_amended() {
    let world = World::with(MEMBERS).await;
    let birch = world.client("birch-social").await;
    let said = ["publish", "--value", "one.example", "--tlp", "green", "--audience", "companies"];
    let uses = ["--may", "pass-to-government", "--may", "block", "--use-until", "2099-01-01"];
    demand(&world.watchfire("acme-video", &[&said[..], &uses[..]].concat()));
    let latest = || async {
        let mut all = replay(&birch, Filter::default()).await;
        all.retain(|entry| entry.header().body_kind == BodyKind::Indicator);
        let last = all.pop().expect("an indicator");
        (last.header().name.clone(), last.header().handling.clone())
    };
    let (name, first) = latest().await;
    assert_eq!(first.onward_uses, [OnwardUse::Block, OnwardUse::PassToGovernment]);
    assert!(first.use_until.is_some());
    let name = name.to_string();
    let amend = ["publish", "--value", "one.example", "--confidence", "70", "--amend", &name];
    demand(&world.watchfire("acme-video", &amend));
    assert_eq!(latest().await.1, first, "what is left out stays");
    demand(
        &world.watchfire("acme-video", &[&amend[..], &["--may", "notify-affected"][..]].concat()),
    );
    assert_eq!(latest().await.1.onward_uses, [OnwardUse::NotifyAffected]);
    // Nothing is blocked any more.
    let list = ["export", "blocklist", "--format", "domains", "--bare"];
    assert_eq!(demand(&world.watchfire("birch-social", &list)), "");
    let wrong = world.watchfire("acme-video", &[&said[..], &["--may", "sell"][..]].concat());
    assert_eq!(wrong.status.code(), Some(2));
    world.finish();
}
