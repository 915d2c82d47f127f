//! One value, one spelling: the normal form of observables, version 1.
//!
//! Pure, total and idempotent: the value of a normal form has itself as normal form. Equality, duplicates and
//! look-ups use it; what the publisher wrote stays beside it.

use std::net::IpAddr;

use sha2::Digest as _;
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization as _;
use url::Host;
use url::Url;

use crate::model::limits;
use crate::model::observable::ObservableKind;
use crate::model::platform::Platform;
use crate::model::profile;
use crate::model::refang::is_invisible;
use crate::model::refang::refang;

/// The version of the function; it is part of every digest.
pub const VERSION: u8 = 1;

/// Parameters of a query that say how somebody came, not where to.
const TRACKING: &[&str] = &[
    "fbclid",
    "gclid",
    "dclid",
    "msclkid",
    "yclid",
    "igshid",
    "igsh",
    "mc_cid",
    "mc_eid",
    "ref_src",
    "ref_url",
    "_openstat",
    "rdt",
    "share_id",
    "si",
    "feature",
];

/// An observable in normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalForm {
    /// What it is.
    pub kind: ObservableKind,
    /// Where it lives.
    pub platform: Option<Platform>,
    /// Its one spelling.
    pub value: String,
}

/// Why a value has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NormalFormError {
    /// Nothing is left of it.
    #[error("the value is empty")]
    Empty,
    /// It is too long.
    #[error("the value is too long")]
    TooLong,
    /// It is not of its kind.
    #[error("the value is not {0}")]
    Malformed(&'static str),
    /// An account of which platform?
    #[error("the platform is missing")]
    PlatformMissing,
    /// Aggregates name nothing.
    #[error("an aggregate has no normal form")]
    Aggregate,
}

