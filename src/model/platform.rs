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
        let legal = name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        let edges = name.starts_with(['-', '.']) || name.ends_with(['-', '.']);
        if name.is_empty() || name.len() > 40 || !legal || edges {
            return Err(InvalidPlatform);
        }
        Ok(Self(name.to_owned()))
    }
}

/// How a path names a profile.
#[derive(Debug)]
pub(super) enum Shape {
    /// `/name`
    Name(Kind),
    /// `/@name`
    At(Kind),
    /// `/prefix/name`
    Under(&'static str, Kind),
    /// `/prefix/id`, where the prefix stays part of the value since it is a name space of its own
    Kept(&'static str, Kind),
    /// `name.host`
    Subdomain(Kind),
}

/// What is known of a platform.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    aliases: &'static [&'static str],
    pub(super) hosts: &'static [&'static str],
    pub(super) fold: bool,
    pub(super) shapes: &'static [Shape],
    pub(super) reserved: &'static [&'static str],
}

impl Row {
    fn is_named(&self, slug: &str) -> bool {
        self.name == slug || self.aliases.contains(&slug) || self.hosts.contains(&slug)
    }

    /// What stands before the platform's host: empty for the host itself.
    pub(super) fn subdomain<'a>(&self, host: &'a str) -> Option<&'a str> {
        self.hosts
            .iter()
            .find_map(|own| match host.strip_suffix(own)? {
                "" => Some(""),
                before => before.strip_suffix('.'),
            })
    }
}

/// The row whose host this is, and what stands before that host.
pub(super) fn row_of_host(host: &str) -> Option<(&'static Row, &str)> {
    ROWS.iter()
        .find_map(|row| Some((row, row.subdomain(host)?)))
}

#[expect(clippy::too_many_arguments, reason = "the columns of a table")]
const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    hosts: &'static [&'static str],
    fold: bool,
    shapes: &'static [Shape],
    reserved: &'static [&'static str],
) -> Row {
    Row {
        name,
        aliases,
        hosts,
        fold,
        shapes,
        reserved,
    }
}

use Kind::Account;
use Kind::Blog;
use Kind::Channel;
use Kind::Group;
use Kind::Page;
use Shape::At;
use Shape::Kept;
use Shape::Name;
use Shape::Subdomain;
use Shape::Under;

