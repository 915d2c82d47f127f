//! Platforms by one spelling each, and how their profile addresses look: one row a platform.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::model::observable::ObservableKind as Kind;

/// Where an asset lives: an open vocabulary with canonical spellings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform(String);

/// A name that no platform can have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a platform is 1 to 40 characters of a-z, 0-9, hyphen and dot")]
pub struct InvalidPlatform;

impl Platform {
    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of those that this version knows.
    pub fn is_known(&self) -> bool {
        self.row().is_some()
    }

    /// The one kind that its handles are of, if it is a known platform where they are all of one; groups are beside them.
    pub fn sole_kind(&self) -> Option<Kind> {
        self.row()?.sole_kind()
    }

    /// The row of this platform, if it is a known one.
    pub(super) fn row(&self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.name == self.0)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let slug: String = text.trim().to_ascii_lowercase().replace([' ', '_'], "-");
        let row = ROWS.iter().find(|row| row.is_named(&slug));
        let name = row.map_or(slug.as_str(), |row| row.name);
        let legal =
            name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        let edges = name.starts_with(['-', '.']) || name.ends_with(['-', '.']);
        if name.is_empty() || name.len() > 40 || !legal || edges {
            return Err(InvalidPlatform);
        }
        Ok(Self(name.to_owned()))
    }
}

/// How an address names a profile.
#[derive(Debug)]
pub(super) enum Shape {
    /// `/name`, and perhaps a tab of the profile behind it
    Name(Kind),
    /// `/name` and nothing behind it
    Only(Kind),
    /// `/@name`
    At(Kind),
    /// `/prefix/name`
    Under(&'static str, Kind),
    /// `/prefix/id`, where the prefix stays part of the value since it is a name space of its own
    Kept(&'static str, Kind),
    /// `/prefix/Any-Name/number`, where the number alone counts
    Numbered(&'static str, Kind),
    /// `/page?name=id`
    Parameter(&'static str, &'static str, Kind),
    /// `name.host`
    Subdomain(Kind),
}

impl Shape {
    /// The first part of the path, where it is always the same.
    pub(super) fn prefix(&self) -> Option<&'static str> {
        match self {
            Self::Under(prefix, _) | Self::Kept(prefix, _) | Self::Numbered(prefix, _) => {
                Some(prefix)
            }
            Self::Name(_)
            | Self::Only(_)
            | Self::At(_)
            | Self::Parameter(..)
            | Self::Subdomain(_) => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Name(kind)
            | Self::Only(kind)
            | Self::At(kind)
            | Self::Under(_, kind)
            | Self::Kept(_, kind)
            | Self::Numbered(_, kind)
            | Self::Parameter(_, _, kind)
            | Self::Subdomain(kind) => *kind,
        }
    }
}

/// What is known of a platform.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    aliases: &'static [&'static str],
    /// The first is the one that addresses are spelled with.
    pub(super) hosts: &'static [&'static str],
    pub(super) fold: bool,
    pub(super) shapes: &'static [Shape],
    reserved: &'static [&'static str],
}

impl Row {
    /// What stands before the platform's host: empty for the host itself.
    fn subdomain<'a>(&self, host: &'a str) -> Option<&'a str> {
        self.hosts.iter().find_map(|own| match host.strip_suffix(own)? {
            "" => Some(""),
            before => before.strip_suffix('.'),
        })
    }

    /// Whether a host with this before the platform's is the platform itself, mobile or in some language.
    pub(super) fn is_itself(&self, before: &str) -> bool {
        MOBILE.contains(&before) || (self.subdomain_kind().is_none() && is_language(before))
    }

    /// The kind of `name.host`, where there is such a thing.
    pub(super) fn subdomain_kind(&self) -> Option<Kind> {
        self.shapes.iter().find(|shape| matches!(shape, Subdomain(_))).map(Shape::kind)
    }

    /// The one kind of all profiles but groups, if there is one.
    pub(super) fn sole_kind(&self) -> Option<Kind> {
        let mut kinds = self.shapes.iter().map(Shape::kind);
        let sole = kinds.find(|kind| *kind != Group)?;
        kinds.all(|kind| kind == sole || kind == Group).then_some(sole)
    }

    /// The name in `/name`, unless the platform keeps it for itself.
    pub(super) fn free_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        let lower = name.to_ascii_lowercase();
        let is_prefix = |shape: &Shape| shape.prefix() == Some(lower.as_str());
        let reserved = self.reserved.contains(&lower.as_str()) || self.shapes.iter().any(is_prefix);
        (!reserved).then(|| name.strip_prefix('@').unwrap_or(name))
    }

    fn is_named(&self, slug: &str) -> bool {
        self.name == slug || self.aliases.contains(&slug) || self.hosts.contains(&slug)
    }
}

