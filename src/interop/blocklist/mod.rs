//! A plain block list: one value a line, for whoever has a firewall and ten minutes.
//!
//! One wrong line blocks a big site, or one's own. So a value is in only if its publisher said that readers may block it,
//! and nothing speaks against it; what was left out is counted by reason.

mod guard;
mod line;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::interop::exported::ExportedRecord;
use crate::interop::warning_list::WarningLists;
use crate::model::handling::OnwardUse;
use crate::model::handling::Tlp;
use crate::model::names::RecordName;
use crate::model::normal_form::NormalForm;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::expiry;
use crate::wire::pb;

pub use self::guard::Allowed;
pub use self::guard::InvalidAllowed;
pub use self::line::Sort;

/// Values of a list at most. No firewall takes more, and a list that is cut would look whole.
pub const BLOCKLIST_VALUES_MAX: usize = 2_000_000;

/// What is on a list.
#[derive(Debug)]
pub struct Rules {
    /// Which values.
    pub sort: Sort,
    /// Whether handles stand without their platform.
    pub bare_handles: bool,
    /// Labels up to this one.
    pub tlp_max: Tlp,
    /// Only what its publisher is so sure of, 0 to 100; what states no confidence is left out then.
    pub confidence_min: Option<u32>,
    /// Whether values stay that a warning list calls common.
    pub with_warned: bool,
    /// Lists of common values.
    pub warnings: WarningLists,
    /// What is never blocked.
    pub allowed: Allowed,
}

/// Why a value is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// Its publisher does not say that readers may block it.
    MayNotBlock,
    /// Its label is stricter than the list takes.
    TooStrict,
    /// It has ended.
    Expired,
    /// It does not hold yet.
    NotYet,
    /// Its publisher is not sure enough, or does not say.
    Unsure,
    /// A warning list calls it common.
    Common,
    /// One must not block it: it is named in the file of what is allowed.
    Allowed,
    /// Everybody's names are below it, as `com` or a service where anyone has one.
    PublicSuffix,
    /// It is a name or address of the reader's own network.
    Internal,
    /// It has characters that mean something else to those who read lists.
    Unsafe,
    /// A handle without its platform names nobody.
    NoPlatform,
}

impl LeftOut {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MayNotBlock => "may not be blocked, as far as their publishers say",
            Self::TooStrict => "have a stricter label",
            Self::Expired => "have ended",
            Self::NotYet => "do not hold yet",
            Self::Unsure => "are not sure enough",
            Self::Common => "are common, says a warning list",
            Self::Allowed => "are allowed here",
            Self::PublicSuffix => "are public suffixes, or all of a host that many share",
            Self::Internal => "are of internal networks",
            Self::Unsafe => "cannot be written safely",
            Self::NoPlatform => "are handles without a platform",
        }
    }
}

/// More values than a list can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {BLOCKLIST_VALUES_MAX} records match: narrow the filter")]
pub struct TooMany;

/// A value that may come onto the list, for a time.
#[derive(Clone, Debug)]
struct Candidate {
    /// The line, or why it is none, whatever the time.
    line: Result<String, LeftOut>,
    begins: Option<Timestamp>,
    ends: Option<Timestamp>,
}

/// A list that can be written at any time.
#[derive(Debug)]
pub struct Blocklist {
    rules: Rules,
    candidates: BTreeMap<RecordName, Candidate>,
}

/// What is on a list at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The lines, each once, in order.
    pub lines: BTreeSet<String>,
    /// How many records were left out, by reason.
    pub left_out: BTreeMap<LeftOut, usize>,
    /// When the list changes by itself.
    pub next_change: Option<Timestamp>,
}

impl Blocklist {
    /// Without records.
    pub const fn new(rules: Rules) -> Self {
        Self { rules, candidates: BTreeMap::new() }
    }

    /// Puts a record in, in place of an earlier revision. What is no asset of this sort is passed over.
    pub fn put(&mut self, record: &ExportedRecord) -> Result<(), TooMany> {
        match self.rules.candidate(record) {
            Some(candidate) => self.candidates.insert(record.name().clone(), candidate),
            None => self.candidates.remove(record.name()),
        };
        if self.candidates.len() > BLOCKLIST_VALUES_MAX { Err(TooMany) } else { Ok(()) }
    }

    /// Takes every record out.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Takes a record out.
    pub fn remove(&mut self, name: &RecordName) {
        self.candidates.remove(name);
    }

    /// The list at a time.
    pub fn listed(&self, now: Timestamp) -> Listed {
        let (mut lines, mut left_out) = (BTreeSet::new(), BTreeMap::new());
        for candidate in self.candidates.values() {
            match candidate.at(now) {
                Ok(line) => {
                    lines.insert(line.to_owned());
                }
                Err(why) => *left_out.entry(why).or_default() += 1,
            }
        }
        let times = self.candidates.values().filter(|candidate| candidate.line.is_ok());
        let times = times.flat_map(|candidate| [candidate.begins, candidate.ends]).flatten();
        Listed { lines, left_out, next_change: times.filter(|time| *time > now).min() }
    }
}

impl Candidate {
    fn at(&self, now: Timestamp) -> Result<&str, LeftOut> {
        let line = self.line.as_deref().map_err(|why| *why)?;
        if self.ends.is_some_and(|end| end <= now) {
            return Err(LeftOut::Expired);
        }
        if self.begins.is_some_and(|begins| begins > now) {
            return Err(LeftOut::NotYet);
        }
        Ok(line)
    }
}

impl Rules {
    fn candidate(&self, record: &ExportedRecord) -> Option<Candidate> {
        let Content::Indicator { form: Some(form), .. } = &record.record.content else {
            return None;
        };
        let Some(pb::body::Content::Indicator(said)) = &record.record.body.content else {
            return None;
        };
        if record.recalled.is_some() || !self.sort.takes(form) {
            return None;
        }
        let begins = said.valid_from_time.as_ref();
        Some(Candidate {
            line: self.line(record, said, form),
            begins: begins.and_then(|time| crate::wire::time::timestamp(time, "valid_from").ok()),
            ends: expiry(&record.record.header, Some(&record.record.body)),
        })
    }

    fn line(
        &self,
        record: &ExportedRecord,
        said: &pb::Indicator,
        form: &NormalForm,
    ) -> Result<String, LeftOut> {
        let handling = &record.record.header.handling;
        if !handling.onward_uses.contains(&OnwardUse::Block) {
            return Err(LeftOut::MayNotBlock);
        }
        if handling.tlp > self.tlp_max {
            return Err(LeftOut::TooStrict);
        }
        if self.confidence_min.is_some_and(|min| said.confidence.is_none_or(|sure| sure < min)) {
            return Err(LeftOut::Unsure);
        }
        let line = line::line(self.sort, form, self.bare_handles)?;
        guard::demand_harmless(self, form)?;
        Ok(line)
    }
}
