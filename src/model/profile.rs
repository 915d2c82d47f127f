//! Which addresses are profiles: one table, a line for each way in which a platform writes them.

use url::Url;

enum Shape {
    /// `host/NAME`.
    First,
    /// `host/@NAME`.
    At,
    /// `host/PREFIX/NAME`.
    Below(&'static [&'static str]),
    /// `NAME.host`.
    Subdomain,
}

const TABLE: &[(&str, &str, Shape)] = &[
    ("twitter.com", "x", Shape::First),
    ("x.com", "x", Shape::First),
    ("facebook.com", "facebook", Shape::First),
    ("fb.com", "facebook", Shape::First),
    ("instagram.com", "instagram", Shape::First),
    ("youtube.com", "youtube", Shape::At),
    (
        "youtube.com",
        "youtube",
        Shape::Below(&["channel", "c", "user"]),
    ),
    ("tiktok.com", "tiktok", Shape::At),
    ("threads.net", "threads", Shape::At),
    ("t.me", "telegram", Shape::First),
    ("t.me", "telegram", Shape::Below(&["s"])),
    ("telegram.me", "telegram", Shape::First),
    ("vk.com", "vk", Shape::First),
    ("ok.ru", "ok", Shape::Below(&["profile", "group"])),
    ("reddit.com", "reddit", Shape::Below(&["user", "u"])),
    ("medium.com", "medium", Shape::At),
    ("medium.com", "medium", Shape::Subdomain),
    ("blogspot.com", "blogger", Shape::Subdomain),
    ("wordpress.com", "wordpress", Shape::Subdomain),
    ("tumblr.com", "tumblr", Shape::First),
    ("tumblr.com", "tumblr", Shape::Subdomain),
    ("livejournal.com", "livejournal", Shape::Subdomain),
    ("substack.com", "substack", Shape::Subdomain),
    ("linkedin.com", "linkedin", Shape::Below(&["in", "company"])),
    ("pinterest.com", "pinterest", Shape::First),
    ("quora.com", "quora", Shape::Below(&["profile"])),
    ("flickr.com", "flickr", Shape::Below(&["photos", "people"])),
    ("gettr.com", "gettr", Shape::Below(&["user"])),
    ("gab.com", "gab", Shape::First),
    ("truthsocial.com", "truthsocial", Shape::At),
    ("linktr.ee", "linktree", Shape::First),
    ("rumble.com", "rumble", Shape::Below(&["c", "user"])),
    ("soundcloud.com", "soundcloud", Shape::First),
    ("pixiv.net", "pixiv", Shape::Below(&["users"])),
];

/// First segments that are pages of the platform itself.
const RESERVED: &[&str] = &[
    "home",
    "search",
    "hashtag",
    "intent",
    "share",
    "explore",
    "i",
    "login",
    "groups",
    "pages",
    "events",
    "watch",
    "profile.php",
    "story.php",
    "permalink.php",
    "photo.php",
    "sharer.php",
    "p",
    "reel",
    "stories",
    "pin",
    "about",
    "joinchat",
    "tv",
    "discover",
    "feed",
    "post",
    "help",
    "terms",
    "privacy",
    "settings",
    "s",
    "blog",
    "dashboard",
];

/// Sub-domains that are the platform itself.
const OWN_HOSTS: &[&str] = &[
    "www", "m", "mobile", "api", "help", "about", "blog", "en", "web",
];

/// The platform and handle that a profile's address names.
pub(super) fn account(url: &Url) -> Option<(&'static str, String)> {
    let host = url.host_str()?.trim_end_matches('.');
    let segments: Vec<&str> = url
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    TABLE.iter().find_map(|(domain, platform, shape)| {
        let below = below(host, domain)?;
        let handle = match shape {
            Shape::Subdomain => subdomain(below, &segments)?,
            Shape::First => first(below, &segments)?,
            Shape::At => at(below, &segments)?,
            Shape::Below(prefixes) => prefixed(below, prefixes, &segments)?,
        };
        is_handle(&handle).then_some((*platform, handle))
    })
}

/// What stands before the platform's domain; empty for the domain itself.
fn below<'host>(host: &'host str, domain: &str) -> Option<&'host str> {
    if host == domain {
        return Some("");
    }
    host.strip_suffix(domain)?.strip_suffix('.')
}

/// The platform's own host, a mobile one or one of a country.
fn is_own(below: &str) -> bool {
    below.is_empty() || OWN_HOSTS.contains(&below) || below.len() == 2
}

fn subdomain(below: &str, segments: &[&str]) -> Option<String> {
    let taken = !is_own(below) && !below.contains('.') && segments.is_empty();
    taken.then(|| below.to_owned())
}

fn first(below: &str, segments: &[&str]) -> Option<String> {
    let [name] = segments else {
        return None;
    };
    let reserved = RESERVED.contains(&name.to_lowercase().as_str()) || name.starts_with('@');
    (is_own(below) && !reserved).then(|| (*name).to_owned())
}

fn at(below: &str, segments: &[&str]) -> Option<String> {
    let [name] = segments else {
        return None;
    };
    let name = name.strip_prefix('@')?;
    is_own(below).then(|| name.to_owned())
}

fn prefixed(below: &str, prefixes: &[&str], segments: &[&str]) -> Option<String> {
    let [.., prefix, name] = segments else {
        return None;
    };
    let shallow = segments.len() == 2 || (segments.len() == 3 && segments.first()?.len() == 2);
    (is_own(below) && shallow && prefixes.contains(prefix)).then(|| (*name).to_owned())
}

fn is_handle(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-+%@".contains(&byte))
}
