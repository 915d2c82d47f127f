//! `watchfire reports`: evidence that members handed in, with what it comes to.

use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use watchfire::client::ReportedEvidence;
use watchfire::client::Reporter;
use watchfire::client::Verdict;

use crate::context::Context;
use crate::output;
use crate::output::Format;
use crate::table;

const NOTES: &str = "The operator and auditors see every report, everybody else its own. Reporter and time are the hub's word; the verdict \
                     is that of this program, which judges each file by the hub's public key. \"proven if\": on a \
                     condition that watchfire verify names. What is not proven is the word of its finder.";
/// Hex digits of a digest in the table.
const DIGEST_SHOWN: usize = 16;
/// Characters of what is said, in the table: what is proven fits.
const SAYS_MAX: usize = 300;

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// Write each file of evidence into this folder, named by its digest.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let reporter = Reporter::connect(context.profile()?).await?;
    if let Some(folder) = &args.out {
        let unwritable = || format!("{} cannot be made", folder.display());
        std::fs::create_dir_all(folder).with_context(unwritable)?;
    }
    let mut table = table::plain(&["EVIDENCE", "REPORTER", "TAKEN IN", "VERDICT", "SAYS"]);
    let (mut token, mut count) = (String::new(), 0_usize);
    loop {
        let (reports, next) = reporter.reports(&token).await?;
        for report in &reports {
            count += 1;
            if let Some(folder) = &args.out {
                write(folder, report)?;
            }
            match args.format {
                Format::Table => drop(table.add_row(row(report))),
                Format::Jsonl => output::line(&to_json(report).to_string())?,
            }
        }
        match next {
            Some(next) => token = next,
            None => break,
        }
    }
    match args.format {
        Format::Table if count == 0 => output::note("there is none"),
        Format::Table => output::raw(table::trimmed(&table).as_bytes())?,
        Format::Jsonl => {}
    }
    Ok(())
}

fn row(report: &ReportedEvidence) -> [String; 5] {
    let (verdict, says) = said(report);
    let digest: String = hex::encode(report.digest).chars().take(DIGEST_SHOWN).collect();
    [
        digest,
        report.reporter.to_string(),
        report.time.to_string(),
        verdict.to_owned(),
        table::cut_to(&table::harmless_text(&says), SAYS_MAX),
    ]
}

/// The verdict in a word, and why: what is proven; else what the finder says, or what is wrong with the file.
fn said(report: &ReportedEvidence) -> (&'static str, String) {
    match &report.judged {
        Ok((_, Verdict::Proven(contradiction))) => ("PROVEN", contradiction.to_string()),
        Ok((_, Verdict::Conditional(contradiction, _condition))) => {
            ("proven if", contradiction.to_string())
        }
        Ok((evidence, Verdict::Unproven)) => ("not proven", evidence.deviation.clone()),
        Err(invalid) => ("INVALID", invalid.to_string()),
    }
}

fn to_json(report: &ReportedEvidence) -> serde_json::Value {
    let (mut proves, mut condition, mut invalid) = (None, None, None);
    let verdict = match &report.judged {
        Ok((_, Verdict::Proven(contradiction))) => {
            proves = Some(contradiction.to_string());
            "proven"
        }
        Ok((_, Verdict::Conditional(contradiction, on))) => {
            (proves, condition) = (Some(contradiction.to_string()), Some(on.to_string()));
            "conditional"
        }
        Ok((_, Verdict::Unproven)) => "unproven",
        Err(error) => {
            invalid = Some(output::clean(&error.to_string()));
            "invalid"
        }
    };
    let evidence = report.judged.as_ref().ok().map(|(evidence, _verdict)| evidence);
    let says = |text: &String| output::clean(text);
    json!({
        "evidence": hex::encode(report.digest),
        "reporter": report.reporter.name(),
        "time": report.time.to_string(),
        "bytes": report.bytes.len(),
        "verdict": verdict,
        "proves": proves,
        "condition": condition,
        "invalid": invalid,
        "finder": evidence.map(|evidence| says(&evidence.finder)),
        "found_time": evidence.map(|evidence| says(&evidence.time)),
        "says": evidence.map(|evidence| says(&evidence.deviation)),
    })
}

/// Writes a report's evidence under its digest. What is there already under that name stays: only the same is.
fn write(folder: &Path, report: &ReportedEvidence) -> anyhow::Result<()> {
    let path = folder.join(format!("{}.json", hex::encode(report.digest)));
    let unwritable = || format!("{} cannot be written", path.display());
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match new {
        Ok(mut file) => file.write_all(&report.bytes).with_context(unwritable),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = std::fs::read(&path).with_context(unwritable)?;
            anyhow::ensure!(there == report.bytes, "{} is another file", path.display());
            Ok(())
        }
        Err(error) => Err(error).with_context(unwritable),
    }
}
