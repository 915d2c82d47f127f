//! Networks, found by the address: one look-up for each length of prefix that is there.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::interop::warning_list::postings::ListId;
use crate::interop::warning_list::postings::Postings;

/// Every address that begins with the same bits.
///
/// Invariant: the address has no bit set behind its prefix, and is of version 4 wherever it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network {
    address: IpAddr,
    length: u8,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidNetwork;

impl Network {
    /// The network of this length around an address; none if the address has fewer bits.
    fn around(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) => {
                let behind = 32_u32.checked_sub(length.into())?;
                let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let behind = 128_u32.checked_sub(length.into())?;
                let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Some(Self { address, length })
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    /// `192.0.2.0/24`, or a single address. Bits behind the prefix are taken as zero.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let given: IpAddr = address.parse().map_err(|_invalid| InvalidNetwork)?;
        let bits = if given.is_ipv4() { 32 } else { 128 };
        let length: u8 = match length {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_invalid| InvalidNetwork)?
            }
            Some(_sign) => return Err(InvalidNetwork),
            None => bits,
        };
        let canonical = given.to_canonical();
        // One of version 6 that only maps version 4 has 96 bits more.
        let (address, length) = match length.checked_sub(96) {
            Some(length) if canonical.is_ipv4() && given.is_ipv6() => (canonical, length),
            _ => (given, length),
        };
        Self::around(address, length).ok_or(InvalidNetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

/// Networks and the lists that have them.
#[derive(Debug, Default)]
pub(super) struct Networks {
    lengths: BTreeSet<(bool, u8)>,
    lists: Postings<Network>,
}

impl Networks {
    pub(super) fn add(&mut self, network: Network, list: ListId) {
        self.lengths.insert((network.address.is_ipv6(), network.length));
        self.lists.add(network, list);
    }

    /// The listed networks around an address in its canonical form, the narrowest first.
    pub(super) fn around(&self, address: IpAddr) -> impl Iterator<Item = (Network, ListId)> {
        let family = address.is_ipv6();
        let lengths = self.lengths.range((family, 0)..=(family, 128)).rev();
        lengths
            .filter_map(move |(_, length)| Network::around(address, *length))
            .flat_map(|network| self.lists.get(&network).map(move |list| (network, list)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = text.parse::<Network>().ok().map(|network| network.to_string());
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn networks_have_one_spelling() {
        check("192.0.2.0/24", Some("192.0.2.0/24"));
        check("192.0.2.77/24", Some("192.0.2.0/24"));
        check(" 192.0.2.7 ", Some("192.0.2.7/32"));
        check("0.0.0.0/0", Some("0.0.0.0/0"));
        check("2001:DB8::1/32", Some("2001:db8::/32"));
        check("2001:db8::1", Some("2001:db8::1/128"));
        check("::/0", Some("::/0"));
        check("::ffff:192.0.2.0/120", Some("192.0.2.0/24"));
        check("::ffff:192.0.2.1", Some("192.0.2.1/32"));
        for text in [
            "",
            "/",
            "192.0.2.0/",
            "192.0.2.0/33",
            "2001:db8::/129",
            "192.0.2/24",
            "x/8",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.0/256",
        ] {
            check(text, None);
        }
    }

    fn address_strategy() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()),
        ]
    }

    proptest! {
        #[test]
        fn an_address_is_found_in_every_network_around_it(address in address_strategy(), other in address_strategy()) {
            let mut networks = Networks::default();
            let lengths: Vec<u8> = (0..=if address.is_ipv4() { 32 } else { 128 }).collect();
            for length in &lengths {
                networks.add(format!("{address}/{length}").parse().unwrap(), u16::from(*length));
            }
            let found: Vec<u8> = networks.around(address).map(|(network, _)| network.length).collect();
            prop_assert_eq!(&found, &lengths.iter().copied().rev().collect::<Vec<u8>>());
            let shared = match (address, other) {
                (IpAddr::V4(one), IpAddr::V4(two)) => Some((one.to_bits() ^ two.to_bits()).leading_zeros()),
                (IpAddr::V6(one), IpAddr::V6(two)) => Some((one.to_bits() ^ two.to_bits()).leading_zeros()),
                _ => None,
            };
            let expected = shared.map_or(0, |bits| usize::try_from(bits).unwrap() + 1);
            prop_assert_eq!(networks.around(other).count(), expected);
        }
    }
}
