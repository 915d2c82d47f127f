//! The sequencer: the one owner of the log's order and of the admission state.
//!
//! It drains what is waiting, judges record by record, makes the group durable in one atomic write, one flush and
//! one sync, signs one checkpoint, answers every caller, and moves the head. A receipt never precedes the sync.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::exchange::admission;
use crate::exchange::admission::Circumstances;
use crate::exchange::admission::Previous;
use crate::exchange::admission::Target;
use crate::exchange::clock_guard::ClockGuard;
use crate::exchange::deliveries::Deliveries;
use crate::exchange::durable;
use crate::exchange::entries;
use crate::exchange::eraser::Eraser;
use crate::exchange::eraser::Retention;
use crate::exchange::eraser::Task;
use crate::exchange::hub::unreadable;
use crate::exchange::hub_entries;
use crate::exchange::observer;
use crate::exchange::observer::Act;
use crate::exchange::observer::CommittedGroup;
use crate::exchange::observer::Observer;
use crate::exchange::order::Order;
#[cfg(test)]
use crate::exchange::planted;
#[cfg(test)]
use crate::exchange::planted::Defect;
#[cfg(test)]
use crate::exchange::planted::Point;
use crate::exchange::prepare::Checked;
use crate::exchange::prepare::Ready;
use crate::exchange::prepare::Warning;
use crate::exchange::quota::Quotas;
use crate::exchange::quota::Weight;
use crate::exchange::readiness;
use crate::exchange::readiness::Cause;
use crate::exchange::readiness::Readiness;
use crate::exchange::tail::DurableHead;
use crate::exchange::tail::TailWriter;
use crate::exchange::tally::Tally;
use crate::exchange::testimony;
use crate::exchange::testimony::Testimony;
use crate::model::facts::Facts;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::reason::Code;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Quota;
use crate::model::roster::Roster;
use crate::model::time::Clock;
use crate::model::time::Timestamp;
use crate::signing::SecretKey;
use crate::store::Appended;
use crate::store::Group;
use crate::store::Head;
use crate::store::NewEntry;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::steps;
use crate::store::steps::Step;
use crate::transparency::LogKey;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// What the hub promises for a record that it took in.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// SHA-256 of the header bytes.
    pub header_digest: Digest,
    /// The epoch.
    pub epoch: u32,
    /// The place.
    pub sequence: u64,
    /// When.
    pub accept_time: Timestamp,
    /// The leaf of the Merkle tree.
    pub leaf_hash: Digest,
    /// A checkpoint that covers the place.
    pub checkpoint: Arc<str>,
    /// The size of its tree.
    pub tree_size: u64,
    /// The hashes beside the way from the leaf to its root, one behind the other; empty until it is proved.
    pub inclusion_proof: Vec<u8>,
    /// Whether it was there before this call.
    pub repeated: bool,
    /// What its publisher may want to look at again.
    pub warnings: Vec<Warning>,
}

/// What became of one record.
pub type Outcome = Result<Receipt, Refusal>;

/// Records of one call, in order, each with its signature checked or refused already.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) caller: MemberId,
    pub(super) records: Vec<Checked>,
    pub(super) order: Order,
    pub(super) answer: oneshot::Sender<Vec<Outcome>>,
}

/// What is asked of the sequencer.
#[derive(Debug)]
pub(super) enum Work {
    /// Records to judge and append.
    Publish(Submission),
    /// A durable subscription to keep.
    Keep(durable::Request),
    /// What a member signed beside the log.
    Testify(testimony::Request),
    /// Time has passed: erase what is due.
    Tick,
    /// Bodies are kept so long, and so many, from now on.
    Retain(Retention),
}

/// Work that becomes durable at once.
#[derive(Default)]
pub(super) struct Batch {
    submissions: Vec<Submission>,
    requests: Vec<durable::Request>,
    testimony: Vec<testimony::Request>,
    records: usize,
    bytes: usize,
    tick: bool,
    retention: Option<Retention>,
}

/// What the sequencer needs to run. It owns the head and the roster; others see what it publishes.
pub(super) struct Sequencer {
    pub(super) exchange: ExchangeName,
    pub(super) store: Arc<Store>,
    pub(super) tail: TailWriter,
    pub(super) published_roster: Arc<ArcSwap<Roster>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log_key: LogKey,
    pub(super) log_secret: SecretKey,
    pub(super) head: Head,
    pub(super) roster: Arc<Roster>,
    pub(super) guard: ClockGuard,
    pub(super) quotas: Arc<Quotas>,
    pub(super) durable: Arc<durable::Registry>,
    pub(super) testimony: Arc<Testimony>,
    pub(super) eraser: Eraser,
    pub(super) deliveries: Deliveries,
    pub(super) tally: Arc<Tally>,
    /// Ticks since deliveries were written.
    pub(super) ticks: u32,
    /// Whether the last group found too little space: that is told once.
    pub(super) is_full: bool,
    /// Where everyone hears whether records are taken.
    pub(super) readiness: Arc<watch::Sender<Readiness>>,
    /// Who is told what happens, besides the callers.
    pub(super) observer: Option<Arc<dyn Observer>>,
}

