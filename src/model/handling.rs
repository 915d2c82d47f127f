//! Handling: who may read a record, and what readers may do with it.

use std::fmt;
use std::str::FromStr;

use crate::model::names::Audience;
use crate::model::names::MemberId;
use crate::model::time::Timestamp;

/// Traffic Light Protocol 2.0 (FIRST). It never widens who may read; it binds onward use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tlp {
    /// May be disclosed to anyone.
    Clear,
    /// Within the community.
    Green,
    /// Within the organisation and its clients.
    Amber,
    /// Within the organisation only.
    AmberStrict,
    /// Named recipients only.
    Red,
}

/// A text that is no TLP label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tlp must be clear, green, amber, amber+strict or red")]
pub struct InvalidTlp;

impl FromStr for Tlp {
    type Err = InvalidTlp;

    fn from_str(text: &str) -> Result<Self, InvalidTlp> {
        match text.to_ascii_lowercase().trim_start_matches("tlp:") {
            "clear" => Ok(Self::Clear),
            "green" => Ok(Self::Green),
            "amber" => Ok(Self::Amber),
            "amber+strict" | "amber-strict" => Ok(Self::AmberStrict),
            "red" => Ok(Self::Red),
            _ => Err(InvalidTlp),
        }
    }
}

impl fmt::Display for Tlp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Clear => "TLP:CLEAR",
            Self::Green => "TLP:GREEN",
            Self::Amber => "TLP:AMBER",
            Self::AmberStrict => "TLP:AMBER+STRICT",
            Self::Red => "TLP:RED",
        })
    }
}

/// What a reader may do with a record beyond reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnwardUse {
    /// Block or remove the asset on its own platform.
    Block,
    /// Notify the people affected.
    NotifyAffected,
    /// Pass it to a government.
    PassToGovernment,
}

/// A text that is no onward use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an onward use must be block, notify-affected or pass-to-government")]
pub struct InvalidOnwardUse;

impl OnwardUse {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Block, Self::NotifyAffected, Self::PassToGovernment];

    /// Its name, as people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::NotifyAffected => "notify-affected",
            Self::PassToGovernment => "pass-to-government",
        }
    }
}

impl FromStr for OnwardUse {
    type Err = InvalidOnwardUse;

    fn from_str(text: &str) -> Result<Self, InvalidOnwardUse> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or(InvalidOnwardUse)
    }
}

/// Who may read: audiences and recipients alone decide. The publisher always may.
///
/// Invariant: both lists are sorted and without repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Groups of members.
    pub audiences: Vec<Audience>,
    /// Members.
    pub recipients: Vec<MemberId>,
}

impl Reach {
    /// Whether everyone whom `other` names is named here too.
    pub fn covers(&self, other: &Self) -> bool {
        other.audiences.iter().all(|audience| self.names_audience(audience))
            && other.recipients.iter().all(|member| self.recipients.contains(member))
    }

    /// Adds everyone whom `other` names.
    pub fn widen(&mut self, other: &Self) {
        self.audiences.extend(other.audiences.iter().cloned());
        self.audiences.sort_unstable();
        self.audiences.dedup();
        self.recipients.extend(other.recipients.iter().cloned());
        self.recipients.sort_unstable();
        self.recipients.dedup();
    }

    fn names_audience(&self, audience: &Audience) -> bool {
        self.audiences.contains(audience)
            || (*audience != Audience::all() && self.covers_built_in(audience))
            || (*audience == Audience::all()
                && self.audiences.contains(&Audience::companies())
                && self.audiences.contains(&Audience::observers()))
    }

    fn covers_built_in(&self, audience: &Audience) -> bool {
        let built_in = *audience == Audience::companies() || *audience == Audience::observers();
        built_in && self.audiences.contains(&Audience::all())
    }
}

/// The handling of one revision, as its publisher signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handling {
    /// Traffic Light Protocol label.
    pub tlp: Tlp,
    /// Who may read.
    pub reach: Reach,
    /// What readers may do, sorted, without repeats.
    pub onward_uses: Vec<OnwardUse>,
    /// After this, readers should no longer act on it.
    pub use_until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(audiences: &[&str], recipients: &[&str]) -> Reach {
        Reach {
            audiences: audiences.iter().map(|text| text.parse().unwrap()).collect(),
            recipients: recipients.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[track_caller]
    fn check_covers(wide: &Reach, narrow: &Reach, expected: bool) {
        assert_eq!(wide.covers(narrow), expected, "{wide:?} covers {narrow:?}");
    }

    #[test]
    fn an_onward_use_survives_its_name() {
        for one in OnwardUse::ALL {
            assert_eq!(one.as_str().parse(), Ok(one));
        }
        assert_eq!("Block".parse::<OnwardUse>(), Err(InvalidOnwardUse));
    }

    #[test]
    fn a_reach_covers_what_it_names() {
        check_covers(&reach(&["all"], &[]), &reach(&["companies"], &[]), true);
        check_covers(&reach(&["companies"], &[]), &reach(&["all"], &[]), false);
        check_covers(&reach(&["companies", "observers"], &[]), &reach(&["all"], &[]), true);
        check_covers(&reach(&[], &["acme-video"]), &reach(&[], &["acme-video"]), true);
        check_covers(&reach(&["companies"], &[]), &reach(&[], &["acme-video"]), false);
        check_covers(&reach(&["companies"], &[]), &reach(&[], &[]), true);
    }
}
