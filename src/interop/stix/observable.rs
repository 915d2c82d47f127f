//! Assets as cyber-observables and as patterns.
//!
//! An observable is shared by everyone who names the value, so it is made of the normal form alone and says nothing
//! else; where STIX has no observable for a kind, there is none. A pattern is the record's own: it also says what only
//! the record knows, such as the algorithm of a hash or the platform's own id of an account.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::interop::stix::ids;
use crate::interop::stix::object::Object;
use crate::interop::stix::object::Origin;
use crate::interop::stix::object::fixed;
use crate::interop::stix::pattern;
use crate::interop::stix::pattern::Comparison;
use crate::interop::stix::pattern::Conjunction;
use crate::model::normal_form::NormalForm;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;
use crate::wire::pb;

/// The observable of a normal form, if STIX has one for it.
pub fn of_form(form: &NormalForm) -> Option<Object> {
    let NormalForm { kind, platform, value } = form;
    let origin = Origin::Value(form.digest());
    let single =
        |kind: &str| observable(kind, BTreeMap::from([("value", json!(value))]), origin.clone());
    match kind {
        Kind::Domain => Some(single("domain-name")),
        Kind::Url => Some(single("url")),
        Kind::EmailAddress => Some(single("email-addr")),
        Kind::IpAddress => Some(single(ip_kind(value))),
        Kind::FileHash => {
            let hashes = json!({ hash_by_length(value)?: value });
            Some(observable("file", BTreeMap::from([("hashes", hashes)]), origin))
        }
        Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Blog => {
            let mut contributing =
                BTreeMap::from([("account_login", json!(login(*kind, platform.as_ref(), value)))]);
            if let Some(platform) = platform {
                contributing.insert("account_type", json!(account_type(platform.as_str())));
            }
            Some(observable("user-account", contributing, origin))
        }
        // What these share a value with is another asset: an address of a post is also one of a page on the web, and a
        // hash of media may be a perceptual one, which the normal form does not tell. STIX has none for the others.
        Kind::Post
        | Kind::Ad
        | Kind::AdAccount
        | Kind::Event
        | Kind::Petition
        | Kind::Hashtag
        | Kind::PhoneNumber
        | Kind::App
        | Kind::PaymentHandle
        | Kind::MediaHash
        | Kind::TextHash
        | Kind::Aggregate => None,
    }
}

fn observable(kind: &str, contributing: BTreeMap<&str, Value>, origin: Origin) -> Object {
    let id = ids::observable(kind, &contributing);
    let mut object = fixed(json!({ "type": kind, "spec_version": "2.1", "id": id }), origin);
    for (property, value) in contributing {
        object = object.with(property, value);
    }
    object
}

fn ip_kind(value: &str) -> &'static str {
    if value.contains(':') { "ipv6-addr" } else { "ipv4-addr" }
}

/// How a handle is spelled as a login: that of a group or page that shares a platform with accounts says so, since the
/// two are different assets.
fn login(kind: Kind, platform: Option<&Platform>, value: &str) -> String {
    let usual = platform.and_then(Platform::sole_kind).unwrap_or(Kind::Account);
    if kind == usual || kind == Kind::Account {
        value.to_owned()
    } else {
        format!("{kind}/{value}")
    }
}

/// The word for a platform in the vocabulary of account types, which is an open one.
fn account_type(platform: &str) -> &str {
    if platform == "x" { "twitter" } else { platform }
}

fn hash_by_length(value: &str) -> Option<&'static str> {
    match value.len() {
        32 => Some("MD5"),
        40 => Some("SHA-1"),
        64 => Some("SHA-256"),
        128 => Some("SHA-512"),
        _ => None,
    }
}

/// The pattern of an asset, if STIX can name it.
pub fn pattern(observable: &pb::Observable, form: Option<&NormalForm>) -> Option<String> {
    let alternatives = alternatives(observable, form)?;
    Some(pattern::write(&alternatives))
}

fn alternatives(wire: &pb::Observable, form: Option<&NormalForm>) -> Option<Vec<Conjunction>> {
    let Some(form) = form else { return Some(vec![by_id(wire, None)?]) };
    let value = form.value.as_str();
    match form.kind {
        Kind::Domain => plain("domain-name:value", value),
        Kind::Url => addresses(value),
        Kind::EmailAddress => plain("email-addr:value", value),
        Kind::IpAddress => plain(&format!("{}:value", ip_kind(value)), value),
        Kind::FileHash | Kind::MediaHash => hash(&wire.algorithm, value),
        Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Blog => {
            let platform = form.platform.as_ref();
            let named = one("user-account:account_login", &login(form.kind, platform, value));
            let mut found = vec![account(platform.map(Platform::as_str), named)];
            found.extend(by_id(wire, platform));
            Some(found)
        }
        Kind::Post | Kind::Ad | Kind::Event | Kind::Petition if value.contains("://") => {
            addresses(value)
        }
        Kind::Post
        | Kind::Ad
        | Kind::AdAccount
        | Kind::Event
        | Kind::Petition
        | Kind::Hashtag
        | Kind::PhoneNumber
        | Kind::App
        | Kind::PaymentHandle
        | Kind::TextHash
        | Kind::Aggregate => None,
    }
}

