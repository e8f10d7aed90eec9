//! Which addresses a channel may connect to. Pure.
//!
//! URLs of webhooks and subscriptions come from tenants and users. Nobody may use them to reach what only the operator's
//! own network can: other services, the loopback interface, the metadata of a cloud. So only addresses that are assigned
//! to the public Internet are permitted, and what an operator allows by configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses that are not of the public Internet (IANA's registry of special addresses).
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Between a provider's router and its customers (CGNAT); one cloud has its metadata here.
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Link-local; most clouds have their metadata here.
    v4([169, 254, 0, 0], 16),
    // Azure's host, by which machines there reach their metadata and keys. The address looks public.
    v4([168, 63, 129, 16], 32),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast.
    v4([224, 0, 0, 0], 4),
    // Reserved, and broadcast.
    v4([240, 0, 0, 0], 4),
];

/// The part of IPv6 that is assigned to the public Internet: all else is loopback, link-local, private, multicast, made of
/// IPv4 addresses, or reserved.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// Parts of it that are not.
const SPECIAL_V6: [Ipv6Net; 4] = [
    // Protocols, among them Teredo, in which an IPv4 address is hidden.
    v6([0x2001, 0, 0, 0], 23),
    v6([0x2001, 0x0db8, 0, 0], 32),
    // 6to4, in which an IPv4 address is hidden.
    v6([0x2002, 0, 0, 0], 16),
    v6([0x3fff, 0, 0, 0], 20),
];

/// Prefixes before an IPv4 address: mapped, and the well-known one of NAT64.
const BEFORE_V4: [Ipv6Net; 2] =
    [Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), v6([0x64, 0xff9b, 0, 0], 96)];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c, d]: [u16; 4], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// The addresses that a channel may connect to.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    allowed: Arc<[IpNet]>,
}

impl Reach {
    /// Permits the public Internet and these networks.
    pub(crate) fn new(allowed: &[IpNet]) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Returns whether the channel may connect to `address`.
    ///
    /// An IPv4 address in IPv6 is permitted if its prefix is allowed and it is permitted itself, so that allowing NAT64
    /// opens no private network.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let is_allowed = self.allowed.iter().any(|network| network.contains(&address));
        match address {
            IpAddr::V4(address) => is_allowed || !SPECIAL_V4.iter().any(|network| network.contains(&address)),
            IpAddr::V6(address) if BEFORE_V4.iter().any(|prefix| prefix.contains(&address)) => {
                let [.., a, b, c, d] = address.octets();
                is_allowed && self.permits(Ipv4Addr::new(a, b, c, d).into())
            }
            IpAddr::V6(address) => {
                is_allowed
                    || PUBLIC_V6.contains(&address)
                        && !SPECIAL_V6.iter().any(|network| network.contains(&address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allowed: &[&str], address: &str) -> bool {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Reach::new(&allowed).permits(address.parse().unwrap())
    }

    const REFUSED: [&str; 60] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "247.1.1.1",
        "248.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd12:3456:789a:1::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ];

    #[test]
    fn what_is_not_of_the_public_internet_is_refused() {
        for address in REFUSED {
            assert!(!permits(&[], address), "{address}");
        }
    }

    #[test]
    fn the_public_internet_is_permitted() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450:4001:80b::200e",
        ] {
            assert!(permits(&[], address), "{address}");
        }
    }

    #[test]
    fn a_network_is_allowed_by_configuration_and_nothing_beside_it() {
        assert!(permits(&["10.1.0.0/16"], "10.1.2.3"));
        assert!(!permits(&["10.1.0.0/16"], "10.2.0.1"));
        assert!(!permits(&["127.0.0.0/8"], "::1"));
        assert!(!permits(&["127.0.0.0/8"], "::ffff:127.0.0.1"));
        assert!(permits(&["::1/128"], "::1"));
        assert!(permits(&["64:ff9b::/96"], "64:ff9b::8.8.8.8"));
        assert!(!permits(&["64:ff9b::/96"], "64:ff9b::10.0.0.1"));
        assert!(permits(&["64:ff9b::/96", "10.0.0.0/8"], "64:ff9b::10.0.0.1"));
    }
}
