//! Where a value is on the net, as far as lists of hosts and networks can say something about it.

use std::net::IpAddr;

use crate::interop::warning_list::Why;
use crate::interop::warning_list::kinds::Kinds;
use crate::model::normal_form::NormalForm;
use crate::model::observable::ObservableKind as Kind;

/// The host of a value.
pub(super) struct Place<'a> {
    pub(super) host: Host<'a>,
    /// What it means that the host is listed.
    pub(super) why: Why,
    /// The kinds of which one must be its list's.
    pub(super) kinds: Kinds,
}

/// A host by its name or its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> Place<'a> {
    /// The place of a domain, IP address, URL or e-mail address; other kinds have none: an account on a large
    /// platform, or a post there, is what indicators are about.
    pub(super) fn of(normal: &'a NormalForm) -> Option<Self> {
        let value = normal.value.as_str();
        let (host, why) = match normal.kind {
            Kind::Domain => (Host::Name(value), Why::Listed),
            Kind::IpAddress => (Host::Address(value.parse().ok()?), Why::Listed),
            Kind::EmailAddress => (Host::Name(value.rsplit_once('@')?.1), Why::OnListedHost),
            Kind::Url => of_url(value)?,
            Kind::Account
            | Kind::Page
            | Kind::Group
            | Kind::Channel
            | Kind::Blog
            | Kind::Post
            | Kind::Ad
            | Kind::AdAccount
            | Kind::Event
            | Kind::Petition
            | Kind::Hashtag
            | Kind::PhoneNumber
            | Kind::App
            | Kind::PaymentHandle
            | Kind::FileHash
            | Kind::MediaHash
            | Kind::TextHash
            | Kind::Aggregate => return None,
        };
        // A URL also meets lists that are for its host alone.
        let kinds = match (normal.kind, host) {
            (Kind::Url, Host::Name(_)) => Kinds::of_all(&[Kind::Url, Kind::Domain]),
            (Kind::Url, Host::Address(_)) => Kinds::of_all(&[Kind::Url, Kind::IpAddress]),
            (own, _) => Kinds::of(own),
        };
        Some(Self { host, why, kinds })
    }
}

/// The host of a URL in its normal form, and whether the URL is that host and nothing on it.
fn of_url(value: &str) -> Option<(Host<'_>, Why)> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let inner = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let name = match inner {
        Some((address, _port)) => address,
        None => host.split_once(':').map_or(host, |(name, _port)| name),
    };
    let why = if rest == name || (rest == host && host.ends_with(']')) {
        Why::Listed
    } else {
        Why::OnListedHost
    };
    let address = name.parse().map(|ip: IpAddr| Host::Address(ip.to_canonical()));
    Some((address.unwrap_or(Host::Name(name)), why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::normal_form::normal_form;

    #[test]
    fn a_url_is_at_its_host_whatever_is_around_it() {
        let ip = |text: &str| Host::Address(text.parse().unwrap());
        for (value, host, why) in [
            ("example.com/", Host::Name("example.com"), Why::Listed),
            ("http://www.example.com?utm_id=1", Host::Name("example.com"), Why::Listed),
            ("ftp://example.com/a", Host::Name("example.com"), Why::OnListedHost),
            ("https://example.com?a=1", Host::Name("example.com"), Why::OnListedHost),
            ("https://example.com#!a", Host::Name("example.com"), Why::OnListedHost),
            ("https://example.com:8443", Host::Name("example.com"), Why::OnListedHost),
            ("https://example.net@example.com", Host::Name("example.com"), Why::OnListedHost),
            ("https://a:b%40c@example.com:1/@d:e", Host::Name("example.com"), Why::OnListedHost),
            ("http://192.0.2.1", ip("192.0.2.1"), Why::Listed),
            ("http://192.0.2.1:80/a", ip("192.0.2.1"), Why::OnListedHost),
            ("http://[2001:db8::1]", ip("2001:db8::1"), Why::Listed),
            ("http://[2001:db8::1]:8080", ip("2001:db8::1"), Why::OnListedHost),
            ("http://[::ffff:192.0.2.1]/a", ip("192.0.2.1"), Why::OnListedHost),
        ] {
            let form = normal_form(Kind::Url, None, value).unwrap();
            let place = Place::of(&form).unwrap();
            assert_eq!((place.host, place.why), (host, why), "{value}");
        }
    }
}
