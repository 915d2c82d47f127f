//! What the indexes find entries by: terms, each under every group of readers that an entry reaches.
//!
//! A reader's question touches postings of its own groups only. So it costs the same whether what it asks for is not
//! there or is not for it, and nobody can fill an answer with what its reader may not see.

use sha2::Digest as _;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::facts::Scope;
use crate::model::header::BodyKind;
use crate::model::names::Audience;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::policy::Reader;
use crate::model::roster::Role;

/// Something that entries are found by, as 64 bits of its hash. What was found is compared in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(u64);

/// A group of readers: an audience, or one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(u64);

impl Term {
    /// An indicator's value, by the digest of its normal form.
    pub fn value(digest: &Digest) -> Self {
        Self(first_bits(digest))
    }

    /// A value at an end of a link, or that an inquiry is about.
    pub fn end(digest: &Digest) -> Self {
        Self::of(b'e', digest)
    }

    /// A record that something is said about, or an operation that an indicator names.
    pub fn about(name: &RecordName) -> Self {
        Self::of(b'a', &[name.record.as_bytes(), name.member.as_str().as_bytes()].concat())
    }

    /// A word of a text.
    pub fn word(word: &str) -> Self {
        Self::of(b'w', word.as_bytes())
    }

    /// A technique, by its external id in any case.
    pub fn technique(external_id: &str) -> Self {
        Self::of(b't', external_id.to_ascii_uppercase().as_bytes())
    }

    /// A region, by its ISO 3166 code in any case.
    pub fn region(code: &str) -> Self {
        Self::of(b'r', code.to_ascii_uppercase().as_bytes())
    }

    /// A language, by the first subtag of its BCP 47 tag in any case.
    pub fn language(tag: &str) -> Self {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::of(b'l', primary.to_ascii_lowercase().as_bytes())
    }

    /// A part of a perceptual hash.
    pub fn part(bytes: [u8; 3]) -> Self {
        Self::of(b'p', &bytes)
    }

    /// A kind of body. Coarse.
    pub fn body_kind(kind: BodyKind) -> Self {
        Self::of(b'b', &kind.number().to_be_bytes())
    }

    /// A kind of observable, as a number of the proto. Coarse.
    pub fn kind(kind: i32) -> Self {
        Self::of(b'k', &kind.to_be_bytes())
    }

    /// A platform. Coarse.
    pub fn platform(platform: &str) -> Self {
        Self::of(b'f', platform.as_bytes())
    }

    /// A publisher. Coarse.
    pub fn publisher(member: &MemberId) -> Self {
        Self::of(b'm', member.as_str().as_bytes())
    }

    /// Everything that reaches a group. Coarse.
    pub fn any() -> Self {
        Self::of(b'*', b"")
    }

    /// The key of this term for a group.
    pub const fn key(self, group: Group) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit of both.
        let mut mixed = self.0 ^ group.0.rotate_left(32);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn of(tag: u8, bytes: &[u8]) -> Self {
        Self(first_bits(&Sha256::new().chain_update([tag]).chain_update(bytes).finalize().into()))
    }
}

impl Group {
    fn audience(audience: &Audience) -> Self {
        Self(Term::of(b'A', audience.as_str().as_bytes()).0)
    }

    fn member(member: &MemberId) -> Self {
        Self(Term::of(b'M', member.as_str().as_bytes()).0)
    }

    /// Every member, the operator and auditors included.
    fn everyone() -> Self {
        Self(Term::of(b'E', b"").0)
    }

    /// The operator.
    fn operator() -> Self {
        Self(Term::of(b'O', b"").0)
    }

    /// The groups that an entry reaches: its audiences, its recipients, and its publisher unless it is in one of the
    /// audiences for good; everyone, if it is about the exchange itself.
    pub fn of_scope(scope: &Scope) -> Vec<Self> {
        if scope.body_kind.is_common() {
            return vec![Self::everyone()];
        }
        let runs_it = (scope.body_kind == BodyKind::AudienceChange).then(Self::operator);
        let audiences = scope.reach.audiences.iter().map(Self::audience);
        let recipients = scope.reach.recipients.iter().map(Self::member);
        let named = scope.reach.recipients.contains(&scope.publisher);
        let publisher = (!scope.publisher_is_reached && !named).then_some(&scope.publisher);
        audiences.chain(recipients).chain(publisher.map(Self::member)).chain(runs_it).collect()
    }

    /// The groups that a reader is in; none while it is suspended.
    pub fn of_reader(reader: &Reader) -> Vec<Self> {
        if reader.suspended {
            return Vec::new();
        }
        let audiences = reader.audiences.iter().map(Self::audience);
        let runs_it = (reader.role == Role::Operator).then(Self::operator);
        audiences.chain([Self::member(&reader.member), Self::everyone()]).chain(runs_it).collect()
    }

