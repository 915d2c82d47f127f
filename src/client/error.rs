//! What can go wrong for a member, ordered by whose fault it is, and the exit code that says so to scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::client::enrol::InvalidPaper;
use crate::client::epoch::NewEpoch;
use crate::client::verifier::VerificationError;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::profile::ProfileError;
use crate::signing::InvalidKey;
use crate::tls::ConnectError;
use crate::wire::pb;

/// The domain of the hub's reasons.
const DOMAIN: &str = "watchfire";

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was to be sent does not hold; the hub was not asked.
    #[error("{}{}: {}", .0.reason.as_str(), named(.0.field), .0.message)]
    Invalid(Refusal),
    /// The hub refused.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// What the hub sent does not verify.
    #[error(transparent)]
    Unverified(#[from] VerificationError),
    /// The log was restored, and that is not accepted yet.
    #[error(transparent)]
    NewEpoch(Box<NewEpoch>),
    /// A request or grant does not hold.
    #[error(transparent)]
    Paper(#[from] InvalidPaper),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There was a connection, and the hub does not answer on it.
    #[error("the hub does not answer: {0}")]
    Unreachable(String),
    /// The member's own folder.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// A refusal as the hub words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub refuses: {reason}{}: {message}{}", named(field), later(*retry_after))]
pub struct Refused {
    /// The gRPC code.
    pub code: i32,
    /// The stable reason.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The field at fault; empty if none is.
    pub field: String,
    /// Facts that help.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before the same bytes are offered again, where the hub says so.
    pub retry_after: Option<Duration>,
}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |delay| {
        let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
        format!("; again in {seconds} s")
    })
}

fn named(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(" ({field})") }
}

impl Refused {
    /// Whether it has this reason.
    pub fn is(&self, reason: Reason) -> bool {
        self.reason == reason.as_str()
    }

    /// Whether the same bytes may be taken a little later.
    pub(super) fn is_transient(&self) -> bool {
        self.code == i32::from(Code::Unavailable) || self.is(Reason::Quota)
    }

    /// Whether it is about the caller and says nothing about the record: it may be in the log already.
    pub(super) fn is_about_the_caller(&self) -> bool {
        [Reason::MemberSuspended, Reason::NotAMember, Reason::CertificateWithoutMember]
            .into_iter()
            .any(|reason| self.is(reason))
    }
}

impl From<pb::Refusal> for Refused {
    fn from(wire: pb::Refusal) -> Self {
        let pb::Refusal { code, reason, message, field, metadata, retry_delay } = wire;
        // A negative delay is none.
        let retry_after = retry_delay.and_then(|delay| Duration::try_from(delay).ok());
        Self { code, reason, message, field, metadata, retry_after }
    }
}

impl From<NewEpoch> for ClientError {
    fn from(new: NewEpoch) -> Self {
        Self::NewEpoch(Box::new(new))
    }
}

impl From<Refused> for ClientError {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<Status> for ClientError {
    /// A status with one of the hub's reasons is the hub's answer; any other comes from the way to it.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
            return Self::without_reason(&status);
        };
        let field = details
            .bad_request()
            .and_then(|request| request.field_violations.first())
            .map(|violation| violation.field.clone());
        Refused {
            code: i32::from(status.code()),
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            field: field.unwrap_or_default(),
            metadata: info.metadata.clone().into_iter().collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
        .into()
    }
}

impl ClientError {
    fn without_reason(status: &Status) -> Self {
        let answered = [
            Code::InvalidArgument,
            Code::Unimplemented,
            Code::OutOfRange,
            Code::ResourceExhausted,
            Code::PermissionDenied,
            Code::Unauthenticated,
        ];
        if answered.contains(&status.code()) {
            return Refused {
                code: i32::from(status.code()),
                reason: format!("{:?}", status.code()),
                message: status.message().to_owned(),
                field: String::new(),
                metadata: BTreeMap::new(),
                retry_after: None,
            }
            .into();
        }
        Self::Unreachable(format!("{} ({:?})", status.message(), status.code()))
    }

    /// Whether the same call may be answered a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Connect(ConnectError::Unreachable { .. }) => true,
            Self::Refused(refused) => refused.is_transient(),
            Self::Invalid(_)
            | Self::Unverified(_)
            | Self::NewEpoch(_)
            | Self::Paper(_)
            | Self::Connect(ConnectError::Profile(_) | ConnectError::Refused { .. })
            | Self::Profile(_)
            | Self::Key(_) => false,
        }
    }

    /// Whether the hub refused for this reason.
    pub fn is_refusal(&self, reason: Reason) -> bool {
        matches!(self, Self::Refused(refused) if refused.is(reason))
    }

    /// How long to wait before the same call, where the hub says so.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused(refused) = self { refused.retry_after } else { None }
    }

    /// The process's exit code: 1 our own files, 2 the request as given, 3 refused by the hub, 4 unreachable,
    /// 5 what the hub sent does not verify, 6 the log was restored and that is not accepted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Profile(_) | Self::Key(_) | Self::Connect(ConnectError::Profile(_)) => 1,
            Self::Invalid(_) => 2,
            Self::Refused(refused) if refused.is_transient() => 4,
            Self::Refused(_) | Self::Connect(ConnectError::Refused { .. }) => 3,
            Self::Unreachable(_) | Self::Connect(ConnectError::Unreachable { .. }) => 4,
            Self::Unverified(_) | Self::Paper(_) => 5,
            Self::NewEpoch(_) => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[track_caller]
    fn check(status: Status, exit_code: u8, transient: bool) {
        let error = ClientError::from(status);
        assert_eq!((error.exit_code(), error.is_transient()), (exit_code, transient), "{error}");
    }

    fn with_reason(code: Code, reason: Reason) -> Status {
        let details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, HashMap::new());
        Status::with_error_details(code, "because", details)
    }

    #[test]
    fn a_status_becomes_the_exit_code_of_its_cause() {
        check(with_reason(Code::PermissionDenied, Reason::RoleForbids), 3, false);
        check(with_reason(Code::Unavailable, Reason::Busy), 4, true);
        check(with_reason(Code::ResourceExhausted, Reason::Quota), 4, true);
        check(Status::unavailable("tcp connect error"), 4, true);
        check(Status::unknown("transport error"), 4, true);
        check(Status::unimplemented("no such service"), 3, false);
    }

    #[test]
    fn a_reason_of_another_domain_is_not_the_hubs() {
        let details = ErrorDetails::with_error_info("BUSY", "elsewhere.example", HashMap::new());
        let status = Status::with_error_details(Code::Internal, "because", details);
        check(status, 4, true);
    }
}
