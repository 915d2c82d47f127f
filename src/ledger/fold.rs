//! Taking entries in: of each only what the ledger needs, in 48 bytes and a name.

use std::collections::HashSet;
use std::num::NonZeroU64;

use uuid::Uuid;

use crate::ledger::answer::Ledger;
use crate::ledger::count;
use crate::ledger::names::NameId;
use crate::ledger::names::Named;
use crate::ledger::names::Names;
use crate::ledger::names::ScopeId;
use crate::ledger::people::People;
use crate::ledger::resolve::resolve;
use crate::ledger::window::Window;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Roster;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time;

/// An entry, as far as the ledger looks at it.
#[derive(Clone, Copy, Debug)]
pub struct LedgerEntry<'a> {
    /// Its place in the log.
    pub sequence: u64,
    /// When the hub took it in.
    pub accept_time: Timestamp,
    /// Who published it.
    pub publisher: &'a MemberId,
    /// The record.
    pub record: Uuid,
    /// The revision.
    pub revision: u32,
    /// What the body says.
    pub body_kind: BodyKind,
    /// Who may read it. Not looked at where that is not its publisher's choice.
    pub reach: &'a Reach,
    /// The body; `None` if it was erased, or if [`Fold::reads_body`] says that it is not looked at.
    pub body: Option<&'a pb::Body>,
}

impl<'a> LedgerEntry<'a> {
    /// The entry with this header, which is all that policy needs of kinds whose publisher chooses who may read them.
    pub const fn new(
        sequence: u64,
        accept_time: Timestamp,
        header: &'a Header,
        body: Option<&'a pb::Body>,
    ) -> Self {
        Self {
            sequence,
            accept_time,
            publisher: &header.name.member,
            record: header.name.record,
            revision: header.revision,
            body_kind: header.body_kind,
            reach: &header.handling.reach,
            body,
        }
    }
}

/// What the hub alone knows, and nobody can compute again.
pub trait HubClaims {
    /// When an entry was first sent to a member; `None` if it was not.
    fn delivered(&self, member: &MemberId, sequence: u64) -> Option<Timestamp>;
    /// When a member first acknowledged an entry on a durable subscription; `None` if it did not.
    fn acknowledged(&self, member: &MemberId, sequence: u64) -> Option<Timestamp>;
}

/// A ledger for one member, while its entries are taken in.
///
/// Entries may come in any order and more than once. Those that the caller may not see, or that lie outside the
/// window, change nothing; so it is enough to give it what the caller may see and what was taken in since the window
/// began, withdrawals and takedowns included.
#[derive(Debug)]
pub struct Fold {
    caller: MemberId,
    window: Window,
    entries_max: usize,
    names: Names,
    revisions: Vec<Revision>,
    withdrawn: HashSet<NameId>,
}

/// One revision of a record.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) sequence: u64,
    pub(super) accept_time: Timestamp,
    pub(super) says: Says,
    pub(super) record: NameId,
    pub(super) publisher: Named,
    pub(super) scope: ScopeId,
    pub(super) number: u32,
}

/// What a revision says, as far as the ledger goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// An indicator, with the operation that it names, and when it was last seen.
    Indicator { operation: Option<NameId>, observed: Option<Moment> },
    /// An operation, and when it was last active.
    Operation { observed: Option<Moment> },
    /// An opinion.
    Opinion { of: Option<NameId>, stance: Stance },
    /// A sighting, and whether there was anything to see.
    Sighting { of: Option<NameId>, seen: bool },
    /// A report of what was done, whether that is an act, and when it was done.
    Action { of: Option<NameId>, is_act: bool, done: Option<Moment> },
    /// Anything else.
    Other(BodyKind),
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    Agrees,
    Disagrees,
    /// Neither.
    Neither,
}

/// A claimed time, in eight bytes even if it is missing: one more than its microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl Fold {
    /// An empty one, for what this member may see.
    pub fn new(caller: &MemberId, window: Window) -> Self {
        Self {
            caller: caller.clone(),
            window,
            entries_max: limits::LEDGER_ENTRIES_MAX,
            names: Names::default(),
            revisions: Vec::new(),
            withdrawn: HashSet::new(),
        }
    }

    /// Whether the bodies of this kind are looked at; others need not be decoded.
    pub const fn reads_body(kind: BodyKind) -> bool {
        kind.is_recall()
            || matches!(
                kind,
                BodyKind::Indicator
                    | BodyKind::Operation
                    | BodyKind::Sighting
                    | BodyKind::Opinion
                    | BodyKind::ActionReport
            )
    }

    /// Takes an entry in. Refused, with the field at fault, if the window holds more than
    /// [`limits::LEDGER_ENTRIES_MAX`] of them.
    pub fn take(&mut self, entry: &LedgerEntry<'_>) -> Result<(), Refusal> {
        if !self.window.holds(entry.sequence, entry.accept_time) {
            return Ok(());
        }
        if entry.body_kind.is_recall() {
            let withdrawn = withdrawn(entry).and_then(|name| self.names.named(name));
            self.withdrawn.extend(withdrawn);
        } else if entry.body_kind.is_chosen() {
            let publisher = self.names.member(entry.publisher);
            let revision = Revision {
                sequence: entry.sequence,
                accept_time: entry.accept_time,
                says: says(entry, &mut self.names),
                record: self.names.record(publisher, entry.record),
                publisher,
                scope: self.names.scope(publisher, entry.reach),
                number: entry.revision,
            };
            self.revisions.push(revision);
        }
        self.demand_room()
    }

    fn demand_room(&self) -> Result<(), Refusal> {
        if self.revisions.len().saturating_add(self.withdrawn.len()) <= self.entries_max {
            return Ok(());
        }
        let max = self.entries_max;
        let message =
            format!("there are more than {max} entries since then; ask for a shorter time");
        Err(Refusal::field(Reason::FieldInvalid, "since_time", message))
    }

    /// Counts, by the roster and audiences as of the window's head. A caller that is not on the roster sees nothing.
    pub fn finish(self, roster: &Roster, claims: Option<&dyn HubClaims>) -> Ledger {
        let Self { caller, window, entries_max: _kept, names, revisions, withdrawn } = self;
        let names = names.turned();
        let reader = Reader::of(roster, &caller);
        let visible: Vec<bool> = names
            .scopes()
            .map(|scope| {
                reader.as_ref().zip(scope).is_some_and(|(reader, scope)| may_see(reader, &scope))
            })
            .collect();
        let is_visible = |scope: ScopeId| visible.get(scope.place()).copied().unwrap_or_default();
        let resolved = resolve(revisions, &withdrawn, is_visible);
        let people = People::new(roster, &caller, &names);
        count::ledger(&resolved, &people, &names, &window, claims)
    }

    #[cfg(test)]
    pub(super) fn with_entries_max(self, entries_max: usize) -> Self {
        Self { entries_max, ..self }
    }
}

