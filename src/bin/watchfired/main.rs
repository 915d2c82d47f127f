//! `watchfired`: the hub's command line. Parse, load, call, exit code.

mod audit_log;
mod backup;
mod init;
mod log_key;
mod papers;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use clap::Subcommand;
use rustix::io::Errno;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;
use watchfire::exchange::EpochError;
use watchfire::exchange::OpenError;
use watchfire::exchange::SuccessionError;
use watchfire::exchange::verify_log;
use watchfire::model::time::SystemClock;
use watchfire::server;
use watchfire::server::CompactError;
use watchfire::server::Compacted;
use watchfire::server::Config;
use watchfire::server::RestoreError;
use watchfire::server::ServeError;
use watchfire::server::TakeError;
use watchfire::signing::leave_no_core_file;
use watchfire::store::BackupError;
use watchfire::store::Rebuilt;
use watchfire::store::StoreError;
use watchfire::store::hide_panics_of_closing;

/// Another fault.
const EXIT_OTHER: u8 = 1;
/// A write failed, or the disk withheld a file: start it again.
const EXIT_WRITE_FAILED: u8 = 74;
/// The configuration or the data directory cannot be used: starting again does not help.
const EXIT_UNUSABLE: u8 = 78;

/// For how long a thread that reads the disk waits for more to read before it ends.
const THREADS_KEPT: Duration = Duration::from_hours(24);

/// Publishing spends a fifth of its time in the system's allocator; this one takes less.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hub of an exchange.
///
/// Exit codes: 0 stopped as asked, 1 another fault, 2 usage, 74 the disk failed (start again), 78 the configuration or
/// the data directory cannot be used.
#[derive(Debug, Parser)]
#[command(name = "watchfired", version = watchfire::VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new exchange in an empty folder.
    Init(init::InitArgs),
    /// Serve an exchange until told to stop.
    Serve(ServeArgs),
    /// Fold every view anew from the log, with the hub stopped.
    Rebuild(DataArgs),
    /// Write the store anew, with the hub stopped: erased bodies leave the disk, and the folder shrinks.
    Compact(DataArgs),
    /// Write a backup, of a hub that serves or of one that is stopped.
    Backup(backup::BackupArgs),
    /// Restore a backup into a new data directory, and verify it; it waits for its next epoch.
    Restore(backup::RestoreArgs),
    /// Begin the next epoch of a restored log with what the operator signed.
    BeginEpoch(backup::BeginArgs),
    /// Let another key sign for the log, with the hub stopped: by the old key's word, or by members' where it is lost.
    RotateLogKey(log_key::Args),
    /// Check the whole log from the disk, with the hub stopped: places, times, signatures, tree, checkpoint; and the audit
    /// log beside it.
    Verify(DataArgs),
    /// Check an audit log: that no line was removed or changed.
    AuditLog(audit_log::Args),
    /// Write manual pages.
    Manual(papers::ManualArgs),
    /// Print completions for a shell.
    Completions(papers::CompletionsArgs),
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "data", required_unless_present = "data")]
    config: Option<PathBuf>,
    /// The data directory; its own `watchfired.toml` is read if there is one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen here instead of where the configuration says.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Only check the configuration.
    #[arg(long)]
    check_config: bool,
    /// Vouch for a clock that stands behind the log, or that jumped.
    #[arg(long)]
    confirm_clock: bool,
}

#[derive(Debug, clap::Args)]
struct DataArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

fn main() -> ExitCode {
    hide_panics_of_closing();
    let command = Cli::parse().command;
    let outcome = leave_no_core_file().map_err(Into::into).and_then(|()| run(command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => init::run(args),
        Command::Serve(args) => serve(&args),
        Command::Rebuild(args) => rebuild(&args),
        Command::Compact(args) => compact(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::BeginEpoch(args) => backup::begin(&args),
        Command::RotateLogKey(args) => log_key::run(&args),
        Command::Verify(args) => verify(&args),
        Command::AuditLog(args) => audit_log::run(&args),
        Command::Manual(args) => papers::manual(&args),
        Command::Completions(args) => papers::completions(&args),
    }
}

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let mut config = match (&args.config, &args.data) {
        (Some(file), _) => Config::read(file)?,
        (None, Some(data)) => Config::of_data(data)?,
        (None, None) => anyhow::bail!("name a configuration or a data directory"),
    };
    if let Some(listen) = &args.listen {
        config.listen_at(server::address(listen, "--listen")?);
    }
    if args.check_config {
        return Ok(());
    }
    let filter = server::telemetry::start(&config);
    // The allocator gives each thread memory of its own, and what a thread leaves behind is taken over late: readers'
    // threads that come and go every ten seconds are a hub that grows.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(THREADS_KEPT)
        .build()
        .context("the runtime cannot start")?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        let (reloads, reload) = tokio::sync::watch::channel(0);
        let signals = watch_signals(stop.clone(), reloads)?;
        let clock = Arc::new(SystemClock::default());
        let reload = (reload, filter);
        let serving = server::serve_with(config, clock, args.confirm_clock, stop, reload);
        // The signals' future only ever listens; dropping it loses nothing.
        tokio::select! {
            served = serving => served.map_err(anyhow::Error::from),
            never = signals => match never {},
        }
    });
    runtime.shutdown_background();
    served.map(|_exit| ())
}

