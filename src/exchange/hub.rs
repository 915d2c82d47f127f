//! The hub: what all of the above makes together, behind one face.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

use crate::exchange::clock_guard::ClockGuard;
use crate::exchange::deliveries::Deliveries;
use crate::exchange::durable;
use crate::exchange::entries;
use crate::exchange::eraser::Demands;
use crate::exchange::eraser::Eraser;
use crate::exchange::eraser::Retention;
use crate::exchange::founding::Founding;
use crate::exchange::ledger::Ledgers;
use crate::exchange::observer::Observer;
use crate::exchange::order::Order;
use crate::exchange::prepare::Advice;
use crate::exchange::prepare::Bench;
use crate::exchange::prepare::Checked;
use crate::exchange::prepare::Checker;
use crate::exchange::prepare::Job;
use crate::exchange::prepare::Then;
use crate::exchange::quota::QuotaLeft;
use crate::exchange::quota::QuotaLimit;
use crate::exchange::quota::QuotaUse;
use crate::exchange::quota::Quotas;
use crate::exchange::readiness;
use crate::exchange::readiness::Cause;
use crate::exchange::readiness::Readiness;
use crate::exchange::sequencer;
use crate::exchange::sequencer::Outcome;
use crate::exchange::sequencer::Sequencer;
use crate::exchange::sequencer::Submission;
use crate::exchange::sequencer::Work;
use crate::exchange::streams::Carries;
use crate::exchange::streams::StreamSlot;
use crate::exchange::streams::Streams;
use crate::exchange::tail::DurableHead;
use crate::exchange::tail::ReadSince;
use crate::exchange::tail::Tail;
use crate::exchange::tally::Tally;
use crate::exchange::testimony;
use crate::exchange::testimony::Testimony;
use crate::exchange::token::Tokens;
use crate::exchange::turns::Halt;
use crate::exchange::turns::Turns;
use crate::interop::framework::Frameworks;
use crate::interop::warning_list::WarningLists;
use crate::model::limits;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::names::SubscriptionName;
use crate::model::policy::Reader;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Quota;
use crate::model::roster::Roster;
use crate::model::time::Clock;
use crate::model::time::Timestamp;
use crate::signing::SecretKey;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::transparency::LogKey;
use crate::transparency::LogKeys;
use crate::wire;
use crate::wire::MARK_PAYLOAD_TYPE;
use crate::wire::MarkStatement;
use crate::wire::body::Content;
use crate::wire::head::LISTING_PAYLOAD_TYPE;
use crate::wire::head::ListingStatement;
use crate::wire::head::Signed;
use crate::wire::pb;
use crate::wire::report::REPORT_PAYLOAD_TYPE;
use crate::wire::report::ReportStatement;

/// What the operator may choose.
#[derive(Debug)]
pub struct Settings {
    /// Whether the operator vouches for a clock that stands behind the log.
    pub clock_confirmed: bool,
    /// Threads that may check signatures or read the disk at once.
    pub workers: usize,
    /// How long, and how much, bodies are kept.
    pub retention: Retention,
    /// Lists of common benign values, of which publishers are warned.
    pub warning_lists: WarningLists,
    /// Frameworks by which techniques are checked and named.
    pub frameworks: Frameworks,
    /// Who is told what happens, besides its callers.
    pub observer: Option<Arc<dyn Observer>>,
}

/// What the operator may choose anew while the hub runs.
#[derive(Debug)]
pub struct Choice {
    /// How long, and how much, bodies are kept.
    pub retention: Retention,
    /// Lists of common benign values, of which publishers are warned.
    pub warning_lists: WarningLists,
    /// Frameworks by which techniques are checked and named.
    pub frameworks: Frameworks,
}

