//! `ExchangeService`: records in, records out.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt as _;
use futures_util::TryStreamExt as _;
use futures_util::stream;
use prost::Message as _;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;

use crate::exchange::Carries;
use crate::exchange::Event;
use crate::exchange::Hub;
use crate::exchange::LookUpOptions;
use crate::exchange::Mark;
use crate::exchange::MarkProofs;
use crate::exchange::Order;
use crate::exchange::Outcome;
use crate::exchange::Receipt;
use crate::exchange::Sought;
use crate::exchange::Start;
use crate::exchange::Subscription;
use crate::exchange::SubscriptionOptions;
use crate::exchange::Warning;
use crate::model::limits;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::InvalidName;
use crate::model::names::MemberId;
use crate::model::names::RevisionName;
use crate::model::names::SubscriptionName;
use crate::model::perceptual::NEAR_BITS_MAX;
use crate::model::perceptual::Pdq;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::batches::Batches;
use crate::rpc::batches::hold;
use crate::rpc::bulk;
use crate::rpc::bulk::Amount;
use crate::rpc::caller::caller;
use crate::rpc::status;
use crate::wire;
use crate::wire::SubscribeFrame;
use crate::wire::face::exchange_service_server::ExchangeService;
use crate::wire::filter::filter;
use crate::wire::filter::kept_filter;
use crate::wire::pb;

pub(super) type Answer<T> = Result<Response<T>, Status>;
type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
pub(super) struct ExchangeFace {
    hub: Arc<Hub>,
    batches: Batches,
}

impl ExchangeFace {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, batches: Batches::default() }
    }
}

#[tonic::async_trait]
impl ExchangeService for ExchangeFace {
    type PublishStreamStream = Boxed<pb::PublishStreamResponse>;
    type SubscribeStream = Boxed<SubscribeFrame>;

