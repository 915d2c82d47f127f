//! PDQ hashes of images: their distance, and the keys under which near ones are found.
//!
//! Two hashes are near when at most 31 of their 256 bits differ. Cut into 16 parts of 16 bits, 31 differences
//! cannot put two into every part, so at least one part differs by one bit or none. A hash is stored under its
//! 16 parts, and asked for under each part and the 16 values one bit from it: whatever is near has a key in
//! common. A key in common is only a hint; the distance decides.

use std::array;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Bits of a hash.
pub const BITS: u32 = 256;
/// The distance up to which two images count as the same, in bits; the keys find everything up to it.
pub const NEAR_BITS_MAX: u32 = 31;
/// Keys under which a hash is stored.
pub const STORED_KEYS: usize = 16;
/// Keys under which a hash is asked for.
pub const PROBE_KEYS: usize = STORED_KEYS * (1 + PART_BITS);

const PART_BITS: usize = 16;

// By the pigeonhole principle: with two differences in every part there would be more than are allowed.
const _: () = assert!(NEAR_BITS_MAX < 32 && STORED_KEYS * PART_BITS == 256);

/// A PDQ hash of 256 bits.
///
/// It stands for the image as published: rotated and mirrored images have hashes of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pdq([u8; 32]);

/// A text that is not a PDQ hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a pdq hash is 64 hex digits")]
pub struct InvalidPdq;

impl Pdq {
    /// Its bytes, the first two hex digits first.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, the first two hex digits first.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// In how many of the 256 bits two hashes differ (Hamming distance).
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(&other.0).map(|(mine, theirs)| (mine ^ theirs).count_ones()).sum()
    }

    /// Whether the distance is at most [`NEAR_BITS_MAX`].
    pub fn is_near(&self, other: &Self) -> bool {
        self.distance(other) <= NEAR_BITS_MAX
    }

    fn parts(&self) -> [PartKey; STORED_KEYS] {
        let mut bytes = self.0.iter().copied();
        let mut next = || bytes.next().unwrap_or_default();
        let mut part = 0..;
        array::from_fn(|_index| PartKey {
            part: part.next().unwrap_or_default(),
            value: u16::from_be_bytes([next(), next()]),
        })
    }
}

impl FromStr for Pdq {
    type Err = InvalidPdq;

    /// Exactly 64 hex digits of either case, and nothing around them.
    fn from_str(text: &str) -> Result<Self, InvalidPdq> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_not_hex| InvalidPdq)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Pdq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Pdq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pdq({self})")
    }
}

/// A part of a hash: which of the 16, and its 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartKey {
    /// Which part, 0 to 15.
    pub part: u8,
    /// Its bits.
    pub value: u16,
}

impl PartKey {
    /// As a key in a store: the part, then its bits, big-endian.
    pub const fn to_bytes(self) -> [u8; 3] {
        let [high, low] = self.value.to_be_bytes();
        [self.part, high, low]
    }
}

/// The keys under which a hash is stored.
pub fn stored_keys(hash: &Pdq) -> [PartKey; STORED_KEYS] {
    hash.parts()
}

