//! Heads and listings: what a publisher signs of its own entries, what the hub signs that it has of them, and what
//! follows if the two differ.

use prost::Message as _;

use crate::model::head::Counted;
use crate::model::head::HeadName;
use crate::model::head::PublisherHead;
use crate::model::head::SeenHead;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::signing;
use crate::signing::Claim;
use crate::signing::VerifyingKey;
use crate::wire::pb;
use crate::wire::strict;
use crate::wire::time;

/// The DSSE payload type of a head.
pub const HEAD_PAYLOAD_TYPE: &str = "application/vnd.watchfire.head.v1+protobuf";
/// The DSSE payload type of a listing.
pub const LISTING_PAYLOAD_TYPE: &str = "application/vnd.watchfire.listing.v1+protobuf";
/// Bytes of either statement at most: names, digests and a few numbers, and the heads of others.
const STATEMENT_BYTES_MAX: usize = 4096;

/// What the hub signs with a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingStatement {
    /// The exchange.
    pub exchange: ExchangeName,
    /// Who asked.
    pub member: MemberId,
    /// Which entries were asked for.
    pub name: HeadName,
    /// The epoch.
    pub epoch: u32,
    /// Entries below this place were listed.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Digest,
    /// Those entries.
    pub counted: Counted,
    /// The hub's time.
    pub time: Timestamp,
}

/// Bytes that were signed, and their signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The encoded statement.
    pub statement: Vec<u8>,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl Signed {
    /// Of a message.
    pub fn from_wire(wire: pb::SignedStatement) -> Self {
        let pb::SignedStatement { statement, signature } = wire;
        Self { statement, signature }
    }

    /// The message.
    pub fn to_wire(&self) -> pb::SignedStatement {
        pb::SignedStatement { statement: self.statement.clone(), signature: self.signature.clone() }
    }

    /// The head, not checked to be signed: for finding the key.
    pub fn head_unchecked(&self) -> Result<PublisherHead, Refusal> {
        head(&self.statement)
    }

    /// The head, signed by a key, which is the one that it names.
    pub fn head(&self, key: &VerifyingKey) -> Result<PublisherHead, Refusal> {
        let head = head(&self.statement)?;
        if head.name.key != key.id() {
            return Err(bad_signature());
        }
        self.demand(HEAD_PAYLOAD_TYPE, key)?;
        Ok(head)
    }

    /// The listing, signed by the log's key.
    pub fn listing(&self, log_key: &VerifyingKey) -> Result<ListingStatement, Refusal> {
        self.demand(LISTING_PAYLOAD_TYPE, log_key)?;
        ListingStatement::from_bytes(&self.statement)
    }

    /// Demands that it is signed by a key, as a payload of that type.
    pub(super) fn demand(
        &self,
        payload_type: &'static str,
        key: &VerifyingKey,
    ) -> Result<(), Refusal> {
        let claim = Claim {
            payload_type,
            payload: &self.statement,
            signature: &self.signature,
            key,
            value: (),
        };
        signing::verify(claim).map(drop).map_err(|_bad| bad_signature())
    }
}

fn bad_signature() -> Refusal {
    let message = "it is not signed by the key that must have signed it";
    Refusal::field(Reason::BadSignature, "signature", message)
}

/// The bytes of a head, to be signed.
pub fn head_bytes(head: &PublisherHead) -> Vec<u8> {
    let PublisherHead { exchange, name, epoch, size, counted, time, next_due, seen } = head;
    pb::HeadStatement {
        exchange: exchange.name(),
        member: name.publisher.name(),
        key: name.key.to_string(),
        scope: name.scope.to_string(),
        epoch: *epoch,
        size: *size,
        count: counted.count,
        digest: counted.digest.to_vec(),
        time: Some(time::timestamp_to_wire(*time)),
        next_due_time: Some(time::timestamp_to_wire(*next_due)),
        seen: seen.iter().map(seen_to_wire).collect(),
    }
    .encode_to_vec()
}

