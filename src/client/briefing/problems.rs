//! What the meeting has to settle: disputes, questions and recalls of the period, and those that are still open.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::briefing::Dispute;
use crate::briefing::Holder;
use crate::briefing::Holders;
use crate::briefing::Inquiry;
use crate::briefing::Opinion;
use crate::briefing::Provenance;
use crate::briefing::Recall;
use crate::briefing::Reply;
use crate::briefing::Said;
use crate::briefing::Stance;
use crate::briefing::Subject;
use crate::client::briefing::Period;
use crate::client::briefing::ends::Ends;
use crate::client::briefing::ends::TakenBack;
use crate::client::briefing::talk::Talk;
use crate::client::briefing::words;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::recalls::ListedRecall;
use crate::client::recalls::RecallHolder;
use crate::client::recalls::Recalls;
use crate::client::verifier::VerifiedEntry;
use crate::model::handling::Tlp;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::body::End;
use crate::wire::pb;

/// How many subjects are read at once.
const READ_AT_ONCE: usize = 16;

impl Client {
    /// Records on which opinions disagree: those that stand, and those on which it was said in the period.
    pub(super) async fn disputes(
        &self,
        talk: &Talk,
        ends: &Ends,
        period: Period,
    ) -> Result<Vec<Dispute>, ClientError> {
        let mut disputes: Vec<Dispute> = talk
            .opinions
            .iter()
            .filter_map(|(of, opinions)| dispute(of, opinions, ends.of(of), period))
            .collect();
        let last = |it: &Dispute| it.opinions.iter().map(|opinion| opinion.shared_at).max();
        disputes.sort_by_key(|dispute| (dispute.taken_back.is_some(), last(dispute)));
        let subjects = self.subjects(disputes.iter().map(|it| &it.about.record), ends).await?;
        for dispute in &mut disputes {
            if let Some((title, tlp)) = subjects.get(&dispute.about.record) {
                dispute.about.title.clone_from(title);
                dispute.tlp = dispute.tlp.max(*tlp);
            }
        }
        Ok(disputes)
    }

    /// Questions that wait for an answer, and those that were asked or answered in the period.
    pub(super) async fn inquiries(
        &self,
        talk: &Talk,
        ends: &Ends,
        period: Period,
    ) -> Result<Vec<Inquiry>, ClientError> {
        let none = Vec::new();
        let mut found: Vec<(Inquiry, Option<RecordName>)> = talk
            .inquiries
            .iter()
            .filter_map(|entry| {
                let replies = talk.replies.get(entry.name()).unwrap_or(&none);
                inquiry(entry, replies, period)
            })
            .collect();
        let urgent = |it: &Inquiry| (!it.is_open, it.due.unwrap_or(Timestamp::MAX), it.asked_at);
        found.sort_by_key(|(inquiry, _about)| urgent(inquiry));
        let records = found.iter().filter_map(|(_inquiry, about)| about.as_ref());
        let subjects = self.subjects(records, ends).await?;
        let known = |(mut inquiry, about): (Inquiry, Option<RecordName>)| {
            if let Some((title, tlp)) = about.and_then(|about| subjects.get(&about)) {
                inquiry.about.clone_from(title);
                inquiry.tlp = inquiry.tlp.max(*tlp);
            }
            inquiry
        };
        Ok(found.into_iter().map(known).collect())
    }

