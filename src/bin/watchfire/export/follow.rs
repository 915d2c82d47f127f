//! `--follow`: files that are kept current from a subscription.
//!
//! Records and the place are kept in a database beside the files, in one step; the files are made of that. So a crash at
//! any moment leaves files that were whole once and a place that fits the database, and the next start makes the files
//! anew from it. The hub is told of a place when the files are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use watchfire::client::Batch;
use watchfire::client::Batcher;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Compacted;
use watchfire::client::Delivery;
use watchfire::client::ExportContext;
use watchfire::client::From;
use watchfire::client::Origin;
use watchfire::client::Patience;
use watchfire::client::Place;
use watchfire::client::Sink;
use watchfire::client::SqliteSink;
use watchfire::client::Step;
use watchfire::client::StoredRecords;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::client::apply_apart;
use watchfire::model::filter::Filter;
use watchfire::model::names::RecordName;
use watchfire::model::reason::Reason;
use watchfire::model::time::Timestamp;

use crate::context::Context;
use crate::crl::now;
use crate::export::Common;
use crate::export::PATIENCE;
use crate::export::product::Product;
use crate::follow;
use crate::follow::Following;
use crate::follow::Progress;
use crate::keeper::Keeper;
use crate::output;
use crate::subscribe::subscription_name;

/// Files are made when nothing came for so long.
const QUIET: Duration = Duration::from_millis(300);
/// And so long after the first change that they do not show, whatever comes.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// How long to sleep at most before the clock is looked at again: it may be set.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Batches that may wait while files are made.
const BATCHES_WAITING: usize = 4;

/// Whether and how it goes on.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FollowFlags {
    /// Go on, and keep the files current as records come, change, end and are taken back.
    #[arg(long, requires = "out")]
    follow: bool,
    /// Let the hub keep the filter and the place under this name, too: it is told when the files are there.
    #[arg(long, value_name = "NAME", requires = "follow")]
    subscription: Option<String>,
    /// End when the files are current.
    #[arg(long, requires = "follow")]
    until_head: bool,
}

impl FollowFlags {
    pub(super) const fn is_on(&self) -> bool {
        self.follow
    }
}

/// Keeps a product current; its records are in the database at `state`.
pub(super) async fn run(
    context: &Context,
    common: &Common,
    flags: &FollowFlags,
    state: PathBuf,
    product: impl Product,
) -> anyhow::Result<()> {
    run_with(context, common, flags, state, product, |filter| filter).await
}

/// The same with a narrower filter than the flags say.
pub(super) async fn run_with(
    context: &Context,
    common: &Common,
    flags: &FollowFlags,
    state: PathBuf,
    mut product: impl Product,
    narrow: impl Fn(Filter) -> Filter,
) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let filter = match common.filter(&client).await {
        // It was right once: access may be gone since, and then what is held must go, too.
        Err(error) if state.exists() => {
            output::note(&output::clean(&format!("warning: {error:#}")));
            common.filter.filter(client.profile())?
        }
        checked => checked?,
    };
    let filter = narrow(filter);
    loop {
        let ended = Box::pin(follow_once(&client, flags, &filter, &state, &mut product)).await?;
        client.remember_roster().await?;
        match ended {
            Ended::Done => {
                product.tell();
                return Ok(());
            }
            Ended::AnewNeeded(why) => {
                output::note(&format!("{why}: all that is current is taken anew"));
                forget(&state)?;
                product.clear()?;
            }
        }
    }
}

