//! Names: of exchanges, members, records, keys and audiences, and the digests that identify bytes.
//!
//! Each type has one way in and keeps what it promises, so that a name is safe in keys, logs and file names.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use sha2::Sha256;
use uuid::Uuid;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidName {
    what: &'static str,
    rule: &'static str,
}

const fn invalid(what: &'static str, rule: &'static str) -> InvalidName {
    InvalidName { what, rule }
}

fn is_slug(text: &str, minimum: usize, maximum: usize) -> bool {
    (minimum..=maximum).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A member's id.
///
/// Invariant: 3 to 40 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Box<str>);

impl MemberId {
    /// The bare id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses `members/{member}`.
    pub fn from_name(name: &str) -> Result<Self, InvalidName> {
        name.strip_prefix("members/").ok_or(invalid("member", "members/{member}"))?.parse()
    }

    /// `members/{member}`.
    pub fn name(&self) -> String {
        format!("members/{}", self.0)
    }

    /// The hub, as the publisher of its own entries. Nobody is admitted under this id.
    pub fn hub() -> Self {
        Self("hub".into())
    }
}

impl FromStr for MemberId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_slug(text, 3, 40) {
            Ok(Self(text.into()))
        } else {
            Err(invalid("member", "3 to 40 of a-z, 0-9 and -"))
        }
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An exchange's name: `{title}-{16 hex of SHA-256(operator key || log key)}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeName(Box<str>);

impl ExchangeName {
    /// The name of the exchange whose operator and log have these keys (`SubjectPublicKeyInfo`, DER).
    pub fn derive(title: &str, operator_key: &[u8], log_key: &[u8]) -> Result<Self, InvalidName> {
        if !is_slug(title, 3, 40) {
            return Err(invalid("exchange title", "3 to 40 of a-z, 0-9 and -"));
        }
        let digest = Sha256::new().chain_update(operator_key).chain_update(log_key).finalize();
        let hex = hex::encode(digest);
        let short = hex.get(..16).unwrap_or_default();
        Ok(Self(format!("{title}-{short}").into()))
    }

    /// Parses `exchanges/{exchange}`.
    pub fn from_name(name: &str) -> Result<Self, InvalidName> {
        let rule = invalid("exchange", "exchanges/{title}-{16 hex digits}");
        let id = name.strip_prefix("exchanges/").ok_or_else(|| rule.clone())?;
        let (title, hex) = id.rsplit_once('-').ok_or_else(|| rule.clone())?;
        let whole = is_slug(title, 3, 40) && hex.len() == 16 && is_lower_hex(hex);
        if whole { Ok(Self(id.into())) } else { Err(rule) }
    }

    /// `{title}-{16 hex digits}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `exchanges/{exchange}`.
    pub fn name(&self) -> String {
        format!("exchanges/{}", self.0)
    }
}

impl fmt::Display for ExchangeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A record's name: `members/{member}/records/{record}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName {
    /// The publisher.
    pub member: MemberId,
    /// The record's id, unique within the publisher.
    pub record: Uuid,
}

impl FromStr for RecordName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = || invalid("record", "members/{member}/records/{lower-case UUID}");
        let rest = text.strip_prefix("members/").ok_or_else(rule)?;
        let (member, id) = rest.split_once("/records/").ok_or_else(rule)?;
        let record = Uuid::try_parse(id).map_err(|_not_a_uuid| rule())?;
        // One spelling only: a name is compared as bytes in signed headers.
        let mut buffer = Uuid::encode_buffer();
        if record.hyphenated().encode_lower(&mut buffer) != id || record.is_nil() {
            return Err(rule());
        }
        Ok(Self { member: member.parse()?, record })
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "members/{}/records/{}", self.member, self.record)
    }
}

/// A record, or one revision of it: `members/{member}/records/{record}[@{revision}]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionName {
    /// The record.
    pub record: RecordName,
    /// The revision; `None` for the latest.
    pub revision: Option<u32>,
}

impl fmt::Display for RevisionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.record)?;
        self.revision.map_or(Ok(()), |revision| write!(formatter, "@{revision}"))
    }
}

impl FromStr for RevisionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((record, revision)) = text.split_once('@') else {
            return Ok(Self { record: text.parse()?, revision: None });
        };
        let rule = invalid("revision", "a number from 1 without leading zeros");
        if revision.starts_with(['0', '+']) {
            return Err(rule);
        }
        let revision = revision.parse().map_err(|_not_a_number| rule)?;
        Ok(Self { record: record.parse()?, revision: Some(revision) })
    }
}

/// A durable subscription's name: `members/{member}/subscriptions/{subscription}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionName {
    /// Whose it is.
    pub member: MemberId,
    /// Its id, unique within the member.
    ///
    /// Invariant: 3 to 40 of `a-z`, `0-9` and `-`.
    id: Box<str>,
}