    /// Recalls of one's own records, with who has answered, and those that one has to answer.
    pub(super) async fn recalls_of(
        &self,
        ends: &Ends,
        period: Period,
    ) -> Result<Vec<Recall>, ClientError> {
        let me = &self.profile().settings().member;
        let holders = self.holders(ends).await?;
        let recall = |(of, it): (&RecordName, &TakenBack)| {
            let holders = if of.member == *me {
                Holders::Everyone(holders.get(of).cloned().unwrap_or_default())
            } else if ends.answer(of, me).is_none() {
                Holders::TheReader
            } else {
                return None;
            };
            let is_new =
                period.holds(it.at) || ends.last_answer(of).is_some_and(|last| period.holds(last));
            let is_open = it.asks() && is_awaited(&holders);
            (is_new || is_open).then(|| recall(of, it, ends, holders))
        };
        let mut recalls: Vec<Recall> = ends.taken_back().filter_map(recall).collect();
        recalls.sort_by_key(|recall| {
            let by = recall.acknowledge_by.unwrap_or(Timestamp::MAX);
            (!is_awaited(&recall.holders), by, recall.recalled_at)
        });
        let subjects = self.subjects(recalls.iter().map(|it| &it.of.record), ends).await?;
        for recall in &mut recalls {
            // The label of what cannot be read any more is not known.
            let known = subjects.get(&recall.of.record).cloned();
            (recall.of.title, recall.tlp) = known.unwrap_or_else(|| (Said::default(), Tlp::Red));
        }
        Ok(recalls)
    }

    /// Everyone who could see what this member took back, as the hub says, with the answers that were verified.
    async fn holders(&self, ends: &Ends) -> Result<BTreeMap<RecordName, Vec<Holder>>, ClientError> {
        let own = self.recalls(Recalls::Own).await?.into_iter();
        let known = own.map(|ListedRecall { record, holders, .. }| {
            let known = holders.into_iter().map(|said| holder(said, &record, ends)).collect();
            (record, known)
        });
        Ok(known.collect())
    }

