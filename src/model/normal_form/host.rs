//! Where something is on the net: domain names and IP addresses.

use std::net::IpAddr;

use idna::AsciiDenyList;

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;

pub(super) fn domain(text: &str) -> Result<String> {
    let ascii = idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::URL)
        .map_err(|_invalid| NormalFormError::Domain)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    let labels: Vec<&str> = name.split('.').collect();
    let numeric = labels
        .last()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if labels.len() < 2
        || name.len() > 253
        || numeric
        || !labels.iter().all(|label| is_label(label))
    {
        return Err(NormalFormError::Domain);
    }
    let bare = name
        .strip_prefix("www.")
        .filter(|rest| psl::domain_str(rest).is_some());
    Ok(bare.unwrap_or(name).to_owned())
}

fn is_label(label: &str) -> bool {
    let legal = label
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    legal && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

pub(super) fn ip(text: &str) -> Result<String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address: IpAddr = inner.parse().map_err(|_invalid| NormalFormError::Ip)?;
    Ok(address.to_canonical().to_string())
}
