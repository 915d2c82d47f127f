//! The pack for the regular meeting of member companies: what each presents, what has to be settled, how sharing goes.
//!
//! [`Briefing`] is plain data that somebody gathers; [`to_html`] and [`to_markdown`] write it down. Both write the one
//! [`document::Document`] that `compose` makes, so that they say the same, and neither has a way to write text without
//! escaping it. The page is one file: it needs no network, no script and no font of its own.

mod cadence;
mod chart;
mod compose;
mod document;
mod figure;
mod html;
mod markdown;
mod presented;
mod problems;
mod said;
mod words;

pub use cadence::Cadence;
pub use cadence::Echo;
pub use cadence::Given;
pub use cadence::LedgerRow;
pub use cadence::Received;
pub use cadence::Shared;
pub use cadence::Step;
pub use cadence::StepTime;
pub use cadence::TimeOf;
pub use cadence::TimedOperation;
pub use cadence::Whose;
pub use figure::Claimant;
pub use figure::Confidence;
pub use figure::Counted;
pub use figure::Figure;
pub use figure::Measure;
pub use figure::Provenance;
pub use presented::Action;
pub use presented::ActionKind;
pub use presented::AssetCount;
pub use presented::Attribution;
pub use presented::Operation;
pub use presented::OperationStatus;
pub use presented::OtherAssets;
pub use presented::Presentation;
pub use presented::ReachFigure;
pub use presented::Sighting;
pub use presented::Technique;
pub use presented::Total;
pub use presented::TotalPart;
pub use problems::Dispute;
pub use problems::Holder;
pub use problems::Holders;
pub use problems::Inquiry;
pub use problems::Opinion;
pub use problems::Problems;
pub use problems::Recall;
pub use problems::RecallAnswer;
pub use problems::RecallOutcome;
pub use problems::RecallReason;
pub use problems::Reply;
pub use problems::Stance;
pub use problems::Subject;
pub use said::Said;

use crate::model::handling::Tlp;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;

/// A briefing, as one member may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Briefing {
    /// The exchange, by the name that the reader pinned.
    pub exchange: Said,
    /// The member whose view this is: others may see more, or less.
    pub reader: MemberId,
    /// When it was prepared, by the reader's clock.
    pub prepared_at: Timestamp,
    /// The period's first moment.
    pub since: Timestamp,
    /// The period's end, which no longer belongs to it.
    pub until: Timestamp,
    /// Entries of the log that it rests on: all before this position.
    pub log_size: u64,
    /// The label that the page has at least: the strictest one of the records that only its numbers count.
    pub tlp_at_least: Tlp,
    /// What each member presents, in the order of the meeting.
    pub presentations: Vec<Presentation>,
    /// What the meeting has to settle.
    pub problems: Problems,
    /// How sharing goes.
    pub cadence: Cadence,
}

impl Briefing {
    /// The strictest label of all that it holds: the page's own.
    pub fn tlp(&self) -> Tlp {
        let presented = self.presentations.iter().flat_map(Presentation::labels);
        let disputes = self.problems.disputes.iter().map(|dispute| dispute.tlp);
        let inquiries = self.problems.inquiries.iter().map(|inquiry| inquiry.tlp);
        let recalls = self.problems.recalls.iter().map(|recall| recall.tlp);
        let named = self.cadence.labels();
        let all = presented.chain(disputes).chain(inquiries).chain(recalls).chain(named);
        all.fold(self.tlp_at_least, Tlp::max)
    }
}

/// The briefing as one HTML page that stands alone.
pub fn to_html(briefing: &Briefing) -> String {
    html::page(&compose::document(briefing))
}

/// The briefing as Markdown: the same words and tables without the charts.
pub fn to_markdown(briefing: &Briefing) -> String {
    markdown::text(&compose::document(briefing))
}