impl Says {
    /// The kind of the record.
    pub(super) const fn kind(self) -> BodyKind {
        match self {
            Self::Indicator { .. } => BodyKind::Indicator,
            Self::Operation { .. } => BodyKind::Operation,
            Self::Opinion { .. } => BodyKind::Opinion,
            Self::Sighting { .. } => BodyKind::Sighting,
            Self::Action { .. } => BodyKind::ActionReport,
            Self::Other(kind) => kind,
        }
    }
}

impl Moment {
    /// `None` for what is no time.
    fn claimed(wire: Option<&prost_types::Timestamp>) -> Option<Self> {
        let time = time::timestamp(wire?, "claimed").ok()?;
        NonZeroU64::MIN.checked_add(time.as_micros()).map(Self)
    }

    /// The time.
    pub(super) fn time(self) -> Timestamp {
        Timestamp::from_micros(self.0.get().saturating_sub(1)).unwrap_or(Timestamp::MAX)
    }
}

/// The record that is taken back, if it is its to take: a publisher withdraws its own, the operator any.
fn withdrawn<'a>(entry: &LedgerEntry<'a>) -> Option<&'a str> {
    use pb::body::Content;

    let content = entry.body?.content.as_ref()?;
    if let Content::Takedown(takedown) = content {
        return Some(&takedown.of);
    }
    let Content::Withdrawal(withdrawal) = content else {
        return None;
    };
    let own = withdrawal.of.strip_prefix("members/")?.strip_prefix(entry.publisher.as_str());
    own.is_some_and(|rest| rest.starts_with('/')).then_some(withdrawal.of.as_str())
}

/// A record whose body is gone still counts as given; what it said of others no longer does.
fn says(entry: &LedgerEntry<'_>, names: &mut Names) -> Says {
    use pb::body::Content;

    let content = entry.body.and_then(|body| body.content.as_ref());
    match (entry.body_kind, content) {
        (BodyKind::Indicator, Some(Content::Indicator(said))) => Says::Indicator {
            operation: names.named(&said.operation),
            observed: Moment::claimed(said.last_seen_time.as_ref())
                .or_else(|| Moment::claimed(said.first_seen_time.as_ref())),
        },
        (BodyKind::Indicator, _) => Says::Indicator { operation: None, observed: None },
        (BodyKind::Operation, Some(Content::Operation(said))) => Says::Operation {
            observed: Moment::claimed(said.last_activity_time.as_ref())
                .or_else(|| Moment::claimed(said.first_activity_time.as_ref())),
        },
        (BodyKind::Operation, _) => Says::Operation { observed: None },
        (BodyKind::Opinion, Some(Content::Opinion(said))) => {
            Says::Opinion { of: names.named(&said.of), stance: stance(said.stance()) }
        }
        (BodyKind::Opinion, _) => Says::Opinion { of: None, stance: Stance::Neither },
        (BodyKind::Sighting, Some(Content::Sighting(said))) => {
            Says::Sighting { of: names.named(&said.of), seen: said.count > 0 }
        }
        (BodyKind::Sighting, _) => Says::Sighting { of: None, seen: false },
        (BodyKind::ActionReport, Some(Content::ActionReport(said))) => Says::Action {
            of: names.named(&said.of),
            is_act: is_act(said.action()),
            done: Moment::claimed(said.action_time.as_ref()),
        },
        (BodyKind::ActionReport, _) => Says::Action { of: None, is_act: false, done: None },
        (kind, _) => Says::Other(kind),
    }
}

const fn stance(stance: pb::Stance) -> Stance {
    match stance {
        pb::Stance::Agree | pb::Stance::StronglyAgree => Stance::Agrees,
        pb::Stance::Disagree | pb::Stance::StronglyDisagree => Stance::Disagrees,
        pb::Stance::Neutral | pb::Stance::Unspecified => Stance::Neither,
    }
}

/// Whether somebody did something about an asset. Watching it, or looking at it and leaving it, is none; neither is
/// the undoing of an act, which undoes none in the ledger either, since it may be about one asset of many.
const fn is_act(action: pb::Action) -> bool {
    match action {
        pb::Action::Removed
        | pb::Action::Restricted
        | pb::Action::Labelled
        | pb::Action::Demonetised
        | pb::Action::Referred => true,
        pb::Action::Monitored
        | pb::Action::NoAction
        | pb::Action::Restored
        | pb::Action::Unspecified => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_revisions_take_48_megabytes() {
        assert_eq!(size_of::<Revision>(), 48);
    }
}
