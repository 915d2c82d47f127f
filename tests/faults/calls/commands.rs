//! The commands of a hub that is stopped, under strace: each is cut off at one of its calls, and run again.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use prost::Message as _;
use tempfile::TempDir;
use watchfire::client::SignEpoch;
use watchfire::client::sign_epoch;
use watchfire::profile::Profile;
use watchfire::store::read_backup;

use crate::calls::strace::Ended;
use crate::calls::strace::Fault;
use crate::calls::strace::Point;
use crate::calls::strace::Traced;
use crate::world::World;
use crate::world::demand;
use crate::world::domain;
use crate::world::handling;
use crate::world::hub_program;
use crate::world::publish;
use crate::world::publish_for;
use crate::world::recall;
use crate::world::scratch;
use crate::world::until;
use crate::world::watchfired;

const MEMBERS: &[(&str, &str)] = &[("acme-video", "company"), ("birch-social", "company")];

/// A command that changes what is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Command {
    Init,
    Compact,
    Backup,
    Restore,
    BeginEpoch,
    RotateLogKey,
    Rebuild,
}

impl Command {
    pub(crate) const ALL: [Self; 7] = [
        Self::Init,
        Self::Compact,
        Self::Backup,
        Self::Restore,
        Self::BeginEpoch,
        Self::RotateLogKey,
        Self::Rebuild,
    ];
}

/// What each round begins with: an exchange with some records, its backup, and a log that was restored and waits.
pub(crate) struct Stage {
    base: World,
    waiting: World,
    kept: TempDir,
    /// What `watchfired verify` says of the log.
    verified: String,
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What `watchfired verify` says of the log, and not of the audit log.
fn verify(data: &Path) -> String {
    let said = demand(&watchfired(&["verify", "--data", &text(data)]));
    said.lines().next().expect("a line").to_owned()
}

fn entries(verified: &str) -> u64 {
    let number = verified.split(' ').next().expect("a word");
    number.parse().expect("a number")
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let mut base = World::with(MEMBERS).await;
        let client = base.client("acme-video").await;
        let mut last = None;
        for number in 0..40 {
            last = Some(publish(&client, domain(&format!("n{number}.example"))).await.0);
        }
        let last = last.expect("a record");
        publish_for(&client, recall(&last), handling(&[], &[])).await;
        let name = last.to_string().parse().expect("a name");
        until("the body is erased", async || {
            client.get(&name).await.expect("its header stays").entry.erased_by()
        })
        .await;
        drop(client);
        base.stop();
        let kept = scratch();
        let file = text(&kept.path().join("whole.backup"));
        demand(&watchfired(&["backup", "--data", &text(&base.data()), "--out", &file]));
        let waiting = base.successor();
        let (data, keys) = (text(&waiting.data()), text(&base.data()));
        demand(&watchfired(&["restore", "--from", &file, "--data", &data, "--keys", &keys]));
        let checkpoint = std::fs::read_to_string(waiting.data().join("restored.checkpoint"));
        let what = SignEpoch {
            checkpoint: &checkpoint.expect("a checkpoint"),
            epoch: None,
            reason: "a test",
        };
        let operator = Profile::open(&base.profile_folder("operator")).expect("a profile");
        let signed = sign_epoch(&operator, &what).expect("the operator signs").encode_to_vec();
        std::fs::write(kept.path().join("signed"), signed).expect("a file");
        let verified = verify(&base.data());
        Self { base, waiting, kept, verified }
    }

    /// The exchange, to go its own way.
    pub(crate) fn world(&self) -> World {
        self.base.twin()
    }

    /// Where a command is run.
    fn place(&self, command: Command) -> World {
        match command {
            Command::Init | Command::Restore => self.base.successor(),
            Command::BeginEpoch => self.waiting.twin(),
            Command::Compact | Command::Backup | Command::RotateLogKey | Command::Rebuild => {
                self.base.twin()
            }
        }
    }

