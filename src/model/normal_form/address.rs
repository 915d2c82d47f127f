//! Addresses of the web: what of their spelling matters.

use url::Url;

use crate::model::normal_form::NormalFormError;
use crate::model::normal_form::Result;
use crate::model::normal_form::host::domain;

/// An address of the web, taken apart.
pub(super) struct Address {
    pub(super) scheme: String,
    pub(super) user: String,
    pub(super) host: String,
    pub(super) port: String,
    pub(super) path: String,
    pub(super) query: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.contains(char::is_whitespace) {
            return Err(NormalFormError::Url);
        }
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("https://{}", text.trim_start_matches('/')))
        };
        let url = url.map_err(|_invalid| NormalFormError::Url)?;
        let scheme = match url.scheme() {
            "http" | "https" => "https",
            "ftp" => "ftp",
            _ => return Err(NormalFormError::Url),
        };
        let host = match url.host().ok_or(NormalFormError::Url)? {
            url::Host::Domain(name) => domain(name)?,
            url::Host::Ipv4(ip) => ip.to_string(),
            url::Host::Ipv6(ip) => format!("[{ip}]"),
        };
        let user = match (url.username(), url.password()) {
            ("", None) => String::new(),
            (name, None) => format!("{name}@"),
            (name, Some(password)) => format!("{name}:{password}@"),
        };
        Ok(Self {
            scheme: scheme.to_owned(),
            user,
            host,
            port: url
                .port()
                .map_or_else(String::new, |port| format!(":{port}")),
            path: decode_unreserved(url.path())
                .trim_end_matches('/')
                .to_owned(),
            query: query(url.query().unwrap_or_default()),
        })
    }

    pub(super) fn is_bare(&self) -> bool {
        self.user.is_empty()
            && self.port.is_empty()
            && self.path.is_empty()
            && self.query.is_empty()
    }

    pub(super) fn spell(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let Self {
            scheme,
            user,
            host,
            port,
            path,
            query,
        } = self;
        format!("{scheme}://{user}{host}{port}{path}{mark}{query}")
    }
}

/// The parameters that matter, in their order.
fn query(text: &str) -> String {
    let kept: Vec<&str> = text
        .split('&')
        .filter(|part| !part.is_empty() && !is_tracking(part))
        .collect();
    decode_unreserved(&kept.join("&"))
}

fn is_tracking(parameter: &str) -> bool {
    const NAMES: [&str; 16] = [
        "fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid", "ttclid",
        "igshid", "igsh", "mc_cid", "mc_eid", "_ga", "ref_src", "ref_url",
    ];
    let name = parameter
        .split('=')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    name.starts_with("utm_") || NAMES.contains(&name.as_str())
}

/// Percent-encoding of what needs none is undone; what needs it is written in upper case.
fn decode_unreserved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = after;
        let byte = after
            .get(..2)
            .and_then(|pair| hex::decode(pair).ok())
            .and_then(|bytes| bytes.first().copied());
        let Some(byte) = byte else {
            out.push('%');
            continue;
        };
        rest = after.get(2..).unwrap_or_default();
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
