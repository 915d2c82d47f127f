//! `watchfire demo`: the whole path, real, in one command.
//!
//! A throw-away exchange with its own authority; the real hub as a process of its own; three companies and an
//! observer. Three companies find one operation; the hub is killed half-way and started again; one asks, the others
//! answer; a mistake is disputed, taken back and erased; the pack for the meeting comes out; and there is an account at
//! the end in which everything must add up, or the command fails.

mod account;
mod case;
mod cheat;
mod steps;
mod story;
mod watcher;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use tokio_util::task::TaskTracker;
use watchfire::client::Client;
use watchfire::client::ImportAccount;
use watchfire::client::ImportTarget;
use watchfire::client::Outcome;
use watchfire::client::Signer;
use watchfire::client::plan_import;
use watchfire::model::names::Digest;
use watchfire::model::names::sha256;
use watchfire::profile;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use self::case::Case;
use self::case::Readers;
use self::story::Said;
use self::story::Story;
use self::watcher::Seen;
use self::watcher::Sent;
use self::watcher::Watcher;
use crate::output;
use crate::own_hub::Hub;

pub(crate) const VIDEO: &str = "alder-video";
pub(crate) const SOCIAL: &str = "birch-social";
pub(crate) const MICROBLOG: &str = "cedar-microblog";
pub(crate) const OBSERVER: &str = "harbour-liaison";
const MEMBERS: [(&str, &str); 4] =
    [(VIDEO, "company"), (SOCIAL, "company"), (MICROBLOG, "company"), (OBSERVER, "observer")];
/// The list that is published when no other is named: our own, with reserved names.
const SAMPLE: (&str, &[u8]) = (
    "Q2_2024_Lantern_CIB_network.csv",
    include_bytes!("../../../interop/samples/Q2_2024_Lantern_CIB_network.csv"),
);
/// Records that are published one by one, and timed.
const SINGLES_MAX: usize = 100;
const BATCH_RECORDS: usize = 128;
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Publish these lists, in the layouts in which Meta publishes its own, instead of the sample.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    meta_csv: Vec<PathBuf>,
    /// Leave the hub running and its folder in place, and print what to try next.
    #[arg(long)]
    keep: bool,
    /// Use this folder, which must not exist, instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the briefings into this folder instead of a new one among the temporary files.
    #[arg(long, value_name = "DIR")]
    briefings: Option<PathBuf>,
}

/// A signed record, its publisher, and who may read it.
pub(crate) struct Published {
    pub(crate) digest: Digest,
    pub(crate) publisher: &'static str,
    pub(crate) readers: Readers,
    pub(crate) sequence: u64,
}

struct Ready {
    envelope: pb::Envelope,
    publisher: &'static str,
    readers: Readers,
}

/// What is signed before anything is published.
struct Prepared {
    case: Case,
    /// The case of each company, then a list of one of them.
    ready: Vec<Ready>,
    /// How many of them are the case.
    reports: usize,
    import: ImportAccount,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let begun = Instant::now();
    let temporary = tempfile::Builder::new().prefix("watchfire-demo-").tempdir()?;
    let data = args.data.clone().unwrap_or_else(|| temporary.path().join("exchange"));
    steps::preface()?;
    let mut hub = open(&data).await?;
    if let Err(error) = show(&args, &mut hub).await {
        let kept = temporary.keep();
        let log = hub.log();
        return Err(error.context(format!(
            "kept for a look: {} {}",
            kept.display(),
            log.display()
        )));
    }
    if args.keep {
        let kept = temporary.keep();
        drop(kept);
        return account::next_steps(&mut hub);
    }
    let rebuilt = hub.stop_and_rebuild()?;
    steps::told(&format!("The hub stopped as asked; {rebuilt}."))?;
    steps::told("Everything adds up.")?;
    cheat::show(&mut hub).await?;
    output::line(&format!(
        "\nThe log held against a crash, and its hub was caught cheating. ({:.1} s)",
        begun.elapsed().as_secs_f64()
    ))?;
    Ok(())
}

