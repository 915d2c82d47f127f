//! The signed header and the kinds of body that it announces.

use sha2::Digest as _;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::handling::Handling;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;

/// The DSSE payload type of a header.
pub const HEADER_PAYLOAD_TYPE: &str = "application/vnd.watchfire.header.v1+protobuf";

/// The DSSE payload type of a header that the hub itself writes, signed by the log key.
pub const HUB_PAYLOAD_TYPE: &str = "application/vnd.watchfire.hub.v1+protobuf";

/// The DSSE payload type under which a key proves that its holder wants it registered.
pub const POSSESSION_PAYLOAD_TYPE: &str = "application/vnd.watchfire.key-possession.v1";

/// The DSSE payload type under which members vouch for the log's next key when the old one is lost.
pub const LOG_KEY_SUCCESSION_PAYLOAD_TYPE: &str = "application/vnd.watchfire.log-key-succession.v1";

macro_rules! body_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $word:literal;)*) => {
        /// The kinds of body that this version takes. The numbers of all others are reserved.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum BodyKind { $($(#[$doc])* $name,)* }

        impl BodyKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number in the proto, which is the field number of the body's content.
            pub const fn number(self) -> i32 {
                match self { $(Self::$name => $number,)* }
            }

            /// The kind with this number, if this version takes it.
            pub const fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The word that people use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

body_kinds! {
    /// This asset is part of an influence operation.
    Indicator = 2, "indicator";
    /// These assets belong together.
    Operation = 3, "operation";
    /// Who is behind an operation, says the claimant.
    Attribution = 4, "attribution";
    /// Two records or values are related.
    Link = 5, "link";
    /// We looked, and saw it so many times.
    Sighting = 6, "sighting";
    /// We agree or dispute.
    Opinion = 7, "opinion";
    /// What we did about it.
    ActionReport = 8, "action-report";
    /// Does anyone know more?
    Inquiry = 9, "inquiry";
    /// Answer to an inquiry.
    Reply = 10, "reply";
    /// Anything else worth saying about a record.
    Note = 11, "note";
    /// We take it back.
    Withdrawal = 12, "withdrawal";
    /// Answer to a withdrawal.
    Acknowledgement = 13, "acknowledgement";
    /// Who takes part.
    RosterChange = 14, "roster-change";
    /// A member's own keys.
    KeyChange = 15, "key-change";
    /// Who is in a custom audience.
    AudienceChange = 16, "audience-change";
    /// The operator withdraws a record.
    Takedown = 17, "takedown";
    /// The hub erased bodies.
    Erasure = 18, "erasure";
    /// The hub let old bodies go.
    Retention = 19, "retention";
    /// The log was restored, and goes on in a new epoch.
    Epoch = 20, "epoch";
    /// A publisher signed two headers for one name and revision.
    Conflict = 21, "conflict";
    /// Another key signs for the log.
    LogKeyChange = 22, "log-key-change";
    /// The exchange's founding facts.
    Genesis = 23, "genesis";
}

impl BodyKind {
    /// Whether it changes who takes part, or with which keys, the log's own included.
    pub const fn is_roster(self) -> bool {
        matches!(self, Self::RosterChange | Self::KeyChange | Self::LogKeyChange | Self::Genesis)
    }

    /// Whether it is about the exchange itself: readable by every member, auditors and the operator included.
    pub const fn is_common(self) -> bool {
        self.is_roster() || matches!(self, Self::Erasure | Self::Retention | Self::Epoch)
    }

    /// Whether the hub writes it, signed by the log key, in a payload type of its own.
    pub const fn is_hub(self) -> bool {
        matches!(self, Self::Erasure | Self::Retention | Self::Conflict | Self::LogKeyChange)
    }

    /// Whether it takes a record back: it reaches everyone who could see that record, whatever the filter.
    pub const fn is_recall(self) -> bool {
        matches!(self, Self::Withdrawal | Self::Takedown)
    }

    /// Whether its publisher chooses who may read it, may revise it, and may withdraw it.
    pub const fn is_chosen(self) -> bool {
        matches!(
            self,
            Self::Indicator
                | Self::Operation
                | Self::Attribution
                | Self::Link
                | Self::Sighting
                | Self::Opinion
                | Self::ActionReport
                | Self::Inquiry
                | Self::Reply
                | Self::Note
        )
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
    let (member, record) = (name.member.as_str(), name.record.hyphenated());
    let hasher = Sha256::new().chain_update("members/").chain_update(member);
    let mut letters = Uuid::encode_buffer();
    let hasher = hasher.chain_update("/records/").chain_update(record.encode_lower(&mut letters));
    hasher.chain_update(format!("@{revision}")).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::sha256;

    #[test]
    fn the_digest_of_a_revision_is_that_of_its_name() {
        for (name, revision) in [
            ("members/acme-video/records/0191d0a0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", 1),
            ("members/a-1/records/ffffffff-ffff-ffff-ffff-ffffffffffff", u32::MAX),
        ] {
            let parsed: RecordName = name.parse().unwrap();
            let expected = sha256(format!("{name}@{revision}").as_bytes());
            assert_eq!(revision_digest(&parsed, revision), expected);
        }
    }
}