    async fn publish(&self, request: Request<pb::PublishRequest>) -> Answer<pb::PublishResponse> {
        let member = caller(&request)?;
        self.hub.reader(&member).map_err(|refusal| status::refused(&refusal))?;
        let pb::PublishRequest { envelopes, known_size } = request.into_inner();
        let outcomes = self.hub.publish(&member, envelopes).await;
        let outcomes = outcomes.map_err(|refusal| status::refused(&refusal))?;
        let (results, growth_proof) = results(&self.hub, &member, outcomes, known_size).await?;
        Ok(Response::new(pb::PublishResponse { results, growth_proof }))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<pb::PublishStreamRequest>>,
    ) -> Answer<Self::PublishStreamStream> {
        let member = caller(&request)?;
        let slot = self.hub.open_stream(&member, Carries::Records);
        let slot = slot.map_err(|refusal| status::refused(&refusal))?;
        let room = self.batches.of(&member);
        let hub = Arc::clone(&self.hub);
        let preparing = Arc::clone(&self.hub);
        let proving = Arc::clone(&self.hub);
        let (sender, receiver) = (member.clone(), member.clone());
        let order = Order::default();
        // Signatures are checked in parallel, batches are handed to the sequencer in their order, and answers
        // are given in that order too. What is under way is bounded, on one stream and on all of a member's; the rest
        // waits in the client's window.
        let answers = until_it_fails(request.into_inner())
            .then(move |message| {
                let room = Arc::clone(&room);
                async move {
                    let message = message?;
                    let held = hold(room, message.encoded_len()).await?;
                    Ok::<_, Status>((message, held))
                }
            })
            .map(move |message| {
                let (hub, member) = (Arc::clone(&preparing), sender.clone());
                async move {
                    let (pb::PublishStreamRequest { envelopes, known_size }, held) = message?;
                    // Who was suspended meanwhile costs no more work.
                    hub.reader(&member).map_err(|refusal| status::refused(&refusal))?;
                    let prepared = hub.prepare(&member, envelopes).await;
                    let prepared = prepared.map_err(|refusal| status::refused(&refusal))?;
                    Ok::<_, Status>((prepared, known_size, held))
                }
            })
            .buffered(limits::STREAM_BATCHES_IN_FLIGHT)
            .and_then(move |(prepared, known_size, held)| {
                let (hub, member, order) = (Arc::clone(&hub), member.clone(), order.clone());
                async move {
                    let ticket = hub.submit(&member, prepared, order).await;
                    let ticket = ticket.map_err(|refusal| status::refused(&refusal))?;
                    Ok((ticket, known_size, held))
                }
            })
            // An error comes in its place too: what was appended before it is answered.
            .map(move |submitted| {
                let (hub, member) = (Arc::clone(&proving), receiver.clone());
                async move {
                    let (ticket, known_size, held) = submitted?;
                    let (results, growth_proof) =
                        results(&hub, &member, ticket.outcomes().await, known_size).await?;
                    drop(held);
                    Ok(pb::PublishStreamResponse { results, growth_proof })
                }
            })
            .buffered(limits::STREAM_BATCHES_IN_FLIGHT)
            .inspect(move |_answer| {
                let _held_while_the_stream_lives = &slot;
            });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Answer<Self::SubscribeStream> {
        let member = caller(&request)?;
        let pb::SubscribeRequest {
            start,
            filter: wire_filter,
            include_record,
            until_head,
            known_size,
            epoch,
        } = request.into_inner();
        let options = SubscriptionOptions {
            filter: kept_filter(wire_filter).map_err(|refusal| status::refused(&refusal))?,
            start: start_of(start).map_err(|refusal| status::refused(&refusal))?,
            decoded: include_record,
            until_head,
            known_size,
            epoch,
        };
        let subscription = self.hub.subscribe(&member, options);
        let subscription = subscription.map_err(|refusal| status::refused(&refusal))?;
        let few = Amount::Entries(subscription.behind());
        let amount = subscription.replay().map_or(few, Amount::Much);
        let frames: Self::SubscribeStream = Box::pin(frames(subscription, until_head));
        let mut response = Response::new(frames);
        bulk::mark(&mut response, "read.replay", amount);
        Ok(response)
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Answer<pb::GetRecordResponse> {
        let member = caller(&request)?;
        let pb::GetRecordRequest { name, include_record } = request.into_inner();
        let name: RevisionName = name.parse().map_err(|error: InvalidName| {
            let refusal = Refusal::field(Reason::FieldInvalid, "name", error.to_string());
            status::refused(&refusal)
        })?;
        let found = self.hub.record(&member, name, include_record).await;
        let (entry, withdrawn_sequence) = found.map_err(|error| status::failed(&error))?;
        let answer = pb::GetRecordResponse { entry: Some(entry), withdrawn_sequence };
        Ok(bulk::marked(answer, "read.get", 1))
    }

    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Answer<pb::ListRecordsResponse> {
        let member = caller(&request)?;
        let pb::ListRecordsRequest { filter: wire_filter, page_size, page_token, include_record } =
            request.into_inner();
        let filter = filter(wire_filter).map_err(|refusal| status::refused(&refusal))?;
        let page_size = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let page = self.hub.list(&member, filter, page_size, &page_token, include_record).await;
        let page = page.map_err(|error| status::failed(&error))?;
        let entries = page.entries.len();
        let answer = pb::ListRecordsResponse {
            entries: page.entries,
            next_page_token: page.next_page_token,
        };
        Ok(bulk::marked(answer, "read.list", entries))
    }

    async fn lookup_values(
        &self,
        request: Request<pb::LookupValuesRequest>,
    ) -> Answer<pb::LookupValuesResponse> {
        let member = caller(&request)?;
        let pb::LookupValuesRequest {
            queries,
            matches_max,
            include_record,
            active_only,
            distance_max,
        } = request.into_inner();
        let refused = |refusal: Refusal| status::refused(&refusal);
        let options = LookUpOptions {
            matches_max: demand_lookup(queries.len(), matches_max).map_err(refused)?,
            active_only,
            decoded: include_record,
        };
        let bits = distance_of(distance_max).map_err(refused)?;
        let forms: Vec<Result<(pb::NormalForm, Digest), Refusal>> =
            queries.iter().map(wire::query_form).collect();
        let sought = |form: &Result<(pb::NormalForm, Digest), Refusal>| {
            let (form, digest) = form.as_ref().ok()?;
            let is_media = form.kind == i32::from(pb::ObservableKind::MediaHash);
            let hash: Option<Pdq> = form.value.parse().ok().filter(|_hash| is_media && bits > 0);
            Some(Sought { digest: *digest, near: hash.map(|hash| (hash, bits)) })
        };
        let values = forms.iter().map(sought).collect();
        let looked = self.hub.look_up(&member, values, options).await;
        let looked = looked.map_err(|error| status::failed(&error))?;
        // A value that is asked for tells something even if it is not there; one that is near many tells more.
        let found: usize = looked.iter().map(|looked| looked.entries.len()).sum();
        let entries = found.max(queries.len());
        let results = forms
            .into_iter()
            .zip(looked)
            .map(|(form, looked)| {
                let (normal_form, refusal) = match form {
                    Ok((form, _digest)) => (Some(form), None),
                    Err(refusal) => (None, Some(status::item(&refusal))),
                };
                pb::ValueMatches {
                    normal_form,
                    entries: looked.entries,
                    more: looked.more,
                    refusal,
                    distances: looked.distances,
                    operations: looked.operations.iter().map(ToString::to_string).collect(),
                }
            })
            .collect();
        Ok(bulk::marked(pb::LookupValuesResponse { results }, "read.look-up", entries))
    }
}

/// Turns a subscription into frames; ends with its error, or after the first mark at the head if that was asked.
fn frames(
    subscription: Subscription,
    until_head: bool,
) -> impl Stream<Item = Result<SubscribeFrame, Status>> + Send {
    stream::unfold(Some(subscription), move |subscription| async move {
        let mut subscription = subscription?;
        match subscription.next().await {
            Ok(event) => {
                let last = until_head && event.mark().is_some() && subscription.is_at_head();
                Some((Ok(frame(event)), (!last).then_some(subscription)))
            }
            Err(error) => Some((Err(status::failed(&error)), None)),
        }
    })
}

fn frame(event: Event) -> SubscribeFrame {
    let mut frame = SubscribeFrame::default();
    let rest = match event {
        Event::Entries { framed, left_filter, mark, backfill, hidden } => {
            for piece in framed {
                frame.push(piece);
            }
            let (mark, rest) = mark.map(mark_to_wire).unzip();
            pb::SubscribeResponse {
                left_filter,
                mark,
                backfill,
                hidden: [hidden, rest.unwrap_or_default()].concat(),
                ..pb::SubscribeResponse::default()
            }
        }
        Event::AccessChanged { gained, lost, at, backfill } => pb::SubscribeResponse {
            access_changed: Some(pb::AccessChanged {
                gained: gained.iter().map(Audience::name).collect(),
                lost: lost.iter().map(Audience::name).collect(),
                at_sequence: at.0,
                backfill,
            }),
            ..pb::SubscribeResponse::default()
        },
        Event::Mark(mark) => {
            let (mark, hidden) = mark_to_wire(mark);
            pb::SubscribeResponse { mark: Some(mark), hidden, ..pb::SubscribeResponse::default() }
        }
    };
    let rest = rest.encode_to_vec();
    if !rest.is_empty() {
        frame.push(Bytes::from(rest));
    }
    frame
}

/// A mark, and what belongs to its frame.
fn mark_to_wire(mark: Mark) -> (pb::Mark, Vec<u8>) {
    let Mark { cursor, position, head, proofs, signed } = mark;
    let MarkProofs { hidden, backfill_hidden, frontier, head_proof, growth_proof } = proofs;
    let (statement, signature) = signed.unzip();
    let mark = pb::Mark {
        cursor,
        epoch: head.epoch,
        position,
        head: head.size,
        checkpoint: head.checkpoint.to_string(),
        time: Some(wire::time::timestamp_to_wire(head.accept_time)),
        frontier,
        head_proof,
        growth_proof,
        backfill_hidden,
        statement: statement.unwrap_or_default(),
        statement_signature: signature.map(|signature| signature.to_vec()).unwrap_or_default(),
    };
    (mark, hidden)
}

/// The messages of a stream, up to the first that is none: what comes behind that is no message either.
fn until_it_fails<M>(messages: Streaming<M>) -> impl Stream<Item = Result<M, Status>> {
    stream::try_unfold(messages, |mut messages| async move {
        let next = messages.message().await?;
        Ok(next.map(|message| (message, messages)))
    })
}

fn start_of(wire: Option<pb::subscribe_request::Start>) -> Result<Start, Refusal> {
    match wire {
        None => Ok(Start::First),
        Some(pb::subscribe_request::Start::From(point)) => match pb::StartPoint::try_from(point) {
            Ok(pb::StartPoint::Unspecified | pb::StartPoint::Start) => Ok(Start::First),
            Ok(pb::StartPoint::Now) => Ok(Start::Now),
            Ok(pb::StartPoint::Snapshot) => Ok(Start::Snapshot),
            Err(_unknown) => Err(Refusal::field(
                Reason::UnsupportedField,
                "from",
                format!("{point} is not known to this version"),
            )),
        },
        Some(pb::subscribe_request::Start::Subscription(name)) => {
            Ok(Start::Durable(subscription_name(&name, "subscription")?))
        }
        Some(pb::subscribe_request::Start::Sequence(sequence)) => Ok(Start::Sequence(sequence)),
        Some(pb::subscribe_request::Start::Cursor(cursor)) => Ok(Start::Cursor(cursor)),
    }
}

pub(super) fn subscription_name(
    text: &str,
    field: &'static str,
) -> Result<SubscriptionName, Refusal> {
    text.parse().map_err(|error: InvalidName| {
        Refusal::field(Reason::FieldInvalid, field, error.to_string())
    })
}

pub(super) fn page_size_of(wire: u32) -> Result<usize, Refusal> {
    let size = usize::try_from(wire).unwrap_or(usize::MAX);
    match size {
        0 => Ok(limits::PAGE_ENTRIES_DEFAULT),
        1..=limits::PAGE_ENTRIES_MAX => Ok(size),
        _ => Err(Refusal::field(
            Reason::FieldInvalid,
            "page_size",
            format!("must be at most {}", limits::PAGE_ENTRIES_MAX),
        )),
    }
}

fn demand_lookup(queries: usize, matches_max: u32) -> Result<usize, Refusal> {
    if queries > limits::LOOKUP_VALUES_MAX {
        return Err(Refusal::field(
            Reason::BatchTooLarge,
            "queries",
            format!("{queries} values, more than {}", limits::LOOKUP_VALUES_MAX),
        ));
    }
    let matches_max = usize::try_from(matches_max).unwrap_or(usize::MAX);
    match matches_max {
        0 => Ok(limits::LOOKUP_MATCHES_DEFAULT),
        1..=limits::LOOKUP_MATCHES_MAX => Ok(matches_max),
        _ => Err(Refusal::field(
            Reason::FieldInvalid,
            "matches_max",
            format!("must be at most {}", limits::LOOKUP_MATCHES_MAX),
        )),
    }
}

fn distance_of(wire: Option<u32>) -> Result<u32, Refusal> {
    let bits = wire.unwrap_or(NEAR_BITS_MAX);
    if bits <= NEAR_BITS_MAX {
        return Ok(bits);
    }
    let message = format!("must be at most {NEAR_BITS_MAX}");
    Err(Refusal::field(Reason::FieldInvalid, "distance_max", message))
}

/// What became of records, each that was taken in with its proof, and the proof of the log's growth since a size.
async fn results(
    hub: &Hub,
    member: &MemberId,
    outcomes: Vec<Outcome>,
    known_size: u64,
) -> Result<(Vec<pb::PublishResult>, Vec<u8>), Status> {
    let proven = hub.prove(member, outcomes, known_size).await;
    let (outcomes, growth) = proven.map_err(|error| status::failed(&error.into()))?;
    Ok((outcomes.into_iter().map(result).collect(), growth))
}

fn result(outcome: Outcome) -> pb::PublishResult {
    let warnings = outcome.as_ref().map(|taken| taken.warnings.iter().map(warning).collect());
    let warnings = warnings.unwrap_or_default();
    let outcome = match outcome {
        Ok(taken) => pb::publish_result::Outcome::Receipt(receipt(taken)),
        Err(refusal) => pb::publish_result::Outcome::Refusal(status::item(&refusal)),
    };
    pb::PublishResult { outcome: Some(outcome), warnings }
}

fn warning(warning: &Warning) -> pb::Warning {
    let about = |reason: &str, field: &str, message: String| pb::Warning {
        reason: reason.to_owned(),
        message,
        field: field.to_owned(),
        ..pb::Warning::default()
    };
    let operation = "body.indicator.operation";
    match warning {
        Warning::CommonBenignValue { list, matched, how } => pb::Warning {
            reason: "COMMON_BENIGN_VALUE".to_owned(),
            message: format!("the value is common and benign, says {list}: {matched} ({how})"),
            field: "body.indicator.observable.value".to_owned(),
            list: list.clone(),
            matched: matched.clone(),
        },
        Warning::OperationNotFound => {
            let message = "there is no such operation yet, or you may not see it".to_owned();
            about("OPERATION_NOT_FOUND", operation, message)
        }
        Warning::NotAnOperation(kind) => {
            let message = format!(
                "the record that it names is no operation, but of the kind {}",
                kind.as_str()
            );
            about("NOT_AN_OPERATION", operation, message)
        }
        Warning::PlatformMissing(kind) => {
            let message = format!("without its platform nobody can tell which {kind} it is");
            about("PLATFORM_MISSING", "body.indicator.observable.platform", message)
        }
        Warning::TechniqueUnknown { field, external_id, asked } => {
            let message = format!("{external_id} is no technique of {asked}");
            let warning = about("TECHNIQUE_UNKNOWN", field, message);
            pb::Warning { list: asked.clone(), matched: external_id.clone(), ..warning }
        }
        Warning::TechniqueOfOtherVersion { field, external_id, version, having, is_here } => {
            let why = if *is_here { "is not in" } else { "cannot be checked by" };
            let message = format!("{external_id} {why} version {version}, but is in {having}");
            let warning = about("TECHNIQUE_OF_OTHER_VERSION", field, message);
            pb::Warning { list: having.clone(), matched: external_id.clone(), ..warning }
        }
    }
}

pub(super) fn receipt(receipt: Receipt) -> pb::Receipt {
    let Receipt {
        header_digest,
        epoch,
        sequence,
        accept_time,
        leaf_hash,
        checkpoint,
        tree_size: _in_it,
        inclusion_proof,
        repeated,
        warnings: _beside_it,
    } = receipt;
    pb::Receipt {
        header_digest: header_digest.to_vec(),
        epoch,
        sequence,
        accept_time: Some(wire::time::timestamp_to_wire(accept_time)),
        leaf_hash: leaf_hash.to_vec(),
        checkpoint: checkpoint.to_string(),
        repeated,
        inclusion_proof,
    }
}
