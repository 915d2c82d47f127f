//! Who works through a bad network: publishers that send again, subscribers that go on where they stood, readers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use proptest::prelude::Rng as _;
use proptest::test_runner::TestRng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Delivery;
use watchfire::client::From;
use watchfire::client::Outcome;
use watchfire::client::Patience;
use watchfire::client::Place;
use watchfire::client::SubscribeOptions;
use watchfire::client::Subscription;
use watchfire::client::Unfinished;
use watchfire::model::filter::Filter;
use watchfire::model::names::Digest;
use watchfire::model::names::RecordName;
use watchfire::model::names::sha256;
use watchfire::profile::Profile;
use watchfire::wire::pb;

use crate::network::history::History;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::sign;

/// Records of a batch at most.
const BATCH_MAX: u32 = 24;
/// Batches under way at once on a stream.
const UNDER_WAY_MAX: usize = 4;
/// Between two attempts where the client itself makes none.
const PAUSE: Duration = Duration::from_millis(20);
/// A subscriber begins anew from its place after one delivery in so many.
const ANEW_ONE_IN: u32 = 8;

/// What publishers sent, and where it came to lie.
#[derive(Clone, Default)]
pub(super) struct Published {
    places: Arc<Mutex<BTreeMap<Digest, (RecordName, u64)>>>,
}

impl Published {
    pub(super) fn places(&self) -> BTreeMap<Digest, (RecordName, u64)> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn any(&self, random: &mut TestRng) -> Option<(RecordName, u64)> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = [0; 32];
        random.fill_bytes(&mut from);
        places.range(from..).next().or_else(|| places.iter().next()).map(|(_, it)| it.clone())
    }

    fn note(&self, digest: Digest, name: RecordName, place: u64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let before = places.insert(digest, (name, place));
        assert!(before.is_none_or(|(_, before)| before == place), "two places for one record");
    }
}

