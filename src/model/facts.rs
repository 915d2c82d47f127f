//! What policy and filters need to know of an entry, derived once, when it is admitted.

use uuid::Uuid;

use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;

/// The facts of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who published it.
    pub publisher: MemberId,
    /// The record.
    pub record: Uuid,
    /// The revision.
    pub revision: u32,
    /// What the body says.
    pub body_kind: BodyKind,
    /// Who may read: the handling's reach, or for a withdrawal that of every revision of its target.
    pub reach: Reach,
    /// What filters look at: this revision first, then every different earlier one. Never empty.
    pub shapes: Vec<Shape>,
    /// Digest of the indicator's normal form.
    pub value_digest: Option<Digest>,
    /// The publisher's record that this withdraws.
    pub withdraws: Option<Uuid>,
}

impl Facts {
    /// The record's name.
    pub fn name(&self) -> RecordName {
        RecordName { member: self.publisher.clone(), record: self.record }
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
}
