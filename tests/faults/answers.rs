//! What a hub answers, call by call, as digests: two hubs with the same data say the same.
//!
//! Left out is what is made anew for each call: marks, times of asking, page tokens, and what a listing is signed with.

use std::collections::BTreeMap;

use prost::Message;
use tonic::Status;
use tonic_types::StatusExt as _;
use watchfire::client::Client;
use watchfire::model::names::sha256;
use watchfire::wire::pb;

/// Who has an export made.
const EXPORTS: &str = "birch-social";

/// By the name of the call: the digest of the answer, or the reason of the refusal.
pub(crate) type Answers = BTreeMap<String, Result<String, String>>;

/// Records that are asked for by name or value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions {
    pub(crate) names: Vec<String>,
    pub(crate) values: Vec<String>,
}

fn digest(message: &impl Message) -> String {
    hex::encode(sha256(&message.encode_to_vec()))
}

fn refused(status: &Status) -> String {
    let reason = status.get_details_error_info().map(|info| info.reason);
    reason.unwrap_or_else(|| format!("{:?}: {}", status.code(), status.message()))
}

fn said(answer: Result<String, Status>) -> Result<String, String> {
    answer.map_err(|status| refused(&status))
}

/// Everything that one member may ask.
pub(crate) async fn all(client: &Client, questions: &Questions) -> Answers {
    let mut answers = Answers::new();
    let mut note = |what: &str, answer| answers.insert(what.to_owned(), said(answer));
    note("exchange", exchange(client).await);
    note("members", members(client).await);
    note("keys", keys(client).await);
    note("audiences", audiences(client).await);
    note("quota", quota(client).await);
    note("subscriptions", subscriptions(client).await);
    note("checkpoint", checkpoint(client).await);
    note("heads", heads(client).await);
    note("reports", reports(client).await);
    note("records", records(client, questions).await);
    note("lookups", lookups(client, questions).await);
    note("search", search(client).await);
    note("list", list(client).await);
    note("proofs", proofs(client).await);
    note("replay", replay(client, None).await);
    note("durable", replay(client, Some("feed")).await);
    // It is the slowest by far, and the same of everything for everybody.
    if client.profile().settings().member.as_str() == EXPORTS {
        note("export", export(client).await);
    }
    answers
}

/// What has to be asked before anything is delivered: it says to whom what was.
pub(crate) async fn before(client: &Client) -> Answers {
    Answers::from([("recalls".to_owned(), said(recalls(client).await))])
}

async fn exchange(client: &Client) -> Result<String, Status> {
    let answer = client.roster_service().get_exchange(pb::GetExchangeRequest {}).await?;
    Ok(digest(&pb::GetExchangeResponse { time: None, ..answer.into_inner() }))
}

async fn members(client: &Client) -> Result<String, Status> {
    let request = pb::ListMembersRequest::default();
    Ok(digest(client.roster_service().list_members(request).await?.get_ref()))
}

async fn keys(client: &Client) -> Result<String, Status> {
    let parent = client.profile().settings().member.name();
    let request = pb::ListKeysRequest { parent, ..Default::default() };
    Ok(digest(client.roster_service().list_keys(request).await?.get_ref()))
}

async fn audiences(client: &Client) -> Result<String, Status> {
    let request = pb::ListAudiencesRequest::default();
    Ok(digest(client.audience_service().list_audiences(request).await?.get_ref()))
}

