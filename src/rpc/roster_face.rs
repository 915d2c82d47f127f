//! `RosterService`: who takes part. Changes are records like all others; these calls only say which kind.

use std::sync::Arc;

use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::exchange::Hub;
use crate::exchange::QuotaLeft;
use crate::exchange::QuotaState;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::Quota;
use crate::model::roster::RegisteredKey;
use crate::model::roster::Role;
use crate::model::roster::RosterMember;
use crate::rpc::caller::caller;
use crate::rpc::change::change;
use crate::rpc::exchange_face::page_size_of;
use crate::rpc::status;
use crate::wire;
use crate::wire::body::Content;
use crate::wire::body::KeyAction;
use crate::wire::body::RosterAction;
use crate::wire::face::roster_service_server::RosterService;
use crate::wire::pb;

type Answer<T> = Result<Response<T>, Status>;

/// The service.
pub(super) struct RosterFace {
    hub: Arc<Hub>,
}

impl RosterFace {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    fn reader<T>(&self, request: &Request<T>) -> Result<MemberId, Status> {
        let member = caller(request)?;
        self.hub.reader(&member).map_err(|refusal| status::refused(&refusal))?;
        Ok(member)
    }
}

#[tonic::async_trait]
impl RosterService for RosterFace {
    async fn get_exchange(
        &self,
        request: Request<pb::GetExchangeRequest>,
    ) -> Answer<pb::GetExchangeResponse> {
        let member = self.reader(&request)?;
        let head = self.hub.head();
        let caller = head.roster.member(&member).map(member_to_wire);
        Ok(Response::new(pb::GetExchangeResponse {
            name: self.hub.exchange().name(),
            trust_domain: self.hub.trust_domain().to_owned(),
            genesis: Some(self.hub.genesis().clone()),
            epoch: head.epoch,
            head: head.size,
            checkpoint: head.checkpoint.to_string(),
            time: Some(wire::time::timestamp_to_wire(self.hub.clock().now())),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            caller,
            limits: Some(limits_to_wire()),
        }))
    }

    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Answer<pb::ListMembersResponse> {
        self.reader(&request)?;
        let pb::ListMembersRequest { page_size, page_token } = request.into_inner();
        let page_size = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let roster = self.hub.roster();
        let mut rest = roster.members().filter(|member| *member.id.as_str() > *page_token);
        let members: Vec<pb::Member> = rest.by_ref().take(page_size).map(member_to_wire).collect();
        let more = rest.next().is_some();
        let last =
            members.last().map(|member| member.name.trim_start_matches("members/").to_owned());
        let next_page_token = last.filter(|_last| more).unwrap_or_default();
        Ok(Response::new(pb::ListMembersResponse { members, next_page_token }))
    }

    async fn get_member(
        &self,
        request: Request<pb::GetMemberRequest>,
    ) -> Answer<pb::GetMemberResponse> {
        self.reader(&request)?;
        let id = named(&request.into_inner().name, "name")?;
        let roster = self.hub.roster();
        let member = roster.member(&id).ok_or_else(missing)?;
        Ok(Response::new(pb::GetMemberResponse { member: Some(member_to_wire(member)) }))
    }