    /// The group of one member: what names it as a recipient, and what it publishes outside the audiences that it is in
    /// for good.
    pub fn of_member(member: &MemberId) -> Self {
        Self::member(member)
    }

    /// The group of what is about the exchange itself.
    pub fn of_everyone() -> Self {
        Self::everyone()
    }

    /// The group of one audience.
    pub fn of_audience(audience: &Audience) -> Self {
        Self::audience(audience)
    }
}

/// The coarse terms of an entry: what many have in common.
pub fn coarse_terms(scope: &Scope) -> Vec<Term> {
    let mut terms =
        vec![Term::any(), Term::body_kind(scope.body_kind), Term::publisher(&scope.publisher)];
    if let Some(shape) = scope.shapes.first() {
        if shape.kind != 0 {
            terms.push(Term::kind(shape.kind));
        }
        if !shape.platform.is_empty() {
            terms.push(Term::platform(&shape.platform));
        }
    }
    terms
}

/// What the index of names has of a revision: the first 64 bits of this lie on disk, and in the ids that records have in
/// STIX ([`crate::interop::stix`]).
pub fn revision_digest(member: &MemberId, record: Uuid, revision: u32) -> Digest {
    let hasher = Sha256::new().chain_update(record.as_bytes()).chain_update(revision.to_be_bytes());
    hasher.chain_update(member.as_str()).finalize().into()
}

/// The beginning of a digest, as the indexes have it.
pub fn first_bits(digest: &Digest) -> u64 {
    let (first, _rest) = digest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Shape;
    use crate::model::handling::Reach;
    use crate::model::policy::may_see;
    use proptest::prelude::*;

    const MEMBERS: [&str; 4] = ["acme-video", "bravo", "cedar", "delta"];
    const AUDIENCES: [&str; 4] = ["companies", "observers", "all", "0123456789abcdef0123"];

    fn reader(member: usize, audiences: &[bool]) -> Reader {
        let chosen = AUDIENCES.iter().zip(audiences).filter(|(_name, chosen)| **chosen);
        Reader {
            member: MEMBERS[member].parse().unwrap(),
            role: Role::Company,
            suspended: false,
            audiences: chosen.map(|(name, _chosen)| name.parse().unwrap()).collect(),
        }
    }

    proptest! {
        /// A reader shares a group with an entry exactly if it may see it: the indexes say what the policy says.
        #[test]
        fn the_groups_of_entries_and_readers_meet_where_the_policy_lets_them(
            kind in prop::sample::select(BodyKind::ALL.to_vec()),
            publisher in 0_usize..4,
            own in prop::collection::vec(any::<bool>(), 4),
            member in 0_usize..4,
            others in prop::collection::vec(any::<bool>(), 4),
            audiences in prop::collection::vec(any::<bool>(), 4),
            recipients in prop::collection::vec(any::<bool>(), 4),
        ) {
            let publishes = reader(publisher, &own);
            // Who reads as its own publisher reads with its own audiences.
            let reads = if member == publisher { publishes.clone() } else { reader(member, &others) };
            let pick = |names: &[&str; 4], chosen: &[bool]| -> Vec<String> {
                let picked = names.iter().zip(chosen).filter(|(_name, chosen)| **chosen);
                picked.map(|(name, _chosen)| (*name).to_owned()).collect()
            };
            let reach = Reach {
                audiences: pick(&AUDIENCES, &audiences).iter().map(|name| name.parse().unwrap()).collect(),
                recipients: pick(&MEMBERS, &recipients).iter().map(|name| name.parse().unwrap()).collect(),
            };
            let scope = Scope {
                publisher: publishes.member.clone(),
                body_kind: kind,
                publisher_is_reached: reach.audiences.iter().any(|audience| publishes.audiences.contains(audience)),
                reach,
                shapes: vec![Shape::default()],
            };
            let groups = Group::of_scope(&scope);
            let meet = Group::of_reader(&reads).iter().any(|group| groups.contains(group));
            prop_assert_eq!(meet, may_see(&reads, &scope));
        }
    }

    #[test]
    fn a_key_tells_terms_and_groups_apart() {
        let group = Group::of_audience(&Audience::companies());
        let other = Group::of_audience(&Audience::observers());
        assert_ne!(Term::word("alpha").key(group), Term::word("beta").key(group));
        assert_ne!(Term::word("alpha").key(group), Term::word("alpha").key(other));
        assert_ne!(Term::word("fr").key(group), Term::language("fr").key(group));
        assert_eq!(Term::language("fr-CA").key(group), Term::language("FR").key(group));
    }

    #[test]
    fn the_keys_are_golden() {
        // They lie on disk: another function needs another format.
        let group = Group::of_audience(&Audience::companies());
        assert_eq!(format!("{:016x}", Term::word("alpha").key(group)), "aa771a5589311962");
    }
}
