//! Where something is on the net: domain names and IP addresses.

use std::net::IpAddr;

use idna::AsciiDenyList;

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;

/// A domain name without `www.`: the site with it and the site without it are one asset.
pub(super) fn domain(text: &str) -> Result<String> {
    let name = host_name(text)?;
    Ok(without_www(&name).to_owned())
}

/// A host name of at least two labels, in ASCII and lower case, without a trailing dot.
///
/// A last label of digits is refused, since browsers read such a name as an IP address.
pub(super) fn host_name(text: &str) -> Result<String> {
    let ascii = idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::URL)
        .map_err(|_invalid| NormalFormError::Domain)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    let numeric =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if name.contains('.') && name.len() <= 253 && !numeric && name.split('.').all(is_label) {
        Ok(name.to_owned())
    } else {
        Err(NormalFormError::Domain)
    }
}

/// An IP address; one of the sixth version that maps one of the fourth is of the fourth.
pub(super) fn ip(text: &str) -> Result<String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address: IpAddr = inner.parse().map_err(|_invalid| NormalFormError::Ip)?;
    Ok(address.to_canonical().to_string())
}

/// Every leading `www.` goes, as long as a registrable domain remains: `www.co.uk` is one itself.
fn without_www(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix("www.").filter(|rest| psl::domain_str(rest).is_some())
    {
        name = rest;
    }
    name
}

fn is_label(label: &str) -> bool {
    let legal = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    legal && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}