/// Connects, as often as it takes.
pub(super) async fn connect(profile: &Profile, address: &str) -> Client {
    loop {
        match Client::connect(profile.clone().at_address(Some(address.to_owned()))).await {
            Ok(client) => return client,
            Err(error) => demand_transient(&error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A bad network may cost time. That anything was refused, or did not hold, would be the hub's or the client's fault.
fn demand_transient(error: &ClientError) {
    assert!(error.is_transient(), "no fault of the network: {error:?}");
}

/// One who publishes.
pub(super) struct Publisher {
    pub(super) client: Client,
    pub(super) random: TestRng,
    pub(super) history: History,
    pub(super) published: Published,
    /// When each record that has no receipt was first sent.
    waiting: BTreeMap<Digest, u128>,
}

impl Publisher {
    pub(super) fn new(
        client: Client,
        random: TestRng,
        history: History,
        published: Published,
    ) -> Self {
        Self { client, random, history, published, waiting: BTreeMap::new() }
    }

    /// Publishes by calls and on streams until it is told to stop; then waits until everything has a receipt.
    pub(super) async fn publish(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if self.random.next_u32().is_multiple_of(2) {
                self.by_call().await;
            } else {
                self.on_a_stream(&stop).await;
            }
            while !self.waiting.is_empty() {
                let answered = self.client.resend_watched(&|_pause| ()).await;
                self.take(answered);
            }
        }
    }

    fn batch(&mut self) -> Vec<pb::Envelope> {
        let signer = self.client.signer().expect("a key");
        let count = 1 + self.random.next_u32() % BATCH_MAX;
        let one = |_| {
            let content = domain(&format!("n{}.example", self.random.next_u32() % 10_000));
            let envelope =
                sign(&self.client, draft(&signer, content, handling(&["companies"], &[])));
            self.waiting.insert(sha256(&envelope.payload), self.history.now());
            envelope
        };
        (0..count).map(one).collect()
    }

    async fn by_call(&mut self) {
        let batch = self.batch();
        let answered = self.client.publish_watched(batch, &|_pause| ()).await;
        self.take(answered);
    }

    fn take(&mut self, answered: Result<Vec<Outcome>, Unfinished>) {
        match answered {
            Ok(outcomes) => self.hear(outcomes),
            Err(unfinished) => {
                demand_transient(&unfinished.error);
                self.hear(unfinished.outcomes.into_iter().flatten());
            }
        }
    }

    /// Until the stream breaks: what was under way is in the outbox.
    async fn on_a_stream(&mut self, stop: &CancellationToken) {
        if let Err(error) = self.stream(stop).await {
            demand_transient(&error);
        }
    }

    async fn stream(&mut self, stop: &CancellationToken) -> Result<(), ClientError> {
        let mut stream = self.client.publish_stream().await?;
        loop {
            while stream.under_way() < UNDER_WAY_MAX && !stop.is_cancelled() {
                let batch = self.batch();
                stream.send(batch).await?;
            }
            if stop.is_cancelled() {
                stream.finish();
            }
            let Some(outcomes) = stream.answer().await? else { return Ok(()) };
            self.hear(outcomes);
        }
    }

    fn hear(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        for outcome in outcomes {
            let receipt = outcome.receipt().expect("nothing is refused");
            let called = self.waiting.remove(&receipt.header_digest);
            self.history.published(called.expect("it was sent and not answered"), receipt.sequence);
            self.published.note(receipt.header_digest, receipt.name, receipt.sequence);
        }
    }
}

/// What a subscriber was given, in order.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) places: Vec<u64>,
    /// How often its connection was lost under it, and how often it began anew from its place.
    pub(super) interrupted: u64,
    pub(super) begun_anew: u64,
}

/// One who subscribes.
pub(super) struct Subscriber {
    pub(super) profile: Profile,
    pub(super) address: String,
    pub(super) random: TestRng,
    pub(super) history: History,
}

impl Subscriber {
    /// Reads until everything below a place was delivered, which is known only later.
    pub(super) async fn read(mut self, mut until: watch::Receiver<u64>) -> Given {
        let (mut given, mut from) = (Given::default(), From::Start);
        while let Some(place) = self.follow(&from, &mut given, &mut until).await {
            from = From::Place(place);
        }
        given
    }

    /// Follows for a while; where it stands then, or nothing at the end.
    async fn follow(
        &mut self,
        from: &From,
        given: &mut Given,
        until: &mut watch::Receiver<u64>,
    ) -> Option<Place> {
        let client = connect(&self.profile, &self.address).await;
        let mut subscription = self.subscribe(&client, from).await;
        loop {
            let delivery = tokio::select! {
                delivery = subscription.next() => delivery,
                // It may stand there already: a mark says so, when it begins anew.
                changed = until.changed() => {
                    changed.expect("whoever knows the end waits for this");
                    return Some(subscription.place().clone());
                }
            };
            // Its patience is without limit: what it does not bear is no fault of the network.
            let delivery = delivery.expect("a delivery").expect("no end");
            if self.take(&delivery, given) >= *until.borrow() {
                return None;
            }
            if self.random.next_u32().is_multiple_of(ANEW_ONE_IN) {
                given.begun_anew += 1;
                return Some(subscription.place().clone());
            }
        }
    }

    async fn subscribe(&self, client: &Client, from: &From) -> Subscription {
        loop {
            let options = SubscribeOptions {
                from: from.clone(),
                filter: Filter::default(),
                until_head: false,
                patience: Patience::Unlimited,
            };
            match client.subscribe(options).await {
                Ok(subscription) => return subscription,
                Err(error) => demand_transient(&error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes what came; below which place everything has come.
    fn take(&self, delivery: &Delivery, given: &mut Given) -> u64 {
        let now = self.history.now();
        match delivery {
            Delivery::Entries { entries, .. } => {
                for entry in entries {
                    self.history.found(now, entry.sequence());
                    given.places.push(entry.sequence());
                }
                0
            }
            Delivery::Mark(mark) => {
                // Nobody asked for it now: it says what the log had, and not what it has.
                if let Some(last) = mark.head.checked_sub(1) {
                    self.history.found(now, last);
                }
                mark.position
            }
            Delivery::Interrupted(error) => {
                demand_transient(error);
                given.interrupted += 1;
                0
            }
            Delivery::Snapshot | Delivery::AccessChanged(_) => panic!("nobody asked for that"),
        }
    }
}

/// One who asks how long the log is, and for records, until it is told to stop; how many answers it had.
pub(super) async fn ask(
    client: Client,
    mut random: TestRng,
    history: History,
    published: Published,
    stop: CancellationToken,
) -> u64 {
    let mut answers = 0;
    while !stop.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let called = history.now();
        if random.next_u32().is_multiple_of(2) {
            let answer = client.roster_service().get_exchange(pb::GetExchangeRequest {}).await;
            let Ok(answer) = answer else { continue };
            history.counted(called, answer.into_inner().head);
        } else {
            let Some((name, place)) = published.any(&mut random) else { continue };
            let request =
                pb::GetRecordRequest { name: name.to_string(), ..pb::GetRecordRequest::default() };
            match client.exchange_service().get_record(request).await {
                Ok(answer) => {
                    let entry = answer.into_inner().entry.expect("an entry");
                    assert_eq!(entry.sequence, place, "another place than its receipt says");
                    history.found(called, place);
                }
                Err(status) if status.code() == tonic::Code::NotFound => {
                    history.missed(called, history.now(), place);
                }
                Err(_lost) => continue,
            }
        }
        answers += 1;
    }
    answers
}
