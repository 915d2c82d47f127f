//! What evidence comes to: whether what is signed in it can all be.
//!
//! The log's key signs for itself. Whose a member's key is, roster entries say, which the finder chose: they count as a whole if a
//! checkpoint beside them signs the digest of exactly these. The log's next key is the word of the one before it, or of members
//! where that was lost: that is a condition, since nothing in a file shows who took part by then.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;

use crate::client::account::log_of;
use crate::client::account::open_statement;
use crate::client::evidence::Exhibit;
use crate::client::heads::compare_head;
use crate::client::known::KnownRoster;
use crate::client::pin::Pin;
use crate::client::verifier::VerificationError;
use crate::client::verifier::prepare;
use crate::model::head::PublisherHead;
use crate::model::header::Header;
use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::time::Timestamp;
use crate::transparency::Checkpoint;
use crate::transparency::proof;
use crate::wire;
use crate::wire::MarkStatement;
use crate::wire::body::Content;
use crate::wire::head::ListingStatement;
use crate::wire::pb;

/// What evidence comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was signed cannot both be, whoever looks at it.
    Proven(Contradiction),
    /// It cannot both be if something holds that the file does not show.
    Conditional(Contradiction, Condition),
    /// What the hub signed in it holds together: that something else came, the finder alone knows.
    Unproven,
}

/// What a verdict rests on that a file of evidence does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The roster entries in it are all that the log had: its finder chose them, and no checkpoint in it signs them.
    RosterIsWhole,
    /// Members vouched for a later key of the log, as they did at that place. Most companies of an early roster are few.
    LogKeyIsIts,
    /// The operator put the key of this member in place, and the member vouches for it.
    KeyIsTheirs(MemberId),
    /// The key of this member was said to be compromised, and the member signed nevertheless.
    KeyWasNotStolen(MemberId),
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

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RosterIsWhole => formatter.write_str(
                "the roster entries in the file are all that the log had: its finder chose them, and no checkpoint in it signs \
                 them, so that one which retired or reset a key may be left out",
            ),
            Self::LogKeyIsIts => formatter.write_str(
                "the later key of the log is the one that members vouched for there: hold that entry against the log, since the file \
                 does not show who took part by then",
            ),
            Self::KeyIsTheirs(member) => write!(
                formatter,
                "{} vouches for the key that signed it, which the operator put in place",
                member.name()
            ),
            Self::KeyWasNotStolen(member) => write!(
                formatter,
                "{} signed it, and not whoever has its key, which is said to be compromised",
                member.name()
            ),
        }
    }
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

/// Judges what a finder shows of an exchange.
pub(super) fn judge(pin: &Pin, exhibits: &[Exhibit]) -> Result<Verdict, InvalidEvidence> {
    let mut signed = Signed::new(pin);
    for (number, exhibit) in (1..).zip(exhibits) {
        signed.add(exhibit).ok_or(InvalidEvidence::Exhibit(number))?;
    }
    let Some(contradiction) = signed.contradiction() else { return Ok(Verdict::Unproven) };
    Ok(match signed.condition(&contradiction) {
        Some(condition) => Verdict::Conditional(contradiction, condition),
        None => Verdict::Proven(contradiction),
    })
}