    fn arguments(&self, command: Command, world: &World) -> Vec<String> {
        let file = |name: &str| text(&self.kept.path().join(name));
        let words = match command {
            Command::Init => vec!["init".to_owned(), "--exchange".to_owned(), "spring".to_owned()],
            Command::Compact => vec!["compact".to_owned()],
            Command::Backup => {
                vec!["backup".to_owned(), "--out".to_owned(), text(&backup_of(world))]
            }
            Command::Restore => vec![
                "restore".to_owned(),
                "--from".to_owned(),
                file("whole.backup"),
                "--keys".to_owned(),
                text(&self.base.data()),
            ],
            Command::BeginEpoch => {
                vec!["begin-epoch".to_owned(), "--signed".to_owned(), file("signed")]
            }
            Command::RotateLogKey => vec!["rotate-log-key".to_owned()],
            Command::Rebuild => vec!["rebuild".to_owned()],
        };
        [words, vec!["--data".to_owned(), text(&world.data())]].concat()
    }

    async fn run(
        &self,
        command: Command,
        world: &World,
        fault: Option<(&Point, Fault)>,
    ) -> (Ended, Vec<Point>) {
        let arguments = self.arguments(command, world);
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let folder = world.data().parent().expect("a folder").to_owned();
        let mut traced = Traced::start(&hub_program(), &arguments, &folder, fault);
        (traced.ended().await, traced.points())
    }

    /// The calls by which a command changes the disk.
    pub(crate) async fn count(&self, command: Command) -> Vec<Point> {
        let world = self.place(command);
        let (ended, points) = self.run(command, &world, None).await;
        assert_eq!(ended, Ended::Code(0), "{command:?}");
        self.demand_whole(command, world).await;
        points
    }

    /// One call fails or is the last; the same command is run again; and then all is done, once.
    pub(crate) async fn try_one(&self, command: Command, fault: (&Point, Fault)) -> Ended {
        let world = self.place(command);
        let (ended, _points) = self.run(command, &world, Some(fault)).await;
        let told = world.data().with_file_name("said");
        let told = std::fs::read_to_string(told).unwrap_or_default();
        assert!(!told.contains("panicked"), "{told}");
        if ended != Ended::Code(0) {
            let arguments = self.arguments(command, &world);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let again = watchfired(&arguments);
            // It may have come to its end but for the word of it.
            let is_done = ["is not empty", "is there already", "no restored log waits"];
            let is_done = is_done.iter().any(|words| said(&again).contains(words));
            assert!(again.status.success() || is_done, "{}, then {}", told, said(&again));
        }
        self.demand_whole(command, world).await;
        ended
    }

    /// What a command came to, whole.
    async fn demand_whole(&self, command: Command, mut world: World) {
        match command {
            Command::Init => {}
            Command::Backup => {
                let file = std::fs::File::open(backup_of(&world)).expect("a backup");
                let summary = read_backup(file, |_block| {}).expect("it is whole");
                assert_eq!(summary.size, entries(&self.verified));
                let beside = std::fs::read_dir(world.data().with_file_name("out"));
                let beside = beside.expect("a folder").count();
                assert!(beside <= 2, "what was cut off lies beside it, and no more");
            }
            Command::Restore => {
                assert_eq!(verify(&world.data()), self.verified);
                let rebuilt = demand(&watchfired(&["rebuild", "--data", &text(&world.data())]));
                assert!(rebuilt.contains("as they were"), "{rebuilt}");
                assert!(world.data().join("restored.json").exists(), "its epoch has not begun");
                // It waits for its epoch, and is not served.
                return;
            }
            Command::Compact | Command::Rebuild => {
                assert_eq!(verify(&world.data()), self.verified);
            }
            Command::BeginEpoch | Command::RotateLogKey => {
                let more = entries(&verify(&world.data())) - entries(&self.verified);
                // A key may have been put in place twice: by the command that was cut off at its end, and then again.
                let most = if command == Command::BeginEpoch { 1 } else { 2 };
                assert!((1..=most).contains(&more), "{more} entries");
            }
        }
        assert!(!world.data().join("store.compact").exists());
        world.start(&[]).await;
        world.finish();
    }
}

fn backup_of(world: &World) -> PathBuf {
    let folder = world.data().with_file_name("out");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join("taken.backup")
}