impl SubscriptionName {
    /// The subscription of a member with this id.
    pub fn new(member: MemberId, id: &str) -> Result<Self, InvalidName> {
        if is_slug(id, 3, 40) {
            Ok(Self { member, id: id.into() })
        } else {
            Err(invalid("subscription", "3 to 40 of a-z, 0-9 and -"))
        }
    }

    /// The bare id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl FromStr for SubscriptionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = || invalid("subscription", "members/{member}/subscriptions/{subscription}");
        let rest = text.strip_prefix("members/").ok_or_else(rule)?;
        let (member, id) = rest.split_once("/subscriptions/").ok_or_else(rule)?;
        Self::new(member.parse()?, id)
    }
}

impl fmt::Display for SubscriptionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "members/{}/subscriptions/{}", self.member, self.id)
    }
}

/// A key's id: SHA-256 of its `SubjectPublicKeyInfo`, written in full as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The id of the key with this `SubjectPublicKeyInfo` (DER).
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = || invalid("key", "64 lower-case hex digits");
        if !is_lower_hex(text) {
            return Err(rule());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_length| rule())?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

/// An audience: a named group of members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience(Box<str>);

impl Audience {
    /// The bare handle.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses `audiences/{audience}`.
    pub fn from_name(name: &str) -> Result<Self, InvalidName> {
        name.strip_prefix("audiences/").ok_or(invalid("audience", "audiences/{audience}"))?.parse()
    }

    /// `audiences/{audience}`.
    pub fn name(&self) -> String {
        format!("audiences/{}", self.0)
    }

    /// Companies: every member with that role.
    pub fn companies() -> Self {
        Self("companies".into())
    }

    /// Observers: every member with that role.
    pub fn observers() -> Self {
        Self("observers".into())
    }

    /// Companies and observers.
    pub fn all() -> Self {
        Self("all".into())
    }

    /// Whether it is one of those that every exchange has.
    pub fn is_built_in(&self) -> bool {
        matches!(self.as_str(), "companies" | "observers" | "all")
    }

    /// Whether its handle is long enough to have been drawn at random: 20 characters or more.
    pub fn is_random(&self) -> bool {
        self.0.len() >= 20
    }
}

impl FromStr for Audience {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_slug(text, 3, 40) {
            Ok(Self(text.into()))
        } else {
            Err(invalid("audience", "3 to 40 of a-z, 0-9 and -"))
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A place in the log, from 0, without holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_record(text: &str, valid: bool) {
        let parsed = text.parse::<RecordName>();
        assert_eq!(parsed.is_ok(), valid, "{text:?}");
        if let Ok(name) = parsed {
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn a_record_name_has_one_spelling() {
        check_record("members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057", true);
        check_record("members/acme-video/records/01890A5D-ac96-774b-bcce-b302099a8057", false);
        check_record("members/acme-video/records/01890a5dac96774bbcceb302099a8057", false);
        check_record("members/acme-video/records/00000000-0000-0000-0000-000000000000", false);
        check_record("members/ac/records/01890a5d-ac96-774b-bcce-b302099a8057", false);
        check_record("members/../records/01890a5d-ac96-774b-bcce-b302099a8057", false);
        check_record("records/01890a5d-ac96-774b-bcce-b302099a8057", false);
    }

    #[test]
    fn a_revision_starts_at_one() {
        let record = "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(format!("{record}@2").parse::<RevisionName>().unwrap().revision, Some(2));
        assert_eq!(record.parse::<RevisionName>().unwrap().revision, None);
        assert!(format!("{record}@0").parse::<RevisionName>().is_err());
        assert!(format!("{record}@01").parse::<RevisionName>().is_err());
        assert!(format!("{record}@4294967296").parse::<RevisionName>().is_err());
    }

    #[test]
    fn an_exchange_is_named_after_its_keys() {
        let name = ExchangeName::derive("spring", b"operator", b"log").unwrap();
        assert_eq!(ExchangeName::from_name(&name.name()).unwrap(), name);
        assert_ne!(name, ExchangeName::derive("spring", b"operator", b"gol").unwrap());
        assert!(ExchangeName::from_name("exchanges/spring").is_err());
        assert!(ExchangeName::derive("Spring", b"", b"").is_err());
    }

    #[test]
    fn member_ids_stand_at_their_limits() {
        assert!("abc".parse::<MemberId>().is_ok());
        assert!("ab".parse::<MemberId>().is_err());
        assert!("a".repeat(40).parse::<MemberId>().is_ok());
        assert!("a".repeat(41).parse::<MemberId>().is_err());
        assert!("a_b".parse::<MemberId>().is_err());
    }
}