/// Why a data directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The genesis record is not what founds this exchange.
    #[error("the genesis record does not hold: {0}")]
    Genesis(String),
    /// An entry about the roster does not fit the ones before it.
    #[error("the roster entry at sequence {sequence} does not hold: {refusal}")]
    Roster {
        /// The place.
        sequence: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The log key is not the one that signs for the log now.
    #[error(
        "log.key is not the key that signs for the log now: if its change was cut off, run watchfired rotate-log-key again"
    )]
    LogKey,
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a call is not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The caller's fault, or a state that the caller must know of.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What who waits for a read is told that failed; why, is for the operator's log.
pub(crate) fn unreadable(cause: &StoreError) -> Refusal {
    let error: &(dyn std::error::Error + 'static) = cause;
    tracing::error!(error, "a read failed");
    match cause {
        StoreError::Corrupt { .. } | StoreError::Format { .. } => Refusal::new(
            Reason::StoreCorrupt,
            "the hub found damage on its disk; tell its operator",
        ),
        StoreError::Full { .. } | StoreError::InUse | StoreError::Io { .. } => {
            Refusal::new(Reason::Busy, "the hub cannot read its disk at the moment")
        }
    }
}

/// What a member may ask of the hub, and has.
#[derive(Clone, Debug)]
pub struct QuotaState {
    /// The quota that holds.
    pub quota: Quota,
    /// What is left of it.
    pub left: QuotaLeft,
    /// Streams open.
    pub streams_open: usize,
}

/// The sequencer's thread, which ends with the hub or with a failed write.
pub type SequencerThread = JoinHandle<Result<(), StoreError>>;

/// A running exchange.
pub struct Hub {
    pub(super) exchange: ExchangeName,
    pub(super) store: Arc<Store>,
    pub(super) tail: Arc<Tail>,
    pub(super) roster: Arc<ArcSwap<Roster>>,
    pub(super) tokens: Tokens,
    pub(super) draining: CancellationToken,
    streams: Streams,
    quotas: Arc<Quotas>,
    pub(super) durable: Arc<durable::Registry>,
    pub(super) testimony: Arc<Testimony>,
    pub(super) deliveries: Deliveries,
    /// The first sequence whose body is kept, as far as retention goes.
    pub(super) floor: Arc<AtomicU64>,
    pub(super) demands: Arc<Demands>,
    pub(super) tally: Arc<Tally>,
    pub(super) readers: Turns,
    /// Whose signatures are checked.
    pub(super) checks: Turns,
    pub(super) ledgers: Ledgers,
    /// The turn of the one call whose record is checked where it is, held until it is answered: a call that is alone
    /// always gets it, and of many calls at once all others share batches.
    lone: Semaphore,
    checker: Arc<Checker>,
    readiness: Arc<watch::Sender<Readiness>>,
    jobs: mpsc::Sender<Job>,
    queue: mpsc::Sender<Work>,
    clock: Arc<dyn Clock>,
    /// Signs marks, listings, and that evidence was handed in.
    log_secret: SecretKey,
    pub(super) log_keys: LogKeys,
    genesis: pb::Entry,
    trust_domain: String,
    /// Where each epoch but the first began, with the one that ended there.
    epochs: Epochs,
}

impl Hub {
    /// Opens the log, appends the genesis record if it is empty, folds the roster and starts the sequencer's
    /// thread. The thread ends when every handle of the hub is gone; it ends with an error when a write failed,
    /// and then the process must end.
    pub fn start(
        store: Store,
        genesis: pb::Envelope,
        log_secret: SecretKey,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<(Arc<Self>, SequencerThread), OpenError> {
        let (hub, sequencer, work) = Self::open(store, genesis, log_secret, clock, settings)?;
        let thread = spawn("sequencer", move || sequencer.run(work))?;
        Ok((hub, thread))
    }

    /// The same without the thread: whoever has the sequencer runs it.
    #[expect(clippy::too_many_lines, reason = "one field a line, of two long structs")]
    pub(super) fn open(
        store: Store,
        genesis: pb::Envelope,
        log_secret: SecretKey,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<(Arc<Self>, Sequencer, mpsc::Receiver<Work>), OpenError> {
        let founding = Founding::check(genesis)?;
        let store = Arc::new(store);
        let (head, genesis) = founding.begin(&store, &log_secret, clock.as_ref())?;
        let (roster, epochs) = fold_roster(&store, &founding.exchange)?;
        let (tail, tail_writer) = Tail::new(sequencer::durable_head(&head, &roster));
        let published = Arc::new(ArcSwap::new(Arc::clone(&roster)));
        let (queue, work) = mpsc::channel(limits::SEQUENCER_QUEUE);
        let quotas = Arc::new(Quotas::new(Arc::clone(&clock)));
        let (durable, deliveries) = load_kept(&store)?;
        let log_keys = log_keys(&founding.exchange, &roster)?;
        let testimony = Arc::new(Testimony::load(&store, &log_keys)?);
        let eraser = Eraser::load(&store, settings.retention)?;
        let (floor, demands, tally) = (eraser.floor(), eraser.counted(), Arc::<Tally>::default());
        let readiness = Arc::new(watch::Sender::default());
        let sequencer = Sequencer {
            quotas: Arc::clone(&quotas),
            durable: Arc::clone(&durable),
            testimony: Arc::clone(&testimony),
            eraser,
            deliveries: deliveries.clone(),
            tally: Arc::clone(&tally),
            ticks: 0,
            exchange: founding.exchange.clone(),
            store: Arc::clone(&store),
            tail: tail_writer,
            published_roster: Arc::clone(&published),
            clock: Arc::clone(&clock),
            log_key: current_log_key(&founding.exchange, &roster, &log_secret)?,
            log_secret: log_secret.clone(),
            guard: ClockGuard::new(clock.as_ref(), head.accept_time, settings.clock_confirmed),
            head,
            roster,
            is_full: false,
            readiness: Arc::clone(&readiness),
            observer: settings.observer,
        };
        let advice = Advice { lists: settings.warning_lists, frameworks: settings.frameworks };
        let checker = Arc::new(Checker::new(Arc::clone(&published), advice));
        let hub = Self {
            tokens: Tokens::new(store.cursor_key(), founding.exchange.clone()),
            exchange: founding.exchange,
            store,
            tail,
            roster: published,
            draining: CancellationToken::new(),
            streams: Streams::default(),
            quotas,
            durable,
            testimony,
            deliveries,
            floor,
            demands,
            tally,
            readers: Turns::new(settings.workers.max(2)),
            checks: Turns::new(limits::CHECKED_PER_MEMBER_MAX),
            ledgers: Ledgers::default(),
            lone: Semaphore::new(1),
            jobs: spawn_workers(&checker, &queue, settings.workers)?,
            checker,
            readiness,
            queue,
            clock,
            log_secret,
            log_keys,
            genesis,
            trust_domain: founding.trust_domain,
            epochs,
        };
        Ok((Arc::new(hub), sequencer, work))
    }

    /// How long the sequencer has been at what it does now.
    pub fn at_work(&self) -> Duration {
        self.store.at_work()
    }

    /// Whether a write failed of which the sequencer may never hear. Blocks while a disk is slow.
    pub fn has_failed(&self) -> bool {
        self.store.has_failed()
    }

    /// The exchange's name.
    pub fn exchange(&self) -> &ExchangeName {
        &self.exchange
    }

    /// The SPIFFE trust domain of its members.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The entry at sequence 0.
    pub fn genesis(&self) -> &pb::Entry {
        &self.genesis
    }

    /// Where the log stands, durable.
    pub fn head(&self) -> DurableHead {
        self.tail.head()
    }

    /// Who takes part by the newest entry that is durable: what is allowed is judged by it. It may be ahead of
    /// [`Hub::head`], whose own roster is the one for counts as of a size.
    pub fn roster(&self) -> Arc<Roster> {
        self.roster.load_full()
    }

    /// Where an earlier epoch of this log ended; `None` if it is not one.
    pub(super) fn end_of_epoch(&self, epoch: u32) -> Option<u64> {
        self.epochs.iter().find(|(previous, _)| *previous == epoch).map(|(_, place)| *place)
    }

    /// The hub's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The head, and when that was read.
    pub(super) fn read_head(
        &self,
        head: &mut watch::Receiver<DurableHead>,
    ) -> (DurableHead, Timestamp) {
        self.tail.read_head(head, || self.clock.now())
    }

    /// Signs what was sent on a stream.
    pub(super) fn sign_mark(&self, statement: &MarkStatement) -> (Vec<u8>, [u8; 64]) {
        let bytes = statement.to_bytes();
        let signature = self.log_secret.sign(MARK_PAYLOAD_TYPE, &bytes);
        (bytes, signature)
    }

    /// Signs what was listed.
    pub(super) fn sign_listing(&self, listing: &ListingStatement) -> Signed {
        let statement = listing.to_bytes();
        let signature = self.log_secret.sign(LISTING_PAYLOAD_TYPE, &statement).to_vec();
        Signed { statement, signature }
    }

    /// Signs that evidence was handed in.
    pub(super) fn sign_report(&self, report: &ReportStatement) -> Signed {
        let statement = report.to_bytes();
        let signature = self.log_secret.sign(REPORT_PAYLOAD_TYPE, &statement).to_vec();
        Signed { statement, signature }
    }

    /// Lets the hub do what time alone brings about: erase what is due. To be called about once a second.
    pub fn tick(&self) {
        // If the queue is full, the next one comes in time.
        let _later = self.queue.try_send(Work::Tick);
    }

    /// Ends every subscription with its cursor and takes nothing new.
    pub fn drain(&self) {
        readiness::set(&self.readiness, Cause::Draining, true);
        self.draining.cancel();
    }

    /// Whether records are taken, and what keeps them out. The disk and the clock are looked at with every tick.
    pub fn readiness(&self) -> Readiness {
        *self.readiness.borrow()
    }

    /// The same for who waits until it changes.
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// What the operator chose anew holds from now on: for records that are checked from here, and for retention with
    /// the next tick.
    pub async fn choose(&self, choice: Choice) -> Result<(), Refusal> {
        let Choice { retention, warning_lists, frameworks } = choice;
        self.enqueue(Work::Retain(retention)).await?;
        self.checker.advise(Advice { lists: warning_lists, frameworks });
        Ok(())
    }

    /// By what publishers are warned, and techniques are named.
    pub(super) fn advice(&self) -> Arc<Advice> {
        self.checker.advice()
    }

    /// The caller as a reader; refused unless it is a member in good standing.
    pub fn reader(&self, member: &MemberId) -> Result<Reader, Refusal> {
        self.reader_as_of(member).map(|(reader, _access)| reader)
    }

    /// The same, and the size of the log as of which it is in its audiences.
    pub(super) fn reader_as_of(&self, member: &MemberId) -> Result<(Reader, u64), Refusal> {
        let roster = self.roster.load();
        let reader = Reader::of(&roster, member).ok_or_else(|| not_a_member(member))?;
        if reader.suspended {
            return Err(Refusal::new(Reason::MemberSuspended, format!("{member} is suspended")));
        }
        Ok((reader, access_of(&roster, member)))
    }

    /// The right of a member in good standing to one more stream.
    pub fn open_stream(&self, member: &MemberId, carries: Carries) -> Result<StreamSlot, Refusal> {
        self.reader(member)?;
        let quota = usize::try_from(self.streams_max(member)).unwrap_or(usize::MAX);
        let opened = self.streams.open(member, carries, quota);
        opened.inspect_err(|_too_many| self.quotas.note_refused_stream(member))
    }

    /// How a member stands with each limit of its quota.
    pub(super) fn standing_with(
        &self,
        member: &MemberId,
        quota: &Quota,
    ) -> [QuotaUse; QuotaLimit::ALL.len()] {
        let open = self.streams.count(member, Carries::Records);
        self.quotas.standing(member, quota, open)
    }

    /// What the roster lets a member ask of the hub, and what is left of it.
    pub fn quota(&self, member: &MemberId) -> Result<QuotaState, Refusal> {
        self.reader(member)?;
        let quota = self.quota_of(member);
        Ok(QuotaState {
            quota: Quota { streams: self.streams_max(member), ..quota },
            left: self.quotas.left(member, &quota),
            streams_open: self.streams.count(member, Carries::Records),
        })
    }

    /// Takes so many values or pages from a member's quota.
    pub(super) fn take_lookups(&self, member: &MemberId, count: usize) -> Result<(), Refusal> {
        self.quotas.take_lookups(member, &self.quota_of(member), count)
    }

    fn quota_of(&self, member: &MemberId) -> Quota {
        self.roster.load().member(member).map(|member| member.quota).unwrap_or_default()
    }

    fn streams_max(&self, member: &MemberId) -> u32 {
        let maximum = u32::try_from(limits::STREAMS_PER_MEMBER_MAX).unwrap_or(u32::MAX);
        match self.quota_of(member).streams {
            0 => maximum,
            own => own.min(maximum),
        }
    }

    /// Checks the signatures of a batch, in parallel with other batches.
    pub async fn prepare(
        &self,
        caller: &MemberId,
        envelopes: Vec<pb::Envelope>,
    ) -> Result<Prepared, Refusal> {
        let count = envelopes.len();
        let prepared = async {
            demand_batch(&envelopes)?;
            self.quotas.demand_patience(caller)?;
            let (answer, checked) = oneshot::channel();
            self.hand_over(caller, envelopes, Then::Return(answer)).await?;
            let records = checked.await.map_err(|_ended| draining())?;
            Ok(Prepared { records, count })
        };
        self.counted(count, prepared.await)
    }

    /// The same on this thread.
    #[cfg(test)]
    pub(super) fn prepare_here(&self, envelopes: Vec<pb::Envelope>) -> Prepared {
        let count = envelopes.len();
        Prepared { records: self.checker.check(envelopes), count }
    }

    /// Counts a batch that is refused as a whole; its records come to no verdict of their own.
    fn counted<T>(&self, records: usize, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        outcome.inspect_err(|refusal| self.tally.take_refused(refusal.reason, records))
    }

    /// Members take turns: to check a signature takes longer than to send one, and a quota is asked about only behind it.
    async fn hand_over(
        &self,
        caller: &MemberId,
        envelopes: Vec<pb::Envelope>,
        then: Then,
    ) -> Result<(), Refusal> {
        let (checks, jobs) = (self.checks.clone(), self.jobs.clone());
        let hand = move |turn| {
            // There is a place for each turn.
            jobs.try_send(Job { envelopes, then, turn }).map_err(|_closed| draining())
        };
        let whose = Some(caller.clone());
        if let Some(turn) = checks.try_take(whose.clone()) {
            return hand(turn);
        }
        let waiting = async move {
            let turn = tokio::time::timeout(limits::SEQUENCER_WAIT_MAX, checks.take(whose)).await;
            hand(turn.map_err(|_elapsed| busy())?)
        };
        apart(waiting).await.map_err(|_cut_off| draining())?
    }

    /// Hands a batch to the sequencer; what comes back resolves when the batch is durable. Batches of one caller
    /// that are handed over one after the other are ordered so, and what may depend on another comes in the same order.
    pub async fn submit(
        &self,
        caller: &MemberId,
        prepared: Prepared,
        order: Order,
    ) -> Result<Ticket, Refusal> {
        let count = prepared.count;
        self.counted(count, self.queue_up(caller, prepared, order).await)
    }

    async fn queue_up(
        &self,
        caller: &MemberId,
        prepared: Prepared,
        order: Order,
    ) -> Result<Ticket, Refusal> {
        if self.draining.is_cancelled() {
            return Err(draining());
        }
        let (answer, ticket) = oneshot::channel();
        let Prepared { records, count } = prepared;
        let submission = Submission { caller: caller.clone(), records, order, answer };
        self.enqueue(Work::Publish(submission)).await?;
        Ok(Ticket { answer: ticket, count })
    }

    /// Hands a wish about a durable subscription to the sequencer's thread.
    pub(super) async fn keep(&self, request: durable::Request) -> Result<(), Refusal> {
        if self.draining.is_cancelled() {
            return Err(draining());
        }
        self.enqueue(Work::Keep(request)).await
    }

    /// Hands what a member signed beside the log to the sequencer's thread.
    pub(super) async fn keep_testimony(&self, request: testimony::Request) -> Result<(), Refusal> {
        if self.draining.is_cancelled() {
            return Err(draining());
        }
        self.enqueue(Work::Testify(request)).await
    }

    async fn enqueue(&self, work: Work) -> Result<(), Refusal> {
        let work = match self.queue.try_send(work) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(work)) => work,
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(draining()),
        };
        let queue = self.queue.clone();
        let waiting = async move { queue.send_timeout(work, limits::SEQUENCER_WAIT_MAX).await };
        match apart(waiting).await.map_err(|_cut_off| draining())? {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(busy()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(draining()),
        }
    }

    /// Streams that a member has open.
    pub(super) fn streams_of(&self, member: &MemberId) -> usize {
        let count = |carries| self.streams.count(member, carries);
        count(Carries::Records).saturating_add(count(Carries::Roster))
    }

    /// Streams that are open on a durable subscription.
    pub(super) fn streams_on(&self, name: &SubscriptionName) -> usize {
        self.streams.count_on(name)
    }

    /// Publishes a batch and waits until it is durable.
    pub async fn publish(
        &self,
        caller: &MemberId,
        envelopes: Vec<pb::Envelope>,
    ) -> Result<Vec<Outcome>, Refusal> {
        let count = envelopes.len();
        self.counted(count, self.publish_batch(caller, envelopes).await)
    }

    async fn publish_batch(
        &self,
        caller: &MemberId,
        envelopes: Vec<pb::Envelope>,
    ) -> Result<Vec<Outcome>, Refusal> {
        demand_batch(&envelopes)?;
        if self.draining.is_cancelled() {
            return Err(draining());
        }
        self.quotas.demand_patience(caller)?;
        let count = envelopes.len();
        if count == 1
            && let Ok(_turn) = self.lone.try_acquire()
        {
            // One thread fewer to wake, which takes longer than the check.
            let records = self.checker.check(envelopes);
            let prepared = Prepared { records, count };
            let ticket = self.queue_up(caller, prepared, Order::default()).await?;
            return Ok(ticket.outcomes().await);
        }
        let (answer, ticket) = oneshot::channel();
        let then = Then::Submit { caller: caller.clone(), answer };
        self.hand_over(caller, envelopes, then).await?;
        Ok(Ticket { answer: ticket, count }.outcomes().await)
    }

    /// Runs a read for a member, or for the hub itself, off the runtime's threads. It is halted when its caller goes
    /// away, or when the time of the call is over.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        member: Option<&MemberId>,
        work: impl FnOnce(&Store, &Halt) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let halt = Halt::default();
        let _caller = halt.on_drop();
        let (tally, clock) = (Arc::clone(&self.tally), Arc::clone(&self.clock));
        let read = move |turn| {
            let done = work(&store, &halt);
            drop(turn);
            // A read that ends because nobody waits for it did not fail.
            if done.is_err() && !halt.is_halted() {
                tally.take_failed_read(clock.now());
            }
            done
        };
        let (readers, whose) = (self.readers.clone(), member.cloned());
        if let Some(turn) = readers.try_take(whose.clone()) {
            return tokio::task::spawn_blocking(move || read(turn)).await.map_err(cut_off)?;
        }
        let waiting = async move {
            let turn = readers.take(whose).await;
            tokio::task::spawn_blocking(move || read(turn)).await
        };
        apart(waiting).await.and_then(|read| read).map_err(cut_off)?
    }

    /// Begins to read what comes next while what came before is sent. Nothing if it is in memory anyway, or if all
    /// readers have work that somebody waits for.
    pub(super) fn read_ahead(
        &self,
        member: &MemberId,
        sequence: u64,
        bytes_max: usize,
    ) -> Option<ReadAhead> {
        if self.tail.reaches(sequence) {
            return None;
        }
        let turn = self.readers.try_take(Some(member.clone()))?;
        let store = Arc::clone(&self.store);
        let read = move || {
            let blocks = store.blocks_from(sequence, bytes_max);
            drop(turn);
            blocks
        };
        let since = self.tail.begin_reading();
        Some(ReadAhead { sequence, since, blocks: tokio::task::spawn_blocking(read) })
    }

    /// Consecutive blocks from a sequence on, from memory or from the disk.
    pub(super) async fn blocks_from(
        &self,
        member: &MemberId,
        sequence: u64,
        bytes_max: usize,
    ) -> Result<Vec<Arc<LogBlock>>, StoreError> {
        if let Some(blocks) = self.tail.blocks_from(sequence, bytes_max) {
            return Ok(blocks);
        }
        let read = move |store: &Store, _short: &Halt| store.blocks_from(sequence, bytes_max);
        let blocks = self.read(Some(member), read).await?;
        Ok(blocks.into_iter().map(Arc::new).collect())
    }
}

/// Blocks that are being read before they are asked for.
pub(super) struct ReadAhead {
    sequence: u64,
    since: ReadSince,
    blocks: tokio::task::JoinHandle<Result<Vec<LogBlock>, StoreError>>,
}

impl ReadAhead {
    /// The blocks, if they are those from this sequence on, and no body was erased since.
    pub(super) async fn from(
        self,
        sequence: u64,
        tail: &Tail,
    ) -> Option<Result<Vec<Arc<LogBlock>>, StoreError>> {
        if self.sequence != sequence || !tail.still_holds(self.since) {
            return None;
        }
        let blocks = self.blocks.await.map_err(cut_off).and_then(|read| read);
        // Again, now that they are here: what was erased while they were awaited must not be sent.
        let blocks = blocks.map(|blocks| blocks.into_iter().map(Arc::new).collect());
        tail.still_holds(self.since).then_some(blocks)
    }
}

/// Waits for something that all share in a task of its own, which ends with its caller. A caller may be a stream whose reader
/// holds it back: it is not asked for more until that reads on, and what it were given meanwhile would lie with it, and be
/// nobody's.
async fn apart<T: Send + 'static>(
    waiting: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    AbortOnDropHandle::new(TaskTracker::new().spawn(waiting)).await
}