/// One group while it is being judged.
struct Draft {
    group: Group,
    roster: Arc<Roster>,
    accept_time: Result<Timestamp, Refusal>,
    names: HashMap<(RecordName, u32), usize>,
    withdrawn: HashSet<RecordName>,
    leaves: Vec<(Digest, Digest)>,
    /// Postings of the batch that is judged.
    postings: usize,
    warnings: HashMap<usize, Vec<Warning>>,
    /// Second headers for names and revisions that are taken.
    conflicts: Vec<Conflicting>,
    /// Operations that were named in this group, by whom, and that are what they should be.
    operations: HashSet<(MemberId, RecordName)>,
    /// What the observer is told once the group has its verdict; with the record's place in the group if it was taken.
    acts: Vec<(Act, Option<usize>)>,
    /// Why a record of the batch that is judged has to come again, and everything behind it: that may depend on it.
    held_up: Option<Refusal>,
    /// What the batch that is judged was sent in.
    order: Order,
}

/// A second header for a name and revision.
struct Conflicting {
    first: u64,
    /// Who may read the first.
    reach: Reach,
    second: Box<Record>,
}

/// Callers and what they will be told.
type Waiting = Vec<Answering>;

/// One call, what became of its records, and what they were sent in.
struct Answering {
    answer: oneshot::Sender<Vec<Outcome>>,
    pending: Vec<Pending>,
    order: Order,
}

/// An answer that waits for the group's sync.
enum Pending {
    /// A record of this group, by its index.
    Fresh(usize),
    /// The same, sent again within the group.
    Again(usize),
    /// Decided without the group.
    Settled(Box<Outcome>),
}

impl Pending {
    /// Whether a record is refused by what it is or when it came, and not by what the hub cannot do now.
    fn is_its_own_fault(&self) -> bool {
        let Self::Settled(outcome) = self else { return false };
        outcome.as_ref().as_ref().is_err_and(|refusal| refusal.reason.code() != Code::Unavailable)
    }
}

/// What is decided of a record.
enum Verdict {
    /// It has its answer.
    Settled(Pending),
    /// It is taken, if the group is written.
    Good { facts: Box<Facts>, roster: Option<Roster>, accept_time: Timestamp },
}

/// How long the parts of a commit took.
#[derive(Clone, Copy)]
struct Times {
    judging: Duration,
    writing: Duration,
    syncing: Duration,
}

impl Sequencer {
    /// Runs until every sender is gone, or until a write fails, after which the process must end.
    pub(super) fn run(mut self, queue: mpsc::Receiver<Work>) -> Result<(), StoreError> {
        let done = self.work(queue);
        if done.is_err() {
            self.tally.take_failed_write(self.clock.now());
            readiness::set(&self.readiness, Cause::WriteFailed, true);
        }
        done
    }

    fn work(&mut self, mut queue: mpsc::Receiver<Work>) -> Result<(), StoreError> {
        while let Some(first) = queue.blocking_recv() {
            self.store.note_work(true);
            let batch = Batch::drain(first, &mut queue);
            self.step(batch)?;
            self.store.note_work(false);
        }
        self.store.note_work(true);
        self.end()
    }

    /// Does what is asked, and what is due behind it.
    pub(super) fn step(&mut self, batch: Batch) -> Result<(), StoreError> {
        let (tick, retention) = (batch.tick, batch.retention);
        self.commit(batch)?;
        if let Some(retention) = retention {
            self.eraser.keep(retention);
        }
        if tick {
            self.pass_time()?;
            self.look_at_disk();
        }
        if self.ticks >= limits::DELIVERY_WRITE_TICKS {
            self.keep_deliveries()?;
        }
        Ok(())
    }

    /// Writes what is written now and then only.
    pub(super) fn end(&mut self) -> Result<(), StoreError> {
        self.keep_deliveries()?;
        self.store.settle()
    }

    /// Does what is due: erases, and sweeps what was found by what is erased.
    fn pass_time(&mut self) -> Result<(), StoreError> {
        let is_done = self.erase_due()?;
        self.eraser.count(self.clock.now());
        // What was erased together is swept together; but it is swept, however much is erased.
        if is_done || self.ticks == 0 {
            self.store.sweep()?;
        }
        self.ticks = self.ticks.saturating_add(1);
        Ok(())
    }

    /// Writes what was delivered to whom; it reaches the disk with the next group. On a full disk it waits: to lose it is
    /// to say too little.
    fn keep_deliveries(&mut self) -> Result<(), StoreError> {
        self.ticks = 0;
        if !self.store.has_space()? {
            return Ok(());
        }
        let rows = self.deliveries.to_write();
        if rows.is_empty() { Ok(()) } else { self.store.keep_deliveries(rows) }
    }

