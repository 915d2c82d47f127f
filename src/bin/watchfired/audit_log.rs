//! `watchfired audit-log`: what was written about who did what, checked; and what commands write there themselves.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::server;
use watchfire::server::Config;
use watchfire::server::VerifiedAudit;

use crate::print_error;
use crate::print_line;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that each line follows the one before, across files.
    Verify {
        /// The files, the oldest first.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Command::Verify { files } = &args.command;
    let VerifiedAudit { lines, first, last, digest, cut } = server::verify_audit(files)?;
    print_line(&format!(
        "{lines} lines hold, number {first} to {last}; the last is {}",
        hex::encode(digest)
    ))?;
    if cut > 0 {
        print_line(&format!("{cut} of them were cut off, as by a crash"))?;
    }
    Ok(())
}

/// Writes what a command did, if there is an audit log. It is done, and was answered before this: whatever is wrong here
/// takes nothing of that away.
pub(crate) fn note(config: &Config, what: &str, target: &str) {
    let Some(audit) = &config.audit else { return };
    let noted = server::note_command(audit, what, target)
        .with_context(|| format!("it is done, but {} cannot be written", audit.file.display()));
    warn_of(noted);
}

/// The same for a data directory that was just made.
pub(crate) fn note_in(data: &Path, what: &str, target: &str) {
    let config = Config::of_data(data).context("it is done, but where to note that is not known");
    warn_of(config.map(|config| note(&config, what, target)));
}

fn warn_of(noted: anyhow::Result<()>) {
    if let Err(error) = noted {
        print_error(&error.context("warning"));
    }
}
