//! What counts as one address.

use std::net::IpAddr;

/// An IPv4 address, or the first 64 bits of an IPv6 address: a subscriber has all addresses that
/// begin with them (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Block {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl From<IpAddr> for Block {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [first, second, third, fourth, ..] = address.segments();
                Self::V6([first, second, third, fourth])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_subscriber_has_is_one_address() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("0.0.0.0", "::1", false),
        ] {
            let block = |text: &str| Block::from(text.parse::<IpAddr>().unwrap());
            assert_eq!(block(one) == block(other), same, "{one} {other}");
        }
    }
}
