//! The signed header and the kinds of body that it announces.

use uuid::Uuid;

use crate::model::handling::Handling;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::time::Timestamp;

/// The DSSE payload type of a header.
pub const HEADER_PAYLOAD_TYPE: &str = "application/vnd.watchfire.header.v1+protobuf";

/// The DSSE payload type under which a key proves that its holder wants it registered.
pub const POSSESSION_PAYLOAD_TYPE: &str = "application/vnd.watchfire.key-possession.v1";

/// The kinds of body that this version takes. The numbers of all others are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BodyKind {
    /// This asset is part of an influence operation.
    Indicator,
    /// These assets belong together.
    Operation,
    /// We take it back.
    Withdrawal,
    /// Who takes part.
    RosterChange,
    /// A member's own keys.
    KeyChange,
    /// The exchange's founding facts.
    Genesis,
}

impl BodyKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Indicator,
        Self::Operation,
        Self::Withdrawal,
        Self::RosterChange,
        Self::KeyChange,
        Self::Genesis,
    ];

    /// The number in the proto, which is the field number of the body's content.
    pub const fn number(self) -> i32 {
        match self {
            Self::Indicator => 2,
            Self::Operation => 3,
            Self::Withdrawal => 12,
            Self::RosterChange => 14,
            Self::KeyChange => 15,
            Self::Genesis => 23,
        }
    }

    /// The kind with this number, if this version takes it.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether it is about the exchange itself: readable by every member, auditors and the operator included.
    pub const fn is_roster(self) -> bool {
        matches!(self, Self::RosterChange | Self::KeyChange | Self::Genesis)
    }

    /// The word that people use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Indicator => "indicator",
            Self::Operation => "operation",
            Self::Withdrawal => "withdrawal",
            Self::RosterChange => "roster-change",
            Self::KeyChange => "key-change",
            Self::Genesis => "genesis",
        }
    }
}

/// A header, taken apart. What was signed are the bytes that it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The exchange for which it was signed.
    pub exchange: ExchangeName,
    /// The record.
    pub name: RecordName,
    /// From 1.
    pub revision: u32,
    /// The header digest of the revision before; `None` at revision 1.
    pub previous_digest: Option<Digest>,
    /// When the publisher says that it made this revision.
    pub create_time: Timestamp,
    /// 16 random bytes.
    pub nonce: [u8; 16],
    /// Who may read; a withdrawal and the roster's bodies carry one too, but their reach is not theirs to choose.
    pub handling: Handling,
    /// What the body says.
    pub body_kind: BodyKind,
    /// SHA-256 of the body bytes.
    pub body_digest: Digest,
}

impl Header {
    /// SHA-256 of `name@revision`, as the leaf data has it.
    pub fn name_digest(&self) -> Digest {
        revision_digest(&self.name, self.revision)
    }

    /// The record's id.
    pub fn record(&self) -> Uuid {
        self.name.record
    }
}

/// SHA-256 of `members/{member}/records/{record}@{revision}`.
pub fn revision_digest(name: &RecordName, revision: u32) -> Digest {
    sha256(format!("{name}@{revision}").as_bytes())
}
