//! Keys: Ed25519 by default, ECDSA P-256 for those who keep theirs in an HSM or KMS.

use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
use aws_lc_rs::signature::ParsedPublicKey;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use zeroize::Zeroizing;

use crate::model::names::KeyId;

/// `SubjectPublicKeyInfo` of an Ed25519 key up to the 32 key bytes (RFC 8410).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// `SubjectPublicKeyInfo` of a P-256 key up to the 65 bytes of its uncompressed point (RFC 5480).
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why bytes are not a key that may be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not the DER encoding of an Ed25519 or P-256 public key.
    #[error("the key is not an Ed25519 or P-256 SubjectPublicKeyInfo in DER")]
    Format,
    /// Anyone could make signatures that seem to be by this key.
    #[error("the key is of small or mixed order")]
    Weak,
    /// The proof that its holder wants it registered is missing or wrong.
    #[error("the proof of possession does not verify")]
    Possession,
    /// The private key could not be read or made.
    #[error("the private key cannot be read")]
    Private,
}

/// A public key, parsed once.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    id: KeyId,
    spki: Vec<u8>,
    pub(super) algorithm: Algorithm,
}

#[derive(Clone, Debug)]
pub(super) enum Algorithm {
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    P256(Box<ParsedPublicKey>),
}

impl VerifyingKey {
    /// Parses a `SubjectPublicKeyInfo`; refuses weak keys and keys with a torsion part, under which several
    /// verifiers would not agree.
    pub fn from_spki(spki: &[u8]) -> Result<Self, InvalidKey> {
        let algorithm = if let Some(bytes) = spki.strip_prefix(&ED25519_SPKI) {
            Algorithm::Ed25519(Box::new(ed25519(bytes)?))
        } else if spki.strip_prefix(&P256_SPKI).is_some_and(|point| point.len() == 65) {
            let point = spki.get(P256_SPKI.len()..).unwrap_or_default();
            let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .map_err(|_rejected| InvalidKey::Format)?;
            Algorithm::P256(Box::new(parsed))
        } else {
            return Err(InvalidKey::Format);
        };
        Ok(Self { id: KeyId::of_spki(spki), spki: spki.to_vec(), algorithm })
    }

    /// Its id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// `SubjectPublicKeyInfo`, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The 32 raw bytes of an Ed25519 key.
    pub fn ed25519_bytes(&self) -> Option<[u8; 32]> {
        match &self.algorithm {
            Algorithm::Ed25519(key) => Some(key.to_bytes()),
            Algorithm::P256(_) => None,
        }
    }
}

fn ed25519(bytes: &[u8]) -> Result<ed25519_dalek::VerifyingKey, InvalidKey> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_length| InvalidKey::Format)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes)
        .map_err(|_not_a_point| InvalidKey::Format)?;
    let point = key.to_edwards();
    // The point must also be written the one canonical way: an id is a digest of these bytes.
    let canonical = point.compress().to_bytes() == bytes;
    if key.is_weak() || !point.is_torsion_free() || !canonical {
        return Err(InvalidKey::Weak);
    }
    Ok(key)
}

/// A private Ed25519 key. Its `Debug` shows the public part only.
#[derive(Clone)]
pub struct SecretKey {
    inner: SigningKey,
    id: KeyId,
}

impl SecretKey {
    /// A new random key.
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut()).map_err(|_no_randomness| InvalidKey::Private)?;
        Ok(Self::from_inner(SigningKey::from_bytes(&seed)))
    }

    /// Reads PKCS#8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKey> {
        let inner = SigningKey::from_pkcs8_pem(pem).map_err(|_unreadable| InvalidKey::Private)?;
        Ok(Self::from_inner(inner))
    }

    /// Writes PKCS#8 PEM, without the public key: version 2 of the format, which has it, is not read everywhere.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, InvalidKey> {
        let bytes = KeypairBytes { secret_key: self.inner.to_bytes(), public_key: None };
        bytes.to_pkcs8_pem(LineEnding::LF).map_err(|_unwritable| InvalidKey::Private)
    }

    /// The id of the public key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The public key's `SubjectPublicKeyInfo`, DER.
    pub fn spki(&self) -> Vec<u8> {
        spki_of(&self.inner.verifying_key())
    }

    /// Signs the DSSE pre-authentication encoding of a payload.
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> [u8; 64] {
        self.sign_bytes(&super::pre_authentication_encoding(payload_type, payload))
    }

    /// Signs bytes as they are: for checkpoints, whose note format is what is signed.
    pub fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        self.inner.sign(bytes).to_bytes()
    }

    fn from_inner(inner: SigningKey) -> Self {
        let id = KeyId::of_spki(&spki_of(&inner.verifying_key()));
        Self { inner, id }
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SecretKey({})", self.id)
    }
}

fn spki_of(key: &ed25519_dalek::VerifyingKey) -> Vec<u8> {
    [ED25519_SPKI.as_slice(), key.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem() {
        let key = SecretKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let again = SecretKey::from_pem(&pem).unwrap();
        assert_eq!(again.id(), key.id());
        // Version 1 of RFC 5958 for Ed25519 (RFC 8410): 48 bytes, which every reader takes.
        assert_eq!(pem.lines().nth(1).map(str::len), Some(64), "48 bytes in base64");
        let public = VerifyingKey::from_spki(&key.spki()).unwrap();
        assert_eq!((public.id(), public.spki()), (key.id(), key.spki().as_slice()));
    }

    #[test]
    fn only_a_key_of_ed25519_has_its_raw_bytes() {
        let spki = SecretKey::generate().unwrap().spki();
        let raw = VerifyingKey::from_spki(&spki).unwrap().ed25519_bytes().unwrap();
        assert_eq!([ED25519_SPKI.as_slice(), &raw].concat(), spki);
        // The base point (SEC 2, section 2.4.2).
        let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        let y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        let point = hex::decode(format!("04{x}{y}")).unwrap();
        let spki = [P256_SPKI.as_slice(), &point].concat();
        assert_eq!(VerifyingKey::from_spki(&spki).unwrap().ed25519_bytes(), None);
    }

    #[test]
    fn small_order_keys_are_refused() {
        // The neutral element, and a point of order 8 (both from the list of low-order points).
        let neutral = "0100000000000000000000000000000000000000000000000000000000000000";
        let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
        for hex in [neutral, order_8] {
            let spki = [ED25519_SPKI.as_slice(), &hex::decode(hex).unwrap()].concat();
            assert_eq!(VerifyingKey::from_spki(&spki).unwrap_err(), InvalidKey::Weak, "{hex}");
        }
    }

    #[test]
    fn a_debugged_secret_key_shows_no_secret() {
        let key = SecretKey::generate().unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SecretKey({})", key.id()));
    }
}
