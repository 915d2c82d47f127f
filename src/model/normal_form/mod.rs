//! The one spelling of an observable: pure, versioned, total and idempotent, the same in client and hub.
//!
//! One asset has many spellings, and equality, duplicates and look-up need one. So the normal form may change
//! the kind too: the address of a profile is an account, page, group, channel or blog, whatever kind was given.
//! It is an equality form and not an address to open: `http` and `https` fall together, and `www.` goes.

mod address;
mod app;
mod contact;
mod hash;
mod host;
mod name;
mod profile;
#[cfg(test)]
mod tests;

use sha2::Digest as _;
use sha2::Sha256;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;

use crate::model::limits::VALUE_BYTES_MAX;
use crate::model::normal_form::address::Address;
use crate::model::normal_form::address::is_addressed;
use crate::model::normal_form::app::app;
use crate::model::normal_form::contact::email;
use crate::model::normal_form::contact::phone;
use crate::model::normal_form::hash::hash;
use crate::model::normal_form::hash::media_hash;
use crate::model::normal_form::hash::text_hash;
use crate::model::normal_form::host::domain;
use crate::model::normal_form::host::ip;
use crate::model::normal_form::name::handle;
use crate::model::normal_form::name::hashtag;
use crate::model::normal_form::profile::profile;
use crate::model::observable::ObservableKind;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;
use crate::model::platform::row_of_host;
use crate::model::refang::refang;

/// The version of the function. Any change of any result is a new version.
pub const NORMAL_FORM_VERSION: u32 = 1;

/// Passes after which a value that still changes is refused.
const PASSES_MAX: usize = 8;

/// The one spelling under which equal observables are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalForm {
    /// The kind, which may differ from the one given: a profile URL is an account.
    pub kind: ObservableKind,
    /// The platform, if there is one.
    pub platform: Option<Platform>,
    /// The value.
    pub value: String,
}

/// Why a value has no normal form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NormalFormError {
    /// Nothing is left of it.
    #[error("the value is empty")]
    Empty,
    /// More than the limit.
    #[error("the value is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    /// A control character.
    #[error("the value has control characters")]
    Control,
    /// Not a domain name of at least two labels.
    #[error("the value is not a domain name of at least two labels")]
    Domain,
    /// Not a URL.
    #[error("the value is not a url")]
    Url,
    /// Not an e-mail address.
    #[error("the value is not an e-mail address")]
    Email,
    /// Not a telephone number.
    #[error("the value is not a telephone number")]
    Phone,
    /// Not an IP address.
    #[error("the value is not an ip address")]
    Ip,
    /// Not a hash.
    #[error("the value is not a hash in hex of a known length")]
    Hash,
    /// Not a hashtag.
    #[error("the value is not a hashtag")]
    Hashtag,
    /// Not an id of the store that was named.
    #[error("the value is not an id of this store")]
    App,
    /// It has no stable spelling.
    #[error("the value has no stable spelling")]
    Unstable,
}

type Result<T> = std::result::Result<T, NormalFormError>;

