//! What shows that the hub deviated: a file that its finder keeps and others can check, with nothing but the hub's public
//! key.
//!
//! Some deviations prove themselves, because the hub signed both of two things that cannot both be. Of others only the
//! finder knows what came: then the file says what it saw, and the verdict says that it proves nothing alone.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::client::account::log_of;
use crate::client::account::open_statement;
use crate::client::heads::compare_head;
use crate::client::known::KnownRoster;
use crate::client::pin::Pin;
use crate::client::verifier::VerificationError;
use crate::model::head::PublisherHead;
use crate::model::header::Header;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::transparency::Checkpoint;
use crate::transparency::proof;
use crate::wire;
use crate::wire::MarkStatement;
use crate::wire::head::ListingStatement;
use crate::wire::pb;

/// The version of the format.
const VERSION: u32 = 1;
/// Bytes of a file of evidence at most.
pub const EVIDENCE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The version of the format, which also tells such a file from others.
    #[serde(rename = "watchfire_evidence")]
    version: u32,
    /// `exchanges/{exchange}`.
    pub exchange: String,
    /// The founding envelope, Base64: it names the log's key, and the exchange is named after both.
    genesis: String,
    /// Who found it: `members/{member}`.
    pub finder: String,
    /// When, by the finder's clock.
    pub time: String,
    /// What the finder's client said.
    pub deviation: String,
    /// What shows it.
    pub exhibits: Vec<Exhibit>,
}

/// Something that the hub signed, or that came from it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Exhibit {
    /// A checkpoint: a signed note.
    Checkpoint {
        /// The note.
        note: String,
    },
    /// What the hub signed with a mark.
    Mark {
        /// The encoded statement, Base64.
        statement: String,
        /// Its signature, Base64.
        signature: String,
    },
    /// That a leaf is at a place of the log, by a proof that holds.
    Leaf {
        /// The place.
        sequence: u64,
        /// The leaf hash, hex.
        leaf_hash: String,
        /// The hashes beside the way to the root, hex.
        path: Vec<String>,
        /// The checkpoint of that root.
        note: String,
    },
    /// Entries about the roster, which say whose a key is.
    Roster {
        /// The encoded entries, Base64, rising.
        entries: Vec<String>,
    },
    /// A header that a member signed.
    Header {
        /// Its bytes, Base64.
        payload: String,
        /// The key that signed it.
        keyid: String,
        /// The signature, Base64.
        signature: String,
    },
    /// What a publisher signed of its own entries.
    PublisherHead {
        /// The encoded statement, Base64.
        statement: String,
        /// Its signature, Base64.
        signature: String,
    },
    /// What the hub signed that it lists of a publisher's entries.
    Listing {
        /// The encoded statement, Base64.
        statement: String,
        /// Its signature, Base64.
        signature: String,
    },
    /// What came, as it came: nobody signed that it did.
    Received {
        /// What it is.
        what: String,
        /// Its bytes, Base64.
        bytes: String,
    },
}

/// What evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The hub signed what cannot both be.
    Proven(Contradiction),
    /// What the hub signed in it holds together: that something else came, the finder alone knows.
    Unproven,
}

/// Two things that an honest hub never signs both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// Two logs of one size.
    TwoHistories {
        /// The epoch.
        epoch: u32,
        /// The size.
        size: u64,
        /// Their roots.
        roots: [Digest; 2],
    },
    /// Two rosters of one log.
    TwoRosters {
        /// The epoch.
        epoch: u32,
        /// The size.
        size: u64,
    },
    /// A log that was shorter later on, in the same epoch.
    RolledBack {
        /// The size that it had.
        before: u64,
        /// When it had.
        at: Timestamp,
        /// The size that it has later.
        after: u64,
        /// When it has.
        later: Timestamp,
    },
    /// Two leaves at one place.
    TwoLeaves {
        /// The place.
        sequence: u64,
        /// The leaf hashes.
        leaves: [Digest; 2],
    },
    /// Two headers for one name and revision: it is the publisher that cheats.
    TwoHeaders {
        /// The record.
        name: RecordName,
        /// The revision.
        revision: u32,
        /// The digests of the headers.
        digests: [Digest; 2],
    },
    /// A publisher and the hub count the same entries differently: one of them signed something wrong, and the publisher's
    /// receipts say which.
    Omission {
        /// The publisher.
        publisher: MemberId,
        /// The audience or member that the entries are for, in full.
        scope: String,
        /// The size below which they were counted.
        size: u64,
        /// What the publisher counts, and what the hub lists.
        counts: [u64; 2],
    },
    /// Two accounts of one stream that cannot both be.
    TwoAccounts {
        /// Entries sent, as both say.
        count: u64,
    },
}

