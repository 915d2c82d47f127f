//! MISP's object templates that assets become, in the release of the templates that was read (misp-objects, June 2026).

/// A template, as far as objects made of it need it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Its name.
    pub(super) name: &'static str,
    /// Its UUID.
    pub(super) uuid: &'static str,
    /// Its version.
    pub(super) version: u32,
    /// What it says of itself.
    pub(super) description: &'static str,
    /// The relation of the attribute that names the asset.
    pub(super) names: &'static str,
    /// The relation of the platform's own id.
    pub(super) id: Option<&'static str>,
    /// The relation of the display name.
    pub(super) display: Option<&'static str>,
    /// The relation of the platform, where the template is for several.
    pub(super) platform: Option<&'static str>,
}

pub(super) const TWITTER_ACCOUNT: Template = Template {
    name: "twitter-account",
    uuid: "8066563f-881e-4f6a-9d6c-a9d15b8658bb",
    version: 7,
    description: "Twitter account.",
    names: "name",
    id: Some("id"),
    display: Some("displayed-name"),
    platform: None,
};

pub(super) const FACEBOOK_ACCOUNT: Template = Template {
    name: "facebook-account",
    uuid: "b9862b95-7d78-4938-a2b5-13e45c60f25a",
    version: 1,
    description: "Facebook account.",
    names: "account-name",
    id: Some("account-id"),
    display: None,
    platform: None,
};

pub(super) const FACEBOOK_PAGE: Template = Template {
    name: "facebook-page",
    uuid: "e76892db-c168-4289-b957-56e3021c46b9",
    version: 1,
    description: "Facebook page.",
    names: "page-name",
    id: Some("page-id"),
    display: Some("page-alias"),
    platform: None,
};

pub(super) const FACEBOOK_GROUP: Template = Template {
    name: "facebook-group",
    uuid: "165c5507-1cba-4cec-9be4-66e21b590ee6",
    version: 2,
    description: "Public or private facebook group.",
    names: "group-name",
    id: Some("id"),
    display: Some("group-alias"),
    platform: None,
};

pub(super) const INSTAGRAM_ACCOUNT: Template = Template {
    name: "instagram-account",
    uuid: "656ced16-23f3-4322-925d-c9c961684999",
    version: 1,
    description: "Instagram account.",
    names: "account-name",
    id: Some("account-id"),
    display: None,
    platform: None,
};

pub(super) const TELEGRAM_ACCOUNT: Template = Template {
    name: "telegram-account",
    uuid: "06f02ecf-5afb-42c5-9cb0-b362e222f52c",
    version: 2,
    description: "Information related to a telegram account",
    names: "username",
    id: Some("id"),
    display: None,
    platform: None,
};

pub(super) const YOUTUBE_CHANNEL: Template = Template {
    name: "youtube-channel",
    uuid: "cb9f492b-9930-4388-98e1-5d0cdcfa51df",
    version: 1,
    description: "A YouTube channel.",
    names: "channel-name",
    id: Some("channel-id"),
    display: None,
    platform: None,
};

pub(super) const REDDIT_ACCOUNT: Template = Template {
    name: "reddit-account",
    uuid: "6802f885-2003-494a-b234-61aadce62731",
    version: 2,
    description: "Reddit account.",
    names: "account-name",
    id: Some("account-id"),
    display: None,
    platform: None,
};

pub(super) const SOCIAL_MEDIA_GROUP: Template = Template {
    name: "social-media-group",
    uuid: "c4939ec4-ab53-4c35-9a98-3d4d4caf5b6c",
    version: 1,
    description: "Social media group object template describing a public or private group or channel.",
    names: "group-name",
    id: None,
    display: Some("group-alias"),
    platform: Some("platform"),
};

pub(super) const USER_ACCOUNT: Template = Template {
    name: "user-account",
    uuid: "49606b06-22f0-4ac8-8eee-2f12ad46f3d3",
    version: 6,
    description: "User-account object, defining aspects of user identification, authentication, privileges and other \
                  relevant data points.",
    names: "username",
    id: Some("user-id"),
    display: Some("display-name"),
    platform: Some("account-type"),
};

pub(super) const NARRATIVE: Template = Template {
    name: "narrative",
    uuid: "83bea299-514a-4719-a84b-f6fd0997fac1",
    version: 4,
    description: "Object describing a narrative.",
    names: "narrative-summary",
    id: None,
    display: None,
    platform: None,
};
