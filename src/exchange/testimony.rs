//! What members say beside the log: checkpoints that they cosigned, heads of their own entries, and reports of
//! misbehaviour.
//!
//! It is state beside the log, kept like durable subscriptions: the sequencer's thread writes it with its groups, so that
//! it is on the disk before it is answered, and judges what follows what, so that nothing goes back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::oneshot;

use crate::model::head::HeadName;
use crate::model::head::PublisherHead;
use crate::model::limits;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::report::ReportName;
use crate::model::time::Timestamp;
use crate::store::STATE_BYTES_MAX;
use crate::store::StateChange;
use crate::store::StateKey;
use crate::store::Store;
use crate::store::StoreError;
use crate::transparency::Checkpoint;
use crate::transparency::LogKeys;
use crate::wire::disk;
use crate::wire::head::Signed;

/// A checkpoint that a member cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witnessed {
    pub(super) checkpoint: Checkpoint,
    /// Seconds since 1970, by the member's clock.
    pub(super) time: u64,
    /// The key that signed it.
    pub(super) key: KeyId,
    /// The note with the log's signature and the member's.
    pub(super) note: String,
}

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptHead {
    pub(super) head: PublisherHead,
    pub(super) signed: Signed,
    /// Whether the hub counted the same entries itself.
    pub(super) counted: bool,
}

/// Evidence that a member hands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewReport {
    pub(super) name: ReportName,
    /// The hub's time.
    pub(super) time: Timestamp,
    pub(super) evidence: Bytes,
}

/// What is known of a report without a look at the disk, where its evidence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptReport {
    pub(super) time: Timestamp,
    /// Bytes of the evidence.
    pub(super) length: u64,
}

/// What a member said.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// It cosigned a checkpoint.
    Witnessed(MemberId, Box<Witnessed>),
    /// It signed a head.
    Head(Box<KeptHead>),
    /// It has evidence that somebody cheated.
    Report(Box<NewReport>),
}

/// What is to be kept, and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) said: Said,
    pub(super) answer: oneshot::Sender<Decided>,
}

type Decided = Result<(), Refusal>;

#[derive(Debug, Default)]
struct Kept {
    witnessed: BTreeMap<MemberId, Witnessed>,
    heads: BTreeMap<HeadName, KeptHead>,
    reports: BTreeMap<ReportName, KeptReport>,
}

/// Everything of it, as it is on the disk.
#[derive(Debug, Default)]
pub(super) struct Testimony {
    kept: RwLock<Kept>,
}

/// What requests come to.
pub(super) struct Judged {
    pub(super) changes: Vec<StateChange>,
    after: Vec<Change>,
    answers: Vec<(oneshot::Sender<Decided>, Decided)>,
}

enum Change {
    Said(Said),
    Gone(HeadName),
}

impl Judged {
    /// Takes note of what follows from something that was said.
    fn take(&mut self, draft: &mut Kept, said: Said, Changed { is_new, gone }: Changed) {
        if let Some(gone) = gone {
            draft.heads.remove(&gone);
            self.changes.push(StateChange { key: StateKey::Head(gone.clone()), bytes: None });
            self.after.push(Change::Gone(gone));
        }
        if is_new {
            draft.take(said.clone());
            self.changes.extend(changes(&said));
            self.after.push(Change::Said(said));
        }
    }

    /// Answers everyone, with what was judged, or with why nothing came of it.
    pub(super) fn answer(self, failed: Option<&Refusal>) {
        for (answer, outcome) in self.answers {
            // A caller that went away asks again.
            let _gone = answer.send(failed.map_or(outcome, |refusal| Err(refusal.clone())));
        }
    }
}

impl Testimony {
    pub(super) fn load(store: &Store, log_keys: &LogKeys) -> Result<Self, StoreError> {
        let damaged = || StoreError::corrupt("what members signed", "something is unreadable");
        let mut kept = Kept::default();
        for (member, bytes) in store.cosignatures()? {
            kept.witnessed.insert(member, witnessed(&bytes, log_keys).ok_or_else(damaged)?);
        }
        for bytes in store.heads()? {
            let head = head(&bytes).ok_or_else(damaged)?;
            kept.heads.insert(head.head.name.clone(), head);
        }
        for (name, bytes) in store.reports()? {
            kept.reports.insert(name, report(&bytes).ok_or_else(damaged)?);
        }
        Ok(Self { kept: RwLock::new(kept) })
    }

