//! What goes on while a hub is killed: records of every sort, changes of who takes part, backups, a reader.

use std::path::PathBuf;
use std::process::Stdio;

use proptest::prelude::Rng as _;
use proptest::test_runner::TestRng;
use tokio_util::sync::CancellationToken;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Delivery;
use watchfire::client::KeeperChange;
use watchfire::client::OperatorChange;
use watchfire::client::Patience;
use watchfire::client::SubscribeOptions;
use watchfire::model::filter::Filter;
use watchfire::model::names::Audience;
use watchfire::model::names::Digest;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::signing::SecretKey;
use watchfire::store::read_backup;
use watchfire::wire::pb;

use crate::kill::Subscriber;
use crate::trials::Round;
use crate::world::PATIENCE;
use crate::world::domain;
use crate::world::draft;
use crate::world::handling;
use crate::world::hub_program;
use crate::world::recall;
use crate::world::sign;
use crate::world::withdrawal;

/// Records of one call at most.
const BATCH_MAX: u64 = 8;
/// Bytes of a description at most, so that some records lie in pieces.
const DESCRIPTION_MAX: u64 = 3500;

/// What became of one publisher's round.
#[derive(Default)]
pub(crate) struct Sent {
    /// What it was promised.
    pub(crate) receipts: Vec<pb::Receipt>,
    /// What it sent last, and heard nothing of.
    pub(crate) unanswered: Vec<pb::Envelope>,
    /// Records that are to lose their bodies.
    pub(crate) recalled: usize,
}

/// Publishes new records, revises them, takes them back.
#[derive(Clone)]
pub(crate) struct Publisher {
    random: TestRng,
    /// What may be revised or taken back: its own records of this round that have a receipt.
    own: Vec<(RecordName, u32, Digest)>,
}

/// One record of a call, and what it makes of its name when it is taken.
struct Step {
    envelope: pb::Envelope,
    name: Option<(RecordName, u32)>,
}

impl Publisher {
    pub(crate) fn new(round: &mut Round) -> Self {
        Self { random: round.share(), own: Vec::new() }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    /// Publishes until the hub is gone.
    pub(crate) async fn publish(mut self, client: &Client) -> Sent {
        let mut service = client.exchange_service();
        let mut sent = Sent::default();
        loop {
            let steps = self.steps(client, &mut sent);
            let envelopes: Vec<_> = steps.iter().map(|step| step.envelope.clone()).collect();
            let request = pb::PublishRequest {
                envelopes: envelopes.clone(),
                ..pb::PublishRequest::default()
            };
            let Ok(answer) = service.publish(request).await else {
                sent.unanswered.extend(envelopes);
                return sent;
            };
            self.hear(answer.into_inner(), steps, &mut sent);
        }
    }

    /// Records of one call, for whoever sends them itself.
    pub(crate) fn batch(mut self, client: &Client) -> Vec<pb::Envelope> {
        let steps = self.steps(client, &mut Sent::default());
        steps.into_iter().map(|step| step.envelope).collect()
    }

    fn steps(&mut self, client: &Client, sent: &mut Sent) -> Vec<Step> {
        let count = 1 + self.below(BATCH_MAX);
        (0..count).map(|_| self.step(client, sent)).collect()
    }

    /// Takes what was answered.
    fn hear(&mut self, answer: pb::PublishResponse, steps: Vec<Step>, sent: &mut Sent) {
        for (result, step) in answer.results.into_iter().zip(steps) {
            let Some(receipt) = receipt_of(result) else {
                sent.unanswered.push(step.envelope);
                continue;
            };
            if let Some((name, revision)) = step.name {
                let digest = receipt.header_digest.as_slice().try_into().expect("32 bytes");
                self.own.push((name, revision, digest));
            }
            sent.receipts.push(receipt);
        }
    }

    /// A new record mostly; else another revision of one, or its withdrawal. Few demand to be erased: retention waits until
    /// all those are met, and it is to have its turn.
    fn step(&mut self, client: &Client, sent: &mut Sent) -> Step {
        let signer = client.signer().expect("a key");
        let which = self.below(200);
        let count = u64::try_from(self.own.len()).expect("a number");
        if which >= 140 && count > 0 {
            let at = usize::try_from(self.below(count)).expect("a place");
            // What has no answer yet is not built upon.
            let (name, revision, digest) = self.own.swap_remove(at);
            if which >= 175 {
                let demands = which >= 199;
                sent.recalled += usize::from(demands);
                return take_back(client, &name, demands);
            }
            let mut next = draft(&signer, self.content(), handling(&["companies"], &[]));
            next.name = name.clone();
            next.previous = Some((revision, digest));
            return Step { envelope: sign(client, next), name: Some((name, revision + 1)) };
        }
        let new = draft(&signer, self.content(), handling(&["companies"], &[]));
        let name = new.name.clone();
        Step { envelope: sign(client, new), name: Some((name, 1)) }
    }

    fn content(&mut self) -> pb::body::Content {
        let mut content = domain(&format!("n{}.example", self.below(1000)));
        if let pb::body::Content::Indicator(indicator) = &mut content {
            let most = if self.below(16) == 0 { DESCRIPTION_MAX } else { 200 };
            let length = usize::try_from(self.below(most)).expect("a length");
            indicator.description.push_str(&" x".repeat(length / 2));
        }
        content
    }
}

/// Withdraws a record; it may demand that it is erased.
fn take_back(client: &Client, name: &RecordName, demands: bool) -> Step {
    let signer = client.signer().expect("a key");
    let content = if demands { recall(name) } else { withdrawal(name) };
    let envelope = sign(client, draft(&signer, content, handling(&[], &[])));
    Step { envelope, name: None }
}

/// The receipt, unless the hub died before the outcome was certain: then the record is asked about again.
pub(crate) fn receipt_of(result: pb::PublishResult) -> Option<pb::Receipt> {
    match result.outcome.expect("an outcome") {
        pb::publish_result::Outcome::Receipt(receipt) => Some(receipt),
        pb::publish_result::Outcome::Refusal(refusal) => {
            assert_eq!(refusal.reason, "OUTCOME_UNKNOWN", "{refusal:?}");
            None
        }
    }
}

/// Who changes what all the time.
pub(crate) struct Operator {
    pub(crate) suspended: MemberId,
    pub(crate) audience: Audience,
}

impl Operator {
    /// Suspends and reinstates a member, and has another add and retire a key and keep an audience, until the hub is
    /// gone. What had no answer waits in the outbox, and is sent first the next time.
    pub(crate) async fn change(
        &self,
        operator: &Client,
        member: &Client,
    ) -> Result<(), ClientError> {
        for client in [operator, member] {
            // Some of it was overtaken, and is refused.
            client.resend().await?;
        }
        for turn in 0_u32.. {
            let outcome = match turn % 6 {
                0 => self.suspend(operator).await,
                1 => self.reinstate(operator).await,
                2 => self.keep(member, &self.suspended, true).await,
                3 => self.keep(member, &self.suspended, false).await,
                4 => rotate(member).await,
                _ => self.make(member).await,
            };
            match outcome {
                // It is so already: an earlier round ended in the middle.
                Ok(()) | Err(ClientError::Refused(_)) => {}
                Err(gone) => return Err(gone),
            }
        }
        Ok(())
    }