fn one(path: &str, value: &str) -> Comparison {
    Comparison { path: path.to_owned(), value: value.to_owned() }
}

#[expect(clippy::unnecessary_wraps, reason = "one arm of many that may be none")]
fn plain(path: &str, value: &str) -> Option<Vec<Conjunction>> {
    Some(vec![vec![one(path, value)]])
}

/// The normal form lets `http` and `https` fall together: either is meant.
#[expect(clippy::unnecessary_wraps, reason = "one arm of many that may be none")]
fn addresses(value: &str) -> Option<Vec<Conjunction>> {
    let mut found = vec![vec![one("url:value", value)]];
    if let Some(rest) = value.strip_prefix("https://") {
        found.push(vec![one("url:value", &format!("http://{rest}"))]);
    }
    Some(found)
}

/// An account by the platform's own id.
fn by_id(wire: &pb::Observable, platform: Option<&Platform>) -> Option<Conjunction> {
    if wire.platform_id.is_empty() {
        return None;
    }
    let given: Option<Platform> = wire.platform.parse().ok();
    let platform = platform.or(given.as_ref()).map(Platform::as_str);
    Some(account(platform, one("user-account:user_id", &wire.platform_id)))
}

fn account(platform: Option<&str>, named: Comparison) -> Conjunction {
    let platform = platform.map(|name| one("user-account:account_type", account_type(name)));
    platform.into_iter().chain([named]).collect()
}

/// A hash by its algorithm, else by its length. Perceptual ones have names of their own behind `x_`: for them equality
/// finds exact copies only, and nearness is not for patterns.
fn hash(algorithm: &str, value: &str) -> Option<Vec<Conjunction>> {
    use crate::model::hash_algorithm::HashAlgorithm;
    let name = match algorithm.parse::<HashAlgorithm>() {
        Ok(HashAlgorithm::Md5) => "MD5",
        Ok(HashAlgorithm::Sha1) => "SHA-1",
        Ok(HashAlgorithm::Sha256) => "SHA-256",
        Ok(HashAlgorithm::Sha512) => "SHA-512",
        Ok(HashAlgorithm::Pdq) => "x_pdq",
        Ok(HashAlgorithm::Vpdq) => "x_vpdq",
        Ok(HashAlgorithm::Tmk) => "x_tmk_pdqf",
        Err(_none_named) => hash_by_length(value)?,
    };
    plain(&format!("file:hashes.{name}"), value)
}

/// The observable of a value that a record only mentions, if STIX has one for it.
pub fn of_value(value: &pb::Observable) -> Option<(Object, NormalForm)> {
    let kind = Kind::from_number(value.kind)?;
    let platform: Option<Platform> = value.platform.parse().ok();
    let form =
        crate::model::normal_form::normal_form(kind, platform.as_ref(), &value.value).ok()?;
    Some((of_form(&form)?, form))
}

