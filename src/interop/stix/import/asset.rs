//! Assets as other people name them.

use crate::interop::stix::pattern::Comparison;
use crate::model::names::Digest;
use crate::model::normal_form::NormalForm;
use crate::model::normal_form::normal_form;
use crate::model::normal_form::recognise;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;
use crate::wire::pb;

/// An asset that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asset {
    pub(super) observable: pb::Observable,
    /// What makes it the same as another one.
    pub(super) digest: Digest,
}

impl Asset {
    fn new(form: &NormalForm, value: &str) -> Self {
        let observable = pb::Observable {
            kind: form.kind.number(),
            platform: form.platform.as_ref().map_or_else(String::new, ToString::to_string),
            value: value.to_owned(),
            ..pb::Observable::default()
        };
        Self { observable, digest: form.digest() }
    }

    fn named(kind: Kind, platform: Option<&Platform>, value: &str) -> Result<Self, String> {
        // An address of a profile is an account, and is kept as the profile that it names.
        let form = normal_form(kind, platform, value).map_err(|error| error.to_string())?;
        let is_same = form.kind == kind && form.platform.as_ref() == platform;
        Ok(Self::new(&form, if is_same { value } else { &form.value }))
    }
}

/// The asset that some comparisons of one observation name, or that the properties of an observable are.
pub(super) fn of_comparisons(
    comparisons: &[Comparison],
    hints: &[String],
) -> Result<Asset, String> {
    let kind = |path: &str| path.split(':').next().unwrap_or_default().to_owned();
    let first = comparisons.first().ok_or("it names no value")?;
    if comparisons.iter().all(|one| kind(&one.path) == "user-account") {
        return account(comparisons, hints);
    }
    if comparisons.len() > 1 {
        return Err("it asks for several values at once".to_owned());
    }
    let Comparison { path, value } = first;
    match path.as_str() {
        "domain-name:value" => Asset::named(Kind::Domain, None, value),
        "url:value" => address(value),
        "email-addr:value" => Asset::named(Kind::EmailAddress, None, value),
        "ipv4-addr:value" | "ipv6-addr:value" => ip(value),
        other => match other.strip_prefix("file:hashes.") {
            Some(algorithm) => hash(algorithm, value),
            None => Err(format!("there is no kind of asset for {other}")),
        },
    }
}

/// A network is many addresses, of which most belong to somebody else.
fn ip(value: &str) -> Result<Asset, String> {
    let host = value.strip_suffix("/32").unwrap_or(value);
    if host.contains('/') {
        return Err("a range of addresses is no asset".to_owned());
    }
    Asset::named(Kind::IpAddress, None, host)
}

/// An address; a bare name of a host is a domain, and words are none.
pub(super) fn address(value: &str) -> Result<Asset, String> {
    let value = value.trim();
    if value.split_whitespace().count() != 1 {
        return Err("it is no address, but words".to_owned());
    }
    if value.starts_with('#') {
        return Asset::named(Kind::Hashtag, None, value);
    }
    if value.contains('/') {
        return Asset::named(Kind::Url, None, value);
    }
    Asset::named(Kind::Domain, None, value)
}

fn hash(algorithm: &str, value: &str) -> Result<Asset, String> {
    let name = algorithm.trim_start_matches("x_");
    let (kind, algorithm) = match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "md5" => (Kind::FileHash, "md5"),
        "sha1" => (Kind::FileHash, "sha1"),
        "sha256" => (Kind::FileHash, "sha256"),
        "sha512" => (Kind::FileHash, "sha512"),
        "pdq" => (Kind::MediaHash, "pdq"),
        "vpdq" => (Kind::MediaHash, "vpdq"),
        "tmkpdqf" | "tmk" => (Kind::MediaHash, "tmk"),
        _ => return Err(format!("the hash algorithm {algorithm} is not taken")),
    };
    let mut asset = Asset::named(kind, None, value)?;
    algorithm.clone_into(&mut asset.observable.algorithm);
    Ok(asset)
}

