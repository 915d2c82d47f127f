//! Receipts: the hub's promise for a record, checked before the outbox lets the record go.

use std::fmt;

use crate::client::verifier::VerificationError;
use crate::model::header::revision_digest;
use crate::model::names::Digest;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::transparency::Checkpoint;
use crate::transparency::LeafData;
use crate::transparency::proof;
use crate::wire;
use crate::wire::pb;

/// A receipt that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The record.
    pub name: RecordName,
    /// Its revision.
    pub revision: u32,
    /// Its identity.
    pub header_digest: Digest,
    /// The log's epoch.
    pub epoch: u32,
    /// The place.
    pub sequence: u64,
    /// When the hub took it in.
    pub accept_time: Timestamp,
    /// The log's leaf.
    pub leaf_hash: Digest,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
    /// Whether it was there before.
    pub repeated: bool,
    /// What the hub thinks its publisher may want to look at again: the hub's word, which nobody signed.
    pub warnings: Vec<Warning>,
}

/// Something about a record that looks like a mistake. The record was taken in all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The stable reason.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The field, in the proto's path notation.
    pub field: String,
    /// The list that has the value.
    pub list: String,
    /// The entry of the list that matched.
    pub matched: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, message, field, list, matched } = self;
        write!(formatter, "{reason} ({field}): {message}")?;
        // The hub's own words mostly have both.
        if list.is_empty() || (message.contains(list) && message.contains(matched)) {
            return Ok(());
        }
        write!(formatter, " ({matched} of the list {list})")
    }
}

impl From<pb::Warning> for Warning {
    fn from(wire: pb::Warning) -> Self {
        let pb::Warning { reason, message, field, list, matched } = wire;
        Self { reason, message, field, list, matched }
    }
}