/// Listens to the signals: the first to stop, each HUP to load certificates and configuration again.
fn watch_signals(
    stop: CancellationToken,
    reloads: tokio::sync::watch::Sender<u64>,
) -> anyhow::Result<impl Future<Output = std::convert::Infallible>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            // A signal that arrives while another is handled stays pending in its own stream.
            tokio::select! {
                _ = terminate.recv() => stop.cancel(),
                _ = interrupt.recv() => stop.cancel(),
                _ = hangup.recv() => reloads.send_modify(|count| *count = count.wrapping_add(1)),
            }
        }
    })
}

fn rebuild(args: &DataArgs) -> anyhow::Result<()> {
    let config = Config::of_data(&args.data)?;
    let Rebuilt { entries, unchanged } = server::open_log(&config)?.rebuild()?;
    let verdict = if unchanged { "as they were" } else { "changed: they did not equal the log" };
    let printed = print_line(&format!("views folded from {entries} entries; they are {verdict}"));
    audit_log::note(&config, "rebuild", &format!("{entries} entries"));
    printed
}

fn compact(args: &DataArgs) -> anyhow::Result<()> {
    let config = Config::of_data(&args.data)?;
    let bar = indicatif::ProgressBar::new_spinner();
    let Compacted { report, bytes_before, bytes_after } =
        server::compact(&config, |what, count| bar.set_message(format!("{what}: {count}")))?;
    bar.finish_and_clear();
    let printed = print_line(&format!(
        "{} entries hold, before and after; {bytes_before} bytes are {bytes_after} now",
        report.entries
    ));
    audit_log::note(&config, "compact", &format!("{} entries", report.entries));
    printed
}

fn verify(args: &DataArgs) -> anyhow::Result<()> {
    let config = Config::of_data(&args.data)?;
    let store = server::open_store(&config)?;
    // After `init` nothing is wrong; in a hub that was in use the log is gone. Only its operator knows which.
    anyhow::ensure!(
        store.head()?.frontier.size() > 0,
        "there is no entry to verify: this hub was never served, or its log is lost"
    );
    let report = verify_log(&store, |_entries| {})?;
    anyhow::ensure!(store.blobs_are_empty(), "sled spilled values to its blobs folder");
    let exchange = report.exchange.name();
    let root = hex::encode(report.root);
    print_line(&format!("{} entries of {exchange} hold; root {root}", report.entries))?;
    print_line(&audit_log::checked(&config)?)
}

/// Prints a line of a command's answer. What it did is done even where that cannot be told.
fn print_line(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
        .context("it is done, but the answer cannot be printed")
}

/// Says why a command fails, or what it warns of. Its exit code stands even where that cannot be told.
fn print_error(error: &anyhow::Error) {
    drop(writeln!(std::io::stderr().lock(), "watchfired: {error:#}"));
}

