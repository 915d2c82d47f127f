//! Rounds of one fault: how many a lane asks for, with which seeds, and what each of them found.
//!
//! | variable | what it says |
//! |---|---|
//! | `WATCHFIRE_LANE` | `commit` (the default), `demand` or `soak` |
//! | `WATCHFIRE_MINUTES` | a part ends after so many minutes (55); the next goes on where it ended |
//! | `WATCHFIRE_ROUND` | one round alone, by its number: a failure again |
//!
//! The commit lane keeps nothing. The others keep a line for each round in `target/faults/NAME.jsonl`, which is what
//! makes them resumable, and what the figures of docs/RELIABILITY.md are counted from.

use std::fmt::Debug;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::Rng as _;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use serde_json::Map;
use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;

const PART_MINUTES: u64 = 55;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// With every change: a sample.
    Commit,
    /// When somebody asks: all rounds, in parts of at most an hour.
    Demand,
    /// An hour in one go.
    Soak,
}

impl Lane {
    /// The lane of this run.
    pub(crate) fn of_this_run() -> Self {
        match std::env::var("WATCHFIRE_LANE").as_deref() {
            Err(_) | Ok("commit") => Self::Commit,
            Ok("demand") => Self::Demand,
            Ok("soak") => Self::Soak,
            Ok(other) => panic!("WATCHFIRE_LANE is none of commit, demand, soak: {other}"),
        }
    }

    /// One of three, by the lane.
    pub(crate) fn choose<T>(self, commit: T, demand: T, soak: T) -> T {
        match self {
            Self::Commit => commit,
            Self::Demand => demand,
            Self::Soak => soak,
        }
    }
}

/// The rounds of one fault in this run.
#[derive(Debug)]
pub(crate) struct Trials {
    name: &'static str,
    next: u64,
    end: u64,
    deadline: Option<Instant>,
    kept: Option<PathBuf>,
    done: u64,
    /// The round that is under way.
    running: Option<u64>,
}

/// One round: its number, and randomness that is the same whenever that round is run.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) number: u64,
    pub(crate) random: TestRng,
    begun: Instant,
    found: Map<String, Value>,
}

impl Trials {
    /// The rounds that are due: so many in the commit lane, so many on demand, less what earlier parts did.
    pub(crate) fn of(name: &'static str, commit: u64, demand: u64) -> Self {
        let lane = Lane::of_this_run();
        if let Ok(number) = std::env::var("WATCHFIRE_ROUND") {
            let next = number.parse().expect("WATCHFIRE_ROUND is a number");
            return Self::new(name, next, next + 1);
        }
        let end = lane.choose(commit, demand, demand);
        if lane == Lane::Commit {
            return Self::new(name, 0, end);
        }
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/faults");
        std::fs::create_dir_all(&folder).expect("a folder for what is kept");
        // A shorter round on demand is no soak.
        let file = lane.choose(name, name, &format!("{name}_soak")).to_owned();
        let kept = folder.join(format!("{file}.jsonl"));
        let lines = std::fs::read_to_string(&kept).unwrap_or_default();
        let next = u64::try_from(lines.lines().count()).expect("a number");
        let minutes = std::env::var("WATCHFIRE_MINUTES");
        let minutes = minutes.map_or(PART_MINUTES, |text| text.parse().expect("minutes"));
        let deadline = Instant::now() + Duration::from_secs(minutes * 60);
        let mut trials = Self::new(name, next, end);
        (trials.deadline, trials.kept) = (Some(deadline), Some(kept));
        trials
    }

    const fn new(name: &'static str, next: u64, end: u64) -> Self {
        Self { name, next, end, deadline: None, kept: None, done: 0, running: None }
    }

    /// The next round, unless all were run or this part is over.
    pub(crate) fn next(&mut self) -> Option<Round> {
        let is_over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if self.next >= self.end || is_over {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.running = Some(number);
        println!("{} round {number}", self.name);
        Some(Round::of(self.name, number))
    }

    /// Keeps what a round found.
    pub(crate) fn keep(&mut self, mut round: Round) {
        self.done += 1;
        self.running = None;
        round.note("seconds", round.begun.elapsed().as_secs_f64());
        self.write(round);
    }

    fn write(&self, mut round: Round) {
        round.note("round", round.number);
        let Some(kept) = &self.kept else { return };
        let file = std::fs::File::options().create(true).append(true).open(kept);
        let line = format!("{}\n", Value::Object(round.found));
        file.expect("the file of rounds").write_all(line.as_bytes()).expect("a line is written");
    }

    /// How many rounds this run did. A run with none proves nothing, unless all were done before.
    pub(crate) fn finish(mut self) -> u64 {
        self.running = None;
        assert!(self.done > 0 || self.next >= self.end, "{}: no round was run", self.name);
        println!("{}: {} rounds, {} of {}", self.name, self.done, self.next, self.end);
        self.done
    }
}

/// A round that failed has panicked. It is kept as such: what is not told does not count as nothing.
impl Drop for Trials {
    fn drop(&mut self) {
        if let Some(number) = self.running.filter(|_number| std::thread::panicking()) {
            let mut round = Round::of(self.name, number);
            round.note("failed", true);
            self.write(round);
        }
    }
}

impl Round {
    /// The round of a number.
    pub(crate) fn of(name: &str, number: u64) -> Self {
        let seed = Sha256::digest(format!("{name} {number}"));
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        Self { number, random, begun: Instant::now(), found: Map::new() }
    }

    /// A number below another one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    /// Randomness of its own for one who takes part.
    pub(crate) fn share(&mut self) -> TestRng {
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
    }

    /// A moment within so long a time.
    pub(crate) fn moment(&mut self, within: Duration) -> Duration {
        let micros = u64::try_from(within.as_micros()).expect("a short time");
        Duration::from_micros(self.below(micros))
    }

    /// Notes a figure or a word of this round, for the report: `lost`, `recovery_seconds`, `detected_by`, and the like.
    pub(crate) fn note(&mut self, what: &str, value: impl Into<Value> + Debug) {
        self.found.insert(what.to_owned(), value.into());
    }
}