/// A file is not evidence that can be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvidence {
    /// It is no such file.
    #[error("it is not a file of evidence: {0}")]
    Format(String),
    /// It is another exchange's, or made up.
    #[error("it is not about the exchange that it names: {0}")]
    Exchange(VerificationError),
    /// Something in it is said to be signed by the log's key, and is not.
    #[error("exhibit {0} is not what it says: the log's key did not sign it")]
    Exhibit(usize),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoHistories { epoch, size, roots: [one, other] } => write!(
                formatter,
                "the hub signed two different logs of {size} entries in epoch {epoch}, with the roots {} and {}",
                hex::encode(one),
                hex::encode(other)
            ),
            Self::TwoRosters { epoch, size } => write!(
                formatter,
                "the hub signed two different rosters for its log of {size} entries in epoch {epoch}"
            ),
            Self::RolledBack { before, at, after, later } => write!(
                formatter,
                "the hub signed at {at} that its log has {before} entries, and at {later} that it has {after}"
            ),
            Self::TwoLeaves { sequence, leaves: [one, other] } => write!(
                formatter,
                "the hub signed logs that have two different entries at sequence {sequence}, with the leaves {} and {}",
                hex::encode(one),
                hex::encode(other)
            ),
            Self::TwoHeaders { name, revision, digests: [one, other] } => write!(
                formatter,
                "{} signed two different records as {name}@{revision}, with the digests {} and {}",
                name.member.name(),
                hex::encode(one),
                hex::encode(other)
            ),
            Self::Omission { publisher, scope, size, counts: [counted, listed] } => write!(
                formatter,
                "{} signed that it has {counted} entries for {scope} below {size}, and the hub signed that it has {listed}, or \
                 others: one of the two is wrong, and the receipts say which",
                publisher.name()
            ),
            Self::TwoAccounts { count } => write!(
                formatter,
                "the hub signed two different accounts of the same {count} entries of one stream"
            ),
        }
    }
}

impl Exhibit {
    /// A checkpoint.
    pub(super) fn checkpoint(note: &str) -> Self {
        Self::Checkpoint { note: note.to_owned() }
    }

    /// What the hub signed with a mark.
    pub(super) fn mark(statement: &[u8], signature: &[u8]) -> Self {
        Self::Mark { statement: BASE64.encode(statement), signature: BASE64.encode(signature) }
    }

    /// That a leaf is at a place.
    pub(super) fn leaf(sequence: u64, leaf: &Digest, path: &[Digest], note: &str) -> Self {
        Self::Leaf {
            sequence,
            leaf_hash: hex::encode(leaf),
            path: path.iter().map(hex::encode).collect(),
            note: note.to_owned(),
        }
    }

    /// Entries about the roster.
    pub(super) fn roster(entries: &[&pb::Entry]) -> Self {
        Self::Roster {
            entries: entries.iter().map(|entry| BASE64.encode(entry.encode_to_vec())).collect(),
        }
    }

    /// A header that a member signed.
    pub(super) fn header(payload: &[u8], keyid: &str, signature: &[u8]) -> Self {
        Self::Header {
            payload: BASE64.encode(payload),
            keyid: keyid.to_owned(),
            signature: BASE64.encode(signature),
        }
    }

    /// What a publisher signed of its own entries.
    pub(super) fn publisher_head(signed: &wire::head::Signed) -> Self {
        let wire::head::Signed { statement, signature } = signed;
        Self::PublisherHead {
            statement: BASE64.encode(statement),
            signature: BASE64.encode(signature),
        }
    }

    /// What the hub signed that it lists of them.
    pub(super) fn listing(signed: &wire::head::Signed) -> Self {
        let wire::head::Signed { statement, signature } = signed;
        Self::Listing { statement: BASE64.encode(statement), signature: BASE64.encode(signature) }
    }

    /// What came.
    pub(super) fn received(what: &str, bytes: &[u8]) -> Self {
        Self::Received { what: what.to_owned(), bytes: BASE64.encode(bytes) }
    }
}

impl Evidence {
    /// Evidence of a finder.
    pub(super) fn new(
        profile: &Profile,
        time: Timestamp,
        deviation: String,
        exhibits: Vec<Exhibit>,
    ) -> Result<Self, ProfileError> {
        Ok(Self {
            version: VERSION,
            exchange: profile.settings().exchange.name(),
            genesis: BASE64.encode(profile.genesis()?),
            finder: profile.settings().member.name(),
            time: time.to_string(),
            deviation,
            exhibits,
        })
    }

