//! Data directories of earlier versions (T-S11): every one that is kept in tests/data opens, holds, and is served; one of
//! a version to come is refused with its reason.
//!
//! A release keeps one of its own, whose keys are made for it and open nothing else:
//!
//! ```text
//! cargo test --locked --test faults -- --ignored a_data_directory_of_this_version_is_kept
//! ```

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;
use watchfire::client::Client;
use watchfire::client::KeeperChange;
use watchfire::client::OperatorChange;
use watchfire::client::VerifiedEntry;
use watchfire::client::draw_audience;
use watchfire::model::filter::Filter;
use watchfire::model::names::SubscriptionName;
use watchfire::model::time::Clock as _;
use watchfire::model::time::SystemClock;
use watchfire::pki::CertificateRequest;
use watchfire::profile::Profile;
use watchfire::profile::write_private;
use watchfire::profile::write_public;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;

use crate::world::Ends;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::operation;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::replay;
use crate::world::sign;
use crate::world::subscribe;
use crate::world::until;
use crate::world::watchfired;
use crate::world::withdrawal;

const PUBLISHER: &str = "acme-video";
const READER: &str = "birch-social";
const SUSPENDED: &str = "cedar-microblog";
/// What the data directory held when it was kept.
const HELD: &str = "held.json";
/// Where the format lies in the store.
const FORMAT: [u8; 1] = [1];
const NEWER: u32 = 5;
/// The exit code of a data directory that cannot be used.
const UNUSABLE: i32 = 78;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn tar(arguments: &[&str]) {
    let status = Command::new("tar").args(arguments).status();
    assert!(status.expect("tar runs").success());
}

fn subscription() -> SubscriptionName {
    SubscriptionName::new(READER.parse().expect("a member"), "main").expect("a name")
}

fn places(entries: &[VerifiedEntry]) -> Vec<Value> {
    let place = |entry: &VerifiedEntry| {
        json!([entry.sequence(), hex::encode(entry.header_digest()), entry.erased_by()])
    };
    entries.iter().map(place).collect()
}

/// What `watchfired verify` says of the log; of the audit log, which each start makes longer, it says more behind that.
fn verify(world: &World) -> String {
    let said = demand(&watchfired(&["verify", "--data", &text(&world.data())]));
    said.split_inclusive('\n').next().expect("a line").to_owned()
}

/// What a fixture has to have: something of every sort that a store keeps.
async fn fill(world: &World) {
    let client = world.client(PUBLISHER).await;
    let (first, _) = publish(&client, operation("Lantern")).await;
    for number in 0..70 {
        publish(&client, domain(&format!("n{number}.example"))).await;
    }
    let signer = client.signer().expect("a key");
    let mut long = operation("Long");
    if let pb::body::Content::Operation(operation) = &mut long {
        operation.narratives = vec!["x".repeat(4000); 5];
    }
    publish(&client, long).await;
    let new = draft(&signer, domain("revised.example"), handling(&["companies"], &[]));
    let name = new.name.clone();
    let receipt = client.publish_one(sign(&client, new)).await.expect("a receipt");
    let mut next = draft(&signer, domain("again.example"), handling(&["companies"], &[]));
    next.name = name;
    next.previous = Some((1, receipt.header_digest));
    client.publish_one(sign(&client, next)).await.expect("a receipt");
    publish_for(&client, withdrawal(&first), handling(&[], &[])).await;
    let audience = draw_audience().expect("a handle");
    let members = vec![READER.parse().expect("a member")];
    let made = KeeperChange::Create { title: "Desk".to_owned(), members };
    client.change_audience(&audience, made).await.expect("a receipt");
    client.add_key(&signer, &SecretKey::generate().expect("a key")).await.expect("a receipt");
    let operator = world.client("operator").await;
    let suspended = SUSPENDED.parse().expect("a member");
    let change = OperatorChange::Suspend("a test".to_owned());
    operator.change_roster(&suspended, change).await.expect("a receipt");
    let (secret, _) = publish(&client, domain("secret.example")).await;
    publish_for(&client, recall(&secret), handling(&[], &[])).await;
    let name = secret.to_string().parse().expect("a name");
    until("the body is erased", async || {
        client.get(&name).await.expect("its header stays").entry.erased_by()
    })
    .await;
    acknowledge(&world.client(READER).await).await;
}

