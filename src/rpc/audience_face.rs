//! `AudienceService`: custom audiences. Who is in one is told to its members and to the operator.

use std::sync::Arc;

use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::exchange::Hub;
use crate::model::audiences::CustomAudience;
use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::roster::Role;
use crate::rpc::caller::caller;
use crate::rpc::change::change;
use crate::rpc::exchange_face::page_size_of;
use crate::rpc::status;
use crate::wire::body::Content;
use crate::wire::face::audience_service_server::AudienceService;
use crate::wire::pb;

type Answer<T> = Result<Response<T>, Status>;

/// The service.
pub(super) struct AudienceFace {
    hub: Arc<Hub>,
}

impl AudienceFace {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

#[tonic::async_trait]
impl AudienceService for AudienceFace {
    async fn change_audience(
        &self,
        request: Request<pb::ChangeAudienceRequest>,
    ) -> Answer<pb::ChangeAudienceResponse> {
        let member = caller(&request)?;
        let fits: fn(&Content) -> bool =
            |content| matches!(content, Content::AudienceChange { .. });
        let receipt = change(&self.hub, member, request.into_inner().envelope, fits).await?;
        Ok(Response::new(pb::ChangeAudienceResponse { receipt: Some(receipt) }))
    }

    async fn list_audiences(
        &self,
        request: Request<pb::ListAudiencesRequest>,
    ) -> Answer<pb::ListAudiencesResponse> {
        let member = caller(&request)?;
        let reader = self.hub.reader(&member).map_err(|refusal| status::refused(&refusal))?;
        let pb::ListAudiencesRequest { page_size, page_token } = request.into_inner();
        let page_size = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let roster = self.hub.roster();
        let is_shown = |audience: &CustomAudience| {
            reader.role == Role::Operator || audience.members.contains(&reader.member)
        };
        let mut rest = roster
            .audiences
            .iter()
            .filter(|(name, audience)| *name.as_str() > *page_token && is_shown(audience));
        let audiences: Vec<pb::Audience> = rest
            .by_ref()
            .take(page_size)
            .map(|(name, audience)| audience_to_wire(name, audience))
            .collect();
        let more = rest.next().is_some();
        let last = audiences
            .last()
            .map(|audience| audience.name.trim_start_matches("audiences/").to_owned());
        let next_page_token = last.filter(|_last| more).unwrap_or_default();
        Ok(Response::new(pb::ListAudiencesResponse { audiences, next_page_token }))
    }
}

fn audience_to_wire(name: &Audience, audience: &CustomAudience) -> pb::Audience {
    pb::Audience {
        name: name.name(),
        title: audience.title.clone(),
        keeper: audience.keeper.name(),
        members: audience.members.iter().map(MemberId::name).collect(),
        created_sequence: audience.created_at.0,
        changed_sequence: audience.changed_at.0,
    }
}
