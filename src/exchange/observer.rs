//! Who is told what happens in the hub besides its callers: the operator's audit log and traces.

use std::fmt::Debug;
use std::time::Duration;

use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::reason::Code;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;
use crate::wire::body::AudienceAction;
use crate::wire::body::Content;
use crate::wire::body::KeyAction;
use crate::wire::body::RosterAction;
use crate::wire::envelope::Record;

/// Told on the hub's own threads: it does not wait, and decides nothing.
pub trait Observer: Debug + Send + Sync {
    /// A record that changes who may do what, or takes something back, was taken; or any record was refused.
    fn judged(&self, act: Act);
    /// A group is durable.
    fn committed(&self, group: &CommittedGroup);
}

/// What somebody did, or tried to, with a record. Names only: nothing of what the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// On whose connection it came.
    pub member: MemberId,
    /// The key that is named in it; `None` if it could not be read so far.
    pub key: Option<KeyId>,
    /// What it is, in a word.
    pub what: String,
    /// About whom or what; empty if it could not be read so far.
    pub target: String,
    /// Its place in the log, or why it was refused.
    pub outcome: Result<u64, Reason>,
}

/// What became durable together, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedGroup {
    /// When it was begun.
    pub begun: Timestamp,
    /// How many entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The size of the log behind it.
    pub head: u64,
    /// From the beginning to the answers.
    pub whole: Duration,
    /// From the beginning until everything was judged and signed.
    pub judging: Duration,
    /// Handing it to the database.
    pub writing: Duration,
    /// Flush and sync.
    pub syncing: Duration,
}

/// Whether a refusal is something that its caller did, and not a state of the hub.
pub fn is_callers_doing(reason: Reason) -> bool {
    !matches!(reason.code(), Code::Unavailable | Code::DataLoss)
}

/// What a record is for the audit log, and about what.
pub(super) fn described(record: &Record) -> (String, String) {
    privileged(&record.content).unwrap_or_else(|| {
        let kind = record.header.body_kind.as_str();
        (format!("publish.{kind}"), record.header.name.to_string())
    })
}

/// The same for records that change who may do what, or take something back; each of these is told when it is taken.
pub(super) fn privileged(content: &Content) -> Option<(String, String)> {
    let (what, target) = match content {
        Content::RosterChange { member, change } => (roster(change), member.name()),
        Content::KeyChange(KeyAction::Add(_key)) => ("key.add", String::new()),
        Content::KeyChange(KeyAction::Retire(retired)) => {
            ("key.retire", format!("{}/keys/{}", retired.member.name(), retired.key))
        }
        Content::AudienceChange { audience, change } => (self::audience(change), audience.name()),
        Content::Withdrawal { of, demand: None } => ("withdraw", of.to_string()),
        Content::Withdrawal { of, demand: Some(_due) } => ("recall", of.to_string()),
        Content::Takedown { of } => ("takedown", of.to_string()),
        Content::Indicator { .. }
        | Content::Operation
        | Content::About { .. }
        | Content::Link { .. }
        | Content::Inquiry { .. }
        | Content::Acknowledgement { .. }
        | Content::Erasure { .. }
        | Content::Retention { .. }
        | Content::Epoch(_)
        | Content::Conflict(_)
        | Content::LogKeyChange(_)
        | Content::Genesis(_)
        | Content::Gone => return None,
    };
    Some((what.to_owned(), target))
}

const fn roster(change: &RosterAction) -> &'static str {
    match change {
        RosterAction::Admit { .. } => "roster.admit",
        RosterAction::Suspend => "roster.suspend",
        RosterAction::Reinstate => "roster.reinstate",
        RosterAction::RetireKey(_) => "roster.retire-key",
        RosterAction::Quota(_) => "roster.quota",
        RosterAction::ResetKeys { .. } => "roster.reset-keys",
    }
}

const fn audience(change: &AudienceAction) -> &'static str {
    match change {
        AudienceAction::Create { .. } => "audience.create",
        AudienceAction::Add(_) => "audience.add",
        AudienceAction::Remove(_) => "audience.remove",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_cannot_do_at_the_moment_is_nobodys_doing() {
        let ours = [
            Reason::Draining,
            Reason::Busy,
            Reason::StoreFull,
            Reason::ClockUnconfirmed,
            Reason::OutcomeUnknown,
            Reason::StoreCorrupt,
        ];
        for reason in Reason::ALL {
            assert_eq!(is_callers_doing(*reason), !ours.contains(reason), "{reason:?}");
        }
    }
}
