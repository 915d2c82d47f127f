//! Cosignatures: what witnesses may add, and what is shown of them.

use tokio::sync::oneshot;

use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::testimony::Request;
use crate::exchange::testimony::Said;
use crate::exchange::testimony::Witnessed;
use crate::exchange::turns::Halt;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::Sequence;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::RegisteredKey;
use crate::model::roster::Role;
use crate::model::roster::Roster;
use crate::signing::VerifyingKey;
use crate::store::Store;
use crate::transparency::Checkpoint;
use crate::transparency::Cosigned;
use crate::transparency::Cosigner;
use crate::transparency::InvalidCheckpoint;
use crate::transparency::proof;

impl Hub {
    /// Keeps a checkpoint that a member cosigned; the newest of it that is kept then.
    pub async fn add_cosignature(
        &self,
        member: &MemberId,
        note: String,
    ) -> Result<String, ExchangeError> {
        let reader = self.reader(member)?;
        if reader.role == Role::Operator {
            let message = "the operator runs the log, and is no witness of it";
            return Err(Refusal::new(Reason::RoleForbids, message).into());
        }
        self.take_lookups(member, 1)?;
        let (cosigned, key) = self.cosigned_by(member, &note)?;
        let Cosigned { checkpoint, time, note } = cosigned;
        self.demand_own(member, &checkpoint).await?;
        self.demand_past(time)?;
        let witnessed = Witnessed { checkpoint, time, key, note };
        self.testify(Said::Witnessed(member.clone(), Box::new(witnessed))).await?;
        let kept = self.testimony.witnessed_by(member);
        Ok(kept.map(|kept| kept.note).unwrap_or_default())
    }

    /// For each witness that is in good standing the newest note that it cosigned with a key that is still valid.
    pub fn cosigned(&self) -> Vec<String> {
        let (roster, place) = (self.roster(), Sequence(self.head().size));
        let epoch = self.head().epoch;
        let counts = |(member, kept): &(MemberId, Witnessed)| {
            let is_member = roster.member(member).is_some_and(|member| !member.suspended);
            let key = roster.key(&kept.key).filter(|key| key.member == *member);
            is_member
                && kept.checkpoint.epoch == epoch
                && key.is_some_and(|key| key.is_valid_at(place))
        };
        let kept = self.testimony.witnessed().into_iter().filter(counts);
        kept.map(|(_member, kept)| kept.note).collect()
    }

    /// Hands what a member said to the sequencer's thread, and waits until it is durable.
    pub(super) async fn testify(&self, said: Said) -> Result<(), ExchangeError> {
        let (answer, decided) = oneshot::channel();
        self.keep_testimony(Request { said, answer }).await?;
        let stopped = |_ended| {
            let message = "the hub stopped before the outcome was certain; send the same again";
            Refusal::new(Reason::OutcomeUnknown, message)
        };
        Ok(decided.await.map_err(stopped)??)
    }

    /// Opens a note of this log with a cosignature by one of a member's keys of now.
    fn cosigned_by(
        &self,
        member: &MemberId,
        note: &str,
    ) -> Result<(Cosigned, crate::model::names::KeyId), Refusal> {
        self.log_keys.open(note).map_err(refused)?;
        let (roster, place) = (self.roster(), Sequence(self.head().size));
        let mut witnesses = signing_keys(&roster, member, place)
            .filter_map(|key| {
                let verifying = VerifyingKey::from_spki(&key.spki).ok()?;
                Some((Cosigner::of_member(&self.exchange, member, verifying)?, key.id))
            })
            .peekable();
        if witnesses.peek().is_none() {
            let message = "a cosignature is made with an Ed25519 key, and you have no such signing key that is valid now";
            return Err(Refusal::field(Reason::KeyNotValid, "checkpoint", message));
        }
        let opened = witnesses.find_map(|(witness, key)| {
            Some((self.log_keys.open_cosigned(note, &witness).ok()?, key))
        });
        opened.ok_or_else(|| {
            let message = "it has no cosignature by a signing key of yours that is valid now";
            Refusal::field(Reason::BadSignature, "checkpoint", message)
        })
    }

    /// Demands that a checkpoint is one of the log that is served.
    async fn demand_own(
        &self,
        member: &MemberId,
        checkpoint: &Checkpoint,
    ) -> Result<(), ExchangeError> {
        let head = self.head();
        let foreign = |message: &str| {
            ExchangeError::from(Refusal::field(Reason::FieldInvalid, "checkpoint", message))
        };
        if checkpoint.epoch != head.epoch {
            return Err(foreign("it is of another epoch"));
        }
        if checkpoint.size > head.size {
            return Err(foreign("it is larger than the log"));
        }
        let size = checkpoint.size;
        let root = move |store: &Store, _short: &Halt| {
            proof::frontier(&store.tree(), size).map(|frontier| frontier.root())
        };
        let root = self.read(Some(member), root).await?;
        if root == checkpoint.root {
            return Ok(());
        }
        tracing::error!(
            checkpoint.size = size,
            "a member cosigned a checkpoint of this log's key that is not of this log"
        );
        Err(foreign("the log had another root at that size"))
    }

    fn demand_past(&self, seconds: u64) -> Result<(), Refusal> {
        let latest = self.clock().now().saturating_add(limits::CREATE_TIME_AHEAD_MAX);
        if seconds <= latest.as_micros() / 1_000_000 {
            return Ok(());
        }
        let message = "the time of the cosignature is ahead of the hub's clock";
        Err(Refusal::field(Reason::ClockSkew, "checkpoint", message))
    }
}

/// A member's keys that sign records at a place.
pub(super) fn signing_keys<'a>(
    roster: &'a Roster,
    member: &'a MemberId,
    place: Sequence,
) -> impl Iterator<Item = &'a RegisteredKey> {
    let keys = roster.keys_of(member);
    keys.filter(move |key| key.key_use == KeyUse::Signing && key.is_valid_at(place))
}

fn refused(invalid: InvalidCheckpoint) -> Refusal {
    let reason = match invalid {
        InvalidCheckpoint::Origin => Reason::WrongExchange,
        InvalidCheckpoint::Signature => Reason::BadSignature,
        InvalidCheckpoint::Format | InvalidCheckpoint::NoConflict => Reason::FieldInvalid,
    };
    Refusal::field(reason, "checkpoint", invalid.to_string())
}