/// How one go ended.
enum Ended {
    Done,
    /// What is held may be more than what may be seen now, for this reason.
    AnewNeeded(&'static str),
}

/// What a stream brings.
enum Came {
    Batch(Box<Batch>),
    /// Records may be held that are not to be seen any more.
    AccessLost,
}

async fn follow_once<P: Product>(
    client: &Client,
    flags: &FollowFlags,
    filter: &Filter,
    state: &Path,
    product: &mut P,
) -> anyhow::Result<Ended> {
    let (durable, filter) = match &flags.subscription {
        Some(id) => {
            let name = subscription_name(id, client.profile())?;
            let durable = client.durable(&name, filter.clone()).await?;
            let filter = durable.filter().clone();
            (Some(durable), filter)
        }
        None => (None, filter.clone()),
    };
    let origin = Origin::new(client.profile().settings(), &filter);
    let mut sink = SqliteSink::open(state, &origin)?;
    let is_of_now = |place: &Place| place.epoch >= client.accepted_epoch();
    if !sink.place().is_some_and(is_of_now) {
        // What a go held that was cut off before it had everything may have been taken back since, unseen; and what came
        // before a restore may be void.
        drop(sink);
        forget(state)?;
        sink = SqliteSink::open(state, &origin)?;
    }
    let own = sink.place().cloned();
    let has_all = own.is_some();
    let (from, acknowledger) = match durable {
        Some(durable) => {
            let joined = durable.join_whole(own).await?;
            (joined.from, Some(joined.acknowledger))
        }
        None => (own.map_or(From::Snapshot, From::Place), None),
    };
    let until_head = flags.until_head;
    let patience = if until_head { PATIENCE } else { Patience::Unlimited };
    let cutter = Batcher::new(&from);
    let options = SubscribeOptions { from, filter, until_head, patience };
    let following = Following { client: client.clone(), options, compacted: Compacted::Refused };
    let mut progress = Progress::new(Keeper::nowhere(), acknowledger);
    let mut keeping = Keeping {
        client,
        stored: StoredRecords::open(state)?,
        context: ExportContext::default(),
        sink: Some(Box::new(sink)),
        product,
        dirty: BTreeSet::new(),
        has_all,
        next: None,
    };
    keeping.load().await?;
    let mut ended = Ended::Done;
    let work = Box::pin(async {
        let subscription = match following.open().await {
            Err(error) if is_compacted(&error) => {
                ended = Ended::AnewNeeded("the hub has let go of what came since");
                return Ok(());
            }
            opened => opened?,
        };
        ended = keeping.go_on(subscription, cutter, &mut progress).await?;
        Ok(())
    });
    let done = follow::until_asked(work).await;
    progress.finish(done).await?;
    Ok(ended)
}

fn is_compacted(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(refused) if refused.is(Reason::CursorCompacted))
}

