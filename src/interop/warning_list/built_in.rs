//! The list that is always there: hosts of the large platforms, and of what operations often spoof or cite.
//!
//! Services that give everyone a name below their own (`blogspot.com`, `github.io`) are not here: what is below them
//! is not theirs.

/// Its name.
pub(super) const NAME: &str = "widely used sites";

/// Hosts in their normal form, sorted.
pub(super) const HOSTS: &[&str] = &[
    "adobe.com",
    "aljazeera.com",
    "amazon.com",
    "ap.org",
    "apnews.com",
    "apple.com",
    "baidu.com",
    "bbc.co.uk",
    "bbc.com",
    "bild.de",
    "bilibili.com",
    "bing.com",
    "bit.ly",
    "bsky.app",
    "change.org",
    "cloudflare.com",
    "cnn.com",
    "dailymotion.com",
    "discord.com",
    "discord.gg",
    "douyin.com",
    "dropbox.com",
    "duckduckgo.com",
    "ebay.com",
    "elpais.com",
    "europa.eu",
    "facebook.com",
    "faz.net",
    "fb.com",
    "fb.me",
    "flickr.com",
    "foxnews.com",
    "france24.com",
    "github.com",
    "gitlab.com",
    "gmail.com",
    "gofundme.com",
    "google.com",
    "icloud.com",
    "imgur.com",
    "instagram.com",
    "lefigaro.fr",
    "lemonde.fr",
    "liberation.fr",
    "linkedin.com",
    "linktr.ee",
    "live.com",
    "mail.ru",
    "medium.com",
    "messenger.com",
    "microsoft.com",
    "nato.int",
    "netflix.com",
    "nytimes.com",
    "office.com",
    "ok.ru",
    "openai.com",
    "outlook.com",
    "patreon.com",
    "paypal.com",
    "pinterest.com",
    "qq.com",
    "quora.com",
    "reddit.com",
    "reuters.com",
    "rumble.com",
    "skype.com",
    "snapchat.com",
    "soundcloud.com",
    "spiegel.de",
    "spotify.com",
    "substack.com",
    "sueddeutsche.de",
    "t.co",
    "t.me",
    "telegram.me",
    "telegram.org",
    "theguardian.com",
    "threads.com",
    "threads.net",
    "tiktok.com",
    "tumblr.com",
    "twitch.tv",
    "twitter.com",
    "un.org",
    "vimeo.com",
    "vk.com",
    "walla.co.il",
    "washingtonpost.com",
    "wechat.com",
    "weibo.com",
    "welt.de",
    "whatsapp.com",
    "who.int",
    "wikimedia.org",
    "wikipedia.org",
    "wordpress.org",
    "x.com",
    "yahoo.com",
    "yandex.ru",
    "youtu.be",
    "youtube.com",
    "zoom.us",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::normal_form::normal_form;
    use crate::model::observable::ObservableKind;

    #[test]
    fn every_host_is_in_its_normal_form_and_in_order() {
        assert!(HOSTS.is_sorted_by(|one, next| one < next));
        for host in HOSTS {
            let form = normal_form(ObservableKind::Domain, None, host).unwrap();
            assert_eq!((form.kind, form.value.as_str()), (ObservableKind::Domain, *host));
            assert_ne!(psl::suffix_str(host), Some(*host), "{host} is a public suffix");
        }
    }
}
