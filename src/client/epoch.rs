//! Epochs: what a member demands of a log that was restored before it goes on with it, and what it does then.
//!
//! A log that is shorter than it was, or another one, is refused, unless its operator signs that it was restored: with
//! an entry that names the log up to there. That log must begin with what this member remembers of it. Whatever lies
//! behind is void, so that the member decides: it accepts, and sends again what it had sent.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use uuid::Uuid;

use crate::client::account::Deviation;
use crate::client::account::Hashes;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::founding::unaddressed;
use crate::client::known::KnownRoster;
use crate::client::pin::Pin;
use crate::client::signer::Draft;
use crate::client::signer::Signer;
use crate::client::verifier::VerificationError;
use crate::client::verifier::prepare;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Clock as _;
use crate::model::time::SystemClock;
use crate::profile::AcceptedEpoch;
use crate::profile::OwnKey;
use crate::profile::Profile;
use crate::profile::SentFolder;
use crate::transparency::Checkpoint;
use crate::transparency::proof;
use crate::wire::body::Content;
use crate::wire::body::EpochStart;
use crate::wire::pb;

/// Epochs of one log that are looked at: nobody restores that often.
const EPOCHS_MAX: usize = 1024;

/// What an operator signs to begin an epoch.
#[derive(Clone, Copy, Debug)]
pub struct SignEpoch<'a> {
    /// The checkpoint that the restored log ends with, a signed note.
    pub checkpoint: &'a str,
    /// The epoch; the next one if none is named.
    pub epoch: Option<u32>,
    /// Why, for members to read.
    pub reason: &'a str,
}

/// Signs, as the operator, that a restored log goes on in a new epoch. The hub is not needed for it.
pub fn sign_epoch(profile: &Profile, what: &SignEpoch<'_>) -> Result<pb::Envelope, ClientError> {
    let pin = Pin::open(&profile.genesis()?)?;
    let invalid =
        |field, why: String| ClientError::Invalid(Refusal::field(Reason::FieldInvalid, field, why));
    let log_keys = KnownRoster::load(profile, &pin)?.log_keys();
    let named = log_keys.load().open(what.checkpoint);
    let named = named.map_err(|error| invalid("checkpoint", error.to_string()))?;
    if profile.settings().role != crate::model::roster::Role::Operator {
        return Err(crate::profile::ProfileError::NotOperator.into());
    }
    let signer = Signer::of(profile, OwnKey::Signing)?;
    let start = pb::EpochStart {
        previous_epoch: named.epoch,
        epoch: what.epoch.unwrap_or_else(|| named.epoch.saturating_add(1)),
        checkpoint: what.checkpoint.to_owned(),
        reason: what.reason.to_owned(),
    };
    let draft = Draft {
        name: RecordName { member: signer.member().clone(), record: Uuid::now_v7() },
        previous: None,
        handling: unaddressed(),
        content: pb::body::Content::Epoch(start),
    };
    signer.sign(draft, SystemClock::default().now())
}

/// The log was restored, as its operator signed, and this member has not accepted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct NewEpoch {
    /// The epoch that the log is in now.
    pub epoch: u32,
    /// The one in which it was when this member knew it.
    pub known_epoch: u32,
    /// The number of entries that it was restored to.
    pub size: u64,
    /// The size that this member knew.
    pub known_size: u64,
    /// The operator's reason.
    pub reason: String,
    /// How many own records may have receipts that are void.
    pub void: u64,
    /// The size of the newest checkpoint that this member remembers and that the restored log was shown to begin with.
    pub proven: Option<u64>,
    steps: Vec<AcceptedEpoch>,
}

impl NewEpoch {
    fn told(&self) -> String {
        let Self { epoch, size, known_size, void, .. } = self;
        let reason = crate::model::visible::visible(&self.reason);
        let lost = if self.is_beyond() {
            format!(
                "this profile knew {known_size}; your receipts for {void} records at sequence {size} and behind are void"
            )
        } else {
            "nothing that this profile knew is lost".to_owned()
        };
        format!(
            "the log was restored to its first {size} entries and goes on in epoch {epoch}, says its operator ({reason}): {lost}"
        )
    }

    /// Whether this member knew more than the log was restored to.
    pub fn is_beyond(&self) -> bool {
        self.void > 0
            || self.known_size > self.size
            || self.steps.first().is_some_and(|step| step.previous < self.known_epoch)
    }
}

/// What accepting came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedRestore {
    /// What was accepted.
    pub epoch: NewEpoch,
    /// Batches that wait in the outbox to be sent again.
    pub batches: usize,
}

/// An entry that begins an epoch; its signature and form were checked.
struct Beginning {
    sequence: u64,
    start: EpochStart,
    named: Checkpoint,
    leaf: Digest,
}