    /// Tells whether there is space, though nobody publishes.
    fn look_at_disk(&self) {
        // If it cannot be asked for, the next write says why.
        let is_full = !self.store.has_space().unwrap_or(true);
        readiness::set(&self.readiness, Cause::DiskFull, is_full);
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let Batch { submissions, requests, testimony, records, .. } = batch;
        let begun = Instant::now();
        let accept_time = self.guard.accept_time(self.clock.as_ref(), self.head.accept_time);
        readiness::set(&self.readiness, Cause::ClockUnconfirmed, accept_time.is_err());
        let mut draft = self.draft(records, accept_time);
        let waiting = self.judge_all(submissions, &mut draft);
        self.note_conflicts(&mut draft)?;
        let judged = self.durable.judge(requests, self.clock.now());
        let mut testified = self.testimony.judge(testimony);
        draft.group.state.clone_from(&judged.changes);
        draft.group.state.extend_from_slice(&testified.changes);
        let judging = begun.elapsed();
        #[cfg(test)]
        let waiting = if planted::is_planted(Defect::AnswerBeforeSync) {
            answer(self.head.frontier.size(), waiting, &draft, &self.tally);
            Waiting::new()
        } else {
            waiting
        };
        match self.make_durable(&mut draft) {
            Ok(appended) => {
                self.durable.publish(&judged.changes);
                self.testimony.publish(&mut testified);
                let first = self.head.frontier.size();
                let times = (!appended.blocks.is_empty()).then_some(Times {
                    judging,
                    writing: appended.writing,
                    syncing: appended.syncing,
                });
                self.adopt(&draft, appended, waiting)?;
                judged.answer(None);
                testified.answer(None);
                if let Some(times) = times {
                    self.measure(&draft, first, begun.elapsed(), times);
                }
                self.tell(draft.acts, Ok(first));
                Ok(())
            }
            Err(error) => {
                let (refusal, fatal) = self.failed(error);
                refuse_all(waiting, &refusal, &draft, &self.tally);
                self.tell(draft.acts, Err(refusal.reason));
                judged.answer(Some(&refusal));
                testified.answer(Some(&refusal));
                fatal.map_or(Ok(()), Err)
            }
        }
    }

    fn measure(&self, draft: &Draft, first: u64, whole: Duration, times: Times) {
        let Times { judging, writing, syncing } = times;
        let head = &draft.group.head;
        let group = CommittedGroup {
            begun: self.clock.now().saturating_sub(whole),
            entries: head.frontier.size().saturating_sub(first),
            bytes: draft.bytes(),
            head: head.frontier.size(),
            whole,
            judging,
            writing,
            syncing,
        };
        self.tally.take_commit(&group);
        if let Some(observer) = &self.observer {
            observer.committed(&group);
        }
    }

    /// Tells the observer what became of records: those that were taken are durable from a place on, or were refused
    /// with their group.
    fn tell(&self, acts: Vec<(Act, Option<usize>)>, first: Result<u64, Reason>) {
        let Some(observer) = &self.observer else { return };
        for (act, index) in acts {
            let outcome = match index {
                None => act.outcome,
                Some(index) => {
                    let index = u64::try_from(index).unwrap_or(u64::MAX);
                    first.map(|first| first.saturating_add(index))
                }
            };
            observer.judged(Act { outcome, ..act });
        }
    }

    /// Notes an act of a caller for the observer, if it is one to be told.
    fn note(&self, draft: &mut Draft, act: impl FnOnce() -> Option<(Act, Option<usize>)>) {
        if self.observer.is_some() {
            draft.acts.extend(act());
        }
    }

    /// Makes a durable group what everyone sees, and answers.
    fn adopt(
        &mut self,
        draft: &Draft,
        appended: Appended,
        waiting: Waiting,
    ) -> Result<(), StoreError> {
        let first = self.head.frontier.size();
        self.head = draft.group.head.clone();
        self.roster = Arc::clone(&draft.roster);
        self.tail.replace(appended.rewritten);
        self.eraser.demanded(first, &draft.group.entries);
        let blocks = appended.blocks;
        if !blocks.is_empty() {
            if std::mem::replace(&mut self.is_full, false) {
                tracing::info!("publishing goes on: there is space again");
            }
            readiness::set(&self.readiness, Cause::DiskFull, false);
            // Before the answers, so that a caller reads its own writes on every path.
            self.store.apply_views(first, &draft.group.entries)?;
            steps::reached(Step::Indexed);
            self.published_roster.store(Arc::clone(&self.roster));
            self.tail.advance(blocks, durable_head(&self.head, &self.roster));
            steps::reached(Step::Told);
        }
        answer(first, waiting, draft, &self.tally);
        steps::reached(Step::Answered);
        // Behind the answers, which wait for nothing but the disk.
        if draft.group.entries.is_empty() && draft.group.state.is_empty() {
            return Ok(());
        }
        self.store.raise_anchor(&self.head.frontier)
    }

