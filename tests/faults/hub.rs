//! The real hub under a program that makes faults: a tracer, a limit, a volume of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::profile::Profile;

use crate::world::World;
use crate::world::hub_program;

/// How long a hub that opens damaged files, or that fails, may take before its test says that it hangs.
pub(crate) const HANGS_AFTER: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(5);

/// A hub that a test started by itself.
pub(crate) struct Hub {
    process: Child,
    log: PathBuf,
}

/// What became of a start.
pub(crate) enum Begun {
    Serves(Hub),
    /// It ended by itself, and said why.
    Ended(ExitStatus, String),
}

impl Hub {
    /// Starts the hub of a world behind other words of a command line; its log goes to a file.
    pub(crate) fn spawn(words: &[&str], world: &World, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log);
        let hub = hub_program();
        let line = words.iter().map(std::ffi::OsStr::new).chain([hub.as_os_str()]);
        let mut line = line.map(std::ffi::OsStr::to_owned);
        let process = Command::new(line.next().expect("a program"))
            .args(line)
            .args(["serve", "--listen", &world.address(), "--data"])
            .arg(world.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file.expect("a log file"))
            .spawn()
            .expect("the hub runs");
        Self { process, log: log.to_owned() }
    }

    /// Waits until it listens, or has ended.
    pub(crate) async fn begun(mut self, world: &World) -> Begun {
        let address: SocketAddr = world.address().parse().expect("an address");
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("its state") {
                return Begun::Ended(status, self.log_text());
            }
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Begun::Serves(self);
            }
            assert!(since.elapsed() < HANGS_AFTER, "the hub hangs: {}", self.log_text());
            tokio::time::sleep(TICK).await;
        }
    }

    /// The same of a hub that must serve.
    pub(crate) async fn serving(self, world: &World) -> Self {
        match self.begun(world).await {
            Begun::Serves(hub) => hub,
            Begun::Ended(status, said) => panic!("the hub ended with {status}: {said}"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn end(mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("its state") {
                return status;
            }
            assert!(since.elapsed() < HANGS_AFTER, "the hub does not end: {}", self.log_text());
            tokio::time::sleep(TICK).await;
        }
    }

    /// Stops it as asked.
    pub(crate) async fn stop(self) {
        World::signal(&self.process, "-TERM");
        let log = self.log.clone();
        let status = self.end().await;
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "the hub ended with {status}: {said}");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}

/// A member's client, or why there is none.
pub(crate) async fn connect(world: &World, member: &str) -> Result<Client, ClientError> {
    let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
    Client::connect(profile.at_address(Some(world.address()))).await
}

/// What a command line says on both ends.
pub(crate) fn said(output: &std::process::Output) -> String {
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{error}")
}
