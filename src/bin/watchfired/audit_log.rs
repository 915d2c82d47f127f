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
    let found = server::verify_audit(files)?;
    print_line(&held(&found))?;
    if found.cut > 0 {
        print_line(&format!("{} of them were cut off, as by a crash", found.cut))?;
    }
    Ok(())
}

/// Checks the audit log where a configuration has it; what was found, as one line of a command's answer. That a hub which
/// does not run any more left its last line unended is nothing wrong.
pub(crate) fn checked(config: &Config) -> anyhow::Result<String> {
    let file = config.audit_file();
    let found = server::verify_audit_log(&file).context("the audit log does not hold")?;
    let path = file.display();
    let Some(found) = found else { return Ok(format!("audit log: there is none at {path}")) };
    if found.lines == 0 {
        return Ok(format!("audit log: {path} is empty"));
    }
    let cut = match (found.cut, found.ends_cut) {
        (0, _) => String::new(),
        (cut, false) => format!("; {cut} of them were cut off, as by a crash"),
        (cut, true) => format!("; {cut} of them were cut off, the last one too, as by a kill"),
    };
    Ok(format!("audit log: {}{cut}", held(&found)))
}

/// What holds of an audit log.
fn held(found: &VerifiedAudit) -> String {
    let VerifiedAudit { lines, first, last, digest, .. } = found;
    format!("{lines} lines hold, number {first} to {last}; the last is {}", hex::encode(digest))
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
