//! A hub of one's own, for the demonstration and for measuring: the real server as a process beside this one.

use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;

const START_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A throw-away exchange and the process that serves it.
pub(crate) struct Hub {
    watchfired: PathBuf,
    data: PathBuf,
    address: String,
    process: Option<Child>,
}

impl Hub {
    /// Founds an exchange in a folder, with the server that stands beside this program.
    pub(crate) fn found(data: &Path, title: &str) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("this program cannot find itself")?;
        let watchfired = own.with_file_name("watchfired");
        anyhow::ensure!(
            watchfired.exists(),
            "{} is not there: build both programs (cargo build --release)",
            watchfired.display()
        );
        let output = Command::new(&watchfired)
            .args(["init", "--exchange", title, "--data"])
            .arg(data)
            .output()
            .context("watchfired init cannot run")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "watchfired init failed: {said}");
        let address = format!("localhost:{}", free_port()?);
        Ok(Self { watchfired, data: data.to_owned(), address, process: None })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The folder of a profile.
    pub(crate) fn profile(&self, member: &str) -> PathBuf {
        self.data.join("profiles").join(member)
    }

    /// The folder of its store.
    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// The server's process.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// What the server wrote.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("watchfired.log")
    }

    /// Starts the server and waits until it listens.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        let port = self.address.rsplit(':').next().unwrap_or_default();
        let child = Command::new(&self.watchfired)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("watchfired serve cannot run")?;
        let child = self.process.insert(child);
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("watchfired ended with {status}");
            }
            anyhow::ensure!(begun.elapsed() < START_MAX, "watchfired does not listen");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and waits until it has stopped; then folds the views anew.
    pub(crate) fn stop_and_rebuild(&mut self) -> anyhow::Result<String> {
        if let Some(mut process) = self.process.take() {
            let id = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
            let status = process.wait()?;
            anyhow::ensure!(status.success(), "watchfired ended with {status}");
        }
        let output =
            Command::new(&self.watchfired).args(["rebuild", "--data"]).arg(&self.data).output()?;
        anyhow::ensure!(output.status.success(), "watchfired rebuild failed");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Leaves the server running when this program ends.
    pub(crate) fn leave_running(&mut self) -> Option<u32> {
        self.process.take().map(|process| process.id())
    }

    /// Admits a member in one step, as an operator would: with the command line.
    pub(crate) async fn admit(&self, member: &str, role: &str) -> anyhow::Result<()> {
        let output = tokio::process::Command::new(std::env::current_exe()?)
            .arg("--profile")
            .arg(self.profile("operator"))
            .args(["--address", &self.address, "admit", member, "--role", role, "--out"])
            .arg(self.profile(member))
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{member} was not admitted: {said}");
        Ok(())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            crate::output::note(&format!("the hub could not be ended: {error}"));
        }
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
