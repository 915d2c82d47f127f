//! What `watchfire subscribe` does with what comes: show it, give it to a command, or keep it in a sink; and where it
//! stands, told to whoever keeps that.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use watchfire::client::Acknowledger;
use watchfire::client::Answered;
use watchfire::client::Answering;
use watchfire::client::Batch;
use watchfire::client::Batcher;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Compacted;
use watchfire::client::Delivery;
use watchfire::client::Exec;
use watchfire::client::Holding;
use watchfire::client::Place;
use watchfire::client::Recall;
use watchfire::client::Sink;
use watchfire::client::SinkError;
use watchfire::client::Step;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::client::apply_apart;
use watchfire::model::names::RecordName;

use crate::keeper::Keeper;
use crate::output;
use crate::records::Shown;
use crate::stop;

/// What to follow, and from where.
pub(crate) struct Following {
    pub(crate) client: Client,
    pub(crate) options: SubscribeOptions,
    pub(crate) compacted: Compacted,
}

impl Following {
    pub(crate) async fn open(self) -> Result<Subscription, ClientError> {
        self.client.subscribe_or(self.options, self.compacted).await
    }
}

/// Who is told how far it has come.
pub(crate) struct Progress {
    keeper: Keeper,
    acknowledger: Option<Acknowledger>,
}

impl Progress {
    /// A file of this client, and the hub; either may be nobody.
    pub(crate) const fn new(keeper: Keeper, acknowledger: Option<Acknowledger>) -> Self {
        Self { keeper, acknowledger }
    }

    /// Everything up to this place took effect.
    pub(crate) fn took_effect(&mut self, place: &Place) -> anyhow::Result<()> {
        if let Some(acknowledger) = &mut self.acknowledger {
            acknowledger.took_effect(place);
        }
        self.keeper.save(place)
    }

    /// Does some work, and meanwhile tells the hub what it has not heard yet.
    pub(crate) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, ClientError> {
        match &mut self.acknowledger {
            Some(acknowledger) => acknowledger.meanwhile(work).await,
            None => Ok(work.await),
        }
    }

    /// Tells the hub the rest, however the work ended; the first failure counts.
    pub(crate) async fn finish(self, done: anyhow::Result<()>) -> anyhow::Result<()> {
        let told = match self.acknowledger {
            Some(acknowledger) => acknowledger.finish().await,
            None => Ok(()),
        };
        done.and_then(|()| Ok(told?))
    }
}

/// Shows what comes. Only where the hub keeps the place an end that was asked for is waited for: the reader of what is
/// shown may block, and must not block that too.
pub(crate) async fn show(
    following: Following,
    mut shown: Shown,
    mut progress: Progress,
) -> anyhow::Result<()> {
    let is_told = progress.acknowledger.is_some();
    let work = Box::pin(async {
        let mut subscription = following.open().await?;
        while let Some(delivery) = progress.meanwhile(subscription.next()).await?? {
            tell(&delivery);
            if let Delivery::Entries { entries, .. } = &delivery {
                shown.show(entries)?;
            }
            // After what was shown has left: a crash in between shows it again, and never leaves it out.
            progress.took_effect(subscription.place())?;
        }
        Ok(())
    });
    let done = if is_told { until_asked(work).await } else { work.await };
    progress.finish(done).await
}

/// Runs a command for each batch until the end, or until this process is asked to stop; then the command is killed.
pub(crate) async fn run_each(
    following: Following,
    exec: &Exec,
    mut progress: Progress,
) -> anyhow::Result<()> {
    let cutter = Batcher::new(&following.options.from).offering_again(progress.keeper.offered());
    // What is dropped half-way is not acknowledged, and comes again.
    let work = Box::pin(async {
        let mut batches = Batches::new(following.open().await?, cutter);
        while let Some(batch) = progress.meanwhile(batches.next()).await?? {
            progress.keeper.offer(&batch)?;
            progress.meanwhile(exec.run(&batch)).await??;
            progress.took_effect(&batch.place)?;
        }
        Ok(())
    });
    let done = until_asked(work).await;
    progress.finish(done).await
}

/// Keeps each batch in a sink until the end, or until this process is asked to stop.
pub(crate) async fn keep(
    following: Following,
    mut keeping: Keeping,
    mut progress: Progress,
) -> anyhow::Result<()> {
    let cutter = Batcher::new(&following.options.from);
    let work = Box::pin(async {
        let mut batches = Batches::new(following.open().await?, cutter);
        while let Some(batch) = progress.meanwhile(batches.next()).await?? {
            let place = batch.place.clone();
            Box::pin(progress.meanwhile(keeping.take(batch))).await??;
            progress.took_effect(&place)?;
        }
        Ok(())
    });
    let done = until_asked(work).await;
    let (stored, repeated) = (keeping.stored, keeping.repeated);
    output::note(&format!("{stored} records were stored, {repeated} were there already"));
    progress.finish(done).await
}