/// Name, aliases, hosts, whether handles ignore case, shapes of profile paths, paths that are no names.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("x", &["twitter", "x-twitter", "x-/-twitter", "x/twitter"], &["x.com", "twitter.com"], true, &[Name(Account)], &["home", "search", "hashtag", "intent", "share", "i", "explore", "settings", "messages", "notifications", "login", "signup", "tos", "privacy", "about", "compose", "jobs", "download"]),
    row("facebook", &["fb", "meta"], &["facebook.com", "fb.com", "fb.me"], true, &[Under("groups", Group), Name(Account)], &["home", "search", "hashtag", "sharer", "share", "watch", "events", "login", "marketplace", "photo", "story.php", "permalink.php", "sharer.php", "photo.php", "video.php", "profile.php", "pages", "people", "ads", "help", "gaming", "reel", "plugins", "l.php", "dialog", "policies"]),
    row("instagram", &["ig", "insta"], &["instagram.com"], true, &[Name(Account)], &["p", "reel", "reels", "explore", "stories", "accounts", "tv", "direct", "about", "share"]),
    row("threads", &[], &["threads.net", "threads.com"], true, &[At(Account)], &[]),
    row("youtube", &["yt"], &["youtube.com"], true, &[At(Channel), Kept("channel", Channel), Kept("c", Channel), Kept("user", Channel)], &[]),
    row("tiktok", &["tik-tok"], &["tiktok.com"], true, &[At(Account)], &[]),
    row("telegram", &["tg"], &["t.me", "telegram.me", "telegram.dog"], true, &[Under("s", Channel), Name(Channel)], &["joinchat", "addstickers", "share", "c", "proxy", "socks", "iv", "s", "login", "addlist", "boost"]),
    row("reddit", &[], &["reddit.com"], true, &[Under("user", Account), Under("u", Account), Under("r", Group)], &[]),
    row("medium", &[], &["medium.com"], true, &[At(Account), Subdomain(Account)], &[]),
    row("blogger", &["blogspot"], &["blogspot.com"], true, &[Subdomain(Blog)], &[]),
    row("wordpress", &["wordpress.com"], &["wordpress.com"], true, &[Subdomain(Blog)], &[]),
    row("livejournal", &["lj"], &["livejournal.com"], true, &[Subdomain(Blog)], &[]),
    row("tumblr", &[], &["tumblr.com"], true, &[Subdomain(Blog), Name(Blog)], &["dashboard", "explore", "login", "register", "search", "tagged", "blog", "settings"]),
    row("vk", &["vkontakte"], &["vk.com", "vk.ru", "vkontakte.ru"], true, &[Name(Account)], &["feed", "search", "login", "wall", "share.php", "video", "away.php"]),
    row("ok", &["odnoklassniki"], &["ok.ru", "odnoklassniki.ru"], true, &[Under("profile", Account), Under("group", Group), Name(Account)], &["profile", "group", "video", "live", "search", "feed", "dk"]),
    row("linkedin", &[], &["linkedin.com"], true, &[Under("in", Account), Under("company", Page)], &[]),
    row("pinterest", &[], &["pinterest.com"], true, &[Name(Account)], &["pin", "search", "ideas", "login", "explore", "settings", "about"]),
    row("quora", &[], &["quora.com"], false, &[Under("profile", Account)], &[]),
    row("substack", &[], &["substack.com"], true, &[At(Account), Subdomain(Blog)], &[]),
    row("rumble", &[], &["rumble.com"], true, &[Kept("c", Channel), Kept("user", Channel)], &[]),
    row("weibo", &["sina-weibo"], &["weibo.com", "weibo.cn"], true, &[Kept("u", Account), Name(Account)], &["login", "search", "tv", "u", "p", "detail"]),
    row("twitch", &[], &["twitch.tv"], true, &[Name(Channel)], &["directory", "videos", "search", "settings", "downloads", "p"]),
    row("gab", &[], &["gab.com"], true, &[Name(Account)], &["groups", "explore", "search", "auth", "about", "home", "tags", "news"]),
    row("truth-social", &["truthsocial", "truth"], &["truthsocial.com"], true, &[At(Account)], &[]),
    row("gettr", &[], &["gettr.com"], true, &[Under("user", Account)], &[]),
    row("odysee", &[], &["odysee.com"], true, &[At(Channel)], &[]),
    row("bluesky", &["bsky"], &["bsky.app"], true, &[Under("profile", Account)], &[]),
    row("soundcloud", &[], &["soundcloud.com"], true, &[Name(Account)], &["discover", "search", "stream", "upload", "you", "charts"]),
    row("github", &[], &["github.com"], true, &[Name(Account)], &["search", "topics", "explore", "login", "settings", "features", "about", "orgs", "marketplace"]),
    row("patreon", &[], &["patreon.com"], true, &[Name(Account)], &["posts", "login", "search", "home", "c", "explore"]),
    row("vimeo", &[], &["vimeo.com"], true, &[Name(Account)], &["watch", "search", "channels", "groups", "categories", "log-in"]),
    row("dailymotion", &[], &["dailymotion.com"], true, &[Name(Account)], &["video", "playlist", "search", "signin"]),
    row("google-plus", &["google+", "googleplus"], &["plus.google.com"], false, &[Name(Account)], &["communities", "collection"]),
    row("discord", &[], &["discord.com", "discord.gg"], true, &[], &[]),
    row("whatsapp", &[], &["whatsapp.com", "wa.me"], true, &[], &[]),
];

/// Host labels before a platform's host that name the same place.
pub(super) const MOBILE: &[&str] = &[
    "", "www", "m", "mobile", "web", "old", "new", "mbasic", "touch",
];

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
}