    /// Titles and labels of records. What was to be deleted is not named again.
    async fn subjects(
        &self,
        names: impl Iterator<Item = &RecordName>,
        ends: &Ends,
    ) -> Result<BTreeMap<RecordName, (Said, Tlp)>, ClientError> {
        let names: BTreeSet<RecordName> = names.cloned().collect();
        let one = |record: RecordName| async move {
            match self.get(&RevisionName { record, revision: None }).await {
                Ok(found) => Ok(Some(found.entry)),
                Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let read: Vec<Result<Option<VerifiedEntry>, ClientError>> =
            stream::iter(names.into_iter().map(one)).buffer_unordered(READ_AT_ONCE).collect().await;
        let read = read.into_iter().filter_map(Result::transpose);
        read.map(|entry| {
            let entry = entry?;
            let gone = ends.of(entry.name()).is_some_and(|it| it.demand_deletion);
            let kind = entry.header().body_kind.as_str();
            let title = if gone || entry.erased_by().is_some() {
                Said::from(format!("{kind}, to be deleted"))
            } else {
                words::title(&entry)
            };
            Ok((entry.name().clone(), (title, entry.header().handling.tlp)))
        })
        .collect()
    }
}

/// Whether somebody has still to answer.
fn is_awaited(holders: &Holders) -> bool {
    match holders {
        Holders::Everyone(holders) => holders.iter().any(|holder| holder.answer.is_none()),
        Holders::TheReader => true,
    }
}

fn dispute(
    of: &RecordName,
    entries: &[VerifiedEntry],
    taken_back: Option<&TakenBack>,
    period: Period,
) -> Option<Dispute> {
    let opinions: Vec<Opinion> = entries.iter().filter_map(opinion).collect();
    let against =
        |it: &&Opinion| matches!(it.stance, Stance::StronglyDisagrees | Stance::Disagrees);
    let mut against = opinions.iter().filter(against).peekable();
    let is_open = taken_back.is_none() && against.peek().is_some();
    if !is_open && !against.any(|opinion| period.holds(opinion.shared_at)) {
        return None;
    }
    let labels = entries.iter().map(|entry| entry.header().handling.tlp);
    Some(Dispute {
        about: Subject { record: of.clone(), title: Said::default() },
        tlp: labels.max().unwrap_or(Tlp::Clear),
        opinions,
        taken_back: taken_back.map(|it| it.at),
    })
}

fn opinion(entry: &VerifiedEntry) -> Option<Opinion> {
    let Some(pb::body::Content::Opinion(said)) = &entry.body().content else { return None };
    Some(Opinion {
        member: entry.name().member.clone(),
        stance: words::stance(said.stance())?,
        reason: words::word(said.reason().as_str_name(), "OPINION_REASON_"),
        text: Said::from(said.text.as_str()),
        shared_at: entry.accept_time(),
    })
}

/// A question that belongs into the briefing, and the record that it is about.
fn inquiry(
    entry: &VerifiedEntry,
    replies: &[VerifiedEntry],
    period: Period,
) -> Option<(Inquiry, Option<RecordName>)> {
    let Some(pb::body::Content::Inquiry(said)) = &entry.body().content else { return None };
    let Content::Inquiry { about, addressees } = &entry.record().content else { return None };
    let is_open = !is_answered(&entry.name().member, addressees, replies);
    let times = replies.iter().chain([entry]).map(VerifiedEntry::accept_time);
    if !is_open && !times.into_iter().any(|time| period.holds(time)) {
        return None;
    }
    let (value, record) = match about {
        End::Record(record) => (Said::default(), Some(record.clone())),
        End::Value(_digest) => (value(said.about.as_ref()), None),
    };
    let labels = replies.iter().chain([entry]).map(|entry| entry.header().handling.tlp);
    let inquiry = Inquiry {
        record: entry.name().clone(),
        tlp: labels.max().unwrap_or(Tlp::Clear),
        asker: entry.name().member.clone(),
        question: Said::from(said.question.as_str()),
        about: value,
        addressees: addressees.clone(),
        asked_at: entry.accept_time(),
        due: words::time(said.due_time.as_ref()),
        replies: replies.iter().filter_map(reply).collect(),
        is_open,
    };
    Some((inquiry, record))
}

fn value(about: Option<&pb::Reference>) -> Said {
    match about.and_then(|about| about.to.as_ref()) {
        Some(pb::reference::To::Value(value)) => words::value(value),
        Some(pb::reference::To::Record(_)) | None => Said::default(),
    }
}

/// Whether everyone who is asked by name, or else anyone, has given more than word of still looking.
fn is_answered(asker: &MemberId, addressees: &[MemberId], replies: &[VerifiedEntry]) -> bool {
    let mut last: BTreeMap<&MemberId, pb::ReplyResult> = BTreeMap::new();
    for entry in replies {
        if let Some(pb::body::Content::Reply(said)) = &entry.body().content {
            last.insert(&entry.name().member, said.result());
        }
    }
    let is_final = |member: &MemberId| {
        last.get(member).is_some_and(|result| *result != pb::ReplyResult::Looking)
    };
    if addressees.is_empty() {
        return last.keys().any(|member| *member != asker && is_final(member));
    }
    addressees.iter().all(is_final)
}

fn reply(entry: &VerifiedEntry) -> Option<Reply> {
    let Some(pb::body::Content::Reply(said)) = &entry.body().content else { return None };
    Some(Reply {
        member: entry.name().member.clone(),
        result: words::word(said.result().as_str_name(), "REPLY_RESULT_"),
        text: Said::from(said.text.as_str()),
        shared_at: entry.accept_time(),
    })
}

fn holder(said: RecallHolder, of: &RecordName, ends: &Ends) -> Holder {
    let RecallHolder { member, delivered, .. } = said;
    let answer = ends.answer(of, &member).cloned();
    // Whoever answered was told: that is signed.
    let told = match (&answer, delivered) {
        (Some(_), _) => Some(Provenance::Proven),
        (None, true) => Some(Provenance::HubClaims),
        (None, false) => None,
    };
    Holder { member, told, answer }
}

fn recall(of: &RecordName, it: &TakenBack, ends: &Ends, holders: Holders) -> Recall {
    Recall {
        of: Subject { record: of.clone(), title: Said::default() },
        tlp: Tlp::Red,
        member: it.member.clone(),
        reason: it.reason,
        explanation: it.explanation.clone(),
        demand_deletion: it.demand_deletion,
        recalled_at: it.at,
        acknowledge_by: it.acknowledge_by,
        erased_at: ends.erased_at(it),
        holders,
    }
}
