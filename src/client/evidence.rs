//! What shows that the hub deviated: a file that its finder keeps and others can check, with nothing but the hub's public
//! key.
//!
//! Some deviations prove themselves, because the hub signed both of two things that cannot both be. Of others only the
//! finder knows what came: then the file says what it saw, and the verdict says that it proves nothing alone.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::Message as _;
use serde::Deserialize;
use serde::Serialize;

use crate::client::judge;
use crate::client::judge::InvalidEvidence;
use crate::client::judge::Verdict;
use crate::client::pin::Pin;
use crate::client::verifier::VerificationError;
use crate::model::names::Digest;
use crate::model::time::Timestamp;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::wire;
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

    /// How many entries the log had at least when the last of the roster entries in it was taken in; `None` if there are none in
    /// it. What became of keys later, it does not say.
    pub fn roster_size(&self) -> Option<u64> {
        let entries = self.exhibits.iter().filter_map(|exhibit| match exhibit {
            Exhibit::Roster { entries } => Some(entries),
            Exhibit::Checkpoint { .. }
            | Exhibit::Mark { .. }
            | Exhibit::Leaf { .. }
            | Exhibit::Header { .. }
            | Exhibit::PublisherHead { .. }
            | Exhibit::Listing { .. }
            | Exhibit::Received { .. } => None,
        });
        let sequence = |entry: &String| {
            let entry = pb::Entry::decode(BASE64.decode(entry).ok()?.as_slice()).ok()?;
            Some(entry.sequence.saturating_add(1))
        };
        entries.flatten().filter_map(sequence).max()
    }

    /// Judges it by what the log's key signed, and by the keys that the roster entries in it register.
    pub fn judge(&self) -> Result<Verdict, InvalidEvidence> {
        judge::judge(&self.pin()?, &self.exhibits)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::World;

    fn evidence(world: &World) -> Evidence {
        Evidence {
            version: VERSION,
            exchange: world.founding.exchange.name(),
            genesis: BASE64.encode(world.founding.genesis.encode_to_vec()),
            finder: "members/acme-video".to_owned(),
            time: world.now.to_string(),
            deviation: "because".to_owned(),
            exhibits: vec![
                Exhibit::Checkpoint { note: "a note".to_owned() },
                Exhibit::mark(b"statement", &[1; 64]),
                Exhibit::leaf(2, &[3; 32], &[[4; 32], [5; 32]], "a note"),
                Exhibit::roster(&world.entries.iter().collect::<Vec<_>>()),
                Exhibit::header(b"header", "key", b"signature"),
                Exhibit::received("a frame", b"bytes"),
            ],
        }
    }

    #[test]
    fn a_file_of_evidence_is_read_as_it_was_written() {
        let evidence = evidence(&World::new());
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(Evidence::parse(&text), Some(Ok(evidence)));
    }

    #[test]
    fn what_is_no_evidence_or_made_up_is_told_apart() {
        let (world, stranger) = (World::new(), World::new());
        assert!(Evidence::parse("{}").is_none());
        assert!(Evidence::parse("{\"watchfire_evidence\":1}").unwrap().is_err());
        let mut other = evidence(&world);
        other.genesis = BASE64.encode(stranger.founding.genesis.encode_to_vec());
        assert!(matches!(other.judge(), Err(InvalidEvidence::Exchange(_))));
        let later = Evidence { version: VERSION + 1, ..evidence(&world) };
        let text = serde_json::to_string(&later).unwrap();
        assert!(matches!(Evidence::parse(&text), Some(Err(InvalidEvidence::Format(_)))));
    }
}
