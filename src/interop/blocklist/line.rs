//! How a value stands on a line: nothing that could be read as more than one, as another, or as a rule.

use std::str::FromStr;

use crate::interop::blocklist::LeftOut;
use crate::model::normal_form::NormalForm;
use crate::model::observable::ObservableKind as Kind;

/// What the lines of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Host names, in ASCII and lower case. Who blocks one blocks what is below it.
    Domains,
    /// Addresses, as their normal form has them: `https` stands for `http` too.
    Urls,
    /// Handles of accounts, pages, groups, channels and blogs: `platform:handle`.
    Handles,
}

impl Sort {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Urls => "urls",
            Self::Handles => "handles",
        }
    }

    /// Whether a value is of this sort.
    pub(super) const fn takes(self, form: &NormalForm) -> bool {
        match self {
            Self::Domains => matches!(form.kind, Kind::Domain),
            Self::Urls => matches!(form.kind, Kind::Url),
            Self::Handles => matches!(
                form.kind,
                Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Blog
            ),
        }
    }
}

/// A text that names no sort of list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be domains, urls or handles")]
pub struct InvalidSort;

impl FromStr for Sort {
    type Err = InvalidSort;

    fn from_str(text: &str) -> Result<Self, InvalidSort> {
        [Self::Domains, Self::Urls, Self::Handles]
            .into_iter()
            .find(|sort| sort.as_str() == text)
            .ok_or(InvalidSort)
    }
}

/// The line of a value.
pub(super) fn line(sort: Sort, form: &NormalForm, bare_handles: bool) -> Result<String, LeftOut> {
    let value = form.value.as_str();
    match sort {
        Sort::Domains => demand(is_domain(value)).map(|()| value.to_owned()),
        Sort::Urls => demand(is_url(value)).map(|()| value.to_owned()),
        Sort::Handles => {
            let platform = form.platform.as_ref().ok_or(LeftOut::NoPlatform)?;
            demand(is_handle(value))?;
            Ok(if bare_handles { value.to_owned() } else { format!("{platform}:{value}") })
        }
    }
}

fn demand(holds: bool) -> Result<(), LeftOut> {
    if holds { Ok(()) } else { Err(LeftOut::Unsafe) }
}

/// The normal form promises this; a list is no place to rely on a promise made elsewhere.
fn is_domain(value: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let last = value.rsplit('.').next().unwrap_or_default();
    value.len() <= 253
        && value.contains('.')
        && value.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of the characters that an address may have, lists give a meaning of their own to `*`, `#`, `|`, `^`, `$` and quotes.
/// One with credentials (`https://bank.example@evil.example`) is read as another host by some.
fn is_url(value: &str) -> bool {
    let Some(rest) = value.strip_prefix("https://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    !authority.is_empty()
        && !authority.contains('@')
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!&()+,;=%".contains(&byte))
}

/// Letters and digits of any script, and few marks; no `-` in front, which programs take for an option, and no address of
/// a network, which a list without platforms must not hold.
fn is_handle(value: &str) -> bool {
    let is_network =
        value.split('/').next().is_some_and(|first| first.parse::<std::net::IpAddr>().is_ok());
    let is_legal =
        |one: char| one.is_alphanumeric() || matches!(one, '_' | '-' | '.' | '@' | '/' | '+');
    (1..=256).contains(&value.len())
        && !is_network
        && !value.starts_with(['-', '/', '+'])
        && value.chars().all(is_legal)
}