impl Client {
    /// Connects to a hub whose log was restored, and accepts that, if it was: what is void is put back into the outbox,
    /// and what is remembered of the log is what it has still. Nothing is sent yet.
    pub async fn accept_epoch(
        profile: Profile,
    ) -> Result<(Self, Option<AcceptedRestore>), ClientError> {
        let (client, note) = Self::reach(profile).await?;
        let Some(new) = client.survey_epoch().await? else {
            client.demand_continuation(&note).await?;
            return Ok((client, None));
        };
        let first = new.steps.first().copied();
        let cut = first.map_or((0, 0), |step| (step.previous, step.size));
        let sent = client.profile().sent()?;
        let mut batches = 0;
        for kept in sent.list()? {
            if kept.span.void_behind(cut.0, cut.1) > 0 {
                sent.put_back(&kept)?;
                batches += 1;
            }
        }
        // Last: until it is written, all of this is done again.
        client.adopt_epoch(&new.steps, cut, &note)?;
        Ok((client, Some(AcceptedRestore { epoch: new, batches })))
    }

    fn adopt_epoch(
        &self,
        steps: &[AcceptedEpoch],
        cut: (u32, u64),
        note: &str,
    ) -> Result<(), ClientError> {
        self.profile().accept_epochs(steps)?;
        self.accepted().lock().unwrap_or_else(PoisonError::into_inner).extend(steps);
        let checkpoint = self.welcome().checkpoint;
        let mut trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
        Ok(trust.restart(cut, (&checkpoint, note))?)
    }

    /// The epoch that this member has accepted; 0 before it knows any.
    pub fn accepted_epoch(&self) -> u32 {
        self.newest_checkpoint().map_or(0, |checkpoint| checkpoint.epoch)
    }

    /// Where an epoch ended that is not the accepted one.
    pub(super) fn end_of_epoch(&self, epoch: u32) -> Option<u64> {
        let accepted = self.accepted().lock().unwrap_or_else(PoisonError::into_inner);
        accepted.iter().filter(|step| step.epoch > epoch).map(|step| step.size).min()
    }

    /// Says of a failure that follows from a restore that it does.
    pub(super) async fn explain(&self, error: ClientError) -> ClientError {
        let may_follow = matches!(error, ClientError::Unverified(_))
            || error.is_refusal(Reason::CursorOtherEpoch)
            || error.is_refusal(Reason::CursorAhead);
        if !may_follow {
            return error;
        }
        match self.survey_now().await {
            Ok(Some(new)) => new.into(),
            Ok(None) => error,
            Err(other) if other.is_transient() => error,
            Err(other) => other,
        }
    }

    /// Refuses a log in an epoch that this member has not accepted, and says what became of it.
    pub(super) async fn demand_accepted_epoch(&self) -> Result<(), ClientError> {
        match self.survey_epoch().await? {
            Some(new) => Err(new.into()),
            None => Ok(()),
        }
    }

    async fn survey_now(&self) -> Result<Option<NewEpoch>, ClientError> {
        let response =
            self.roster_service().get_exchange(pb::GetExchangeRequest {}).await?.into_inner();
        let note = response.checkpoint;
        let said = Checkpoint::read_unverified(&note);
        let said =
            said.map_err(|_malformed| VerificationError::deviation(Deviation::Checkpoint))?;
        if self.newest_checkpoint().is_none_or(|newest| newest.epoch >= said.epoch) {
            let head = self.open_checkpoint(&note).map_err(VerificationError::deviation)?;
            return self.survey_at(head).await;
        }
        // A log that was restored to before its key was changed is signed by the one of then, as it says itself.
        let restored = self.restored_roster().await?;
        let head = restored.log_keys().load().open(&note);
        let head = head.map_err(|_invalid| VerificationError::deviation(Deviation::Checkpoint))?;
        self.survey_at(head).await
    }

    /// Who takes part by the log's own word alone, folded from its first entry on.
    async fn restored_roster(&self) -> Result<KnownRoster, ClientError> {
        let mut known = KnownRoster::new(self.pin());
        self.fold_roster(&mut known, None).await?;
        Ok(known)
    }

    async fn survey_epoch(&self) -> Result<Option<NewEpoch>, ClientError> {
        self.survey_at(self.welcome().checkpoint).await
    }

    /// What is new about the epoch of a log with this head; nothing if it is the accepted one. What the operator signed
    /// is checked against everything that is remembered.
    async fn survey_at(&self, head: Checkpoint) -> Result<Option<NewEpoch>, ClientError> {
        let Some(newest) = self.newest_checkpoint().filter(|newest| newest.epoch != head.epoch)
        else {
            return Ok(None);
        };
        if head.epoch < newest.epoch {
            return Err(VerificationError::deviation(Deviation::EarlierEpoch).into());
        }
        let begun = self.beginnings(&head).await?;
        let new: Vec<&Beginning> =
            begun.iter().filter(|begun| begun.start.epoch > newest.epoch).collect();
        let Some(first) = new.first() else { return Err(not_begun().into()) };
        for beginning in &new {
            self.demand_in_log(beginning, &head).await?;
        }
        let proven = self.demand_remembered(first).await?;
        let (previous, size) = (first.start.previous, first.sequence);
        let void = self.void_behind(previous, size)?;
        let steps = new.iter().map(|begun| AcceptedEpoch {
            epoch: begun.start.epoch,
            previous: begun.start.previous,
            size: begun.sequence,
        });
        Ok(Some(NewEpoch {
            epoch: head.epoch,
            known_epoch: newest.epoch,
            size,
            known_size: newest.size,
            reason: first.start.reason.clone(),
            void,
            proven,
            steps: steps.collect(),
        }))
    }

