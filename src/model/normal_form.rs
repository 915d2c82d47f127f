//! The one spelling of an observable: pure, versioned, total and idempotent, the same in client and hub.

use std::net::IpAddr;

use idna::AsciiDenyList;
use sha2::Digest as _;
use sha2::Sha256;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use url::Url;

use crate::model::limits::VALUE_BYTES_MAX;
use crate::model::observable::ObservableKind;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::MOBILE;
use crate::model::platform::Platform;
use crate::model::platform::Row;
use crate::model::platform::Shape;
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
        Self {
            kind,
            platform: platform.cloned(),
            value,
        }
    }
}

/// The normal form of a value: repeated until nothing changes, so that it is idempotent by construction.
pub fn normal_form(
    kind: ObservableKind,
    platform: Option<&Platform>,
    value: &str,
) -> Result<NormalForm> {
    let mut form = pass(kind, platform, value)?;
    for _ in 0..PASSES_MAX {
        let next = pass(form.kind, form.platform.as_ref(), &form.value)?;
        if next == form {
            return Ok(form);
        }
        form = next;
    }
    Err(NormalFormError::Unstable)
}

/// The best guess for a bare value: URL, profile, domain, e-mail, IP, hash, `#hashtag`.
pub fn recognise(text: &str) -> Option<NormalForm> {
    if text.len() > VALUE_BYTES_MAX {
        return None;
    }
    let value = refang(text);
    let guess = |kind| normal_form(kind, None, &value).ok();
    if value.starts_with('#') {
        return guess(Kind::Hashtag);
    }
    if value.contains("://") || value.contains('/') {
        return guess(Kind::Url);
    }
    if value.contains('@') {
        return guess(Kind::EmailAddress);
    }
    guess(Kind::IpAddress)
        .or_else(|| guess(Kind::FileHash))
        .or_else(|| guess(Kind::Url).filter(|form| form.kind != Kind::Url))
        .or_else(|| guess(Kind::Domain))
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
        Kind::FileHash => Ok(NormalForm::new(
            kind,
            None,
            hash(&text, &[32, 40, 64, 128])?,
        )),
        Kind::TextHash => Ok(NormalForm::new(kind, None, text_hash(&text))),
        Kind::MediaHash => Ok(NormalForm::new(kind, None, media_hash(&text)?)),
        Kind::Hashtag => Ok(NormalForm::new(kind, platform, hashtag(&text)?)),
        Kind::App | Kind::PaymentHandle | Kind::Aggregate => {
            Ok(NormalForm::new(kind, platform, text))
        }
    }
}

/// NFC, trimmed, blanks collapsed, no control characters.
fn plain(text: &str) -> Result<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined: String = words.join(" ").nfc().collect();
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