impl NormalForm {
    /// SHA-256 over version, kind, platform and value, each with its length before it.
    pub fn digest(&self) -> [u8; 32] {
        let platform = self.platform.as_ref().map_or("", Platform::as_str);
        let mut hash = Sha256::new();
        hash.update([VERSION]);
        hash.update(self.kind.number().to_be_bytes());
        for part in [platform, self.value.as_str()] {
            hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// The normal form of a value of this kind.
pub fn normal_form(
    kind: ObservableKind,
    platform: Option<&Platform>,
    value: &str,
) -> Result<NormalForm, NormalFormError> {
    if value.len() > limits::VALUE_BYTES_MAX {
        return Err(NormalFormError::TooLong);
    }
    let mut form = once(kind, platform, value)?;
    // Settles within a step or two; what never does is refused, so that what is returned is stable.
    for _ in 0..4 {
        let next = once(kind, form.platform.as_ref(), &form.value)?;
        if next == form {
            return Ok(form);
        }
        form = next;
    }
    Err(NormalFormError::Malformed("a value with one spelling"))
}

/// The account that a profile's address names.
pub fn recognise(value: &str) -> Option<NormalForm> {
    let url = parse_url(&refang(value)).ok()?;
    let (platform, handle) = profile::account(&url)?;
    normal_form(
        ObservableKind::Account,
        Some(&platform.parse().ok()?),
        &handle,
    )
    .ok()
}

fn once(
    kind: ObservableKind,
    platform: Option<&Platform>,
    value: &str,
) -> Result<NormalForm, NormalFormError> {
    let refanged = refang(value);
    let plain = refanged.as_ref();
    if plain.is_empty() {
        return Err(NormalFormError::Empty);
    }
    let mut found = platform.cloned();
    let value = match kind {
        ObservableKind::Account
        | ObservableKind::Page
        | ObservableKind::Group
        | ObservableKind::Channel
        | ObservableKind::Blog => handle(plain, &mut found)?,
        ObservableKind::Hashtag => tidy(plain.trim_start_matches(['#', '\u{ff03}'])).to_lowercase(),
        ObservableKind::Domain => domain(plain)?,
        ObservableKind::Url => address(&parse_url(plain)?)?,
        ObservableKind::EmailAddress => email(plain)?,
        ObservableKind::PhoneNumber => phone(plain)?,
        ObservableKind::IpAddress => ip(plain)?,
        ObservableKind::FileHash | ObservableKind::MediaHash | ObservableKind::TextHash => {
            hash(plain, kind)?
        }
        ObservableKind::Post
        | ObservableKind::Ad
        | ObservableKind::AdAccount
        | ObservableKind::Event
        | ObservableKind::Petition
        | ObservableKind::App
        | ObservableKind::PaymentHandle => identifier(plain),
        ObservableKind::Aggregate => return Err(NormalFormError::Aggregate),
    };
    if value.is_empty() {
        return Err(NormalFormError::Empty);
    }
    if value.len() > limits::VALUE_BYTES_MAX {
        return Err(NormalFormError::TooLong);
    }
    Ok(NormalForm {
        kind,
        platform: found,
        value,
    })
}

fn tidy(text: &str) -> String {
    let composed: String = text
        .nfkc()
        .filter(|symbol| !is_invisible(*symbol))
        .collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn handle(text: &str, platform: &mut Option<Platform>) -> Result<String, NormalFormError> {
    if text.contains('/')
        && text.contains('.')
        && let Some((name, found)) = parse_url(text).ok().as_ref().and_then(profile::account)
    {
        *platform = Some(
            name.parse()
                .map_err(|_never| NormalFormError::PlatformMissing)?,
        );
        return Ok(fold(&found));
    }
    if platform.is_none() {
        return Err(NormalFormError::PlatformMissing);
    }
    Ok(fold(tidy(text).trim_start_matches('@')))
}

/// Handles are compared without case; ids that a platform hands out are not.
fn fold(handle: &str) -> String {
    let channel_id = handle.len() == 24 && handle.starts_with("UC");
    if channel_id || handle.starts_with('+') {
        handle.to_owned()
    } else {
        handle.to_lowercase()
    }
}

fn parse_url(text: &str) -> Result<Url, NormalFormError> {
    let malformed = NormalFormError::Malformed("a URL");
    if text.contains(char::is_whitespace) {
        return Err(malformed);
    }
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&whole).map_err(|_parse| malformed)?;
    match url.host() {
        Some(Host::Domain(host)) if is_domain(host.trim_end_matches('.')) => Ok(url),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => Ok(url),
        Some(Host::Domain(_)) | None => Err(malformed),
    }
}

fn address(url: &Url) -> Result<String, NormalFormError> {
    let host = url.host_str().ok_or(NormalFormError::Malformed("a URL"))?;
    let scheme = if url.scheme() == "http" {
        "https"
    } else {
        url.scheme()
    };
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    let query: Vec<&str> = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !is_tracking(pair))
        .collect();
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{}", query.join("&"))
    };
    Ok(format!("{scheme}://{}{port}{path}{query}", bare(host)))
}

fn is_tracking(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    name.is_empty() || name.starts_with("utm_") || TRACKING.contains(&name)
}

/// A host without trailing dot and without `www.`, unless nothing but a suffix would be left.
fn bare(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    host.strip_prefix("www.")
        .filter(|rest| rest.contains('.'))
        .unwrap_or(host)
}

fn domain(text: &str) -> Result<String, NormalFormError> {
    let malformed = NormalFormError::Malformed("a domain name");
    let url = parse_url(text).map_err(|_url| malformed)?;
    let alone = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    match url.host() {
        Some(Host::Domain(host)) if alone => Ok(bare(host).to_owned()),
        _ => Err(malformed),
    }
}

fn is_domain(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let top = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && host.contains('.')
        && host.split('.').all(label)
        && !top.bytes().all(|byte| byte.is_ascii_digit())
}

fn email(text: &str) -> Result<String, NormalFormError> {
    let malformed = NormalFormError::Malformed("an e-mail address");
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let (local, host) = text.rsplit_once('@').ok_or(malformed)?;
    let plain = !local.is_empty()
        && local.len() <= 64
        && !local.contains(|symbol: char| symbol.is_whitespace() || "@/:<>,;\"".contains(symbol));
    if !plain {
        return Err(malformed);
    }
    let url = parse_url(host).map_err(|_url| malformed)?;
    if url.path() != "/" || url.port().is_some() || url.query().is_some() {
        return Err(malformed);
    }
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    Ok(format!("{}@{host}", tidy(local).to_lowercase()))
}

fn phone(text: &str) -> Result<String, NormalFormError> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let strange = text
        .chars()
        .any(|symbol| !symbol.is_ascii_digit() && !" +-./()".contains(symbol));
    if strange || !(5..=17).contains(&digits.len()) {
        return Err(NormalFormError::Malformed("a telephone number"));
    }
    if text.starts_with('+') {
        return Ok(format!("+{digits}"));
    }
    Ok(digits
        .strip_prefix("00")
        .map_or_else(|| digits.clone(), |rest| format!("+{rest}")))
}