    async fn suspend(&self, operator: &Client) -> Result<(), ClientError> {
        let change = OperatorChange::Suspend("a test".to_owned());
        operator.change_roster(&self.suspended, change).await.map(drop)
    }

    async fn reinstate(&self, operator: &Client) -> Result<(), ClientError> {
        let change = OperatorChange::Reinstate("a test".to_owned());
        operator.change_roster(&self.suspended, change).await.map(drop)
    }

    async fn make(&self, keeper: &Client) -> Result<(), ClientError> {
        let change = KeeperChange::Create { title: "Desk".to_owned(), members: Vec::new() };
        keeper.change_audience(&self.audience, change).await.map(drop)
    }

    async fn keep(&self, keeper: &Client, who: &MemberId, add: bool) -> Result<(), ClientError> {
        let who = vec![who.clone()];
        let change = if add { KeeperChange::Add(who) } else { KeeperChange::Remove(who) };
        keeper.change_audience(&self.audience, change).await.map(drop)
    }
}

/// A member registers a key and retires it.
async fn rotate(member: &Client) -> Result<(), ClientError> {
    let (signer, key) = (member.signer()?, SecretKey::generate().expect("a key"));
    member.add_key(&signer, &key).await?;
    member.retire_key(&signer, key.id(), None).await.map(drop)
}

/// Takes backups from the hub until it is gone; how many. Each is whole or absent.
pub(crate) async fn back_up(data: PathBuf, gone: CancellationToken) -> u64 {
    let mut taken = 0;
    let out = data.with_file_name("load.backup");
    while !gone.is_cancelled() {
        let mut command = tokio::process::Command::new(hub_program());
        command.arg("backup").arg("--data").arg(&data).arg("--out").arg(&out);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if status.expect("watchfired runs").success() {
            let file = std::fs::File::open(&out).expect("a backup");
            read_backup(file, |_block| {}).expect("a backup that has its name is whole");
            std::fs::remove_file(&out).expect("it is removed");
            taken += 1;
        } else {
            assert!(!out.exists(), "a backup that failed is absent");
        }
    }
    taken
}

/// Reads on where the subscriber stood, and acknowledges, until the hub is gone.
pub(crate) async fn follow(client: &Client, subscriber: &mut Subscriber) {
    let options = SubscribeOptions {
        from: subscriber.from(),
        filter: Filter::default(),
        until_head: false,
        patience: Patience::Limited(PATIENCE),
    };
    let Ok(mut stream) = client.subscribe(options).await else { return };
    let mut fresh = Vec::new();
    loop {
        match stream.next().await {
            Ok(Some(Delivery::Entries { entries, .. })) => {
                fresh.extend(entries.iter().map(watchfire::client::VerifiedEntry::sequence));
            }
            Ok(Some(Delivery::Mark(mark))) => {
                subscriber.seen.append(&mut fresh);
                // Before anything is waited for: this may be cut off.
                subscriber.place = Some(stream.place().clone());
                let answer = client.acknowledge_subscription(&subscriber.name, &mark.cursor).await;
                let Ok(kept) = answer else { return };
                subscriber.acknowledged = kept.position;
            }
            // It would wait for a hub that does not come back to it.
            Ok(Some(Delivery::Interrupted(_)) | None) | Err(_) => return,
            Ok(Some(Delivery::Snapshot | Delivery::AccessChanged(_))) => {}
        }
    }
}
