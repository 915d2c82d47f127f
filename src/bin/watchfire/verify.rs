//! `watchfire verify FILE...`: saved entries, checked offline against the pinned exchange and the known keys.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::client::Fact;
use watchfire::client::KnownRoster;
use watchfire::client::Pin;
use watchfire::client::entry_from_json;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of `--format jsonl`, or of a sink.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Default)]
struct Count {
    verified: usize,
    failed: usize,
    beyond: usize,
    /// Lines of a sink that only say that there was an entry.
    facts: usize,
}

pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let pin = Pin::open(&profile.genesis()?)?;
    let known = KnownRoster::load(&profile, &pin)?;
    let mut count = Count::default();
    for path in &args.files {
        check(path, &known, &mut count)?;
    }
    output::line(&format!("{} verified, {} failed", count.verified, count.failed))?;
    if count.beyond > 0 {
        let position = known.position();
        output::note(&format!(
            "warning: {} entries lie at or behind sequence {position}, up to which this profile knows who held \
             which key: run watchfire status, then verify again",
            count.beyond
        ));
    }
    if count.facts > 0 {
        output::note(&format!(
            "{} lines are what stays of a payload that was deleted; there is nothing in them to verify",
            count.facts
        ));
    }
    if count.failed > 0 {
        return Err(Failure::SomeUnverified(count.failed).into());
    }
    Ok(())
}

fn check(path: &Path, known: &KnownRoster, count: &mut Count) -> anyhow::Result<()> {
    let unreadable = || format!("{} cannot be read", path.display());
    let file = BufReader::new(File::open(path).with_context(unreadable)?);
    let verifier = known.verifier();
    for (index, line) in file.lines().enumerate() {
        let line = line.with_context(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        match entry_from_json(&line, &verifier) {
            Ok(entry) => {
                count.verified += 1;
                count.beyond += usize::from(entry.sequence() >= known.position());
            }
            Err(_no_entry) if Fact::from_line(&line).is_some() => count.facts += 1,
            Err(error) => {
                count.failed += 1;
                let text = format!("{}:{}: {error}", path.display(), index + 1);
                output::note(&output::clean(&text));
            }
        }
    }
    Ok(())
}
