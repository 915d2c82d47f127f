//! What was taken back, who answered that, and which bodies the hub erased.

use std::collections::BTreeMap;

use crate::briefing::Counted;
use crate::briefing::Provenance;
use crate::briefing::RecallAnswer;
use crate::briefing::RecallOutcome;
use crate::briefing::RecallReason;
use crate::briefing::Said;
use crate::briefing::Shared;
use crate::client::briefing::Period;
use crate::client::briefing::words;
use crate::client::verifier::VerifiedEntry;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::pb;

/// A record that was taken back.
#[derive(Clone, Debug)]
pub(super) struct TakenBack {
    /// By whom.
    pub(super) member: MemberId,
    /// When.
    pub(super) at: Timestamp,
    /// Why.
    pub(super) reason: RecallReason,
    /// In its words.
    pub(super) explanation: Said,
    /// Whether copies must go.
    pub(super) demand_deletion: bool,
    /// Until when holders are asked to answer.
    pub(super) acknowledge_by: Option<Timestamp>,
    /// What demanded it, as notices of erasure name it.
    sequences: Vec<u64>,
}

impl TakenBack {
    /// Whether holders are asked for an answer.
    pub(super) const fn asks(&self) -> bool {
        self.demand_deletion || self.acknowledge_by.is_some()
    }
}

/// Everything that ended, up to the period's end.
pub(super) struct Ends {
    until: Timestamp,
    taken_back: BTreeMap<RecordName, TakenBack>,
    answers: BTreeMap<RecordName, BTreeMap<MemberId, RecallAnswer>>,
    erased: BTreeMap<u64, Timestamp>,
    recalls: Vec<(MemberId, BodyKind, Timestamp)>,
    end: u64,
}

impl Ends {
    /// Nothing yet.
    pub(super) const fn new(until: Timestamp) -> Self {
        Self {
            until,
            taken_back: BTreeMap::new(),
            answers: BTreeMap::new(),
            erased: BTreeMap::new(),
            recalls: Vec::new(),
            end: 0,
        }
    }

    /// Takes an entry in; entries come in rising sequence.
    pub(super) fn take(&mut self, entry: &VerifiedEntry) {
        if entry.accept_time() >= self.until {
            return;
        }
        self.end = self.end.max(entry.sequence().saturating_add(1));
        match (&entry.record().content, &entry.body().content) {
            (Content::Withdrawal { of, .. } | Content::Takedown { of }, Some(said)) => {
                self.take_recall(of, said, entry);
            }
            (Content::Acknowledgement { of }, Some(pb::body::Content::Acknowledgement(said))) => {
                self.take_answer(of, said, entry);
            }
            (Content::Erasure { demand, .. }, _) => {
                self.erased.insert(*demand, entry.accept_time());
            }
            _ => {}
        }
    }

    fn take_recall(&mut self, of: &RecordName, said: &pb::body::Content, entry: &VerifiedEntry) {
        let (member, at) = (entry.name().member.clone(), entry.accept_time());
        self.recalls.push((member.clone(), entry.header().body_kind, at));
        let before = self.taken_back.remove(of);
        let mut sequences = before.as_ref().map(|it| it.sequences.clone()).unwrap_or_default();
        sequences.push(entry.sequence());
        let taken_back = if let pb::body::Content::Withdrawal(said) = said {
            TakenBack {
                member,
                at,
                reason: words::withdrawal_reason(said.reason()),
                explanation: Said::from(said.explanation.as_str()),
                demand_deletion: said.demand_deletion
                    || before.is_some_and(|it| it.demand_deletion),
                acknowledge_by: words::time(said.acknowledge_by_time.as_ref()),
                sequences,
            }
        } else if let pb::body::Content::Takedown(said) = said {
            TakenBack {
                member,
                at,
                reason: words::takedown_reason(said.reason()),
                explanation: Said::from(said.explanation.as_str()),
                demand_deletion: true,
                acknowledge_by: before.and_then(|it| it.acknowledge_by),
                sequences,
            }
        } else {
            return;
        };
        self.taken_back.insert(of.clone(), taken_back);
    }

    fn take_answer(&mut self, of: &RecordName, said: &pb::Acknowledgement, entry: &VerifiedEntry) {
        let outcome = match said.answer() {
            pb::AcknowledgementAnswer::Deleted => RecallOutcome::Deleted,
            pb::AcknowledgementAnswer::NotHeld => RecallOutcome::NotHeld,
            pb::AcknowledgementAnswer::Refused => RecallOutcome::Refused,
            pb::AcknowledgementAnswer::Unspecified => return,
        };
        let answer = RecallAnswer { outcome, shared_at: entry.accept_time() };
        let answers = self.answers.entry(of.clone()).or_default();
        answers.insert(entry.name().member.clone(), answer);
    }

    /// The place behind the last entry taken in.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Everything that was taken back, by name.
    pub(super) fn taken_back(&self) -> impl Iterator<Item = (&RecordName, &TakenBack)> {
        self.taken_back.iter()
    }

    /// Whether and how a record was taken back.
    pub(super) fn of(&self, record: &RecordName) -> Option<&TakenBack> {
        self.taken_back.get(record)
    }

    /// What a member answered.
    pub(super) fn answer(&self, of: &RecordName, member: &MemberId) -> Option<&RecallAnswer> {
        self.answers.get(of)?.get(member)
    }

    /// When the last answer came.
    pub(super) fn last_answer(&self, of: &RecordName) -> Option<Timestamp> {
        self.answers.get(of)?.values().map(|answer| answer.shared_at).max()
    }

    /// When the hub erased the bodies of a record that was taken back.
    pub(super) fn erased_at(&self, taken_back: &TakenBack) -> Option<Timestamp> {
        taken_back.sequences.iter().find_map(|demand| self.erased.get(demand)).copied()
    }

    /// Recalls of the period, one by one.
    pub(super) fn shared(&self, period: Period) -> impl Iterator<Item = Shared> {
        let within = self.recalls.iter().filter(move |(_member, _kind, at)| period.holds(*at));
        within.map(|(member, kind, at)| Shared {
            member: member.clone(),
            kind: *kind,
            day: *at,
            counted: Counted { count: 1, provenance: Provenance::Proven },
        })
    }
}
