//! Opinions, questions and answers that stand at the period's end, sorted by what they are about.

use std::collections::BTreeMap;

use crate::client::briefing::about;
use crate::client::verifier::VerifiedEntry;
use crate::model::header::BodyKind;
use crate::model::names::RecordName;

/// What members say to each other.
#[derive(Default)]
pub(super) struct Talk {
    /// Opinions by the record that they are on.
    pub(super) opinions: BTreeMap<RecordName, Vec<VerifiedEntry>>,
    /// Questions, in the order of the log.
    pub(super) inquiries: Vec<VerifiedEntry>,
    /// Replies by the question that they answer.
    pub(super) replies: BTreeMap<RecordName, Vec<VerifiedEntry>>,
}

impl Talk {
    /// Sorts a statement in.
    pub(super) fn take(&mut self, entry: VerifiedEntry) {
        let kind = entry.header().body_kind;
        if kind == BodyKind::Inquiry {
            self.inquiries.push(entry);
            return;
        }
        let sorted = if kind == BodyKind::Opinion { &mut self.opinions } else { &mut self.replies };
        if let Some(of) = about(&entry).cloned() {
            sorted.entry(of).or_default().push(entry);
        }
    }
}
