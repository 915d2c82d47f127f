//! A world: an exchange of its own, the real hub serving it, and members with profiles of their own.
//!
//! Every scenario ends with [`World::finish`]: the hub stops as asked, the whole log is checked from the disk, the
//! views equal a new fold, and the hub's own log holds neither a panic nor what members reported.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;
use watchfire::client::Client;
use watchfire::client::Delivery;
use watchfire::client::Draft;
use watchfire::client::From;
use watchfire::client::Patience;
use watchfire::client::Signer;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::client::VerifiedEntry;
use watchfire::model::filter::Filter;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::profile::Profile;
use watchfire::wire::pb;

/// Stands in every description that tests publish; it must never stand in the hub's log.
pub(crate) const CANARY: &str = "canary-in-a-description";
/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    folder: TempDir,
    address: Ipv4Addr,
    process: Option<Child>,
}

/// The port of every hub: outside the range from which the system takes ports of its own.
const PORT: u16 = 7443;

/// A loopback address that no other world of this machine has: a port that was free a moment ago may be taken.
fn loopback() -> Ipv4Addr {
    static WORLDS: AtomicU32 = AtomicU32::new(1);
    let world = WORLDS.fetch_add(1, Ordering::Relaxed) % 1024;
    let process = std::process::id() % 16_384;
    let [_, a, b, c] = (process * 1024 + world).to_be_bytes();
    Ipv4Addr::new(127, a, b, c)
}

/// A program of ours: the one that was built with the tests, or of a folder that the caller names.
fn program(name: &str, built: &str) -> PathBuf {
    let folder = std::env::var_os("WATCHFIRE_PROGRAMS");
    folder.map_or_else(|| PathBuf::from(built), |folder| Path::new(&folder).join(name))
}

/// The hub's program.
pub(crate) fn hub_program() -> PathBuf {
    program("watchfired", env!("CARGO_BIN_EXE_watchfired"))
}

/// The client's program.
pub(crate) fn client_program() -> PathBuf {
    program("watchfire", env!("CARGO_BIN_EXE_watchfire"))
}

/// A memory file system where there is one: syncing a shared disk makes parallel tests stall each other. Or what
/// `WATCHFIRE_SCRATCH` names: whoever ends tests before their time sweeps up behind them.
pub(crate) fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let named = std::env::var_os("WATCHFIRE_SCRATCH").map(PathBuf::from);
    let base = named.or_else(|| memory.is_dir().then_some(memory));
    let base = base.unwrap_or_else(std::env::temp_dir);
    tempfile::Builder::new().prefix("watchfire-it-").tempdir_in(base).expect("a folder")
}

impl World {
    /// An exchange with its hub running and no member but the operator.
    pub(crate) async fn new() -> Self {
        let mut world = Self::stopped();
        world.start(&[]).await;
        world
    }

    /// The same, with members admitted.
    pub(crate) async fn with(members: &[(&str, &str)]) -> Self {
        let world = Self::new().await;
        for (member, role) in members {
            world.admit(member, role);
        }
        world
    }

    /// An exchange whose hub does not run yet.
    pub(crate) fn stopped() -> Self {
        let folder = scratch();
        let world = Self { folder, address: loopback(), process: None };
        let data = world.data();
        let data = data.to_str().expect("a path in UTF-8");
        demand(&watchfired(&["init", "--exchange", "spring", "--data", data]));
        world
    }

    /// An exchange with members whose hub ran and was stopped.
    pub(crate) async fn with_members_then_stopped(members: &[(&str, &str)]) -> Self {
        let mut world = Self::with(members).await;
        world.stop();
        world
    }

    /// A copy of a world whose hub does not run: the same exchange, members and log, from where each goes its own way.
    pub(crate) fn twin(&self) -> Self {
        assert!(self.process.is_none(), "its hub runs");
        let twin = Self { folder: scratch(), address: loopback(), process: None };
        let copied = Command::new("cp").arg("-a").args([self.data(), twin.data()]).status();
        assert!(copied.expect("cp runs").success());
        twin
    }

