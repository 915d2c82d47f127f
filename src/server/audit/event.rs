//! One thing that somebody did, and the line that tells it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exchange::Act;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Who {
    /// A member, by the certificate of its connection, or by the key of its record.
    Member {
        /// Which.
        member: MemberId,
        /// The program or team that acts for it, as the certificate says.
        agent: Option<String>,
        /// The certificate's serial number.
        serial: Option<String>,
        /// The key that is named in its record.
        key: Option<String>,
    },
    /// Somebody on this machine, by the number of its account.
    Local(u32),
    /// The hub itself.
    Hub,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Outcome {
    /// Done; the place in the log, if it has one.
    Done(Option<u64>),
    /// Refused, with the stable reason.
    Refused(String),
    /// It failed.
    Failed(String),
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Event {
    pub(in crate::server) time: Timestamp,
    pub(in crate::server) who: Who,
    /// What, in a word or two.
    pub(in crate::server) what: String,
    /// About whom or what: names only.
    pub(in crate::server) target: String,
    pub(in crate::server) outcome: Outcome,
    /// If it stands for several that were not written one by one: how often each was.
    pub(in crate::server) counts: BTreeMap<String, u64>,
}

/// Whether lines of one sort are written all, or a few in a time and then counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Sort {
    /// All: what the hub and whoever runs it did. No member can cause one.
    Own,
    /// All: each is an entry of the log too.
    Change,
    /// Attempts at what changes who may do what.
    Attempt,
    /// Other refusals.
    Refusal,
    /// Reads of much at once.
    Read,
}

impl Event {
    /// Something of now that is done.
    pub(in crate::server) fn done(time: Timestamp, who: Who, what: &str, target: &str) -> Self {
        Self {
            time,
            who,
            what: what.to_owned(),
            target: target.to_owned(),
            outcome: Outcome::Done(None),
            counts: BTreeMap::new(),
        }
    }

    /// What became of a record.
    pub(in crate::server) fn of_act(time: Timestamp, act: Act) -> Self {
        let Act { member, key, what, target, outcome } = act;
        let key = key.map(|key| key.to_string());
        let who = Who::Member { member, agent: None, serial: None, key };
        let refused = |reason: Reason| Outcome::Refused(reason.as_str().to_owned());
        let outcome = outcome.map_or_else(refused, |place| Outcome::Done(Some(place)));
        Self { time, who, what, target, outcome, counts: BTreeMap::new() }
    }

    pub(super) fn sort(&self) -> Sort {
        let changes = ["roster.", "key.", "audience.", "takedown"];
        match (&self.who, &self.outcome) {
            (Who::Member { .. }, Outcome::Refused(_)) => {
                let is_attempt = changes.iter().any(|change| self.what.starts_with(change));
                if is_attempt { Sort::Attempt } else { Sort::Refusal }
            }
            (Who::Member { .. }, Outcome::Done(None)) => Sort::Read,
            (Who::Member { .. }, Outcome::Done(Some(_)) | Outcome::Failed(_)) => Sort::Change,
            (Who::Local(_) | Who::Hub, _) => Sort::Own,
        }
    }

    /// Under which word it is counted if it is not written for itself.
    pub(super) fn word(&self) -> String {
        match &self.outcome {
            Outcome::Done(_) => self.what.clone(),
            Outcome::Refused(reason) | Outcome::Failed(reason) => format!("{} {reason}", self.what),
        }
    }

    /// The line, without its end.
    pub(super) fn line(&self, number: u64, previous: &Digest) -> String {
        let mut line = Line {
            number,
            time: self.time.to_string(),
            what: &self.what,
            target: &self.target,
            previous: hex::encode(previous),
            counts: Some(&self.counts).filter(|counts| !counts.is_empty()),
            ..Line::default()
        };
        match &self.who {
            Who::Member { member, agent, serial, key } => {
                line.member = Some(member.as_str());
                line.agent = agent.as_deref();
                line.serial = serial.as_deref();
                line.key = key.as_deref();
            }
            Who::Local(user) => line.user = Some(*user),
            Who::Hub => line.hub = Some(true),
        }
        (line.outcome, line.sequence, line.reason) = match &self.outcome {
            Outcome::Done(place) => ("done", *place, None),
            Outcome::Refused(reason) => ("refused", None, Some(reason.as_str())),
            Outcome::Failed(why) => ("failed", None, Some(why.as_str())),
        };
        // Text and numbers: there is nothing that could not be written.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// A line as it is written; docs/OPERATIONS.md has the fields.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    number: u64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<bool>,
    what: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<&'a BTreeMap<String, u64>>,
    previous: String,
}