/// An account by its login or id, on the platform that its type, its login or a label names.
fn account(comparisons: &[Comparison], hints: &[String]) -> Result<Asset, String> {
    let of = |property: &str| {
        let path = format!("user-account:{property}");
        let mut found = comparisons.iter().filter(|one| one.path == path);
        let first = found.next().map(|one| one.value.trim());
        if found.next().is_some() {
            Err(format!("it asks for two of {property}"))
        } else {
            Ok(first)
        }
    };
    let known = ["account_type", "account_login", "user_id", "display_name"];
    let is_known =
        |one: &&Comparison| known.iter().any(|name| one.path == format!("user-account:{name}"));
    if let Some(other) = comparisons.iter().find(|one| !is_known(one)) {
        return Err(format!("there is no kind of asset for {}", other.path));
    }
    let (login, id, display) = (of("account_login")?, of("user_id")?, of("display_name")?);
    let number = id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    let handle = login.or_else(|| id.filter(|_| number.is_none()));
    let handle = handle.filter(|handle| !handle.is_empty());
    let mut asset = match handle {
        Some(handle) if handle.split_whitespace().count() != 1 => {
            return Err("its login is no handle, but words".to_owned());
        }
        Some(handle) if handle.contains('/') && recognised(handle).is_some() => {
            recognised(handle).ok_or("it is no profile")?
        }
        Some(handle) => {
            let (kind, handle) = kind_of(handle);
            let platform = platform(of("account_type")?, hints)?;
            Asset::named(kind, Some(&platform), handle)?
        }
        None => {
            let number = number.ok_or("it has neither a login nor an id")?;
            let platform = platform(of("account_type")?, hints)?;
            Asset::named(Kind::Account, Some(&platform), number)?
        }
    };
    let observable = &mut asset.observable;
    number.unwrap_or_default().clone_into(&mut observable.platform_id);
    let display = display.filter(|display| Some(*display) != handle).unwrap_or_default();
    observable.display_name = super::text::label(display);
    Ok(asset)
}

/// The profile that an address without its scheme names: `t.me/name`.
fn recognised(handle: &str) -> Option<Asset> {
    let form = recognise(handle)?;
    form.platform.as_ref()?;
    Some(Asset::new(&form, &form.value))
}

/// `group/name`, as we write the login of what shares a platform with accounts.
fn kind_of(handle: &str) -> (Kind, &str) {
    for kind in [Kind::Page, Kind::Group, Kind::Channel, Kind::Blog] {
        let rest = handle.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('/'));
        if let Some(rest) = rest {
            return (kind, rest);
        }
    }
    (Kind::Account, handle)
}

fn platform(account_type: Option<&str>, hints: &[String]) -> Result<Platform, String> {
    if let Some(name) = account_type.filter(|name| !name.is_empty()) {
        return name.parse().map_err(|error: crate::model::platform::InvalidPlatform| {
            format!("its account_type: {error}")
        });
    }
    // A label is anything; one that is the name of a known platform can hardly mean something else.
    let known: Vec<Platform> = hints
        .iter()
        .filter_map(|hint| hint.parse::<Platform>().ok())
        .filter(Platform::is_known)
        .collect();
    match known.as_slice() {
        [platform] => Ok(platform.clone()),
        _ => Err("it does not say on which platform it is".to_owned()),
    }
}

/// `423 X accounts` as so many, not named; a handle as a channel.
pub(super) fn channel(name: &str, types: &[String]) -> Result<Asset, String> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let platforms: Vec<Platform> = types.iter().filter_map(|name| name.parse().ok()).collect();
    let [platform] = platforms.as_slice() else {
        return Err("it does not say on which one platform it is".to_owned());
    };
    let number = words.first().map(|first| first.replace([',', '.'], ""));
    let number = number.and_then(|number| number.parse::<u64>().ok());
    let [handle] = words.as_slice() else {
        let (Some(number), Some(what)) = (number, words.last()) else {
            return Err("its name is neither a handle nor a number of assets".to_owned());
        };
        let of = match what.to_ascii_lowercase().as_str() {
            "account" | "accounts" => Kind::Account,
            "page" | "pages" => Kind::Page,
            "group" | "groups" => Kind::Group,
            "channel" | "channels" => Kind::Channel,
            "blog" | "blogs" => Kind::Blog,
            _ => return Err("its name is neither a handle nor a number of assets".to_owned()),
        };
        return Ok(aggregate(of, platform, number));
    };
    Asset::named(Kind::Channel, Some(platform), handle)
}

