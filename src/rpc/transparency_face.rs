//! `TransparencyService`: checkpoints, proofs and leaves; what members sign beside the log; reports of misbehaviour.

use std::sync::Arc;

use tonic::Request;
use tonic::Response;

use crate::exchange::EntriesQuery;
use crate::exchange::Hub;
use crate::exchange::ListedReport;
use crate::exchange::Multiproof;
use crate::exchange::Proof;
use crate::exchange::PublisherEntries;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::caller::caller;
use crate::rpc::exchange_face::Answer;
use crate::rpc::exchange_face::page_size_of;
use crate::rpc::status;
use crate::transparency::LeafData;
use crate::wire;
use crate::wire::face::transparency_service_server::TransparencyService;
use crate::wire::head::Signed;
use crate::wire::pb;

/// The service.
pub(super) struct TransparencyFace {
    hub: Arc<Hub>,
}

impl TransparencyFace {
    pub(super) const fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

#[tonic::async_trait]
impl TransparencyService for TransparencyFace {
    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Answer<pb::GetCheckpointResponse> {
        let member = caller(&request)?;
        self.hub.reader(&member).map_err(|refusal| status::refused(&refusal))?;
        // In this order: nothing that was cosigned is larger than the checkpoint.
        let cosigned = self.hub.cosigned();
        let checkpoint = self.hub.head().checkpoint.to_string();
        Ok(Response::new(pb::GetCheckpointResponse { checkpoint, cosigned }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Answer<pb::GetInclusionProofResponse> {
        let member = caller(&request)?;
        let pb::GetInclusionProofRequest { sequence, tree_size } = request.into_inner();
        let found = self.hub.inclusion_proof(&member, sequence, chosen(tree_size)).await;
        let (leaf, proof) = found.map_err(|error| status::failed(&error))?;
        let Proof { hashes, size, checkpoint } = proof;
        Ok(Response::new(pb::GetInclusionProofResponse {
            leaf_hash: leaf.to_vec(),
            hashes: to_wire(&hashes),
            tree_size: size,
            checkpoint,
        }))
    }

    async fn get_multiproof(
        &self,
        request: Request<pb::GetMultiproofRequest>,
    ) -> Answer<pb::GetMultiproofResponse> {
        let member = caller(&request)?;
        let pb::GetMultiproofRequest { sequences, known_size } = request.into_inner();
        let found = self.hub.multiproof(&member, sequences, known_size).await;
        let Multiproof { checkpoint, hashes, growth } =
            found.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::GetMultiproofResponse {
            checkpoint,
            hashes: hashes.concat(),
            growth_proof: growth.concat(),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Answer<pb::GetConsistencyProofResponse> {
        let member = caller(&request)?;
        let pb::GetConsistencyProofRequest { first_size, second_size } = request.into_inner();
        let found = self.hub.consistency_proof(&member, first_size, chosen(second_size)).await;
        let Proof { hashes, size, checkpoint } = found.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::GetConsistencyProofResponse {
            hashes: to_wire(&hashes),
            second_size: size,
            checkpoint,
        }))
    }

    async fn list_leaf_hashes(
        &self,
        request: Request<pb::ListLeafHashesRequest>,
    ) -> Answer<pb::ListLeafHashesResponse> {
        let member = caller(&request)?;
        let pb::ListLeafHashesRequest { start_sequence, page_size } = request.into_inner();
        let count = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let found = self.hub.leaves(&member, start_sequence, count).await;
        let (leaves, checkpoint) = found.map_err(|error| status::failed(&error))?;
        let leaves = leaves.iter().map(leaf_to_wire).collect();
        Ok(Response::new(pb::ListLeafHashesResponse { leaves, checkpoint }))
    }

    async fn add_cosignature(
        &self,
        request: Request<pb::AddCosignatureRequest>,
    ) -> Answer<pb::AddCosignatureResponse> {
        let member = caller(&request)?;
        let pb::AddCosignatureRequest { checkpoint } = request.into_inner();
        let kept = self.hub.add_cosignature(&member, checkpoint).await;
        let checkpoint = kept.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::AddCosignatureResponse { checkpoint }))
    }

    async fn put_publisher_head(
        &self,
        request: Request<pb::PutPublisherHeadRequest>,
    ) -> Answer<pb::PutPublisherHeadResponse> {
        let member = caller(&request)?;
        let head = Signed::from_wire(request.into_inner().head.unwrap_or_default());
        let put = self.hub.put_head(&member, head).await;
        put.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::PutPublisherHeadResponse {}))
    }

