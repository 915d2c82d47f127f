//! The second part: what the meeting has to settle, and what was settled since the last one.

use crate::briefing::figure::Provenance;
use crate::briefing::said::Said;
use crate::model::handling::Tlp;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;

/// Disputes, inquiries and recalls, each in the order to be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Records on which opinions disagree.
    pub disputes: Vec<Dispute>,
    /// Questions that wait for an answer, or were asked or answered in the period.
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
    /// When the record was taken back, which ends the dispute: proven.
    pub taken_back: Option<Timestamp>,
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

/// A question.
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
    /// About which record or value; may be empty.
    pub about: Said,
    /// Members who are asked by name; empty if everyone who may read it is.
    pub addressees: Vec<MemberId>,
    /// When the log took it: proven.
    pub asked_at: Timestamp,
    /// By when an answer is wanted.
    pub due: Option<Timestamp>,
    /// Replies so far.
    pub replies: Vec<Reply>,
    /// Whether it still waits for an answer.
    pub is_open: bool,
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
    /// When the hub erased the bodies, as its own entry in the log has it: proven.
    pub erased_at: Option<Timestamp>,
    /// Who may hold it still.
    pub holders: Holders,
}

/// Who may hold a record that was recalled. Only its publisher is told of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Everyone who could see the record, and what each answered.
    Everyone(Vec<Holder>),
    /// The reader of the briefing, who has not answered. Of others nothing is known.
    TheReader,
}

impl Holders {
    /// How many have to be taken to hold the record still.
    pub(super) fn still_holding(&self) -> usize {
        match self {
            Self::Everyone(holders) => holders.iter().filter(|holder| holder.still_holds()).count(),
            Self::TheReader => 1,
        }
    }
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
    /// Its publisher is suspended.
    SuspendedMember,
}

/// A member that could see a record that was recalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member: MemberId,
    /// How it is known that the recall reached the member; `None` if nobody says that it did.
    pub told: Option<Provenance>,
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