/// Founds the exchange, serves it, and admits its members.
async fn open(data: &Path) -> anyhow::Result<Hub> {
    steps::step(1, "An exchange is founded, with certificates of its own, and its hub started.")?;
    steps::command("", "watchfired init --exchange demo --data hub")?;
    steps::command("", "watchfired serve --data hub")?;
    let mut hub = Hub::found(data, "demo")?;
    hub.start().await?;
    steps::told(&format!("The hub serves on {}, a process of its own.", hub.address()))?;

    steps::step(2, "The operator admits three companies and an observer.")?;
    for (member, role) in MEMBERS {
        steps::command(
            "operator",
            &format!("watchfire admit {member} --role {role} --out {member}"),
        )?;
        hub.admit(member, role).await?;
    }
    Ok(hub)
}

async fn show(args: &Args, hub: &mut Hub) -> anyhow::Result<()> {
    let tasks = TaskTracker::new();
    let sent = Sent::default();
    let clients = connect(hub).await?;
    let Prepared { case, ready, reports, import } = prepare(args, &clients)?;
    steps::step(3, "Everyone subscribes live, verifies each record, and keeps its place.")?;
    let mut watchers = Vec::new();
    for (member, _role) in MEMBERS {
        steps::command(member, "watchfire subscribe --cursor demo")?;
        watchers.push(watch(hub, member, &sent, Arc::default(), &tasks).await?);
    }
    let mut published = Vec::new();
    let second = publish_first(&clients, (ready, reports), &import, &sent, &mut published).await?;
    let before =
        crash(hub, &clients, &mut watchers, (second, &mut published), &sent, &tasks).await?;
    published.push(late_record(&clients, &case, &sent).await?);

    let said = tell(args, hub, &case, &clients).await?;
    published.extend(resolve(&mut watchers, said).await?);
    catch_up(&mut watchers, &published).await?;
    account::check_places(&clients, &published).await?;
    steps::step(10, "The account: who published what for whom, and what each subscriber saw.")?;
    account::print(&watchers, &published, before)
}