fn domain(text: &str) -> Result<String> {
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

/// A handle, or the address of a profile; the address wins over the kind and platform given.
fn handle(kind: Kind, platform: Option<&Platform>, text: &str) -> Result<NormalForm> {
    if let Ok(address) = Address::parse(text) {
        if let Some(form) = profile(&address) {
            return Ok(form);
        }
        if text.contains("://")
            || text
                .split_once('/')
                .is_some_and(|(host, _)| host.contains('.'))
        {
            return Ok(NormalForm::new(kind, platform, address.spell()));
        }
    }
    let name = text.trim_start_matches('@').trim();
    let name = if name.is_empty() {
        return Err(NormalFormError::Empty);
    } else {
        name
    };
    let folds = platform
        .and_then(Platform::row)
        .is_some_and(|row| row.fold && !has_own_case(row, name));
    let value = if folds {
        name.to_lowercase()
    } else {
        name.to_owned()
    };
    Ok(NormalForm::new(kind, platform, value))
}

/// A YouTube channel id keeps its case, wherever it stands.
fn has_own_case(row: &Row, name: &str) -> bool {
    row.name == "youtube" && name.starts_with("channel/")
}

/// A thing that has an address or an id of its own.
fn item(kind: Kind, platform: Option<&Platform>, text: &str) -> NormalForm {
    let addressed = text.contains("://")
        || text
            .split_once('/')
            .is_some_and(|(host, _)| host.contains('.'));
    let Some(address) = addressed.then(|| Address::parse(text).ok()).flatten() else {
        return NormalForm::new(kind, platform, text.to_owned());
    };
    let found = row_of_host(&address.host).and_then(|(row, _)| row.name.parse().ok());
    NormalForm::new(kind, found.as_ref().or(platform), address.spell())
}

/// An address of the web, taken apart.
struct Address {
    scheme: String,
    user: String,
    host: String,
    port: String,
    path: String,
    query: String,
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
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

    fn is_bare(&self) -> bool {
        self.user.is_empty()
            && self.port.is_empty()
            && self.path.is_empty()
            && self.query.is_empty()
    }

    fn spell(&self) -> String {
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

/// The profile that an address names, if it names one.
fn profile(address: &Address) -> Option<NormalForm> {
    if !address.user.is_empty() || !address.port.is_empty() {
        return None;
    }
    let (row, before) = row_of_host(&address.host)?;
    let segments: Vec<&str> = address
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let by_id = || {
        if row.name == "facebook" {
            facebook(address, &segments)
        } else {
            None
        }
    };
    let (kind, value) = by_id().or_else(|| {
        row.shapes
            .iter()
            .find_map(|shape| shape_match(row, shape, before, &segments))
    })?;
    let platform: Platform = row.name.parse().ok()?;
    let value = if row.fold && !has_own_case(row, &value) {
        value.to_lowercase()
    } else {
        value
    };
    Some(NormalForm::new(kind, Some(&platform), value))
}

fn shape_match(
    row: &Row,
    shape: &Shape,
    before: &str,
    segments: &[&str],
) -> Option<(Kind, String)> {
    if let Shape::Subdomain(kind) = shape {
        let own = !MOBILE.contains(&before) && !before.contains('.') && segments.is_empty();
        return own.then(|| (*kind, before.to_owned()));
    }
    let country = before.len() == 2 && before.bytes().all(|byte| byte.is_ascii_lowercase())
        || before.len() == 5 && before.contains('-');
    if !MOBILE.contains(&before) && !country {
        return None;
    }
    let (kind, name, tail, prefix) = match (shape, segments) {
        (Shape::Name(kind), [name, tail @ ..]) => (kind, *name, tail, ""),
        (Shape::At(kind), [name, tail @ ..]) => (kind, name.strip_prefix('@')?, tail, ""),
        (Shape::Under(prefix, kind), [first, name, tail @ ..]) if first == prefix => {
            (kind, *name, tail, "")
        }
        (Shape::Kept(prefix, kind), [first, name, tail @ ..]) if first == prefix => {
            (kind, *name, tail, *prefix)
        }
        _ => return None,
    };
    let name = if matches!(shape, Shape::Name(_)) {
        free_name(row, name)?
    } else {
        name
    };
    if !is_handle(name) || !is_tab(tail) {
        return None;
    }
    let value = if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    };
    Some((*kind, value))
}

fn free_name<'a>(row: &Row, name: &'a str) -> Option<&'a str> {
    let reserved = row.reserved.contains(&name.to_ascii_lowercase().as_str());
    (!reserved).then(|| name.strip_prefix('@').unwrap_or(name))
}

fn is_handle(name: &str) -> bool {
    let legal = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    legal && (1..=100).contains(&name.len())
}

/// What may follow a profile's name without naming something else.
fn is_tab(tail: &[&str]) -> bool {
    const TABS: [&str; 12] = [
        "about",
        "videos",
        "shorts",
        "featured",
        "with_replies",
        "media",
        "followers",
        "following",
        "likes",
        "photos",
        "posts",
        "streams",
    ];
    match tail {
        [] => true,
        [tab] => TABS.contains(tab),
        _ => false,
    }
}