/// Checks a receipt against the envelope that it is for, and its place against the checkpoint that it brings, which
/// holds.
pub(super) fn check(
    envelope: &pb::Envelope,
    wire: pb::Receipt,
    checkpoint: &Checkpoint,
) -> Result<Receipt, VerificationError> {
    let pb::Receipt {
        header_digest,
        epoch,
        sequence,
        accept_time,
        leaf_hash,
        checkpoint: _opened,
        repeated,
        inclusion_proof,
    } = wire;
    let digest = sha256(&envelope.payload);
    if header_digest != digest {
        return Err(VerificationError::receipt("it is for another record"));
    }
    let time = accept_time.ok_or(VerificationError::receipt("it has no time"))?;
    let accept_time = wire::time::timestamp(&time, "accept_time")
        .map_err(|_refused| VerificationError::receipt("its time is not one"))?;
    let header = wire::header::header(&envelope.payload)
        .map_err(|_refused| VerificationError::receipt("the record's header cannot be read"))?;
    let leaf = LeafData {
        sequence: Sequence(sequence),
        accept_time,
        name_digest: revision_digest(&header.name, header.revision),
        header_digest: digest,
        signatures_digest: wire::envelope::signatures_digest(envelope),
    };
    if leaf_hash != leaf.hash() {
        return Err(VerificationError::receipt("the leaf is not that of the record"));
    }
    if checkpoint.size <= sequence || epoch == 0 || epoch > checkpoint.epoch {
        return Err(VerificationError::receipt("its checkpoint does not cover the place"));
    }
    let (path, rest) = inclusion_proof.as_chunks();
    let tree = (checkpoint.size, &checkpoint.root);
    let is_in = proof::check_inclusion(leaf.hash(), sequence, tree, path).is_ok();
    if !is_in || !rest.is_empty() {
        return Err(VerificationError::receipt("the record is not in the log that it signs"));
    }
    Ok(Receipt {
        name: header.name,
        revision: header.revision,
        header_digest: digest,
        epoch,
        sequence,
        accept_time,
        leaf_hash: leaf.hash(),
        checkpoint: *checkpoint,
        repeated,
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::transparency::Frontier;

    /// A receipt for the last place of a tree of eight, and its checkpoint.
    fn receipt(world: &World, envelope: &pb::Envelope) -> (pb::Receipt, Checkpoint) {
        let header = wire::header::header(&envelope.payload).unwrap();
        let accept_time = world.now;
        let leaf = LeafData {
            sequence: Sequence(7),
            accept_time,
            name_digest: header.name_digest(),
            header_digest: sha256(&envelope.payload),
            signatures_digest: wire::envelope::signatures_digest(envelope),
        };
        let mut tree = Frontier::default();
        (0..7).for_each(|place| tree.push([place; 32]));
        let beside: Vec<Digest> = tree.peaks().iter().rev().copied().collect();
        tree.push(leaf.hash());
        let checkpoint = Checkpoint { epoch: 1, size: 8, root: tree.root(), roster: [0; 32] };
        let receipt = pb::Receipt {
            header_digest: sha256(&envelope.payload).to_vec(),
            epoch: 1,
            sequence: 7,
            accept_time: Some(wire::time::timestamp_to_wire(accept_time)),
            leaf_hash: leaf.hash().to_vec(),
            checkpoint: world.pin().log_key().sign(&checkpoint, &world.log_secret),
            repeated: false,
            inclusion_proof: beside.concat(),
        };
        (receipt, checkpoint)
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut pb::Receipt), expected: &str) {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let (mut receipt, checkpoint) = receipt(&world, &envelope);
        assert_eq!(check(&envelope, receipt.clone(), &checkpoint).unwrap().sequence, 7);
        change(&mut receipt);
        let error = check(&envelope, receipt, &checkpoint).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_receipt_that_does_not_hold_is_refused() {
        check_refused(|receipt| receipt.header_digest[0] ^= 1, "another record");
        check_refused(|receipt| receipt.sequence = 6, "the leaf");
        check_refused(|receipt| receipt.leaf_hash[0] ^= 1, "the leaf");
        check_refused(|receipt| receipt.accept_time = None, "no time");
        check_refused(|receipt| receipt.epoch = 2, "does not cover");
        check_refused(|receipt| receipt.inclusion_proof[40] ^= 1, "not in the log");
        check_refused(|receipt| receipt.inclusion_proof.truncate(64), "not in the log");
        check_refused(|receipt| receipt.inclusion_proof.push(0), "not in the log");
    }

    #[test]
    fn a_warning_names_what_looks_wrong_and_why() {
        let wire = pb::Warning {
            reason: "COMMON_BENIGN_VALUE".to_owned(),
            message: "many people use it".to_owned(),
            field: "body.indicator.observable.value".to_owned(),
            list: "popular-sites".to_owned(),
            matched: "example.com".to_owned(),
        };
        let told = Warning::from(wire.clone()).to_string();
        let expected = "COMMON_BENIGN_VALUE (body.indicator.observable.value): many people use it \
                        (example.com of the list popular-sites)";
        assert_eq!(told, expected);
        let message = "the value is common and benign, says popular-sites: example.com (listed)";
        let told = pb::Warning { message: message.to_owned(), ..wire.clone() };
        assert!(Warning::from(told).to_string().ends_with(message), "it is not said twice");
        let told = Warning::from(pb::Warning { list: String::new(), ..wire }).to_string();
        assert!(told.ends_with("many people use it"), "{told}");
    }

    #[test]
    fn a_checkpoint_must_cover_the_place() {
        let world = World::new();
        let envelope = world.publish(&world.acme, domain("example.com"));
        let (receipt, checkpoint) = receipt(&world, &envelope);
        check(&envelope, receipt.clone(), &checkpoint).unwrap();
        check(&envelope, receipt.clone(), &Checkpoint { size: 7, ..checkpoint }).unwrap_err();
        check(&envelope, receipt, &Checkpoint { size: 9, ..checkpoint }).unwrap_err();
    }
}
