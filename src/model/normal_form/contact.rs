//! How somebody is reached: e-mail addresses and telephone numbers.

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::host::host_name;

/// An e-mail address in lower case.
///
/// The standard lets a server tell local parts apart by case; none that matters does, and people do not.
/// The host keeps its `www.`, which is no synonym in mail.
pub(super) fn email(text: &str) -> Result<String> {
    let (local, host) =
        without_scheme(text, "mailto:").rsplit_once('@').ok_or(NormalFormError::Email)?;
    let legal = (1..=64).contains(&local.len())
        && !local.contains([' ', '@', '<', '>', ',', ';', '/', ':']);
    let host = host_name(host).map_err(|_invalid| NormalFormError::Email)?;
    if legal { Ok(format!("{}@{host}", local.to_lowercase())) } else { Err(NormalFormError::Email) }
}

/// Digits, with `+` where the number is international; no country is guessed for one that is not.
pub(super) fn phone(text: &str) -> Result<String> {
    let compact: String = without_scheme(text, "tel:")
        .chars()
        .filter(|character| !matches!(character, ' ' | '-' | '.' | '(' | ')' | '/'))
        .collect();
    let international = compact.strip_prefix('+').or_else(|| compact.strip_prefix("00"));
    let digits = international.unwrap_or(&compact);
    // No country code begins with a nought.
    let legal = (5..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !(international.is_some() && digits.starts_with('0'));
    match (legal, international) {
        (true, Some(digits)) => Ok(format!("+{digits}")),
        (true, None) => Ok(digits.to_owned()),
        (false, _) => Err(NormalFormError::Phone),
    }
}

fn without_scheme<'a>(text: &'a str, scheme: &str) -> &'a str {
    match text.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme) => rest,
        _ => text,
    }
}