/// Parses the exact bytes of a head.
pub fn head(bytes: &[u8]) -> Result<PublisherHead, Refusal> {
    demand_short(bytes)?;
    let pb::HeadStatement {
        exchange,
        member,
        key,
        scope,
        epoch,
        size,
        count,
        digest,
        time,
        next_due_time,
        seen,
    } = strict::decode(bytes, "head.statement")?;
    let counted = counted(size, count, &digest)?;
    if epoch == 0 {
        return Err(malformed("epoch"));
    }
    let next_due = time_of(next_due_time, "next_due_time")?;
    let time = time_of(time, "time")?;
    if next_due < time {
        return Err(malformed("next_due_time"));
    }
    Ok(PublisherHead {
        exchange: exchange_of(&exchange)?,
        name: name(&member, &key, &scope)?,
        epoch,
        size,
        counted,
        time,
        next_due,
        seen: seen_from_wire(seen)?,
    })
}

fn seen_to_wire(seen: &SeenHead) -> pb::SeenHead {
    let SeenHead { publisher, key, epoch, size, counted } = seen;
    pb::SeenHead {
        member: publisher.name(),
        key: key.to_string(),
        epoch: *epoch,
        size: *size,
        count: counted.count,
        digest: counted.digest.to_vec(),
    }
}

fn seen_from_wire(wire: Vec<pb::SeenHead>) -> Result<Vec<SeenHead>, Refusal> {
    if wire.len() > limits::HEADS_SEEN_MAX {
        return Err(malformed("seen"));
    }
    let parse = |wire: pb::SeenHead| {
        let pb::SeenHead { member, key, epoch, size, count, digest } = wire;
        Ok(SeenHead {
            publisher: MemberId::from_name(&member).map_err(|_invalid| malformed("seen.member"))?,
            key: key.parse().map_err(|_invalid| malformed("seen.key"))?,
            epoch,
            size,
            counted: counted(size, count, &digest)?,
        })
    };
    let seen = wire.into_iter().map(parse).collect::<Result<Vec<_>, Refusal>>()?;
    let order = |one: &SeenHead| (one.publisher.clone(), one.key);
    if seen.is_sorted_by(|one, next| order(one) < order(next)) {
        Ok(seen)
    } else {
        Err(malformed("seen"))
    }
}

impl ListingStatement {
    /// The bytes to be signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { exchange, member, name, epoch, size, root, counted, time } = self;
        pb::ListingStatement {
            exchange: exchange.name(),
            member: member.name(),
            publisher: name.publisher.name(),
            key: name.key.to_string(),
            scope: name.scope.to_string(),
            epoch: *epoch,
            size: *size,
            root: root.to_vec(),
            count: counted.count,
            digest: counted.digest.to_vec(),
            time: Some(time::timestamp_to_wire(*time)),
        }
        .encode_to_vec()
    }

    /// Parses the exact bytes that were signed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        demand_short(bytes)?;
        let pb::ListingStatement {
            exchange,
            member,
            publisher,
            key,
            scope,
            epoch,
            size,
            root,
            count,
            digest,
            time,
        } = strict::decode(bytes, "listing.statement")?;
        Ok(Self {
            exchange: exchange_of(&exchange)?,
            member: MemberId::from_name(&member).map_err(|_invalid| malformed("member"))?,
            name: name(&publisher, &key, &scope)?,
            epoch,
            size,
            root: digest_of(&root, "root")?,
            counted: counted(size, count, &digest)?,
            time: time_of(time, "time")?,
        })
    }
}

/// Parses what a head is about.
pub fn name(member: &str, key: &str, scope: &str) -> Result<HeadName, Refusal> {
    Ok(HeadName {
        publisher: MemberId::from_name(member).map_err(|_invalid| malformed("member"))?,
        key: key.parse().map_err(|_invalid| malformed("key"))?,
        scope: scope.parse().map_err(|_invalid| malformed("scope"))?,
    })
}

/// What a count and a digest can be: zero of both, or more than zero of each, in a log of that size.
fn counted(size: u64, count: u64, digest: &[u8]) -> Result<Counted, Refusal> {
    let digest = digest_of(digest, "digest")?;
    if count > size {
        return Err(malformed("count"));
    }
    if (count == 0) != (digest == Digest::default()) {
        return Err(malformed("digest"));
    }
    Ok(Counted { count, digest })
}

