//! The exchange on one thread, driven by a seed: who publishes what, when groups are written, when time passes and
//! clocks jump, when the machine stops, who reads how far. What it answers, sends and keeps is held against a model.
//!
//! The store, the sequencer, the hub and the subscriptions are the real ones; only nobody runs by itself. A crash is a
//! copy of the data directory at a point of the commit, or between two of them, and what was only in memory is gone. The
//! rounds are those of tests/faults: `WATCHFIRE_LANE`, `WATCHFIRE_MINUTES` and `WATCHFIRE_ROUND` say which.

mod asked;
mod follower;
mod hands;
mod model;
#[path = "../../../tests/faults/trials.rs"]
#[expect(dead_code, reason = "the faults use the rest")]
mod trials;

use std::cell::RefCell;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

use self::asked::Asked;
use self::asked::Watch;
use self::follower::Follower;
use self::hands::Hands;
use self::model::Known;
use self::model::Model;
use self::trials::Round;
use self::trials::Trials;
use crate::client::Draft;
use crate::client::Signer;
use crate::client::tests::World;
use crate::exchange::Hub;
use crate::exchange::Order;
use crate::exchange::Retention;
use crate::exchange::Settings;
use crate::exchange::durable::SeekTo;
use crate::exchange::entries;
use crate::exchange::planted;
use crate::exchange::planted::Defect;
use crate::exchange::planted::Point;
use crate::exchange::sequencer::Batch;
use crate::exchange::sequencer::Sequencer;
use crate::exchange::sequencer::Work;
use crate::exchange::verify_log;
use crate::interop::framework::Frameworks;
use crate::interop::warning_list::WarningLists;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::reason::Reason;
use crate::signing::SecretKey;
use crate::store::Store;
use crate::wire::pb;
use crate::wire::pb::body::Content;

/// Things that happen in one round.
const STEPS: u64 = 120;

/// What runs until it is stopped.
struct Running {
    hub: Arc<Hub>,
    sequencer: Sequencer,
    queue: mpsc::Receiver<Work>,
}

struct Driver<'a> {
    round: &'a mut Round,
    world: World,
    /// The companies.
    members: Vec<Signer>,
    audience: Audience,
    hands: Arc<Hands>,
    retention: Retention,
    base: TempDir,
    folders: u32,
    folder: PathBuf,
    running: Option<Running>,
    model: Model,
    watch: Rc<RefCell<Watch>>,
    sent: Vec<(Signer, pb::Envelope)>,
    followers: Vec<Follower>,
    figures: Figures,
}

/// What a round came to.
#[derive(Debug, Default)]
struct Figures {
    accepted: usize,
    refused: usize,
    crashes: usize,
    restarts: usize,
    acknowledged: usize,
}