/// Why a data directory cannot be used, whatever was to be done with it.
fn opening(error: &anyhow::Error) -> Option<&ServeError> {
    if let Some(CompactError::Open(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(TakeError::Open(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(RestoreError::Serve(error)) = error.downcast_ref() {
        return Some(error);
    }
    error.downcast_ref()
}

/// What the store said to a command that had it open.
fn working(error: &anyhow::Error) -> Option<&StoreError> {
    if let Some(CompactError::Store(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(RestoreError::Store(error) | RestoreError::Epoch(EpochError::Store(error))) =
        error.downcast_ref()
    {
        return Some(error);
    }
    if let Some(TakeError::Backup(BackupError::Store(error))) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(SuccessionError::Store(error)) = error.downcast_ref() {
        return Some(error);
    }
    error.downcast_ref()
}

/// Whether a call of the system failed that may succeed the next time: nothing is wrong with what the file says.
fn passes(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.filter_map(Errno::from_io_error).any(|errno| {
        matches!(errno, Errno::IO | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::STALE)
    })
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if passes(error) {
        return EXIT_WRITE_FAILED;
    }
    match opening(error) {
        // What a new start would find is as damaged.
        Some(ServeError::Write(StoreError::Corrupt { .. })) => EXIT_UNUSABLE,
        // Opening writes, too.
        Some(ServeError::Write(_) | ServeError::Open(OpenError::Store(StoreError::Io { .. }))) => {
            EXIT_WRITE_FAILED
        }
        // It will be let go, say by a backup that was begun while the hub was away: a supervisor tries again.
        Some(ServeError::InUse(_) | ServeError::Open(OpenError::Store(StoreError::InUse))) => {
            EXIT_OTHER
        }
        Some(
            ServeError::File { .. }
            | ServeError::Unread { .. }
            | ServeError::Restored
            | ServeError::OpenTimeout(_)
            | ServeError::OpenFailed
            | ServeError::Open(_)
            | ServeError::Traces(_)
            | ServeError::Tls(_)
            | ServeError::WarningList(_)
            | ServeError::Framework(_),
        ) => EXIT_UNUSABLE,
        _ if error.is::<server::ConfigError>() => EXIT_UNUSABLE,
        _ => match working(error) {
            Some(StoreError::Corrupt { .. } | StoreError::Format { .. }) => EXIT_UNUSABLE,
            Some(StoreError::Io { .. }) => EXIT_WRITE_FAILED,
            Some(StoreError::Full { .. } | StoreError::InUse) | None => EXIT_OTHER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a command tells what the store said.
    type Wrap = fn(StoreError) -> anyhow::Error;

    fn damage() -> StoreError {
        StoreError::missing(7)
    }

    fn failed_write() -> StoreError {
        StoreError::Io { action: "writing the log", cause: "No space left".to_owned() }
    }

    #[test]
    fn damage_and_failed_writes_end_every_command_with_their_codes() {
        let wrappers: [(&str, Wrap); 7] = [
            ("rebuild", anyhow::Error::from),
            ("compact", |error| CompactError::Store(error).into()),
            ("restore", |error| RestoreError::Store(error).into()),
            ("begin-epoch", |error| RestoreError::Epoch(EpochError::Store(error)).into()),
            ("backup", |error| TakeError::Backup(BackupError::Store(error)).into()),
            ("rotate-log-key", |error| SuccessionError::Store(error).into()),
            ("serve", |error| ServeError::Write(error).into()),
        ];
        for (command, wrap) in wrappers {
            assert_eq!(exit_code(&wrap(damage())), EXIT_UNUSABLE, "{command}");
            assert_eq!(exit_code(&wrap(failed_write())), EXIT_WRITE_FAILED, "{command}");
        }
    }

    #[test]
    fn what_was_met_while_the_store_was_opened_has_the_code_of_its_cause() {
        let opening =
            |error| anyhow::Error::from(CompactError::Open(OpenError::Store(error).into()));
        assert_eq!(exit_code(&opening(damage())), EXIT_UNUSABLE);
        assert_eq!(exit_code(&opening(failed_write())), EXIT_WRITE_FAILED);
        assert_eq!(exit_code(&opening(StoreError::InUse)), EXIT_OTHER);
        assert_eq!(exit_code(&anyhow::anyhow!("something else")), EXIT_OTHER);
    }

    #[test]
    fn a_file_that_the_disk_withholds_is_tried_again_and_one_that_is_missing_is_not() {
        let unread = |errno: Errno| {
            let path = "log.key".into();
            anyhow::Error::from(ServeError::Unread { path, cause: errno.into() })
        };
        assert_eq!(exit_code(&unread(Errno::IO)), EXIT_WRITE_FAILED);
        assert_eq!(exit_code(&unread(Errno::MFILE)), EXIT_WRITE_FAILED);
        assert_eq!(exit_code(&unread(Errno::NOENT)), EXIT_UNUSABLE);
        assert_eq!(exit_code(&unread(Errno::ACCESS)), EXIT_UNUSABLE);
    }
}
