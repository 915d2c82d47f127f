//! Fingerprints of keys, as people compare them: in hex, and in words that two of them can read to each other on the
//! phone.
//!
//! The words are the first 128 bits of the digest as BIP-39 writes them: twelve words of its English list, the last of
//! which also carries a checksum, so that most slips are noticed before anything is compared. To find other keys with
//! the same words takes 2^128 tries, as many as to find the private key of an Ed25519 key itself. They are no secret.

use std::fmt;
use std::str::FromStr;

use bip39::Language;
use bip39::Mnemonic;
use sha2::Digest as _;
use sha2::Sha256;

use crate::model::names::Digest;
use crate::model::names::InvalidName;
use crate::model::names::KeyId;

/// Bytes of the digest that the words stand for.
const WORDS_BYTES: usize = 16;
/// How many words that makes.
const WORDS: usize = 12;

/// The digest of one key, or of several in a fixed order. Its `Display` is the whole digest in lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Digest);

impl Fingerprint {
    /// Of keys in this order (`SubjectPublicKeyInfo`, DER). Of one key it is the digest that is its id; of an
    /// exchange's operator key and log key, the one that begins with the digits of the exchange's name.
    pub fn of_keys(spkis: &[&[u8]]) -> Self {
        let whole = spkis.iter().fold(Sha256::new(), Sha256::chain_update);
        Self(whole.finalize().into())
    }

    /// Of the key with this id.
    pub const fn of_key(id: KeyId) -> Self {
        Self(*id.as_bytes())
    }

    /// Twelve words for the first 128 bits.
    pub fn words(&self) -> String {
        let start = self.0.get(..WORDS_BYTES).unwrap_or_default();
        // Sixteen bytes always make twelve words.
        let words = Mnemonic::from_entropy_in(Language::English, start);
        words.map(|words| words.words().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    }

    /// Whether a text that somebody read out or sent is this fingerprint: its twelve words, in any case and with any
    /// blanks or hyphens between them, or its hex digits, all of them.
    pub fn is_said_by(&self, text: &str) -> bool {
        let parts: Vec<String> = text
            .split(|letter: char| letter.is_whitespace() || matches!(letter, '-' | ','))
            .filter(|part| !part.is_empty())
            .take(WORDS + 1)
            .map(str::to_lowercase)
            .collect();
        match parts.as_slice() {
            [hex] => *hex == self.to_string(),
            words => words.join(" ") == self.words(),
        }
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // A digest is written as the id of a key is.
        text.parse().map(Self::of_key)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::ExchangeName;

    #[test]
    fn the_words_are_those_of_the_published_vectors() {
        let of = |byte: u8| Fingerprint([byte; 32]).words();
        // From the vectors that BIP-39 points to.
        assert_eq!(of(0), format!("{}about", "abandon ".repeat(11)));
        assert_eq!(of(0xff), format!("{}wrong", "zoo ".repeat(11)));
        assert_eq!(
            of(0x7f),
            "legal winner thank year wave sausage worth useful legal winner thank yellow"
        );
    }

    #[test]
    fn an_exchanges_fingerprint_begins_with_the_digits_of_its_name() {
        let name = ExchangeName::derive("spring", b"operator", b"log").unwrap();
        let fingerprint = Fingerprint::of_keys(&[b"operator", b"log"]).to_string();
        assert!(name.name().ends_with(fingerprint.get(..16).unwrap()));
        assert_ne!(Fingerprint::of_keys(&[b"log", b"operator"]).to_string(), fingerprint);
    }

    #[test]
    fn a_key_has_one_fingerprint_by_its_id_and_by_its_bytes() {
        let by_bytes = Fingerprint::of_keys(&[b"a key"]);
        let by_id = Fingerprint::of_key(KeyId::of_spki(b"a key"));
        assert_eq!(by_bytes, by_id);
        assert_eq!(by_id.to_string(), KeyId::of_spki(b"a key").to_string());
    }

    #[test]
    fn what_somebody_reads_out_is_recognised_and_nothing_like_it() {
        let one = Fingerprint([0x7f; 32]);
        let words = one.words();
        for said in [
            words.clone(),
            words.to_uppercase(),
            words.replace(' ', "-"),
            format!("  {}\n", words.replace(' ', "  \t")),
            one.to_string(),
            one.to_string().to_uppercase(),
        ] {
            assert!(one.is_said_by(&said), "{said:?}");
        }
        let (first, _last) = words.rsplit_once(' ').unwrap();
        for wrong in [
            String::new(),
            "legal".to_owned(),
            first.to_owned(),
            format!("{first} year"),
            format!("{words} legal"),
            one.to_string().get(..16).unwrap().to_owned(),
            Fingerprint([0x7e; 32]).to_string(),
        ] {
            assert!(!one.is_said_by(&wrong), "{wrong:?}");
        }
    }
}