/// The row whose host this is, and what stands before that host.
pub(super) fn row_of_host(host: &str) -> Option<(&'static Row, &str)> {
    ROWS.iter().find_map(|row| Some((row, row.subdomain(host)?)))
}

/// Whether a parameter only says how an address of the platform came to be shared.
pub(super) fn shares(row: &Row, parameter: &str) -> bool {
    SHARING.iter().any(|(platform, names)| *platform == row.name && names.contains(&parameter))
}

/// `it`, `pt-br`.
fn is_language(label: &str) -> bool {
    let is_code =
        |code: &str| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    label
        .split_once('-')
        .map_or(is_code(label), |(language, country)| is_code(language) && is_code(country))
}

const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    hosts: &'static [&'static str],
    fold: bool,
    shapes: &'static [Shape],
    reserved: &'static [&'static str],
) -> Row {
    Row { name, aliases, hosts, fold, shapes, reserved }
}

use Kind::Account;
use Kind::Blog;
use Kind::Channel;
use Kind::Group;
use Kind::Page;
use Shape::At;
use Shape::Kept;
use Shape::Name;
use Shape::Numbered;
use Shape::Only;
use Shape::Parameter;
use Shape::Subdomain;
use Shape::Under;

/// Name, aliases, hosts, whether handles ignore case, shapes of profile paths, paths that are no names.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("x", &["twitter", "x-twitter", "x-/-twitter", "x/twitter", "twitter/x"], &["x.com", "twitter.com"], true, &[Name(Account)], &["home", "search", "hashtag", "intent", "share", "i", "explore", "settings", "messages", "notifications", "login", "logout", "signup", "tos", "privacy", "about", "compose", "jobs", "download", "account", "oauth", "widgets", "who_to_follow", "status", "search-advanced"]),
    row("facebook", &["fb", "meta"], &["facebook.com", "fb.com"], true, &[Parameter("profile.php", "id", Account), Numbered("people", Account), Numbered("pages", Page), Under("pages", Page), Under("groups", Group), Name(Account)], &["home", "home.php", "search", "hashtag", "sharer", "share", "watch", "events", "event.php", "login", "login.php", "marketplace", "photo", "photos", "story.php", "stories", "permalink.php", "sharer.php", "photo.php", "video.php", "videos", "profile.php", "group.php", "ads", "help", "gaming", "games", "reel", "reels", "plugins", "l.php", "dialog", "policies", "policy.php", "business", "settings", "notes", "media", "public", "messages", "friends", "bookmarks", "legal", "privacy", "terms.php", "live", "fundraisers"]),
    row("instagram", &["ig", "insta"], &["instagram.com"], true, &[Name(Account)], &["p", "reel", "reels", "explore", "stories", "accounts", "tv", "direct", "about", "share", "legal", "developer", "web"]),
    row("threads", &[], &["threads.net", "threads.com"], true, &[At(Account)], &[]),
    row("youtube", &["yt"], &["youtube.com"], true, &[At(Channel), Kept("channel", Channel), Kept("c", Channel), Kept("user", Channel)], &[]),
    row("tiktok", &["tik-tok"], &["tiktok.com"], true, &[At(Account)], &[]),
    row("telegram", &["tg"], &["t.me", "telegram.me", "telegram.dog"], true, &[Name(Channel)], &["joinchat", "addstickers", "addemoji", "addtheme", "share", "c", "proxy", "socks", "iv", "s", "login", "addlist", "boost", "setlanguage", "bg", "invoice", "confirmphone"]),
    row("reddit", &[], &["reddit.com"], true, &[Under("user", Account), Under("u", Account), Under("r", Group)], &[]),
    row("medium", &[], &["medium.com"], true, &[At(Account), Subdomain(Account)], &[]),
    row("blogger", &["blogspot"], BLOGSPOT, true, &[Subdomain(Blog)], &[]),
    row("wordpress", &[], &["wordpress.com"], true, &[Subdomain(Blog)], &[]),
    row("livejournal", &["lj"], &["livejournal.com"], true, &[Subdomain(Blog)], &[]),
    row("tumblr", &[], &["tumblr.com"], true, &[Subdomain(Blog), Name(Blog)], &["dashboard", "explore", "login", "register", "search", "tagged", "blog", "settings", "about", "privacy", "policy", "likes", "inbox", "share"]),
    row("vk", &["vkontakte"], &["vk.com", "vk.ru", "vkontakte.ru"], true, &[Name(Account)], &["feed", "search", "login", "wall", "share.php", "video", "away.php", "about", "apps", "music", "groups", "friends", "im", "market", "settings", "photos", "clips"]),
    row("ok", &["odnoklassniki"], &["ok.ru", "odnoklassniki.ru"], true, &[Under("profile", Account), Under("group", Group), Name(Account)], &["video", "live", "search", "feed", "dk", "music", "games", "help", "messages", "groups", "market"]),
    row("linkedin", &[], &["linkedin.com"], true, &[Under("in", Account), Under("company", Page), Under("school", Page), Under("showcase", Page), Under("groups", Group)], &[]),
    row("pinterest", &[], PINTEREST, true, &[Name(Account)], &["pin", "search", "ideas", "login", "explore", "settings", "about", "today", "business", "board", "discover", "categories"]),
    row("quora", &[], &["quora.com"], false, &[Under("profile", Account)], &[]),
    row("substack", &[], &["substack.com"], true, &[At(Account), Subdomain(Blog)], &[]),
    row("rumble", &[], &["rumble.com"], true, &[Kept("c", Channel), Kept("user", Channel)], &[]),
    row("weibo", &["sina-weibo"], &["weibo.com", "weibo.cn"], true, &[Kept("u", Account), Name(Account)], &["login", "search", "tv", "p", "n", "detail", "status", "ttarticle", "newlogin", "hot"]),
    row("twitch", &[], &["twitch.tv"], true, &[Name(Channel)], &["directory", "videos", "search", "settings", "downloads", "p", "collections", "subscriptions", "login", "signup", "jobs", "store"]),
    row("gab", &[], &["gab.com"], true, &[Under("groups", Group), Name(Account)], &["explore", "search", "auth", "about", "home", "tags", "news", "group", "feed", "settings"]),
    row("truth-social", &["truthsocial", "truth"], &["truthsocial.com"], true, &[At(Account)], &[]),
    row("gettr", &[], &["gettr.com"], true, &[Under("user", Account)], &[]),
    row("odysee", &[], &["odysee.com"], true, &[At(Channel)], &[]),
    row("bluesky", &["bsky"], &["bsky.app"], true, &[Under("profile", Account)], &[]),
    row("mastodon", &["fediverse"], &[], true, &[], &[]),
    row("soundcloud", &[], &["soundcloud.com"], true, &[Only(Account)], &["discover", "search", "stream", "upload", "you", "charts", "pages", "settings", "signin"]),
    row("github", &[], &["github.com"], true, &[Only(Account)], &["search", "topics", "explore", "login", "settings", "features", "about", "orgs", "marketplace", "pricing", "trending", "sponsors", "collections", "join", "new"]),
    row("patreon", &[], &["patreon.com"], true, &[Name(Account)], &["posts", "login", "search", "home", "c", "explore", "user", "policy", "about", "create"]),
    row("vimeo", &[], &["vimeo.com"], true, &[Name(Account)], &["watch", "search", "channels", "groups", "categories", "log-in", "album", "showcase", "ondemand", "event", "upload", "features"]),
    row("dailymotion", &[], &["dailymotion.com"], true, &[Only(Account)], &["video", "playlist", "search", "signin", "embed", "topic"]),
    row("flickr", &[], &["flickr.com"], false, &[Under("people", Account), Under("photos", Account)], &[]),
    row("google-plus", &["google+", "googleplus"], &["plus.google.com"], false, &[Name(Account)], &["communities", "collection", "share", "discover", "up"]),
    row("discord", &["discord.gg"], &["discord.com"], true, &[], &[]),
    row("whatsapp", &["wa.me"], &["whatsapp.com"], true, &[], &[]),
    row("google-play", &["android", "play-store"], &["play.google.com"], false, &[], &[]),
    row("app-store", &["ios", "apple-app-store"], &["apps.apple.com", "itunes.apple.com"], false, &[], &[]),
];