async fn acknowledge(reader: &Client) {
    let (name, everything) = (subscription(), Filter::default());
    let from = pb::StartPoint::Start;
    reader.create_subscription(&name, &everything, from).await.expect("a subscription");
    let start = watchfire::client::From::Start;
    let mut stream = subscribe(reader, start, Filter::default(), Ends::Never).await;
    loop {
        let delivery = stream.next().await.expect("a delivery").expect("no end");
        if let watchfire::client::Delivery::Mark(mark) = delivery {
            reader.acknowledge_subscription(&name, &mark.cursor).await.expect("an answer");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes the file that the others are held to"]
async fn a_data_directory_of_this_version_is_kept() {
    let mut world =
        World::with(&[(PUBLISHER, "company"), (READER, "company"), (SUSPENDED, "company")]).await;
    Box::pin(fill(&world)).await;
    let reader = world.client(READER).await;
    let entries = places(&replay(&reader, Filter::default()).await);
    let position = reader.subscriptions().await.expect("an answer")[0].position;
    drop(reader);
    world.stop();
    let verified = verify(&world);
    let held = json!({ "verified": verified, "entries": entries, "position": position });
    std::fs::write(world.data().join(HELD), held.to_string()).expect("a file");
    let file = folder().join(format!("hub-{}.tar.gz", env!("CARGO_PKG_VERSION")));
    let above = text(world.data().parent().expect("a folder"));
    tar(&["-czf", &text(&file), "-C", &above, "hub"]);
    println!("{} has {} entries", file.display(), entries.len());
}

/// The world of a data directory that was kept, with certificates of today: those in it end after a year.
fn unpack(file: &Path) -> World {
    let world = World::stopped();
    std::fs::remove_dir_all(world.data()).expect("it is removed");
    tar(&["-xzf", &text(file), "-C", &text(world.data().parent().expect("a folder"))]);
    let now = SystemClock::default().now();
    let operator = Profile::open(&world.profile_folder("operator")).expect("a profile");
    let authority = operator.authority().expect("the authority");
    let tls = world.data().join("tls");
    let request = CertificateRequest::generate("watchfired").expect("a request");
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = authority.issue_server(&hosts, &request.request_pem, now).expect("it is issued");
    write_public(&tls.join("server.pem"), issued.certificate_pem.as_bytes()).expect("a file");
    write_private(&tls.join("server.key"), request.key_pem.as_bytes()).expect("a file");
    let list = authority.next_revocation_list(now).expect("a list");
    write_public(&tls.join("crl.pem"), list.as_bytes()).expect("a file");
    for member in [PUBLISHER, READER] {
        let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
        let request = CertificateRequest::generate(member).expect("a request");
        profile.save_next_tls_key(&request.key_pem).expect("a file");
        let domain = &profile.settings().trust_domain;
        let member = member.parse().expect("a member");
        let issued = authority.issue_member(domain, &member, &request.request_pem, now);
        let pem = issued.expect("it is issued").certificate_pem;
        profile.replace_certificate(&pem).expect("a file");
    }
    world
}

fn all_kept() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).expect("a folder");
    let files = files.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|path| text(path).ends_with(".tar.gz")).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_every_earlier_version_opens_holds_and_is_served() {
    let files = all_kept();
    assert!(!files.is_empty(), "none was kept");
    for file in files {
        let mut world = unpack(&file);
        let held = std::fs::read_to_string(world.data().join(HELD)).expect("what it held");
        let held: Value = serde_json::from_str(&held).expect("JSON");
        assert_eq!(verify(&world), held["verified"].as_str().expect("a text"), "{file:?}");
        world.check_log();
        world.start(&[]).await;
        let reader = world.client(READER).await;
        let entries = replay(&reader, Filter::default()).await;
        assert_eq!(&places(&entries), held["entries"].as_array().expect("a list"));
        let kept = reader.subscriptions().await.expect("an answer");
        assert_eq!(Some(kept[0].position), held["position"].as_u64());
        let publisher = world.client(PUBLISHER).await;
        let (_name, place) = publish(&publisher, domain("after.example")).await;
        assert!(place > entries.last().expect("an entry").sequence());
        drop((reader, publisher));
        world.stop();
        demand(&watchfired(&["compact", "--data", &text(&world.data())]));
        world.finish();
    }
}

/// Says of a store that a version to come wrote it.
fn set_format(world: &World, format: u32) {
    let db = sled::open(world.data().join("store")).expect("a store");
    db.insert(FORMAT, format.to_be_bytes().to_vec()).expect("a row");
    db.flush().expect("it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_a_version_to_come_is_refused_with_its_reason_and_left_alone() {
    let mut world = World::with_members_then_stopped(&[(PUBLISHER, "company")]).await;
    let (verified, data) = (verify(&world), text(&world.data()));
    set_format(&world, NEWER);
    let out = text(&world.data().with_file_name("none.backup"));
    let address = world.address();
    let commands: [&[&str]; 5] = [
        &["serve", "--data", &data, "--listen", &address],
        &["verify", "--data", &data],
        &["rebuild", "--data", &data],
        &["compact", "--data", &data],
        &["backup", "--data", &data, "--out", &out],
    ];
    for command in commands {
        let refused = watchfired(command);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(UNUSABLE), "{command:?}: {told}");
        assert!(told.contains("has format 5, this program reads format 4"), "{told}");
    }
    assert!(!Path::new(&out).exists());
    set_format(&world, NEWER - 1);
    assert_eq!(verify(&world), verified);
    world.start(&[]).await;
    world.finish();
}