impl<'a> Driver<'a> {
    fn new(round: &'a mut Round) -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let base = tempfile::tempdir_in(base).unwrap();
        let world = World::new();
        let cedar = SecretKey::generate().unwrap();
        let exchange = world.founding.exchange.clone();
        let cedar = Signer::new(exchange, "cedar-media".parse().unwrap(), cedar);
        let bytes = (round.below(3) == 0).then_some(24 * 1024);
        let folder = base.path().join("0");
        std::fs::create_dir(&folder).unwrap();
        let mut driver = Self {
            members: vec![world.acme.clone(), world.bravo.clone(), cedar],
            audience: "abcdefghijklmnopqrstuvwx".parse().unwrap(),
            hands: Arc::new(Hands::new(world.now)),
            retention: Retention { age: None, bytes },
            folders: 0,
            folder,
            running: None,
            model: Model::default(),
            watch: Rc::default(),
            sent: Vec::new(),
            followers: Vec::new(),
            figures: Figures::default(),
            base,
            world,
            round,
        };
        driver.start();
        driver
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.round.below(end.max(1).try_into().unwrap())).unwrap()
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.running.as_ref().unwrap().hub
    }

    /// Opens what lies in the folder, and holds it against what is known.
    fn start(&mut self) {
        let settings = Settings {
            clock_confirmed: true,
            workers: 2,
            retention: self.retention,
            warning_lists: WarningLists::default(),
            frameworks: Frameworks::default(),
            observer: None,
        };
        self.hands.confirm();
        let (genesis, log) = (self.world.founding.genesis.clone(), self.world.log_secret.clone());
        let store = Store::open(&self.folder, 0).unwrap();
        let clock = Arc::clone(&self.hands);
        let (hub, sequencer, queue) = Hub::open(store, genesis, log, clock, settings).unwrap();
        self.running = Some(Running { hub, sequencer, queue });
        let known = self.model.size();
        assert!(self.hub().head().size >= known, "something that was announced is lost");
        self.learn();
        for sequence in 0..known {
            let entry = entries::read(&self.hub().store, sequence).unwrap().entry;
            let logged = self.model.at(sequence);
            assert_eq!(entry.envelope.unwrap().payload, logged.payload, "at {sequence}");
            assert_eq!(entry.erased.is_some(), logged.erased, "an erasure of {sequence}");
        }
    }

    /// Takes what is new in the log into the model: what somebody sent, or the hub's own, and nothing else.
    fn learn(&mut self) {
        for sequence in self.model.size()..self.hub().head().size {
            let mut entry = entries::read(&self.hub().store, sequence).unwrap().entry;
            let envelope = entry.envelope.as_mut().unwrap();
            let sent = self.sent.iter().find(|(_by, sent)| sent.payload == envelope.payload);
            let is_sent = sent.is_some();
            if let Some((_by, sent)) = sent {
                // It may be erased by now: the notice comes further on.
                envelope.body = sent.body.clone();
            }
            self.model.take(entry);
            let is_hubs = sequence == 0 || self.model.at(sequence).kind.is_hub();
            assert!(is_hubs || is_sent, "nobody sent {sequence}");
        }
    }

    /// Stops at once: what is only in memory is gone.
    async fn crash_into(&mut self, folder: PathBuf) {
        self.figures.crashes += 1;
        let before = self.model.size();
        self.stop(false).await;
        self.folder = folder;
        self.start();
        let watch = std::mem::take(&mut *self.watch.borrow_mut());
        let accepted = watch.asked.iter().flat_map(Asked::accepted).collect();
        for asked in &watch.asked {
            // What was answered by then was promised.
            asked.check(&self.model, before, &accepted);
        }
    }

    async fn stop(&mut self, in_order: bool) {
        let Running { hub, mut sequencer, queue } = self.running.take().unwrap();
        self.followers.iter_mut().for_each(Follower::close);
        if in_order {
            sequencer.end().unwrap();
        }
        let store = Arc::downgrade(&hub.store);
        drop((hub, sequencer, queue));
        while store.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn copy(&mut self) -> PathBuf {
        self.folders += 1;
        self.base.path().join(self.folders.to_string())
    }

    /// One turn of the sequencer with all that waits; with a point, the machine stops when it comes to it for the nth time.
    async fn step(&mut self, stop: Option<(Point, usize)>) {
        let copy = self.copy();
        let Running { hub, sequencer, queue } = self.running.as_mut().unwrap();
        let Ok(first) = queue.try_recv() else { return };
        let batch = Batch::drain(first, queue);
        let stop = stop.map(|(point, nth)| (point, nth, copy.clone()));
        asked::look(&self.watch, stop, (&self.folder, &hub.store));
        let before = self.model.size();
        let stepped = sequencer.step(batch);
        planted::look(None);
        stepped.unwrap();
        let broken = self.watch.borrow_mut().broken.take();
        assert_eq!(broken, None);
        if copy.is_dir() {
            return self.crash_into(copy).await;
        }
        let is_stopped = self.hands.has_jumped();
        self.learn();
        let mut all = std::mem::take(&mut self.watch.borrow_mut().asked);
        all.iter_mut().for_each(Asked::ask);
        let accepted_now = all.iter().flat_map(Asked::accepted).collect();
        for asked in all {
            assert!(asked.outcomes.is_some(), "nobody was answered");
            let (accepted, refused) = asked.check(&self.model, before, &accepted_now);
            assert!(!is_stopped || accepted == 0, "a clock that jumped is trusted");
            self.figures.accepted += accepted;
            self.figures.refused += refused;
        }
    }

    async fn submit(&mut self, signer: &Signer, envelopes: Vec<pb::Envelope>) {
        self.sent.extend(envelopes.iter().map(|sent| (signer.clone(), sent.clone())));
        let prepared = self.hub().prepare_here(envelopes.clone());
        let ticket = self.hub().submit(signer.member(), prepared, Order::default()).await.unwrap();
        self.watch.borrow_mut().asked.push(Asked::new(ticket, &envelopes));
    }

    fn sign(&self, signer: &Signer, draft: Draft) -> Option<pb::Envelope> {
        signer.sign(draft, self.hands.time()).ok()
    }

    fn handling(&mut self) -> Handling {
        let one = self.below(3);
        let recipient = self.members[one].member().clone();
        let (audiences, recipients) = match self.below(4) {
            0 => (vec![Audience::all()], Vec::new()),
            1 => (vec![Audience::companies()], Vec::new()),
            2 => (vec![self.audience.clone()], Vec::new()),
            _ => (Vec::new(), vec![recipient]),
        };
        let mut handling = self.world.draft(&self.world.acme, heading(0)).handling;
        handling.reach = Reach { audiences, recipients };
        handling
    }

    /// A record of a member: new, another revision, taken back, a second header, or one that was sent before.
    fn record(&mut self, signer: &Signer) -> Option<pb::Envelope> {
        let own = |known: &&Known| known.name.member == *signer.member();
        let known: Vec<Known> = self.model.records.iter().filter(own).cloned().collect();
        let (which, word) = (self.below(known.len()), self.below(1000));
        let mut draft = self.world.draft(signer, heading(word));
        draft.handling = self.handling();
        match (self.below(10), known.get(which)) {
            (0..=1, Some(known)) => {
                draft.name = known.name.clone();
                draft.previous = Some((known.revision, known.digest));
            }
            (2..=3, Some(known)) => return Some(self.withdrawal(signer, known, word % 2 == 0)),
            (4, Some(known)) => draft.name = known.name.clone(),
            (5, _) => {
                let sent = self.below(self.sent.len());
                let own = self.sent.get(sent).filter(|(by, _)| by.member() == signer.member());
                return own.map(|(_signer, envelope)| envelope.clone());
            }
            _ => {}
        }
        self.sign(signer, draft)
    }

    fn withdrawal(&self, signer: &Signer, known: &Known, demand: bool) -> pb::Envelope {
        let content = Content::Withdrawal(pb::Withdrawal {
            of: known.name.to_string(),
            reason: pb::WithdrawalReason::Error.into(),
            demand_deletion: demand,
            ..pb::Withdrawal::default()
        });
        self.change(signer, &content)
    }

    /// Something whose reach is not its publisher's to choose.
    fn change(&self, signer: &Signer, content: &Content) -> pb::Envelope {
        let mut draft = self.world.draft(signer, content.clone());
        draft.handling.reach = Reach::default();
        self.sign(signer, draft).unwrap()
    }

    async fn publish(&mut self) {
        let one = self.below(3);
        let signer = self.members[one].clone();
        let count = 1 + self.below(4);
        let envelopes: Vec<pb::Envelope> =
            (0..count).filter_map(|_record| self.record(&signer)).collect();
        if !envelopes.is_empty() {
            self.submit(&signer, envelopes).await;
        }
    }

    /// Somebody joins the audience or leaves it, is suspended or comes back.
    async fn change_roster(&mut self) {
        use pb::audience_change::Change;
        use pb::roster_change::Change as Roster;

        let one = 1 + self.below(2);
        let member = self.members[one].member().clone();
        let name = member.name();
        let change = if self.below(3) > 0 {
            let members = pb::AudienceMembers { members: vec![name] };
            let is_in = self.model.is_in(self.audience.as_str(), member.as_str());
            let change = if is_in { Change::Remove(members) } else { Change::Add(members) };
            self.audience_change(change)
        } else {
            let reason = "so it was decided".to_owned();
            let change = if self.model.is_suspended(member.as_str()) {
                Roster::Reinstate(pb::Reinstatement { reason })
            } else {
                Roster::Suspend(pb::Suspension { reason })
            };
            let change = pb::RosterChange { member: name, change: Some(change) };
            (self.world.operator.clone(), Content::RosterChange(change))
        };
        let envelope = self.change(&change.0, &change.1);
        self.submit(&change.0, vec![envelope]).await;
    }

    fn audience_change(&self, change: pb::audience_change::Change) -> (Signer, Content) {
        let audience = self.audience.name();
        let change = pb::AudienceChange { audience, change: Some(change) };
        (self.world.acme.clone(), Content::AudienceChange(change))
    }

    /// Runs a call that the sequencer answers.
    async fn call<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        let asked = tokio::time::timeout(Duration::from_millis(1), call.as_mut()).await;
        if let Ok(done) = asked {
            return done;
        }
        Box::pin(self.step(None)).await;
        call.await
    }

    async fn acknowledge(&mut self, index: usize) {
        let follower = &self.followers[index];
        let (Some(name), Some(left)) = (follower.durable.clone(), follower.left.clone()) else {
            return;
        };
        let hub = Arc::clone(self.hub());
        match self.call(hub.acknowledge(name, &left.cursor)).await {
            Ok(kept) => {
                assert!(kept.position >= left.position, "an acknowledgement is lost");
                self.followers[index].acknowledged = Some(left);
                self.figures.acknowledged += 1;
            }
            Err(error) => self.demand_suspended(index, &error),
        }
    }

    fn demand_suspended(&self, index: usize, error: &crate::exchange::ExchangeError) {
        let crate::exchange::ExchangeError::Refused(refusal) = error else { panic!("{error}") };
        let member = self.followers[index].member.as_str();
        let is_so = refusal.reason == Reason::MemberSuspended && self.model.is_suspended(member);
        assert!(is_so || refusal.reason == Reason::Quota, "{refusal}");
    }

    /// What was acknowledged is kept, whatever happened since.
    async fn check_acknowledged(&mut self) {
        for follower in &self.followers {
            let (Some(name), Some(left)) = (&follower.durable, &follower.acknowledged) else {
                continue;
            };
            if self.model.is_suspended(follower.member.as_str()) {
                continue;
            }
            let kept = self.hub().subscriptions(&follower.member, "", 10).await.unwrap();
            let kept = kept.iter().find(|kept| kept.name == *name).unwrap();
            assert!(kept.position >= left.position, "an acknowledgement is lost");
        }
    }

    async fn read(&mut self) {
        let index = self.below(self.followers.len());
        let (choice, events) = (self.below(8), 1 + self.round.below(6));
        let from = self.round.below(self.model.size() + 1);
        let hub = Arc::clone(self.hub());
        let follower = &mut self.followers[index];
        if choice == 0 {
            follower.close();
        }
        if !follower.is_open() {
            follower.open(&hub, &self.model, from);
        }
        follower.turn(&self.model, events).await;
        if choice == 1 {
            drop(hub);
            self.acknowledge(index).await;
        }
    }

    async fn pass_time(&mut self) {
        match self.below(12) {
            0 => {
                let seconds = i64::try_from(self.below(1100)).unwrap() - 550;
                self.hands.jump(seconds);
            }
            1 if self.below(4) == 0 => self.hands.jump(1500),
            _ => {
                let milliseconds = self.round.below(3000);
                self.hands.pass(Duration::from_millis(milliseconds));
                tokio::time::advance(Duration::from_millis(milliseconds)).await;
            }
        }
        self.hub().tick();
    }

    async fn stop_somehow(&mut self) {
        if self.below(2) == 0 {
            let folder = self.copy();
            copy_folder(&self.folder, &folder);
            self.crash_into(folder).await;
        } else {
            self.settle().await;
            self.stop(true).await;
            self.figures.restarts += 1;
            self.start();
        }
        self.check_acknowledged().await;
    }

    /// Until nothing waits.
    async fn settle(&mut self) {
        self.hub().tick();
        self.step(None).await;
    }

    async fn one_thing(&mut self) {
        match self.below(32) {
            0..=9 => self.publish().await,
            10..=11 => self.change_roster().await,
            12..=13 => self.pass_time().await,
            14..=20 => self.step(None).await,
            21 => {
                let point = if self.below(2) == 0 { Point::BeforeSync } else { Point::AfterSync };
                let nth = self.below(2);
                self.step(Some((point, nth))).await;
            }
            22 => self.stop_somehow().await,
            _ => self.read().await,
        }
    }

    /// Who takes part, and who reads.
    async fn begin(&mut self) {
        let operator = self.world.operator.clone();
        for member in self.members.clone() {
            let envelope = self.change(&operator, &self.world.admission(&member));
            self.submit(&operator, vec![envelope]).await;
        }
        let members = vec![self.members[1].member().name()];
        let creation = pb::AudienceCreation { title: "some of us".to_owned(), members };
        let (keeper, creation) =
            self.audience_change(pb::audience_change::Change::Create(creation));
        let envelope = self.change(&keeper, &creation);
        self.step(None).await;
        self.submit(&keeper, vec![envelope]).await;
        self.step(None).await;
        let all: Vec<MemberId> = self.members.iter().map(|one| one.member().clone()).collect();
        for (number, member) in all.iter().chain(&all).enumerate() {
            let durable = (number >= all.len()).then(|| format!("reader-{number}"));
            let name = durable.map(|id| SubscriptionName::new(member.clone(), &id).unwrap());
            if let Some(name) = name.clone() {
                let hub = Arc::clone(self.hub());
                let filter = crate::model::filter::Filter::default();
                self.call(hub.create_subscription(name, filter, SeekTo::First)).await.unwrap();
            }
            self.followers.push(Follower::new(member.clone(), name));
        }
        self.followers.push(Follower::new(operator.member().clone(), None));
    }

    /// Everything comes to its end: what is due is erased, and everyone is sent all that there is.
    async fn end(&mut self) {
        self.settle().await;
        self.stop(true).await;
        self.start();
        for _tick in 0..3 {
            self.settle().await;
        }
        for sequence in self.model.demanded() {
            assert!(self.model.at(sequence).erased, "{sequence} was to be erased");
        }
        let hub = Arc::clone(self.hub());
        for follower in &mut self.followers {
            follower.open(&hub, &self.model, 0);
            follower.turn(&self.model, u64::MAX).await;
            follower.demand_all(&self.model);
        }
        drop(hub);
        self.stop(true).await;
        verify_log(&Store::open(&self.folder, 0).unwrap(), |_| {}).unwrap();
    }
}