fn cut_off(_ended: JoinError) -> StoreError {
    StoreError::Io { action: "reading", cause: "the read was cut off".to_owned() }
}

/// A batch whose signatures were checked.
#[derive(Debug)]
pub struct Prepared {
    records: Vec<Checked>,
    count: usize,
}

/// The promise of an answer.
#[derive(Debug)]
pub struct Ticket {
    answer: oneshot::Receiver<Vec<Outcome>>,
    count: usize,
}

impl Ticket {
    /// What became of each record, if that is certain by now.
    #[cfg(test)]
    pub(super) fn outcomes_now(&mut self) -> Option<Vec<Outcome>> {
        self.answer.try_recv().ok()
    }

    /// What became of each record, once that is certain.
    pub async fn outcomes(self) -> Vec<Outcome> {
        self.answer.await.unwrap_or_else(|_ended| {
            let refusal = Refusal::new(
                Reason::OutcomeUnknown,
                "the hub stopped before the outcome was certain; send the same bytes again",
            );
            vec![Err(refusal); self.count]
        })
    }
}

/// The size of the log as of which what a member may see is what it is now.
fn access_of(roster: &Roster, member: &MemberId) -> u64 {
    let changed = roster.audiences.changed_at(member);
    changed.map_or(0, |sequence| sequence.0.saturating_add(1))
}

