//! Numbers, and how far each can be trusted.

use crate::briefing::said::Said;
use crate::model::names::MemberId;

/// How a number or a time is known. The page marks everything that is not proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// From signed entries of the log that whoever prepared the briefing verified.
    Proven,
    /// The hub says so, and that was not checked, or cannot be. Marked with a dagger.
    #[default]
    HubClaims,
    /// A member says so; the log proves only when it said it. Marked with a double dagger.
    MemberClaims,
}

/// So many of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// How that is known.
    pub provenance: Provenance,
}

/// A number that a member states: exact, at least, or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Exactly this many.
    Exact(u64),
    /// At least this many.
    AtLeast(u64),
    /// Between two numbers, both included; a lower bound above the upper one is shown as it is.
    Between {
        /// The lower bound.
        low: u64,
        /// The upper bound.
        high: u64,
    },
}

/// Who states a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The member that signed the record.
    pub member: MemberId,
    /// On whose word, if not its own; else empty.
    pub on_word_of: Said,
    /// Whether the member's key goes back to a reset by the operator that the reader has not confirmed.
    pub is_unconfirmed: bool,
}

/// What a figure of reach measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Views.
    Views,
    /// Followers.
    Followers,
    /// Members of groups.
    Members,
    /// Accounts reached.
    AccountsReached,
    /// Impressions.
    Impressions,
    /// Engagements.
    Engagements,
    /// Money spent on advertising, in hundredths of the currency's unit.
    AdSpend,
    /// Number of advertisements.
    AdCount,
    /// Number of posts.
    Posts,
}

/// From 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confidence(u8);

impl Confidence {
    /// `None` above 100.
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// From 0 to 100.
    pub const fn percent(self) -> u8 {
        self.0
    }
}
