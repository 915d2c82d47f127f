//! Whose cosignatures a client asks for before it calls a checkpoint final.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::model::names::MemberId;

/// Witnesses that one may name at most.
const WITNESSES_MAX: usize = 64;

/// So many of these members: `2:birch-social,cedar-chat,jetty-audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnesses {
    needed: usize,
    members: BTreeSet<MemberId>,
}

/// A text that names no witnesses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a number and so many members or more, at most {WITNESSES_MAX}, each once: 2:birch-social,cedar-chat"
)]
pub struct InvalidWitnesses;

impl Witnesses {
    /// How many must have cosigned.
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// Of whom.
    pub const fn members(&self) -> &BTreeSet<MemberId> {
        &self.members
    }

    /// The largest size of which the log is final, given how large a log each has cosigned; 0 if too few have cosigned
    /// anything. Others than those named do not count.
    pub fn final_size(&self, cosigned: &BTreeMap<MemberId, u64>) -> u64 {
        let counts = |member| cosigned.get(member).copied();
        let mut sizes: Vec<u64> = self.members.iter().filter_map(counts).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.get(self.needed.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl FromStr for Witnesses {
    type Err = InvalidWitnesses;

    fn from_str(text: &str) -> Result<Self, InvalidWitnesses> {
        let (needed, names) = text.split_once(':').ok_or(InvalidWitnesses)?;
        let needed: usize = needed.parse().map_err(|_not_a_number| InvalidWitnesses)?;
        let names: Vec<&str> = names.split(',').collect();
        let members: Result<BTreeSet<MemberId>, _> =
            names.iter().map(|name| name.parse()).collect();
        let members = members.map_err(|_not_a_member| InvalidWitnesses)?;
        let holds = members.len() == names.len()
            && members.len() <= WITNESSES_MAX
            && (1..=members.len()).contains(&needed);
        if holds { Ok(Self { needed, members }) } else { Err(InvalidWitnesses) }
    }
}

impl fmt::Display for Witnesses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.members.iter().map(MemberId::as_str).collect();
        write!(formatter, "{}:{}", self.needed, names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_final_when_enough_have_cosigned_it_or_more() {
        let witnesses: Witnesses = "2:birch-social,cedar-chat,jetty-audit".parse().unwrap();
        let final_size = |sizes: &[(&str, u64)]| {
            let sizes = sizes.iter().map(|(name, size)| (name.parse().unwrap(), *size));
            witnesses.final_size(&sizes.collect())
        };
        assert_eq!(final_size(&[]), 0);
        assert_eq!(final_size(&[("birch-social", 9)]), 0);
        assert_eq!(final_size(&[("birch-social", 9), ("delta", 9)]), 0, "nobody named it");
        assert_eq!(final_size(&[("birch-social", 9), ("cedar-chat", 4)]), 4);
        assert_eq!(final_size(&[("birch-social", 9), ("cedar-chat", 4), ("jetty-audit", 7)]), 7);
    }

    #[test]
    fn what_names_no_witnesses_is_refused() {
        let one: Witnesses = "1:birch-social".parse().unwrap();
        assert_eq!(one.to_string(), "1:birch-social");
        for text in
            ["", "1", "1:", "0:birch-social", "2:birch-social", "1:Birch", "1:abc,abc", "-1:abc"]
        {
            assert_eq!(text.parse::<Witnesses>(), Err(InvalidWitnesses), "{text}");
        }
    }
}