fn digest_of(bytes: &[u8], field: &'static str) -> Result<Digest, Refusal> {
    bytes.try_into().map_err(|_length| malformed(field))
}

fn exchange_of(name: &str) -> Result<ExchangeName, Refusal> {
    ExchangeName::from_name(name).map_err(|_invalid| malformed("exchange"))
}

fn time_of(
    wire: Option<prost_types::Timestamp>,
    field: &'static str,
) -> Result<Timestamp, Refusal> {
    let wire = wire.ok_or_else(|| malformed(field))?;
    time::timestamp(&wire, field)
}

fn demand_short(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() <= STATEMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!("must have at most {STATEMENT_BYTES_MAX} bytes");
    Err(Refusal::field(Reason::FieldInvalid, "statement", message))
}

fn malformed(field: &'static str) -> Refusal {
    Refusal::field(Reason::FieldInvalid, field, "is not what it must be")
}

/// A head and a listing of the same entries that differ: either the hub left out what the publisher has receipts for, or
/// the publisher signed what it has none for. Both signed, and neither can take it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// What the publisher signed.
    pub head: Signed,
    /// What the hub signed.
    pub listing: Signed,
}

/// A head of one publisher that tells of another's, and a listing of the other's entries that differs from what it tells.
/// It is the word of a member against that of the hub, each signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenOtherwise {
    /// What the member signed that has seen another's head.
    pub head: Signed,
    /// What the hub signed.
    pub listing: Signed,
}

impl SeenOtherwise {
    /// Demands that both are signed, the head by that member's key and the listing by the log's, that the listing is of
    /// entries that the head tells of, and that they differ.
    pub fn check(
        &self,
        log_key: &VerifyingKey,
        key: &VerifyingKey,
    ) -> Result<(SeenHead, ListingStatement), NoOmission> {
        let head = self.head.head(key);
        let head = head.map_err(|refusal| NoOmission::Unsigned("head", refusal))?;
        let listing = self.listing.listing(log_key);
        let listing = listing.map_err(|refusal| NoOmission::Unsigned("listing", refusal))?;
        let is_same = |seen: &&SeenHead| {
            seen.name_in(&head.name.scope) == listing.name
                && (seen.epoch, seen.size) == (listing.epoch, listing.size)
        };
        let seen = head.seen.iter().find(is_same).filter(|_| head.exchange == listing.exchange);
        let seen = seen.ok_or(NoOmission::Apart)?.clone();
        if seen.counted == listing.counted {
            return Err(NoOmission::Same);
        }
        Ok((seen, listing))
    }
}

/// Why a head and a listing are no evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOmission {
    /// One of the two is not signed by whom it must be, or is malformed.
    #[error("the {0} does not hold: {1}")]
    Unsigned(&'static str, Refusal),
    /// They are not about the same entries of the same log.
    #[error("the two are not about the same entries")]
    Apart,
    /// They agree.
    #[error("the two say the same")]
    Same,
}