    /// What everyone who waits is told when a group was not written; and the error, if the process must end.
    fn failed(&mut self, error: StoreError) -> (Refusal, Option<StoreError>) {
        let StoreError::Full { free, minimum } = error else {
            let refusal = Refusal::new(
                Reason::OutcomeUnknown,
                "a write failed; send the same bytes again to learn whether the record is there",
            );
            return (refusal, Some(error));
        };
        readiness::set(&self.readiness, Cause::DiskFull, true);
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::error!(
                disk.free = free,
                disk.minimum = minimum,
                "publishing stops: the disk is full, or its quota"
            );
        }
        let message = format!(
            "the hub's disk has {free} bytes free; {minimum} must be, and no quota used up; nothing was appended"
        );
        (Refusal::new(Reason::StoreFull, message), None)
    }

    /// Erases what is due, each demand with a notice of its own; then what retention lets go, a run at a time. Tells
    /// whether nothing is left.
    fn erase_due(&mut self) -> Result<bool, StoreError> {
        let (now, begun) = (self.clock.now(), self.clock.monotonic());
        // Publishers wait meanwhile: the rest comes with the next tick.
        for _task in 0..limits::ERASURES_PER_TICK {
            let task = self.eraser.next(&self.store, &self.head, now);
            let task = match task {
                Ok(Some(task)) => task,
                Ok(None) => return Ok(true),
                // What cannot be read is not erased, and is overdue; everything else goes on.
                Err(error) => {
                    let _told = self.unreadable(&error);
                    return Ok(true);
                }
            };
            let Ok(accept_time) =
                self.guard.accept_time(self.clock.as_ref(), self.head.accept_time)
            else {
                break;
            };
            if !self.erase(&task, accept_time)?
                || self.clock.monotonic().saturating_sub(begun) >= limits::ERASING_PER_TICK
            {
                break;
            }
        }
        Ok(false)
    }

    /// Carries out one erasure; whether it was.
    fn erase(&mut self, task: &Task, accept_time: Timestamp) -> Result<bool, StoreError> {
        let place = self.head.frontier.size();
        let entries = match task.entries(&self.store, place) {
            Ok(entries) => entries,
            Err(error) => {
                let _told = self.unreadable(&error);
                self.eraser.passed(task);
                return Ok(false);
            }
        };
        let notice = hub_entries::notice(
            &self.exchange,
            &self.log_secret,
            task.kind(),
            task.notice(),
            Tlp::Clear,
            accept_time,
        )?;
        let mut draft = self.draft(1, Ok(accept_time));
        let facts = admission::own_facts(notice.get());
        draft.admit(Ready::of(notice, None), facts, accept_time);
        draft.group.erasing = Some(task.erasing(entries));
        match self.make_durable(&mut draft) {
            Ok(appended) => {
                self.adopt(&draft, appended, Vec::new())?;
                task.log(place);
                self.eraser.done(task);
                Ok(true)
            }
            Err(error) => {
                let (_refusal, fatal) = self.failed(error);
                fatal.map_or(Ok(false), Err)
            }
        }
    }

    fn draft(&self, records: usize, accept_time: Result<Timestamp, Refusal>) -> Draft {
        Draft {
            group: Group {
                entries: Vec::with_capacity(records),
                head: self.head.clone(),
                ..Group::default()
            },
            roster: Arc::clone(&self.roster),
            accept_time,
            names: HashMap::with_capacity(records),
            withdrawn: HashSet::new(),
            leaves: Vec::with_capacity(records),
            postings: 0,
            warnings: HashMap::new(),
            conflicts: Vec::new(),
            operations: HashSet::new(),
            acts: Vec::new(),
            held_up: None,
            order: Order::default(),
        }
    }

    fn judge_all(&self, submissions: Vec<Submission>, draft: &mut Draft) -> Waiting {
        let mut waiting = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let Submission { caller, records, order, answer } = submission;
            let mut pending = Vec::with_capacity(records.len());
            draft.held_up = None;
            draft.postings = 0;
            draft.order = order.clone();
            for record in records {
                pending.push(match record {
                    Ok(record) => self.judge(&caller, record, draft),
                    Err(refusal) => self.refuse_unread(&caller, refusal, draft),
                });
            }
            self.quotas
                .note_refusals(&caller, pending.iter().filter(|it| it.is_its_own_fault()).count());
            waiting.push(Answering { answer, pending, order });
        }
        waiting
    }

    /// A record that was refused before it could be judged.
    fn refuse_unread(&self, caller: &MemberId, refusal: Refusal, draft: &mut Draft) -> Pending {
        self.note(draft, || unread(caller, &refusal));
        refused(refusal)
    }

    fn make_durable(&self, draft: &mut Draft) -> Result<Appended, StoreError> {
        if draft.group.entries.is_empty() && draft.group.state.is_empty() {
            return Ok(Appended::default());
        }
        if !draft.group.entries.is_empty() {
            let head = &mut draft.group.head;
            let checkpoint = head.summary();
            head.checkpoint = self.log_key.sign(&checkpoint, &self.log_secret);
        }
        #[cfg(test)]
        planted::reach(Point::BeforeSync);
        let appended = self.store.append_unnoted(&draft.group);
        #[cfg(test)]
        planted::reach(Point::AfterSync);
        appended
    }

    fn judge(&self, caller: &MemberId, mut ready: Ready, draft: &mut Draft) -> Pending {
        draft.order.came(&ready.record.get().header_digest);
        let decided = self.decide(caller, &ready, draft);
        let (verdict, warning) = decided.unwrap_or_else(|error| {
            // What one record is about cannot be read: that is no reason to take no other, unless it may be read later.
            let refusal = self.unreadable(&error);
            if refusal.reason == Reason::Busy {
                draft.hold_up(&ready, &refusal);
            }
            (Verdict::Settled(refused(refusal)), None)
        });
        match verdict {
            Verdict::Settled(pending) => {
                // The observer is told what it was, whatever its sender is.
                self.note(draft, || settled_act(caller, ready.record.get(), &pending));
                self.unless_held_up(pending, &ready, draft)
            }
            Verdict::Good { facts, roster, accept_time } => {
                let index = draft.group.entries.len();
                self.note(draft, || taken_act(caller, ready.record.get(), index));
                if let Some(roster) = roster {
                    draft.roster = Arc::new(roster);
                }
                ready.warnings.extend(warning);
                draft.admit(ready, *facts, accept_time)
            }
        }
    }

    /// What is decided of a record, and what it is warned of.
    fn decide(
        &self,
        caller: &MemberId,
        ready: &Ready,
        draft: &mut Draft,
    ) -> Result<(Verdict, Option<Warning>), StoreError> {
        let verdict = self.verdict(caller, ready, draft)?;
        let warning = match verdict {
            Verdict::Settled(_) => None,
            Verdict::Good { .. } => self.operation_warning(ready.record.get(), draft)?,
        };
        Ok((verdict, warning))
    }

    /// What who waits for a read that failed is told.
    fn unreadable(&self, error: &StoreError) -> Refusal {
        self.tally.take_failed_read(self.clock.now());
        unreadable(error)
    }

    fn verdict(
        &self,
        caller: &MemberId,
        ready: &Ready,
        draft: &mut Draft,
    ) -> Result<Verdict, StoreError> {
        let parsed = ready.record.get();
        if let Err(refusal) = admission::judge_caller(caller, parsed, &draft.roster) {
            return Ok(Verdict::Settled(refused(refusal)));
        }
        if let Some(settled) = self.same_name(parsed, draft)? {
            return Ok(Verdict::Settled(settled));
        }
        if let Err(refusal) = ready.demand_bounded() {
            return Ok(Verdict::Settled(refused(refusal)));
        }
        let accept_time = match &draft.accept_time {
            Ok(time) => *time,
            Err(refusal) => {
                draft.order.hold_up(parsed.header_digest, refusal);
                return Ok(Verdict::Settled(refused(refusal.clone())));
            }
        };
        if let Err(refusal) = self.let_in(ready, draft) {
            draft.hold_up(ready, &refusal);
            return Ok(Verdict::Settled(refused(refusal)));
        }
        let place = Sequence(draft.group.head.frontier.size());
        let previous = self.previous(parsed, draft)?;
        let targets = self.targets(&parsed.content, draft)?;
        let circumstances = Circumstances {
            exchange: &self.exchange,
            roster: &draft.roster,
            place,
            now: self.clock.now(),
            previous: previous.as_ref(),
            // What was not there before cannot have been withdrawn.
            withdrawn: parsed.header.revision > 1
                && self.is_withdrawn(&parsed.header.name, draft)?,
            targets: &targets,
        };
        let judged = admission::judge(parsed, &circumstances).and_then(|facts| {
            let roster = wire::roster::apply(&draft.roster, &self.exchange, parsed, place)?;
            Ok((facts, roster))
        });
        Ok(match judged {
            Ok((facts, roster)) => Verdict::Good { facts: Box::new(facts), roster, accept_time },
            Err(refusal) => Verdict::Settled(refused(refusal)),
        })
    }

    /// What a record is told that is refused for good: if one before it is held up, and may be what it lacks, that it has to
    /// come again too. Then it costs nothing, so that it does not use up what the one before it waits for.
    fn unless_held_up(&self, settled: Pending, ready: &Ready, draft: &Draft) -> Pending {
        let Pending::Settled(outcome) = &settled else { return settled };
        let instead = outcome.as_ref().as_ref().err().and_then(|it| draft.order.instead_of(it));
        let Some(instead) = instead else { return settled };
        let record = ready.record.get();
        let member = &record.header.name.member;
        self.quotas.give_back(member, &quota_of(member, draft), ready.weight());
        self.quotas.note_held_up(member, &instead);
        draft.order.hold_up(record.header_digest, &instead);
        refused(instead)
    }

    /// What is wrong with the operation that an indicator names. It may come later, so that this refuses nothing; and
    /// what its publisher may not see is not there for it.
    fn operation_warning(
        &self,
        record: &Record,
        draft: &mut Draft,
    ) -> Result<Option<Warning>, StoreError> {
        let Content::Indicator { operation: Some(name), .. } = &record.content else {
            return Ok(None);
        };
        let seen = (record.header.name.member.clone(), name.clone());
        if draft.operations.contains(&seen) {
            return Ok(None);
        }
        let target = self.target(name, draft)?;
        let warning = admission::operation_warning(record, target.as_ref(), &draft.roster);
        if warning.is_none() {
            draft.operations.insert(seen);
        }
        Ok(warning)
    }

    /// Whether a new record may be judged now, and need not come again later.
    fn let_in(&self, ready: &Ready, draft: &mut Draft) -> Result<(), Refusal> {
        if let Some(refusal) = &draft.held_up {
            self.quotas.note_held_up(&ready.record.get().header.name.member, refusal);
            return Err(refusal.clone());
        }
        let weight = ready.weight();
        let postings = draft.postings.saturating_add(weight.postings);
        if postings > limits::BATCH_POSTINGS_MAX {
            return Err(self.quotas.refuse_postings(&ready.record.get().header.name.member));
        }
        self.take_quota(ready.record.get(), weight, draft)?;
        draft.postings = postings;
        Ok(())
    }

    fn take_quota(&self, record: &Record, weight: Weight, draft: &Draft) -> Result<(), Refusal> {
        let member = &record.header.name.member;
        self.quotas.take_record(member, &quota_of(member, draft), weight)
    }

    /// Keeps second headers as evidence, one for each name and revision, in entries of the hub's own: who may read the first
    /// learns that its publisher signed two. They count against the publisher's quota.
    fn note_conflicts(&self, draft: &mut Draft) -> Result<(), StoreError> {
        let Ok(accept_time) = draft.accept_time else { return Ok(()) };
        let mut noted = HashSet::new();
        for Conflicting { first, mut reach, second } in std::mem::take(&mut draft.conflicts) {
            let (name, revision) = (&second.header.name, second.header.revision);
            let known = self.store.conflict(name, revision);
            let weight = Weight { bytes: second.envelope.encoded_len(), postings: 0 };
            // One that cannot be asked for is not kept twice.
            let known = known.inspect_err(|error| drop(self.unreadable(error)));
            let is_known = !matches!(known, Ok(None))
                || !noted.insert((name.clone(), revision))
                || self.take_quota(&second, weight, draft).is_err();
            if is_known {
                continue;
            }
            let signature = second.envelope.signatures.first().cloned().unwrap_or_default();
            let content = pb::body::Content::Conflict(pb::ConflictNotice {
                first_sequence: first,
                payload: second.envelope.payload.to_vec(),
                keyid: signature.keyid,
                sig: signature.sig.to_vec(),
            });
            let tlp = second.header.handling.tlp;
            let (kind, secret) = (BodyKind::Conflict, &self.log_secret);
            let notice =
                hub_entries::notice(&self.exchange, secret, kind, content, tlp, accept_time)?;
            reach.recipients.push(name.member.clone());
            let facts = admission::conflict_facts(notice.get(), reach);
            draft.admit(Ready::of(notice, None), facts, accept_time);
        }
        Ok(())
    }

    /// The answer to a name and revision that is taken: its first receipt, or a conflict. It costs a look at what is
    /// there; if none is left, what is behind it goes on, since nothing is missing.
    fn same_name(&self, record: &Record, draft: &mut Draft) -> Result<Option<Pending>, StoreError> {
        let header = &record.header;
        let conflict = |sequence: u64| {
            refused(
                Refusal::field(
                    Reason::RevisionConflict,
                    "header.name",
                    format!(
                        "{}@{} is taken by other bytes, at sequence {sequence}; the first stands",
                        header.name, header.revision
                    ),
                )
                .with("sequence", sequence),
            )
        };
        if let Some(index) = draft.names.get(&(header.name.clone(), header.revision)).copied() {
            let same = draft.leaves.get(index).is_some_and(|leaf| leaf.0 == record.header_digest);
            if same {
                return Ok(Some(Pending::Again(index)));
            }
            let wide = u64::try_from(index).unwrap_or(u64::MAX);
            let first = self.head.frontier.size().saturating_add(wide);
            let entry = draft.group.entries.get(index);
            let reach = entry.map(|entry| entry.facts.scope.reach.clone()).unwrap_or_default();
            draft.conflicts.push(Conflicting { first, reach, second: Box::new(record.clone()) });
            return Ok(Some(conflict(first)));
        }
        if !self.store.may_have_revision(&header.name, header.revision)? {
            return Ok(None);
        }
        // Before the log is read, which is what it costs.
        let quota = quota_of(&header.name.member, draft);
        if let Err(refusal) = self.quotas.take_repeat(&header.name.member, &quota) {
            return Ok(Some(refused(refusal)));
        }
        let Some(sequence) = self.store.revision(&header.name, header.revision)? else {
            return Ok(None);
        };
        let stored = entries::read(&self.store, sequence)?;
        if stored.header_digest != record.header_digest {
            let reach = stored.facts.scope.reach.clone();
            let second = Box::new(record.clone());
            draft.conflicts.push(Conflicting { first: sequence, reach, second });
            return Ok(Some(conflict(sequence)));
        }
        let receipt = Receipt {
            header_digest: stored.header_digest,
            epoch: stored.epoch,
            sequence,
            accept_time: stored.accept_time,
            leaf_hash: stored.leaf_hash,
            checkpoint: self.head.checkpoint.as_str().into(),
            tree_size: self.head.frontier.size(),
            inclusion_proof: Vec::new(),
            repeated: true,
            warnings: Vec::new(),
        };
        Ok(Some(Pending::Settled(Box::new(Ok(receipt)))))
    }

    fn previous(&self, record: &Record, draft: &Draft) -> Result<Option<Previous>, StoreError> {
        let Some(revision) = record.header.revision.checked_sub(1).filter(|revision| *revision > 0)
        else {
            return Ok(None);
        };
        if let Some(index) = draft.names.get(&(record.header.name.clone(), revision)) {
            let found = draft.leaves.get(*index).zip(draft.group.entries.get(*index));
            return Ok(found.map(|(leaf, entry)| Previous {
                header_digest: leaf.0,
                facts: entry.facts.clone(),
            }));
        }
        let Some(sequence) = self.store.revision(&record.header.name, revision)? else {
            return Ok(None);
        };
        let stored = entries::read(&self.store, sequence)?;
        Ok(Some(Previous { header_digest: stored.header_digest, facts: stored.facts }))
    }

    /// What a record is about, as it stands now; `None` for what is not there.
    fn targets(&self, content: &Content, draft: &Draft) -> Result<Vec<Option<Target>>, StoreError> {
        content.targets().into_iter().map(|(_field, name)| self.target(name, draft)).collect()
    }

    fn target(&self, name: &RecordName, draft: &Draft) -> Result<Option<Target>, StoreError> {
        let withdrawn = self.is_withdrawn(name, draft)?;
        let taken_down = draft.withdrawn.contains(name) || self.is_taken_down(name)?;
        let first = self.store.revision(name, 1)?.map(Sequence);
        let mut in_group = draft.group.entries.iter().rev();
        if let Some(entry) = in_group.find(|entry| entry.facts.is_of(name)) {
            return Ok(Some(Target {
                facts: entry.facts.clone(),
                tlp: entry.record.get().header.handling.tlp,
                first: first.unwrap_or(Sequence(self.head.frontier.size())),
                withdrawn,
                taken_down,
            }));
        }
        let (Some((_revision, sequence)), Some(first)) = (self.store.latest(name)?, first) else {
            return Ok(None);
        };
        let read = entries::read(&self.store, sequence)?;
        Ok(Some(Target { facts: read.facts, tlp: read.tlp, first, withdrawn, taken_down }))
    }

    fn is_taken_down(&self, name: &RecordName) -> Result<bool, StoreError> {
        let Some(sequence) = self.store.withdrawn(name)? else { return Ok(false) };
        Ok(entries::read(&self.store, sequence)?.facts.scope.body_kind == BodyKind::Takedown)
    }

    fn is_withdrawn(&self, name: &RecordName, draft: &Draft) -> Result<bool, StoreError> {
        Ok(draft.withdrawn.contains(name) || self.store.withdrawn(name)?.is_some())
    }
}

