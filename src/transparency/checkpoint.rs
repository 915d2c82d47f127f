//! Checkpoints: the log's size and root, signed (C2SP tlog-checkpoint and signed-note).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::VerifyingKey;

/// The signature type of a plain Ed25519 note signature (C2SP signed-note).
const ED25519_NOTE: u8 = 0x01;
/// Bytes of a checkpoint at most: a body of three short lines and a few signatures.
const CHECKPOINT_BYTES_MAX: usize = 8 * 1024;

/// Why a text is not a checkpoint of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// Not a signed note with origin, size and root.
    #[error("the checkpoint is not a signed note with origin, size and root")]
    Format,
    /// Another log's.
    #[error("the checkpoint is of another log")]
    Origin,
    /// No valid signature of the log's key.
    #[error("the checkpoint has no valid signature of the key that must have signed it")]
    Signature,
    /// Both may be of one history.
    #[error("the two checkpoints do not contradict each other")]
    NoConflict,
}

/// The size and root of a log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's epoch, from 1; a restore begins a new one. An extension line of the note.
    pub epoch: u32,
    /// The number of entries.
    pub size: u64,
    /// The root of the Merkle tree over their leaf hashes.
    pub root: Digest,
    /// Running digest over the leaf hashes of the entries about the roster among them, see [`roster_digest`]: who folds
    /// them has all of them, and the hub cannot show one member another roster without signing another checkpoint. An
    /// extension line of the note.
    pub roster: Digest,
}

/// The running digest over roster entries, with one more: SHA-256(digest before || leaf hash). It begins with 32 zero
/// bytes.
pub fn roster_digest(before: &Digest, leaf_hash: &Digest) -> Digest {
    Sha256::new().chain_update(before).chain_update(leaf_hash).finalize().into()
}

/// Who signs checkpoints of which log.
#[derive(Clone, Debug)]
pub struct LogKey {
    origin: String,
    key: VerifyingKey,
    hint: [u8; 4],
}

impl LogKey {
    /// The key alone, which also signs the hub's own entries.
    pub const fn verifying(&self) -> &VerifyingKey {
        &self.key
    }

    /// The key of an exchange's log; `None` unless it is an Ed25519 key.
    pub fn new(exchange: &ExchangeName, key: VerifyingKey) -> Option<Self> {
        let origin = format!("watchfire/{exchange}");
        let raw = key.ed25519_bytes()?;
        let digest = Sha256::new()
            .chain_update(origin.as_bytes())
            .chain_update([b'\n', ED25519_NOTE])
            .chain_update(raw)
            .finalize();
        let mut hint = [0; 4];
        hint.copy_from_slice(digest.get(..4)?);
        Some(Self { origin, key, hint })
    }

    /// Signs a checkpoint with the secret part of this key.
    pub fn sign(&self, checkpoint: &Checkpoint, secret: &SecretKey) -> String {
        let body = self.body(checkpoint);
        let signature = secret.sign_bytes(body.as_bytes());
        let line = BASE64.encode([self.hint.as_slice(), &signature].concat());
        format!("{body}\n\u{2014} {} {line}\n", self.origin)
    }

    /// Opens a checkpoint of this log.
    pub fn open(&self, note: &str) -> Result<Checkpoint, InvalidCheckpoint> {
        self.open_read(&Note::read(note)?)
    }

    /// The same of a note that was taken apart.
    pub(super) fn open_read(&self, note: &Note<'_>) -> Result<Checkpoint, InvalidCheckpoint> {
        self.signature_of(note).map(|_line| note.checkpoint)
    }

    /// The same, and the note without other signatures than the log's.
    pub(super) fn bare(&self, note: &Note<'_>) -> Result<(Checkpoint, String), InvalidCheckpoint> {
        let line = self.signature_of(note)?;
        Ok((note.checkpoint, format!("{}\n\n{line}\n", note.text)))
    }

