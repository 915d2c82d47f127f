//! For which kinds of observables a list is.

use crate::model::observable::ObservableKind as Kind;

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u32);

/// A kind by whose rule an entry is spelled, and the kinds whose values are spelled so.
///
/// Names within a platform are compared as written: a list of strings does not say which platform it means.
pub(super) const SPELLINGS: &[(Kind, &[Kind])] = &[
    (Kind::Url, &[Kind::Url]),
    (Kind::EmailAddress, &[Kind::EmailAddress]),
    (Kind::PhoneNumber, &[Kind::PhoneNumber]),
    (Kind::IpAddress, &[Kind::IpAddress]),
    (Kind::FileHash, &[Kind::FileHash, Kind::MediaHash]),
    (Kind::Hashtag, &[Kind::Hashtag]),
    (
        Kind::PaymentHandle,
        &[
            Kind::Account,
            Kind::Page,
            Kind::Group,
            Kind::Channel,
            Kind::Blog,
            Kind::Post,
            Kind::Ad,
            Kind::AdAccount,
            Kind::Event,
            Kind::Petition,
            Kind::App,
            Kind::PaymentHandle,
            Kind::TextHash,
        ],
    ),
];

impl Kinds {
    /// One kind.
    pub(super) fn of(kind: Kind) -> Self {
        let place = u32::try_from(kind.number()).ok();
        Self(place.and_then(|place| 1_u32.checked_shl(place)).unwrap_or_default())
    }

    /// Several kinds.
    pub(super) fn of_all(kinds: &[Kind]) -> Self {
        kinds.iter().fold(Self::default(), |set, kind| set.or(Self::of(*kind)))
    }

    /// The kinds that are hosts or addresses on one.
    pub(super) fn of_hosts() -> Self {
        Self::of_all(&[Kind::Domain, Kind::Url])
    }

    /// The kinds that have a host.
    pub(super) fn with_hosts() -> Self {
        Self::of_hosts().or(Self::of(Kind::EmailAddress))
    }

    /// The kinds that a list names by its attributes; every kind where it names none.
    pub(super) fn of_attributes(names: &[String]) -> Self {
        if names.is_empty() {
            return Self::of_all(&Kind::ALL);
        }
        names.iter().fold(Self::default(), |set, name| set.or(Self::of_all(of_attribute(name))))
    }

    /// Both sets together.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a kind is in both sets.
    pub(super) fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The kinds that an attribute type of MISP is for; none for what no observable is.
fn of_attribute(name: &str) -> &'static [Kind] {
    match name.strip_prefix("filename|").unwrap_or(name) {
        "domain" | "hostname" | "hostname|port" => &[Kind::Domain],
        "domain|ip" => &[Kind::Domain, Kind::IpAddress],
        "url" | "uri" | "link" => &[Kind::Url],
        "ip-src" | "ip-dst" | "ip-src|port" | "ip-dst|port" => &[Kind::IpAddress],
        "email"
        | "email-src"
        | "email-dst"
        | "email-reply-to"
        | "target-email"
        | "whois-registrant-email"
        | "dns-soa-email" => &[Kind::EmailAddress],
        "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512" | "sha512/224"
        | "sha512/256" => &[Kind::FileHash, Kind::MediaHash],
        "phone-number" | "whois-registrant-phone" => &[Kind::PhoneNumber],
        "twitter-id" | "github-username" | "jabber-id" => &[Kind::Account],
        "mobile-application-id" => &[Kind::App],
        "btc" | "xmr" | "dash" | "iban" | "bank-account-nr" => &[Kind::PaymentHandle],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_bit_and_one_spelling() {
        for kind in Kind::ALL {
            assert_ne!(Kinds::of(kind), Kinds::default());
            assert!(
                Kind::ALL
                    .iter()
                    .all(|other| Kinds::of(kind).meet(Kinds::of(*other)) == (kind == *other))
            );
            let spellings = SPELLINGS.iter().filter(|(_, alike)| alike.contains(&kind)).count();
            let has_no_value = matches!(kind, Kind::Domain | Kind::Aggregate);
            assert_eq!(spellings, usize::from(!has_no_value), "{kind}");
        }
    }

    #[test]
    fn attributes_name_kinds() {
        let kinds = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Kinds::of_attributes(&names)
        };
        assert_eq!(kinds(&["domain|ip"]), Kinds::of_all(&[Kind::Domain, Kind::IpAddress]));
        assert_eq!(kinds(&["filename|md5"]), Kinds::of_all(&[Kind::FileHash, Kind::MediaHash]));
        assert_eq!(kinds(&["AS", "mutex"]), Kinds::default());
        assert_eq!(kinds(&[]), Kinds::of_all(&Kind::ALL));
    }
}
