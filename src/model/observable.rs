//! What sort of asset an observable is, so that numbers, names and the normal form agree on one list.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A kind of asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObservableKind {
    /// A user account.
    Account,
    /// A page.
    Page,
    /// A group.
    Group,
    /// A channel.
    Channel,
    /// A blog.
    Blog,
    /// One post.
    Post,
    /// One advertisement.
    Ad,
    /// An advertiser's account.
    AdAccount,
    /// An event.
    Event,
    /// A petition.
    Petition,
    /// A hashtag.
    Hashtag,
    /// A domain name.
    Domain,
    /// A URL.
    Url,
    /// An e-mail address.
    EmailAddress,
    /// A telephone number.
    PhoneNumber,
    /// An IP address.
    IpAddress,
    /// An application, by its store id.
    App,
    /// A handle to which money is sent.
    PaymentHandle,
    /// A cryptographic hash of a file.
    FileHash,
    /// A perceptual or cryptographic hash of an image or video.
    MediaHash,
    /// A hash of a text.
    TextHash,
    /// So many assets, without naming them.
    Aggregate,
}

/// A name that no kind has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no kind of observable has this name; there are account, page, group, channel, blog, post, ad, ad-account, event, \
     petition, hashtag, domain, url, email-address, phone-number, ip-address, app, payment-handle, file-hash, \
     media-hash, text-hash and aggregate"
)]
pub struct UnknownKind;

impl ObservableKind {
    /// Every kind, in the order of the numbers.
    pub const ALL: [Self; 22] = [
        Self::Account,
        Self::Page,
        Self::Group,
        Self::Channel,
        Self::Blog,
        Self::Post,
        Self::Ad,
        Self::AdAccount,
        Self::Event,
        Self::Petition,
        Self::Hashtag,
        Self::Domain,
        Self::Url,
        Self::EmailAddress,
        Self::PhoneNumber,
        Self::IpAddress,
        Self::App,
        Self::PaymentHandle,
        Self::FileHash,
        Self::MediaHash,
        Self::TextHash,
        Self::Aggregate,
    ];

    /// Its number on the wire.
    pub const fn number(self) -> i32 {
        self.row().0
    }

    /// The kind with this number on the wire.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its name: `ad-account`.
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Whether its assets live on a platform, without which a value says little: `@example` is somebody else on each.
    pub const fn lives_on_a_platform(self) -> bool {
        matches!(self, Self::Account | Self::Page | Self::Group | Self::Channel)
    }

    /// One row a kind: its number and its name, never changed or reused.
    const fn row(self) -> (i32, &'static str) {
        match self {
            Self::Account => (1, "account"),
            Self::Page => (2, "page"),
            Self::Group => (3, "group"),
            Self::Channel => (4, "channel"),
            Self::Blog => (5, "blog"),
            Self::Post => (6, "post"),
            Self::Ad => (7, "ad"),
            Self::AdAccount => (8, "ad-account"),
            Self::Event => (9, "event"),
            Self::Petition => (10, "petition"),
            Self::Hashtag => (11, "hashtag"),
            Self::Domain => (12, "domain"),
            Self::Url => (13, "url"),
            Self::EmailAddress => (14, "email-address"),
            Self::PhoneNumber => (15, "phone-number"),
            Self::IpAddress => (16, "ip-address"),
            Self::App => (17, "app"),
            Self::PaymentHandle => (18, "payment-handle"),
            Self::FileHash => (19, "file-hash"),
            Self::MediaHash => (20, "media-hash"),
            Self::TextHash => (21, "text-hash"),
            Self::Aggregate => (22, "aggregate"),
        }
    }
}

impl fmt::Display for ObservableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ObservableKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let name = text.trim().to_ascii_lowercase().replace('_', "-");
        let name = match name.as_str() {
            "email" => "email-address",
            "ip" => "ip-address",
            "phone" => "phone-number",
            "hash" => "file-hash",
            other => other,
        };
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb;

    #[test]
    fn an_unknown_kind_is_told_which_there_are() {
        let told = "bogus".parse::<ObservableKind>().unwrap_err().to_string();
        let (_what, words) = told.split_once("there are ").unwrap();
        let words: Vec<&str> = words.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| *word != "and").collect();
        assert_eq!(words, ObservableKind::ALL.map(ObservableKind::as_str));
    }

    #[test]
    fn every_kind_survives_its_number_and_its_name() {
        for (index, kind) in (1..).zip(ObservableKind::ALL) {
            assert_eq!(kind.number(), index);
            assert_eq!(ObservableKind::from_number(index), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let wire = pb::ObservableKind::try_from(index).unwrap();
            assert_eq!(wire.as_str_name().trim_start_matches("OBSERVABLE_KIND_").parse(), Ok(kind));
        }
        assert_eq!(ObservableKind::from_number(0), None);
        assert_eq!("hash".parse(), Ok(ObservableKind::FileHash));
    }
}