/// A blog is the same under the host of every country.
#[rustfmt::skip]
const BLOGSPOT: &[&str] = &[
    "blogspot.com", "blogspot.ae", "blogspot.be", "blogspot.bg", "blogspot.ca", "blogspot.ch", "blogspot.cz",
    "blogspot.de", "blogspot.dk", "blogspot.fi", "blogspot.fr", "blogspot.gr", "blogspot.hk", "blogspot.hu",
    "blogspot.ie", "blogspot.in", "blogspot.it", "blogspot.jp", "blogspot.kr", "blogspot.mx", "blogspot.my",
    "blogspot.nl", "blogspot.no", "blogspot.pe", "blogspot.pt", "blogspot.qa", "blogspot.ro", "blogspot.rs",
    "blogspot.ru", "blogspot.se", "blogspot.sg", "blogspot.si", "blogspot.sk", "blogspot.tw", "blogspot.co.at",
    "blogspot.co.id", "blogspot.co.il", "blogspot.co.ke", "blogspot.co.nz", "blogspot.co.uk", "blogspot.co.za",
    "blogspot.com.ar", "blogspot.com.au", "blogspot.com.br", "blogspot.com.co", "blogspot.com.eg",
    "blogspot.com.es", "blogspot.com.ng", "blogspot.com.tr",
];

