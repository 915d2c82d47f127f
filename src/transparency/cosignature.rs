//! Cosignatures: a witness says that it checked a checkpoint (C2SP tlog-cosignature, version 1, Ed25519).
//!
//! A witness signs a checkpoint only as a continuation of the one that it signed before. So a log that shows two
//! histories needs witnesses for both, and each witness has only one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::VerifyingKey;
use crate::transparency::Checkpoint;
use crate::transparency::InvalidCheckpoint;
use crate::transparency::LogKeys;

/// The signature type of a timestamped Ed25519 cosignature (C2SP signed-note).
const COSIGNATURE_V1: u8 = 0x04;
/// Key hash, time and signature.
const LINE_BYTES: usize = 4 + 8 + 64;

/// A witness, as the name and key of its cosignatures have it.
#[derive(Clone, Debug)]
pub struct Cosigner {
    name: String,
    key: VerifyingKey,
    hint: [u8; 4],
}

/// A checkpoint that a witness cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What was cosigned.
    pub checkpoint: Checkpoint,
    /// When, by the witness's clock, in seconds since 1970.
    pub time: u64,
    /// The note with two signatures, the log's and the witness's, and no other.
    pub note: String,
}

/// Two logs of one size and epoch, both signed by the log's key: each note proves half of it. A witness's cosignature on
/// one shows to whom it was shown besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictingCheckpoints {
    /// The signed notes, as they came.
    pub notes: [String; 2],
}

impl Cosigner {
    /// A member of an exchange as a witness; `None` unless its key is an Ed25519 key.
    pub fn of_member(
        exchange: &ExchangeName,
        member: &MemberId,
        key: VerifyingKey,
    ) -> Option<Self> {
        Self::named(format!("watchfire/{exchange}/{}", member.name()), key)
    }

    /// A witness of any name; `None` unless its key is an Ed25519 key.
    pub fn named(name: String, key: VerifyingKey) -> Option<Self> {
        let digest = Sha256::new()
            .chain_update(name.as_bytes())
            .chain_update([b'\n', COSIGNATURE_V1])
            .chain_update(key.ed25519_bytes()?)
            .finalize();
        let mut hint = [0; 4];
        hint.copy_from_slice(digest.get(..4)?);
        Some(Self { name, key, hint })
    }

    /// The name in its signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The signature line of a note's body, which ends with its newline, at a time in seconds since 1970.
    fn line(&self, body: &str, time: u64, secret: &SecretKey) -> String {
        let signature = secret.sign_bytes(message(body, time).as_bytes());
        let bytes = [self.hint.as_slice(), &time.to_be_bytes(), &signature].concat();
        format!("\u{2014} {} {}\n", self.name, BASE64.encode(bytes))
    }

    /// The time of a signature line, if it is one of this witness over a note's body.
    fn time_of(&self, line: &str, body: &str) -> Option<u64> {
        let text = line.strip_prefix("\u{2014} ")?.strip_prefix(&self.name)?.strip_prefix(' ')?;
        let bytes = BASE64.decode(text).ok().filter(|bytes| bytes.len() == LINE_BYTES)?;
        let (time, signature) = bytes.strip_prefix(&self.hint)?.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let message = message(body, time);
        let claim = Claim {
            payload_type: "",
            payload: message.as_bytes(),
            signature,
            key: &self.key,
            value: time,
        };
        signing::verify_bytes(claim).ok().map(signing::Verified::into_inner)
    }
}

/// What a cosignature signs: a note's body at a time.
fn message(body: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{body}")
}

impl LogKeys {
    /// Adds a witness's signature to a checkpoint of this log, at a time in seconds since 1970; other signatures than
    /// the log's are left out.
    pub fn cosign(
        &self,
        note: &str,
        cosigner: &Cosigner,
        (time, secret): (u64, &SecretKey),
    ) -> Result<Cosigned, InvalidCheckpoint> {
        let (checkpoint, bare) = self.bare(note)?;
        let body = body_of(&bare).ok_or(InvalidCheckpoint::Format)?;
        let line = cosigner.line(body, time, secret);
        Ok(Cosigned { checkpoint, time, note: format!("{bare}{line}") })
    }

