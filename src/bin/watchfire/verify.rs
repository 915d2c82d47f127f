//! `watchfire verify FILE...`: saved entries, checked offline against the pinned exchange and the known keys; evidence
//! against a hub, and a hub's receipt for evidence, checked with the hub's public key alone.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::client::EVIDENCE_BYTES_MAX;
use watchfire::client::Evidence;
use watchfire::client::Fact;
use watchfire::client::InvalidEvidence;
use watchfire::client::KnownRoster;
use watchfire::client::Pin;
use watchfire::client::ReportReceipt;
use watchfire::client::Verdict;
use watchfire::client::VerificationError;
use watchfire::client::entry_from_json;
use watchfire::model::names::sha256;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Faults of a file that are told one by one.
const TOLD_MAX: usize = 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of `--format jsonl`, or of a sink; or files of evidence, and receipts for them, for which no profile is
    /// needed.
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
    let mut saved = Vec::new();
    let (mut judged, mut unproven) = (0, 0);
    for path in &args.files {
        let text = text(path)?;
        if let Some(receipt) = text.as_deref().and_then(ReportReceipt::parse) {
            judged += 1;
            unproven += usize::from(!tell_receipt(path, &receipt)?);
            continue;
        }
        match text.as_deref().and_then(Evidence::parse) {
            None => saved.push(path),
            Some(evidence) => {
                judged += 1;
                unproven += usize::from(!judge(path, evidence)?);
            }
        }
    }
    if judged == 0 || !saved.is_empty() {
        check_saved(context, &saved)?;
    }
    if unproven > 0 { Err(Failure::Unproven(unproven).into()) } else { Ok(()) }
}

/// The evidence that a file holds, if that is what it is.
pub(crate) fn evidence(path: &Path) -> anyhow::Result<Option<Result<Evidence, InvalidEvidence>>> {
    Ok(text(path)?.as_deref().and_then(Evidence::parse))
}

/// What a file holds, if that is a text that may be evidence.
fn text(path: &Path) -> anyhow::Result<Option<String>> {
    let unreadable = || format!("{} cannot be read", path.display());
    let length = std::fs::metadata(path).with_context(unreadable)?.len();
    if usize::try_from(length).map_or(true, |length| length > EVIDENCE_BYTES_MAX) {
        return Ok(None);
    }
    Ok(String::from_utf8(std::fs::read(path).with_context(unreadable)?).ok())
}

/// Says what a receipt for evidence is; whether it holds.
fn tell_receipt(
    path: &Path,
    receipt: &Result<ReportReceipt, VerificationError>,
) -> anyhow::Result<bool> {
    let checked = receipt.as_ref().map_err(Clone::clone);
    let checked = checked.and_then(|receipt| Ok((receipt.check()?, receipt.pin()?)));
    let (statement, pin) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            output::line(&output::clean(&format!("{}: INVALID: {error}", path.display())))?;
            return Ok(false);
        }
    };
    let (reporter, time) = (statement.member.name(), statement.time);
    let digest = hex::encode(statement.evidence_digest);
    for line in [
        format!("{}: SIGNED: {reporter} handed in evidence at {time}", path.display()),
        format!("  exchange   {}", statement.exchange.name()),
        format!("  log key    {} (compare it with the one that you know)", pin.log_key_id()),
        format!("  evidence   SHA-256 {digest}"),
    ] {
        output::line(&output::clean(&line))?;
    }
    let beside = path.with_file_name(format!("{digest}.json"));
    if std::fs::read(&beside).is_ok_and(|bytes| sha256(&bytes) == statement.evidence_digest) {
        output::line(&output::clean(&format!("             that is {}", beside.display())))?;
    }
    Ok(true)
}

/// Says what evidence comes to; whether it proves anything.
fn judge(path: &Path, evidence: Result<Evidence, InvalidEvidence>) -> anyhow::Result<bool> {
    let path = path.display();
    let verdict = evidence.and_then(|evidence| {
        let (verdict, pin) = (evidence.judge()?, evidence.pin()?);
        Ok((evidence, verdict, pin))
    });
    let (evidence, verdict, pin) = match verdict {
        Ok(judged) => judged,
        Err(error) => {
            output::line(&output::clean(&format!("{path}: INVALID: {error}")))?;
            return Ok(false);
        }
    };
    let Evidence { exchange, finder, time, deviation, exhibits, .. } = &evidence;
    let (proven, words) = match verdict {
        Verdict::Proven(contradiction) => (true, format!("PROVEN: {contradiction}")),
        Verdict::Conditional(contradiction, condition) => {
            (false, format!("proven if {condition}: {contradiction}"))
        }
        Verdict::Unproven => (
            false,
            "not proven by this file alone: what the hub signed in it holds together; that something else came, its \
             finder says"
                .to_owned(),
        ),
    };
    for line in [
        format!("{path}: {words}"),
        format!("  exchange   {exchange}"),
        format!("  log key    {} (compare it with the one that you know)", pin.log_key_id()),
        format!("  found      by {finder} at {time}: {deviation}"),
        format!("  exhibits   {}", exhibits.len()),
    ] {
        output::line(&output::clean(&line))?;
    }
    if let Some(size) = evidence.roster_size() {
        output::line(&format!(
            "  keys       as of the log's first {size} entries: whether one was reported stolen later, the log says"
        ))?;
    }
    Ok(proven)
}

fn check_saved(context: &Context, files: &[&PathBuf]) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let pin = Pin::open(&profile.genesis()?)?;
    let known = KnownRoster::load(&profile, &pin)?;
    let mut count = Count::default();
    let mut foreign = Vec::new();
    for path in files {
        if !check(path, &known, &mut count)? {
            foreign.push(path.display().to_string());
        }
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
    if !foreign.is_empty() {
        let files = foreign.join(", ");
        let why = format!("{files}: there are no JSON lines in it, so there is nothing to verify");
        return Err(Failure::Usage(output::clean(&why)).into());
    }
    Ok(())
}

/// Checks a file. Whether it is one to check at all: a text of which no line is a JSON object is not, and nothing of it
/// is counted. One such line is enough for all the others to be failures.
fn check(path: &Path, known: &KnownRoster, count: &mut Count) -> anyhow::Result<bool> {
    let unreadable = || format!("{} cannot be read", path.display());
    let file = BufReader::new(File::open(path).with_context(unreadable)?);
    let verifier = known.verifier();
    let (mut failed, mut told, mut is_json) = (0_usize, Vec::new(), false);
    for (index, line) in file.lines().enumerate() {
        let line = line.with_context(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        is_json |= serde_json::from_str::<serde_json::Map<_, _>>(&line).is_ok();
        match entry_from_json(&line, &verifier) {
            Ok(entry) => {
                count.verified += 1;
                count.beyond += usize::from(entry.sequence() >= known.position());
            }
            Err(_no_entry) if Fact::from_line(&line).is_some() => count.facts += 1,
            Err(error) => {
                failed += 1;
                if told.len() < TOLD_MAX {
                    told.push(format!("{}:{}: {error}", path.display(), index + 1));
                }
            }
        }
    }
    if failed > 0 && !is_json {
        return Ok(false);
    }
    for text in &told {
        output::note(&output::clean(text));
    }
    if failed > told.len() {
        let rest = failed - told.len();
        output::note(&output::clean(&format!("{}: and {rest} more", path.display())));
    }
    count.failed += failed;
    Ok(true)
}
