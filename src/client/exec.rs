//! A command that is run for each batch, and acknowledges it by ending with 0.
//!
//! The command runs in a process group of its own, and the whole group is killed when its time is over or when
//! whoever waits for it is gone.

use std::io;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::process::Command;

use crate::client::batch::Batch;
use crate::client::batch::Run;

/// How long a command may take unless told otherwise.
pub const EXEC_TIMEOUT: Duration = Duration::from_mins(1);

/// A command for the shell.
#[derive(Clone, Debug)]
pub struct Exec {
    command: String,
    timeout: Duration,
}

/// Why a batch was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It ended with another code than 0.
    #[error("the command ended with exit code {code} on {span}, which is not acknowledged")]
    Code {
        /// Its code.
        code: i32,
        /// The batch.
        span: Span,
    },
    /// It was killed by a signal.
    #[error("the command was killed by signal {signal} on {span}, which is not acknowledged")]
    Signal {
        /// Which.
        signal: i32,
        /// The batch.
        span: Span,
    },
    /// It took too long.
    #[error("the command was killed after {} s on {span}, which is not acknowledged", timeout.as_secs())]
    Timeout {
        /// How long it had.
        timeout: Duration,
        /// The batch.
        span: Span,
    },
    /// It could not be run.
    #[error("the command cannot be run")]
    Io(#[from] io::Error),
}

/// Which entries a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The epoch.
    pub epoch: u32,
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl std::fmt::Display for Span {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "sequences {} to {} of epoch {}", self.first, self.last, self.epoch)
    }
}

impl Exec {
    /// A command for `/bin/sh -c`, and how long it may take for one batch.
    pub const fn new(command: String, timeout: Duration) -> Self {
        Self { command, timeout }
    }

    /// Runs the command with a batch on its standard input. `Ok` is its word that the batch took effect. If this is
    /// dropped before it is done, the command and what it started are killed.
    pub async fn run(&self, batch: &Batch) -> Result<(), ExecError> {
        let Some((epoch, first, last)) = batch.span() else {
            return Ok(());
        };
        let span = Span { epoch, first, last };
        let mut running = Running::start(&self.command, span, batch.run)?;
        let fed = running.feed_and_wait(batch.lines());
        let Ok(status) = tokio::time::timeout(self.timeout, fed).await else {
            running.kill();
            return Err(ExecError::Timeout { timeout: self.timeout, span });
        };
        judge(status?, span)
    }
}

fn judge(status: ExitStatus, span: Span) -> Result<(), ExecError> {
    use std::os::unix::process::ExitStatusExt as _;

    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(ExecError::Code { code, span }),
        (None, signal) => Err(ExecError::Signal { signal: signal.unwrap_or_default(), span }),
    }
}

/// A command that runs. Dropped before it ended, it is killed.
struct Running {
    child: Child,
    /// Its process group, until it has ended: the number may be another's afterwards.
    group: Option<Pid>,
}

impl Running {
    fn start(command: &str, span: Span, run: Run) -> Result<Self, ExecError> {
        let backfill = match run {
            Run::Forward => "0",
            Run::Backfill => "1",
        };
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(command)
            .env("WATCHFIRE_FIRST_SEQUENCE", span.first.to_string())
            .env("WATCHFIRE_LAST_SEQUENCE", span.last.to_string())
            .env("WATCHFIRE_EPOCH", span.epoch.to_string())
            .env("WATCHFIRE_BACKFILL", backfill)
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    async fn feed_and_wait(&mut self, lines: String) -> Result<ExitStatus, ExecError> {
        let input = self.child.stdin.take();
        let feed = async move {
            let Some(mut input) = input else {
                return Ok(());
            };
            input.write_all(lines.as_bytes()).await?;
            input.shutdown().await
        };
        // At once: a command may end without having read everything, and that is its own affair.
        let (written, status) = tokio::join!(feed, self.child.wait());
        let status = status?;
        self.group = None;
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            Ok(()) | Err(_) => Ok(status),
        }
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // It fails only if the group is gone.
            let _gone = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;
    use crate::client::batch;

    fn exec(command: &str, timeout: Duration) -> Exec {
        Exec::new(command.to_owned(), timeout)
    }

    async fn run(command: &str) -> Result<(), ExecError> {
        exec(command, EXEC_TIMEOUT).run(&batch::tests::forward(&[3, 4])).await
    }

    #[tokio::test]
    async fn a_command_gets_the_lines_and_which_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let variables = ["EPOCH", "FIRST_SEQUENCE", "LAST_SEQUENCE", "BACKFILL"];
        let variables = variables.map(|name| format!("$WATCHFIRE_{name}")).join(" ");
        let batch = batch::tests::forward(&[3, 4]);
        let command = format!("{{ cat; echo {variables}; }} > {}", out.display());
        exec(&command, EXEC_TIMEOUT).run(&batch).await.unwrap();
        let text = std::fs::read_to_string(&out).unwrap();
        assert_eq!(text, format!("{}1 3 4 0\n", batch.lines()));
        assert_eq!(text.lines().count(), 3);
    }

    #[tokio::test]
    async fn the_code_of_a_command_is_told() {
        let error = run("cat > /dev/null; exit 7").await.unwrap_err();
        assert!(matches!(error, ExecError::Code { code: 7, .. }));
        assert!(error.to_string().contains("exit code 7 on sequences 3 to 4"), "{error}");
        let error = run("kill -9 $$").await.unwrap_err();
        assert!(matches!(error, ExecError::Signal { signal: 9, .. }), "{error}");
        assert!(matches!(run("/no/such/command").await, Err(ExecError::Code { code: 127, .. })));
    }

    #[tokio::test]
    async fn a_command_need_not_read() {
        let long = batch::tests::forward(&(1..250).collect::<Vec<_>>());
        assert!(long.lines().len() > 128 * 1024, "more than a pipe holds");
        exec("exit 0", EXEC_TIMEOUT).run(&long).await.unwrap();
    }

    #[tokio::test]
    async fn a_batch_without_entries_runs_nothing() {
        exec("exit 1", EXEC_TIMEOUT).run(&batch::tests::forward(&[])).await.unwrap();
    }

    /// Whether the processes are gone that a command wrote the number of into a file.
    async fn is_gone(file: &Path) -> bool {
        let pid = std::fs::read_to_string(file).unwrap();
        let begun = Instant::now();
        let stat = format!("/proc/{}/stat", pid.trim());
        // Whoever was killed may still wait to be reaped by the machine's first process.
        let lives = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
        while lives() && begun.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        !lives()
    }

    async fn written(file: &Path) {
        let begun = Instant::now();
        while !std::fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let hangs = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let begun = Instant::now();
        let short = exec(&hangs, Duration::from_secs(1));
        let error = short.run(&batch::tests::forward(&[3])).await.unwrap_err();
        assert!(matches!(error, ExecError::Timeout { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_mins(1));
        assert!(is_gone(&pid).await);
    }

    #[tokio::test]
    async fn a_command_ends_with_whoever_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let hangs = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let (command, batch) = (exec(&hangs, EXEC_TIMEOUT), batch::tests::forward(&[3]));
        tokio::select! {
            _ended = command.run(&batch) => panic!("it hangs"),
            () = written(&pid) => {}
        }
        assert!(is_gone(&pid).await);
    }
}
