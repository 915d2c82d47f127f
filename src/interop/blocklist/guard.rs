//! What must not be blocked, whoever says so.

use std::net::IpAddr;

use crate::interop::blocklist::LeftOut;
use crate::interop::blocklist::Rules;
use crate::interop::warning_list::Why;
use crate::model::normal_form::NormalForm;
use crate::model::normal_form::recognise;
use crate::model::observable::ObservableKind as Kind;

/// Lines of a file of allowed values at most.
const ALLOWED_MAX: usize = 100_000;

/// Last labels of names that are of the reader's own network, or of none.
const INTERNAL: [&str; 11] = [
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
];

/// What is never blocked: domains with all below them and above them, and other values as they are.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    values: Vec<NormalForm>,
    /// Handles that have no platform: on none of them.
    handles: Vec<String>,
}

/// A line that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllowed {
    /// It is not recognised.
    #[error("line {line} is no domain, url or handle (platform:handle)")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// More than are taken.
    #[error("it has more than {ALLOWED_MAX} lines")]
    TooMany,
}

impl Allowed {
    /// Reads a file: a domain, a URL, or `platform:handle` a line; blank lines and those that begin with `#` are none.
    pub fn parse(text: &str) -> Result<Self, InvalidAllowed> {
        let mut allowed = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if number >= ALLOWED_MAX {
                return Err(InvalidAllowed::TooMany);
            }
            let invalid = || InvalidAllowed::Line { line: number + 1 };
            match line.split_once(':').filter(|(_platform, rest)| !rest.starts_with('/')) {
                Some((platform, handle)) if !handle.is_empty() => {
                    let platform = platform.parse().map_err(|_none| invalid())?;
                    let form = crate::model::normal_form::normal_form(
                        Kind::Account,
                        Some(&platform),
                        handle,
                    );
                    allowed.values.push(form.map_err(|_none| invalid())?);
                }
                Some(_) => return Err(invalid()),
                None if line.starts_with('@') => {
                    allowed.handles.push(line.trim_start_matches('@').to_lowercase());
                }
                None => allowed.values.push(recognise(line).ok_or_else(invalid)?),
            }
        }
        Ok(allowed)
    }

    fn covers(&self, form: &NormalForm) -> bool {
        let host = host_of(form);
        let is_whole = is_whole_host(form);
        let is_handle = matches!(
            form.kind,
            Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Blog
        );
        if is_handle && self.handles.contains(&form.value.to_lowercase()) {
            return true;
        }
        self.values.iter().any(|allowed| {
            // Whatever sort of profile it is: a page and an account of one handle are not told apart here.
            let is_same = allowed.value == form.value && allowed.platform == form.platform;
            let meets = |host: &str| {
                allowed.kind == Kind::Domain
                    && (host == allowed.value
                        || is_below(host, &allowed.value)
                        || (is_whole && is_below(&allowed.value, host)))
            };
            // Who blocks a host blocks every address on it.
            let is_on_it = is_whole && host.is_some() && host_of(allowed) == host;
            is_same || host.is_some_and(meets) || is_on_it
        })
    }
}

fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
}

/// The host of a domain or a URL, as the normal form spells it.
fn host_of(form: &NormalForm) -> Option<&str> {
    if form.kind == Kind::Domain {
        return Some(&form.value);
    }
    if form.kind != Kind::Url {
        return None;
    }
    let (_scheme, rest) = form.value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    // An address of the sixth version has colons of its own.
    match host.split_once(']') {
        Some((address, _port)) => address.strip_prefix('['),
        None => host.split(':').next(),
    }
}

/// Refuses what would hit others, or oneself.
pub(super) fn demand_harmless(rules: &Rules, form: &NormalForm) -> Result<(), LeftOut> {
    if rules.allowed.covers(form) {
        return Err(LeftOut::Allowed);
    }
    let is_whole_host = is_whole_host(form);
    if let Some(host) = host_of(form) {
        demand_public(host)?;
        if is_whole_host && psl::suffix_str(host) == Some(host) {
            return Err(LeftOut::PublicSuffix);
        }
    }
    // Nobody means this, and some take it for the host.
    if form.kind == Kind::Url && path_of(form) == Some("") && form.value.contains(['?', '#']) {
        return Err(LeftOut::Unsafe);
    }
    if rules.with_warned {
        return Ok(());
    }
    let hits = rules.warnings.find(form);
    // Something on a big site is not the site: a list of addresses may name it.
    let is_common = |why: Why| match why {
        Why::Listed | Why::Network | Why::Contains | Why::Pattern => true,
        Why::OnListedHost | Why::BelowListed => is_whole_host || host_of(form).is_none(),
    };
    if hits.iter().any(|hit| is_common(hit.why)) { Err(LeftOut::Common) } else { Ok(()) }
}

/// Whether a value stands for all of a host: a domain, or an address whose path leads nowhere. What asks or points within
/// the page there is left away by many who block.
fn is_whole_host(form: &NormalForm) -> bool {
    form.kind == Kind::Domain || (form.kind == Kind::Url && path_of(form).is_none_or(is_root))
}

/// The path of an address, without what asks and points within.
fn path_of(form: &NormalForm) -> Option<&str> {
    let (_scheme, rest) = form.value.split_once("://")?;
    let before = rest.split(['?', '#']).next()?;
    Some(before.find('/').and_then(|at| before.get(at..)).unwrap_or_default())
}

/// Nothing, or nothing but steps that stay where they are, as they stand or escaped.
fn is_root(path: &str) -> bool {
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
    plain.bytes().all(|byte| matches!(byte, b'/' | b'.'))
}

fn demand_public(host: &str) -> Result<(), LeftOut> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return if is_public(address.to_canonical()) { Ok(()) } else { Err(LeftOut::Internal) };
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if INTERNAL.contains(&last) || !host.contains('.') { Err(LeftOut::Internal) } else { Ok(()) }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || a == 0
                || a >= 240
                || is_shared)
        }
        IpAddr::V6(v6) => {
            // Global unicast, and nothing else.
            v6.segments().first().is_some_and(|first| first & 0xe000 == 0x2000)
        }
    }
}