    /// Reads one; `None` if the text is no evidence at all, but something else.
    pub fn parse(text: &str) -> Option<Result<Self, InvalidEvidence>> {
        if text.len() > EVIDENCE_BYTES_MAX || !text.contains("\"watchfire_evidence\"") {
            return None;
        }
        let parsed = serde_json::from_str::<Self>(text)
            .map_err(|error| InvalidEvidence::Format(error.to_string()));
        Some(parsed.and_then(|evidence| match evidence.version {
            VERSION => Ok(evidence),
            other => Err(InvalidEvidence::Format(format!("version {other} is not known"))),
        }))
    }

    /// The founding record that it is about. Who judges it must know its fingerprints from elsewhere.
    pub fn pin(&self) -> Result<Pin, InvalidEvidence> {
        let bytes = BASE64.decode(&self.genesis);
        let bytes = bytes.map_err(|error| InvalidEvidence::Format(error.to_string()))?;
        let pin = Pin::open(&bytes).map_err(InvalidEvidence::Exchange)?;
        if pin.exchange().name() != self.exchange {
            let why = VerificationError::answer("its founding record is another one's");
            return Err(InvalidEvidence::Exchange(why));
        }
        Ok(pin)
    }

    /// Whether members' keys, or later keys of the log, are those of roster entries that the finder chose: the log itself must say
    /// that they are all that there were.
    pub fn rests_on_the_roster(&self) -> bool {
        self.exhibits.iter().any(|exhibit| matches!(exhibit, Exhibit::Roster { .. }))
    }

    /// Judges it by what the log's key signed alone, and by the keys that the roster entries in it register.
    pub fn judge(&self) -> Result<Verdict, InvalidEvidence> {
        let pin = self.pin()?;
        let mut signed = Signed::new(&pin);
        for (number, exhibit) in (1..).zip(&self.exhibits) {
            signed.add(exhibit).ok_or(InvalidEvidence::Exhibit(number))?;
        }
        Ok(signed.contradiction().map_or(Verdict::Unproven, Verdict::Proven))
    }

    /// Keeps it in the finder's profile; where.
    pub(super) fn save(&self, profile: &Profile) -> Result<PathBuf, ProfileError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| ProfileError::Malformed {
            path: profile.folder().to_owned(),
            why: error.to_string(),
        })?;
        profile.save_evidence(&self.time, &text)
    }
}

/// What the log's key signed, and members whose keys the roster entries in the evidence register.
struct Signed {
    known: KnownRoster,
    headers: Vec<(Header, Digest)>,
    heads: Vec<PublisherHead>,
    listings: Vec<ListingStatement>,
    checkpoints: Vec<Checkpoint>,
    /// Epoch, size and root of logs.
    roots: Vec<(u32, u64, Digest)>,
    marks: Vec<MarkStatement>,
    leaves: Vec<(u32, u64, Digest)>,
}

impl Signed {
    fn new(pin: &Pin) -> Self {
        Self {
            known: KnownRoster::new(pin),
            headers: Vec::new(),
            heads: Vec::new(),
            listings: Vec::new(),
            checkpoints: Vec::new(),
            roots: Vec::new(),
            marks: Vec::new(),
            leaves: Vec::new(),
        }
    }