    async fn list_publisher_heads(
        &self,
        request: Request<pb::ListPublisherHeadsRequest>,
    ) -> Answer<pb::ListPublisherHeadsResponse> {
        let member = caller(&request)?;
        let pb::ListPublisherHeadsRequest { publisher, page_size, page_token } =
            request.into_inner();
        let refused = |refusal: Refusal| status::refused(&refusal);
        let publisher = publisher_of(&publisher).map_err(refused)?;
        let count = page_size_of(page_size).map_err(refused)?;
        let page = (count, page_token.as_str());
        let found = self.hub.heads(&member, publisher.as_ref(), page);
        let (heads, next_page_token) = found.map_err(refused)?;
        let heads = heads.iter().map(Signed::to_wire).collect();
        Ok(Response::new(pb::ListPublisherHeadsResponse { heads, next_page_token }))
    }

    async fn list_publisher_entries(
        &self,
        request: Request<pb::ListPublisherEntriesRequest>,
    ) -> Answer<pb::ListPublisherEntriesResponse> {
        let member = caller(&request)?;
        let query = entries_query(request.into_inner());
        let query = query.map_err(|refusal| status::refused(&refusal))?;
        let found = self.hub.publisher_entries(&member, query).await;
        let PublisherEntries { entries, next, listing } =
            found.map_err(|error| status::failed(&error))?;
        let entry = |(sequence, digest): (u64, Digest)| pb::PublisherEntry {
            sequence,
            header_digest: digest.to_vec(),
        };
        Ok(Response::new(pb::ListPublisherEntriesResponse {
            entries: entries.into_iter().map(entry).collect(),
            next_sequence: next.unwrap_or_default(),
            listing: listing.as_ref().map(Signed::to_wire),
        }))
    }

    async fn report_misbehavior(
        &self,
        request: Request<pb::ReportMisbehaviorRequest>,
    ) -> Answer<pb::ReportMisbehaviorResponse> {
        let member = caller(&request)?;
        let pb::ReportMisbehaviorRequest { evidence } = request.into_inner();
        let taken = self.hub.report_misbehavior(&member, evidence).await;
        let statement = taken.map_err(|error| status::failed(&error))?;
        Ok(Response::new(pb::ReportMisbehaviorResponse { statement: Some(statement.to_wire()) }))
    }

    async fn list_misbehavior_reports(
        &self,
        request: Request<pb::ListMisbehaviorReportsRequest>,
    ) -> Answer<pb::ListMisbehaviorReportsResponse> {
        let member = caller(&request)?;
        let pb::ListMisbehaviorReportsRequest { page_size, page_token } = request.into_inner();
        let count = page_size_of(page_size).map_err(|refusal| status::refused(&refusal))?;
        let found = self.hub.misbehavior_reports(&member, (count, page_token.as_str())).await;
        let (reports, next_page_token) = found.map_err(|error| status::failed(&error))?;
        let reports = reports.into_iter().map(report_to_wire).collect();
        Ok(Response::new(pb::ListMisbehaviorReportsResponse { reports, next_page_token }))
    }
}

fn report_to_wire(report: ListedReport) -> pb::MisbehaviorReport {
    let ListedReport { name, time, evidence } = report;
    pb::MisbehaviorReport {
        reporter: name.reporter.name(),
        time: Some(wire::time::timestamp_to_wire(time)),
        evidence_digest: name.digest.to_vec(),
        evidence,
    }
}

/// Empty names every publisher.
fn publisher_of(name: &str) -> Result<Option<MemberId>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    let parsed = MemberId::from_name(name);
    parsed
        .map(Some)
        .map_err(|error| Refusal::field(Reason::FieldInvalid, "publisher", error.to_string()))
}

fn entries_query(wire: pb::ListPublisherEntriesRequest) -> Result<EntriesQuery, Refusal> {
    let pb::ListPublisherEntriesRequest { publisher, key, scope, start_sequence, size, page_size } =
        wire;
    Ok(EntriesQuery {
        name: wire::head::name(&publisher, &key, &scope)?,
        start: start_sequence,
        size: chosen(size),
        page_size: page_size_of(page_size)?,
    })
}

/// 0 leaves the choice to the hub.
fn chosen(size: u64) -> Option<u64> {
    (size > 0).then_some(size)
}

fn to_wire(hashes: &[Digest]) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.to_vec()).collect()
}

fn leaf_to_wire(leaf: &LeafData) -> pb::Leaf {
    pb::Leaf {
        sequence: leaf.sequence.0,
        accept_time: Some(wire::time::timestamp_to_wire(leaf.accept_time)),
        name_digest: leaf.name_digest.to_vec(),
        header_digest: leaf.header_digest.to_vec(),
        signatures_digest: leaf.signatures_digest.to_vec(),
    }
}
