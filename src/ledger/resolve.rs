//! From revisions to what stands: the latest revision of each record, and each member's last word on it.

use std::collections::HashSet;

use crate::ledger::fold::Moment;
use crate::ledger::fold::Revision;
use crate::ledger::fold::Says;
use crate::ledger::fold::Stance;
use crate::ledger::names::NameId;
use crate::ledger::names::Named;
use crate::ledger::names::ScopeId;
use crate::model::header::BodyKind;
use crate::model::time::Timestamp;

/// What stands at the end of the window.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Records whose first revision the caller may see and lies in the window.
    pub(super) given: Vec<Given>,
    /// Who agreed with, or saw, what of others stands; each pair once, sorted.
    pub(super) confirmed: Vec<Voice>,
    /// Who disagreed.
    pub(super) disputed: Vec<Voice>,
    /// Who acted, and when first; one a pair, sorted.
    pub(super) acts: Vec<Act>,
    /// The first and last sequence that was counted.
    pub(super) bounds: Option<(u64, u64)>,
}

/// A record that was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) name: NameId,
    pub(super) publisher: Named,
    pub(super) kind: BodyKind,
    /// Who may read it, by its latest revision: reach only ever widens.
    pub(super) scope: ScopeId,
    pub(super) is_withdrawn: bool,
    /// The place of its first revision.
    pub(super) sequence: u64,
    /// When its first revision was taken in.
    pub(super) published: Timestamp,
    /// When its first revision says that it was last seen.
    pub(super) observed: Option<Timestamp>,
    /// The operation that it is, or that its latest revision names.
    pub(super) operation: Option<NameId>,
}

impl Given {
    /// Whether it is an asset or an operation: what others confirm, dispute and act on.
    pub(super) const fn is_asset(&self) -> bool {
        matches!(self.kind, BodyKind::Indicator | BodyKind::Operation)
    }

    /// Whether it is one, and was not withdrawn.
    pub(super) const fn stands_as_asset(&self) -> bool {
        self.is_asset() && !self.is_withdrawn
    }
}

/// That somebody said something about somebody else's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Voice {
    pub(super) of: NameId,
    pub(super) by: Named,
    pub(super) publisher: Named,
}

/// That somebody acted on somebody else's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Act {
    pub(super) voice: Voice,
    /// When its first report of an act was taken in.
    pub(super) reported: Timestamp,
    /// The earliest time at which it says that it acted.
    pub(super) claimed: Option<Timestamp>,
}

/// Resolves revisions in any order, some of them perhaps more than once.
pub(super) fn resolve(
    mut revisions: Vec<Revision>,
    withdrawn: &HashSet<NameId>,
    is_visible: impl Fn(ScopeId) -> bool,
) -> Resolved {
    revisions.retain(|revision| is_visible(revision.scope));
    revisions
        .sort_unstable_by_key(|revision| (revision.record, revision.number, revision.sequence));
    revisions.dedup_by_key(|revision| (revision.record, revision.number));
    let first = revisions.iter().map(|revision| revision.sequence).min();
    let last = revisions.iter().map(|revision| revision.sequence).max();
    let records = || revisions.chunk_by(|a, b| a.record == b.record);
    let given: Vec<Given> = records().filter_map(|record| given(record, withdrawn)).collect();
    let mut said = Said::default();
    let stands = |record: &&[Revision]| {
        record.first().is_some_and(|revision| !withdrawn.contains(&revision.record))
    };
    for record in records().filter(stands) {
        said.add(record, &given);
    }
    let Said { opinions, mut sightings, acts } = said;
    let (agreed, disputed) = last_words(opinions);
    sightings.extend(agreed);
    sightings.sort_unstable();
    sightings.dedup();
    Resolved {
        given,
        confirmed: sightings,
        disputed,
        acts: first_acts(acts),
        bounds: first.zip(last),
    }
}

