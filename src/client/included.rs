//! Entries of answers, checked in full: signed by whom they say, and in the log, at their places.
//!
//! A stream follows the log's tree; an answer is a part of the log, and is held against it by one proof for all its
//! entries, of a checkpoint that continues what is known.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;

use crate::client::account::Deviation;
use crate::client::account::Hashes;
use crate::client::account::demand_growth;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::evidence::Exhibit;
use crate::client::subscribe::Patience;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::limits;
use crate::model::names::Digest;
use crate::transparency::proof;
use crate::wire::pb;

/// How long a lost hub is waited for while its notices are read.
const PATIENCE: Duration = Duration::from_secs(30);
/// Entries that a file of evidence keeps of an answer, at most.
const KEPT_MAX: usize = 64;

impl Client {
    /// Entries of an answer, each checked in full.
    pub(super) async fn believe(
        &self,
        entries: Vec<pb::Entry>,
    ) -> Result<Vec<VerifiedEntry>, ClientError> {
        Ok(self.believe_lists(vec![entries]).await?.pop().unwrap_or_default())
    }

    /// The same for an answer that has several lists.
    pub(super) async fn believe_lists(
        &self,
        lists: Vec<Vec<pb::Entry>>,
    ) -> Result<Vec<Vec<VerifiedEntry>>, ClientError> {
        let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
        let entries: Vec<pb::Entry> = lists.into_iter().flatten().collect();
        let Some(last) = entries.iter().map(|entry| entry.sequence).max() else {
            return Ok(lengths.iter().map(|_empty| Vec::new()).collect());
        };
        let believed = self.verifier_past(last).await?.verify_all(entries)?;
        self.demand_included(&believed).await?;
        self.demand_notices(&believed, Patience::Limited(PATIENCE)).await?;
        let mut believed = believed.into_iter();
        Ok(lengths.into_iter().map(|length| believed.by_ref().take(length).collect()).collect())
    }

    /// Demands proofs that entries are in the log.
    async fn demand_included(&self, entries: &[VerifiedEntry]) -> Result<(), ClientError> {
        let mut places = BTreeMap::new();
        for entry in entries {
            let other = places.insert(entry.sequence(), entry);
            if other.is_some_and(|other| other.leaf_hash() != entry.leaf_hash()) {
                let why = format!("it shows two entries at sequence {}", entry.sequence());
                return Err(VerificationError::answer(why).into());
            }
        }
        let places: Vec<&VerifiedEntry> = places.into_values().collect();
        for entries in places.chunks(limits::PAGE_ENTRIES_MAX) {
            if !self.are_included(entries).await? {
                let exhibits = entries.iter().take(KEPT_MAX).map(|entry| exhibit(entry));
                let error = VerificationError::deviation(Deviation::Root);
                return Err(self.keep_evidence(error, exhibits.collect(), None).await.into());
            }
        }
        Ok(())
    }

    /// Whether a proof holds that entries, which rise, are in the log.
    async fn are_included(&self, entries: &[&VerifiedEntry]) -> Result<bool, ClientError> {
        let known = self.newest_checkpoint();
        let request = pb::GetMultiproofRequest {
            sequences: entries.iter().map(|entry| entry.sequence()).collect(),
            known_size: known.map_or(0, |known| known.size),
        };
        let proven = self.transparency_service().get_multiproof(request.clone()).await;
        let answer = match proven.map_err(ClientError::from) {
            // An answer may be a moment ahead of the log's head.
            Err(ClientError::Refused(refused)) if refused.field == "sequences" => {
                let last = entries.last().map_or(0, |entry| entry.sequence());
                self.await_head_past(last).await?;
                self.transparency_service().get_multiproof(request).await?.into_inner()
            }
            answer => answer?.into_inner(),
        };
        let pb::GetMultiproofResponse { checkpoint: note, hashes, growth_proof } = answer;
        let checkpoint = self.opened(&note).await?;
        let grown = known
            .map(|known| demand_growth(&known, &checkpoint, Hashes::of(&growth_proof)?.proof()?));
        if let Some(Err(deviation)) = grown {
            return Err(self.deviates_at(deviation, checkpoint, &note).await);
        }
        self.remember(&checkpoint, &note, known).await?;
        let (hashes, rest) = hashes.as_chunks();
        let tree = (checkpoint.size, &checkpoint.root);
        let leaves = entries.iter().map(|entry| (entry.sequence(), entry.leaf_hash()));
        let leaves: Vec<(u64, Digest)> = leaves.collect();
        Ok(rest.is_empty() && proof::check_multiproof(&leaves, tree, hashes).is_ok())
    }
}

fn exhibit(entry: &VerifiedEntry) -> Exhibit {
    Exhibit::received("an entry of an answer", &entry.to_entry().encode_to_vec())
}
