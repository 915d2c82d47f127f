//! The hub against a random history: whatever is published, withdrawn, erased and restarted, the views that it keeps
//! are those that the log folds to, and the log holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::client::Draft;
use crate::client::tests::World;
use crate::exchange::observer::Act;
use crate::exchange::observer::CommittedGroup;
use crate::exchange::observer::Observer;
use crate::exchange::prepare::Ready;
use crate::exchange::readiness::Cause;
use crate::exchange::sequencer::Batch;
use crate::exchange::sequencer::Submission;
use crate::exchange::sequencer::Work;
use crate::interop::framework::Frameworks;
use crate::interop::warning_list::WarningLists;
use crate::model::filter::Filter;
use crate::model::handling::Reach;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Clock;
use crate::model::time::SystemClock;
use crate::model::time::Timestamp;
use crate::store::Store;
use crate::wire::pb;

/// One thing that happens, with numbers that are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// A record of some kind is published, about an earlier one if there is any.
    Publish { kind: u8, word: u8, about: usize },
    /// A record gets another revision, with another word.
    Revise { of: usize, word: u8 },
    /// A record is withdrawn, with or without a demand.
    Withdraw { of: usize, demand: bool },
    /// What is due is erased.
    Tick,
    /// The hub stops and starts again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<u8>(), any::<u8>(), any::<usize>())
            .prop_map(|(kind, word, about)| Step::Publish { kind, word, about }),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(of, word)| Step::Revise { of, word }),
        3 => (any::<usize>(), any::<bool>())
            .prop_map(|(of, demand)| Step::Withdraw { of, demand }),
        2 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ]
}

/// A clock that begins with the small exchange.
pub(super) struct ItsClock {
    begun: Timestamp,
    machine: SystemClock,
}

impl ItsClock {
    pub(super) fn new(begun: Timestamp) -> Arc<Self> {
        Arc::new(Self { begun, machine: SystemClock::default() })
    }
}