fn aggregate(of: Kind, platform: &Platform, number: u64) -> Asset {
    let count = pb::Figure { value: Some(pb::figure::Value::Exact(number)) };
    let aggregate = pb::Aggregate { of: of.number(), count: Some(count), parts: Vec::new() };
    let key = format!("aggregate\0{}\0{platform}\0{number}", of.number());
    let observable = pb::Observable {
        kind: Kind::Aggregate.number(),
        platform: platform.to_string(),
        aggregate: Some(aggregate),
        ..pb::Observable::default()
    };
    Asset { observable, digest: crate::model::names::sha256(key.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(parts: &[(&str, &str)], hints: &[&str]) -> Result<(String, String), String> {
        let comparisons: Vec<Comparison> = parts
            .iter()
            .map(|(name, value)| Comparison {
                path: format!("user-account:{name}"),
                value: (*value).to_owned(),
            })
            .collect();
        let hints: Vec<String> = hints.iter().map(|hint| (*hint).to_owned()).collect();
        let asset = of_comparisons(&comparisons, &hints)?;
        Ok((asset.observable.platform, asset.observable.value))
    }

    #[test]
    fn an_account_is_one_only_on_a_platform() {
        let ok = |platform: &str, value: &str| Ok((platform.to_owned(), value.to_owned()));
        let login = ("account_login", "@denazi_UA");
        assert_eq!(account(&[login, ("account_type", "twitter")], &[]), ok("x", "@denazi_UA"));
        assert_eq!(account(&[login], &["rrn", "telegram"]), ok("telegram", "denazi_ua"));
        assert_eq!(
            account(&[("account_login", "t.me/newsfrontnotes")], &[]),
            ok("telegram", "newsfrontnotes")
        );
        assert!(account(&[login], &["rrn"]).unwrap_err().contains("platform"));
        assert!(account(&[login], &["facebook", "telegram"]).unwrap_err().contains("platform"));
        let words = account(&[("account_login", "Twitter Bots"), ("account_type", "twitter")], &[]);
        assert!(words.unwrap_err().contains("words"));
        let number = account(&[("user_id", "100064743754893"), ("account_type", "facebook")], &[]);
        assert_eq!(number, ok("facebook", "100064743754893"));
        assert!(account(&[login, ("is_disabled", "true")], &[]).is_err());
    }

    #[test]
    fn an_address_is_no_sentence() {
        let value = |text: &str| address(text).map(|asset| asset.observable.kind);
        assert_eq!(value("urlbox.online"), Ok(Kind::Domain.number()));
        assert_eq!(value("http://www.bild.work/x"), Ok(Kind::Url.number()));
        assert_eq!(value("#France"), Ok(Kind::Hashtag.number()));
        assert!(value("URL directing to a french typosquatted site").is_err());
        assert!(value("aremplir").is_err());
        assert!(ip("58.246.0.0/15").is_err());
    }

    #[test]
    fn a_channel_may_be_a_number_of_accounts() {
        let types = ["Twitter".to_owned()];
        let asset = channel("423 X accounts", &types).unwrap().observable;
        let aggregate = asset.aggregate.unwrap();
        assert_eq!((asset.platform.as_str(), aggregate.of), ("x", Kind::Account.number()));
        assert_eq!(aggregate.count.unwrap().value, Some(pb::figure::Value::Exact(423)));
        assert!(channel("some accounts", &types).is_err());
        assert!(channel("423 X accounts", &[]).is_err());
    }
}