impl Draft {
    /// Bytes of its entries.
    fn bytes(&self) -> u64 {
        let entries = self.group.entries.iter();
        let bytes: usize = entries.map(|entry| entry.framed.len()).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The record that is judged has to come again.
    fn hold_up(&mut self, ready: &Ready, reason: &Refusal) {
        self.held_up = Some(reason.clone());
        self.order.hold_up(ready.record.get().header_digest, reason);
    }

    fn admit(&mut self, ready: Ready, mut facts: Facts, accept_time: Timestamp) -> Pending {
        if let Some(neighbour) = self.group.entries.last() {
            facts.share_scope(&neighbour.facts);
        }
        let Ready { record, terms, warnings } = ready;
        let parsed = record.get();
        let sequence = Sequence(self.group.head.frontier.size());
        let leaf = entries::leaf(parsed, sequence, accept_time).hash();
        let framed =
            entries::encode(self.group.head.epoch, sequence, accept_time, &parsed.envelope);
        let index = self.group.entries.len();
        self.names.insert((parsed.header.name.clone(), parsed.header.revision), index);
        self.withdrawn.extend(parsed.content.withdraws().cloned());
        if !warnings.is_empty() {
            self.warnings.insert(index, warnings);
        }
        self.leaves.push((parsed.header_digest, leaf));
        self.group.head.push(parsed.header.body_kind, leaf);
        self.group.head.accept_time = accept_time;
        let bytes = u64::try_from(framed.len()).unwrap_or(u64::MAX);
        self.group.head.bytes = self.group.head.bytes.saturating_add(bytes);
        self.group.entries.push(NewEntry { record, facts, framed, terms, leaf_hash: leaf });
        Pending::Fresh(index)
    }
}

impl Batch {
    /// Everything that waits, up to the limits of a group.
    pub(super) fn drain(first: Work, queue: &mut mpsc::Receiver<Work>) -> Self {
        let mut batch = Self::default();
        batch.take(first);
        while batch.records < limits::GROUP_RECORDS_MAX && batch.bytes < limits::GROUP_BYTES_MAX {
            let Ok(next) = queue.try_recv() else { break };
            batch.take(next);
        }
        batch
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Publish(submission) => {
                self.records = self.records.saturating_add(submission.records.len());
                self.bytes = self.bytes.saturating_add(weight(&submission));
                self.submissions.push(submission);
            }
            Work::Keep(request) => {
                self.records = self.records.saturating_add(1);
                self.requests.push(request);
            }
            Work::Testify(request) => {
                self.records = self.records.saturating_add(1);
                self.bytes = self.bytes.saturating_add(request.said.weight());
                self.testimony.push(request);
            }
            Work::Tick => self.tick = true,
            Work::Retain(retention) => self.retention = Some(retention),
        }
    }
}