/// The value that an observable of STIX names, with its kind, as far as it is understood.
pub fn read(object: &Map<String, Value>) -> Option<Conjunction> {
    let text = |property: &str| object.get(property).and_then(Value::as_str);
    let kind = text("type")?;
    match kind {
        "domain-name" | "url" | "email-addr" | "ipv4-addr" | "ipv6-addr" => {
            Some(vec![one(&format!("{kind}:value"), text("value")?)])
        }
        "user-account" => {
            let properties = ["account_type", "user_id", "account_login", "display_name"];
            let found = properties.into_iter().filter_map(|property| {
                Some(one(&format!("user-account:{property}"), text(property)?))
            });
            Some(found.collect())
        }
        "file" => {
            let hashes = object.get("hashes").and_then(Value::as_object)?;
            let best = ["SHA-256", "SHA-1", "MD5", "SHA-512"].into_iter().find_map(|name| {
                Some(one(&format!("file:hashes.{name}"), hashes.get(name)?.as_str()?))
            });
            Some(vec![best?])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: Kind, platform: &str, value: &str) -> NormalForm {
        let platform: Option<Platform> = platform.parse().ok();
        crate::model::normal_form::normal_form(kind, platform.as_ref(), value).unwrap()
    }

    #[track_caller]
    fn check(form: &NormalForm, observable: Option<(&str, Value)>, expected: Option<&str>) {
        let found = of_form(form).map(|object| {
            let mut json = object.json;
            for property in ["type", "spec_version"] {
                json.remove(property);
            }
            let id = json.remove("id").unwrap().as_str().unwrap().to_owned();
            (id, Value::Object(json))
        });
        assert_eq!(found, observable.map(|(id, json)| (id.to_owned(), json)));
        let wire = pb::Observable { value: form.value.clone(), ..pb::Observable::default() };
        assert_eq!(pattern(&wire, Some(form)).as_deref(), expected);
    }

    #[test]
    fn each_kind_has_the_observable_that_stix_has_for_it() {
        // The ids are those that the library `stix2` of OASIS computes.
        check(
            &form(Kind::Domain, "", "News[.]Example"),
            Some((
                "domain-name--8e143ca3-8da2-5ae7-89a0-a6fd7f12a491",
                json!({ "value": "news.example" }),
            )),
            Some("[domain-name:value = 'news.example']"),
        );
        check(
            &form(Kind::Url, "", "hxxp://news.example/a'b"),
            Some((
                "url--0b272788-f9aa-5b8b-8880-5fee8ae4a741",
                json!({ "value": "https://news.example/a'b" }),
            )),
            Some(
                r"[url:value = 'https://news.example/a\'b' OR url:value = 'http://news.example/a\'b']",
            ),
        );
        check(
            &form(Kind::IpAddress, "", "2001:db8::1"),
            Some((
                "ipv6-addr--6469e3a9-b053-5e34-a025-9396ae051d26",
                json!({ "value": "2001:db8::1" }),
            )),
            Some("[ipv6-addr:value = '2001:db8::1']"),
        );
    }

    #[test]
    fn an_account_says_on_which_platform_and_what_is_beside_accounts_says_so() {
        check(
            &form(Kind::Account, "x", "@Spring"),
            Some((
                "user-account--494c9286-4316-5931-a583-5bc8ddba1d18",
                json!({ "account_type": "twitter", "account_login": "spring" }),
            )),
            Some(
                "[user-account:account_type = 'twitter' AND user-account:account_login = 'spring']",
            ),
        );
        check(
            &form(Kind::Channel, "telegram", "spring"),
            Some((
                "user-account--13dcab8a-710f-53fd-b6e4-5327dd70b243",
                json!({ "account_type": "telegram", "account_login": "spring" }),
            )),
            Some(
                "[user-account:account_type = 'telegram' AND user-account:account_login = 'spring']",
            ),
        );
        check(
            &form(Kind::Group, "facebook", "spring"),
            Some((
                "user-account--4e32b9d9-454d-5b39-8849-0c1fb873a1f4",
                json!({ "account_type": "facebook", "account_login": "group/spring" }),
            )),
            Some(
                "[user-account:account_type = 'facebook' AND user-account:account_login = 'group/spring']",
            ),
        );
    }

    #[test]
    fn hashes_have_observables_and_what_stix_cannot_name_has_none() {
        check(
            &form(Kind::FileHash, "", &"AB".repeat(32)),
            Some((
                "file--20432b06-75d2-54b6-80ef-6d923b5d925d",
                json!({ "hashes": { "SHA-256": "ab".repeat(32) } }),
            )),
            Some(&format!("[file:hashes.'SHA-256' = '{}']", "ab".repeat(32))),
        );
        check(&form(Kind::Hashtag, "", "#spring"), None, None);
        check(&form(Kind::PhoneNumber, "", "+44 20 7946 0000"), None, None);
        check(
            &form(Kind::Post, "x", "https://x.com/spring/status/1"),
            None,
            Some(
                "[url:value = 'https://x.com/spring/status/1' OR url:value = 'http://x.com/spring/status/1']",
            ),
        );
    }

    #[test]
    fn a_perceptual_hash_has_a_pattern_of_its_own_name_and_no_observable() {
        let form = form(Kind::MediaHash, "", &"0f".repeat(32));
        let wire = pb::Observable { algorithm: "pdq".to_owned(), ..pb::Observable::default() };
        let expected = format!("[file:hashes.x_pdq = '{}']", "0f".repeat(32));
        assert_eq!((of_form(&form), pattern(&wire, Some(&form))), (None, Some(expected)));
    }

    #[test]
    fn the_platforms_own_id_is_another_way_to_name_an_account() {
        let wire = pb::Observable {
            platform: "facebook".to_owned(),
            platform_id: "100".to_owned(),
            ..pb::Observable::default()
        };
        let alone = "[user-account:account_type = 'facebook' AND user-account:user_id = '100']";
        assert_eq!(pattern(&wire, None).as_deref(), Some(alone));
        let form = form(Kind::Page, "facebook", "spring");
        let both = "[(user-account:account_type = 'facebook' AND user-account:account_login = 'page/spring') OR \
                    (user-account:account_type = 'facebook' AND user-account:user_id = '100')]";
        assert_eq!(pattern(&wire, Some(&form)).as_deref(), Some(both));
        assert_eq!(pattern(&pb::Observable::default(), None), None);
    }
}
