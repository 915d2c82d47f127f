//! `TransparencyService`: checkpoints, proofs and leaves.

use std::sync::Arc;

use tonic::Request;
use tonic::Response;

use crate::exchange::Hub;
use crate::exchange::Proof;
use crate::model::names::Digest;
use crate::rpc::caller::caller;
use crate::rpc::exchange_face::Answer;
use crate::rpc::exchange_face::page_size_of;
use crate::rpc::status;
use crate::transparency::LeafData;
use crate::wire;
use crate::wire::face::transparency_service_server::TransparencyService;
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
        let checkpoint = self.hub.head().checkpoint.to_string();
        Ok(Response::new(pb::GetCheckpointResponse { checkpoint }))
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