fn weight(submission: &Submission) -> usize {
    submission.records.iter().flatten().map(|ready| ready.weight().bytes).sum()
}

/// What is told of a record that was refused before it could be judged.
fn unread(caller: &MemberId, refusal: &Refusal) -> Option<(Act, Option<usize>)> {
    let act = Act {
        member: caller.clone(),
        key: None,
        what: "publish".to_owned(),
        target: String::new(),
        outcome: Err(refusal.reason),
    };
    observer::is_callers_doing(refusal.reason).then_some((act, None))
}

/// What is told of a record that has its answer already: refusals that are its caller's doing.
fn settled_act(
    caller: &MemberId,
    record: &Record,
    pending: &Pending,
) -> Option<(Act, Option<usize>)> {
    let Pending::Settled(outcome) = pending else { return None };
    let refusal = outcome.as_ref().as_ref().err()?;
    let is_told = observer::is_callers_doing(refusal.reason)
        || observer::privileged(&record.content).is_some();
    let (what, target) = observer::described(record);
    let (member, key) = (caller.clone(), Some(record.key_id));
    let act = Act { member, key, what, target, outcome: Err(refusal.reason) };
    is_told.then_some((act, None))
}

/// What is told of a record that is taken if its group is written.
fn taken_act(caller: &MemberId, record: &Record, index: usize) -> Option<(Act, Option<usize>)> {
    let (what, target) = observer::privileged(&record.content)?;
    let (member, key) = (caller.clone(), Some(record.key_id));
    Some((Act { member, key, what, target, outcome: Ok(0) }, Some(index)))
}