    /// Takes an exhibit; `None` if it is not what it says.
    fn add(&mut self, exhibit: &Exhibit) -> Option<()> {
        let log_keys = self.known.log_keys().load_full();
        let log_keys = log_keys.as_ref();
        match exhibit {
            Exhibit::Roster { entries } => {
                for entry in entries {
                    let entry = pb::Entry::decode(BASE64.decode(entry).ok()?.as_slice()).ok()?;
                    self.known.fold(entry).ok()?;
                }
            }
            Exhibit::Header { payload, keyid, signature } => {
                let (payload, signature) =
                    (BASE64.decode(payload).ok()?, BASE64.decode(signature).ok()?);
                let header = wire::header::header(&payload).ok()?;
                let verifier = self.known.verifier();
                verifier.signed_by(
                    &header.name.member,
                    &keyid.parse().ok()?,
                    &payload,
                    &signature,
                )?;
                self.headers.push((header, sha256(&payload)));
            }
            Exhibit::Checkpoint { note } => self.checkpoints.push(log_keys.open(note).ok()?),
            Exhibit::Mark { statement, signature } => {
                let (statement, signature) =
                    (BASE64.decode(statement).ok()?, BASE64.decode(signature).ok()?);
                let mark = open_statement(log_keys, &statement, &signature).ok()?;
                self.checkpoints.push(log_of(&mark));
                self.marks.push(mark);
            }
            Exhibit::Leaf { sequence, leaf_hash, path, note } => {
                let checkpoint = log_keys.open(note).ok()?;
                let leaf = digest(leaf_hash)?;
                let path = path.iter().map(|hash| digest(hash)).collect::<Option<Vec<_>>>()?;
                let tree = (checkpoint.size, &checkpoint.root);
                proof::check_inclusion(leaf, *sequence, tree, &path).ok()?;
                self.checkpoints.push(checkpoint);
                // What the same log was when this entry was its last.
                let size = sequence.checked_add(1)?;
                let root = proof::root_then(leaf, *sequence, checkpoint.size, &path);
                self.roots.push((checkpoint.epoch, size, root));
                self.leaves.push((checkpoint.epoch, *sequence, leaf));
            }
            Exhibit::PublisherHead { statement, signature } => {
                let signed = signed(statement, signature)?;
                let name = signed.head_unchecked().ok()?.name;
                let verifier = self.known.verifier();
                let key = verifier.signing_key(&name.publisher, &name.key)?;
                self.heads.push(signed.head(key).ok()?);
            }
            Exhibit::Listing { statement, signature } => {
                let key = log_keys.current().verifying();
                self.listings.push(signed(statement, signature)?.listing(key).ok()?);
            }
            Exhibit::Received { .. } => {}
        }
        Some(())
    }

    fn contradiction(&self) -> Option<Contradiction> {
        let signed = self.checkpoints.iter();
        let mut roots: Vec<(u32, u64, Digest)> =
            signed.map(|signed| (signed.epoch, signed.size, signed.root)).collect();
        roots.extend(&self.roots);
        let histories = pairs(&roots).find_map(|(one, other)| {
            let same = (one.0, one.1) == (other.0, other.1);
            (same && one.2 != other.2).then_some(Contradiction::TwoHistories {
                epoch: one.0,
                size: one.1,
                roots: [one.2, other.2],
            })
        });
        let rosters = || {
            pairs(&self.checkpoints).find_map(|(one, other)| {
                let same = (one.epoch, one.size) == (other.epoch, other.size);
                (same && one.roster != other.roster)
                    .then_some(Contradiction::TwoRosters { epoch: one.epoch, size: one.size })
            })
        };
        let leaves = || {
            pairs(&self.leaves).find_map(|(one, other)| {
                let same = (one.0, one.1) == (other.0, other.1);
                (same && one.2 != other.2).then_some(Contradiction::TwoLeaves {
                    sequence: one.1,
                    leaves: [one.2, other.2],
                })
            })
        };
        let marks = || pairs(&self.marks).find_map(|(one, other)| between_marks(one, other));
        let headers = || {
            pairs(&self.headers).find_map(|((one, digest), (other, second))| {
                let same = one.name == other.name && one.revision == other.revision;
                (same && digest != second).then(|| Contradiction::TwoHeaders {
                    name: one.name.clone(),
                    revision: one.revision,
                    digests: [*digest, *second],
                })
            })
        };
        let counts = || {
            let heads = self.heads.iter();
            let mut both =
                heads.flat_map(|head| self.listings.iter().map(move |listing| (head, listing)));
            both.find_map(|(head, listing)| omission(head, listing))
        };
        histories.or_else(rosters).or_else(leaves).or_else(marks).or_else(headers).or_else(counts)
    }
}

fn signed(statement: &str, signature: &str) -> Option<wire::head::Signed> {
    let (statement, signature) = (BASE64.decode(statement).ok()?, BASE64.decode(signature).ok()?);
    Some(wire::head::Signed { statement, signature })
}

fn omission(head: &PublisherHead, listing: &ListingStatement) -> Option<Contradiction> {
    let differ = compare_head(head, listing) == Some(false);
    differ.then(|| Contradiction::Omission {
        publisher: head.name.publisher.clone(),
        scope: head.name.scope.to_string(),
        size: head.size,
        counts: [head.counted.count, listing.counted.count],
    })
}

