//! Recalls: what was taken back, who could see it, and who has answered.

use std::ops::Range;

use crate::exchange::about::Found;
use crate::exchange::about::Reading;
use crate::exchange::deliveries::How;
use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::reads::add_record;
use crate::exchange::reads::is_current;
use crate::exchange::search::Agreed;
use crate::exchange::search::Clause;
use crate::exchange::search::agree;
use crate::exchange::token::Place;
use crate::exchange::turns::Halt;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Roster;
use crate::model::roster::RosterMember;
use crate::model::time::Timestamp;
use crate::store::COARSE_SEQUENCES;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire::pb;

/// Whose recalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalls {
    /// Of the caller's own records, with everyone who could see them.
    Own,
    /// Of records that the caller could see, and has not answered.
    ToAnswer,
}

/// A page of recalls.
#[derive(Debug)]
pub struct RecallPage {
    /// The recalls, oldest first.
    pub recalls: Vec<pb::Recall>,
    /// Empty after the last page.
    pub next_page_token: String,
}

impl Hub {
    /// One page of recalls.
    pub async fn recalls(
        &self,
        member: &MemberId,
        which: Recalls,
        page_size: usize,
        page_token: &str,
    ) -> Result<RecallPage, ExchangeError> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let request = digest(which);
        let start = self.page_start(member, &request, page_token)?;
        let (roster, now) = (self.roster(), self.clock().now());
        let deliveries = self.deliveries.clone();
        let page = move |store: &Store, halt: &Halt| {
            let delivered = |member: &MemberId, found: &Found| {
                let entry = (found.sequence, &found.facts);
                deliveries.when((member, How::Sent), entry, &roster).is_some()
            };
            let reading = Reading::new(store, &reader, start.as_of, limits::PAGE_EXAMINED_MAX);
            let reading = reading.until(halt);
            let delivered = &delivered;
            Gathering { reading, roster: &roster, which, now, delivered, examined: 0 }
                .page(start.position, page_size)
        };
        let (recalls, next) = self.read(Some(member), page).await?;
        let next = next.map(|position| Place { position, ..start });
        Ok(RecallPage { recalls, next_page_token: self.page_token(member, &request, next) })
    }
}

fn digest(which: Recalls) -> Digest {
    sha256(format!("recalls {which:?}").as_bytes())
}

struct Gathering<'a> {
    reading: Reading<'a>,
    roster: &'a Roster,
    which: Recalls,
    now: Timestamp,
    /// Whether a recall was sent to a member.
    delivered: &'a dyn Fn(&MemberId, &Found) -> bool,
    /// What was read for this page so far. Every recall on it is read to its end, whatever that takes: nothing is said
    /// of half of its answers.
    examined: usize,
}

/// A recall whose answers are read.
struct Asked<'a> {
    of: &'a RecordName,
    /// Its place: what lies before it answers something else.
    at: u64,
    /// The place of the record's next recall; the end of what is shown if there is none.
    next: u64,
    /// The place of the notice that erased the record's first revision.
    erased: Option<u64>,
}

/// What a member answered.
struct Answer {
    answer: i32,
    sequence: u64,
}