    /// What each member cosigned last.
    pub(super) fn witnessed(&self) -> Vec<(MemberId, Witnessed)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.witnessed.iter().map(|(member, kept)| (member.clone(), kept.clone())).collect()
    }

    pub(super) fn witnessed_by(&self, member: &MemberId) -> Option<Witnessed> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.witnessed.get(member).cloned()
    }

    pub(super) fn head(&self, name: &HeadName) -> Option<KeptHead> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.heads.get(name).cloned()
    }

    /// Heads for which something holds, in the order of their names, behind one.
    pub(super) fn heads(
        &self,
        holds: impl Fn(&HeadName) -> bool,
        after: Option<&HeadName>,
        maximum: usize,
    ) -> Vec<KeptHead> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let behind = |name: &HeadName| after.is_none_or(|after| name > after);
        let found = kept.heads.iter().filter(|(name, _head)| behind(name) && holds(name));
        found.take(maximum).map(|(_name, head)| head.clone()).collect()
    }

    pub(super) fn report(&self, name: &ReportName) -> Option<KeptReport> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.reports.get(name).copied()
    }

    /// How many reports there are.
    pub(super) fn report_count(&self) -> usize {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).reports.len()
    }

    /// Reports for which something holds, in the order of their names, behind one; as many as have so many bytes of
    /// evidence together, but one at least. And whether there are more.
    pub(super) fn reports(
        &self,
        holds: impl Fn(&ReportName) -> bool,
        after: Option<&ReportName>,
        (maximum, bytes_max): (usize, usize),
    ) -> (Vec<(ReportName, KeptReport)>, bool) {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let behind = |name: &ReportName| after.is_none_or(|after| name > after);
        let bytes_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let (mut found, mut bytes) = (Vec::new(), 0_u64);
        for (name, report) in kept.reports.iter().filter(|(name, _)| behind(name) && holds(name)) {
            bytes = bytes.saturating_add(report.length);
            if found.len() >= maximum || (bytes > bytes_max && !found.is_empty()) {
                return (found, true);
            }
            found.push((name.clone(), *report));
        }
        (found, false)
    }

    /// Judges requests one after the other; what they change is written before it is published.
    pub(super) fn judge(&self, requests: Vec<Request>) -> Judged {
        let mut judged = Judged { changes: Vec::new(), after: Vec::new(), answers: Vec::new() };
        if requests.is_empty() {
            return judged;
        }
        let who: BTreeSet<MemberId> = requests.iter().map(|one| one.said.by().clone()).collect();
        let mut draft = self.kept.read().unwrap_or_else(PoisonError::into_inner).of(&who);
        for Request { said, answer } in requests {
            let outcome = draft.judge(&said);
            let outcome = outcome.map(|changed| judged.take(&mut draft, said, changed));
            judged.answers.push((answer, outcome));
        }
        judged
    }

    /// Publishes what is on the disk now.
    pub(super) fn publish(&self, judged: &mut Judged) {
        if judged.after.is_empty() {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for change in std::mem::take(&mut judged.after) {
            match change {
                Change::Said(said) => kept.take(said),
                Change::Gone(name) => drop(kept.heads.remove(&name)),
            }
        }
    }
}

/// What follows from something that was said.
struct Changed {
    is_new: bool,
    /// A head that makes room.
    gone: Option<HeadName>,
}

impl Said {
    /// Bytes that count towards a group: those of what is not short.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Witnessed(..) | Self::Head(_) => 0,
            Self::Report(report) => report.evidence.len(),
        }
    }

    /// Who said it.
    const fn by(&self) -> &MemberId {
        match self {
            Self::Witnessed(member, _) => member,
            Self::Head(kept) => &kept.head.name.publisher,
            Self::Report(report) => &report.name.reporter,
        }
    }
}

impl Kept {
    /// What some members said: nothing that others say decides about it.
    fn of(&self, who: &BTreeSet<MemberId>) -> Self {
        let witnessed = self.witnessed.iter().filter(|(member, _kept)| who.contains(*member));
        let heads = self.heads.iter().filter(|(name, _kept)| who.contains(&name.publisher));
        let reports = self.reports.iter().filter(|(name, _kept)| who.contains(&name.reporter));
        Self {
            reports: reports.map(|(name, kept)| (name.clone(), *kept)).collect(),
            witnessed: witnessed.map(|(member, kept)| (member.clone(), kept.clone())).collect(),
            heads: heads.map(|(name, kept)| (name.clone(), kept.clone())).collect(),
        }
    }