/// A record, if its first revision is there: of one that reached the caller with a later revision only, the caller
/// cannot know when it was given.
fn given(record: &[Revision], withdrawn: &HashSet<NameId>) -> Option<Given> {
    let (first, last) = (record.first()?, record.last()?);
    let observed = match first.says {
        Says::Indicator { observed, .. } | Says::Operation { observed } => observed,
        Says::Opinion { .. } | Says::Sighting { .. } | Says::Action { .. } | Says::Other(_) => None,
    };
    let operation = match last.says {
        Says::Indicator { operation, .. } => operation,
        Says::Operation { .. } => Some(last.record),
        Says::Opinion { .. } | Says::Sighting { .. } | Says::Action { .. } | Says::Other(_) => None,
    };
    (first.number == 1).then(|| Given {
        name: first.record,
        publisher: first.publisher,
        kind: first.says.kind(),
        scope: last.scope,
        is_withdrawn: withdrawn.contains(&first.record),
        sequence: first.sequence,
        published: first.accept_time,
        observed: observed.map(Moment::time),
        operation,
    })
}

/// What standing records say of standing assets of others.
#[derive(Debug, Default)]
struct Said {
    opinions: Vec<(Voice, u64, Stance)>,
    sightings: Vec<Voice>,
    acts: Vec<Act>,
}

impl Said {
    /// Adds what a record says: its latest revision does, the earlier ones no longer do.
    fn add(&mut self, record: &[Revision], given: &[Given]) {
        let Some(latest) = record.last() else {
            return;
        };
        let about = |of: Option<NameId>| voice(given, of?, latest.publisher);
        match latest.says {
            Says::Opinion { of, stance } => {
                self.opinions.extend(about(of).map(|voice| (voice, latest.sequence, stance)));
            }
            Says::Sighting { of, seen: true } => self.sightings.extend(about(of)),
            Says::Action { of, is_act: true, done } => {
                let claimed = done.map(Moment::time);
                self.acts.extend(
                    about(of).zip(reported(record, of)).map(|(voice, reported)| Act {
                        voice,
                        reported,
                        claimed,
                    }),
                );
            }
            Says::Sighting { seen: false, .. }
            | Says::Action { is_act: false, .. }
            | Says::Indicator { .. }
            | Says::Operation { .. }
            | Says::Other(_) => {}
        }
    }
}

/// That somebody speaks of a standing asset of somebody else; `None` if it is none, or its own.
fn voice(given: &[Given], of: NameId, by: Named) -> Option<Voice> {
    let place = given.binary_search_by_key(&of, |given| given.name).ok()?;
    let target = given.get(place)?;
    let counts = target.stands_as_asset() && target.publisher != by;
    counts.then_some(Voice { of, by, publisher: target.publisher })
}

/// When a report first said that something was done about what it is about now.
fn reported(record: &[Revision], about: Option<NameId>) -> Option<Timestamp> {
    let says_so = |revision: &&Revision| matches!(revision.says, Says::Action { of, is_act: true, .. } if of == about);
    record.iter().find(says_so).map(|revision| revision.accept_time)
}

/// Who agrees, and who disagrees: of several opinions of a member on a record, the last one taken in.
fn last_words(mut opinions: Vec<(Voice, u64, Stance)>) -> (Vec<Voice>, Vec<Voice>) {
    opinions.sort_unstable_by_key(|(voice, sequence, _stance)| (*voice, *sequence));
    let (mut agreed, mut disputed) = (Vec::new(), Vec::new());
    for words in opinions.chunk_by(|a, b| a.0 == b.0) {
        match words.last() {
            Some((voice, _sequence, Stance::Agrees)) => agreed.push(*voice),
            Some((voice, _sequence, Stance::Disagrees)) => disputed.push(*voice),
            Some((_, _, Stance::Neither)) | None => {}
        }
    }
    (agreed, disputed)
}

/// One act for each member and record: its first report, and the earliest time that it claims.
fn first_acts(mut acts: Vec<Act>) -> Vec<Act> {
    acts.sort_unstable();
    let merged = acts.chunk_by(|a, b| a.voice == b.voice).filter_map(|same| {
        let claimed = same.iter().filter_map(|act| act.claimed).min();
        same.first().map(|first| Act { claimed, ..*first })
    });
    merged.collect()
}
