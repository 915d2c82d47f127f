//! The second part: what the meeting has to settle.

use crate::briefing::figure::Provenance;
use crate::briefing::said::Said;
use crate::model::handling::Tlp;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;

/// Disputes, open inquiries and recalls, each in the order to be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Records on which opinions disagree.
    pub disputes: Vec<Dispute>,
    /// Questions without an end yet.
    pub inquiries: Vec<Inquiry>,
    /// Withdrawals that somebody has still to answer, or that came in the period.
    pub recalls: Vec<Recall>,
}

/// A record that something is about, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The record.
    pub record: RecordName,
    /// Its title or value.
    pub title: Said,
}

/// A record on which opinions disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The record.
    pub about: Subject,
    /// The strictest label of the record and the opinions.
    pub tlp: Tlp,
    /// All opinions on it, agreeing ones too.
    pub opinions: Vec<Opinion>,
}

/// What one member thinks of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Who.
    pub member: MemberId,
    /// How far it agrees.
    pub stance: Stance,
    /// Why, as given: `false positive`, `wrong actor`, ...; may be empty.
    pub reason: Said,
    /// In its own words; may be empty.
    pub text: Said,
    /// When the log took it: proven.
    pub shared_at: Timestamp,
}

/// How far somebody agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stance {
    /// Strongly disagrees.
    StronglyDisagrees,
    /// Disagrees.
    Disagrees,
    /// Neither.
    Neutral,
    /// Agrees.
    Agrees,
    /// Strongly agrees.
    StronglyAgrees,
}

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// The record.
    pub record: RecordName,
    /// The strictest label of the question and its replies.
    pub tlp: Tlp,
    /// Who asks.
    pub asker: MemberId,
    /// What.
    pub question: Said,
    /// About which record, if about one.
    pub about: Option<Subject>,
    /// Members who are asked by name; empty if everyone who may read it is.
    pub addressees: Vec<MemberId>,
    /// When the log took it: proven.
    pub asked_at: Timestamp,
    /// By when an answer is wanted.
    pub due: Option<Timestamp>,
    /// Replies so far.
    pub replies: Vec<Reply>,
}

/// An answer to an inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who.
    pub member: MemberId,
    /// The result as given: `found`, `nothing found`, ...; may be empty.
    pub result: Said,
    /// In its own words; may be empty.
    pub text: Said,
    /// When the log took it: proven.
    pub shared_at: Timestamp,
}

/// A record that its publisher took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// What was taken back.
    pub of: Subject,
    /// Its label.
    pub tlp: Tlp,
    /// Who took it back.
    pub member: MemberId,
    /// Why.
    pub reason: RecallReason,
    /// In its own words; may be empty.
    pub explanation: Said,
    /// Whether holders are asked to delete their copies.
    pub demand_deletion: bool,
    /// When the log took the withdrawal: proven.
    pub recalled_at: Timestamp,
    /// Until when holders are asked to answer.
    pub acknowledge_by: Option<Timestamp>,
    /// Everyone who received the record, and what each answered.
    pub holders: Vec<Holder>,
}

/// Why a record is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecallReason {
    /// It was wrong.
    Error,
    /// The asset was put back.
    Restored,
    /// It shall be known to fewer.
    Restricted,
    /// Law asks for it.
    Legal,
    /// Privacy asks for it.
    Privacy,
    /// It is there already.
    Duplicate,
}

/// A member that received a record that was recalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member: MemberId,
    /// How it is known that the member received the record.
    pub received: Provenance,
    /// Its answer; `None` if it has not answered, so that it has to be taken to hold the record still.
    pub answer: Option<RecallAnswer>,
}

impl Holder {
    /// Whether it has to be taken to hold the record still: it refused, or said nothing.
    pub fn still_holds(&self) -> bool {
        match &self.answer {
            None => true,
            Some(answer) => match answer.outcome {
                RecallOutcome::Refused => true,
                RecallOutcome::Deleted | RecallOutcome::NotHeld => false,
            },
        }
    }
}

/// An answer to a recall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallAnswer {
    /// What it says.
    pub outcome: RecallOutcome,
    /// When the log took it: proven.
    pub shared_at: Timestamp,
}

/// What a holder says to a recall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecallOutcome {
    /// It deleted its copies.
    Deleted,
    /// It held none.
    NotHeld,
    /// It keeps them.
    Refused,
}
