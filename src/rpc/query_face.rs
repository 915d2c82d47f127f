//! `QueryService`: questions to the log. Every answer holds only what the caller may see.

use std::sync::Arc;

use tonic::Request;
use tonic::Response;
use tonic::Status;

use crate::exchange::Hub;
use crate::exchange::LinkStart;
use crate::exchange::Query;
use crate::exchange::Recalls;
use crate::exchange::TechniqueId;
use crate::interop::framework::TechniqueQuery;
use crate::ledger::Window;
use crate::model::limits;
use crate::model::names::InvalidName;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::text;
use crate::rpc::bulk;
use crate::rpc::caller::caller;
use crate::rpc::exchange_face::page_size_of;
use crate::rpc::status;
use crate::wire;
use crate::wire::face::query_service_server::QueryService;
use crate::wire::filter::filter;
use crate::wire::pb;

type Answer<T> = Result<Response<T>, Status>;

/// The service.
pub(super) struct QueryFace {
    hub: Arc<Hub>,
}

impl QueryFace {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

#[tonic::async_trait]
impl QueryService for QueryFace {
    async fn get_operation(
        &self,
        request: Request<pb::GetOperationRequest>,
    ) -> Answer<pb::GetOperationResponse> {
        let member = caller(&request)?;
        let name = record_name(&request.into_inner().name, "name")
            .map_err(|refusal| status::refused(&refusal))?;
        let found = self.hub.operation(&member, name).await;
        let found = found.map_err(|error| status::failed(&error))?;
        let entries = entries_of(&found);
        Ok(bulk::marked(found, "read.operation", entries))
    }

    async fn list_links(
        &self,
        request: Request<pb::ListLinksRequest>,
    ) -> Answer<pb::ListLinksResponse> {
        let member = caller(&request)?;
        let pb::ListLinksRequest { start, steps_max, nodes_max } = request.into_inner();
        let refused = |refusal: Refusal| status::refused(&refusal);
        let start = link_start(start).map_err(refused)?;
        let steps = (limits::LINK_STEPS_DEFAULT, limits::LINK_STEPS_MAX);
        let steps = bounded(steps_max, steps, "steps_max").map_err(refused)?;
        let nodes = (limits::LINK_NODES_DEFAULT, limits::LINK_NODES_MAX);
        let nodes = bounded(nodes_max, nodes, "nodes_max").map_err(refused)?;
        let found = self.hub.links(&member, start, steps, nodes).await;
        let found = found.map_err(|error| status::failed(&error))?;
        let entries = found.nodes.len();
        Ok(bulk::marked(found, "read.links", entries))
    }

    async fn list_recalls(
        &self,
        request: Request<pb::ListRecallsRequest>,
    ) -> Answer<pb::ListRecallsResponse> {
        let member = caller(&request)?;
        let pb::ListRecallsRequest { to_answer, page_size, page_token } = request.into_inner();
        let page_size = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let which = if to_answer { Recalls::ToAnswer } else { Recalls::Own };
        let page = self.hub.recalls(&member, which, page_size, &page_token).await;
        let page = page.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::ListRecallsResponse {
            recalls: page.recalls,
            next_page_token: page.next_page_token,
        }))
    }

    async fn get_ledger(
        &self,
        request: Request<pb::GetLedgerRequest>,
    ) -> Answer<pb::GetLedgerResponse> {
        let member = caller(&request)?;
        let window = Window::of_request(&request.into_inner())
            .map_err(|refusal| status::refused(&refusal))?;
        let ledger = self.hub.ledger(&member, window).await;
        let ledger = ledger.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::GetLedgerResponse::from(&ledger)))
    }

    async fn search_records(
        &self,
        request: Request<pb::SearchRecordsRequest>,
    ) -> Answer<pb::SearchRecordsResponse> {
        let member = caller(&request)?;
        let request = request.into_inner();
        let (page_token, decoded) = (request.page_token.clone(), request.include_record);
        let refused = |refusal: Refusal| status::refused(&refusal);
        let page_size = page_size_of(request.page_size).map_err(refused)?;
        let query = query(request).map_err(refused)?;
        let page = self.hub.search(&member, query, page_size, &page_token, decoded).await;
        let page = page.map_err(|error| status::failed(&error))?;
        let entries = page.entries.len();
        let answer = pb::SearchRecordsResponse {
            entries: page.entries,
            next_page_token: page.next_page_token,
        };
        Ok(bulk::marked(answer, "read.search", entries))
    }

    async fn list_techniques(
        &self,
        request: Request<pb::ListTechniquesRequest>,
    ) -> Answer<pb::ListTechniquesResponse> {
        let member = caller(&request)?;
        let request = request.into_inner();
        let page_token = request.page_token.clone();
        let refused = |refusal: Refusal| status::refused(&refusal);
        let page_size = page_size_of(request.page_size).map_err(refused)?;
        let query = technique_query(request).map_err(refused)?;
        let page = self.hub.techniques(&member, query, page_size, &page_token).await;
        let page = page.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::ListTechniquesResponse {
            techniques: page.techniques,
            next_page_token: page.next_page_token,
            frameworks: page.frameworks,
        }))
    }
}

