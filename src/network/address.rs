//! Which addresses are not part of the public internet: networks of an organization, of one machine,
//! and those that only translate to other addresses.
//!
//! The source is IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890), as of
//! 2025. std's own classification (`Ipv4Addr::is_global`) is not stable. One address is added:
//! Azure's platform answers machines at 168.63.129.16, which looks public
//! (<https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

const V4: [(Ipv4Net, &str); 17] = [
    (v4(0, 0, 0, 0, 8), "an unspecified address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a carrier's shared address"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(168, 63, 129, 16, 32), "a cloud platform's address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a reserved address"),
    (v4(192, 0, 2, 0, 24), "an address for documentation"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay's address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "an address for benchmarks"),
    (v4(198, 51, 100, 0, 24), "an address for documentation"),
    (v4(203, 0, 113, 0, 24), "an address for documentation"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(255, 255, 255, 255, 32), "the broadcast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

/// NAT64 (RFC 6052): the last 32 bits are an IPv4 address, to which a gateway translates.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// NAT64 of one network (RFC 8215), which chooses the prefix of its gateway within this one.
const LOCAL_NAT64: Ipv6Net = v6(0x64, 0xff9b, 1, 48);

const V6: [(Ipv6Net, &str); 12] = [
    (v6(0, 0, 0, 128), "an unspecified address"),
    (
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        "a loopback address",
    ),
    (NAT64, "a NAT64 address"),
    (LOCAL_NAT64, "a NAT64 address"),
    (v6(0x2001, 0, 0, 32), "a Teredo address"),
    (v6(0x2001, 0, 0, 23), "a reserved address"),
    (v6(0x2001, 0xdb8, 0, 32), "an address for documentation"),
    (v6(0x2002, 0, 0, 16), "a 6to4 address"),
    (v6(0x3fff, 0, 0, 20), "an address for documentation"),
    (v6(0xfc00, 0, 0, 7), "a private address"),
    (v6(0xfe80, 0, 0, 10), "a link-local address"),
    (v6(0xff00, 0, 0, 8), "a multicast address"),
];

/// The addresses that are given to machines of the public internet, except the networks above.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What an address is, unless it is one of the public internet. An IPv4 address in the form of an
/// IPv6 address (`::ffff:10.0.0.1`) is what it is in its own form.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let found = V4.iter().find(|(network, _)| network.contains(&address));
            found.map(|(_, what)| *what)
        }
        IpAddr::V6(address) => {
            let found = V6.iter().find(|(network, _)| network.contains(&address));
            match found {
                Some((_, what)) => Some(*what),
                None if GLOBAL_UNICAST.contains(&address) => None,
                None => Some("a reserved address"),
            }
        }
    }
}

/// What a NAT64 gateway makes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Translation {
    /// It is none of a gateway's addresses.
    None,
    /// The gateway translates it to this one.
    To(IpAddr),
    /// It is a gateway's, and no gateway has a prefix of this length.
    Unknown,
}