impl Gathering<'_> {
    fn page(
        mut self,
        start: u64,
        page_size: usize,
    ) -> Result<(Vec<pb::Recall>, Option<u64>), StoreError> {
        let (store, size) = (self.reading.store, self.reading.size);
        let mut clauses = [Clause::recalls(&Group::of_reader(self.reading.reader))];
        let (mut recalls, mut next) = (Vec::new(), start);
        loop {
            let within = (next..size, &mut self.examined);
            let range = match agree(store, &self.reading.halt, &mut clauses, within)? {
                Agreed::Nowhere => return Ok((recalls, None)),
                Agreed::Tired(at) => return Ok((recalls, Some(at))),
                Agreed::On(range) => range,
            };
            next = range.end;
            let full = self.take(range, page_size, &mut recalls)?;
            if full.is_some() {
                return Ok((recalls, full));
            }
        }
    }

    /// Takes the recalls from a range; the place at which the page was full.
    fn take(
        &mut self,
        range: Range<u64>,
        page_size: usize,
        recalls: &mut Vec<pb::Recall>,
    ) -> Result<Option<u64>, StoreError> {
        for sequence in range {
            if self.examined >= limits::PAGE_EXAMINED_MAX {
                return Ok(Some(sequence));
            }
            self.examined = self.examined.saturating_add(1);
            let Some((found, of)) = self.wanted(sequence)? else { continue };
            // As in a search: behind a full page lies one that is shown.
            if recalls.len() >= page_size {
                return Ok(Some(sequence));
            }
            recalls.push(self.recall(found, &of)?);
        }
        Ok(None)
    }

    /// The recall at a place, if there is one that was asked for: of the caller's own, or one that it has yet to answer.
    fn wanted(&mut self, sequence: u64) -> Result<Option<(Found, RecordName)>, StoreError> {
        let Some(found) = self.reading.found(sequence)? else { return Ok(None) };
        let Some(of) = found.record.content.withdraws().cloned() else { return Ok(None) };
        let reader = self.reading.reader;
        let is_wanted = match self.which {
            Recalls::Own => of.member == reader.member,
            // Who reads no bodies holds none, though it has taken the record down itself.
            Recalls::ToAnswer => {
                of.member != reader.member
                    && reader.role.reads_bodies()
                    && self.waits_for(&reader.member, &found, &of)?
            }
        };
        Ok(is_wanted.then_some((found, of)))
    }

    /// Whether a recall waits for a member's answer.
    fn waits_for(
        &mut self,
        member: &MemberId,
        found: &Found,
        of: &RecordName,
    ) -> Result<bool, StoreError> {
        let asked = self.asked(found, of)?;
        Ok(self.could_see(member, found, &asked) && self.answer(member, &asked)?.is_none())
    }

    fn asked<'a>(&self, found: &Found, of: &'a RecordName) -> Result<Asked<'a>, StoreError> {
        let (last, size) = (self.reading.store.withdrawn(of)?, self.reading.size);
        let next = last.filter(|last| *last > found.sequence).unwrap_or(size);
        Ok(Asked { of, at: found.sequence, next: next.min(size), erased: self.erased(of)? })
    }

    fn recall(&mut self, found: Found, of: &RecordName) -> Result<pb::Recall, StoreError> {
        let asked = self.asked(&found, of)?;
        let holders = match self.which {
            Recalls::Own => self.holders(&found, &asked)?,
            Recalls::ToAnswer => Vec::new(),
        };
        let (demand_deletion, acknowledge_by_time) = match &found.record.body.content {
            Some(pb::body::Content::Withdrawal(said)) => {
                (said.demand_deletion, said.acknowledge_by_time)
            }
            _ => (true, None),
        };
        let mut withdrawal = found.entry;
        add_record(&mut withdrawal, self.now);
        Ok(pb::Recall {
            record: of.to_string(),
            withdrawal: Some(withdrawal),
            demand_deletion,
            acknowledge_by_time,
            erased_sequence: asked.erased,
            holders,
        })
    }

    /// Everyone who could see the record, and what each has answered; and who could not and answered all the same.
    fn holders(
        &mut self,
        found: &Found,
        asked: &Asked<'_>,
    ) -> Result<Vec<pb::RecallHolder>, StoreError> {
        let mut holders = Vec::new();
        let others = self.roster.members().filter(|member| member.id != asked.of.member);
        for RosterMember { id, .. } in others {
            let answer = self.answer(id, asked)?;
            if answer.is_none() && !self.could_see(id, found, asked) {
                continue;
            }
            holders.push(pb::RecallHolder {
                member: id.name(),
                answer: answer.as_ref().map_or(0, |answer| answer.answer),
                answer_sequence: answer.map(|answer| answer.sequence),
                delivered: (self.delivered)(id, found),
            });
        }
        Ok(holders)
    }

    /// Whether the record could be seen by a member: by now, or before it was erased.
    fn could_see(&self, id: &MemberId, found: &Found, asked: &Asked<'_>) -> bool {
        let Some(member) = self.roster.member(id) else { return false };
        let audiences = match asked.erased {
            Some(erased) if member.admitted_at.0 >= erased => return false,
            Some(erased) => self.roster.audiences.of_at(id, erased),
            None => self.roster.audiences.of(id),
        };
        let audiences = audiences.into_iter().chain(member.role.audiences()).collect();
        // A suspended member holds what it was sent before.
        let reader = Reader { member: id.clone(), role: member.role, suspended: false, audiences };
        reader.role.reads_bodies() && may_see(&reader, &found.facts.scope)
    }

    /// What a member answered to a recall: the last that it said before the record was recalled again; if it said
    /// nothing then, the first that it said later, which answers both.
    ///
    /// It is sought where this member has published something for itself or for people by name: whatever others say of
    /// the record, and however often, lies elsewhere but for what falls between. Who answers without end hides its own.
    fn answer(
        &mut self,
        member: &MemberId,
        asked: &Asked<'_>,
    ) -> Result<Option<Answer>, StoreError> {
        let group = [Group::of_member(member)];
        let coarse = |term| Clause::new(vec![term], &group, COARSE_SEQUENCES);
        let mut clauses = [
            Clause::new(vec![Term::about(asked.of)], &group, 1),
            coarse(Term::publisher(member)),
            coarse(Term::body_kind(BodyKind::Acknowledgement)),
        ];
        let (mut last, mut examined) = (None, 0);
        let (store, mut next) = (self.reading.store, asked.at.saturating_add(1));
        while examined < limits::PAGE_EXAMINED_MAX {
            let within = (next..self.reading.size, &mut examined);
            let Agreed::On(range) = agree(store, &self.reading.halt, &mut clauses, within)? else {
                break;
            };
            examined = examined.saturating_add(1);
            next = range.end;
            let Some(answer) = self.answer_at(range.start, member, asked.of)? else { continue };
            if answer.sequence > asked.next {
                last = last.or(Some(answer));
                break;
            }
            last = Some(answer);
        }
        self.examined = self.examined.saturating_add(examined);
        Ok(last)
    }

    /// The answer at a place, if it is one of this member about this record.
    fn answer_at(
        &mut self,
        place: u64,
        member: &MemberId,
        of: &RecordName,
    ) -> Result<Option<Answer>, StoreError> {
        let Some(found) = self.reading.again(place)? else { return Ok(None) };
        let names_it = found.record.content.targets().iter().any(|(_field, name)| *name == of);
        let (store, size) = (self.reading.store, self.reading.size);
        let is_its_own = found.facts.scope.publisher == *member;
        let is_shown = may_see(self.reading.reader, &found.facts.scope);
        if !names_it || !is_its_own || !is_shown || !is_current(store, &found.facts, size)? {
            return Ok(None);
        }
        Ok(match &found.record.body.content {
            Some(pb::body::Content::Acknowledgement(said)) => {
                Some(Answer { answer: said.answer, sequence: place })
            }
            _ => None,
        })
    }

    /// The place of the notice that erased the record's first revision.
    fn erased(&self, of: &RecordName) -> Result<Option<u64>, StoreError> {
        let Some(place) = self.reading.store.revision(of, 1)? else { return Ok(None) };
        let entry = entries::read(self.reading.store, place)?.entry;
        Ok(entry.erased.map(|erased| erased.cause_sequence))
    }
}