fn refused(refusal: Refusal) -> Pending {
    Pending::Settled(Box::new(Err(refusal)))
}

/// What a member may use, by the roster as it is in the group so far.
fn quota_of(member: &MemberId, draft: &Draft) -> Quota {
    draft.roster.member(member).map(|member| member.quota).unwrap_or_default()
}

/// Answers a group that was not written: what was good in it has to come again.
fn refuse_all(waiting: Waiting, refusal: &Refusal, draft: &Draft, tally: &Tally) {
    for Answering { answer, pending, order } in waiting {
        let outcomes: Vec<Outcome> = pending
            .into_iter()
            .map(|pending| match pending {
                Pending::Fresh(index) | Pending::Again(index) => {
                    if let Some((header, _leaf)) = draft.leaves.get(index) {
                        order.hold_up(*header, refusal);
                    }
                    Err(refusal.clone())
                }
                Pending::Settled(outcome) => *outcome,
            })
            .collect();
        tally.take_outcomes(&outcomes);
        let _gone = answer.send(outcomes);
    }
}

pub(super) fn durable_head(head: &Head, roster: &Arc<Roster>) -> DurableHead {
    DurableHead {
        size: head.frontier.size(),
        bytes: head.bytes,
        epoch: head.epoch,
        accept_time: head.accept_time,
        summary: head.summary(),
        checkpoint: head.checkpoint.as_str().into(),
        roster: Arc::clone(roster),
    }
}

