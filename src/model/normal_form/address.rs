//! Addresses of the web: what of their spelling matters.
//!
//! `http` and `https`, `www.` or not, a default port, a trailing slash, a fragment (but `#!`, which names
//! a page), parameters that only track, and the mobile or renamed host of a known platform all name the same
//! asset. The case of a path and the order of the other parameters may matter and stay.

use url::Host;
use url::Url;

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::host::domain;
use crate::model::platform::row_of_host;
use crate::model::platform::shares;

/// An address of the web, taken apart.
pub(super) struct Address {
    scheme: &'static str,
    user: String,
    pub(super) host: String,
    port: String,
    pub(super) path: String,
    query: String,
    fragment: String,
}

/// Whether a text was meant as an address: it has a scheme, or a path behind a host.
pub(super) fn is_addressed(text: &str) -> bool {
    has_scheme(text) || text.split_once('/').is_some_and(|(host, _)| host.contains('.'))
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.contains(char::is_whitespace) {
            return Err(NormalFormError::Url);
        }
        let url = if has_scheme(text) {
            Url::parse(text).map_err(|_invalid| NormalFormError::Url)?
        } else {
            without_scheme(text)?
        };
        let scheme = match url.scheme() {
            "http" | "https" => "https",
            "ftp" => "ftp",
            _ => return Err(NormalFormError::Url),
        };
        let host = match url.host().ok_or(NormalFormError::Url)? {
            Host::Domain(name) => domain(name)?,
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => format!("[{ip}]"),
        };
        let address = Self {
            scheme,
            user: user(&url),
            host,
            port: url.port().map_or_else(String::new, |port| format!(":{port}")),
            path: decode_unreserved(url.path()).trim_end_matches('/').to_owned(),
            query: query(url.query().unwrap_or_default(), is_tracking),
            fragment: url
                .fragment()
                .filter(|fragment| fragment.starts_with('!'))
                .map_or_else(String::new, decode_unreserved),
        };
        Ok(address.on_platform())
    }

    /// Whether it names a host and nothing on it.
    pub(super) fn is_bare(&self) -> bool {
        self.is_plain() && self.path.is_empty() && self.query.is_empty() && self.fragment.is_empty()
    }

    /// Whether it has no credentials and no port of its own.
    pub(super) fn is_plain(&self) -> bool {
        self.user.is_empty() && self.port.is_empty()
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|part| part.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(super) fn spell(&self) -> String {
        let mark = |mark, text: &str| if text.is_empty() { "" } else { mark };
        let Self { scheme, user, host, port, path, query, fragment } = self;
        let (question, number) = (mark("?", query), mark("#", fragment));
        format!("{scheme}://{user}{host}{port}{path}{question}{query}{number}{fragment}")
    }

    /// On a known platform, the host and the path by which the thing is best known.
    fn on_platform(mut self) -> Self {
        if !self.is_plain() {
            return self;
        }
        self.lengthen();
        let Some((row, before)) = row_of_host(&self.host) else {
            return self;
        };
        let canonical = row.hosts.first().filter(|_host| row.is_itself(before));
        self.query = query(&self.query, |parameter| shares(row, key(parameter)));
        // The bare address of a platform names the host as given, as a domain does.
        if self.is_bare() {
            return self;
        }
        if let Some(host) = canonical {
            self.host = (*host).to_owned();
        }
        if row.name == "telegram"
            && let Some(rest) = self.path.strip_prefix("/s/")
        {
            self.path = format!("/{rest}");
        }
        self
    }

    /// A short address that holds the long one: `youtu.be/id`.
    fn lengthen(&mut self) {
        let id = self.path.trim_start_matches('/');
        if self.host == "youtu.be" && !id.is_empty() && !id.contains(['/', '&', '=', '+']) {
            let rest = if self.query.is_empty() { "" } else { "&" };
            self.query = format!("v={id}{rest}{}", self.query);
            "youtube.com".clone_into(&mut self.host);
            "/watch".clone_into(&mut self.path);
        }
    }
}

fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// An address as people write it: `example.com/path`.
///
/// Without a scheme only what cannot be anything else is one: dates and fractions are no hosts in numbers,
/// `user@host` is an e-mail address, and a network is no page.
fn without_scheme(text: &str) -> Result<Url> {
    let bare = text.trim_start_matches('/');
    let url = Url::parse(&format!("https://{bare}")).map_err(|_invalid| NormalFormError::Url)?;
    let is_host = match url.host() {
        Some(Host::Ipv4(ip)) => {
            bare.strip_prefix(&ip.to_string()).is_some_and(|rest| !is_prefix_length(rest))
        }
        Some(Host::Domain(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    if is_host && user(&url).is_empty() { Ok(url) } else { Err(NormalFormError::Url) }
}

/// `/24` behind an IP address names a network.
fn is_prefix_length(rest: &str) -> bool {
    rest.strip_prefix('/').is_some_and(|digits| {
        (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn user(url: &Url) -> String {
    match (url.username(), url.password()) {
        ("", None) => String::new(),
        (name, None) => format!("{name}@"),
        (name, Some(password)) => format!("{name}:{password}@"),
    }
}

/// The parameters that matter, in their order.
fn query(text: &str, is_idle: impl Fn(&str) -> bool) -> String {
    let kept: Vec<&str> =
        text.split('&').filter(|part| !part.is_empty() && !is_idle(part)).collect();
    decode_unreserved(&kept.join("&"))
}

fn key(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

fn is_tracking(parameter: &str) -> bool {
    const NAMES: [&str; 23] = [
        "fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid", "ttclid",
        "igshid", "igsh", "mc_cid", "mc_eid", "_ga", "_gl", "ref_src", "ref_url", "mibextid",
        "srsltid", "_hsenc", "_hsmi", "mkt_tok", "vero_id",
    ];
    let name = key(parameter).to_ascii_lowercase();
    name.starts_with("utm_") || NAMES.contains(&name.as_str())
}

/// Percent-encoding of what needs none is undone; what needs it is written in upper case.
fn decode_unreserved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let Some((byte, behind)) = encoded_byte(after) else {
            out.push('%');
            rest = after;
            continue;
        };
        rest = behind;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out.push_str(rest);
    out
}

/// A part of a path as its bytes meant it, if they were text.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.extend_from_slice(before.as_bytes());
        let (byte, behind) = encoded_byte(after)?;
        out.push(byte);
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).ok()
}

/// The byte that two hex digits spell, and what is behind them.
fn encoded_byte(text: &str) -> Option<(u8, &str)> {
    let (pair, behind) = text.split_at_checked(2)?;
    let byte = hex::decode(pair).ok()?.first().copied()?;
    Some((byte, behind))
}
