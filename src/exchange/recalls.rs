//! Recalls: what was taken back, who could see it, and who has answered.

use std::collections::BTreeMap;

use crate::exchange::about::Found;
use crate::exchange::about::Reading;
use crate::exchange::deliveries::How;
use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::reads::add_record;
use crate::exchange::token::Place;
use crate::exchange::turns::Halt;
use crate::model::header::BodyKind;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::roster::Roster;
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
                deliveries.when((member, How::Sent), found.sequence, &found.facts).is_some()
            };
            let reading = Reading::new(store, &reader, start.as_of, limits::PAGE_EXAMINED_MAX);
            let reading = reading.until(halt);
            Gathering { reading, roster: &roster, which, now, delivered: &delivered }
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
}

impl Gathering<'_> {
    fn page(
        mut self,
        start: u64,
        page_size: usize,
    ) -> Result<(Vec<pb::Recall>, Option<u64>), StoreError> {
        let mut recalls = Vec::new();
        for sequence in self.places(start)? {
            if recalls.len() >= page_size || self.reading.is_tired() {
                return Ok((recalls, Some(sequence)));
            }
            let Some(found) = self.reading.found(sequence)? else { continue };
            let Some(of) = found.record.content.withdraws().cloned() else { continue };
            let reader = self.reading.reader;
            let is_wanted = match self.which {
                Recalls::Own => of.member == reader.member,
                // Who reads no bodies holds none, though it has taken the record down itself.
                Recalls::ToAnswer => of.member != reader.member && reader.role.reads_bodies(),
            };
            if !is_wanted {
                continue;
            }
            recalls.extend(self.recall(found, &of)?);
        }
        Ok((recalls, None))
    }

    /// Places at which a recall may lie, from one on.
    fn places(&self, start: u64) -> Result<Vec<u64>, StoreError> {
        let mut places = Vec::new();
        for kind in BodyKind::ALL.iter().filter(|kind| kind.is_recall()) {
            for shared in self.reading.places(Term::body_kind(*kind))? {
                places.extend(shared..shared.saturating_add(COARSE_SEQUENCES));
            }
        }
        places.sort_unstable();
        places.dedup();
        places.retain(|place| (start..self.reading.size).contains(place));
        Ok(places)
    }

    /// A recall; `None` if the caller need not answer it, or has.
    fn recall(&mut self, found: Found, of: &RecordName) -> Result<Option<pb::Recall>, StoreError> {
        let answers = self.answers(of)?;
        let caller = &self.reading.reader.member;
        if self.which == Recalls::ToAnswer && answers.contains_key(caller) {
            return Ok(None);
        }
        let holders = match self.which {
            Recalls::Own => self.holders(&found, of, &answers),
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
        Ok(Some(pb::Recall {
            record: of.to_string(),
            withdrawal: Some(withdrawal),
            demand_deletion,
            acknowledge_by_time,
            erased_sequence: self.erased(of)?,
            holders,
        }))
    }

    /// Everyone who could see the record, and what each has answered.
    fn holders(
        &self,
        found: &Found,
        of: &RecordName,
        answers: &BTreeMap<MemberId, (i32, u64)>,
    ) -> Vec<pb::RecallHolder> {
        let others = self.roster.members().filter(|member| member.id != of.member);
        let readers = others.filter_map(|member| Reader::of(self.roster, &member.id));
        // A suspended member holds what it was sent before.
        let readers = readers.map(|reader| Reader { suspended: false, ..reader });
        let could = readers
            .filter(|reader| reader.role.reads_bodies() && may_see(reader, &found.facts.scope));
        could
            .map(|reader| {
                let answer = answers.get(&reader.member);
                pb::RecallHolder {
                    member: reader.member.name(),
                    answer: answer.map_or(0, |(answer, _sequence)| *answer),
                    answer_sequence: answer.map(|(_answer, sequence)| *sequence),
                    delivered: (self.delivered)(&reader.member, found),
                }
            })
            .collect()
    }

    /// The last answer of each member, as far as the caller may see them.
    fn answers(&mut self, of: &RecordName) -> Result<BTreeMap<MemberId, (i32, u64)>, StoreError> {
        let mut answers = BTreeMap::new();
        for place in self.reading.places(Term::about(of))? {
            let Some(found) = self.reading.found(place)? else { continue };
            let names_it = found.record.content.targets().iter().any(|(_field, name)| *name == of);
            if let Some(pb::body::Content::Acknowledgement(said)) = &found.record.body.content
                && names_it
            {
                answers.insert(found.facts.scope.publisher.clone(), (said.answer, place));
            }
        }
        Ok(answers)
    }

    /// The place of the notice that erased the record's first revision.
    fn erased(&self, of: &RecordName) -> Result<Option<u64>, StoreError> {
        let Some(place) = self.reading.store.revision(of, 1)? else { return Ok(None) };
        let entry = entries::read(self.reading.store, place)?.entry;
        Ok(entry.erased.map(|erased| erased.cause_sequence))
    }
}