/// The refusal of somebody who is not on the roster.
pub(super) fn not_a_member(member: &MemberId) -> Refusal {
    Refusal::new(Reason::NotAMember, format!("{member} is not a member of this exchange"))
}

/// The refusal of a hub that is shutting down.
pub(super) fn draining() -> Refusal {
    Refusal::new(Reason::Draining, "the hub is shutting down; try again in a moment")
}

/// The refusal of a hub that has as much under way as it may.
fn busy() -> Refusal {
    let message = "the hub has more to write than it can; nothing was appended, try again";
    Refusal::new(Reason::Busy, message)
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| StoreError::Io { action: "starting a thread", cause: error.to_string() })
}

fn spawn_workers(
    checker: &Arc<Checker>,
    sequencer: &mpsc::Sender<Work>,
    workers: usize,
) -> Result<mpsc::Sender<Job>, StoreError> {
    let (jobs, waiting) = mpsc::channel(limits::CHECKED_PER_MEMBER_MAX + 1);
    let bench = Arc::new(Bench {
        jobs: Mutex::new(waiting),
        checker: Arc::clone(checker),
        sequencer: sequencer.clone(),
    });
    for _worker in 0..workers.max(1) {
        let bench = Arc::clone(&bench);
        // Detached: it ends when the hub's handles are gone, and owns nothing that outlives it.
        drop(spawn("prepare", move || bench.work())?);
    }
    Ok(jobs)
}

