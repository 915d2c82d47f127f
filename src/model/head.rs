//! Heads: what a publisher signs of its own entries in one scope, so that none of them can be left out unseen.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use sha2::Sha256;

use crate::model::facts::Shape;
use crate::model::handling::Reach;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::InvalidName;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::time::Timestamp;

/// One audience or one recipient. Whoever is in it may see every entry that names it, old and new, so that all who are
/// count the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeadScope {
    /// An audience.
    Audience(Audience),
    /// A recipient.
    Recipient(MemberId),
}

impl HeadScope {
    /// Every scope that a reach names.
    pub fn of_reach(reach: &Reach) -> Vec<Self> {
        let audiences = reach.audiences.iter().cloned().map(Self::Audience);
        audiences.chain(reach.recipients.iter().cloned().map(Self::Recipient)).collect()
    }

    /// Whether a reach names it.
    pub fn is_in(&self, reach: &Reach) -> bool {
        match self {
            Self::Audience(audience) => reach.audiences.contains(audience),
            Self::Recipient(member) => reach.recipients.contains(member),
        }
    }

    /// Whether a reader may see what a publisher says in it: what the policy says of an entry that names it alone.
    pub fn is_open_to(&self, reader: &Reader, publisher: &MemberId) -> bool {
        let mut reach = Reach::default();
        match self {
            Self::Audience(audience) => reach.audiences.push(audience.clone()),
            Self::Recipient(member) => reach.recipients.push(member.clone()),
        }
        let scope = crate::model::facts::Scope {
            publisher: publisher.clone(),
            body_kind: BodyKind::Indicator,
            reach,
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        };
        may_see(reader, &scope)
    }
}

impl fmt::Display for HeadScope {
    /// `audiences/{audience}` or `members/{member}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audience(audience) => formatter.write_str(&audience.name()),
            Self::Recipient(member) => formatter.write_str(&member.name()),
        }
    }
}

impl FromStr for HeadScope {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.starts_with("members/") {
            return MemberId::from_name(text).map(Self::Recipient);
        }
        Audience::from_name(text).map(Self::Audience)
    }
}

/// What a head is about: entries of one publisher, signed by one key, in one scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeadName {
    /// Who published.
    pub publisher: MemberId,
    /// The key that signed the entries.
    pub key: KeyId,
    /// What their handling names.
    pub scope: HeadScope,
}

/// Entries, counted in the order of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// Running digest over them: 32 zero bytes, then SHA-256(digest || sequence as big-endian u64 || header digest).
    pub digest: Digest,
}

impl Counted {
    /// Counts the next entry.
    pub fn take(&mut self, sequence: u64, header_digest: &Digest) {
        self.count = self.count.saturating_add(1);
        self.digest = Sha256::new()
            .chain_update(self.digest)
            .chain_update(sequence.to_be_bytes())
            .chain_update(header_digest)
            .finalize()
            .into();
    }
}

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherHead {
    /// The exchange.
    pub exchange: ExchangeName,
    /// What it is about. The same key signs it.
    pub name: HeadName,
    /// The epoch.
    pub epoch: u32,
    /// Only entries below this place count.
    pub size: u64,
    /// Those entries.
    pub counted: Counted,
    /// When it was signed, by the publisher's clock.
    pub time: Timestamp,
    /// When the next one is signed at the latest.
    pub next_due: Timestamp,
    /// Heads of others in the same scope that its publisher has checked, by publisher and key.
    pub seen: Vec<SeenHead>,
}

/// A head of another publisher, as one who has checked it tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHead {
    /// Whose.
    pub publisher: MemberId,
    /// The key that signed it.
    pub key: KeyId,
    /// The epoch.
    pub epoch: u32,
    /// Only entries below this place count.
    pub size: u64,
    /// Those entries.
    pub counted: Counted,
}

impl SeenHead {
    /// What it is about, if it is told of in a head of this scope.
    pub fn name_in(&self, scope: &HeadScope) -> HeadName {
        HeadName { publisher: self.publisher.clone(), key: self.key, scope: scope.clone() }
    }
}

