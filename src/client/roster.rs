//! Changes of who takes part: signed here, carried by the roster's own calls, in the log when they return.

use uuid::Uuid;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::founding::proven_key;
use crate::client::founding::unaddressed;
use crate::client::receipt;
use crate::client::receipt::Receipt;
use crate::client::signer::Draft;
use crate::client::signer::Signer;
use crate::client::verifier::VerificationError;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::roster::Quota;
use crate::profile::OwnKey;
use crate::signing::SecretKey;
use crate::wire::pb;

/// What the operator changes about a member.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorChange {
    /// Admits it.
    Admit(pb::Admission),
    /// Suspends it, with a reason for the other members.
    Suspend(String),
    /// Reinstates it, with a reason for the other members.
    Reinstate(String),
    /// Sets how much it may ask of the hub; 0 stands for the hub's own limit.
    Quota(Quota),
}

impl Client {
    /// Signs and sends a change of the roster.
    pub async fn change_roster(
        &self,
        member: &MemberId,
        change: OperatorChange,
    ) -> Result<Receipt, ClientError> {
        use pb::roster_change::Change;

        let change = match change {
            OperatorChange::Admit(admission) => Change::Admit(admission),
            OperatorChange::Suspend(reason) => Change::Suspend(pb::Suspension { reason }),
            OperatorChange::Reinstate(reason) => Change::Reinstate(pb::Reinstatement { reason }),
            OperatorChange::Quota(quota) => {
                let Quota { records_per_second, bytes_per_day, streams, lookups_per_second } =
                    quota;
                Change::Quota(pb::Quota {
                    records_per_second,
                    bytes_per_day,
                    streams,
                    lookups_per_second,
                })
            }
        };
        let content = pb::body::Content::RosterChange(pb::RosterChange {
            member: member.name(),
            change: Some(change),
        });
        self.change(&self.signer()?, content).await
    }

    /// Registers a further signing key of this member. `signer` is the key that vouches for it.
    pub async fn add_key(&self, signer: &Signer, key: &SecretKey) -> Result<Receipt, ClientError> {
        let added = proven_key(signer.exchange(), signer.member(), key);
        let change = pb::KeyChange { change: Some(pb::key_change::Change::Add(added)) };
        self.change(signer, pb::body::Content::KeyChange(change)).await
    }

    /// Retires one of this member's keys.
    pub async fn retire_key(&self, signer: &Signer, key: KeyId) -> Result<Receipt, ClientError> {
        let retirement = pb::KeyRetirement {
            key: format!("{}/keys/{key}", signer.member().name()),
            compromised: false,
            compromised_since: 0,
        };
        let change = pb::KeyChange { change: Some(pb::key_change::Change::Retire(retirement)) };
        self.change(signer, pb::body::Content::KeyChange(change)).await
    }

    /// A signer with one of the profile's keys.
    pub fn signer_with(&self, which: OwnKey) -> Result<Signer, ClientError> {
        Signer::of(self.profile(), which)
    }

    /// Signs a change and sends it by its own call, through the outbox like everything that is signed.
    pub(super) async fn change(
        &self,
        signer: &Signer,
        content: pb::body::Content,
    ) -> Result<Receipt, ClientError> {
        let draft = Draft {
            name: RecordName { member: signer.member().clone(), record: Uuid::now_v7() },
            previous: None,
            handling: unaddressed(),
            content: content.clone(),
        };
        let envelope = signer.sign(draft, self.now())?;
        let waiting = self.keep(std::slice::from_ref(&envelope))?;
        let receipt = match self.call(&content, envelope.clone()).await {
            Ok(receipt) => {
                receipt.ok_or_else(|| VerificationError::answer("there is no receipt"))?
            }
            Err(ClientError::Refused(refused)) if is_final(&refused) => {
                self.let_go(&waiting)?;
                return Err(ClientError::Refused(refused));
            }
            Err(error) => return Err(error),
        };
        let checkpoint = self.continued(&receipt.checkpoint).await?;
        let receipt = receipt::check(&envelope, receipt, &checkpoint)?;
        self.let_go(&waiting)?;
        Ok(receipt)
    }

    async fn call(
        &self,
        content: &pb::body::Content,
        envelope: pb::Envelope,
    ) -> Result<Option<pb::Receipt>, ClientError> {
        use pb::body::Content;
        use pb::key_change;
        use pb::roster_change;

        let mut service = self.roster_service();
        let envelope = Some(envelope);
        if matches!(content, Content::AudienceChange(_)) {
            let request = pb::ChangeAudienceRequest { envelope };
            return Ok(self
                .audience_service()
                .change_audience(request)
                .await?
                .into_inner()
                .receipt);
        }
        let roster =
            if let Content::RosterChange(change) = content { change.change.as_ref() } else { None };
        let adds = matches!(
            content,
            Content::KeyChange(pb::KeyChange { change: Some(key_change::Change::Add(_)) })
        );
        Ok(match roster {
            Some(roster_change::Change::Admit(_)) => {
                service
                    .admit_member(pb::AdmitMemberRequest { envelope })
                    .await?
                    .into_inner()
                    .receipt
            }
            Some(roster_change::Change::Suspend(_)) => {
                service
                    .suspend_member(pb::SuspendMemberRequest { envelope })
                    .await?
                    .into_inner()
                    .receipt
            }
            Some(roster_change::Change::Reinstate(_)) => {
                let request = pb::ReinstateMemberRequest { envelope };
                service.reinstate_member(request).await?.into_inner().receipt
            }
            Some(roster_change::Change::Quota(_)) => {
                service.set_quota(pb::SetQuotaRequest { envelope }).await?.into_inner().receipt
            }
            None if adds => {
                service.rotate_key(pb::RotateKeyRequest { envelope }).await?.into_inner().receipt
            }
            Some(roster_change::Change::RetireKey(_)) | None => {
                service.retire_key(pb::RetireKeyRequest { envelope }).await?.into_inner().receipt
            }
        })
    }
}

fn is_final(refused: &Refused) -> bool {
    !refused.is_transient() && !refused.is_about_the_caller()
}
