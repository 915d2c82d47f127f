//! The audit log: who did what, for whoever must answer for the exchange. One line of JSON each, in a file of its own that
//! is only ever appended to, each line with the digest of the line before.
//!
//! One thread owns the file. Whoever has something to tell hands it over and goes on: what finds no place is counted, and
//! nothing of the hub ever waits for this disk.

mod collapse;
mod event;
mod file;
mod verify;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
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

use self::collapse::Collapse;
use self::file::AuditFile;
use crate::model::time::Clock;
use crate::model::time::SystemClock;

/// Says that the line before was cut off.
const CUT: &str = "audit-log.cut";
/// Events that wait for the thread; beyond them they are counted as lost.
const QUEUE: usize = 4096;
/// Events that wait while the file cannot be written.
const HELD_MAX: usize = 4096;
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
#[derive(Clone, Debug)]
pub(super) struct Audit {
    queue: mpsc::SyncSender<Message>,
    state: Arc<AuditState>,
}

/// The thread; it ends when it was told to.
pub(super) type AuditThread = JoinHandle<()>;

impl Audit {
    /// Opens the file and starts its thread.
    pub(super) fn start(
        config: &AuditConfig,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Self, AuditThread)> {
        let (file, is_cut) = open_when_free(config)?;
        let chain = file.chain();
        tracing::info!(
            audit.number = chain.number,
            audit.digest = hex::encode(chain.digest),
            "the audit log goes on"
        );
        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let state = Arc::<AuditState>::default();
        let mut writer = Writer {
            config: config.clone(),
            clock,
            file: Some(file),
            collapse: Collapse::default(),
            held: VecDeque::new(),
            told_lost: 0,
            state: Arc::clone(&state),
        };
        if is_cut {
            writer.hold_own(CUT);
        }
        let thread = std::thread::Builder::new().name("audit log".to_owned());
        let thread = thread.spawn(move || writer.run(&waiting))?;
        Ok((Self { queue, state }, thread))
    }

    /// What the figures say of it.
    pub(super) fn state(&self) -> Arc<AuditState> {
        Arc::clone(&self.state)
    }

    /// Hands an event over; does not wait.
    pub(super) fn tell(&self, event: Event) {
        if self.queue.try_send(Message::Told(event)).is_err() {
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

struct Writer {
    config: AuditConfig,
    clock: Arc<dyn Clock>,
    /// `None` after an error, until it can be opened again.
    file: Option<AuditFile>,
    collapse: Collapse,
    held: VecDeque<Event>,
    told_lost: u64,
    state: Arc<AuditState>,
}

impl Writer {
    fn run(mut self, waiting: &mpsc::Receiver<Message>) {
        let mut goes_on = true;
        while goes_on {
            goes_on = match waiting.recv_timeout(PAUSE) {
                Ok(first) => self.take_all(first, waiting),
                Err(mpsc::RecvTimeoutError::Timeout) => true,
                Err(mpsc::RecvTimeoutError::Disconnected) => false,
            };
            let due = if goes_on {
                self.collapse.due(self.clock.monotonic())
            } else {
                self.collapse.rest()
            };
            self.held.extend(due);
            self.tell_lost();
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
            Message::Told(event) => {
                let now = self.clock.monotonic();
                self.held.extend(self.collapse.due(now));
                self.held.extend(self.collapse.take(now, event));
            }
            Message::Follow => self.follow(),
            Message::Stop => return false,
        }
        true
    }

    fn hold_own(&mut self, what: &str) {
        self.held.push_back(Event::done(self.clock.now(), Who::Hub, what, ""));
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

    /// Says in the log itself that something is missing there.
    fn tell_lost(&mut self) {
        let surplus = self.held.len().saturating_sub(HELD_MAX);
        self.held.drain(..surplus);
        let surplus = u64::try_from(surplus).unwrap_or(u64::MAX);
        let lost = self.state.lost.fetch_add(surplus, Ordering::Relaxed).saturating_add(surplus);
        if lost > self.told_lost && !self.state.is_failing() {
            let mut event = Event::done(self.clock.now(), Who::Hub, "audit-log.lost", "");
            event.counts.insert("lines".to_owned(), lost.saturating_sub(self.told_lost));
            self.told_lost = lost;
            self.held.push_back(event);
        }
    }

    fn write(&mut self) {
        if self.held.is_empty() && !self.state.is_failing() {
            return;
        }
        match self.write_held() {
            Ok(()) => {
                if self.state.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the audit log is written again");
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn write_held(&mut self) -> io::Result<()> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let (file, is_cut) = AuditFile::open(&self.config.file, self.config.bytes)?;
            if is_cut {
                self.held.push_front(Event::done(self.clock.now(), Who::Hub, CUT, ""));
            }
            self.file.insert(file)
        };
        while let Some(event) = self.held.front() {
            file.write(event)?;
            self.state.written.fetch_add(1, Ordering::Relaxed);
            self.held.pop_front();
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
        match AuditFile::open(&config.file, config.bytes) {
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