    fn take(&mut self, said: Said) {
        match said {
            Said::Witnessed(member, witnessed) => drop(self.witnessed.insert(member, *witnessed)),
            Said::Head(head) => drop(self.heads.insert(head.head.name.clone(), *head)),
            Said::Report(report) => {
                let kept = KeptReport { time: report.time, length: length(&report.evidence) };
                self.reports.insert(report.name, kept);
            }
        }
    }

    fn judge(&self, said: &Said) -> Result<Changed, Refusal> {
        match said {
            Said::Witnessed(member, new) => {
                let place = |one: &Witnessed| (one.checkpoint.epoch, one.checkpoint.size, one.time);
                let is_new = self.witnessed.get(member).is_none_or(|kept| place(new) > place(kept));
                Ok(Changed { is_new, gone: None })
            }
            Said::Head(new) => match self.heads.get(&new.head.name) {
                Some(kept) => {
                    demand_follows(&new.head, &kept.head)?;
                    Ok(Changed { is_new: new.signed != kept.signed, gone: None })
                }
                None => Ok(Changed { is_new: true, gone: self.room_for(&new.head.name)? }),
            },
            Said::Report(new) => {
                let is_new = !self.reports.contains_key(&new.name);
                if is_new {
                    self.demand_room(&new.name.reporter)?;
                }
                Ok(Changed { is_new, gone: None })
            }
        }
    }

    /// Demands that one more report of a member is kept: none makes room for another.
    fn demand_room(&self, reporter: &MemberId) -> Result<(), Refusal> {
        let own = self.reports.keys().filter(|name| name.reporter == *reporter);
        if own.count() < limits::REPORTS_MAX {
            return Ok(());
        }
        let message = format!(
            "{} reports of yours are kept already; hand this one to the operator and the auditors in another way",
            limits::REPORTS_MAX
        );
        let refusal = Refusal::field(Reason::TooManyReports, "evidence", message);
        Err(refusal.with("reports_max", limits::REPORTS_MAX))
    }

    /// The head that makes room for a new one, if one must: the oldest of another key of the same publisher.
    fn room_for(&self, name: &HeadName) -> Result<Option<HeadName>, Refusal> {
        let own = self.heads.values().filter(|kept| kept.head.name.publisher == name.publisher);
        if own.clone().count() < limits::HEADS_MAX {
            return Ok(None);
        }
        let others = own.filter(|kept| kept.head.name.key != name.key);
        let oldest = others.min_by_key(|kept| kept.head.time).map(|kept| kept.head.name.clone());
        let full = || {
            let message = format!("a key has at most {} heads", limits::HEADS_MAX);
            Refusal::field(Reason::Quota, "head", message)
        };
        oldest.map(Some).ok_or_else(full)
    }
}

/// Refuses a head that goes back behind the one that is kept.
pub(super) fn demand_follows(new: &PublisherHead, kept: &PublisherHead) -> Result<(), Refusal> {
    if new.may_follow(kept) {
        return Ok(());
    }
    let message = "a later head of this key and scope is kept; this one takes something back";
    Err(Refusal::field(Reason::FieldInvalid, "head.size", message)
        .with("size", kept.size)
        .with("count", kept.counted.count))
}

fn changes(said: &Said) -> Vec<StateChange> {
    let change = |key, bytes| StateChange { key, bytes: Some(bytes) };
    match said {
        Said::Witnessed(member, witnessed) => {
            let Witnessed { checkpoint: _in_note, time, key, note } = &**witnessed;
            let row =
                disk::Cosignature { note: note.clone(), key: key.as_bytes().to_vec(), time: *time };
            vec![change(StateKey::Cosignature(member.clone()), row.encode_to_vec())]
        }
        Said::Head(kept) => {
            let row = disk::PublisherHead {
                statement: kept.signed.statement.clone(),
                signature: kept.signed.signature.clone(),
                counted: kept.counted,
            };
            vec![change(StateKey::Head(kept.head.name.clone()), row.encode_to_vec())]
        }
        Said::Report(report) => {
            let NewReport { name, time, evidence } = &**report;
            let row =
                disk::MisbehaviorReport { time_us: time.as_micros(), length: length(evidence) };
            let row = change(StateKey::Report(name.clone()), row.encode_to_vec());
            let pieces = (0..).zip(evidence.chunks(STATE_BYTES_MAX)).map(|(number, piece)| {
                change(StateKey::Evidence(name.clone(), number), piece.to_vec())
            });
            std::iter::once(row).chain(pieces).collect()
        }
    }
}