impl Clock for ItsClock {
    fn now(&self) -> Timestamp {
        self.begun.saturating_add(self.machine.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

/// A clock by which every look at it takes so long.
struct Slow {
    begun: Timestamp,
    each: Duration,
    looks: AtomicU32,
}

impl Clock for Slow {
    fn now(&self) -> Timestamp {
        self.begun.saturating_add(self.each * self.looks.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.each * self.looks.fetch_add(1, Ordering::Relaxed)
    }
}

/// What the hub tells besides its callers.
#[derive(Debug, Default)]
struct Notes {
    acts: Mutex<Vec<Act>>,
    groups: Mutex<Vec<CommittedGroup>>,
}

impl Observer for Notes {
    fn judged(&self, act: Act) {
        self.acts.lock().unwrap().push(act);
    }

    fn committed(&self, group: &CommittedGroup) {
        self.groups.lock().unwrap().push(*group);
    }
}

struct History {
    world: World,
    folder: tempfile::TempDir,
    /// Bytes that must stay free.
    min_free_bytes: u64,
    /// Whether the next hub can write what it is given to the disk.
    has_a_disk: bool,
    observer: Option<Arc<Notes>>,
    /// How long each look at the clock takes, if not as long as it does.
    a_look: Option<Duration>,
    running: Option<(Arc<Hub>, SequencerThread)>,
    published: Vec<(RecordName, u32, Digest)>,
}

impl History {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(base).unwrap();
        let (world, published) = (World::new(), Vec::new());
        Self {
            world,
            folder,
            min_free_bytes: 0,
            has_a_disk: true,
            observer: None,
            a_look: None,
            running: None,
            published,
        }
    }

    fn store(&self) -> Store {
        Store::open(self.folder.path(), self.min_free_bytes).unwrap()
    }

    fn start(&mut self) {
        let observer = self.observer.clone().map(|notes| -> Arc<dyn Observer> { notes });
        let settings = Settings {
            clock_confirmed: true,
            workers: 1,
            retention: Retention::default(),
            warning_lists: WarningLists::default(),
            frameworks: Frameworks::default(),
            observer,
        };
        let (genesis, log) = (self.world.founding.genesis.clone(), self.world.log_secret.clone());
        let begun = self.world.now;
        let clock: Arc<dyn Clock> = match self.a_look {
            None => ItsClock::new(begun),
            Some(each) => Arc::new(Slow { begun, each, looks: AtomicU32::new(0) }),
        };
        let store = self.store();
        let store = if self.has_a_disk { store } else { store.without_a_disk() };
        self.running = Some(Hub::start(store, genesis, log, clock, settings).unwrap());
    }

    fn stop(&mut self) {
        let (hub, thread) = self.running.take().unwrap();
        drop(hub);
        thread.join().unwrap().unwrap();
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.running.as_ref().unwrap().0
    }

    /// Publishes what the world begins with; the operator, who signed it.
    async fn admit_all(&self) -> MemberId {
        let operator = self.world.operator.member().clone();
        for entry in self.world.entries.clone().into_iter().skip(1) {
            let envelope = entry.envelope.unwrap();
            self.hub().publish(&operator, vec![envelope]).await.unwrap()[0].clone().unwrap();
        }
        operator
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Publish { kind, word, about } => self.publish(kind, word, about).await,
            Step::Revise { of, word } => self.revise(of, word).await,
            Step::Withdraw { of, demand } => self.withdraw(of, demand).await,
            Step::Tick => self.hub().tick(),
            Step::Restart => {
                self.stop();
                self.start();
            }
        }
    }

    async fn send(&self, envelope: pb::Envelope) -> Option<Receipt> {
        let member = self.world.acme.member().clone();
        let outcomes = self.hub().publish(&member, vec![envelope]).await.unwrap();
        outcomes.into_iter().next().unwrap().ok()
    }

    async fn publish(&mut self, kind: u8, word: u8, about: usize) {
        let of = self.published.get(about % self.published.len().max(1));
        let of = of.map(|(name, _revision, _digest)| name.to_string()).unwrap_or_default();
        let draft = self.world.draft(&self.world.acme, content(kind, word, of));
        self.remember(draft, 1).await;
    }

    async fn revise(&mut self, of: usize, word: u8) {
        let Some((name, revision, digest)) =
            self.published.get(of % self.published.len().max(1)).cloned()
        else {
            return;
        };
        let mut draft = self.world.draft(&self.world.acme, content(0, word, String::new()));
        draft.name = name;
        draft.previous = Some((revision, digest));
        draft.handling.reach = Reach { audiences: vec![Audience::all()], recipients: Vec::new() };
        self.remember(draft, revision + 1).await;
    }

    /// Whatever is refused, for its kind or because its target is gone, changes nothing.
    async fn remember(&mut self, draft: Draft, revision: u32) {
        let name = draft.name.clone();
        let envelope = self.world.acme.sign(draft, self.world.now).unwrap();
        if let Some(receipt) = self.send(envelope).await {
            self.published.retain(|(known, _revision, _digest)| *known != name);
            self.published.push((name, revision, receipt.header_digest));
        }
    }

    async fn withdraw(&mut self, of: usize, demand: bool) {
        let Some((name, ..)) = self.published.get(of % self.published.len().max(1)) else { return };
        let content = pb::body::Content::Withdrawal(pb::Withdrawal {
            of: name.to_string(),
            reason: pb::WithdrawalReason::Error.into(),
            demand_deletion: demand,
            ..pb::Withdrawal::default()
        });
        let envelope = self.world.change(&self.world.acme, &content);
        self.send(envelope).await;
    }
}

fn content(kind: u8, word: u8, of: String) -> pb::body::Content {
    use pb::body::Content;

    let text = format!("word{word} and word{}", word / 2);
    let kind = if of.is_empty() { 2 } else { kind };
    match kind % 5 {
        0 | 1 => Content::Indicator(pb::Indicator {
            observable: Some(pb::Observable {
                kind: pb::ObservableKind::Domain.into(),
                value: format!("host{word}.example"),
                ..pb::Observable::default()
            }),
            operation: if kind.is_multiple_of(3) { of } else { String::new() },
            description: text,
            ..pb::Indicator::default()
        }),
        2 => Content::Operation(pb::Operation {
            title: text,
            target_regions: vec!["FR".to_owned()],
            languages: vec!["fr".to_owned()],
            ..pb::Operation::default()
        }),
        3 => Content::Opinion(pb::Opinion {
            of,
            stance: pb::Stance::Disagree.into(),
            text,
            ..pb::Opinion::default()
        }),
        _ => Content::Note(pb::Note { about: of, text }),
    }
}

/// What the operator says of a member's quota, so that the roster names the place of it.
fn quota_change(history: &History, records_per_second: u32) -> pb::Envelope {
    let quota = pb::Quota { records_per_second, ..pb::Quota::default() };
    let content = pb::body::Content::RosterChange(pb::RosterChange {
        member: history.world.acme.member().name(),
        change: Some(pb::roster_change::Change::Quota(quota)),
    });
    history.world.change(&history.world.operator, &content)
}

/// Ticks until it is so.
async fn tick_until(hub: &Hub, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 20, "it never is");
        hub.tick();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_written_while_bodies_go_is_the_log_without_them() {
    let mut history = History::new();
    history.start();
    history.admit_all().await;
    for word in 0..60 {
        history.publish(2, word, 0).await;
    }
    // One whose block is written by then, and one whose is not: its mark names a notice behind what was to be written.
    let (erased, last) = ([3, 53], history.hub().head().size);
    let content = |of: &RecordName| {
        pb::body::Content::Withdrawal(pb::Withdrawal {
            of: of.to_string(),
            reason: pb::WithdrawalReason::Privacy.into(),
            demand_deletion: true,
            ..pb::Withdrawal::default()
        })
    };
    let withdrawals = [0, 50].map(|one: usize| {
        history.world.change(&history.world.acme, &content(&history.published[one].0))
    });
    let (hub, acme) = (Arc::clone(history.hub()), history.world.acme.member().clone());
    let now = tokio::runtime::Handle::current();
    let written = tokio::task::spawn_blocking(move || {
        let erase = async {
            let outcomes = hub.publish(&acme, withdrawals.to_vec()).await.unwrap();
            assert!(outcomes.iter().all(Result::is_ok));
            tick_until(&hub, || hub.head().size >= last + 4).await;
        };
        let (asked, erase) = (std::cell::Cell::new(0), std::cell::Cell::new(Some(erase)));
        let durable = || {
            asked.set(asked.get() + 1);
            let erasing = (asked.get() == 12).then(|| erase.take());
            let run = |erase| now.block_on(erase);
            let _ran: Option<()> = erasing.flatten().map(run);
            Some(hub.head().size)
        };
        let mut file = Vec::new();
        let summary =
            crate::store::export(&hub.store, &mut file, Timestamp::default(), durable, |_| {});
        (summary.unwrap(), file)
    });
    let (summary, file) = written.await.unwrap();
    assert_eq!(summary.size, last + 4, "the withdrawals and the notices are in it");
    let folder = tempfile::tempdir().unwrap();
    crate::store::import(file.as_slice(), folder.path(), |_| {}).unwrap();
    let restored = Store::open(folder.path(), 0).unwrap();
    let report = verify_log(&restored, |_| {}).unwrap();
    assert_eq!((report.entries, report.root), (summary.size, history.hub().head().summary.root));
    for place in erased {
        let cause = entries::read(&restored, place).unwrap().entry.erased.unwrap().cause_sequence;
        assert!(cause >= last + 2, "{place}");
    }
    assert!(restored.demands().unwrap().is_empty(), "the demands are met");
    let views = restored.views_digest().unwrap();
    assert!(restored.rebuild().unwrap().unchanged && restored.views_digest().unwrap() == views);
    drop(restored);
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_much_to_be_checked_holds_up_nobody_else() {
    let mut history = History::new();
    history.start();
    let operator = history.admit_all().await;
    let (hub, greedy) = (history.hub(), history.world.acme.member().clone());
    let turns: Vec<_> = std::iter::from_fn(|| hub.checks.try_take(Some(greedy.clone()))).collect();
    assert_eq!(turns.len(), limits::CHECKED_PER_MEMBER_MAX);
    // A batch of two, since one alone may be checked where it is.
    let two = || [1, 2].map(|number| quota_change(&history, number)).to_vec();
    let waits = tokio::time::timeout(Duration::from_millis(50), hub.publish(&greedy, two())).await;
    assert!(waits.is_err(), "it has all turns that it may have");
    let taken = hub.publish(&operator, two()).await.unwrap();
    assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    drop(turns);
    let judged = hub.publish(&greedy, two()).await.unwrap();
    assert!(judged.iter().all(Result::is_err), "it is not the operator");
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_receipts_of_one_answer_have_one_checkpoint() {
    let mut history = History::new();
    history.start();
    let operator = history.admit_all().await;
    let changes = [1, 2].map(|number| quota_change(&history, number));
    let first = history.hub().publish(&operator, vec![changes[0].clone()]).await.unwrap().remove(0);
    let both = history.hub().publish(&operator, changes.to_vec()).await.unwrap();
    let both: Vec<Receipt> = both.into_iter().map(Result::unwrap).collect();
    assert_eq!((both[0].repeated, both[1].repeated), (true, false));
    assert_eq!(both[0].leaf_hash, first.unwrap().leaf_hash);
    assert_eq!(both[0].checkpoint, both[1].checkpoint);
    let size = history.hub().head().size;
    assert_eq!((both[0].tree_size, both[1].tree_size), (size, size));
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_records_is_their_place_or_why_they_were_refused() {
    let (mut history, notes) = (History::new(), Arc::new(Notes::default()));
    history.observer = Some(Arc::clone(&notes));
    history.start();
    let operator = history.admit_all().await;
    let acme = history.world.acme.member().clone();
    let before = history.hub().head().size;

    history.publish(2, 1, 0).await;
    let change = quota_change(&history, 1);
    let receipt = history.hub().publish(&operator, vec![change]).await.unwrap().remove(0).unwrap();
    // One whose kind is told when it is taken, and one whose is not.
    let opinion = content(3, 1, format!("{}/records/{}", acme.name(), uuid::Uuid::now_v7()));
    for refused in [opinion, history.world.admission(&history.world.bravo)] {
        let envelope = history.world.publish(&history.world.acme, refused);
        assert!(history.send(envelope).await.is_none());
    }
    let store = &history.hub().store;
    let bytes = [before, receipt.sequence].map(|sequence| {
        let block = store.block_at(sequence).unwrap().unwrap();
        u64::try_from(block.framed(block.at(sequence).unwrap()).len()).unwrap()
    });
    // It is told behind the answers.
    history.stop();

    let mut acts = notes.acts.lock().unwrap().clone();
    acts.retain(|act| act.outcome.is_ok_and(|place| place >= before) || act.outcome.is_err());
    let told: Vec<_> = acts.iter().map(|act| (&act.member, act.outcome.is_ok())).collect();
    assert_eq!(told, [(&operator, true), (&acme, false), (&acme, false)], "{acts:?}");
    assert_eq!(acts[0].outcome, Ok(receipt.sequence));
    let mut groups = notes.groups.lock().unwrap().clone();
    groups.retain(|group| group.head > before);
    let told: Vec<_> =
        groups.iter().map(|group| (group.entries, group.head, group.bytes)).collect();
    assert_eq!(told, [(1, before + 1, bytes[0]), (1, before + 2, bytes[1])]);
}

/// Three demands to erase are due at one tick; how many notices the next record but one finds.
async fn notices_of_a_tick(a_look: Duration) -> u64 {
    let mut history = History::new();
    history.a_look = Some(a_look);
    history.start();
    history.admit_all().await;
    for word in 0..3 {
        history.publish(2, word, 0).await;
    }
    for of in 0..3 {
        history.withdraw(of, true).await;
    }
    let demanded = history.hub().head().size;
    history.hub().tick();
    // The first may be taken with the tick.
    for word in 4..6 {
        history.publish(2, word, 0).await;
    }
    let notices = history.hub().head().size - demanded - 2;
    history.stop();
    notices
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_erased_in_one_tick_unless_that_takes_long() {
    assert_eq!(notices_of_a_tick(Duration::ZERO).await, 3);
    assert_eq!(notices_of_a_tick(limits::ERASING_PER_TICK).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_seen_though_nobody_publishes() {
    let mut history = History::new();
    history.start();
    let is_full = |history: &History| history.hub().readiness().has(Cause::DiskFull);
    assert!(!is_full(&history));
    history.stop();
    history.min_free_bytes = u64::MAX;
    history.start();
    tick_until(history.hub(), || is_full(&history)).await;
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_write_nothing_is_taken_and_the_hub_says_so_until_it_ends() {
    let mut history = History::new();
    history.start();
    history.admit_all().await;
    history.stop();
    history.has_a_disk = false;
    history.start();
    let mut readiness = history.hub().watch_readiness();
    assert!(readiness.borrow_and_update().is_ready());
    let acme = history.world.acme.member().clone();
    let draft = history.world.draft(&history.world.acme, content(2, 7, String::new()));
    let envelope = history.world.acme.sign(draft, history.world.now).unwrap();
    let outcomes = history.hub().publish(&acme, vec![envelope.clone()]).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().reason, Reason::OutcomeUnknown);
    readiness.changed().await.unwrap();
    assert!(readiness.borrow().has(Cause::WriteFailed));
    assert!(!history.hub().readiness().is_ready());
    // The same bytes again: nobody is there who could take them.
    let again = history.hub().publish(&acme, vec![envelope.clone()]).await;
    assert!(!again.is_ok_and(|outcomes| outcomes[0].is_ok()));
    let (hub, thread) = history.running.take().unwrap();
    drop(hub);
    assert!(thread.join().unwrap().is_err(), "the process has to end");
    history.has_a_disk = true;
    history.start();
    assert!(history.hub().readiness().is_ready());
    assert!(history.hub().publish(&acme, vec![envelope]).await.unwrap()[0].is_ok());
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_written_now_and_then() {
    let mut history = History::new();
    history.start();
    history.admit_all().await;
    let (hub, member) = (Arc::clone(history.hub()), history.world.acme.member().clone());
    let filter = Filter::default();
    let passage = deliveries::Passage { places: 0..1, access: 0, before: 0 };
    let how = (&member, deliveries::How::Sent);
    hub.deliveries.note(how, (&filter, &filter.digest()), passage, hub.clock().now());
    history.publish(2, 1, 0).await;
    history.publish(2, 2, 0).await;
    assert!(hub.store.deliveries().unwrap().is_empty(), "with each group");
    tick_until(&hub, || hub.store.deliveries().unwrap().len() == 1).await;
    drop(hub);
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_and_its_roster_are_of_one_moment() {
    let mut history = History::new();
    history.start();
    let operator = history.admit_all().await;
    history.hub().publish(&operator, vec![quota_change(&history, 1)]).await.unwrap();
    let (acme, begin) = (history.world.acme.member().clone(), history.hub().head().size);
    let (hub, end) = (Arc::clone(history.hub()), begin + 200);
    let watcher = std::thread::spawn(move || {
        let mut sizes = std::collections::BTreeSet::new();
        while sizes.last() != Some(&end) {
            let DurableHead { size, roster, .. } = hub.head();
            assert_eq!(roster.member(&acme).unwrap().changed_at.0 + 1, size);
            sizes.insert(size);
        }
        sizes.len()
    });
    for number in 2..202 {
        let envelope = quota_change(&history, number);
        history.hub().publish(&operator, vec![envelope]).await.unwrap()[0].clone().unwrap();
    }
    assert!(watcher.join().unwrap() > 10, "it saw the log grow");
    history.stop();
    history.start();
    let DurableHead { size, roster, .. } = history.hub().head();
    let member = roster.member(history.world.acme.member()).unwrap();
    assert_eq!((size, member.changed_at.0 + 1), (end, end), "a restart");
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_read_later_is_never_of_a_smaller_log() {
    let mut history = History::new();
    history.start();
    let operator = history.admit_all().await;
    let begin = history.hub().head().size;
    let end = begin + 200;
    let readers = [(); 2].map(|()| {
        let hub = Arc::clone(history.hub());
        std::thread::spawn(move || times_of_heads(&hub, end))
    });
    for number in 1..201 {
        let envelope = quota_change(&history, number);
        history.hub().publish(&operator, vec![envelope]).await.unwrap()[0].clone().unwrap();
    }
    let mut read: Vec<_> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
    read.sort_unstable();
    assert!(read.len() > 20, "they saw the log grow");
    let mut sizes = read.chunk_by(|one, other| one.0 == other.0).map(|of_one_size| {
        let times = || of_one_size.iter().flat_map(|(_size, times)| *times);
        (times().min().unwrap(), times().max().unwrap())
    });
    let mut before = sizes.next().unwrap();
    for times in sizes {
        assert!(before.1 <= times.0, "read as larger before it was read as smaller");
        before = times;
    }
    history.stop();
}

/// An operation with as many techniques as one may have: a hundred times as much in STIX.
fn heavy(title: String) -> pb::body::Content {
    let technique = |number| pb::Technique {
        framework: "disarm".to_owned(),
        external_id: format!("T{number}"),
        ..pb::Technique::default()
    };
    let techniques = (0..limits::TECHNIQUES_MAX).map(technique).collect();
    pb::body::Content::Operation(pb::Operation { title, techniques, ..pb::Operation::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_for_more_readers_than_the_indexes_have_room_for_is_refused() {
    let mut history = History::new();
    history.start();
    history.admit_all().await;
    let member = history.world.acme.member().clone();
    // Its title, its techniques, each once for every recipient and once for its publisher.
    for (recipients, taken) in [(30, true), (31, false)] {
        let recipient = |number| format!("member-{number:02}").parse().unwrap();
        let reach =
            Reach { recipients: (0..recipients).map(recipient).collect(), ..Reach::default() };
        let mut draft =
            history.world.draft(&history.world.acme, heavy("Operation heron".to_owned()));
        draft.handling.reach = reach;
        let envelope = history.world.acme.sign(draft, history.world.now).unwrap();
        let outcome = history.hub().publish(&member, vec![envelope]).await.unwrap().remove(0);
        let reason = outcome.map(drop).map_err(|refusal| refusal.reason);
        // Those recipients are nobody; what is judged first is whether there is room.
        assert_eq!(reason == Err(Reason::RecordTooLarge), !taken, "{recipients}: {reason:?}");
    }
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_nobody_reads_holds_little_whatever_the_records_become() {
    let mut history = History::new();
    history.start();
    history.admit_all().await;
    for number in 0..12 {
        let draft = history.world.draft(&history.world.acme, heavy(format!("Operation {number}")));
        history.remember(draft, 1).await;
    }
    assert_eq!(history.published.len(), 12);
    let member = history.world.acme.member().clone();
    let mut export = history.hub().export(&member, Filter::default()).unwrap();
    let (mut pieces, mut file) = (0, Vec::new());
    while let Some(piece) = export.next().await.unwrap() {
        assert!(piece.len() < 2 * limits::EXPORT_BYTES, "{} bytes at once", piece.len());
        pieces += 1;
        file.extend(piece);
    }
    assert!(pieces > 2, "{pieces} of {} bytes", file.len());
    let bundle: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let objects = bundle["objects"].as_array().unwrap();
    let ids: std::collections::BTreeSet<&str> =
        objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), objects.len(), "something is there twice");
    let campaigns = ids.iter().filter(|id| id.starts_with("campaign--")).count();
    assert_eq!(campaigns, 12, "something is missing");
    drop(export);
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_not_written_to_a_full_disk() {
    let mut history = History::new();
    history.start();
    history.stop();
    for (min_free_bytes, rows) in [(u64::MAX, 0), (0, 1)] {
        history.min_free_bytes = min_free_bytes;
        history.start();
        let (hub, member) = (history.hub(), history.world.acme.member());
        let filter = Filter::default();
        let how = deliveries::How::Sent;
        let now = hub.clock().now();
        let passage = deliveries::Passage { places: 0..1, access: 0, before: 0 };
        hub.deliveries.note((member, how), (&filter, &filter.digest()), passage, now);
        history.stop();
        assert_eq!(history.store().deliveries().unwrap().len(), rows);
    }
}

/// Reads heads until one is of a size; when each size was read first and last.
fn times_of_heads(hub: &Hub, end: u64) -> std::collections::BTreeMap<u64, [Timestamp; 2]> {
    let (mut watch, mut times) = (hub.tail.watch(), std::collections::BTreeMap::new());
    while !times.contains_key(&end) {
        let (head, time) = hub.read_head(&mut watch);
        times.entry(head.size).or_insert([time; 2])[1] = time;
    }
    times
}

/// Reads on until it is halted, and says that it was.
fn endless(
    begun: std::sync::mpsc::Sender<()>,
    halted: std::sync::mpsc::Sender<()>,
) -> impl FnOnce(&Store, &turns::Halt) -> Result<(), crate::store::StoreError> + Send + 'static {
    move |_store, halt| {
        begun.send(()).unwrap();
        while halt.check().is_ok() {
            std::thread::yield_now();
        }
        halted.send(()).unwrap();
        halt.check()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_back_when_its_turn_comes_holds_up_nobody() {
    let mut history = History::new();
    history.start();
    let operator = history.admit_all().await;
    let hub = Arc::clone(history.hub());
    let (acme, bravo) = (history.world.acme.member(), history.world.bravo.member());
    // All turns are taken, by two.
    let members = [acme, &operator];
    let taken = |turns: &turns::Turns| -> Vec<turns::Turn> {
        let of = |member: &MemberId| {
            std::iter::from_fn(|| turns.try_take(Some(member.clone()))).collect::<Vec<_>>()
        };
        members.map(of).into_iter().flatten().collect()
    };
    let (reading, checking) = (taken(&hub.readers), taken(&hub.checks));
    assert!(reading.len() > 2 && checking.len() > 2);
    // As many wait for them as there are, asked once each, and then no more, like a stream that nobody reads.
    let again = members.into_iter().cycle();
    let mut held_back = Vec::new();
    for (member, _turn) in again.clone().zip(&reading) {
        let read = hub.read(Some(member), |store, _halt| store.floor());
        held_back.push(read.map(drop).boxed());
    }
    for (member, _turn) in again.zip(&checking) {
        held_back.push(hub.prepare(member, Vec::new()).map(drop).boxed());
    }
    for waiting in &mut held_back {
        assert!(futures_util::poll!(waiting).is_pending());
    }
    drop((reading, checking));
    let in_time = |what| tokio::time::timeout(Duration::from_secs(20), what);
    let read = hub.read(Some(bravo), |store, _halt| store.floor());
    in_time(read.map(drop).boxed()).await.expect("it reads");
    in_time(hub.prepare(bravo, Vec::new()).map(drop).boxed()).await.expect("it is checked");
    drop(held_back);
    // The sequencer ends with the last of the hub's handles.
    drop(hub);
    history.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_ends_with_its_caller_and_one_member_never_has_all_turns() {
    let mut history = History::new();
    history.start();
    let (acme, bravo) = (history.world.acme.member().clone(), history.world.bravo.member().clone());
    let (begun, begins) = std::sync::mpsc::channel();
    let (halted, halts) = std::sync::mpsc::channel();
    let hub = Arc::clone(history.hub());
    let calls = tokio_util::task::TaskTracker::new();
    let greedy: Vec<_> = (0..50)
        .map(|_call| {
            let (hub, acme, read) =
                (Arc::clone(&hub), acme.clone(), endless(begun.clone(), halted.clone()));
            calls.spawn(async move { hub.read(Some(&acme), read).await })
        })
        .collect();
    let wait = Duration::from_secs(30);
    // As many as it may have at once, all of them busy for good.
    for _turn in 0..2 {
        begins.recv_timeout(wait).unwrap();
    }
    let read = hub.read(Some(&bravo), |store, _short| store.floor());
    assert_eq!(tokio::time::timeout(wait, read).await.expect("a turn").unwrap(), 0);
    assert!(begins.try_recv().is_err() && halts.try_recv().is_err());
    for call in &greedy {
        call.abort();
    }
    for _turn in 0..2 {
        halts.recv_timeout(wait).unwrap();
    }
    let read = hub.read(Some(&acme), |store, _short| store.floor());
    assert_eq!(tokio::time::timeout(wait, read).await.expect("a turn").unwrap(), 0);
    calls.close();
    calls.wait().await;
    drop(hub);
    history.stop();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_views_of_a_random_history_are_those_that_its_log_folds_to(
        steps in prop::collection::vec(step(), 20..160)
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut history = History::new();
        history.start();
        runtime.block_on(async {
            for envelope in history.world.entries.clone().into_iter().skip(1) {
                let operator = history.world.operator.member().clone();
                let envelope = envelope.envelope.unwrap();
                history.hub().publish(&operator, vec![envelope]).await.unwrap()[0].clone().unwrap();
            }
            for step in steps {
                history.take(step).await;
            }
            // So that what is due is gone before the end: the second is judged after the tick was.
            history.hub().tick();
            history.publish(2, 1, 0).await;
            history.publish(2, 2, 0).await;
        });
        let live = history.hub().store.views_in_memory();
        history.stop();
        let store = history.store();
        let verified = verify_log(&store, |_entries| {});
        prop_assert!(verified.is_ok(), "{:?}", verified);
        prop_assert_eq!(&store.views_in_memory(), &live, "a restart");
        prop_assert!(store.rebuild().unwrap().unchanged);
        prop_assert_eq!(&store.views_in_memory(), &live, "a rebuild");
    }
}

/// A call with these records.
fn call(records: Vec<Result<Ready, Refusal>>) -> Work {
    let caller = "acme-video".parse().unwrap();
    let (order, (answer, _outcomes)) = (Order::default(), tokio::sync::oneshot::channel());
    Work::Publish(Submission { caller, records, order, answer })
}

/// How many of ten calls behind another are left for the next group.
fn left_of_ten(call: impl Fn() -> Work) -> usize {
    let (sender, mut queue) = tokio::sync::mpsc::channel(10);
    (0..10).for_each(|_call| sender.try_send(call()).unwrap());
    let _group = Batch::drain(call(), &mut queue);
    std::iter::from_fn(|| queue.try_recv().ok()).count()
}

#[test]
fn a_group_takes_calls_until_it_is_full() {
    let refused = |_record| Err(Refusal::new(Reason::FieldInvalid, "of no use"));
    let quarter = || call((0..limits::GROUP_RECORDS_MAX / 4).map(refused).collect());
    assert_eq!(left_of_ten(quarter), 7, "four calls fill it");

    let recipients = (0..30).map(|number| format!("member-{number:02}").parse().unwrap()).collect();
    let reach = Reach { recipients, ..Reach::default() };
    let record = crate::store::tests::signed(reach, heavy("Operation heron".to_owned()));
    let ready = || Ready::of(record.clone(), None);
    let of_a_call = limits::GROUP_BYTES_MAX.div_ceil(3 * ready().weight().bytes);
    let third = || call((0..of_a_call).map(|_record| Ok(ready())).collect());
    assert_eq!(left_of_ten(third), 8, "three calls fill it");
}