/// Publishes the case and the first half of the list; what is left of the list.
async fn publish_first(
    clients: &[(&'static str, Client)],
    (ready, reports): (Vec<Ready>, usize),
    import: &ImportAccount,
    sent: &Sent,
    published: &mut Vec<Published>,
) -> anyhow::Result<Vec<Ready>> {
    let text =
        "Three companies find the same operation, each on its own platform. Nothing is merged.";
    steps::step(4, text)?;
    for (member, line) in case::COMMANDS {
        steps::command(member, line)?;
    }
    let singles = (ready.len() / 2).min(SINGLES_MAX).max(reports);
    let mut rest = ready;
    let mut first = rest.split_off(singles);
    for record in rest {
        published.push(publish_one(clients, record, sent).await?);
    }
    account::print_list(import)?;
    let half = if first.len() > singles { first.len() / 2 } else { 0 };
    let second = first.split_off(half);
    publish_batches(clients, first, published).await?;
    Ok(second)
}

/// Kills the hub while the rest is published, and starts it again; how many entries it had before.
async fn crash(
    hub: &mut Hub,
    clients: &[(&'static str, Client)],
    watchers: &mut Vec<Watcher>,
    (second, published): (Vec<Ready>, &mut Vec<Published>),
    sent: &Sent,
    tasks: &TaskTracker,
) -> anyhow::Result<u64> {
    let before = head(clients).await?;
    steps::step(5, "The hub is killed in the middle of this, and started again.")?;
    steps::command("", "kill -KILL %1")?;
    let crashed = watchers.swap_remove(1);
    let stopped = crashed.member;
    let (kept, ()) = tokio::try_join!(crashed.stop(), async { hub.kill() })?;
    steps::command("", "watchfired serve --data hub")?;
    let publishing = publish_batches(clients, second, published);
    let ((), ()) = tokio::try_join!(publishing, hub.start())?;
    let after = head(clients).await?;
    anyhow::ensure!(after >= before, "the log shrank from {before} to {after} entries");
    steps::told(&format!(
        "It had {before} entries and has {after}. {stopped} was stopped with it, and goes on from its stored place."
    ))?;
    watchers.push(watch(hub, stopped, sent, kept, tasks).await?);
    Ok(before)
}

/// What members say to each other, and what comes of it.
async fn tell(
    args: &Args,
    hub: &Hub,
    case: &Case,
    clients: &[(&'static str, Client)],
) -> anyhow::Result<Vec<Said>> {
    let mut story = Story::new(hub, case);
    steps::step(6, "One company asks who else has seen a value. The others look, and answer.")?;
    story.question(case).await?;
    steps::step(
        7,
        "An asset is disputed. Its publisher takes it back, holders answer, the hub erases it.",
    )?;
    story.mistake(case, client_of(clients, VIDEO)?).await?;
    steps::step(8, "The operation whole: each claim with who says so.")?;
    story.whole(case).await?;
    steps::step(
        9,
        "The pack for the regular meeting. Each reader's holds what it may see, and its label.",
    )?;
    let folder = match &args.briefings {
        Some(folder) => folder.clone(),
        None => tempfile::Builder::new().prefix("watchfire-briefings-").tempdir()?.keep(),
    };
    profile::create_folder(&folder)?;
    story.briefings(&folder).await?;
    steps::told("Open the pages in a browser: they need no network.")?;
    Ok(story.said)
}

/// Looks up what each command published with the subscriber of its publisher, who verified it.
async fn resolve(watchers: &mut [Watcher], said: Vec<Said>) -> anyhow::Result<Vec<Published>> {
    let begun = Instant::now();
    let mut published = Vec::new();
    for Said { publisher, readers, sequence } in said {
        let watcher = watchers.iter_mut().find(|watcher| watcher.member == publisher);
        let Some(watcher) = watcher else { anyhow::bail!("{publisher} does not subscribe") };
        let digest = loop {
            if let Some(digest) = watcher.digest_at(sequence) {
                break digest;
            }
            watcher.demand_running().await?;
            anyhow::ensure!(begun.elapsed() < CATCH_UP_MAX, "{publisher} did not see its record");
            tokio::time::sleep(POLL).await;
        };
        published.push(Published { digest, publisher, readers, sequence });
    }
    Ok(published)
}

async fn connect(hub: &Hub) -> anyhow::Result<Vec<(&'static str, Client)>> {
    let mut clients = Vec::new();
    for (member, role) in MEMBERS {
        if role == "company" {
            let profile = Profile::open(&hub.profile(member))?;
            let profile = profile.at_address(Some(hub.address().to_owned()));
            clients.push((member, Client::connect(profile).await?));
        }
    }
    Ok(clients)
}

async fn watch(
    hub: &Hub,
    member: &'static str,
    sent: &Sent,
    seen: Arc<Mutex<Seen>>,
    tasks: &TaskTracker,
) -> anyhow::Result<Watcher> {
    Watcher::start(member, &hub.profile(member), hub.address(), sent, seen, tasks).await
}

/// Signs everything that will be published: the case of each company, and one company's list.
fn prepare(args: &Args, clients: &[(&'static str, Client)]) -> anyhow::Result<Prepared> {
    let mut ready = Vec::new();
    let case = Case::new()?;
    for (member, client) in clients {
        let signer = Signer::of(client.profile(), OwnKey::Signing)?;
        for planned in case.reports(signer.member())? {
            let envelope = signer.sign(planned.draft, client.now())?;
            ready.push(Ready { envelope, publisher: member, readers: planned.readers });
        }
    }
    let reports = ready.len();
    let mut files = Vec::new();
    for path in &args.meta_csv {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, profile::read(path)?));
    }
    if files.is_empty() {
        files.push((SAMPLE.0.to_owned(), SAMPLE.1.to_vec()));
    }
    let publisher = clients.iter().find(|(member, _client)| *member == SOCIAL);
    let Some((member, client)) = publisher else {
        anyhow::bail!("the publisher of the list is missing");
    };
    let readers = Readers::Companies;
    let target = ImportTarget {
        title: "A published list".to_owned(),
        member: member.parse()?,
        namespace: client.profile().namespace()?,
        handling: case::handling(readers)?,
        earlier: Vec::new(),
    };
    let plan = plan_import(&files, &target)?;
    let signer = Signer::of(client.profile(), OwnKey::Signing)?;
    for draft in plan.drafts {
        let envelope = signer.sign(draft, client.now())?;
        ready.push(Ready { envelope, publisher: member, readers });
    }
    Ok(Prepared { case, ready, reports, import: plan.account })
}

fn client_of<'a>(
    clients: &'a [(&'static str, Client)],
    member: &str,
) -> anyhow::Result<&'a Client> {
    let found = clients.iter().find(|(name, _client)| *name == member);
    found.map(|(_name, client)| client).ok_or_else(|| anyhow::anyhow!("{member} has no client"))
}

async fn publish_one(
    clients: &[(&'static str, Client)],
    record: Ready,
    sent: &Sent,
) -> anyhow::Result<Published> {
    let Ready { envelope, publisher, readers } = record;
    let digest = sha256(&envelope.payload);
    sent.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, Instant::now());
    let receipt = client_of(clients, publisher)?.publish_one(envelope).await?;
    Ok(Published { digest, publisher, readers, sequence: receipt.sequence })
}

/// Publishes the rest in batches; a batch that meets a dead hub is sent again until it has its receipts.
async fn publish_batches(
    clients: &[(&'static str, Client)],
    records: Vec<Ready>,
    published: &mut Vec<Published>,
) -> anyhow::Result<()> {
    let bar = output::progress("publishing", records.len());
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let batch: Vec<Ready> = records.by_ref().take(BATCH_RECORDS).collect();
        let Some(member) = batch.first().map(|record| record.publisher) else { break };
        let envelopes = batch.iter().map(|record| record.envelope.clone()).collect();
        let outcomes = client_of(clients, member)?.publish(envelopes).await?;
        bar.inc(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        for (record, outcome) in batch.into_iter().zip(outcomes) {
            let receipt = Outcome::receipt(outcome)?;
            let Ready { publisher, readers, .. } = record;
            let digest = receipt.header_digest;
            published.push(Published { digest, publisher, readers, sequence: receipt.sequence });
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// One more record after the restart, so that every subscriber has something to hear.
async fn late_record(
    clients: &[(&'static str, Client)],
    case: &Case,
    sent: &Sent,
) -> anyhow::Result<Published> {
    let client = client_of(clients, MICROBLOG)?;
    let signer = Signer::of(client.profile(), OwnKey::Signing)?;
    let planned = case.late_report(signer.member())?;
    let envelope = signer.sign(planned.draft, client.now())?;
    publish_one(clients, Ready { envelope, publisher: MICROBLOG, readers: planned.readers }, sent)
        .await
}

async fn head(clients: &[(&'static str, Client)]) -> anyhow::Result<u64> {
    let client = client_of(clients, VIDEO)?;
    let begun = Instant::now();
    loop {
        match client.roster_service().get_exchange(pb::GetExchangeRequest {}).await {
            Ok(answer) => return Ok(answer.into_inner().head),
            Err(error) => {
                anyhow::ensure!(begun.elapsed() < CATCH_UP_MAX, "the hub is gone: {error}");
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until every subscriber has what it should have.
async fn catch_up(watchers: &mut [Watcher], published: &[Published]) -> anyhow::Result<()> {
    let begun = Instant::now();
    for watcher in watchers {
        let expected = account::expected(watcher.member, published).len() + account::COMMON_ENTRIES;
        while watcher.count() < expected {
            let member = watcher.member;
            watcher
                .demand_running()
                .await
                .with_context(|| format!("the subscriber of {member}"))?;
            anyhow::ensure!(
                begun.elapsed() < CATCH_UP_MAX,
                "{} saw {} of {expected} entries",
                watcher.member,
                watcher.count()
            );
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}