    async fn admit_member(
        &self,
        request: Request<pb::AdmitMemberRequest>,
    ) -> Answer<pb::AdmitMemberResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool = |content| {
            matches!(content, Content::RosterChange { change: RosterAction::Admit { .. }, .. })
        };
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::AdmitMemberResponse { receipt: Some(receipt) }))
    }

    async fn suspend_member(
        &self,
        request: Request<pb::SuspendMemberRequest>,
    ) -> Answer<pb::SuspendMemberResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool = |content| {
            matches!(content, Content::RosterChange { change: RosterAction::Suspend, .. })
        };
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::SuspendMemberResponse { receipt: Some(receipt) }))
    }

    async fn reinstate_member(
        &self,
        request: Request<pb::ReinstateMemberRequest>,
    ) -> Answer<pb::ReinstateMemberResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool = |content| {
            matches!(content, Content::RosterChange { change: RosterAction::Reinstate, .. })
        };
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::ReinstateMemberResponse { receipt: Some(receipt) }))
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Answer<pb::RotateKeyResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool =
            |content| matches!(content, Content::KeyChange(KeyAction::Add(_)));
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::RotateKeyResponse { receipt: Some(receipt) }))
    }

    async fn retire_key(
        &self,
        request: Request<pb::RetireKeyRequest>,
    ) -> Answer<pb::RetireKeyResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool = |content| {
            matches!(
                content,
                Content::KeyChange(KeyAction::Retire(_))
                    | Content::RosterChange { change: RosterAction::RetireKey(_), .. }
            )
        };
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::RetireKeyResponse { receipt: Some(receipt) }))
    }

    async fn reset_keys(
        &self,
        request: Request<pb::ResetKeysRequest>,
    ) -> Answer<pb::ResetKeysResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool = |content| {
            matches!(content, Content::RosterChange { change: RosterAction::ResetKeys { .. }, .. })
        };
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::ResetKeysResponse { receipt: Some(receipt) }))
    }

    async fn set_quota(
        &self,
        request: Request<pb::SetQuotaRequest>,
    ) -> Answer<pb::SetQuotaResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool = |content| {
            matches!(content, Content::RosterChange { change: RosterAction::Quota(_), .. })
        };
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::SetQuotaResponse { receipt: Some(receipt) }))
    }

    async fn get_quota(
        &self,
        request: Request<pb::GetQuotaRequest>,
    ) -> Answer<pb::GetQuotaResponse> {
        let member = caller(&request)?;
        let state = self.hub.quota(&member).map_err(|refusal| status::refused(&refusal))?;
        let QuotaState { quota, left: QuotaLeft { records, bytes, lookups }, streams_open } = state;
        let unlimited = u64::MAX;
        Ok(Response::new(pb::GetQuotaResponse {
            r#use: Some(pb::QuotaUse {
                quota: Some(quota_to_wire(&quota)),
                records_left: records.unwrap_or(unlimited),
                bytes_left: bytes.unwrap_or(unlimited),
                streams_open: u32::try_from(streams_open).unwrap_or(u32::MAX),
                lookups_left: lookups.unwrap_or(unlimited),
            }),
        }))
    }

    async fn list_keys(
        &self,
        request: Request<pb::ListKeysRequest>,
    ) -> Answer<pb::ListKeysResponse> {
        self.reader(&request)?;
        let pb::ListKeysRequest { parent, page_size, page_token } = request.into_inner();
        let page_size = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let id = named(&parent, "parent")?;
        let roster = self.hub.roster();
        roster.member(&id).ok_or_else(missing)?;
        let mut keys: Vec<&RegisteredKey> = roster.keys_of(&id).collect();
        keys.sort_by_key(|key| (key.valid_from, key.id));
        let after = page_token.parse::<usize>().unwrap_or(0);
        let page: Vec<pb::Key> =
            keys.iter().skip(after).take(page_size).map(|key| key_to_wire(key)).collect();
        let end = after.saturating_add(page.len());
        let next_page_token = if end < keys.len() { end.to_string() } else { String::new() };
        Ok(Response::new(pb::ListKeysResponse { keys: page, next_page_token }))
    }
}

fn named(name: &str, field: &'static str) -> Result<MemberId, Status> {
    MemberId::from_name(name).map_err(|error| {
        status::refused(&Refusal::field(Reason::FieldInvalid, field, error.to_string()))
    })
}

fn missing() -> Status {
    status::refused(&Refusal::field(Reason::RecordNotFound, "name", "there is no such member"))
}

fn member_to_wire(member: &RosterMember) -> pb::Member {
    pb::Member {
        name: member.id.name(),
        role: match member.role {
            Role::Company => pb::Role::Company,
            Role::Observer => pb::Role::Observer,
            Role::Auditor => pb::Role::Auditor,
            Role::Operator => pb::Role::Operator,
        }
        .into(),
        suspended: member.suspended,
        display_name: member.display_name.clone(),
        may_publish_indicators: member.may_publish_indicators,
        admitted_sequence: member.admitted_at.0,
        changed_sequence: member.changed_at.0,
        quota: Some(quota_to_wire(&member.quota)),
    }
}

fn quota_to_wire(quota: &Quota) -> pb::Quota {
    let Quota { records_per_second, bytes_per_day, streams, lookups_per_second } = *quota;
    pb::Quota { records_per_second, bytes_per_day, streams, lookups_per_second }
}

fn key_to_wire(key: &RegisteredKey) -> pb::Key {
    pb::Key {
        name: format!("{}/keys/{}", key.member.name(), key.id),
        spki: key.spki.clone(),
        r#use: match key.key_use {
            KeyUse::Signing => pb::KeyUse::Signing,
            KeyUse::Recovery => pb::KeyUse::Recovery,
        }
        .into(),
        valid_from_sequence: key.valid_from.0,
        retired_sequence: key.retired_at.map(|sequence| sequence.0),
        compromised_since_sequence: key.compromised_since.map(|sequence| sequence.0),
        reset_sequence: key.reset.map(|reset| reset.at.0),
    }
}

fn limits_to_wire() -> pb::Limits {
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    pb::Limits {
        envelope_bytes_max: number(limits::ENVELOPE_BYTES_MAX),
        batch_records_max: number(limits::BATCH_RECORDS_MAX),
        batch_bytes_max: number(limits::BATCH_BYTES_MAX),
        page_entries_max: number(limits::PAGE_ENTRIES_MAX),
        lookup_values_max: number(limits::LOOKUP_VALUES_MAX),
        create_time_ahead_max: prost_types::Duration::try_from(limits::CREATE_TIME_AHEAD_MAX).ok(),
    }
}
