//! Which algorithms a hash may name, and what its value looks like then.
//!
//! The normal form alone cannot tell a PDQ hash from a SHA-256: both are 64 hex digits. The algorithm that the
//! observable names can, so it is checked beside the normal form and is no part of it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::model::observable::ObservableKind;
use crate::model::perceptual::Pdq;

/// Characters beyond which a text is long enough to be a video hash: no cryptographic one is longer.
const CRYPTOGRAPHIC_MAX: usize = 128;

/// An algorithm whose values have a known look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// MD5, 32 hex digits.
    Md5,
    /// SHA-1, 40 hex digits.
    Sha1,
    /// SHA-256, 64 hex digits.
    Sha256,
    /// SHA-512, 128 hex digits.
    Sha512,
    /// PDQ of an image, 64 hex digits.
    Pdq,
    /// vPDQ of a video: a text with the PDQ hash of each frame, compared as a whole.
    Vpdq,
    /// TMK+PDQF of a video: Base64, compared as a whole.
    Tmk,
}

/// Why an algorithm does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AlgorithmError {
    /// No algorithm that a hash of this kind may name.
    #[error("a {0} names none of these: {list}", list = Names(*.0))]
    Unknown(ObservableKind),
    /// The value is not one of this algorithm.
    #[error("the value is no {0} hash")]
    Mismatch(HashAlgorithm),
}

/// A name that no algorithm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no known hash algorithm has this name")]
pub struct UnknownAlgorithm;

impl HashAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 7] =
        [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512, Self::Pdq, Self::Vpdq, Self::Tmk];

    /// Its name: `sha256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Pdq => "pdq",
            Self::Vpdq => "vpdq",
            Self::Tmk => "tmk",
        }
    }

    /// Whether a hash of this kind may name it: a file has no perceptual hash.
    pub const fn is_for(self, kind: ObservableKind) -> bool {
        match self {
            Self::Md5 | Self::Sha1 | Self::Sha256 | Self::Sha512 => {
                matches!(kind, ObservableKind::FileHash | ObservableKind::MediaHash)
            }
            Self::Pdq | Self::Vpdq | Self::Tmk => matches!(kind, ObservableKind::MediaHash),
        }
    }

    /// Whether a value in its normal form looks like one of its hashes.
    pub fn fits(self, value: &str) -> bool {
        match self {
            Self::Md5 => is_hex(value, 32),
            Self::Sha1 => is_hex(value, 40),
            Self::Sha256 => is_hex(value, 64),
            Self::Sha512 => is_hex(value, 128),
            Self::Pdq => value.parse::<Pdq>().is_ok(),
            Self::Vpdq => holds_frames(value),
            Self::Tmk => value.len() > CRYPTOGRAPHIC_MAX && value.bytes().all(is_base64),
        }
    }
}

/// Whether the algorithm that a hash names is one for its kind, and its value one of that algorithm.
///
/// Without a name nothing is claimed. A hash of a text may name any algorithm; kinds that are no hashes are not
/// looked at.
pub fn check_algorithm(
    kind: ObservableKind,
    algorithm: &str,
    normal_value: &str,
) -> Result<(), AlgorithmError> {
    let is_checked = matches!(kind, ObservableKind::FileHash | ObservableKind::MediaHash);
    if !is_checked || algorithm.is_empty() {
        return Ok(());
    }
    let known: HashAlgorithm =
        algorithm.parse().map_err(|UnknownAlgorithm| AlgorithmError::Unknown(kind))?;
    match (known.is_for(kind), known.fits(normal_value)) {
        (false, _) => Err(AlgorithmError::Unknown(kind)),
        (true, false) => Err(AlgorithmError::Mismatch(known)),
        (true, true) => Ok(()),
    }
}

impl FromStr for HashAlgorithm {
    type Err = UnknownAlgorithm;

