//! What policy and filters need to know of an entry, derived once, when it is admitted.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;

/// The facts of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it has in common with its neighbours, as a rule: one value, shared.
    pub scope: Arc<Scope>,
    /// The record.
    pub record: Uuid,
    /// The revision.
    pub revision: u32,
    /// Digest of the indicator's normal form.
    pub value_digest: Option<Digest>,
    /// The publisher's record that this withdraws.
    pub withdraws: Option<Uuid>,
}

/// Who published, what kind of body, who may read, and what filters look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Who published it.
    pub publisher: MemberId,
    /// What the body says.
    pub body_kind: BodyKind,
    /// Who may read: the handling's reach, or for a withdrawal that of every revision of its target.
    pub reach: Reach,
    /// Whether its publisher is in one of the audiences for good, by its role.
    pub publisher_is_reached: bool,
    /// What filters look at: this revision first, then every different earlier one. Never empty. Who sees this revision
    /// need not have seen those.
    pub shapes: Vec<Shape>,
}

impl Facts {
    /// The record's name.
    pub fn name(&self) -> RecordName {
        RecordName { member: self.scope.publisher.clone(), record: self.record }
    }

    /// Whether the entry is of this record.
    pub fn is_of(&self, name: &RecordName) -> bool {
        self.record == name.record && self.scope.publisher == name.member
    }

    /// Uses the scope of a neighbour if it is the same, so that it lies in memory once.
    pub fn share_scope(&mut self, neighbour: &Self) {
        if self.scope == neighbour.scope {
            self.scope = Arc::clone(&neighbour.scope);
        }
    }
}

/// What a filter looks at in one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The kind of observable in normal form, as a number of the proto; 0 where there is none.
    pub kind: i32,
    /// The platform; empty where there is none.
    pub platform: String,
    /// The operation.
    pub operation: Option<RecordName>,
    /// Of an earlier look, the last revision that had it; 0 for an entry's own.
    pub revision: u32,
}

impl Shape {
    /// Whether a filter sees no difference.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.platform == other.platform
            && self.operation == other.operation
    }
}