/// How many entries an operation's answer has: itself, and what is said about it.
fn entries_of(answer: &pb::GetOperationResponse) -> usize {
    let said = [
        &answer.attributions,
        &answer.actions,
        &answer.opinions,
        &answer.sightings,
        &answer.inquiries,
        &answer.replies,
        &answer.notes,
        &answer.links,
    ];
    said.into_iter().map(Vec::len).sum::<usize>() + 1
}

fn technique_query(wire: pb::ListTechniquesRequest) -> Result<TechniqueQuery, Refusal> {
    let pb::ListTechniquesRequest {
        text,
        framework,
        version,
        external_ids,
        tactic,
        page_size: _,
        page_token: _,
    } = wire;
    demand_values(&external_ids, "external_ids")?;
    for (value, field) in [(&framework, "framework"), (&version, "version"), (&tactic, "tactic")] {
        if value.len() > limits::LABEL_BYTES_MAX {
            let message = format!("must have at most {} bytes", limits::LABEL_BYTES_MAX);
            return Err(invalid(field, &message));
        }
    }
    Ok(TechniqueQuery {
        words: if text.is_empty() { Vec::new() } else { words(&text)? },
        framework,
        version,
        external_ids,
        tactic,
    })
}

fn query(wire: pb::SearchRecordsRequest) -> Result<Query, Refusal> {
    let pb::SearchRecordsRequest {
        text,
        filter: wire_filter,
        techniques,
        regions,
        languages,
        accepted_since_time,
        accepted_until_time,
        confidence_min,
        active_only,
        page_size: _,
        page_token: _,
        include_record: _,
    } = wire;
    for (values, field) in
        [(&techniques, "techniques"), (&regions, "regions"), (&languages, "languages")]
    {
        demand_values(values, field)?;
    }
    if confidence_min.is_some_and(|least| least > 100) {
        return Err(invalid("confidence_min", "must be 0 to 100"));
    }
    let time = |time: Option<prost_types::Timestamp>, field| {
        time.map(|time| wire::time::timestamp(&time, field)).transpose()
    };
    Ok(Query {
        words: if text.is_empty() { Vec::new() } else { words(&text)? },
        filter: filter(wire_filter)?,
        techniques: techniques.iter().map(|text| technique(text)).collect(),
        regions: regions.iter().map(|code| code.to_ascii_uppercase()).collect(),
        languages: languages.iter().map(|tag| tag.to_ascii_lowercase()).collect(),
        since: time(accepted_since_time, "accepted_since_time")?,
        until: time(accepted_until_time, "accepted_until_time")?,
        confidence_min,
        active_only,
    })
}

fn words(text: &str) -> Result<Vec<String>, Refusal> {
    text::query_words(text).map_err(|error| invalid("text", &error.to_string()))
}

fn technique(text: &str) -> TechniqueId {
    match text.split_once('/') {
        Some((framework, external_id)) => TechniqueId {
            framework: Some(framework.to_ascii_lowercase()),
            external_id: external_id.to_ascii_lowercase(),
        },
        None => TechniqueId { framework: None, external_id: text.to_ascii_lowercase() },
    }
}

fn demand_values(values: &[String], field: &'static str) -> Result<(), Refusal> {
    if values.len() > limits::FILTER_VALUES_MAX {
        let message = format!("at most {} values are taken", limits::FILTER_VALUES_MAX);
        return Err(invalid(field, &message));
    }
    let fits = |value: &String| !value.is_empty() && value.len() <= limits::LABEL_BYTES_MAX;
    if values.iter().all(fits) {
        return Ok(());
    }
    Err(invalid(field, &format!("each must have 1 to {} bytes", limits::LABEL_BYTES_MAX)))
}

fn link_start(wire: Option<pb::list_links_request::Start>) -> Result<LinkStart, Refusal> {
    match wire {
        Some(pb::list_links_request::Start::Record(name)) => {
            Ok(LinkStart::Record(record_name(&name, "record")?))
        }
        Some(pb::list_links_request::Start::Value(value)) => {
            let (form, digest) = wire::query_form(&value)?;
            Ok(LinkStart::Value(form, digest))
        }
        None => Err(invalid("start", "must be set")),
    }
}

fn record_name(text: &str, field: &'static str) -> Result<RecordName, Refusal> {
    text.parse().map_err(|error: InvalidName| invalid(field, &error.to_string()))
}

fn bounded(
    wire: u32,
    (default, maximum): (usize, usize),
    field: &'static str,
) -> Result<usize, Refusal> {
    let asked = usize::try_from(wire).unwrap_or(usize::MAX);
    match asked {
        0 => Ok(default),
        _ if asked <= maximum => Ok(asked),
        _ => Err(invalid(field, &format!("must be at most {maximum}"))),
    }
}

fn invalid(field: &'static str, message: &str) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, message)
}