    /// In any case, with or without marks: `SHA-256`, `TMK+PDQF`.
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let plain: String =
            text.chars().filter(|character| !matches!(character, '-' | '_' | '+' | ' ')).collect();
        let plain = plain.to_ascii_lowercase();
        let name = if plain == "tmkpdqf" { "tmk" } else { plain.as_str() };
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

struct Names(ObservableKind);

impl fmt::Display for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = HashAlgorithm::ALL.into_iter().filter(|known| known.is_for(self.0));
        let names: Vec<&str> = allowed.map(HashAlgorithm::as_str).collect();
        formatter.write_str(&names.join(", "))
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text that is no bare hash holds the PDQ hash of at least one frame.
fn holds_frames(text: &str) -> bool {
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    is_printable
        && text.len() > 64
        && text.split(|character: char| !character.is_ascii_hexdigit()).any(|run| is_hex(run, 64))
}

/// Whether a text has the look of frames in short: hashes, numbers and the marks between them, nothing else.
///
/// A label before a cryptographic hash (`sha256:...`) has letters that this refuses.
pub(super) fn is_frame_list(text: &str) -> bool {
    let is_mark = |byte: u8| byte.is_ascii_hexdigit() || b",.;:[]\" ".contains(&byte);
    text.bytes().all(is_mark) && text.contains([',', ';']) && holds_frames(text)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::normal_form::normal_form;

    const PDQ: &str = "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95";

    #[track_caller]
    fn check(kind: ObservableKind, algorithm: &str, value: &str, expected: Result<(), &str>) {
        let form = normal_form(kind, None, value).unwrap();
        let found =
            check_algorithm(kind, algorithm, &form.value).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{kind} {algorithm} {value:.40}");
    }

    #[test]
    fn a_hash_is_what_its_algorithm_says() {
        use ObservableKind::FileHash;
        use ObservableKind::MediaHash;
        use ObservableKind::TextHash;
        let hex = |digits: usize| "Ab".repeat(digits / 2);
        for kind in [FileHash, MediaHash] {
            for (name, digits) in [("md5", 32), ("sha1", 40), ("SHA-256", 64), ("sha_512", 128)] {
                check(kind, name, &hex(digits), Ok(()));
            }
            check(kind, "", &hex(32), Ok(()));
            check(kind, "md5", &hex(64), Err("the value is no md5 hash"));
            check(kind, "sha256", &hex(32), Err("the value is no sha256 hash"));
        }
        check(MediaHash, "pdq", PDQ, Ok(()));
        check(MediaHash, "PDQ", &PDQ.to_uppercase(), Ok(()));
        check(MediaHash, "pdq", &hex(32), Err("the value is no pdq hash"));
        check(
            FileHash,
            "pdq",
            PDQ,
            Err("a file-hash names none of these: md5, sha1, sha256, sha512"),
        );
        let media = "a media-hash names none of these: md5, sha1, sha256, sha512, pdq, vpdq, tmk";
        check(MediaHash, "phash", PDQ, Err(media));
        check(TextHash, "tlsh", &format!("T1{}", hex(70)), Ok(()));
        check(TextHash, "my own", "any text", Ok(()));
        check(ObservableKind::Domain, "md5", "example.com", Ok(()));
    }

    #[test]
    fn video_hashes_are_kept_as_they_are() {
        use ObservableKind::MediaHash;
        let frame = format!("{PDQ},100,0.000");
        let json = format!("[\"{frame}\", \"{}\"]", frame.to_uppercase());
        let tmk = "VE1L+/Qw".repeat(200);
        for (algorithm, value) in [("vpdq", &frame), ("vPDQ", &json), ("TMK+PDQF", &tmk)] {
            let form = normal_form(MediaHash, None, value).unwrap();
            assert_eq!(&form.value, value);
            check(MediaHash, algorithm, value, Ok(()));
        }
        check(MediaHash, "tmk", &json, Err("the value is no tmk hash"));
        check(MediaHash, "vpdq", &tmk, Err("the value is no vpdq hash"));
        check(MediaHash, "vpdq", PDQ, Err("the value is no vpdq hash"));
        check(MediaHash, "tmk", PDQ, Err("the value is no tmk hash"));
        check(MediaHash, "pdq", &frame, Err("the value is no pdq hash"));
    }

    #[test]
    fn every_algorithm_has_one_name() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            assert!(algorithm.is_for(ObservableKind::MediaHash));
        }
        assert_eq!("".parse::<HashAlgorithm>(), Err(UnknownAlgorithm));
        assert_eq!("crc32".parse::<HashAlgorithm>(), Err(UnknownAlgorithm));
    }
}
