//! A record on its way out into another format: what every writer of this folder is given.

use std::collections::BTreeMap;

use crate::model::header::BodyKind;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::envelope::Record;

/// One record in one revision, with what a format needs to know besides what was signed.
#[derive(Clone, Debug)]
pub struct ExportedRecord {
    /// The log's epoch.
    pub epoch: u32,
    /// The place of this revision.
    pub sequence: u64,
    /// When the hub took this revision in.
    pub accept_time: Timestamp,
    /// When the hub took the first revision in: formats with versions call that "created".
    pub first_accept_time: Timestamp,
    /// The signed envelope, taken apart. Without its body, if that was erased.
    pub record: Record,
    /// Its withdrawal or takedown, if there is one.
    pub recalled: Option<Recalled>,
    /// What is known of the records that it names, of those that the reader may see.
    pub named: BTreeMap<RecordName, Named>,
}

/// What a writer needs to know of a record that another one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its kind of body.
    pub kind: BodyKind,
    /// Whether it is of an asset, or so many, for which formats of patterns have no name: it stands there as a note.
    pub is_unnameable: bool,
}

/// That a record was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The place of the withdrawal or takedown.
    pub sequence: u64,
    /// When the hub took that in.
    pub accept_time: Timestamp,
}

impl ExportedRecord {
    /// Its name.
    pub const fn name(&self) -> &RecordName {
        &self.record.header.name
    }

    /// Whether its body was erased.
    pub const fn is_erased(&self) -> bool {
        matches!(self.record.content, Content::Gone)
    }
}

/// The records that a record names: what it is about, and the operation that an indicator belongs to.
pub fn names_of(record: &Record) -> Vec<&RecordName> {
    let mut names: Vec<&RecordName> =
        record.content.targets().into_iter().map(|(_field, name)| name).collect();
    if let Content::Indicator { operation: Some(operation), .. } = &record.content {
        names.push(operation);
    }
    names
}