    fn void_behind(&self, epoch: u32, place: u64) -> Result<u64, ClientError> {
        let sent: SentFolder = self.profile().sent()?;
        Ok(sent.list()?.iter().map(|kept| kept.span.void_behind(epoch, place)).sum())
    }

    /// Every epoch that the log says it began, each signed by the operator of that place, one behind the other up to
    /// the head's.
    async fn beginnings(&self, head: &Checkpoint) -> Result<Vec<Beginning>, ClientError> {
        let known = self.restored_roster().await?;
        let (verifier, log_keys) = (known.verifier(), known.log_keys().load_full());
        let request = pb::SubscribeRequest {
            filter: Some(pb::Filter {
                body_kinds: vec![BodyKind::Epoch.number()],
                ..pb::Filter::default()
            }),
            until_head: true,
            ..pb::SubscribeRequest::default()
        };
        let mut stream = self.exchange_service().subscribe(request).await?.into_inner();
        let mut found = BTreeMap::new();
        while let Some(frame) = stream.message().await? {
            let prepared = frame.entries.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
            // Withdrawals come with every filter.
            let own =
                prepared.into_iter().filter(|one| one.record.header.body_kind == BodyKind::Epoch);
            found.extend(own.map(|one| (one.sequence, one)));
            if found.len() > EPOCHS_MAX {
                return Err(VerificationError::answer("it has too many epochs").into());
            }
        }
        let mut begun: Vec<Beginning> = Vec::new();
        for (sequence, prepared) in found {
            verifier.verify_prepared(vec![prepared.clone()])?;
            let before = begun.last().map_or(1, |last| last.start.epoch);
            let Content::Epoch(start) = prepared.record.content.clone() else { continue };
            let named = log_keys.open(&start.checkpoint);
            let named =
                named.map_err(|_invalid| VerificationError::deviation(Deviation::Checkpoint))?;
            let fits = start.previous == before
                && prepared.epoch == start.epoch
                && (named.epoch, named.size) == (before, sequence)
                && sequence < head.size;
            if !fits {
                return Err(not_begun().into());
            }
            begun.push(Beginning { sequence, named, leaf: prepared.leaf_hash(), start });
        }
        if begun.last().is_none_or(|last| last.start.epoch != head.epoch) {
            return Err(not_begun().into());
        }
        Ok(begun)
    }

    /// Demands that an entry which begins an epoch is in the log, and that the log begins with what it names.
    async fn demand_in_log(&self, begun: &Beginning, head: &Checkpoint) -> Result<(), ClientError> {
        let request =
            pb::GetInclusionProofRequest { sequence: begun.sequence, tree_size: head.size };
        let answer = self.transparency_service().get_inclusion_proof(request).await?.into_inner();
        let path = answer.hashes.concat();
        let proven = Hashes::of(&path).and_then(|hashes| {
            let tree = (head.size, &head.root);
            proof::check_inclusion(begun.leaf, begun.sequence, tree, hashes.proof()?)
                .map_err(|_invalid| Deviation::Root)
        });
        proven.map_err(VerificationError::deviation)?;
        self.demand_beginning(&begun.named, head).await
    }

    /// Demands that the first entries that an operator named are those that are remembered; how many were compared.
    async fn demand_remembered(&self, first: &Beginning) -> Result<Option<u64>, ClientError> {
        let remembered = {
            let trust = self.trust().lock().unwrap_or_else(PoisonError::into_inner);
            trust.largest_within(first.start.previous, first.sequence)
        };
        let Some(earlier) = remembered else { return Ok(None) };
        self.demand_beginning(&earlier, &first.named).await?;
        Ok(Some(earlier.size))
    }

    /// Demands that a tree begins with another, whatever their epochs.
    async fn demand_beginning(
        &self,
        earlier: &Checkpoint,
        later: &Checkpoint,
    ) -> Result<(), ClientError> {
        if earlier.size == later.size && earlier.root != later.root {
            return Err(VerificationError::deviation(Deviation::TwoHistories).into());
        }
        if earlier.size == later.size || earlier.size == 0 {
            return Ok(());
        }
        let request =
            pb::GetConsistencyProofRequest { first_size: earlier.size, second_size: later.size };
        let answer = self.transparency_service().get_consistency_proof(request).await?.into_inner();
        let path = answer.hashes.concat();
        let proven = Hashes::of(&path).and_then(|hashes| {
            let (old, new) = ((earlier.size, &earlier.root), (later.size, &later.root));
            proof::check_consistency(old, new, hashes.proof()?)
                .map_err(|_invalid| Deviation::NotAContinuation)
        });
        proven.map_err(|deviation| VerificationError::deviation(deviation).into())
    }
}

fn not_begun() -> VerificationError {
    VerificationError::answer(
        "its epoch is another, and no entry of its operator begins it where the one before ended",
    )
}
