//! Failures that are the command's own, and the exit code of every failure.

use std::io;
use std::process::ExitCode;

use watchfire::client::ClientError;
use watchfire::client::SavedEntryError;
use watchfire::client::SinkError;
use watchfire::client::VerificationError;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;

use crate::output;

/// What a command says went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The hub refused some of it.
    #[error("the hub refused {0} of the records")]
    SomeRefused(usize),
    /// Some of it still waits in the outbox.
    #[error(transparent)]
    Unfinished(Box<Unfinished>),
    /// What the member says is not what its new keys are.
    #[error("{0} has no new keys with that fingerprint: nothing is confirmed")]
    OtherKeys(MemberId),
    /// The request is for another log key than the one that was told.
    #[error("the request is for another log key: nothing is signed")]
    OtherLogKey,
    /// Some of it does not verify.
    #[error("{0} entries do not verify")]
    SomeUnverified(usize),
    /// Evidence does not prove what it is about, or is none.
    #[error("{0} files do not prove anything by themselves")]
    Unproven(usize),
    /// The hub answered something else than its log says.
    #[error("{0} numbers of the hub are not what its entries say")]
    SomeDiffer(usize),
    /// What publishers signed of their own entries is not what the hub lists.
    #[error("{0} heads of publishers are not what the hub lists")]
    HeadsDiffer(usize),
}

/// Some of it still waits in the outbox: how much, and how to go on.
#[derive(Debug, thiserror::Error)]
#[error("{taken} records are durable, {}{waiting} wait in the outbox. {go_on}.{rest} Why", refused_too(*refused))]
pub(crate) struct Unfinished {
    /// Durable.
    pub(crate) taken: usize,
    /// Refused for good.
    pub(crate) refused: usize,
    /// In the outbox.
    pub(crate) waiting: usize,
    /// When and how to send them.
    pub(crate) go_on: String,
    /// What was not even tried, after a blank; may be empty.
    pub(crate) rest: String,
    /// Why it was given up.
    #[source]
    pub(crate) cause: ClientError,
}

fn refused_too(count: usize) -> String {
    if count == 0 { String::new() } else { format!("{count} were refused, ") }
}

/// Prints the chain of causes; gives the exit code of the first cause that has one.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        // Whoever read our output has read enough.
        return ExitCode::SUCCESS;
    }
    output::note(&format!("watchfire: {error:#}"));
    if let Some(advice) = error.chain().find_map(advice) {
        output::note(&output::clean(&advice));
    }
    ExitCode::from(code(error))
}

/// What to do about a place whose records are gone.
fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(ClientError::NewEpoch(_)) = cause.downcast_ref::<ClientError>() {
        return Some(
            "nothing was sent or taken. To accept that, and to send again what is void, byte for byte: watchfire epoch \
             accept"
                .to_owned(),
        );
    }
    let Some(ClientError::Refused(refused)) = cause.downcast_ref::<ClientError>() else {
        return None;
    };
    let floor = refused.metadata.get("floor").filter(|_| refused.is(Reason::CursorCompacted))?;
    Some(format!(
        "with --catch-up, what is current is taken instead, and it goes on from there; bodies are whole from \
         sequence {floor} on"
    ))
}

fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(1)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(error.exit_code());
    }
    if let Some(error) = cause.downcast_ref::<Failure>() {
        return Some(match error {
            Failure::Usage(_) => 2,
            Failure::SomeRefused(_) => 3,
            Failure::Unfinished(unfinished) => unfinished.cause.exit_code(),
            Failure::OtherKeys(_)
            | Failure::OtherLogKey
            | Failure::SomeUnverified(_)
            | Failure::Unproven(_)
            | Failure::SomeDiffer(_)
            | Failure::HeadsDiffer(_) => 5,
        });
    }
    if let Some(error) = cause.downcast_ref::<SinkError>() {
        let is_usage = matches!(error, SinkError::Foreign { .. });
        return Some(if is_usage { 2 } else { 1 });
    }
    let unverified = cause.is::<VerificationError>()
        || cause.is::<SavedEntryError>()
        || cause.is::<watchfire::client::InvalidPaper>();
    unverified.then_some(5)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_cause() {
        let unreachable = ClientError::Unreachable("gone".to_owned());
        let error = Err::<(), _>(unreachable).context("while publishing").unwrap_err();
        assert_eq!(code(&error), 4);
        assert_eq!(code(&Failure::Usage(String::new()).into()), 2);
        assert_eq!(code(&Failure::SomeRefused(1).into()), 3);
        assert_eq!(code(&Failure::SomeUnverified(1).into()), 5);
        let unfinished = Unfinished {
            taken: 33,
            refused: 1,
            waiting: 26,
            go_on: "Go on".to_owned(),
            rest: " No line after 60 was sent.".to_owned(),
            cause: ClientError::Unreachable("gone".to_owned()),
        };
        let told = "33 records are durable, 1 were refused, 26 wait in the outbox. Go on. \
                    No line after 60 was sent. Why: the hub does not answer: gone";
        let error = anyhow::Error::from(Failure::Unfinished(Box::new(unfinished)));
        assert_eq!((code(&error), format!("{error:#}").as_str()), (4, told));
        let (path, why) = ("records".into(), String::new());
        assert_eq!(code(&SinkError::Foreign { path, why }.into()), 2);
        assert_eq!(code(&SinkError::InUse { path: "records".into() }.into()), 1);
        assert_eq!(code(&Failure::SomeDiffer(1).into()), 5);
        assert_eq!(code(&Failure::HeadsDiffer(1).into()), 5);
        assert_eq!(code(&anyhow::anyhow!("a disk")), 1);
    }
}