/// What the log's key signed, and members whose keys the roster entries in the evidence register.
struct Signed {
    exchange: ExchangeName,
    known: KnownRoster,
    /// Whether members vouched for a later key of the log.
    has_vouched_key: bool,
    headers: Vec<(Header, Digest, KeyId)>,
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
            exchange: pin.exchange().clone(),
            known: KnownRoster::new(pin),
            has_vouched_key: false,
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
                    self.has_vouched_key |= is_vouched_for(&entry);
                    self.known.fold(entry).ok()?;
                }
            }
            Exhibit::Header { payload, keyid, signature } => {
                let (payload, signature) =
                    (BASE64.decode(payload).ok()?, BASE64.decode(signature).ok()?);
                let header = wire::header::header(&payload).ok()?;
                self.demand_exchange(&header.exchange)?;
                let key = keyid.parse().ok()?;
                let verifier = self.known.verifier();
                verifier.signed_by(&header.name.member, &key, &payload, &signature)?;
                self.headers.push((header, sha256(&payload), key));
            }
            Exhibit::Checkpoint { note } => self.checkpoints.push(log_keys.open(note).ok()?),
            Exhibit::Mark { statement, signature } => {
                let (statement, signature) =
                    (BASE64.decode(statement).ok()?, BASE64.decode(signature).ok()?);
                let mark = open_statement(log_keys, &statement, &signature).ok()?;
                self.demand_exchange(&mark.exchange)?;
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
                let head = signed.head(key).ok()?;
                self.demand_exchange(&head.exchange)?;
                self.heads.push(head);
            }
            Exhibit::Listing { statement, signature } => {
                // It says of which size it is, and not when it was signed: by any key that the log has had.
                let signed = signed(statement, signature)?;
                let mut keys = log_keys.all();
                let listing = keys.find_map(|key| signed.listing(key.verifying()).ok())?;
                self.demand_exchange(&listing.exchange)?;
                self.listings.push(listing);
            }
            Exhibit::Received { .. } => {}
        }
        Some(())
    }

    fn demand_exchange(&self, exchange: &ExchangeName) -> Option<()> {
        (*exchange == self.exchange).then_some(())
    }

    /// Whether a checkpoint signs the roster as it is folded: then no entry of it is left out.
    fn is_whole(&self) -> bool {
        self.checkpoints.iter().any(|checkpoint| checkpoint.roster == self.known.digest())
    }

    /// What it rests on that is not shown.
    fn condition(&self, contradiction: &Contradiction) -> Option<Condition> {
        let keys: Vec<&KeyId> = match contradiction {
            Contradiction::TwoHistories { .. }
            | Contradiction::TwoRosters { .. }
            | Contradiction::RolledBack { .. }
            | Contradiction::TwoLeaves { .. }
            | Contradiction::TwoAccounts { .. } => Vec::new(),
            Contradiction::TwoHeaders { name, revision, .. } => {
                let headers = self.headers.iter();
                headers
                    .filter(|(header, ..)| header.name == *name && header.revision == *revision)
                    .map(|(_header, _digest, key)| key)
                    .collect()
            }
            Contradiction::Omission { publisher, .. } => {
                let heads = self.heads.iter().filter(|head| head.name.publisher == *publisher);
                heads.map(|head| &head.name.key).collect()
            }
        };
        if self.has_vouched_key {
            return Some(Condition::LogKeyIsIts);
        }
        if !keys.is_empty() && !self.is_whole() {
            return Some(Condition::RosterIsWhole);
        }
        let verifier = self.known.verifier();
        keys.into_iter().filter_map(|key| verifier.roster().key(key)).find_map(|key| {
            let member = || key.member.clone();
            let stolen = key.compromised_since.map(|_since| Condition::KeyWasNotStolen(member()));
            stolen.or_else(|| key.reset.map(|_reset| Condition::KeyIsTheirs(member())))
        })
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
            pairs(&self.headers).find_map(|((one, digest, _), (other, second, _))| {
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

/// Whether an entry puts the log's next key in place by the word of members.
fn is_vouched_for(entry: &pb::Entry) -> bool {
    prepare(entry.clone()).is_ok_and(|prepared| {
        matches!(&prepared.record.content, Content::LogKeyChange(change) if !change.cosignatures.is_empty())
    })
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
    use crate::client::signer::Draft;
    use crate::client::signer::Signer;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::model::head::Counted;
    use crate::model::head::HeadName;
    use crate::signing::SecretKey;
    use crate::transparency::Frontier;
    use crate::wire::MARK_PAYLOAD_TYPE;

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
    fn check(world: &World, exhibits: &[Exhibit], proven: Option<&str>) {
        match (judge(&world.pin(), exhibits).unwrap(), proven) {
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
        check(&world, &two.map(|note| Exhibit::checkpoint(&note)), Some("two different logs"));
        let other = mark(&world, |mark| mark.root = [9; 32]);
        check(&world, &[mark(&world, |_same| {}), other], Some("two different logs"));
        let other = mark(&world, |mark| mark.roster_digest = [9; 32]);
        check(&world, &[mark(&world, |_same| {}), other], Some("two different rosters"));
        let later = mark(&world, |mark| {
            mark.time = mark.time.saturating_add(std::time::Duration::from_secs(1));
            (mark.position, mark.head, mark.root) = (7, 7, [7; 32]);
        });
        check(&world, &[later, mark(&world, |_same| {})], Some("that it has 7"));
        let other = mark(&world, |mark| mark.digest = [6; 32]);
        check(&world, &[mark(&world, |_same| {}), other], Some("two different accounts"));
        let two = vec![leaf(&world, [2; 32]), leaf(&world, [3; 32])];
        check(&world, &two, Some("two different logs of 3"));
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
        check(&world, &honest, None);
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
        let roster = roster(&world.known(), &world.log_secret);
        let exhibits = |count| [roster.clone(), vec![head.clone(), listing(count)]].concat();
        check(&world, &exhibits(3), Some("signed that it has 4 entries for audiences/companies"));
        check(&world, &exhibits(4), None);
        let without = vec![head.clone(), listing(3)];
        assert_eq!(judge(&world.pin(), &without), Err(InvalidEvidence::Exhibit(1)));
        let chosen = vec![roster[0].clone(), head.clone(), listing(3)];
        assert_eq!(condition(&world, &chosen), Condition::RosterIsWhole);
    }

    /// What was folded, and a checkpoint that signs it as a whole.
    fn roster(known: &KnownRoster, log_secret: &SecretKey) -> Vec<Exhibit> {
        vec![entries(known), signs(known, log_secret)]
    }

    fn entries(known: &KnownRoster) -> Exhibit {
        Exhibit::roster(&known.entries().collect::<Vec<_>>())
    }

    /// A checkpoint that signs what was folded.
    fn signs(known: &KnownRoster, log_secret: &SecretKey) -> Exhibit {
        let (size, roster) = (known.position(), known.digest());
        let checkpoint = Checkpoint { epoch: 1, size, root: [9; 32], roster };
        let keys = known.log_keys().load_full();
        Exhibit::checkpoint(&keys.for_size(size).sign(&checkpoint, log_secret))
    }

    #[track_caller]
    fn condition(world: &World, exhibits: &[Exhibit]) -> Condition {
        match judge(&world.pin(), exhibits).unwrap() {
            Verdict::Conditional(_, condition) => condition,
            verdict @ (Verdict::Proven(_) | Verdict::Unproven) => panic!("{verdict:?}"),
        }
    }

    /// Two records under one name, signed by the same.
    fn two_headers(world: &World, signer: &Signer) -> [Exhibit; 2] {
        let record = uuid::Uuid::now_v7();
        let drafts = ["one.example", "other.example"].map(|value| {
            let name = RecordName { member: signer.member().clone(), record };
            Draft { name, ..world.draft(signer, domain(value)) }
        });
        drafts.map(|draft| {
            let envelope = signer.sign(draft, world.now).unwrap();
            let signature = &envelope.signatures[0];
            Exhibit::header(&envelope.payload, &signature.keyid, &signature.sig)
        })
    }

    #[test]
    fn a_publisher_is_held_to_keys_that_the_log_signs_to_be_its_own_and_in_its_hands() {
        let world = World::new();
        let [one, other] = two_headers(&world, &world.acme);
        let shown = |roster: Vec<Exhibit>, both: [&Exhibit; 2]| {
            [roster, both.map(Clone::clone).to_vec()].concat()
        };
        let known = world.known();
        let whole = roster(&known, &world.log_secret);
        check(&world, &shown(whole.clone(), [&one, &other]), Some("signed two different records"));
        check(&world, &shown(whole, [&one, &one]), None);

        // The key is reported stolen. Who leaves that out has no checkpoint that signs the rest.
        let mut later = world.known();
        let stolen = pb::body::Content::KeyChange(pb::KeyChange {
            change: Some(pb::key_change::Change::Retire(pb::KeyRetirement {
                key: format!("{}/keys/{}", world.acme.member().name(), world.acme.key().id()),
                compromised: true,
                compromised_since: 2,
            })),
        });
        let next = SecretKey::generate().unwrap();
        let add = world.addition(world.acme.member(), &next);
        later.fold(World::entry(3, world.change(&world.acme, &add))).unwrap();
        let successor =
            Signer::new(world.founding.exchange.clone(), world.acme.member().clone(), next);
        later.fold(World::entry(4, world.change(&successor, &stolen))).unwrap();
        let told = shown(roster(&later, &world.log_secret), [&one, &other]);
        let member = world.acme.member().clone();
        assert_eq!(condition(&world, &told), Condition::KeyWasNotStolen(member.clone()));
        let untold = vec![entries(&known), signs(&later, &world.log_secret)];
        assert_eq!(
            condition(&world, &shown(untold, [&one, &other])),
            Condition::RosterIsWhole,
            "an entry is left out"
        );

        // The operator puts a key of its own in place, and signs as the member.
        let mut reset = world.known();
        let (impostor, change) = world.reset(&member);
        reset.fold(World::entry(3, world.change(&world.operator, &change))).unwrap();
        let [one, other] = two_headers(&world, &impostor);
        let shown = shown(roster(&reset, &world.log_secret), [&one, &other]);
        assert_eq!(condition(&world, &shown), Condition::KeyIsTheirs(member));
    }

    #[test]
    fn a_log_key_counts_by_the_word_of_the_one_before_and_by_that_of_members_on_a_condition() {
        let world = World::new();
        let next = SecretKey::generate().unwrap();
        let change = |vouching: &[&Signer], by: &SecretKey| {
            let change = world.succession(&next, 3, vouching);
            World::entry(3, world.notice(by, pb::body::Content::LogKeyChange(change)))
        };
        let two_histories = |known: &KnownRoster| {
            [[1; 32], [2; 32]].map(|root| {
                let checkpoint = Checkpoint { epoch: 1, size: 8, root, roster: [0; 32] };
                Exhibit::checkpoint(&known.log_keys().load().current().sign(&checkpoint, &next))
            })
        };
        let by_the_old = change(&[], &world.log_secret);
        let mut known = world.known();
        known.fold(by_the_old).unwrap();
        let mut shown = vec![entries(&known)];
        shown.extend(two_histories(&known));
        check(&world, &shown, Some("two different logs of 8"));
        assert_eq!(judge(&world.pin(), &shown[1..]), Err(InvalidEvidence::Exhibit(1)));

        // The operator can admit whom it likes, and a company that was alone at first speaks for most of that roster.
        let by_members = change(&[&world.acme, &world.bravo], &next);
        let before = world.known();
        let mut known = world.known();
        known.fold(by_members.clone()).unwrap();
        let mut shown = vec![entries(&known)];
        shown.extend(two_histories(&known));
        assert_eq!(condition(&world, &shown), Condition::LogKeyIsIts);
        let mut shown = roster(&before, &world.log_secret);
        shown.push(Exhibit::roster(&[&by_members]));
        shown.extend(two_histories(&known));
        assert_eq!(condition(&world, &shown), Condition::LogKeyIsIts);
    }

    #[test]
    fn what_was_signed_for_another_exchange_is_no_exhibit() {
        let (world, elsewhere) = (World::new(), World::new());
        let acme = Signer::new(
            elsewhere.founding.exchange.clone(),
            world.acme.member().clone(),
            world.acme.key().clone(),
        );
        let [one, _other] = two_headers(&elsewhere, &acme);
        let [_one, other] = two_headers(&world, &world.acme);
        let exhibits = [roster(&world.known(), &world.log_secret), vec![other, one]].concat();
        assert_eq!(judge(&world.pin(), &exhibits), Err(InvalidEvidence::Exhibit(4)));
        let mark = mark(&world, |mark| mark.exchange = elsewhere.founding.exchange.clone());
        assert_eq!(judge(&world.pin(), &[mark]), Err(InvalidEvidence::Exhibit(1)));
    }

    #[test]
    fn evidence_that_the_log_did_not_sign_is_refused() {
        let (world, stranger) = (World::new(), World::new());
        let checkpoint = Checkpoint { epoch: 1, size: 8, root: [1; 32], roster: [0; 32] };
        let forged = world.pin().log_key().sign(&checkpoint, &stranger.log_secret);
        let honest = Exhibit::checkpoint(&note(&world, 8, [2; 32]));
        let mixed = [honest, Exhibit::checkpoint(&forged)];
        assert_eq!(judge(&world.pin(), &mixed), Err(InvalidEvidence::Exhibit(2)));
        let Exhibit::Mark { statement, signature: _own } = mark(&world, |_same| {}) else {
            unreachable!()
        };
        let unsigned = Exhibit::Mark { statement, signature: BASE64.encode([0; 64]) };
        assert_eq!(judge(&world.pin(), &[unsigned]), Err(InvalidEvidence::Exhibit(1)));
        let Exhibit::Leaf { leaf_hash, path, note, .. } = leaf(&world, [2; 32]) else {
            unreachable!()
        };
        let moved = Exhibit::Leaf { sequence: 1, leaf_hash, path, note };
        assert_eq!(judge(&world.pin(), &[moved]), Err(InvalidEvidence::Exhibit(1)));
    }
}