fn demand_batch(envelopes: &[pb::Envelope]) -> Result<(), Refusal> {
    if envelopes.len() > limits::BATCH_RECORDS_MAX {
        return Err(Refusal::field(
            Reason::BatchTooLarge,
            "envelopes",
            format!("{} records, more than {}", envelopes.len(), limits::BATCH_RECORDS_MAX),
        ));
    }
    let bytes: usize = envelopes.iter().map(prost::Message::encoded_len).sum();
    // One record that is too large is answered for itself; a batch of many is refused whole.
    if bytes > limits::BATCH_BYTES_MAX && envelopes.len() > 1 {
        return Err(Refusal::field(
            Reason::BatchTooLarge,
            "envelopes",
            format!("{bytes} bytes, more than {}", limits::BATCH_BYTES_MAX),
        ));
    }
    Ok(())
}

/// Where each epoch but the first began, with the one that ended there.
pub(super) type Epochs = Vec<(u32, u64)>;

/// What is kept beside the log: durable subscriptions, and what was delivered.
fn load_kept(store: &Store) -> Result<(Arc<durable::Registry>, Deliveries), StoreError> {
    Ok((Arc::new(durable::Registry::load(store)?), Deliveries::load(store)?))
}

/// The keys that have signed for a log.
pub(super) fn log_keys(exchange: &ExchangeName, roster: &Roster) -> Result<LogKeys, OpenError> {
    LogKeys::of(exchange, roster.log_keys()).ok_or(OpenError::LogKey)
}