    /// Opens a checkpoint of this log that a witness cosigned. Of several lines of that witness the first that holds
    /// counts.
    pub fn open_cosigned(
        &self,
        note: &str,
        cosigner: &Cosigner,
    ) -> Result<Cosigned, InvalidCheckpoint> {
        let (checkpoint, bare) = self.bare(note)?;
        let body = body_of(&bare).ok_or(InvalidCheckpoint::Format)?;
        let (_text, signatures) = note.split_once("\n\n").ok_or(InvalidCheckpoint::Format)?;
        let mut lines = signatures.lines().map(|line| (line, cosigner.time_of(line, body)));
        let (line, time) = lines
            .find_map(|(line, time)| Some((line, time?)))
            .ok_or(InvalidCheckpoint::Signature)?;
        Ok(Cosigned { checkpoint, time, note: format!("{bare}{line}\n") })
    }
}

/// A note's body, with its newline.
fn body_of(note: &str) -> Option<&str> {
    let end = note.find("\n\n")?;
    note.get(..=end)
}

impl ConflictingCheckpoints {
    /// Demands that the log's key signed both, and that both cannot be: one epoch and size, and two roots or rosters.
    pub fn check(&self, log_keys: &LogKeys) -> Result<[Checkpoint; 2], InvalidCheckpoint> {
        let [one, other] = &self.notes;
        let both = [log_keys.open(one)?, log_keys.open(other)?];
        let [one, other] = &both;
        let conflict = (one.epoch, one.size) == (other.epoch, other.size) && one != other;
        if conflict { Ok(both) } else { Err(InvalidCheckpoint::NoConflict) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transparency::LogKey;

    /// `SubjectPublicKeyInfo` of an Ed25519 key up to the key (RFC 8410).
    const SPKI: &str = "302a300506032b6570032100";

    struct Scene {
        log: LogKeys,
        log_secret: SecretKey,
        witness: Cosigner,
        secret: SecretKey,
    }

    fn exchange() -> ExchangeName {
        ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap()
    }

    fn key(secret: &SecretKey) -> VerifyingKey {
        VerifyingKey::from_spki(&secret.spki()).unwrap()
    }

    fn scene() -> Scene {
        let (log_secret, secret) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let member = "birch-social".parse().unwrap();
        Scene {
            log: LogKeys::new(LogKey::new(&exchange(), key(&log_secret)).unwrap()),
            witness: Cosigner::of_member(&exchange(), &member, key(&secret)).unwrap(),
            log_secret,
            secret,
        }
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { epoch: 1, size, root: [7; 32], roster: [6; 32] }
    }

    impl Scene {
        fn note(&self, checkpoint: &Checkpoint) -> String {
            self.log.current().sign(checkpoint, &self.log_secret)
        }

        fn cosigned(&self, size: u64, time: u64) -> Cosigned {
            let note = self.note(&checkpoint(size));
            self.log.cosign(&note, &self.witness, (time, &self.secret)).unwrap()
        }
    }

    #[test]
    fn the_example_of_the_standard_has_the_layout_that_is_read() {
        // The signature line of C2SP tlog-cosignature's example: key hash, time, signature.
        let line = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
        let bytes = BASE64.decode(line).unwrap();
        assert_eq!(bytes.len(), LINE_BYTES);
        assert_eq!(hex::encode(&bytes[..4]), "8d66cf3f");
        assert_eq!(bytes[4..12], 1_679_315_147_u64.to_be_bytes());
        let body =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let signed = format!("cosignature/v1\ntime 1679315147\n{body}");
        assert_eq!(message(body, 1_679_315_147), signed);
    }

    #[test]
    fn a_key_of_a_published_test_vector_has_the_key_hash_of_the_formula() {
        // Test 1 of RFC 8032; the hash by `printf 'witness.example.com/w1\n\x04'; KEY | sha256sum`.
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let spki = hex::decode(format!("{SPKI}{public}")).unwrap();
        let key = VerifyingKey::from_spki(&spki).unwrap();
        let witness = Cosigner::named("witness.example.com/w1".to_owned(), key).unwrap();
        assert_eq!(hex::encode(witness.hint), "7e6f4aaa");
    }

    #[test]
    fn a_cosigned_checkpoint_survives_its_note() {
        let scene = scene();
        let cosigned = scene.cosigned(12, 1_800_000_000);
        assert_eq!(scene.log.open(&cosigned.note), Ok(checkpoint(12)), "it is a checkpoint still");
        assert_eq!(scene.log.open_cosigned(&cosigned.note, &scene.witness), Ok(cosigned.clone()));
        let line = cosigned.note.lines().last().unwrap();
        assert!(
            line.starts_with("\u{2014} watchfire/spring-0123456789abcdef/members/birch-social ")
        );
        let noisy = format!("{}\u{2014} somebody/else AAAA\n", cosigned.note);
        assert_eq!(scene.log.open_cosigned(&noisy, &scene.witness), Ok(cosigned));
    }

    #[test]
    fn a_cosignature_of_another_log_witness_key_or_time_is_refused() {
        let (scene, other) = (scene(), scene());
        let cosigned = scene.cosigned(12, 1_800_000_000);
        let bad = Err(InvalidCheckpoint::Signature);
        assert_eq!(other.log.open_cosigned(&cosigned.note, &scene.witness), bad);
        assert_eq!(scene.log.open_cosigned(&cosigned.note, &other.witness), bad);
        let bare = scene.note(&checkpoint(12));
        assert_eq!(scene.log.open_cosigned(&bare, &scene.witness), bad);
        // The line of another checkpoint.
        let line = scene.cosigned(11, 1_800_000_000);
        let line = line.note.lines().last().unwrap();
        assert_eq!(scene.log.open_cosigned(&format!("{bare}{line}\n"), &scene.witness), bad);
        // Another time than was signed.
        let line = cosigned.note.lines().last().unwrap();
        let (head, text) = line.rsplit_once(' ').unwrap();
        let mut bytes = BASE64.decode(text).unwrap();
        bytes[11] ^= 1;
        let later = format!("{bare}{head} {}\n", BASE64.encode(bytes));
        assert_eq!(scene.log.open_cosigned(&later, &scene.witness), bad);
        // The log's own signature is no cosignature, whoever has the key.
        let log_key = key(&scene.log_secret);
        let same =
            Cosigner::named("watchfire/spring-0123456789abcdef".to_owned(), log_key).unwrap();
        assert_eq!(scene.log.open_cosigned(&bare, &same), bad);
    }

    #[test]
    fn two_logs_of_one_size_are_evidence_and_nothing_else_is() {
        let scene = scene();
        let note = |size, root| scene.note(&Checkpoint { epoch: 1, size, root, roster: [6; 32] });
        let pair = |one: &str, other: &str| ConflictingCheckpoints {
            notes: [one.to_owned(), other.to_owned()],
        };
        let (one, other) = (note(12, [7; 32]), note(12, [8; 32]));
        let witnessed = scene.cosigned(12, 1).note;
        assert!(pair(&one, &other).check(&scene.log).is_ok());
        assert!(pair(&other, &witnessed).check(&scene.log).is_ok());
        let fits = Err(InvalidCheckpoint::NoConflict);
        assert_eq!(pair(&one, &witnessed).check(&scene.log), fits);
        let roster = scene.note(&Checkpoint { roster: [5; 32], ..checkpoint(12) });
        assert!(pair(&one, &roster).check(&scene.log).is_ok(), "another roster");
        assert_eq!(pair(&one, &note(13, [8; 32])).check(&scene.log), fits);
        let forged = self::scene().note(&Checkpoint { root: [9; 32], ..checkpoint(12) });
        assert_eq!(pair(&one, &forged).check(&scene.log), Err(InvalidCheckpoint::Signature));
    }

    proptest! {
        #[test]
        fn no_text_makes_opening_panic(text in "\\PC{0,40}", cut in 0_usize..400, put in 0_usize..400) {
            let scene = scene();
            let note = scene.cosigned(3, 9).note;
            let letters = note.chars().count();
            let (start, end) = (cut.min(put).min(letters), cut.max(put).min(letters));
            let before: String = note.chars().take(start).collect();
            let changed: String =
                before.chars().chain(text.chars()).chain(note.chars().skip(end)).collect();
            let opened = scene.log.open_cosigned(&changed, &scene.witness);
            prop_assert!(opened.is_err() || opened.unwrap().checkpoint == checkpoint(3));
        }
    }
}