fn length(evidence: &[u8]) -> u64 {
    u64::try_from(evidence.len()).unwrap_or(u64::MAX)
}

pub(super) fn report(bytes: &[u8]) -> Option<KeptReport> {
    let disk::MisbehaviorReport { time_us, length } =
        disk::MisbehaviorReport::decode(bytes).ok()?;
    Some(KeptReport { time: Timestamp::from_micros(time_us)?, length })
}

pub(super) fn witnessed(bytes: &[u8], log_keys: &LogKeys) -> Option<Witnessed> {
    let disk::Cosignature { note, key, time } = disk::Cosignature::decode(bytes).ok()?;
    let checkpoint = log_keys.open(&note).ok()?;
    Some(Witnessed { checkpoint, time, key: hex::encode(key).parse().ok()?, note })
}

pub(super) fn head(bytes: &[u8]) -> Option<KeptHead> {
    let disk::PublisherHead { statement, signature, counted } =
        disk::PublisherHead::decode(bytes).ok()?;
    let signed = Signed { statement, signature };
    Some(KeptHead { head: signed.head_unchecked().ok()?, signed, counted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::head::Counted;
    use crate::model::names::ExchangeName;

    fn name(key: &[u8], scope: &str) -> HeadName {
        HeadName {
            publisher: "acme-video".parse().unwrap(),
            key: KeyId::of_spki(key),
            scope: scope.parse().unwrap(),
        }
    }

    fn kept(name: HeadName, size: u64, time: u64) -> Said {
        let digest = if size == 0 { [0; 32] } else { [u8::try_from(size % 251).unwrap() + 1; 32] };
        let head = PublisherHead {
            exchange: ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap(),
            name,
            epoch: 1,
            size,
            counted: Counted { count: size, digest },
            time: Timestamp::from_micros(time).unwrap(),
            next_due: Timestamp::MAX,
            seen: Vec::new(),
        };
        let statement = crate::wire::head::head_bytes(&head);
        let signed = Signed { statement, signature: vec![1; 64] };
        Said::Head(Box::new(KeptHead { head, signed, counted: true }))
    }

    fn witnessed(size: u64, time: u64) -> Said {
        let checkpoint = Checkpoint { epoch: 1, size, root: [1; 32], roster: [1; 32] };
        let note = format!("{size} at {time}");
        let key = KeyId::of_spki(b"key");
        let member = "birch-social".parse().unwrap();
        Said::Witnessed(member, Box::new(Witnessed { checkpoint, time, key, note }))
    }

    fn say(testimony: &Testimony, said: Vec<Said>) -> Vec<Result<(), Reason>> {
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        for said in said {
            let (answer, decided) = oneshot::channel();
            requests.push(Request { said, answer });
            answers.push(decided);
        }
        let mut judged = testimony.judge(requests);
        testimony.publish(&mut judged);
        judged.answer(None);
        let outcome = |mut answer: oneshot::Receiver<Result<(), Refusal>>| {
            answer.try_recv().unwrap().map_err(|refusal| refusal.reason)
        };
        answers.into_iter().map(outcome).collect()
    }

    #[test]
    fn a_head_that_goes_back_is_refused_even_within_one_group() {
        let testimony = Testimony::default();
        let companies = || name(b"key", "audiences/companies");
        let said = vec![kept(companies(), 5, 1), kept(companies(), 4, 2), kept(companies(), 9, 3)];
        assert_eq!(say(&testimony, said), [Ok(()), Err(Reason::FieldInvalid), Ok(())]);
        assert_eq!(testimony.head(&companies()).unwrap().head.size, 9);
        // Another scope, or another key, is another head.
        let said = vec![
            kept(name(b"key", "audiences/all"), 2, 4),
            kept(name(b"new", "audiences/companies"), 2, 4),
        ];
        assert_eq!(say(&testimony, said), [Ok(()), Ok(())]);
    }

    #[test]
    fn the_newest_checkpoint_of_each_witness_is_kept() {
        let testimony = Testimony::default();
        let said = vec![witnessed(5, 1), witnessed(4, 9), witnessed(5, 2)];
        assert_eq!(say(&testimony, said), [Ok(()), Ok(()), Ok(())]);
        let kept = testimony.witnessed();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].1.note, "5 at 2");
    }

    #[test]
    fn heads_of_old_keys_make_room_and_those_of_one_key_are_bounded() {
        let testimony = Testimony::default();
        let scope = |number: usize| format!("members/recipient-{number}");
        let old = kept(name(b"old", "audiences/all"), 1, 0);
        let many = (1..limits::HEADS_MAX).map(|number| kept(name(b"key", &scope(number)), 1, 5));
        let said: Vec<Said> = std::iter::once(old).chain(many).collect();
        assert!(say(&testimony, said).into_iter().all(|outcome| outcome.is_ok()));
        let more = kept(name(b"key", &scope(limits::HEADS_MAX)), 1, 6);
        assert_eq!(say(&testimony, vec![more]), [Ok(())]);
        assert!(testimony.head(&name(b"old", "audiences/all")).is_none(), "it made room");
        let more = kept(name(b"key", &scope(limits::HEADS_MAX + 1)), 1, 7);
        assert_eq!(say(&testimony, vec![more]), [Err(Reason::Quota)]);
    }

    fn reported(reporter: &str, evidence: &[u8], time: u64) -> Said {
        let digest = crate::model::names::sha256(evidence);
        let name = ReportName { reporter: reporter.parse().unwrap(), digest };
        let time = Timestamp::from_micros(time).unwrap();
        let evidence = Bytes::copy_from_slice(evidence);
        Said::Report(Box::new(NewReport { name, time, evidence }))
    }

    #[test]
    fn the_same_report_again_is_the_first_even_within_one_group_and_none_makes_room() {
        let testimony = Testimony::default();
        let said = vec![reported("acme-video", b"0", 1), reported("acme-video", b"0", 2)];
        assert_eq!(say(&testimony, said), [Ok(()), Ok(())]);
        let all = |_: &ReportName| true;
        let (kept, more) = testimony.reports(all, None, (9, 9));
        assert_eq!((kept.len(), kept[0].1.time.as_micros(), more), (1, 1, false));
        let many = (1..limits::REPORTS_MAX)
            .map(|number| reported("acme-video", format!("{number}").as_bytes(), 3));
        assert!(say(&testimony, many.collect()).iter().all(Result::is_ok));
        let said = vec![
            reported("acme-video", b"more", 4),
            reported("acme-video", b"0", 4),
            reported("birch-social", b"more", 4),
        ];
        assert_eq!(say(&testimony, said), [Err(Reason::TooManyReports), Ok(()), Ok(())]);
        assert_eq!(testimony.report_count(), limits::REPORTS_MAX + 1);
    }

    #[test]
    fn a_page_of_reports_is_bounded_in_number_and_bytes_and_holds_one_at_least() {
        let testimony = Testimony::default();
        let said = (1..=5).map(|length| reported("acme-video", &vec![7; length * 10], 1));
        say(&testimony, said.collect());
        let pages = |maximum: usize, bytes: usize| {
            let (mut sizes, mut after, mut more) = (Vec::new(), None, true);
            while more {
                let page;
                (page, more) = testimony.reports(|_| true, after.as_ref(), (maximum, bytes));
                sizes.push(page.len());
                after = page.last().map(|(name, _kept)| name.clone());
            }
            sizes
        };
        assert_eq!(pages(9, 150), [5]);
        assert_eq!(pages(2, 150), [2, 2, 1]);
        assert_eq!(pages(5, 150), [5], "no empty page behind the last");
        assert_eq!(pages(9, 1), [1, 1, 1, 1, 1]);
        assert_eq!(pages(9, 149).iter().sum::<usize>(), 5);
    }

    #[test]
    fn evidence_is_cut_into_values_that_the_store_takes() {
        for length in [1, STATE_BYTES_MAX, STATE_BYTES_MAX + 1, limits::REPORT_BYTES_MAX] {
            let evidence: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let changes = changes(&reported("acme-video", &evidence, 1));
            assert_eq!(changes.len(), 1 + length.div_ceil(STATE_BYTES_MAX));
            let pieces = changes.iter().skip(1).map(|change| change.bytes.clone().unwrap());
            assert_eq!(pieces.flatten().collect::<Vec<u8>>(), evidence);
            let row = changes[0].bytes.clone().unwrap();
            assert_eq!(report(&row).unwrap().length, u64::try_from(length).unwrap());
        }
    }
}