impl PublisherHead {
    /// Whether it may follow an earlier head of the same name: the log does not shrink, and neither do the entries. Two
    /// heads of one size say the same.
    pub fn may_follow(&self, earlier: &Self) -> bool {
        if self.epoch != earlier.epoch {
            return self.epoch > earlier.epoch;
        }
        if self.size == earlier.size {
            return self.counted == earlier.counted && self.time >= earlier.time;
        }
        let is_same = self.counted.digest == earlier.counted.digest;
        self.size > earlier.size
            && self.counted.count >= earlier.counted.count
            && (self.counted.count == earlier.counted.count) == is_same
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::names::sha256;
    use crate::model::roster::Role;

    fn head(size: u64, counted: Counted) -> PublisherHead {
        PublisherHead {
            exchange: ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap(),
            name: HeadName {
                publisher: "acme-video".parse().unwrap(),
                key: KeyId::of_spki(b"key"),
                scope: "audiences/companies".parse().unwrap(),
            },
            epoch: 1,
            size,
            counted,
            time: Timestamp::default(),
            next_due: Timestamp::default(),
            seen: Vec::new(),
        }
    }

    #[test]
    fn the_running_digest_is_golden() {
        let mut counted = Counted::default();
        counted.take(7, &[1; 32]);
        let by_hand = sha256(&[&[0; 32][..], &7_u64.to_be_bytes(), &[1; 32]].concat());
        assert_eq!((counted.count, counted.digest), (1, by_hand));
        counted.take(9, &[2; 32]);
        let by_hand = sha256(&[&by_hand[..], &9_u64.to_be_bytes(), &[2; 32]].concat());
        assert_eq!((counted.count, counted.digest), (2, by_hand));
    }

    #[test]
    fn a_head_never_goes_back() {
        let mut one = Counted::default();
        one.take(1, &[1; 32]);
        let mut two = one;
        two.take(4, &[2; 32]);
        let (small, large) = (head(2, one), head(5, two));
        assert!(large.may_follow(&small) && !small.may_follow(&large));
        assert!(small.may_follow(&small) && head(9, one).may_follow(&small));
        assert!(!head(5, one).may_follow(&large), "an entry less");
        assert!(!head(6, Counted { count: 2, ..one }).may_follow(&large), "another digest");
        assert!(!head(5, Counted { count: 3, ..two }).may_follow(&large), "the same place");
        let restored = PublisherHead { epoch: 2, ..head(1, Counted::default()) };
        assert!(restored.may_follow(&large) && !large.may_follow(&restored));
    }

    #[test]
    fn a_scope_is_open_to_those_in_it_and_to_its_publisher() {
        let reader = |member: &str, role: Role| {
            let mut audiences = role.audiences();
            audiences.sort_unstable();
            Reader { member: member.parse().unwrap(), role, suspended: false, audiences }
        };
        let publisher = "acme-video".parse().unwrap();
        let open = |scope: &str, member: &str, role| {
            let scope: HeadScope = scope.parse().unwrap();
            scope.is_open_to(&reader(member, role), &publisher)
        };
        assert!(open("audiences/companies", "birch-social", Role::Company));
        assert!(!open("audiences/companies", "harbour-liaison", Role::Observer));
        assert!(!open("audiences/companies", "jetty-audit", Role::Auditor));
        assert!(!open("audiences/all", "operator", Role::Operator));
        assert!(open("members/birch-social", "birch-social", Role::Company));
        assert!(!open("members/birch-social", "cedar-chat", Role::Company));
        assert!(open("members/birch-social", "acme-video", Role::Company), "the publisher");
        assert!(open("audiences/q0circle7k3v9q0z8m1x7c5b2n", "acme-video", Role::Company));
        let suspended = Reader { suspended: true, ..reader("birch-social", Role::Company) };
        let scope: HeadScope = "audiences/companies".parse().unwrap();
        assert!(!scope.is_open_to(&suspended, &publisher));
    }

    proptest! {
        /// Whatever is left out, added, moved or altered shows.
        #[test]
        fn entries_are_told_apart_by_what_is_counted(
            entries in prop::collection::vec((0_u64..1000, any::<[u8; 32]>()), 1..20),
            at in any::<prop::sample::Index>(),
            how in 0_u8..3,
        ) {
            let count = |entries: &[(u64, Digest)]| {
                let mut counted = Counted::default();
                for (sequence, digest) in entries {
                    counted.take(*sequence, digest);
                }
                counted
            };
            let mut changed = entries.clone();
            let at = at.index(changed.len());
            match how {
                0 => drop(changed.remove(at)),
                1 => changed[at].0 += 1,
                _ => changed[at].1[0] ^= 1,
            }
            prop_assert_ne!(count(&entries), count(&changed));
        }

        #[test]
        fn a_scope_survives_its_name(text in "\\PC{0,60}") {
            if let Ok(scope) = text.parse::<HeadScope>() {
                prop_assert_eq!(scope.to_string(), text);
            }
        }
    }
}