async fn quota(client: &Client) -> Result<String, Status> {
    let answer = client.roster_service().get_quota(pb::GetQuotaRequest {}).await?.into_inner();
    Ok(digest(&answer.r#use.unwrap_or_default().quota.unwrap_or_default()))
}

async fn subscriptions(client: &Client) -> Result<String, Status> {
    let request = pb::ListSubscriptionsRequest::default();
    let answer = client.subscription_service().list_subscriptions(request).await?.into_inner();
    let mut kept = answer.subscriptions;
    for each in &mut kept {
        each.lag_time = None;
        each.cursor = Vec::new();
    }
    Ok(digest(&pb::ListSubscriptionsResponse { subscriptions: kept, ..Default::default() }))
}

async fn checkpoint(client: &Client) -> Result<String, Status> {
    let request = pb::GetCheckpointRequest {};
    Ok(digest(client.transparency_service().get_checkpoint(request).await?.get_ref()))
}

async fn heads(client: &Client) -> Result<String, Status> {
    let request = pb::ListPublisherHeadsRequest::default();
    let answer = client.transparency_service().list_publisher_heads(request).await?.into_inner();
    let heads = pb::ListPublisherHeadsResponse { heads: answer.heads, ..Default::default() };
    Ok(digest(&heads))
}

async fn reports(client: &Client) -> Result<String, Status> {
    let request = pb::ListMisbehaviorReportsRequest::default();
    Ok(digest(client.transparency_service().list_misbehavior_reports(request).await?.get_ref()))
}

async fn recalls(client: &Client) -> Result<String, Status> {
    let request = pb::ListRecallsRequest::default();
    let answer = client.query_service().list_recalls(request).await?.into_inner();
    Ok(digest(&pb::ListRecallsResponse { next_page_token: String::new(), ..answer }))
}

async fn records(client: &Client, questions: &Questions) -> Result<String, Status> {
    let mut all = Vec::new();
    for name in &questions.names {
        let request = pb::GetRecordRequest { name: name.clone(), include_record: true };
        match client.exchange_service().get_record(request).await {
            Ok(answer) => all.extend(answer.into_inner().encode_to_vec()),
            // One that was erased, or that this member may not read.
            Err(status) if status.code() == tonic::Code::NotFound => all.push(0),
            Err(status) => return Err(status),
        }
    }
    Ok(hex::encode(sha256(&all)))
}

async fn lookups(client: &Client, questions: &Questions) -> Result<String, Status> {
    let query = |value: &String| pb::ValueQuery { value: value.clone(), ..Default::default() };
    let request = pb::LookupValuesRequest {
        queries: questions.values.iter().map(query).collect(),
        ..Default::default()
    };
    Ok(digest(client.exchange_service().lookup_values(request).await?.get_ref()))
}

async fn search(client: &Client) -> Result<String, Status> {
    let request = pb::SearchRecordsRequest {
        text: "lantern".to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    let answer = client.query_service().search_records(request).await?.into_inner();
    Ok(digest(&pb::SearchRecordsResponse { next_page_token: String::new(), ..answer }))
}

async fn list(client: &Client) -> Result<String, Status> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListRecordsRequest { page_size: 1000, page_token, ..Default::default() };
        let answer = client.exchange_service().list_records(request).await?.into_inner();
        all.extend(answer.entries.iter().flat_map(Message::encode_to_vec));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(hex::encode(sha256(&all)));
        }
    }
}

async fn proofs(client: &Client) -> Result<String, Status> {
    let head = client.roster_service().get_exchange(pb::GetExchangeRequest {}).await?;
    let size = head.into_inner().head;
    let mut all = Vec::new();
    for sequence in (0..size).step_by(97) {
        let request = pb::GetInclusionProofRequest { sequence, tree_size: size };
        let answer = client.transparency_service().get_inclusion_proof(request).await?;
        all.extend(answer.into_inner().encode_to_vec());
        let request = pb::GetConsistencyProofRequest { first_size: sequence, second_size: size };
        if sequence > 0 {
            let answer = client.transparency_service().get_consistency_proof(request).await?;
            all.extend(answer.into_inner().encode_to_vec());
        }
    }
    Ok(hex::encode(sha256(&all)))
}

/// Every entry that a stream brings, from the start or of a durable subscription.
async fn replay(client: &Client, subscription: Option<&str>) -> Result<String, Status> {
    use pb::subscribe_request::Start;

    let member = client.profile().settings().member.name();
    let start = match subscription {
        Some(id) => Start::Subscription(format!("{member}/subscriptions/{id}")),
        None => Start::From(pb::StartPoint::Start.into()),
    };
    let request =
        pb::SubscribeRequest { start: Some(start), until_head: true, ..Default::default() };
    let mut stream = client.exchange_service().subscribe(request).await?.into_inner();
    let (mut all, mut stands) = (Vec::new(), String::new());
    while let Some(frame) = stream.message().await? {
        all.extend(frame.entries.iter().flat_map(Message::encode_to_vec));
        all.extend(frame.left_filter.iter().flat_map(|left| left.to_be_bytes()));
        // How many marks there are depends on how fast it goes.
        if let Some(mark) = frame.mark {
            stands = format!("{:?}", (mark.position, mark.head, mark.epoch, mark.checkpoint));
        }
    }
    all.extend(stands.into_bytes());
    Ok(hex::encode(sha256(&all)))
}

async fn export(client: &Client) -> Result<String, Status> {
    let request = pb::ExportRequest { filter: None, format: pb::ExportFormat::Stix.into() };
    let mut stream = client.export_service().export(request).await?.into_inner();
    let mut file = Vec::new();
    while let Some(pb::ExportResponse { chunk }) = stream.message().await? {
        file.extend(chunk);
    }
    let mut bundle: serde_json::Value = serde_json::from_slice(&file).expect("a bundle");
    // The file's own name is made anew.
    let objects = bundle.get_mut("objects").and_then(serde_json::Value::as_array_mut);
    let objects = objects.expect("objects");
    objects.sort_by_key(|object| object.get("id").map(ToString::to_string));
    let text = serde_json::to_vec(objects).expect("JSON");
    Ok(hex::encode(sha256(&text)))
}