impl NormalForm {
    /// SHA-256 over version, kind, platform and value, each of fixed width or led by its length.
    pub fn digest(&self) -> [u8; 32] {
        let platform = self.platform.as_ref().map_or("", Platform::as_str);
        let mut hash = Sha256::new();
        hash.update(b"watchfire-normal-form\0");
        hash.update(NORMAL_FORM_VERSION.to_be_bytes());
        hash.update(self.kind.number().to_be_bytes());
        for part in [platform, self.value.as_str()] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    fn new(kind: Kind, platform: Option<&Platform>, value: String) -> Self {
        Self { kind, platform: platform.cloned(), value }
    }
}

/// The normal form of a value: repeated until nothing changes, so that it is idempotent by construction.
pub fn normal_form(
    kind: ObservableKind,
    platform: Option<&Platform>,
    value: &str,
) -> Result<NormalForm> {
    let mut form = pass(kind, platform, value)?;
    if form.kind == kind && form.platform.as_ref() == platform && form.value == value {
        // What a pass leaves as it is, the next would too.
        return Ok(form);
    }
    for _ in 0..PASSES_MAX {
        let next = pass(form.kind, form.platform.as_ref(), &form.value)?;
        if next == form {
            return Ok(form);
        }
        form = next;
    }
    Err(NormalFormError::Unstable)
}

/// The best guess for a bare value: URL, profile, domain, e-mail, IP, hash, `#hashtag`, `+` telephone number.
///
/// A handle alone is none of them: without its platform it names nobody.
pub fn recognise(text: &str) -> Option<NormalForm> {
    if text.len() > VALUE_BYTES_MAX {
        return None;
    }
    let value = refang(text);
    let guess = |kind| normal_form(kind, None, &value).ok();
    match value.chars().next()? {
        '#' => return guess(Kind::Hashtag),
        '+' => return guess(Kind::PhoneNumber),
        _ => {}
    }
    if value.contains('/') {
        return guess(Kind::Url);
    }
    if value.contains('@') {
        return guess(Kind::EmailAddress);
    }
    let url = guess(Kind::Url);
    guess(Kind::IpAddress)
        .or_else(|| guess(Kind::FileHash))
        .or_else(|| url.clone().filter(|form| form.kind != Kind::Url))
        .or_else(|| guess(Kind::Domain))
        .or(url)
}

fn pass(kind: Kind, platform: Option<&Platform>, value: &str) -> Result<NormalForm> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(NormalFormError::TooLong);
    }
    let text = plain(&refang(value))?;
    match kind {
        Kind::Domain => domain_or_url(&text),
        Kind::Url => url_or_profile(&text),
        Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Blog => {
            handle(kind, platform, &text)
        }
        Kind::Post | Kind::Ad | Kind::AdAccount | Kind::Event | Kind::Petition => {
            Ok(item(kind, platform, &text))
        }
        Kind::EmailAddress => Ok(NormalForm::new(kind, None, email(&text)?)),
        Kind::PhoneNumber => Ok(NormalForm::new(kind, None, phone(&text)?)),
        Kind::IpAddress => Ok(NormalForm::new(kind, None, ip(&text)?)),
        Kind::FileHash => Ok(NormalForm::new(kind, None, hash(&text, &[32, 40, 64, 128])?)),
        Kind::TextHash => Ok(NormalForm::new(kind, None, text_hash(&text))),
        Kind::MediaHash => Ok(NormalForm::new(kind, None, media_hash(&text)?)),
        Kind::Hashtag => Ok(NormalForm::new(kind, platform, hashtag(&text)?)),
        Kind::App => app(platform, &text),
        Kind::PaymentHandle | Kind::Aggregate => Ok(NormalForm::new(kind, platform, text)),
    }
}

/// NFC, trimmed, blanks collapsed, no control characters.
fn plain(text: &str) -> Result<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined = words.join(" ");
    // NFC leaves ASCII as it is, slowly.
    let joined = if joined.is_ascii() { joined } else { joined.nfc().collect() };
    if joined.is_empty() {
        return Err(NormalFormError::Empty);
    }
    if joined.len() > VALUE_BYTES_MAX {
        return Err(NormalFormError::TooLong);
    }
    if joined.chars().any(char::is_control) {
        return Err(NormalFormError::Control);
    }
    Ok(joined)
}

fn domain_or_url(text: &str) -> Result<NormalForm> {
    if !text.contains('/') {
        return Ok(NormalForm::new(Kind::Domain, None, domain(text)?));
    }
    let address = Address::parse(text)?;
    if address.is_bare() {
        return Ok(NormalForm::new(Kind::Domain, None, domain(&address.host)?));
    }
    url_or_profile(text)
}

fn url_or_profile(text: &str) -> Result<NormalForm> {
    let address = Address::parse(text)?;
    Ok(profile(&address).unwrap_or_else(|| NormalForm::new(Kind::Url, None, address.spell())))
}

/// A thing that has an address or an id of its own.
fn item(kind: Kind, platform: Option<&Platform>, text: &str) -> NormalForm {
    let Some(address) = is_addressed(text).then(|| Address::parse(text).ok()).flatten() else {
        return NormalForm::new(kind, platform, text.to_owned());
    };
    let found = row_of_host(&address.host).and_then(|(row, _)| row.name.parse().ok());
    NormalForm::new(kind, found.as_ref().or(platform), address.spell())
}
