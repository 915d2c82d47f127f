//! `watchfired rotate-log-key`: another key signs for the log, with the hub stopped.
//!
//! The next key is on the disk before the log names it, and takes the old one's place after that: whatever is cut off,
//! the command run again goes on.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::client::SuccessionCosignature;
use watchfire::client::SuccessionRequest;
use watchfire::exchange::LogKeyChanger;
use watchfire::model::fingerprint::Fingerprint;
use watchfire::model::names::Sequence;
use watchfire::model::time::SystemClock;
use watchfire::profile::read;
use watchfire::profile::write_private;
use watchfire::profile::write_public;
use watchfire::server;
use watchfire::server::Config;
use watchfire::signing::SecretKey;
use watchfire::wire::pb;

use crate::audit_log;
use crate::print_line;

const KEY: &str = "log.key";
const NEXT_KEY: &str = "log.key.next";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The old key is lost: more than half of the companies vouch for the new one. Without --signatures, writes what
    /// they are to sign.
    #[arg(long)]
    lost: bool,
    /// Where the request goes that companies sign (`watchfire keys cosign-log-key`).
    #[arg(long, value_name = "FILE", requires = "lost", conflicts_with = "signatures")]
    request: Option<PathBuf>,
    /// What companies answered.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "lost")]
    signatures: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let config = Config::of_data(&args.data)?;
    let store = server::open_store(&config)?;
    anyhow::ensure!(
        store.head()?.frontier.size() > 0,
        "there is no log yet whose key could change"
    );
    let log = LogKeyChanger::open(&store)?;
    let (path, next_path) = (args.data.join(KEY), args.data.join(NEXT_KEY));
    let next = next_key(&next_path)?;
    if log.current() == Some(next.id()) {
        put_in_place(&path, &next_path)?;
        return tell(&config, &next, None);
    }
    if !args.lost {
        let old = server::secret(&path)?;
        let place = log.change(&old, &next, Vec::new(), &SystemClock::default())?;
        put_in_place(&path, &next_path)?;
        return tell(&config, &next, Some(place));
    }
    if args.signatures.is_empty() {
        let out = args.request.clone().unwrap_or_else(|| args.data.join("log-key-request.json"));
        return ask(&log, &next, &out);
    }
    let cosignatures = cosignatures(&log, &args.signatures)?;
    let place = log.change(&next, &next, cosignatures, &SystemClock::default())?;
    put_in_place(&path, &next_path)?;
    tell(&config, &next, Some(place))
}

/// The key that was made for this, or a new one.
fn next_key(path: &Path) -> anyhow::Result<SecretKey> {
    if path.exists() {
        return Ok(server::secret(path)?);
    }
    let key = SecretKey::generate()?;
    write_private(path, key.to_pem()?.as_bytes())?;
    Ok(key)
}

fn put_in_place(path: &Path, next: &Path) -> anyhow::Result<()> {
    fs::rename(next, path).with_context(|| format!("{} cannot be put in place", next.display()))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).context("it cannot be synced")
}

/// What companies are to sign, and how many must.
fn ask(log: &LogKeyChanger<'_>, next: &SecretKey, out: &Path) -> anyhow::Result<()> {
    let current = log.current().context("the log names no key")?;
    let request = SuccessionRequest::new(log.exchange(), &current, &next.id(), log.place());
    write_public(out, request.to_json().as_bytes())?;
    print_line(&format!("{} companies must sign {}:", log.threshold(), out.display()))?;
    print_line("  watchfire --profile DIR keys cosign-log-key --request FILE --out FILE")?;
    print_line("Tell them by another way:")?;
    print_line(&format!("  new log key  {}", next.id()))?;
    print_line(&format!("  in words     {}", Fingerprint::of_key(next.id()).words()))?;
    print_line("Next: watchfired rotate-log-key --data DIR --lost --signatures FILE...")
}

fn cosignatures(
    log: &LogKeyChanger<'_>,
    files: &[PathBuf],
) -> anyhow::Result<Vec<pb::LogKeyCosignature>> {
    let mut all = Vec::new();
    for file in files {
        let text = String::from_utf8(read(file)?).context("a signature is not UTF-8")?;
        let answer = SuccessionCosignature::parse(&text, log.exchange())
            .with_context(|| file.display().to_string())?;
        all.push(answer.to_wire()?);
    }
    Ok(all)
}

/// Prints what was done, and notes it.
fn tell(config: &Config, next: &SecretKey, place: Option<Sequence>) -> anyhow::Result<()> {
    let printed = print(next, place);
    audit_log::note(config, "rotate-log-key", &next.id().to_string());
    printed
}

fn print(next: &SecretKey, place: Option<Sequence>) -> anyhow::Result<()> {
    match place {
        Some(place) => print_line(&format!("The log's key is changed at sequence {place}."))?,
        None => print_line("The log's key was changed before; its file is in place now.")?,
    }
    print_line(&format!("  log key   {}", next.id()))?;
    print_line(&format!("  in words  {}", Fingerprint::of_key(next.id()).words()))
}