/// One name space under the hosts of many countries.
#[rustfmt::skip]
const PINTEREST: &[&str] = &[
    "pinterest.com", "pinterest.at", "pinterest.ca", "pinterest.ch", "pinterest.cl", "pinterest.de",
    "pinterest.dk", "pinterest.es", "pinterest.fr", "pinterest.ie", "pinterest.it", "pinterest.jp",
    "pinterest.nz", "pinterest.ph", "pinterest.pt", "pinterest.ru", "pinterest.se", "pinterest.co.kr",
    "pinterest.co.uk", "pinterest.com.au", "pinterest.com.mx",
];

/// Parameters that only say how an address was shared; elsewhere they may mean something.
#[rustfmt::skip]
const SHARING: &[(&str, &[&str])] = &[
    ("x", &["s", "t", "cxt"]),
    ("facebook", &["rdid", "ref", "refid", "fref", "hc_ref", "__tn__", "paipv", "eav", "locale", "_rdr"]),
    ("instagram", &["hl"]),
    ("threads", &["xmt", "slof"]),
    ("youtube", &["si", "feature", "pp", "ab_channel"]),
    ("tiktok", &["_r", "_t", "_d", "is_from_webapp", "sender_device", "is_copy_url"]),
    ("reddit", &["share_id", "rdt"]),
    ("linkedin", &["trk", "originalSubdomain"]),
    ("medium", &["source"]),
    ("tumblr", &["source"]),
];

/// Host labels before a platform's host that name the same place.
const MOBILE: &[&str] = &["", "www", "m", "mobile", "web", "old", "new", "mbasic", "touch"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_have_one_spelling_and_unknown_names_are_kept() {
        for (given, expected) in [
            ("Twitter", "x"),
            ("X", "x"),
            ("fb", "facebook"),
            ("Google+", "google-plus"),
            ("Some Forum", "some-forum"),
        ] {
            assert_eq!(given.parse::<Platform>().unwrap().as_str(), expected);
        }
        for given in ["", " ", "a/b", "-a", "\u{e9}"] {
            assert_eq!(given.parse::<Platform>(), Err(InvalidPlatform));
        }
    }

    #[test]
    fn every_row_has_names_of_its_own_in_lower_case() {
        let mut seen = std::collections::HashSet::new();
        for row in ROWS {
            assert_eq!(row.name.parse::<Platform>().unwrap().as_str(), row.name);
            for name in [row.name].iter().chain(row.aliases).chain(row.hosts) {
                assert!(seen.insert(*name), "{name} stands twice");
                assert_eq!(name.parse::<Platform>().unwrap().as_str(), row.name);
            }
            for word in row.reserved.iter().chain(row.hosts) {
                assert_eq!(*word, word.to_ascii_lowercase());
            }
        }
        for (platform, _) in SHARING {
            assert!(ROWS.iter().any(|row| row.name == *platform), "{platform}");
        }
    }
}