    /// The line that has the log's signature.
    fn signature_of<'a>(&self, note: &Note<'a>) -> Result<&'a str, InvalidCheckpoint> {
        if note.origin != self.origin {
            return Err(InvalidCheckpoint::Origin);
        }
        let body = format!("{}\n", note.text);
        let mut lines = note.signatures.lines();
        let line = lines.find(|line| self.is_signature(line, body.as_bytes()));
        line.ok_or(InvalidCheckpoint::Signature)
    }

    fn body(&self, checkpoint: &Checkpoint) -> String {
        let Checkpoint { epoch, size, root, roster } = checkpoint;
        let (root, roster) = (BASE64.encode(root), BASE64.encode(roster));
        format!("{}\n{size}\n{root}\nepoch {epoch}\nroster {roster}\n", self.origin)
    }

    fn is_signature(&self, line: &str, body: &[u8]) -> bool {
        let prefix = format!("\u{2014} {} ", self.origin);
        let Some(bytes) = line.strip_prefix(&prefix).and_then(|text| BASE64.decode(text).ok())
        else {
            return false;
        };
        let Some(signature) = bytes.strip_prefix(&self.hint) else {
            return false;
        };
        signing::verify_bytes(Claim {
            payload_type: "",
            payload: body,
            signature,
            key: &self.key,
            value: (),
        })
        .is_ok()
    }
}

impl Checkpoint {
    /// What a note says, whoever signed it: for one that was opened before it was kept.
    pub fn read_unverified(note: &str) -> Result<Self, InvalidCheckpoint> {
        Note::read(note).map(|note| note.checkpoint)
    }
}

/// A note, taken apart; its signature is not checked yet.
pub(super) struct Note<'a> {
    origin: &'a str,
    /// What is signed, without the last line break.
    text: &'a str,
    signatures: &'a str,
    /// What it says.
    pub(super) checkpoint: Checkpoint,
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    pub(super) fn read(note: &'a str) -> Result<Self, InvalidCheckpoint> {
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(InvalidCheckpoint::Format);
        }
        let (text, signatures) = note.split_once("\n\n").ok_or(InvalidCheckpoint::Format)?;
        let mut lines = text.split('\n');
        let origin = lines.next().ok_or(InvalidCheckpoint::Format)?;
        let checkpoint = parse(&lines.collect::<Vec<_>>()).ok_or(InvalidCheckpoint::Format)?;
        Ok(Self { origin, text, signatures, checkpoint })
    }
}

/// The lines behind the origin.
fn parse(lines: &[&str]) -> Option<Checkpoint> {
    let [size, root, epoch, roster] = lines else { return None };
    let epoch = u32::try_from(number(epoch.strip_prefix("epoch ")?)?).ok();
    Some(Checkpoint {
        epoch: epoch.filter(|epoch| *epoch > 0)?,
        size: number(size)?,
        root: digest(root)?,
        roster: digest(roster.strip_prefix("roster ")?)?,
    })
}

fn digest(text: &str) -> Option<Digest> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// A decimal number in its one spelling.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (LogKey, SecretKey) {
        let secret = SecretKey::generate().unwrap();
        let exchange = ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap();
        let key = VerifyingKey::from_spki(&secret.spki()).unwrap();
        (LogKey::new(&exchange, key).unwrap(), secret)
    }

    #[test]
    fn a_checkpoint_survives_its_note() {
        let (log, secret) = log();
        let checkpoint = Checkpoint { epoch: 1, size: 12, root: [7; 32], roster: [8; 32] };
        let note = log.sign(&checkpoint, &secret);
        assert!(note.starts_with("watchfire/spring-0123456789abcdef\n12\nBwcH"));
        assert!(
            note.contains("=\nepoch 1\nroster CAgI")
                && note.contains("=\n\n\u{2014} watchfire/spring")
        );
        assert_eq!(log.open(&note), Ok(checkpoint));
    }

    #[test]
    fn a_changed_checkpoint_is_refused() {
        let (log, secret) = log();
        let note =
            log.sign(&Checkpoint { epoch: 1, size: 12, root: [7; 32], roster: [8; 32] }, &secret);
        assert_eq!(log.open(&note.replace("\n12\n", "\n13\n")), Err(InvalidCheckpoint::Signature));
        assert_eq!(
            log.open(&note.replace("epoch 1", "epoch 2")),
            Err(InvalidCheckpoint::Signature)
        );
        for not_an_epoch in ["epoch 0", "epoch 01", "epoch +1", "epoch", "epoch 1\nmore"] {
            let changed = note.replace("epoch 1", not_an_epoch);
            assert_eq!(log.open(&changed), Err(InvalidCheckpoint::Format));
        }
        assert_eq!(log.open(&note.replace("spring", "autumn")), Err(InvalidCheckpoint::Origin));
        assert_eq!(log.open(&note.replace("\n12\n", "\n012\n")), Err(InvalidCheckpoint::Format));
        let (_other, stranger) = self::log();
        let forged =
            log.sign(&Checkpoint { epoch: 1, size: 12, root: [7; 32], roster: [8; 32] }, &stranger);
        assert_eq!(log.open(&forged), Err(InvalidCheckpoint::Signature));
    }
}