    /// A place for a hub that takes this one's place, at its address: its data directory is not there yet.
    pub(crate) fn successor(&self) -> Self {
        Self { folder: scratch(), address: self.address, process: None }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    /// Says more in the hub's configuration, which is read at its next start, or when it loads again.
    pub(crate) fn configure(&self, more: &str) {
        let path = self.data().join("watchfired.toml");
        let file = std::fs::File::options().append(true).create(true).open(path);
        file.expect("a file").write_all(more.as_bytes()).expect("it is written");
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{PORT}", self.address)
    }

    pub(crate) fn profile_folder(&self, member: &str) -> PathBuf {
        self.data().join("profiles").join(member)
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("hub.log")
    }

    pub(crate) async fn start(&mut self, flags: &[&str]) {
        let log = std::fs::File::options().create(true).append(true).open(self.log_path());
        let child = Command::new(hub_program())
            .args(["serve", "--listen", &self.address(), "--data"])
            .arg(self.data())
            .args(flags)
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("watchfired runs");
        self.process = Some(child);
        until("the hub listens", || async {
            tokio::net::TcpStream::connect((self.address, PORT)).await.is_ok().then_some(())
        })
        .await;
    }

    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("the hub runs");
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }

    /// SIGTERM; waits until the hub has stopped by itself.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().expect("the hub runs");
        Self::signal(&process, "-TERM");
        let status = process.wait().expect("it ends");
        assert!(status.success(), "the hub ended with {status}: {}", self.log_text());
    }

    pub(crate) fn signal(process: &Child, name: &str) {
        let sent = Command::new("kill").args([name, &process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Asks the hub to stop without waiting for it.
    pub(crate) fn ask_to_stop(&self) {
        Self::signal(self.process.as_ref().expect("the hub runs"), "-TERM");
    }

    /// The hub's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().expect("the hub runs").id()
    }

    /// Sends the hub a signal.
    pub(crate) fn signal_hub(&self, name: &str) {
        Self::signal(self.process.as_ref().expect("the hub runs"), name);
    }

    /// Bytes of memory that the hub holds.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let id = self.process_id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its size");
        let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
        kib * 1024
    }

    /// Stops the hub and checks everything that must hold, whatever happened.
    pub(crate) fn finish(mut self) {
        if self.process.is_some() {
            self.stop();
        }
        self.check_log();
    }

    /// Checks the log on the disk, the views, and what the hub wrote about itself.
    pub(crate) fn check_log(&self) {
        let data = self.data();
        let data = data.to_str().expect("a path in UTF-8");
        demand(&watchfired(&["verify", "--data", data]));
        let rebuilt = demand(&watchfired(&["rebuild", "--data", data]));
        assert!(rebuilt.contains("as they were"), "{rebuilt}");
        let log = self.log_text();
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains(CANARY), "the hub's log holds a payload");
    }

    /// The client's command line, as the operator or a member.
    pub(crate) fn watchfire(&self, member: &str, arguments: &[&str]) -> Output {
        self.command(member, arguments).output().expect("watchfire runs")
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, member: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(client_program());
        command
            .arg("--profile")
            .arg(self.profile_folder(member))
            .args(["--address", &self.address()])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Puts the log's next key in place, with the hub stopped.
    pub(crate) fn rotate_log_key(&self, more: &[&str]) -> Output {
        let data = self.data().to_str().expect("text").to_owned();
        watchfired(&[&["rotate-log-key", "--data", &data], more].concat())
    }

    pub(crate) fn admit(&self, member: &str, role: &str) {
        let folder = self.profile_folder(member);
        let folder = folder.to_str().expect("a path in UTF-8");
        demand(&self.watchfire("operator", &["admit", member, "--role", role, "--out", folder]));
    }

    pub(crate) async fn client(&self, member: &str) -> Client {
        Client::connect(self.profile(member)).await.expect("a connection")
    }

    /// What a member is and has, with this hub's address.
    pub(crate) fn profile(&self, member: &str) -> Profile {
        let profile = Profile::open(&self.profile_folder(member)).expect("a profile");
        profile.at_address(Some(self.address()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

pub(crate) fn watchfired(arguments: &[&str]) -> Output {
    Command::new(hub_program()).args(arguments).output().expect("watchfired runs")
}

/// Standard output of a command that must succeed.
#[track_caller]
pub(crate) fn demand(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for a condition.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    condition: impl Fn() -> F,
) -> T {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tick.tick().await;
    }
}

/// A random moment, from the operating system.
pub(crate) fn random_moment() -> Duration {
    let byte = u64::from(uuid::Uuid::new_v4().into_bytes()[0]);
    Duration::from_micros(byte * 250)
}

/// Who may read.
pub(crate) fn handling(audiences: &[&str], recipients: &[&str]) -> Handling {
    let mut reach = Reach::default();
    reach.widen(&Reach {
        audiences: audiences.iter().map(|text| text.parse().expect("an audience")).collect(),
        recipients: recipients.iter().map(|text| text.parse().expect("a member")).collect(),
    });
    Handling { tlp: Tlp::Green, reach, onward_uses: Vec::new(), use_until: None }
}

/// An indicator of a domain.
pub(crate) fn domain(value: &str) -> pb::body::Content {
    pb::body::Content::Indicator(pb::Indicator {
        observable: Some(pb::Observable {
            kind: pb::ObservableKind::Domain.into(),
            value: value.to_owned(),
            ..pb::Observable::default()
        }),
        description: CANARY.to_owned(),
        ..pb::Indicator::default()
    })
}

pub(crate) fn operation(title: &str) -> pb::body::Content {
    pb::body::Content::Operation(pb::Operation {
        title: title.to_owned(),
        ..pb::Operation::default()
    })
}

pub(crate) fn withdrawal(of: &RecordName) -> pb::body::Content {
    pb::body::Content::Withdrawal(pb::Withdrawal {
        of: of.to_string(),
        reason: pb::WithdrawalReason::Error.into(),
        ..pb::Withdrawal::default()
    })
}

/// A withdrawal after which the hub must erase what it takes back.
pub(crate) fn recall(of: &RecordName) -> pb::body::Content {
    pb::body::Content::Withdrawal(pb::Withdrawal {
        of: of.to_string(),
        reason: pb::WithdrawalReason::Privacy.into(),
        demand_deletion: true,
        ..pb::Withdrawal::default()
    })
}

/// A new record's first revision.
pub(crate) fn draft(signer: &Signer, content: pb::body::Content, handling: Handling) -> Draft {
    let name = RecordName { member: signer.member().clone(), record: uuid::Uuid::now_v7() };
    Draft { name, previous: None, handling, content }
}

pub(crate) fn sign(client: &Client, draft: Draft) -> pb::Envelope {
    client.signer().expect("a key").sign(draft, client.now()).expect("a record")
}

/// Publishes a new record for companies; its name and place.
pub(crate) async fn publish(client: &Client, content: pb::body::Content) -> (RecordName, u64) {
    publish_for(client, content, handling(&["companies"], &[])).await
}

pub(crate) async fn publish_for(
    client: &Client,
    content: pb::body::Content,
    handling: Handling,
) -> (RecordName, u64) {
    let signer = client.signer().expect("a key");
    let draft = draft(&signer, content, handling);
    let name = draft.name.clone();
    let receipt = client.publish_one(sign(client, draft)).await.expect("a receipt");
    (name, receipt.sequence)
}

/// Everything that a member may see and that matches, up to the head.
pub(crate) async fn replay(client: &Client, filter: Filter) -> Vec<VerifiedEntry> {
    let mut subscription = subscribe(client, From::Start, filter, Ends::AtHead).await;
    let mut all = Vec::new();
    while let Some(delivery) = subscription.next().await.expect("a delivery") {
        if let Delivery::Entries { entries, .. } = delivery {
            all.extend(entries);
        }
    }
    all
}

/// When a subscription ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    AtHead,
    Never,
}

pub(crate) async fn subscribe(
    client: &Client,
    from: From,
    filter: Filter,
    ends: Ends,
) -> Subscription {
    let options = SubscribeOptions {
        from,
        filter,
        until_head: ends == Ends::AtHead,
        patience: Patience::Limited(PATIENCE),
    };
    client.subscribe(options).await.expect("a subscription")
}

/// The next entries of a live subscription.
pub(crate) async fn next_entries(subscription: &mut Subscription) -> Vec<VerifiedEntry> {
    loop {
        let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
        let delivery = next.expect("a delivery in time").expect("a delivery").expect("no end");
        if let Delivery::Entries { entries, .. } = delivery {
            return entries;
        }
    }
}

/// The log's size.
pub(crate) async fn head(client: &Client) -> u64 {
    let answer = client.roster_service().get_exchange(pb::GetExchangeRequest {}).await;
    answer.expect("an answer").into_inner().head
}

/// The time in so many seconds.
pub(crate) fn in_seconds(client: &Client, seconds: u64) -> Timestamp {
    client.now().saturating_add(Duration::from_secs(seconds))
}