fn ip(text: &str) -> Result<String, NormalFormError> {
    let inner = text.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = inner
        .parse()
        .map_err(|_parse| NormalFormError::Malformed("an IP address"))?;
    Ok(address.to_canonical().to_string())
}

fn hash(text: &str, kind: ObservableKind) -> Result<String, NormalFormError> {
    let known = if kind == ObservableKind::FileHash {
        matches!(text.len(), 32 | 40 | 64 | 96 | 128)
    } else {
        (16..=1024).contains(&text.len())
    };
    if known && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(NormalFormError::Malformed("a hash in hexadecimal digits"))
}

fn identifier(text: &str) -> String {
    if text.contains("://")
        && let Some(address) = parse_url(text).ok().and_then(|url| address(&url).ok())
    {
        return address;
    }
    tidy(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_golden_vector_holds() {
        let mut seen = 0;
        for line in include_str!("../../tests/vectors/normal_form.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let [kind, platform, value, expected_platform, expected] =
                line.split('\t').collect::<Vec<_>>()[..]
            else {
                panic!("five columns: {line}");
            };
            let kind = ObservableKind::from_number(kind.parse().unwrap()).unwrap();
            let platform: Option<Platform> =
                (!platform.is_empty()).then(|| platform.parse().unwrap());
            let found = normal_form(kind, platform.as_ref(), value);
            let shown = found.as_ref().map_or("!", |form| form.value.as_str());
            assert_eq!(shown, expected, "{line}");
            let place = found
                .ok()
                .and_then(|form| form.platform)
                .map_or(String::new(), |name| name.to_string());
            assert_eq!(place, expected_platform, "{line}");
            seen += 1;
        }
        assert!(seen >= 40, "{seen} vectors");
    }

    #[test]
    fn digests_tell_kind_platform_and_value_apart() {
        let account = recognise("https://twitter[.]com/Example").unwrap();
        assert_eq!(account, recognise("x.com/example/").unwrap());
        let other = NormalForm {
            kind: ObservableKind::Page,
            ..account.clone()
        };
        assert_ne!(account.digest(), other.digest());
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(number in 1..=22_i32, value in "(h..ps?://)?[a-zA-Z0-9.@#/%?=&\\[\\]() :+_-]{0,40}|\\PC{0,20}") {
            let kind = ObservableKind::from_number(number).unwrap();
            let platform: Platform = "x".parse().unwrap();
            if let Ok(form) = normal_form(kind, Some(&platform), &value) {
                prop_assert_eq!(normal_form(kind, form.platform.as_ref(), &form.value), Ok(form));
            }
            prop_assert_eq!(refang(&refang(&value)).into_owned(), refang(&value).into_owned());
        }
    }
}