/// Facebook's addresses by number: `profile.php?id=`, `/people/Name/id`, `/pages/Name/id`.
fn facebook(address: &Address, segments: &[&str]) -> Option<(Kind, String)> {
    let (kind, id) = match segments {
        ["profile.php"] => (
            Kind::Account,
            address
                .query
                .split('&')
                .find_map(|part| part.strip_prefix("id="))?,
        ),
        ["people", _, id] => (Kind::Account, *id),
        ["pages", _, id] | ["pages", "category", _, id] => (Kind::Page, *id),
        ["pages", name] => (Kind::Page, *name),
        _ => return None,
    };
    is_handle(id).then(|| (kind, id.to_owned()))
}

fn email(text: &str) -> Result<String> {
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

fn phone(text: &str) -> Result<String> {
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

fn ip(text: &str) -> Result<String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address: IpAddr = inner.parse().map_err(|_invalid| NormalFormError::Ip)?;
    Ok(address.to_canonical().to_string())
}

fn hash(text: &str, lengths: &[usize]) -> Result<String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && lengths.contains(&text.len()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(NormalFormError::Hash)
    }
}

/// Hex of a known length, or the text of a video hash, whose base is not hex and whose case matters.
fn media_hash(text: &str) -> Result<String> {
    let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all_hex || text.len() <= 128 {
        hash(text, &[32, 40, 64, 128])
    } else {
        Ok(text.to_owned())
    }
}

fn text_hash(text: &str) -> String {
    hash(text, &[16, 32, 40, 64, 70, 72, 128]).unwrap_or_else(|_other| text.to_owned())
}

