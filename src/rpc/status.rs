//! Errors at the border: the caller learns what it did wrong and a stable reason, our insides go to the log.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Code;
use tonic::Status;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt as _;

use crate::exchange::ExchangeError;
use crate::exchange::unreadable;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::pb;

/// The domain of every reason.
const DOMAIN: &str = "watchfire";
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The status of a refused call.
pub(super) fn refused(refusal: &Refusal) -> Status {
    let metadata: HashMap<String, String> =
        refusal.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut details = ErrorDetails::with_error_info(refusal.reason.as_str(), DOMAIN, metadata);
    if !refusal.field.is_empty() {
        details.add_bad_request_violation(refusal.field, refusal.message.clone());
    }
    if let Some(delay) = retry_delay(refusal) {
        details.set_retry_info(Some(delay));
    }
    let code = Code::from(refusal.reason.code().number());
    Status::with_error_details(code, refusal.message.clone(), details)
}

/// The status of a call that was not answered.
pub(super) fn failed(error: &ExchangeError) -> Status {
    match error {
        ExchangeError::Refused(refusal) => refused(refusal),
        ExchangeError::Store(cause) => refused(&unreadable(cause)),
    }
}

/// A refusal inside an answer to a batch.
pub(super) fn item(refusal: &Refusal) -> pb::Refusal {
    pb::Refusal {
        code: refusal.reason.code().number(),
        reason: refusal.reason.as_str().to_owned(),
        message: refusal.message.clone(),
        field: refusal.field.to_owned(),
        metadata: refusal
            .metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        retry_delay: retry_delay(refusal)
            .map(|delay| prost_types::Duration::try_from(delay).unwrap_or_default()),
    }
}

fn retry_delay(refusal: &Refusal) -> Option<Duration> {
    let reason = refusal.reason;
    let passes = reason.code() == crate::model::reason::Code::Unavailable;
    refusal.retry_after.or_else(|| (passes || reason == Reason::Quota).then_some(RETRY_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_that_grpc_knows() {
        for reason in Reason::ALL {
            let status = refused(&Refusal::field(*reason, "header.name", "because"));
            assert_ne!(status.code(), Code::Unknown, "{reason:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.as_str(), DOMAIN));
            assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 1);
        }
    }

    #[test]
    fn reasons_are_unique_words() {
        let words: std::collections::HashSet<_> =
            Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!(
            words
                .iter()
                .all(|word| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        );
    }
}