impl Omission {
    /// Demands that both are signed, the head by the publisher's key and the listing by the log's, that they are about the
    /// same entries, and that they differ. Whether the key was the publisher's, the log's roster says.
    pub fn check(
        &self,
        log_key: &VerifyingKey,
        key: &VerifyingKey,
    ) -> Result<(PublisherHead, ListingStatement), NoOmission> {
        let head = self.head.head(key);
        let head = head.map_err(|refusal| NoOmission::Unsigned("head", refusal))?;
        let listing = self.listing.listing(log_key);
        let listing = listing.map_err(|refusal| NoOmission::Unsigned("listing", refusal))?;
        let is_same_log = head.exchange == listing.exchange
            && (head.epoch, head.size) == (listing.epoch, listing.size);
        if !is_same_log || head.name != listing.name {
            return Err(NoOmission::Apart);
        }
        if head.counted == listing.counted {
            return Err(NoOmission::Same);
        }
        Ok((head, listing))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::names::KeyId;
    use crate::signing::SecretKey;

    fn exchange() -> ExchangeName {
        ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap()
    }

    fn about(key: KeyId, scope: &str) -> HeadName {
        HeadName { publisher: "acme-video".parse().unwrap(), key, scope: scope.parse().unwrap() }
    }

    fn example(key: KeyId) -> PublisherHead {
        PublisherHead {
            exchange: exchange(),
            name: about(key, "audiences/companies"),
            epoch: 1,
            size: 12,
            counted: Counted { count: 3, digest: [7; 32] },
            time: Timestamp::from_micros(1_800_000_000_000_001).unwrap(),
            next_due: Timestamp::from_micros(1_800_086_400_000_001).unwrap(),
            seen: Vec::new(),
        }
    }

    fn listing(key: KeyId) -> ListingStatement {
        ListingStatement {
            exchange: exchange(),
            member: "birch-social".parse().unwrap(),
            name: about(key, "audiences/companies"),
            epoch: 1,
            size: 12,
            root: [5; 32],
            counted: Counted { count: 2, digest: [8; 32] },
            time: Timestamp::from_micros(1_800_000_000_000_002).unwrap(),
        }
    }

    fn signed_head(head: &PublisherHead, secret: &SecretKey) -> Signed {
        let statement = head_bytes(head);
        let signature = secret.sign(HEAD_PAYLOAD_TYPE, &statement).to_vec();
        Signed { statement, signature }
    }

    fn signed_listing(listing: &ListingStatement, secret: &SecretKey) -> Signed {
        let statement = listing.to_bytes();
        let signature = secret.sign(LISTING_PAYLOAD_TYPE, &statement).to_vec();
        Signed { statement, signature }
    }

    #[test]
    fn statements_survive_their_bytes_which_have_one_spelling() {
        let key = KeyId::of_spki(b"key");
        let bytes = head_bytes(&example(key));
        assert_eq!(head(&bytes), Ok(example(key)));
        let listed = listing(key).to_bytes();
        assert_eq!(ListingStatement::from_bytes(&listed), Ok(listing(key)));
        for bytes in [&bytes, &listed] {
            let longer = [bytes.as_slice(), &[0xf8, 0x07, 0x01]].concat();
            assert!(head(&longer).is_err() && ListingStatement::from_bytes(&longer).is_err());
        }
        let cut = (0..bytes.len()).find(|end| head(&bytes[..*end]).is_ok());
        assert_eq!(cut, None, "every field counts");
        let cut =
            (0..listed.len()).find(|end| ListingStatement::from_bytes(&listed[..*end]).is_ok());
        assert_eq!(cut, None, "every field counts");
    }

    #[test]
    fn the_bytes_of_a_head_are_golden() {
        // Every head ever signed depends on these bytes.
        let bytes = head_bytes(&example(KeyId::of_spki(b"key")));
        assert_eq!(hex::encode(bytes), include_str!("../../tests/vectors/head.hex").trim());
    }

    #[test]
    fn what_a_head_must_not_say_is_refused() {
        let key = KeyId::of_spki(b"key");
        let refused = |change: &dyn Fn(&mut PublisherHead)| {
            let mut changed = example(key);
            change(&mut changed);
            head(&head_bytes(&changed)).unwrap_err().field
        };
        assert_eq!(refused(&|head| head.counted.count = 13), "count");
        assert_eq!(refused(&|head| head.counted.count = 0), "digest");
        assert_eq!(refused(&|head| head.counted.digest = [0; 32]), "digest");
        assert_eq!(refused(&|head| head.epoch = 0), "epoch");
        assert_eq!(refused(&|head| head.next_due = Timestamp::default()), "next_due_time");
        let long = vec![0; STATEMENT_BYTES_MAX + 1];
        assert_eq!(head(&long).unwrap_err().reason, Reason::FieldInvalid);
    }

    #[test]
    fn a_head_counts_only_under_the_key_that_it_names() {
        let (secret, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let key = |secret: &SecretKey| VerifyingKey::from_spki(&secret.spki()).unwrap();
        let good = signed_head(&example(secret.id()), &secret);
        good.head(&key(&secret)).unwrap();
        good.head(&key(&other)).unwrap_err();
        // Signed by another key than it names.
        signed_head(&example(secret.id()), &other).head(&key(&other)).unwrap_err();
        signed_head(&example(secret.id()), &other).head(&key(&secret)).unwrap_err();
        // A listing's signature is none over a head.
        let statement = head_bytes(&example(secret.id()));
        let signature = secret.sign(LISTING_PAYLOAD_TYPE, &statement).to_vec();
        Signed { statement, signature }.head(&key(&secret)).unwrap_err();
    }

    #[test]
    fn a_head_and_a_listing_that_differ_are_evidence_and_nothing_else_is() {
        let (log, secret) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let key = |secret: &SecretKey| VerifyingKey::from_spki(&secret.spki()).unwrap();
        let (log_key, own) = (key(&log), key(&secret));
        let omission = |change: &dyn Fn(&mut ListingStatement)| {
            let mut listing = listing(secret.id());
            change(&mut listing);
            let head = signed_head(&example(secret.id()), &secret);
            Omission { head, listing: signed_listing(&listing, &log) }.check(&log_key, &own)
        };
        omission(&|_same| ()).unwrap();
        let same = |listing: &mut ListingStatement| listing.counted = example(secret.id()).counted;
        assert_eq!(omission(&same), Err(NoOmission::Same));
        let changes: [&dyn Fn(&mut ListingStatement); 5] = [
            &|listing| listing.size = 13,
            &|listing| listing.epoch = 2,
            &|listing| listing.name.scope = "audiences/all".parse().unwrap(),
            &|listing| listing.name.key = KeyId::of_spki(b"other"),
            &|listing| listing.name.publisher = "cedar-chat".parse().unwrap(),
        ];
        for change in changes {
            assert_eq!(omission(change), Err(NoOmission::Apart));
        }
        let head = signed_head(&example(secret.id()), &secret);
        let forged = Omission { head, listing: signed_listing(&listing(secret.id()), &secret) };
        assert!(matches!(forged.check(&log_key, &own), Err(NoOmission::Unsigned("listing", _))));
    }

    #[test]
    fn what_a_head_tells_of_others_is_bounded_sorted_and_evidence_if_the_hub_differs() {
        let (log, secret) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let key = |secret: &SecretKey| VerifyingKey::from_spki(&secret.spki()).unwrap();
        let seen = |number: usize| SeenHead {
            publisher: format!("member-{number:02}").parse().unwrap(),
            key: secret.id(),
            epoch: 1,
            size: 12,
            counted: Counted { count: 3, digest: [7; 32] },
        };
        let telling = |seen: Vec<SeenHead>| PublisherHead { seen, ..example(secret.id()) };
        let most = telling((0..limits::HEADS_SEEN_MAX).map(seen).collect());
        assert_eq!(head(&head_bytes(&most)), Ok(most));
        let more = telling((0..=limits::HEADS_SEEN_MAX).map(seen).collect());
        assert_eq!(head(&head_bytes(&more)).unwrap_err().field, "seen");
        for odd in [vec![seen(1), seen(0)], vec![seen(1), seen(1)]] {
            assert_eq!(head(&head_bytes(&telling(odd))).unwrap_err().field, "seen");
        }
        let told = |of: usize, counted: Counted| {
            let mut listing = listing(secret.id());
            listing.name.publisher = seen(of).publisher;
            listing.counted = counted;
            let head = signed_head(&telling(vec![seen(4), seen(5)]), &secret);
            SeenOtherwise { head, listing: signed_listing(&listing, &log) }
                .check(&key(&log), &key(&secret))
        };
        let fewer = Counted { count: 2, digest: [8; 32] };
        assert_eq!(told(5, fewer).unwrap().0, seen(5));
        assert_eq!(told(5, seen(5).counted), Err(NoOmission::Same));
        assert_eq!(told(6, fewer), Err(NoOmission::Apart));
    }

    proptest! {
        #[test]
        fn no_bytes_make_parsing_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(head(&bytes));
            drop(ListingStatement::from_bytes(&bytes));
        }
    }
}