fn answer(first: u64, waiting: Waiting, draft: &Draft, tally: &Tally) {
    let checkpoint: Arc<str> = draft.group.head.checkpoint.as_str().into();
    let tree_size = draft.group.head.frontier.size();
    let receipt = |index: usize, repeated: bool| {
        let (header_digest, leaf_hash) = draft.leaves.get(index).copied().unwrap_or_default();
        Ok(Receipt {
            header_digest,
            epoch: draft.group.head.epoch,
            sequence: first.saturating_add(u64::try_from(index).unwrap_or(u64::MAX)),
            accept_time: draft.group.head.accept_time,
            leaf_hash,
            checkpoint: Arc::clone(&checkpoint),
            tree_size,
            inclusion_proof: Vec::new(),
            repeated,
            warnings: draft.warnings.get(&index).cloned().unwrap_or_default(),
        })
    };
    for Answering { answer, pending, order: _ } in waiting {
        let outcomes: Vec<Outcome> = pending
            .into_iter()
            .map(|pending| match pending {
                Pending::Fresh(index) => receipt(index, false),
                Pending::Again(index) => receipt(index, true),
                // All receipts of one answer have the checkpoint of the group that they came with.
                Pending::Settled(outcome) => (*outcome).map(|settled| Receipt {
                    checkpoint: Arc::clone(&checkpoint),
                    tree_size,
                    ..settled
                }),
            })
            .collect();
        tally.take_outcomes(&outcomes);
        // A caller that went away asks again with the same bytes and gets the same receipt.
        let _gone = answer.send(outcomes);
    }
}
