//! Platforms: an open vocabulary with canonical spellings.

use std::fmt;
use std::str::FromStr;

/// Other spellings, and the canonical one.
const ALIASES: &[(&str, &str)] = &[
    ("twitter", "x"),
    ("x/twitter", "x"),
    ("x.com", "x"),
    ("twitter.com", "x"),
    ("fb", "facebook"),
    ("facebook.com", "facebook"),
    ("ig", "instagram"),
    ("instagram.com", "instagram"),
    ("yt", "youtube"),
    ("youtube.com", "youtube"),
    ("tik-tok", "tiktok"),
    ("tiktok.com", "tiktok"),
    ("vkontakte", "vk"),
    ("vk.com", "vk"),
    ("t.me", "telegram"),
    ("blogspot", "blogger"),
    ("google+", "google-plus"),
    ("googleplus", "google-plus"),
    ("android", "google-play"),
    ("ios", "app-store"),
    ("odnoklassniki", "ok"),
    ("ok.ru", "ok"),
    ("truth-social", "truthsocial"),
];

/// A platform, in its canonical spelling.
///
/// Invariant: 1 to 64 of `a-z`, `0-9`, `-` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform(Box<str>);

/// Why a text names no platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a platform must be 1 to 64 of a-z, 0-9, - and .")]
pub struct InvalidPlatform;

impl Platform {
    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let lower = text
            .trim()
            .to_lowercase()
            .split([' ', '_'])
            .collect::<Vec<_>>()
            .join("-");
        let canonical = ALIASES
            .iter()
            .find(|(alias, _)| *alias == lower)
            .map_or(lower.as_str(), |(_, name)| name);
        let valid = (1..=64).contains(&canonical.len())
            && canonical
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        if valid {
            Ok(Self(canonical.into()))
        } else {
            Err(InvalidPlatform)
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
