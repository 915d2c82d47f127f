//! How somebody is reached: e-mail addresses and telephone numbers.

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::host::domain;

pub(super) fn email(text: &str) -> Result<String> {
    let address = text
        .get(..7)
        .filter(|start| start.eq_ignore_ascii_case("mailto:"))
        .and_then(|_| text.get(7..));
    let (local, host) = address
        .unwrap_or(text)
        .rsplit_once('@')
        .ok_or(NormalFormError::Email)?;
    let legal = !local.is_empty()
        && local.len() <= 64
        && !local.contains([' ', '@', '<', '>', ',', ';', '/', ':']);
    let host = domain_kept(host)?;
    if legal {
        Ok(format!("{}@{host}", local.to_lowercase()))
    } else {
        Err(NormalFormError::Email)
    }
}

/// The host of an e-mail address: `www.` belongs to it.
fn domain_kept(host: &str) -> Result<String> {
    let bare = domain(host).map_err(|_invalid| NormalFormError::Email)?;
    let www = host
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("www."))
        && !bare.starts_with("www.");
    Ok(if www { format!("www.{bare}") } else { bare })
}

pub(super) fn phone(text: &str) -> Result<String> {
    let text = text.strip_prefix("tel:").unwrap_or(text);
    let compact: String = text
        .chars()
        .filter(|character| !matches!(character, ' ' | '-' | '.' | '(' | ')' | '/'))
        .collect();
    let (plus, digits) = match (compact.strip_prefix('+'), compact.strip_prefix("00")) {
        (Some(digits), _) | (None, Some(digits)) => ("+", digits),
        (None, None) => ("", compact.as_str()),
    };
    let legal =
        (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if legal {
        Ok(format!("{plus}{digits}"))
    } else {
        Err(NormalFormError::Phone)
    }
}
