//! The audit log: who did what, for whoever must answer for the exchange. One line of JSON each, in a file of its own that
//! is only ever appended to, each line with the digest of the line before.
//!
//! One thread owns the file. Whoever has something to tell hands it over and goes on: what finds no place is counted, and
//! nothing of the hub ever waits for this disk. What one member causes is counted together before it takes a place, and
//! each sort of line has places of its own: refusals, however many, keep no change out.

mod collapse;
mod event;
mod file;
mod places;
mod reads;
mod verify;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) use self::event::Event;
pub(super) use self::event::Outcome;
pub(super) use self::event::Who;
pub use self::verify::AuditFault;
pub use self::verify::VerifiedAudit;
pub use self::verify::verify_audit;
pub use self::verify::verify_audit_log;

use self::collapse::Collapse;
use self::file::AuditFile;
use self::places::Places;
use self::reads::Reads;
use crate::model::time::Clock;
use crate::model::time::SystemClock;

/// Says that the line before was cut off.
const CUT: &str = "audit-log.cut";
/// Says that so many lines are missing.
const LOST: &str = "audit-log.lost";
/// Messages that wait for the thread: every line that has a place, and a few words beside them.
const QUEUE: usize = places::ALL + 16;
/// How often the thread looks at what is due.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a command waits for a process that ends.
const LOCK_TRIES: u32 = 20;

/// Where it is written, and how much in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The file.
    pub file: PathBuf,
    /// After so many bytes it is put aside, and a new one begins.
    pub bytes: u64,
    /// The data directory: a new file is its owner's.
    pub data: PathBuf,
}

/// What the operator's figures say of it.
#[derive(Debug, Default)]
pub(super) struct AuditState {
    written: AtomicU64,
    lost: AtomicU64,
    is_failing: AtomicBool,
}