/// The [`PROBE_KEYS`] keys, each once, of which at least one is a stored key of every near hash.
pub fn probe_keys(hash: &Pdq) -> impl Iterator<Item = PartKey> + use<> {
    hash.parts().into_iter().flat_map(|key| {
        let flips = (0..u16::BITS).map(|bit| 1_u16 << bit);
        [0].into_iter().chain(flips).map(move |flip| PartKey { value: key.value ^ flip, ..key })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const FIRST: &str = "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95";

    const SHORT: &str = "162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95";

    fn pdq(text: &str) -> Pdq {
        text.parse().unwrap()
    }

    fn naive_distance(one: &Pdq, other: &Pdq) -> u32 {
        let bit = |hash: &Pdq, index: usize| (hash.0[index / 8] >> (7 - index % 8)) & 1;
        let mut count = 0;
        for index in 0..256 {
            if bit(one, index) != bit(other, index) {
                count += 1;
            }
        }
        count
    }

    fn flipped(hash: Pdq, bits: impl IntoIterator<Item = usize>) -> Pdq {
        let mut bytes = hash.0;
        for bit in bits {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Pdq(bytes)
    }

    fn is_found(query: &Pdq, stored: &Pdq) -> bool {
        let stored: BTreeSet<PartKey> = stored_keys(stored).into();
        probe_keys(query).any(|key| stored.contains(&key))
    }

    #[test]
    fn a_hash_is_64_hex_digits_and_nothing_else() {
        assert_eq!(pdq(FIRST).to_string(), FIRST);
        assert_eq!(pdq(&FIRST.to_uppercase()), pdq(FIRST));
        for text in ["", SHORT, &format!("{FIRST}0"), &format!(" {SHORT}"), &format!("{SHORT} ")] {
            assert_eq!(text.parse::<Pdq>(), Err(InvalidPdq), "{text:?}");
        }
        for digit in ["g", "+", "é", "0x"] {
            let text = FIRST.replacen(if digit.len() == 2 { "f1" } else { "f" }, digit, 1);
            assert_eq!((text.len(), text.parse::<Pdq>()), (64, Err(InvalidPdq)), "{text:?}");
        }
    }

    #[test]
    fn distances_are_those_of_a_table() {
        let zero = pdq(&"0".repeat(64));
        for (text, expected) in [
            ("0".repeat(64), 0),
            ("f".repeat(64), 256),
            (format!("{}1", "0".repeat(63)), 1),
            (format!("8{}", "0".repeat(63)), 1),
            ("a".repeat(64), 128),
            (format!("{}7fffffff", "0".repeat(56)), 31),
            (format!("{}ffffffff", "0".repeat(56)), 32),
        ] {
            let hash = pdq(&text);
            assert_eq!(zero.distance(&hash), expected, "{text}");
            assert_eq!(zero.is_near(&hash), expected <= NEAR_BITS_MAX, "{text}");
        }
    }

    #[test]
    fn keys_have_golden_bytes() {
        let keys = stored_keys(&pdq(FIRST));
        assert_eq!(keys[0], PartKey { part: 0, value: 0xf162 });
        assert_eq!(keys[15], PartKey { part: 15, value: 0x5c95 });
        assert_eq!(keys[1].to_bytes(), [1, 0xeb, 0x9d]);
        let probes: BTreeSet<PartKey> = probe_keys(&pdq(FIRST)).collect();
        assert_eq!((probes.len(), probe_keys(&pdq(FIRST)).count()), (PROBE_KEYS, PROBE_KEYS));
        assert!(keys.iter().all(|key| probes.contains(key)));
    }

    #[test]
    fn one_bit_beyond_the_distance_may_be_missed() {
        // Two differences in each part: the smallest distance that the keys do not find.
        let hash = pdq(FIRST);
        let far = flipped(hash, (0..16).flat_map(|part| [part * 16, part * 16 + 9]));
        assert_eq!(hash.distance(&far), NEAR_BITS_MAX + 1);
        assert!(!is_found(&hash, &far));
        // With one of them less it is found.
        assert!(is_found(&hash, &flipped(far, [0])));
    }

    #[test]
    fn near_pairs_of_published_hashes_are_found() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/pdq/haystack.txt");
        let Ok(text) = fs::read_to_string(&path) else {
            println!("{} is absent: passed over", path.display());
            return;
        };
        let hashes: Vec<Pdq> = text.lines().map(|line| pdq(line.trim())).collect();
        let mut near = 0;
        for (index, one) in hashes.iter().enumerate() {
            let probes: BTreeSet<PartKey> = probe_keys(one).collect();
            for other in hashes[index + 1..].iter().filter(|other| one.is_near(other)) {
                near += 1;
                assert!(stored_keys(other).iter().any(|key| probes.contains(key)), "{one} {other}");
            }
        }
        assert_eq!((hashes.len(), near), (1350, 857));
    }

    fn hash_strategy() -> impl Strategy<Value = Pdq> {
        any::<[u8; 32]>().prop_map(Pdq::from_bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_distance_is_that_of_a_bit_loop(one in hash_strategy(), other in hash_strategy()) {
            prop_assert_eq!(one.distance(&other), naive_distance(&one, &other));
            prop_assert_eq!(one.distance(&other), other.distance(&one));
            prop_assert_eq!(one.distance(&one), 0);
        }

        #[test]
        fn every_near_hash_is_found(
            hash in hash_strategy(),
            bits in prop::sample::subsequence((0..256).collect::<Vec<usize>>(), 0..=31),
        ) {
            let near = flipped(hash, bits.iter().copied());
            prop_assert_eq!(usize::try_from(hash.distance(&near)), Ok(bits.len()));
            prop_assert!(is_found(&hash, &near));
            prop_assert!(is_found(&near, &hash));
        }

        #[test]
        fn near_hashes_are_found_however_evenly_the_bits_are_spread(
            hash in hash_strategy(),
            spared in 0_usize..16,
            offsets in prop::collection::vec((0_usize..16, 1_usize..16), 16),
        ) {
            // The hardest case: two differences in every part but one, which has one.
            let bits = offsets.iter().enumerate().flat_map(|(part, (first, step))| {
                let second = (part != spared).then_some(part * 16 + (first + step) % 16);
                [Some(part * 16 + first), second]
            });
            let near = flipped(hash, bits.flatten());
            prop_assert_eq!(hash.distance(&near), NEAR_BITS_MAX);
            prop_assert!(is_found(&hash, &near));
        }

        #[test]
        fn the_text_round_trips(hash in hash_strategy()) {
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }
    }
}