/// How a NAT64 gateway whose prefix has this length translates an address: RFC 6052, section 2.2.
/// The common prefix has its own length.
pub(super) fn translation(address: IpAddr, prefix: u8) -> Translation {
    let IpAddr::V6(address) = address else {
        return Translation::None;
    };
    let octets = address.octets();
    let [.., e, f, g, h] = octets;
    let [_, _, _, _, _, _, a, b, _, c, d, ..] = octets;
    let to = |a, b, c, d| Translation::To(Ipv4Addr::new(a, b, c, d).into());
    match prefix {
        _ if NAT64.contains(&address) => to(e, f, g, h),
        _ if !LOCAL_NAT64.contains(&address) => Translation::None,
        48 => to(a, b, c, d),
        56 => to(b, c, d, octets[11]),
        64 => to(c, d, octets[11], e),
        96 => to(e, f, g, h),
        _ => Translation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Each network with an address in it, and the neighbor outside of it that is public.
    #[rstest]
    #[case("0.0.0.0", Some("an unspecified address"))]
    #[case("0.1.2.3", Some("an unspecified address"))]
    #[case("1.0.0.0", None)]
    #[case("9.255.255.255", None)]
    #[case("10.0.0.0", Some("a private address"))]
    #[case("10.255.255.255", Some("a private address"))]
    #[case("11.0.0.0", None)]
    #[case("100.63.255.255", None)]
    #[case("100.64.0.1", Some("a carrier's shared address"))]
    #[case("100.128.0.0", None)]
    #[case("127.0.0.1", Some("a loopback address"))]
    #[case("127.255.0.1", Some("a loopback address"))]
    #[case("128.0.0.1", None)]
    #[case("169.254.169.254", Some("a link-local address"))]
    #[case("169.253.255.255", None)]
    #[case::azure("168.63.129.16", Some("a cloud platform's address"))]
    #[case("168.63.129.15", None)]
    #[case("168.63.129.17", None)]
    #[case("172.15.255.255", None)]
    #[case("172.16.0.1", Some("a private address"))]
    #[case("172.31.255.255", Some("a private address"))]
    #[case("172.32.0.0", None)]
    #[case("192.0.0.170", Some("a reserved address"))]
    #[case("192.0.1.1", None)]
    #[case("192.0.2.1", Some("an address for documentation"))]
    #[case("192.0.3.1", None)]
    #[case("192.88.99.1", Some("a 6to4 relay's address"))]
    #[case("192.88.98.1", None)]
    #[case("192.168.1.1", Some("a private address"))]
    #[case("192.169.1.1", None)]
    #[case("198.17.255.255", None)]
    #[case("198.18.0.1", Some("an address for benchmarks"))]
    #[case("198.19.255.255", Some("an address for benchmarks"))]
    #[case("198.20.0.0", None)]
    #[case("198.51.100.7", Some("an address for documentation"))]
    #[case("198.51.101.7", None)]
    #[case("203.0.113.7", Some("an address for documentation"))]
    #[case("203.0.114.7", None)]
    #[case("223.255.255.255", None)]
    #[case("224.0.0.1", Some("a multicast address"))]
    #[case("239.255.255.255", Some("a multicast address"))]
    #[case("240.0.0.1", Some("a reserved address"))]
    #[case("255.255.255.255", Some("the broadcast address"))]
    #[case("::", Some("an unspecified address"))]
    #[case("::1", Some("a loopback address"))]
    #[case("::2", Some("a reserved address"))]
    #[case::compatible("::10.0.0.1", Some("a reserved address"))]
    #[case::mapped("::ffff:10.0.0.1", Some("a private address"))]
    #[case::mapped_in_hex("::ffff:a9fe:a9fe", Some("a link-local address"))]
    #[case::mapped_loopback("::ffff:127.0.0.1", Some("a loopback address"))]
    #[case::mapped_public("::ffff:9.9.9.9", None)]
    #[case::translated("::ffff:0:10.0.0.1", Some("a reserved address"))]
    #[case("64:ff9b::10.0.0.1", Some("a NAT64 address"))]
    #[case("64:ff9b::9.9.9.9", Some("a NAT64 address"))]
    #[case("64:ff9b:1::1", Some("a NAT64 address"))]
    #[case("64:ff9b:2::1", Some("a reserved address"))]
    #[case::discard("100::1", Some("a reserved address"))]
    #[case("2001::1", Some("a Teredo address"))]
    #[case("2001:2::1", Some("a reserved address"))]
    #[case("2001:200::1", None)]
    #[case("2001:db8::1", Some("an address for documentation"))]
    #[case("2001:db9::1", None)]
    #[case("2002:a00:1::", Some("a 6to4 address"))]
    #[case("2003::1", None)]
    #[case("2606:4700::1111", None)]
    #[case("3ffe::1", None)]
    #[case("3fff::1", Some("an address for documentation"))]
    #[case("3fff:1000::1", None)]
    #[case::segment_routing("5f00::1", Some("a reserved address"))]
    #[case("fc00::1", Some("a private address"))]
    #[case("fd00:ec2::254", Some("a private address"))]
    #[case("fe80::1", Some("a link-local address"))]
    #[case::site_local("fec0::1", Some("a reserved address"))]
    #[case("ff02::1", Some("a multicast address"))]
    fn an_address_is_public_or_says_what_it_is(#[case] address: &str, #[case] what: Option<&str>) {
        assert_eq!(not_public(address.parse().unwrap()), what);
    }

    fn to(address: &str) -> Translation {
        Translation::To(address.parse().unwrap())
    }

    /// The local ones are those of RFC 6052, section 2.4, behind a prefix of RFC 8215.
    #[rstest]
    #[case("64:ff9b::10.0.0.1", 96, to("10.0.0.1"))]
    #[case("64:ff9b::10.0.0.1", 64, to("10.0.0.1"))]
    #[case("64:ff9b:1:c000:2:2100::", 48, to("192.0.2.33"))]
    #[case("64:ff9b:1:1c0:0:221::", 56, to("192.0.2.33"))]
    #[case("64:ff9b:1:1:c0:2:2100::", 64, to("192.0.2.33"))]
    #[case("64:ff9b:1::192.0.2.33", 96, to("192.0.2.33"))]
    #[case("64:ff9b:1::192.0.2.33", 128, Translation::Unknown)]
    #[case("64:ff9b:1::192.0.2.33", 32, Translation::Unknown)]
    #[case("2606:4700::1111", 96, Translation::None)]
    #[case("10.0.0.1", 8, Translation::None)]
    fn nat64_has_an_address_behind_it(
        #[case] address: &str,
        #[case] prefix: u8,
        #[case] translated: Translation,
    ) {
        assert_eq!(translation(address.parse().unwrap(), prefix), translated);
    }
}
