//! A hub that cheats, and the stock client that meets it. Every attack has a row in SECURITY.md with its test's name; honest
//! runs of the same length raise no alarm.

mod answers;
pub(crate) mod front;
mod histories;
mod leaves;
mod publishers;
mod reports;
mod streams;
mod views;

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use crate::world::World;
use crate::world::demand;

pub(crate) const MEMBERS: &[(&str, &str)] =
    &[("acme-video", "company"), ("birch-social", "company")];

/// A copy of a member's folder as it is now: what one attack taught it, another does not know.
pub(crate) struct Victim {
    folder: tempfile::TempDir,
}

impl Victim {
    pub(crate) fn of(world: &World, member: &str) -> Self {
        let folder = crate::world::scratch();
        let copied = Command::new("cp")
            .arg("-a")
            .args([world.profile_folder(member), folder.path().join("profile")])
            .status();
        assert!(copied.expect("cp runs").success());
        Self { folder }
    }

    pub(crate) fn profile(&self) -> PathBuf {
        self.folder.path().join("profile")
    }

    /// The stock client, speaking to an address.
    pub(crate) fn watchfire(&self, address: &str, arguments: &[&str]) -> Output {
        self.command(address, arguments).output().expect("watchfire runs")
    }

    /// The same, running.
    pub(crate) fn running(&self, address: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(address, arguments);
        let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        running.expect("watchfire runs")
    }

    fn command(&self, address: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        command
            .arg("--profile")
            .arg(self.profile())
            .args(["--address", address])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// The files of evidence that it keeps.
    pub(crate) fn evidence(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.profile().join("evidence"));
        let files = folder.into_iter().flatten();
        files.map(|file| file.expect("a file").path()).collect()
    }
}

/// Demands that a command noticed what it must, and said so; what it kept.
#[track_caller]
pub(crate) fn demand_caught(victim: &Victim, output: &Output, expected: &str) -> PathBuf {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains(expected), "{expected} is not in: {said}");
    let evidence = victim.evidence();
    let [file] = evidence.as_slice() else { panic!("one file, not {evidence:?}: {said}") };
    assert!(said.contains(&file.display().to_string()), "{said}");
    file.clone()
}

/// Demands that evidence proves itself to somebody who has no folder of this exchange.
#[track_caller]
pub(crate) fn demand_proven(evidence: &Path, expected: &str) {
    let judged = judge(evidence);
    let said = demand(&judged);
    assert!(said.contains("PROVEN") && said.contains(expected), "{said}");
}

/// What a stranger makes of evidence.
pub(crate) fn judge(evidence: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watchfire"))
        .args(["verify".as_ref(), evidence])
        .env_remove("WATCHFIRE_PROFILE")
        .output()
        .expect("watchfire runs")
}