/// Removes a database with its companions.
fn forget(state: &Path) -> anyhow::Result<()> {
    for end in ["-wal", "-shm", ""] {
        let mut path = state.as_os_str().to_owned();
        path.push(end);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The database, and what is made of it.
struct Keeping<'a, P> {
    client: &'a Client,
    stored: StoredRecords,
    context: ExportContext,
    /// Absent while a step is carried out, and after one that failed.
    sink: Option<Box<dyn Sink>>,
    product: &'a mut P,
    /// Records that changed since the product was given them.
    dirty: BTreeSet<RecordName>,
    /// Whether the database holds all that is current: before that, files would say too little.
    has_all: bool,
    /// When the files change by themselves.
    next: Option<Timestamp>,
}

impl<P: Product> Keeping<'_, P> {
    /// Gives the product what is held, and makes the files if that is all.
    async fn load(&mut self) -> anyhow::Result<()> {
        if self.has_all {
            self.dirty = self.stored.names()?.into_iter().collect();
            self.make().await?;
        }
        Ok(())
    }

    /// Keeps what comes, and makes the files whenever it is quiet, or something ends.
    async fn go_on(
        &mut self,
        subscription: Subscription,
        cutter: Batcher,
        progress: &mut Progress,
    ) -> anyhow::Result<Ended> {
        let (send, mut receive) = mpsc::channel(BATCHES_WAITING);
        // Apart, since a stream must not be dropped in the midst of what it does when the time to write has come.
        let reading = TaskTracker::new().spawn(read(subscription, cutter, send));
        let _end = AbortOnDrop(reading.abort_handle());
        let mut place: Option<Place> = None;
        let mut changed: Option<Instant> = None;
        loop {
            let came = tokio::time::timeout(self.wait(place.is_some(), changed), receive.recv());
            let batch = match progress.meanwhile(came).await? {
                Ok(Some(Ok(Came::Batch(batch)))) => Some(batch),
                Ok(Some(Ok(Came::AccessLost))) => return Ok(Ended::AnewNeeded("access was lost")),
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => {
                    self.settle(place, progress).await?;
                    return Ok(Ended::Done);
                }
                Err(_quiet) => None,
            };
            let is_quiet = batch.is_none();
            if let Some(batch) = batch {
                changed = changed.or_else(|| (!batch.items.is_empty()).then(Instant::now));
                place = Some(self.keep(*batch).await?);
            }
            let is_late = changed.is_some_and(|changed| changed.elapsed() >= BEHIND_MAX);
            if !is_quiet && !is_late {
                continue;
            }
            self.settle(place.take(), progress).await?;
            changed = None;
        }
    }

    /// How long to wait for more before the files are made.
    fn wait(&self, has_place: bool, changed: Option<Instant>) -> Duration {
        if has_place && self.has_all {
            let left = changed.map(|changed| BEHIND_MAX.saturating_sub(changed.elapsed()));
            return left.map_or(QUIET, |left| left.min(QUIET));
        }
        let next = self.next.map(|next| next.saturating_since(now()));
        next.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN))
    }

    /// Keeps a batch, and notes what changed.
    async fn keep(&mut self, batch: Batch) -> anyhow::Result<Place> {
        let place = batch.place.clone();
        self.has_all |= place.cursor.is_some() || place.sequence.is_some();
        for item in &batch.items {
            self.dirty.insert(item.header.name.clone());
            self.dirty.extend(item.withdraws.iter().map(|withdraws| withdraws.of.clone()));
        }
        let sink = self.sink.take().ok_or_else(|| anyhow::anyhow!("the database failed"))?;
        let (sink, _applied) = apply_apart(sink, Step::of(batch)).await?;
        self.sink = Some(sink);
        Ok(place)
    }

    /// Makes the files, and tells of the place then.
    async fn settle(
        &mut self,
        place: Option<Place>,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        if !self.has_all {
            return Ok(());
        }
        let is_due = self.next.is_some_and(|next| next <= now());
        if !self.dirty.is_empty() || is_due {
            Box::pin(progress.meanwhile(self.make())).await??;
        }
        match place {
            Some(place) => progress.took_effect(&place),
            None => Ok(()),
        }
    }

    async fn make(&mut self) -> anyhow::Result<()> {
        for name in std::mem::take(&mut self.dirty) {
            match self.stored.get(&name)? {
                Some(stored) => {
                    let record = self.context.complete(self.client, stored).await?;
                    self.product.put(record)?;
                }
                None => self.product.remove(&name)?,
            }
        }
        // A few milliseconds for what changed; at a start, as long as a one-shot export takes.
        let now = now();
        tokio::task::block_in_place(|| self.product.write(now))?;
        self.next = self.product.next_change(now);
        Ok(())
    }
}

/// Ends a task with its owner.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads the stream to its end. Nobody is left to be told if what it sends is not taken.
async fn read(
    subscription: Subscription,
    cutter: Batcher,
    send: mpsc::Sender<anyhow::Result<Came>>,
) {
    if let Err(error) = pass_on(subscription, cutter, &send).await {
        drop(send.send(Err(error)).await);
    }
}

async fn pass_on(
    mut subscription: Subscription,
    mut cutter: Batcher,
    send: &mpsc::Sender<anyhow::Result<Came>>,
) -> anyhow::Result<()> {
    while let Some(delivery) = subscription.next().await? {
        follow::tell(&delivery);
        for batch in cutter.take(&delivery) {
            send.send(Ok(Came::Batch(Box::new(batch)))).await?;
        }
        if matches!(&delivery, Delivery::AccessChanged(change) if !change.lost.is_empty()) {
            send.send(Ok(Came::AccessLost)).await?;
        }
    }
    for batch in cutter.flush() {
        send.send(Ok(Came::Batch(Box::new(batch)))).await?;
    }
    Ok(())
}
