//! Runs one target: over the kept corpus, then over random changes of it, under a watch.

use std::any::Any;
use std::fs;
use std::hash::BuildHasher as _;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::Instant;

use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use sha2::Digest as _;
use sha2::Sha256;

use crate::change::changed;
use crate::targets;
use crate::targets::Target;

const SECONDS: u64 = 30;
/// The processor's time that one input may take, unoptimised: the longest takes a fiftieth.
const INPUT_TICKS_MAX: u64 = 100;
/// Memory of the whole process at most.
const RESIDENT_KIB_MAX: u64 = 512 * 1024;
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Corpus of one target at most: it is kept with the sources.
const KEPT_FILES_MAX: usize = 200;
const KEPT_BYTES_MAX: usize = 300 * 1024;

/// Tries a target for as long as this run says.
#[expect(clippy::print_stdout, reason = "the seed and how much was tried")]
pub(crate) fn run(name: &str) {
    let target = targets::named(name).expect("a target");
    let watch = Watch::begin(target);
    if let Some(input) = std::env::var_os("WATCHFIRE_FUZZ_INPUT") {
        watch.run(&fs::read(input).expect("the input can be read"));
        return;
    }
    let kept = corpus(target);
    for input in &kept {
        watch.run(input);
    }
    let seed = number("WATCHFIRE_FUZZ_SEED").unwrap_or_else(drawn);
    println!("{name}: seed {seed}");
    let digest = Sha256::digest(format!("{name} {seed}"));
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &digest);
    let time = Duration::from_secs(number("WATCHFIRE_FUZZ_SECONDS").unwrap_or(SECONDS));
    let begun = Instant::now();
    let mut executions = kept.len();
    while begun.elapsed() < time {
        for _input in 0..64 {
            watch.run(&changed(&mut random, &kept, target));
            executions += 1;
        }
    }
    println!("{name}: {executions} executions, of {} kept", kept.len());
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number: {text}")))
}

/// A seed that nobody chose.
fn drawn() -> u64 {
    std::hash::RandomState::new().hash_one(0) % 1_000_000
}

/// Where the corpus of a target is kept.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder(target.name)).expect("a kept corpus");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort_unstable();
    let kept: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    let bytes: usize = kept.iter().map(Vec::len).sum();
    assert!(!kept.is_empty() && kept.len() <= KEPT_FILES_MAX, "{} files", kept.len());
    assert!(bytes <= KEPT_BYTES_MAX, "{}: {bytes} bytes are kept", target.name);
    kept
}

/// What is being tried, for the thread that looks at how long it takes.
#[derive(Debug, Default)]
struct Tried {
    number: u64,
    input: Vec<u8>,
}

struct Watch {
    target: &'static Target,
    tried: Arc<Mutex<Tried>>,
    /// Dropped at the end, which ends the watching thread.
    _end: mpsc::Sender<()>,
}

impl Watch {
    fn begin(target: &'static Target) -> Self {
        let tried = Arc::new(Mutex::new(Tried::default()));
        let thread = fs::read_link("/proc/thread-self").expect("a thread");
        let (end, ended) = mpsc::channel();
        let seen = Arc::clone(&tried);
        let _watching = std::thread::spawn(move || {
            look(target, &Path::new("/proc").join(thread), &seen, &ended);
        });
        Self { target, tried, _end: end }
    }

    /// Tries an input. What makes it fail is kept.
    fn run(&self, input: &[u8]) {
        {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            tried.number += 1;
            tried.input.clear();
            tried.input.extend_from_slice(input);
        }
        let verdict: Result<(), Box<dyn Any + Send>> =
            catch_unwind(AssertUnwindSafe(|| (self.target.run)(input)));
        if let Err(panic) = verdict {
            tell(self.target, "panics", input);
            resume_unwind(panic);
        }
    }
}

/// Ends the process if one input takes too long, or if memory grows: neither can be caught where it happens.
fn look(target: &Target, thread: &Path, tried: &Mutex<Tried>, ended: &mpsc::Receiver<()>) {
    let mut since = (0, 0);
    while ended.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let Some(ticks) = ticks(thread) else { return };
        let resident = resident_kib();
        let tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.number != since.0 {
            since = (tried.number, ticks);
        }
        let fault = if ticks - since.1 > INPUT_TICKS_MAX {
            "hangs"
        } else if resident > RESIDENT_KIB_MAX {
            "takes too much memory"
        } else {
            continue;
        };
        tell(target, fault, &tried.input);
        std::process::abort();
    }
}

/// Hundredths of a second that a thread has worked: what the machine does otherwise does not count.
fn ticks(thread: &Path) -> Option<u64> {
    let stat = fs::read_to_string(thread.join("stat")).ok()?;
    let (_name, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Memory of this process.
pub(crate) fn resident_kib() -> u64 {
    status_kib("VmRSS:")
}

/// A line of this process's status.
pub(crate) fn status_kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Keeps what made a target fail, and says where.
#[expect(clippy::print_stderr, reason = "the process may end before anything else is said")]
fn tell(target: &Target, fault: &str, input: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
    let digest = hex::encode(Sha256::digest(input));
    let file =
        folder.join(format!("fuzz-{}-{}", target.name, digest.get(..16).unwrap_or_default()));
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
    eprintln!("{} {fault} with {} (kept: {kept:?})", target.name, file.display());
}