fn hashtag(text: &str) -> Result<String> {
    let tag: String = text
        .trim_start_matches(['#', '\u{ff03}'])
        .to_lowercase()
        .nfc()
        .collect();
    let legal = !tag.is_empty()
        && !tag.contains(|character: char| character.is_whitespace() || character == '#');
    if legal {
        Ok(tag)
    } else {
        Err(NormalFormError::Hashtag)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const VECTORS: &str = include_str!("../../tests/vectors/normal_form.tsv");

    fn parsed(platform: &str) -> Option<Platform> {
        (!platform.is_empty()).then(|| platform.parse().unwrap())
    }

    fn spelled(outcome: Result<NormalForm>) -> String {
        outcome.map_or_else(
            |_refused| "refused\t\t".to_owned(),
            |form| {
                format!(
                    "{}\t{}\t{}",
                    form.kind,
                    form.platform.as_ref().map_or("", Platform::as_str),
                    form.value
                )
            },
        )
    }

    #[test]
    fn golden_vectors_hold() {
        let mut wrong = Vec::new();
        let rows: Vec<&str> = VECTORS
            .lines()
            .filter(|line| !line.starts_with("# "))
            .collect();
        assert!(rows.len() >= 150, "{} rows", rows.len());
        for row in rows {
            let cells: Vec<&str> = row.splitn(4, '\t').collect();
            let found = spelled(normal_form(
                cells[0].parse().unwrap(),
                parsed(cells[1]).as_ref(),
                cells[2],
            ));
            if found != cells[3] {
                wrong.push(format!(
                    "{} {:?}: found {found:?}, expected {:?}",
                    cells[0], cells[2], cells[3]
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn bare_values_are_recognised() {
        for (text, expected) in [
            ("https://x.com/alice", "account\tx\talice"),
            ("example[.]com", "domain\t\texample.com"),
            ("example.blogspot.com", "blog\tblogger\texample"),
            ("example.com/a", "url\t\thttps://example.com/a"),
            ("a[at]example.com", "email-address\t\ta@example.com"),
            ("https://medium.com/@example", "account\tmedium\texample"),
            ("192[.]0[.]2[.]1", "ip-address\t\t192.0.2.1"),
            (
                "D41D8CD98F00B204E9800998ECF8427E",
                "file-hash\t\td41d8cd98f00b204e9800998ecf8427e",
            ),
            ("#Example", "hashtag\t\texample"),
        ] {
            assert_eq!(
                spelled(recognise(text).ok_or(NormalFormError::Empty)),
                expected,
                "{text}"
            );
        }
        for text in [
            "63 accounts",
            "a sentence about something",
            "t[.]/example_bot",
            "",
            "word",
        ] {
            assert_eq!(recognise(text), None, "{text}");
        }
    }

    #[test]
    fn the_digest_tells_kind_platform_and_value_apart() {
        let forms = [
            (Kind::Account, "x", "ab"),
            (Kind::Page, "x", "ab"),
            (Kind::Account, "xa", "b"),
            (Kind::Account, "", "xab"),
            (Kind::Account, "x", "abc"),
        ];
        let digests: std::collections::HashSet<[u8; 32]> = forms
            .iter()
            .map(|(kind, platform, value)| {
                NormalForm::new(*kind, parsed(platform).as_ref(), (*value).to_owned()).digest()
            })
            .collect();
        assert_eq!(digests.len(), forms.len());
        let one = NormalForm::new(Kind::Domain, None, "example.com".to_owned());
        assert_eq!(
            hex::encode(one.digest()),
            "e56fe2e26cac2dd736495527e8d512e93138fc2dc0221838d402101ccd52e40e"
        );
    }

    #[test]
    fn a_value_beyond_the_limit_is_refused() {
        let long = "a".repeat(VALUE_BYTES_MAX + 1);
        for kind in ObservableKind::ALL {
            assert_eq!(
                normal_form(kind, None, &long),
                Err(NormalFormError::TooLong)
            );
        }
        assert_eq!(recognise(&long), None);
    }

    fn values_of(path: &Path, cells: &mut Vec<String>) {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_path(path)
            .unwrap();
        let headers = reader.byte_headers().unwrap().clone();
        let column = headers.iter().position(|name| {
            matches!(
                String::from_utf8_lossy(name).trim(),
                "Indicator" | "indicator_value"
            )
        });
        let column = column.unwrap_or_else(|| panic!("no column of values in {}", path.display()));
        let records = reader.byte_records().map(std::result::Result::unwrap);
        cells.extend(
            records.filter_map(|record| {
                Some(String::from_utf8_lossy(record.get(column)?).into_owned())
            }),
        );
    }

    fn published(folder: &Path, cells: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                published(&path, cells);
            } else if path.extension().is_some_and(|extension| extension == "csv") {
                values_of(&path, cells);
            }
        }
    }

    #[test]
    fn published_indicators_are_recognised_and_stay_as_they_are() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data/meta-threat-research/indicators/csv");
        if !folder.exists() {
            return;
        }
        let mut cells = Vec::new();
        published(&folder, &mut cells);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for form in cells.iter().filter_map(|cell| recognise(cell)) {
            assert_eq!(
                normal_form(form.kind, form.platform.as_ref(), &form.value),
                Ok(form.clone())
            );
            *counts.entry(form.kind.to_string()).or_default() += 1;
        }
        let spelled: Vec<String> = counts
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        assert_eq!(
            format!("{} cells: {}", cells.len(), spelled.join(", ")),
            "9549 cells: account 338, blog 50, channel 68, domain 7537, file-hash 106, group 2, hashtag 3, ip-address 4, url 472"
        );
    }

    fn kind_strategy() -> impl Strategy<Value = ObservableKind> {
        prop::sample::select(ObservableKind::ALL.to_vec())
    }

    fn platform_strategy() -> impl Strategy<Value = Option<Platform>> {
        prop::sample::select(vec!["", "x", "youtube", "facebook", "quora", "some-forum"])
            .prop_map(parsed)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_normal_form_is_idempotent_and_refuses_only_hopeless_text(
            kind in kind_strategy(),
            platform in platform_strategy(),
            text in r"((https?://)?(www\.|m\.)?(x\.com|youtube\.com|facebook\.com|example\.org|t\.me|a\.medium\.com))?([/?&=#@%.:-]|utm_|channel|groups|user|id=|%41|%2f|[A-Za-z0-9]{1,4}|\PC){0,12}",
        ) {
            match normal_form(kind, platform.as_ref(), &text) {
                Ok(form) => prop_assert_eq!(normal_form(form.kind, form.platform.as_ref(), &form.value), Ok(form)),
                Err(error) => prop_assert_ne!(error, NormalFormError::TooLong),
            }
            if let Some(form) = recognise(&text) {
                prop_assert_eq!(normal_form(form.kind, form.platform.as_ref(), &form.value), Ok(form));
            }
        }
    }
}