impl AuditState {
    /// Lines that were written since the start.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Events that were not written, and will not be.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the file cannot be written at the moment.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
enum Message {
    Told(Event),
    /// The file may lie elsewhere now.
    Follow,
    Stop,
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Audit {
    queue: mpsc::SyncSender<Message>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    state: Arc<AuditState>,
}

/// What whoever tells and the thread share. Nobody has it while something is written.
#[derive(Debug, Default)]
struct Shared {
    collapse: Mutex<Collapse>,
    reads: Mutex<Reads>,
    places: Places,
}

impl Shared {
    fn collapse(&self) -> MutexGuard<'_, Collapse> {
        self.collapse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reads(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread; it ends when it was told to.
pub(super) type AuditThread = JoinHandle<()>;

impl Audit {
    /// Opens the file and starts its thread. A disk that takes nothing at the moment is an alarm from the first moment
    /// on, as it is later; what is wrong with the configuration is an error.
    pub(super) fn start(
        config: &AuditConfig,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Self, AuditThread)> {
        let (own, mut writer, waiting) = Self::with(config, clock);
        writer.begin(open_when_free(config))?;
        let thread = std::thread::Builder::new().name("audit log".to_owned());
        let thread = thread.spawn(move || writer.run(&waiting))?;
        Ok((own, thread))
    }

    /// Both ends, before the file is open and the thread runs.
    fn with(
        config: &AuditConfig,
        clock: Arc<dyn Clock>,
    ) -> (Self, Writer, mpsc::Receiver<Message>) {
        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let (shared, state) = (Arc::<Shared>::default(), Arc::<AuditState>::default());
        let writer = Writer {
            config: config.clone(),
            clock: Arc::clone(&clock),
            file: None,
            held: VecDeque::new(),
            told_lost: 0,
            shared: Arc::clone(&shared),
            state: Arc::clone(&state),
        };
        (Self { queue, clock, shared, state }, writer, waiting)
    }

    /// What the figures say of it.
    pub(super) fn state(&self) -> Arc<AuditState> {
        Arc::clone(&self.state)
    }

    /// Hands an event over; does not wait.
    pub(super) fn tell(&self, event: Event) {
        let taken = self.shared.collapse().take(self.clock.monotonic(), event);
        if let Some(event) = taken {
            self.hand_over(event);
        }
    }

    /// Adds a read of so many entries, be they few, to what its member reads; does not wait. Once that is much, it is told
    /// with how many they were: a line an hour, so that it need not be counted with others.
    pub(super) fn tell_read(&self, event: Event, entries: usize) {
        let line = self.shared.reads().take(self.clock.monotonic(), event, entries);
        if let Some(event) = line {
            self.hand_over(event);
        }
    }

    fn hand_over(&self, event: Event) {
        let has_place = self.shared.places.take(event.sort());
        if !has_place || self.queue.try_send(Message::Told(event)).is_err() {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The file may have been moved: a new one begins at its path.
    pub(super) fn follow(&self) {
        // If the queue is full, the next signal does it.
        let _later = self.queue.try_send(Message::Follow);
    }

    /// Writes what is left and ends the thread. Waits: not for the runtime's threads.
    pub(super) fn finish(self, thread: AuditThread) {
        let _ended = self.queue.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the audit log's thread ended by itself");
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Audit").field("state", &self.state).finish_non_exhaustive()
    }
}

struct Writer {
    config: AuditConfig,
    clock: Arc<dyn Clock>,
    /// `None` as long as it cannot be opened, and after an error until it can be opened again.
    file: Option<AuditFile>,
    /// Lines that are to be written, each with its place.
    held: VecDeque<Event>,
    told_lost: u64,
    shared: Arc<Shared>,
    state: Arc<AuditState>,
}

impl Writer {
    /// Takes the file that was opened, or an error that may pass.
    fn begin(&mut self, opened: io::Result<(AuditFile, bool)>) -> io::Result<()> {
        match opened {
            Ok((file, is_cut)) => {
                let chain = file.chain();
                tracing::info!(
                    audit.number = chain.number,
                    audit.digest = hex::encode(chain.digest),
                    "the audit log goes on"
                );
                self.file = Some(file);
                if is_cut {
                    self.hold_own(CUT);
                }
            }
            Err(error) if is_passing(&error) => self.fail(&error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn run(mut self, waiting: &mpsc::Receiver<Message>) {
        let mut goes_on = true;
        while goes_on {
            goes_on = match waiting.recv_timeout(PAUSE) {
                Ok(first) => self.take_all(first, waiting),
                Err(mpsc::RecvTimeoutError::Timeout) => true,
                Err(mpsc::RecvTimeoutError::Disconnected) => false,
            };
            self.take_due(goes_on);
            self.write();
        }
    }

    /// Takes what waits, all of it: what came behind the word to stop is written too. Whether there will be more.
    fn take_all(&mut self, first: Message, waiting: &mpsc::Receiver<Message>) -> bool {
        let mut goes_on = self.take(first);
        for message in waiting.try_iter().take(QUEUE) {
            goes_on &= self.take(message);
        }
        goes_on
    }

    /// Takes one message; whether there will be more.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Told(event) => self.held.push_back(event),
            Message::Follow => self.follow(),
            Message::Stop => return false,
        }
        true
    }

    /// Takes what was only counted and is to be told now; all of it if nothing comes any more.
    fn take_due(&mut self, goes_on: bool) {
        let now = self.clock.monotonic();
        let mut collapse = self.shared.collapse();
        let mut due = if goes_on { collapse.due(now) } else { collapse.rest() };
        drop(collapse);
        let mut reads = self.shared.reads();
        due.extend(if goes_on { reads.due(now) } else { reads.rest() });
        drop(reads);
        for event in due {
            if !self.shared.places.has(event.sort()) {
                // At a stop all sums are told, which may be more than wait otherwise.
                self.write();
            }
            self.hold(event);
        }
    }

    /// Keeps a line for the file, if there is a place for it.
    fn hold(&mut self, event: Event) {
        if self.shared.places.take(event.sort()) {
            self.held.push_back(event);
        } else {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hold_own(&mut self, what: &str) {
        self.hold(self.own(what));
    }

    fn own(&self, what: &str) -> Event {
        Event::done(self.clock.now(), Who::Hub, what, "")
    }

    fn follow(&mut self) {
        // What came before goes where it was.
        self.write();
        let followed = self.file.as_mut().map(AuditFile::follow).transpose();
        match followed {
            Ok(Some(true)) => self.hold_own("audit-log.reopen"),
            Ok(Some(false) | None) => {}
            Err(error) => self.fail(&error),
        }
    }

    fn write(&mut self) {
        let lost = self.state.lost();
        if self.held.is_empty() && lost == self.told_lost && !self.state.is_failing() {
            return;
        }
        match self.write_held() {
            Ok(()) => {
                if self.state.is_failing.swap(false, Ordering::Relaxed) {
                    let chain = self.file.as_ref().map(AuditFile::chain).unwrap_or_default();
                    tracing::info!(
                        audit.number = chain.number,
                        audit.digest = hex::encode(chain.digest),
                        "the audit log is written again"
                    );
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn write_held(&mut self) -> io::Result<()> {
        let (cut, mut missing) = (self.own(CUT), self.own(LOST));
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let (mut file, is_cut) = AuditFile::open(&self.config)?;
            if is_cut {
                file.write(&cut)?;
                self.state.written.fetch_add(1, Ordering::Relaxed);
            }
            self.file.insert(file)
        };
        while let Some(event) = self.held.front() {
            file.write(event)?;
            self.state.written.fetch_add(1, Ordering::Relaxed);
            self.shared.places.give_back(event.sort());
            self.held.pop_front();
        }
        let lost = self.state.lost();
        if lost > self.told_lost {
            missing.counts.insert("lines".to_owned(), lost.saturating_sub(self.told_lost));
            file.write(&missing)?;
            self.state.written.fetch_add(1, Ordering::Relaxed);
            self.told_lost = lost;
        }
        file.sync()
    }

    fn fail(&mut self, error: &io::Error) {
        self.file = None;
        if !self.state.is_failing.swap(true, Ordering::Relaxed) {
            let error: &(dyn std::error::Error + 'static) = error;
            tracing::error!(error, "the audit log cannot be written; the hub goes on");
        }
    }
}

/// Whether a disk says this that takes nothing now, and may later: full, beyond a quota, or failing. Anything else is in
/// the way until somebody changes it.
fn is_passing(error: &io::Error) -> bool {
    let is_failing = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    is_failing || is_full
}

/// Writes what a command did with a data directory, as whoever runs it.
pub fn note_command(config: &AuditConfig, what: &str, target: &str) -> io::Result<()> {
    let user = rustix::process::getuid().as_raw();
    let now = SystemClock::default().now();
    let (mut file, is_cut) = open_when_free(config)?;
    if is_cut {
        file.write(&Event::done(now, Who::Hub, CUT, ""))?;
    }
    file.write(&Event::done(now, Who::Local(user), what, target))?;
    file.sync()
}

/// Opens the file; waits a moment for a process that ends.
fn open_when_free(config: &AuditConfig) -> io::Result<(AuditFile, bool)> {
    let mut tries = 0;
    loop {
        match AuditFile::open(config) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < LOCK_TRIES => {
                tries += 1;
                pause();
            }
            opened => return opened,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing is served yet that this could block")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Where the audit log of a data directory lies, unless its configuration says otherwise.
pub(super) fn default_file(data: &Path) -> PathBuf {
    data.join("audit.jsonl")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    type Parts = (Audit, Writer, mpsc::Receiver<Message>);

    fn config(folder: &Path) -> AuditConfig {
        AuditConfig { file: default_file(folder), bytes: 1 << 30, data: folder.to_owned() }
    }

    /// Both ends for a file in a folder; the thread does not run, as while the disk hangs.
    fn held_up(folder: &Path) -> Parts {
        Audit::with(&config(folder), Arc::new(SystemClock::default()))
    }

    /// What the file holds once the disk has come back, and the thread to its end.
    fn lines((audit, writer, waiting): Parts) -> Vec<Value> {
        let file = writer.config.file.clone();
        audit.queue.send(Message::Stop).unwrap();
        writer.run(&waiting);
        verify_audit(std::slice::from_ref(&file)).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn of_member(member: &str, what: &str, outcome: Outcome) -> Event {
        let member = member.parse().unwrap();
        let who = Who::Member { member, agent: None, serial: None, key: None };
        Event { outcome, ..Event::done(SystemClock::default().now(), who, what, "") }
    }

    fn refused(member: &str, what: &str) -> Event {
        of_member(member, what, Outcome::Refused("ROLE_FORBIDS".to_owned()))
    }

    fn count(lines: &[Value], what: &str) -> usize {
        lines.iter().filter(|line| line["what"] == what).count()
    }

    #[test]
    fn a_member_that_floods_a_disk_that_hangs_crowds_nothing_out() {
        let folder = tempfile::tempdir().unwrap();
        let parts = held_up(folder.path());
        for _time in 0..20_000 {
            parts.0.tell(refused("acme-video", "publish"));
            parts.0.tell(refused("acme-video", "roster.quota"));
            parts.0.tell(of_member("acme-video", "read.list", Outcome::Done(None)));
        }
        for place in 0..1000 {
            parts.0.tell(of_member("operator", "roster.suspend", Outcome::Done(Some(place))));
        }
        parts.0.tell(refused("birch-social", "takedown"));
        parts.0.tell(Event::done(SystemClock::default().now(), Who::Local(0), "backup", ""));
        assert_eq!(parts.0.state.lost(), 0, "any member could raise the alarm");
        let lines = lines(parts);
        for (what, times) in [("roster.suspend", 1000), ("takedown", 1), ("backup", 1)] {
            assert_eq!(count(&lines, what), times, "{what}");
        }
        let counts = |word| lines.iter().filter_map(move |line| line["counts"][word].as_u64());
        for word in ["publish ROLE_FORBIDS", "roster.quota ROLE_FORBIDS", "read.list"] {
            assert_eq!(counts(word).sum::<u64>(), 20_000 - 4, "{word}");
        }
    }

    #[test]
    fn what_is_read_bit_by_bit_is_told_with_how_many_and_what_is_left_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let parts = held_up(folder.path());
        let page = |member| of_member(member, "read.list", Outcome::Done(None));
        for _page in 0..10 {
            parts.0.tell_read(page("acme-video"), 499);
        }
        parts.0.tell_read(page("birch-social"), 499);
        let lines = lines(parts);
        let targets: Vec<_> = lines.iter().map(|line| line["target"].as_str().unwrap()).collect();
        assert_eq!(targets, ["998 entries in 2 reads", "3992 entries in 8 reads"]);
    }

    #[test]
    fn refusals_of_ever_so_many_crowd_out_refusals_only() {
        let folder = tempfile::tempdir().unwrap();
        let parts = held_up(folder.path());
        for number in 0..1500 {
            for _time in 0..4 {
                parts.0.tell(refused(&format!("member-{number}"), "publish"));
            }
        }
        parts.0.tell(of_member("operator", "roster.suspend", Outcome::Done(Some(7))));
        parts.0.tell(refused("acme-video", "roster.quota"));
        let lost = parts.0.state.lost();
        assert!(lost > 0, "the check bites: there is a place for all of them");
        let lines = lines(parts);
        assert_eq!((count(&lines, "roster.suspend"), count(&lines, "roster.quota")), (1, 1));
        let said = lines.iter().find(|line| line["what"] == LOST).unwrap();
        assert_eq!(said["counts"]["lines"], lost);
        assert_eq!(u64::try_from(count(&lines, "publish")).unwrap(), 6000 - lost);
    }

    #[test]
    fn a_disk_that_is_full_at_the_start_is_an_alarm_and_no_end() {
        for error in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT, rustix::io::Errno::IO] {
            let folder = tempfile::tempdir().unwrap();
            let (audit, mut writer, waiting) = held_up(folder.path());
            writer.begin(Err(error.into())).unwrap();
            assert!(audit.state.is_failing(), "{error}");
            audit.tell(Event::done(SystemClock::default().now(), Who::Hub, "serve", ""));
            let state = audit.state();
            assert_eq!(count(&lines((audit, writer, waiting)), "serve"), 1, "{error}");
            assert!(!state.is_failing(), "{error}");
        }
    }

    #[test]
    fn what_somebody_must_change_is_an_error_at_the_start() {
        let errors = [rustix::io::Errno::ACCESS, rustix::io::Errno::NOENT, rustix::io::Errno::ROFS];
        for error in errors {
            let folder = tempfile::tempdir().unwrap();
            let (_audit, mut writer, _waiting) = held_up(folder.path());
            assert!(writer.begin(Err(error.into())).is_err(), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let config = AuditConfig { file: folder.path().join("no/it"), ..config(folder.path()) };
        assert!(Audit::start(&config, Arc::new(SystemClock::default())).is_err());
    }
}