fn heading(word: usize) -> Content {
    Content::Operation(pb::Operation { title: format!("word{word}"), ..pb::Operation::default() })
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_folder(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

fn drive(round: &mut Round, defect: Option<Defect>) -> [usize; 6] {
    planted::plant(defect);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (figures, entries, received) = runtime.block_on(async {
        let mut driver = Driver::new(round);
        driver.begin().await;
        for _step in 0..STEPS {
            driver.one_thing().await;
        }
        driver.end().await;
        let received: usize = driver.followers.iter().map(|follower| follower.received).sum();
        (driver.figures, driver.model.size(), received)
    });
    // Of thousands of rounds one has bad luck: little is taken where the clock jumps early.
    assert!(figures.accepted > 3 && received > 4, "{figures:?}: nothing happened");
    let Figures { accepted, refused, crashes, restarts, acknowledged } = figures;
    let counts = [accepted, refused, crashes, restarts, acknowledged, received];
    let names = ["accepted", "refused", "crashes", "restarts", "acknowledged", "received"];
    for (name, count) in names.into_iter().zip(counts) {
        round.note(name, count);
    }
    round.note("entries", entries);
    round.note("lost", 0);
    counts
}

/// T-L7.
#[test]
fn whatever_happens_when_everyone_has_what_was_promised() {
    let mut trials = Trials::of("driver", 100, 5000);
    let mut accepted = 0;
    while let Some(mut round) = trials.next() {
        let [taken, ..] = drive(&mut round, None);
        accepted += taken;
        trials.keep(round);
    }
    let rounds = usize::try_from(trials.finish()).unwrap();
    assert!(accepted >= 20 * rounds, "{accepted} records in {rounds} rounds: too little happened");
}

#[test]
fn a_round_is_the_same_when_it_is_run_again() {
    let run = |number| drive(&mut Round::of("driver", number), None);
    for number in 0..3 {
        assert_eq!(run(number), run(number), "round {number}");
    }
}

/// Whether one of the first rounds finds a defect, by what it says.
fn found(defect: Defect, says: &[&str]) {
    let found = (0..10).any(|number| {
        let round = move || drive(&mut Round::of("driver", number), Some(defect));
        let Err(panic) = std::thread::spawn(round).join() else { return false };
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&said| said.to_owned()));
        let said = said.unwrap_or_default();
        let is_it = says.iter().any(|words| said.contains(words));
        assert!(is_it, "{defect:?} was found by: {said}");
        true
    });
    assert!(found, "{defect:?} was not found");
}

#[test]
fn a_receipt_before_the_sync_is_found() {
    found(Defect::AnswerBeforeSync, &["before it was on the disk"]);
}

#[test]
fn a_cursor_that_leads_too_far_is_found() {
    // The hub itself says so, where the cursor leads past the end.
    found(Defect::CursorOffByOne, &["missed", "the log ends before"]);
}

#[test]
fn a_stream_that_forgets_the_policy_is_found() {
    found(Defect::PolicySkipped, &["may not see"]);
}