fn between_marks(one: &MarkStatement, other: &MarkStatement) -> Option<Contradiction> {
    let (one, other) = if one.time <= other.time { (one, other) } else { (other, one) };
    if one.epoch == other.epoch && one.time < other.time && one.head > other.head {
        return Some(Contradiction::RolledBack {
            before: one.head,
            at: one.time,
            after: other.head,
            later: other.time,
        });
    }
    let same_stream = one.stream == other.stream && one.member == other.member;
    (same_stream && one.count == other.count && one.digest != other.digest)
        .then_some(Contradiction::TwoAccounts { count: one.count })
}

fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    all.iter()
        .enumerate()
        .flat_map(move |(at, one)| all.iter().skip(at + 1).map(move |other| (one, other)))
}

fn digest(text: &str) -> Option<Digest> {
    hex::decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;
    use crate::model::head::Counted;
    use crate::model::head::HeadName;
    use crate::transparency::Frontier;
    use crate::wire::MARK_PAYLOAD_TYPE;

    fn evidence(world: &World, exhibits: Vec<Exhibit>) -> Evidence {
        Evidence {
            version: VERSION,
            exchange: world.founding.exchange.name(),
            genesis: BASE64.encode(world.founding.genesis.encode_to_vec()),
            finder: "members/acme-video".to_owned(),
            time: world.now.to_string(),
            deviation: "because".to_owned(),
            exhibits,
        }
    }

    fn note(world: &World, size: u64, root: Digest) -> String {
        let checkpoint = Checkpoint { epoch: 1, size, root, roster: [0; 32] };
        world.pin().log_key().sign(&checkpoint, &world.log_secret)
    }

    fn mark(world: &World, change: impl FnOnce(&mut MarkStatement)) -> Exhibit {
        let mut statement = MarkStatement {
            exchange: world.founding.exchange.clone(),
            member: "acme-video".parse().unwrap(),
            stream: [1; 16],
            filter_digest: [2; 32],
            epoch: 1,
            access: 3,
            start: 0,
            position: 8,
            head: 8,
            root: [8; 32],
            count: 5,
            digest: [5; 32],
            time: world.now,
            roster_digest: [0; 32],
        };
        change(&mut statement);
        let bytes = statement.to_bytes();
        Exhibit::mark(&bytes, &world.log_secret.sign(MARK_PAYLOAD_TYPE, &bytes))
    }

    /// A leaf at the last of three places, with the tree that has it.
    fn leaf(world: &World, last: Digest) -> Exhibit {
        let mut tree = Frontier::default();
        tree.push([0; 32]);
        tree.push([1; 32]);
        let path = tree.peaks().to_vec();
        tree.push(last);
        Exhibit::leaf(2, &last, &path, &note(world, 3, tree.root()))
    }

    #[track_caller]
    fn check(world: &World, exhibits: Vec<Exhibit>, proven: Option<&str>) {
        let evidence = evidence(world, exhibits);
        let text = serde_json::to_string(&evidence).unwrap();
        let again = Evidence::parse(&text).unwrap().unwrap();
        assert_eq!(again, evidence);
        match (again.judge().unwrap(), proven) {
            (Verdict::Proven(why), Some(expected)) => {
                assert!(why.to_string().contains(expected), "{why}");
            }
            (Verdict::Unproven, None) => {}
            (verdict, _) => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn what_a_hub_signed_and_cannot_both_be_proves_itself() {
        let world = World::new();
        let two = [note(&world, 8, [1; 32]), note(&world, 8, [2; 32])];
        check(
            &world,
            two.iter().map(|note| Exhibit::checkpoint(note)).collect(),
            Some("two different logs"),
        );
        let other = mark(&world, |mark| mark.root = [9; 32]);
        check(&world, vec![mark(&world, |_same| {}), other], Some("two different logs"));
        let other = mark(&world, |mark| mark.roster_digest = [9; 32]);
        check(&world, vec![mark(&world, |_same| {}), other], Some("two different rosters"));
        let later = mark(&world, |mark| {
            mark.time = mark.time.saturating_add(std::time::Duration::from_secs(1));
            (mark.position, mark.head, mark.root) = (7, 7, [7; 32]);
        });
        check(&world, vec![later, mark(&world, |_same| {})], Some("that it has 7"));
        let other = mark(&world, |mark| mark.digest = [6; 32]);
        check(&world, vec![mark(&world, |_same| {}), other], Some("two different accounts"));
        let two = vec![leaf(&world, [2; 32]), leaf(&world, [3; 32])];
        check(&world, two, Some("two different logs of 3"));
    }

    #[test]
    fn what_an_honest_hub_signs_proves_nothing() {
        let world = World::new();
        let grown = mark(&world, |mark| {
            mark.time = mark.time.saturating_add(std::time::Duration::from_secs(1));
            (mark.position, mark.head, mark.root) = (9, 9, [9; 32]);
            (mark.count, mark.digest) = (6, [6; 32]);
        });
        let elsewhere = mark(&world, |mark| {
            (mark.stream, mark.digest) = ([3; 16], [7; 32]);
        });
        let honest = vec![
            Exhibit::checkpoint(&note(&world, 7, [7; 32])),
            Exhibit::checkpoint(&note(&world, 7, [7; 32])),
            mark(&world, |_same| {}),
            grown,
            elsewhere,
            leaf(&world, [2; 32]),
            leaf(&world, [2; 32]),
            Exhibit::received("an entry", b"anything"),
        ];
        check(&world, honest, None);
    }

    #[test]
    fn a_head_and_a_listing_that_differ_are_evidence_and_none_without_the_roster() {
        let world = World::new();
        let secret = world.acme.key();
        let name = HeadName {
            publisher: world.acme.member().clone(),
            key: secret.id(),
            scope: "audiences/companies".parse().unwrap(),
        };
        let counted = |count| Counted { count, digest: [1; 32] };
        let head = PublisherHead {
            exchange: world.founding.exchange.clone(),
            name: name.clone(),
            epoch: 1,
            size: 9,
            counted: counted(4),
            time: world.now,
            next_due: world.now,
            seen: Vec::new(),
        };
        let statement = wire::head::head_bytes(&head);
        let signature = secret.sign(wire::head::HEAD_PAYLOAD_TYPE, &statement).to_vec();
        let head = Exhibit::publisher_head(&wire::head::Signed { statement, signature });
        let listing = |count| {
            let listing = ListingStatement {
                exchange: world.founding.exchange.clone(),
                member: world.bravo.member().clone(),
                name: name.clone(),
                epoch: 1,
                size: 9,
                root: [2; 32],
                counted: counted(count),
                time: world.now,
            };
            let statement = listing.to_bytes();
            let payload_type = wire::head::LISTING_PAYLOAD_TYPE;
            let signature = world.log_secret.sign(payload_type, &statement).to_vec();
            Exhibit::listing(&wire::head::Signed { statement, signature })
        };
        let roster = Exhibit::roster(&world.entries.iter().collect::<Vec<_>>());
        let exhibits = |count| vec![roster.clone(), head.clone(), listing(count)];
        check(&world, exhibits(3), Some("signed that it has 4 entries for audiences/companies"));
        check(&world, exhibits(4), None);
        let without = evidence(&world, vec![head.clone(), listing(3)]);
        assert_eq!(without.judge(), Err(InvalidEvidence::Exhibit(1)));
    }

    #[test]
    fn evidence_that_the_log_did_not_sign_is_refused() {
        let (world, stranger) = (World::new(), World::new());
        let checkpoint = Checkpoint { epoch: 1, size: 8, root: [1; 32], roster: [0; 32] };
        let forged = world.pin().log_key().sign(&checkpoint, &stranger.log_secret);
        let honest = Exhibit::checkpoint(&note(&world, 8, [2; 32]));
        let mixed = evidence(&world, vec![honest.clone(), Exhibit::checkpoint(&forged)]);
        assert_eq!(mixed.judge(), Err(InvalidEvidence::Exhibit(2)));
        let Exhibit::Mark { statement, signature: _own } = mark(&world, |_same| {}) else {
            unreachable!()
        };
        let unsigned = Exhibit::Mark { statement, signature: BASE64.encode([0; 64]) };
        assert_eq!(evidence(&world, vec![unsigned]).judge(), Err(InvalidEvidence::Exhibit(1)));
        let Exhibit::Leaf { leaf_hash, path, note, .. } = leaf(&world, [2; 32]) else {
            unreachable!()
        };
        let moved = Exhibit::Leaf { sequence: 1, leaf_hash, path, note };
        assert_eq!(evidence(&world, vec![moved]).judge(), Err(InvalidEvidence::Exhibit(1)));
        let mut other = evidence(&world, vec![honest]);
        other.genesis = BASE64.encode(stranger.founding.genesis.encode_to_vec());
        assert!(matches!(other.judge(), Err(InvalidEvidence::Exchange(_))));
        assert!(Evidence::parse("{}").is_none());
        assert!(Evidence::parse("{\"watchfire_evidence\":1}").unwrap().is_err());
    }
}
