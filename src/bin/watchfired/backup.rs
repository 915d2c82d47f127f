//! `watchfired backup`, `restore` and `begin-epoch`.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use prost::Message as _;
use watchfire::client::SignEpoch;
use watchfire::client::sign_epoch;
use watchfire::exchange::BegunEpoch;
use watchfire::model::time::SystemClock;
use watchfire::profile;
use watchfire::profile::Profile;
use watchfire::server;
use watchfire::server::Config;
use watchfire::server::Restore;
use watchfire::server::Restored;
use watchfire::server::TakenBy;
use watchfire::wire::pb;

use crate::audit_log;
use crate::print_line;

#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The data directory, whether its hub serves or not.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file to write, which must not be there. It holds bodies: it is private.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The new data directory, which must be empty or absent.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A newer backup, or the damaged data directory: what was erased by then is erased before anything is served; may be
    /// repeated.
    #[arg(long = "newer-copy", value_name = "FILE|DIR")]
    newer: Vec<PathBuf>,
    /// A folder with the files that no backup has: log.key, tls/ and watchfired.toml, as in a data directory.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The operator's profile, if it is on this machine: the epoch begins at once.
    #[arg(long, value_name = "DIR", requires = "reason")]
    operator: Option<PathBuf>,
    /// Why the log was restored, for members to read.
    #[arg(long, value_name = "TEXT", requires = "operator")]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BeginArgs {
    /// The data directory that was restored.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// What the operator signed: watchfire epoch sign.
    #[arg(long, value_name = "FILE")]
    signed: PathBuf,
}

pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let config = Config::of_data(&args.data)?;
    let bar = indicatif::ProgressBar::new_spinner();
    let told = |entries| bar.set_message(format!("entries: {entries}"));
    let (summary, by) = server::take_backup(&config, &args.out, &SystemClock::default(), told)?;
    bar.finish_and_clear();
    let out = args.out.display();
    let printed =
        print_line(&format!("{} entries are in {out}, up to this checkpoint:", summary.size))
            .and_then(|()| print_line(summary.checkpoint.trim_end()));
    // A hub that serves tells it itself.
    if by == TakenBy::Command {
        audit_log::note(&config, "backup", &format!("{} entries", summary.size));
    }
    printed
}

pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let bar = indicatif::ProgressBar::new_spinner();
    let what = Restore {
        from: &args.from,
        data: &args.data,
        newer: &args.newer,
        keys: args.keys.as_deref(),
    };
    let restored =
        server::restore(&what, |what, count| bar.set_message(format!("{what}: {count}")))?;
    bar.finish_and_clear();
    // What cannot be told is done all the same.
    let told = tell(&restored).and_then(|()| match args.operator {
        Some(_) => Ok(()),
        None => tell_next(&restored, &args.data),
    });
    audit_log::note_in(&args.data, "restore", &format!("{} entries", restored.report.entries));
    if let (Some(operator), Some(reason)) = (&args.operator, &args.reason) {
        let note = String::from_utf8(profile::read(&restored.checkpoint)?)?;
        let operator = Profile::open(operator)?;
        let what = SignEpoch { checkpoint: &note, epoch: Some(restored.next_epoch), reason };
        let signed = sign_epoch(&operator, &what)?;
        finish(&args.data, signed)?;
    }
    told
}

pub(crate) fn begin(args: &BeginArgs) -> anyhow::Result<()> {
    let bytes = profile::read(&args.signed)?;
    let signed = pb::Envelope::decode(bytes.as_slice())
        .with_context(|| format!("{} is not a signed entry", args.signed.display()))?;
    finish(&args.data, signed)
}

fn finish(data: &Path, signed: pb::Envelope) -> anyhow::Result<()> {
    let config = Config::of_data(data)?;
    let begun = server::begin_epoch(&config, signed, &SystemClock::default())?;
    let printed = tell_begun(&begun, data);
    audit_log::note(&config, "begin-epoch", &format!("epoch {}", begun.epoch));
    printed
}

fn tell_begun(begun: &BegunEpoch, data: &Path) -> anyhow::Result<()> {
    print_line(&format!("epoch {} begins at sequence {}", begun.epoch, begun.place))?;
    if begun.erased > 0 {
        print_line(&format!(
            "{} bodies were erased, as a newer copy knew; run watchfired compact, so that they leave the disk",
            begun.erased
        ))?;
    }
    print_line(&format!("the hub may serve: watchfired serve --data {}", data.display()))
}

fn tell(restored: &Restored) -> anyhow::Result<()> {
    let report = &restored.report;
    print_line(&format!(
        "{} entries of {} are restored and hold, up to epoch {}; root {}",
        report.entries,
        report.exchange.name(),
        restored.epoch,
        hex::encode(report.root)
    ))?;
    if restored.void > 0 {
        print_line(&format!(
            "{} entries of a newer copy lie behind them: they are void, and their publishers send them again",
            restored.void
        ))?;
    }
    if restored.erased > 0 {
        print_line(&format!(
            "{} bodies were erased since, as a newer copy knows: they go when the epoch begins",
            restored.erased
        ))?;
    }
    if !restored.missing.is_empty() {
        print_line(&format!("still missing beside them: {}", restored.missing.join(", ")))?;
    }
    Ok(())
}

fn tell_next(restored: &Restored, data: &Path) -> anyhow::Result<()> {
    let (checkpoint, epoch) = (restored.checkpoint.display(), restored.next_epoch);
    print_line("Nothing is served before the operator has signed that a new epoch begins:")?;
    print_line(&format!(
        "  watchfire --profile OPERATOR epoch sign --checkpoint {checkpoint} --epoch {epoch} --reason TEXT --out SIGNED"
    ))?;
    print_line(&format!("  watchfired begin-epoch --data {} --signed SIGNED", data.display()))
}
