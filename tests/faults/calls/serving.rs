//! The hub under strace while it does everything that it does.

use std::ffi::OsStr;
use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::OperatorChange;
use watchfire::model::filter::Filter;
use watchfire::model::names::SubscriptionName;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use crate::calls::commands::Stage;
use crate::calls::strace::Ended;
use crate::calls::strace::Fault;
use crate::calls::strace::Point;
use crate::calls::strace::Traced;
use crate::kill::load::Sent;
use crate::kill::load::receipt_of;
use crate::kill::promises::Promises;
use crate::world::World;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::hub_program;
use crate::world::recall;
use crate::world::replay;
use crate::world::sign;

const PUBLISHER: &str = "acme-video";
/// Records of each call.
const BATCHES: [usize; 4] = [1, 16, 3, 100];
/// How long the whole of what is asked of the hub may take.
const SCRIPT: Duration = Duration::from_mins(1);
/// How long an erasure is waited for: the hub looks every second.
const ERASED_WITHIN: Duration = Duration::from_secs(5);
/// Calls by which what was promised reaches the disk. What is written by `write` is the reserve, zeros ahead of the log.
const MAKE_DURABLE: [&str; 4] = [" pwrite64(", " fdatasync(", " fsync(", " sync_file_range("];
/// What a hub says of a sync that failed as its store was closed, behind the last one that it needed.
const AT_THE_END: [&str; 2] =
    ["was not synced once more when it was closed", "the end of the log is not noted"];
/// The exit code of a hub that could not write.
const WRITE_FAILED: i32 = 74;

/// The calls by which the hub changes files.
pub(crate) async fn count(stage: &Stage) -> Vec<Point> {
    let world = stage.world();
    let (mut hub, sent) = serve(&world, None).await;
    assert_eq!(hub.ended().await, Ended::Code(0));
    assert!(sent.unanswered.is_empty() && sent.receipts.len() > 100);
    hub.points()
}

/// One call fails or is the last. Then the hub starts again by the same command, and everything is there.
pub(crate) async fn try_one(stage: &Stage, fault: (&Point, Fault)) -> Ended {
    let mut world = stage.world();
    let (mut hub, sent) = serve(&world, Some(fault)).await;
    let ended = hub.ended().await;
    let struck = hub.struck().unwrap_or_default();
    drop(hub);
    let allowed = [Ended::Code(0), Ended::Code(WRITE_FAILED), Ended::Killed];
    let said = std::fs::read_to_string(world.data().with_file_name("said")).unwrap_or_default();
    assert!(allowed.contains(&ended), "{ended:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    // One write or sync of the log that failed is enough: what the kernel has of it is not known, and to try it again
    // would tell nothing. The last ones, at the end, come when all that was promised is on the disk and noted.
    let is_of_log =
        struck.contains("/store/db>") && MAKE_DURABLE.iter().any(|call| struck.contains(call));
    if is_of_log && !AT_THE_END.iter().any(|word| said.contains(word)) {
        assert_eq!(ended, Ended::Code(WRITE_FAILED), "{struck}: {said}");
    }
    let mut promises = Promises::default();
    promises.take(0, sent);
    world.start(&[]).await;
    let reader = world.client(PUBLISHER).await;
    promises.ask_again(&reader).await;
    promises.check_new(&reader).await;
    promises.check_all(&replay(&reader, Filter::default()).await);
    world.finish();
    ended
}

/// Serves until what is asked of it is done, or it ended; then it is told to stop.
async fn serve(world: &World, fault: Option<(&Point, Fault)>) -> (Traced, Sent) {
    let (data, address) = (world.data(), world.address());
    let arguments = ["serve", "--listen", &address, "--data"].map(OsStr::new);
    let arguments = [&arguments[..], &[data.as_os_str()]].concat();
    let folder = data.parent().expect("a folder").to_owned();
    let mut hub = Traced::start(&hub_program(), &arguments, &folder, fault);
    let begun = std::time::Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !hub.has_ended() && tokio::net::TcpStream::connect(&address).await.is_err() {
        assert!(begun.elapsed() < SCRIPT, "it neither serves nor ends");
        tick.tick().await;
    }
    let mut sent = Sent::default();
    let done = tokio::time::timeout(SCRIPT, ask(world, &mut sent)).await;
    assert!(done.is_ok(), "a caller is left waiting");
    hub.signal("-TERM");
    (hub, sent)
}

async fn connect(world: &World, member: &str) -> Option<Client> {
    let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
    Client::connect(profile.at_address(Some(world.address()))).await.ok()
}

/// Everything that a hub is asked for, until it does not answer.
async fn ask(world: &World, sent: &mut Sent) -> Option<()> {
    let client = connect(world, PUBLISHER).await?;
    let signer = client.signer().expect("a key");
    let mut last = None;
    for (number, count) in BATCHES.into_iter().enumerate() {
        let batch = (0..count).map(|one| {
            let content = domain(&format!("n{number}-{one}.example"));
            let draft = draft(&signer, content, handling(&["companies"], &[]));
            last = Some(draft.name.clone());
            sign(&client, draft)
        });
        let batch = batch.collect();
        publish(&client, batch, sent).await?;
    }
    let last = last.expect("a record");
    let taken_back = draft(&signer, recall(&last), handling(&[], &[]));
    publish(&client, vec![sign(&client, taken_back)], sent).await?;
    let operator = connect(world, "operator").await?;
    let other = "birch-social".parse().expect("a member");
    let change = OperatorChange::Suspend("a test".to_owned());
    operator.change_roster(&other, change).await.ok()?;
    let name = SubscriptionName::new(signer.member().clone(), "main").expect("a name");
    let everything = Filter::default();
    client.create_subscription(&name, &everything, pb::StartPoint::Start).await.ok()?;
    let begun = std::time::Instant::now();
    let name = last.to_string().parse().expect("a name");
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while client.get(&name).await.ok()?.entry.erased_by().is_none() {
        assert!(begun.elapsed() < ERASED_WITHIN, "nothing is erased");
        tick.tick().await;
    }
    Some(())
}

async fn publish(client: &Client, envelopes: Vec<pb::Envelope>, sent: &mut Sent) -> Option<()> {
    let request =
        pb::PublishRequest { envelopes: envelopes.clone(), ..pb::PublishRequest::default() };
    let Ok(answer) = client.exchange_service().publish(request).await else {
        sent.unanswered.extend(envelopes);
        return None;
    };
    for (result, envelope) in answer.into_inner().results.into_iter().zip(envelopes) {
        match receipt_of(result) {
            Some(receipt) => sent.receipts.push(receipt),
            None => sent.unanswered.push(envelope),
        }
    }
    Some(())
}
