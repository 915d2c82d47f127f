//! Why a call or a record is refused: one stable word for each reason, one code for each word.

use std::fmt::Display;
use std::time::Duration;

/// The gRPC code that goes with a reason; the numbers are those of `google.rpc.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Code {
    InvalidArgument,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    OutOfRange,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    /// The number in `google.rpc.Code`.
    pub const fn number(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::OutOfRange => 11,
            Self::Unavailable => 14,
            Self::DataLoss => 15,
            Self::Unauthenticated => 16,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $code:ident;)*) => {
        /// A stable reason, as `ErrorInfo.reason` carries it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The code that goes with it.
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)* }
            }
        }
    };
}

reasons! {
    /// The envelope, header or body is not what the format says.
    MalformedEnvelope = "MALFORMED_ENVELOPE", InvalidArgument;
    /// A field, enum value or encoding that this version does not know, where nothing unknown is taken.
    UnsupportedField = "UNSUPPORTED_FIELD", InvalidArgument;
    /// The signature is not one by the named key over these bytes.
    BadSignature = "BAD_SIGNATURE", InvalidArgument;
    /// The body is not the one that was signed.
    BodyDigestMismatch = "BODY_DIGEST_MISMATCH", InvalidArgument;
    /// The `create_time` is too far ahead of the hub's clock.
    ClockSkew = "CLOCK_SKEW", InvalidArgument;
    /// A field has a value that it must not have.
    FieldInvalid = "FIELD_INVALID", InvalidArgument;
    /// No TLP label.
    TlpMissing = "TLP_MISSING", InvalidArgument;
    /// The parts of an aggregate do not add up to the whole.
    CountsDoNotAdd = "COUNTS_DO_NOT_ADD", InvalidArgument;
    /// Signed for another exchange.
    WrongExchange = "WRONG_EXCHANGE", InvalidArgument;
    /// The cursor was not made by this hub for this member.
    CursorInvalid = "CURSOR_INVALID", InvalidArgument;
    /// The cursor was made for another filter.
    CursorFilterMismatch = "CURSOR_FILTER_MISMATCH", InvalidArgument;
    /// The page token was not made by this hub for this member and request.
    PageTokenInvalid = "PAGE_TOKEN_INVALID", InvalidArgument;
    /// The certificate names no member.
    CertificateWithoutMember = "CERTIFICATE_WITHOUT_MEMBER", Unauthenticated;
    /// The certificate's member is not on the roster.
    NotAMember = "NOT_A_MEMBER", PermissionDenied;
    /// The member is suspended.
    MemberSuspended = "MEMBER_SUSPENDED", PermissionDenied;
    /// The record is another member's than the caller's.
    SignerIsNotCaller = "SIGNER_IS_NOT_CALLER", PermissionDenied;
    /// The role may not do this.
    RoleForbids = "ROLE_FORBIDS", PermissionDenied;
    /// The audience does not exist, or is not the caller's to address.
    AudienceForbidden = "AUDIENCE_FORBIDDEN", PermissionDenied;
    /// There is no such record, or the caller may not see it.
    RecordNotFound = "RECORD_NOT_FOUND", NotFound;
    /// This name and revision is taken by other bytes.
    RevisionConflict = "REVISION_CONFLICT", AlreadyExists;
    /// The key does not sign at this position of the log.
    KeyNotValid = "KEY_NOT_VALID", FailedPrecondition;
    /// The previous revision is not the one that the header names.
    PredecessorMismatch = "PREDECESSOR_MISMATCH", FailedPrecondition;
    /// A revision may not reach fewer than the one before.
    ReachNarrowed = "REACH_NARROWED", FailedPrecondition;
    /// What is said about a record may not reach further than the record, nor be less strict.
    ReachExceeded = "REACH_EXCEEDED", FailedPrecondition;
    /// The record was withdrawn.
    RecordWithdrawn = "RECORD_WITHDRAWN", FailedPrecondition;
    /// The target is another member's record.
    NotOwner = "NOT_OWNER", FailedPrecondition;
    /// The roster is not in the state that the change needs.
    RosterConflict = "ROSTER_CONFLICT", FailedPrecondition;
    /// What the cursor points at was compacted away.
    CursorCompacted = "CURSOR_COMPACTED", OutOfRange;
    /// The position lies ahead of the log.
    CursorAhead = "CURSOR_AHEAD", OutOfRange;
    /// The cursor belongs to another epoch of the log.
    CursorOtherEpoch = "CURSOR_OTHER_EPOCH", OutOfRange;
    /// The record is larger than the hub takes.
    RecordTooLarge = "RECORD_TOO_LARGE", ResourceExhausted;
    /// The batch, page or request is larger than the hub takes.
    BatchTooLarge = "BATCH_TOO_LARGE", ResourceExhausted;
    /// The member's quota is used up; nothing was appended.
    Quota = "QUOTA", ResourceExhausted;
    /// The member has too many streams open.
    TooManyStreams = "TOO_MANY_STREAMS", ResourceExhausted;
    /// The member has handed in as many reports as are kept of one.
    TooManyReports = "TOO_MANY_REPORTS", ResourceExhausted;
    /// The hub is shutting down; go on from the cursor.
    Draining = "DRAINING", Unavailable;
    /// The hub has too much to do; nothing was appended.
    Busy = "BUSY", Unavailable;
    /// The disk is full; nothing was appended, reads go on.
    StoreFull = "STORE_FULL", Unavailable;
    /// The hub's clock jumped; nothing is appended until the operator confirms it.
    ClockUnconfirmed = "CLOCK_UNCONFIRMED", Unavailable;
    /// A write failed half-way: ask again with the same bytes.
    OutcomeUnknown = "OUTCOME_UNKNOWN", Unavailable;
    /// Damage was found on the disk.
    StoreCorrupt = "STORE_CORRUPT", DataLoss;
}

/// Why something was refused, with what its sender needs to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// What went wrong, for people.
    pub message: String,
    /// The field at fault, in the proto's path notation; empty if none is.
    pub field: &'static str,
    /// Facts that help.
    pub metadata: Vec<(&'static str, String)>,
    /// How long to wait before trying again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without a field.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: "", metadata: Vec::new(), retry_after: None }
    }

    /// A refusal of one field.
    pub fn field(reason: Reason, field: &'static str, message: impl Into<String>) -> Self {
        Self { field, ..Self::new(reason, message) }
    }

    /// Says how long to wait before trying again.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.metadata.push((key, value.to_string()));
        self
    }
}
