//! Ed25519 by the group equation of RFC 8032, section 5.1.7: `8 S B = 8 R + 8 k A`, alone or many at once.
//!
//! Alone and in a batch the verdict is the same, whoever made the signatures. That is why the equation has its
//! factor of eight: without it a signer who adds a point of small order to `R` passes a batch by luck that he would
//! fail alone, and a record that the hub took would stop every reader (Chalkias, Garillot, Nikolaenko: Taming the
//! many `EdDSAs`, 2020). Beside the equation all that has two spellings is refused: `S` must be below the group's
//! order, `R` canonical and not of small order; keys are checked where they are parsed.

use std::collections::HashMap;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::Scalar;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity as _;
use curve25519_dalek::traits::VartimeMultiscalarMul as _;
use ed25519_dalek::VerifyingKey;
use sha2::Digest as _;
use sha2::Sha512;

const RANDOM_BYTES: usize = 16;

/// A signature that is claimed.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) key: &'a VerifyingKey,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// A signature taken apart: its numbers are in range, its `R` has one spelling.
struct Parts {
    r: CompressedEdwardsY,
    s: Scalar,
    /// SHA-512 of R, key and message, as a scalar.
    challenge: Scalar,
}

impl Signed<'_> {
    fn parts(&self) -> Option<Parts> {
        let (r, s) = self.signature.split_first_chunk::<32>()?;
        if !is_canonical(r) || is_small(r) {
            return None;
        }
        let s = Option::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let hash = Sha512::new()
            .chain_update(r)
            .chain_update(self.key.as_bytes())
            .chain_update(self.message)
            .finalize();
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
        Some(Parts { r: CompressedEdwardsY(*r), s, challenge })
    }
}

/// Whether one signature holds.
pub(super) fn holds(signed: Signed<'_>) -> bool {
    let point = || {
        let Parts { r, s, challenge } = signed.parts()?;
        let minus_key = -signed.key.to_edwards();
        let expected =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &minus_key, &s);
        Some(expected - r.decompress()?)
    };
    point().is_some_and(|point| point.mul_by_cofactor().is_identity())
}

/// Whether all hold: a random combination of their equations does, which is false for a signature that does not
/// hold but with a chance of 2^-128 (Bernstein and others, "High-speed high-security signatures", 2011, section 5).
/// `false` says nothing of any one of them. Terms of the same key are added up first, so that a batch of one
/// publisher costs half.
pub(super) fn all_hold(all: &[Signed<'_>]) -> bool {
    let mut random = vec![0; all.len() * RANDOM_BYTES];
    if getrandom::fill(&mut random).is_err() {
        return false;
    }
    let (chunks, _rest) = random.as_chunks::<RANDOM_BYTES>();
    let mut scalars = Vec::with_capacity(all.len() + 2);
    let mut points = Vec::with_capacity(all.len() + 2);
    let mut base = Scalar::ZERO;
    let mut keys: HashMap<&[u8; 32], (EdwardsPoint, Scalar)> = HashMap::new();
    for (signed, chunk) in all.iter().zip(chunks) {
        let Some(Parts { r, s, challenge }) = signed.parts() else {
            return false;
        };
        let factor = Scalar::from(u128::from_be_bytes(*chunk));
        base -= factor * s;
        let (_point, sum) = keys
            .entry(signed.key.as_bytes())
            .or_insert_with(|| (signed.key.to_edwards(), Scalar::ZERO));
        *sum += factor * challenge;
        scalars.push(factor);
        points.push(r.decompress());
    }
    scalars.push(base);
    points.push(Some(ED25519_BASEPOINT_POINT));
    for (point, sum) in keys.into_values() {
        scalars.push(sum);
        points.push(Some(point));
    }
    EdwardsPoint::optional_multiscalar_mul(scalars, points)
        .is_some_and(|sum| sum.mul_by_cofactor().is_identity())
}

/// Whether a point's y is written below the field's prime, 2^255 - 19.
fn is_canonical(point: &[u8; 32]) -> bool {
    let masked = masked(point);
    let [first, middle @ .., last] = &masked;
    !(*last == 0x7f && *first >= 0xed && middle.iter().all(|byte| *byte == 0xff))
}

/// Whether it is one of the eight points of small order. Compared as bytes: multiplying would cost as much again as
/// a batch saves.
fn is_small(point: &[u8; 32]) -> bool {
    SMALL_ORDER.contains(&masked(point))
}

/// Without the sign of x.
fn masked(point: &[u8; 32]) -> [u8; 32] {
    let [rest @ .., last] = point;
    let mut masked = [last & 0x7f; 32];
    if let Some(place) = masked.first_chunk_mut() {
        *place = *rest;
    }
    masked
}

/// The y coordinates of the points of small order.
const SMALL_ORDER: [[u8; 32]; 5] = [
    y(0x00, 0x00, 0x00),
    y(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    y(0xec, 0xff, 0x7f),
];

const fn y(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;

    fn scalar(seed: u8) -> Scalar {
        Scalar::from_bytes_mod_order([seed; 32])
    }

    /// A signature by the holder of the secret, with a point of small order added to R.
    fn signed_with(torsion: EdwardsPoint, nonce: u8, message: &[u8]) -> (VerifyingKey, Vec<u8>) {
        let secret = scalar(7);
        let key = EdwardsPoint::mul_base(&secret).compress().to_bytes();
        let r = (EdwardsPoint::mul_base(&scalar(nonce)) + torsion).compress().to_bytes();
        let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
        let s = scalar(nonce) + Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
        (VerifyingKey::from_bytes(&key).unwrap(), [r, s.to_bytes()].concat())
    }

    #[test]
    fn a_signer_who_plays_with_small_order_gets_one_verdict_alone_and_in_every_batch() {
        for torsion in EIGHT_TORSION {
            let (key, signature) = signed_with(torsion, 9, b"one");
            let (_same, other) = signed_with(EIGHT_TORSION[1], 11, b"two");
            let one = Signed { key: &key, message: b"one", signature: &signature };
            let two = Signed { key: &key, message: b"two", signature: &other };
            let alone = holds(one) && holds(two);
            assert!(alone, "the equation of the RFC holds");
            for _batch in 0..64 {
                assert_eq!(all_hold(&[one, two]), alone);
            }
        }
    }

    #[test]
    fn another_message_fails_alone_and_in_a_batch() {
        let (key, signature) = signed_with(EIGHT_TORSION[0], 9, b"one");
        let good = Signed { key: &key, message: b"one", signature: &signature };
        let bad = Signed { message: b"two", ..good };
        assert!(holds(good) && !holds(bad));
        assert!(all_hold(&[good; 9]) && !all_hold(&[good, bad]) && !all_hold(&[bad, bad]));
    }

    #[test]
    fn points_of_small_order_and_second_spellings_are_refused_as_r() {
        for point in EIGHT_TORSION {
            assert!(is_small(&point.compress().to_bytes()));
        }
        for first in 0xed..=0xff {
            assert!(!is_canonical(&y(first, 0xff, 0x7f)));
            assert!(!is_canonical(&y(first, 0xff, 0xff)));
        }
        assert!(is_canonical(&y(0xec, 0xff, 0x7f)) && is_canonical(&y(0xed, 0xfe, 0x7f)));
        assert!(!is_small(&ED25519_BASEPOINT_POINT.compress().to_bytes()));
    }
}