/// The key that signs for the log now, which must be the one at hand.
pub(super) fn current_log_key(
    exchange: &ExchangeName,
    roster: &Roster,
    log_secret: &SecretKey,
) -> Result<LogKey, OpenError> {
    let keys = log_keys(exchange, roster)?;
    let current = keys.current();
    if current.verifying().id() == log_secret.id() {
        Ok(current.clone())
    } else {
        Err(OpenError::LogKey)
    }
}

/// Who takes part, folded from the log, and each place at which an epoch began, with the epoch that ended there.
pub(super) fn fold_roster(
    store: &Store,
    exchange: &ExchangeName,
) -> Result<(Arc<Roster>, Epochs), OpenError> {
    let (mut roster, mut epochs) = (Roster::default(), Vec::new());
    for sequence in store.roster_sequences()? {
        let refused = |refusal| OpenError::Roster { sequence, refusal };
        let envelope = entries::read(store, sequence)?.entry.envelope.unwrap_or_default();
        let record = wire::envelope::record(envelope).map_err(refused)?;
        if let Content::Epoch(start) = &record.content {
            epochs.push((start.previous, sequence));
        }
        let changed = wire::roster::apply(&roster, exchange, &record, Sequence(sequence));
        if let Some(changed) = changed.map_err(refused)? {
            roster = changed;
        }
    }
    Ok((Arc::new(roster), epochs))
}