/// Works until that is done, or until this process is asked to stop.
pub(crate) async fn until_asked(
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        done = work => done,
        asked = stop::asked() => Ok(asked?),
    }
}

/// Notes about a delivery, for people.
pub(crate) fn tell(delivery: &Delivery) {
    match delivery {
        Delivery::Entries { entries: _, left_filter, backfill } => {
            if *backfill {
                output::note("access was gained: earlier records follow");
            }
            for sequence in left_filter {
                output::note(&format!("the record at sequence {sequence} no longer matches"));
            }
        }
        Delivery::Mark(_) => {}
        Delivery::Snapshot => output::note("what is current follows, then what comes"),
        Delivery::AccessChanged(change) => {
            let (gained, lost) = (change.gained.join(" "), change.lost.join(" "));
            let text = format!("access changed: gained [{gained}], lost [{lost}]");
            output::note(&output::clean(&text));
        }
        Delivery::Interrupted(error) => {
            output::note(&format!("the connection was lost, trying again: {error}"));
        }
    }
}

/// Batches of a subscription, one after the other.
struct Batches {
    subscription: Subscription,
    batcher: Batcher,
    ready: VecDeque<Batch>,
}

impl Batches {
    fn new(subscription: Subscription, batcher: Batcher) -> Self {
        Self { subscription, batcher, ready: VecDeque::new() }
    }

    async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some(delivery) = self.subscription.next().await? else {
                self.ready.extend(self.batcher.flush());
                return Ok(self.ready.pop_front());
            };
            tell(&delivery);
            self.ready.extend(self.batcher.take(&delivery));
        }
    }
}

/// A sink, and the answers that follow from what it holds.
pub(crate) struct Keeping {
    /// Absent while a step is carried out, and after one that failed.
    sink: Option<Box<dyn Sink>>,
    answering: Option<Answering>,
    stored: u64,
    repeated: u64,
    /// Withdrawals that people were told of at the start; the stream brings them again.
    told: BTreeSet<RecordName>,
}

impl Keeping {
    /// Begins with what is to be answered, if this client answers.
    pub(crate) async fn start(
        client: &Client,
        sink: Box<dyn Sink>,
        answers: bool,
    ) -> anyhow::Result<Self> {
        let open = if answers { Answering::start(client, sink.place()).await? } else { None };
        let mut keeping = Self {
            sink: Some(sink),
            answering: None,
            stored: 0,
            repeated: 0,
            told: BTreeSet::new(),
        };
        if let Some((mut answering, batches)) = open {
            for batch in batches {
                let recalls = keeping.apply(batch).await?;
                keeping.told.extend(recalls.iter().map(|recall| recall.withdrawal.name.clone()));
                tell_answered(&answering.answer_listed(&recalls).await?);
            }
            keeping.answering = Some(answering);
        }
        Ok(keeping)
    }

    /// Keeps a batch; recalls in it are answered once that is done.
    async fn take(&mut self, batch: Batch) -> anyhow::Result<()> {
        let recalls = self.apply(batch).await?;
        if let Some(answering) = &mut self.answering {
            tell_answered(&answering.answer(&recalls).await?);
        }
        Ok(())
    }

    async fn apply(&mut self, batch: Batch) -> Result<Vec<Recall>, SinkError> {
        let failed = || SinkError::Failed { path: "the sink".into() };
        let sink = self.sink.take().ok_or_else(failed)?;
        let (sink, applied) = apply_apart(sink, Step::of(batch)).await?;
        self.sink = Some(sink);
        self.stored += applied.stored;
        self.repeated += applied.repeated;
        let new =
            applied.recalls.iter().filter(|recall| !self.told.remove(&recall.withdrawal.name));
        new.for_each(tell_recall);
        Ok(applied.recalls)
    }
}

fn tell_recall(recall: &Recall) {
    let done = match recall.holding {
        Holding::Deleted => "deleted here, as was demanded",
        Holding::Held => "held here, and marked",
        Holding::NotHeld => return,
    };
    output::note(&format!("{} was withdrawn: {done}", recall.withdrawal.of));
}

fn tell_answered(answered: &Answered) {
    let Answered { published, refused, waits } = answered;
    if *published > 0 {
        output::note(&format!("{published} withdrawals were answered"));
    }
    for refused in refused {
        output::note(&output::clean(&format!("an answer was refused: {refused}")));
    }
    if let Some(error) = waits {
        output::note(&format!("an answer waits in the outbox: {error}"));
    }
}
