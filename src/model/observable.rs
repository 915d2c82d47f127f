//! The kinds of asset that an operation uses.

/// A kind of asset. Its number is the proto's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObservableKind {
    /// A user account.
    Account = 1,
    /// A page.
    Page = 2,
    /// A group.
    Group = 3,
    /// A channel.
    Channel = 4,
    /// A blog.
    Blog = 5,
    /// One post.
    Post = 6,
    /// One advertisement.
    Ad = 7,
    /// An advertiser's account.
    AdAccount = 8,
    /// An event.
    Event = 9,
    /// A petition.
    Petition = 10,
    /// A hashtag.
    Hashtag = 11,
    /// A domain name.
    Domain = 12,
    /// A URL.
    Url = 13,
    /// An e-mail address.
    EmailAddress = 14,
    /// A telephone number.
    PhoneNumber = 15,
    /// An IP address.
    IpAddress = 16,
    /// An application, by its store id.
    App = 17,
    /// A handle to which money is sent.
    PaymentHandle = 18,
    /// A hash of a file.
    FileHash = 19,
    /// A hash of an image or video.
    MediaHash = 20,
    /// A hash of a text.
    TextHash = 21,
    /// So many assets, without naming them.
    Aggregate = 22,
}

impl ObservableKind {
    /// Every kind, in the order of its number.
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

    /// The kind with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its number in the proto.
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the proto's numbers"
    )]
    pub const fn number(self) -> i32 {
        self as i32
    }
}
