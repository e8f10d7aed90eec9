//! The address of a client, with or without proxies in front of the service. Pure.
//!
//! Every proxy appends the address of its caller to `X-Forwarded-For`, and the caller may have written anything into it
//! before. So it is read from the right, and an entry counts only if a trusted proxy wrote it: the client is the first
//! address that is not trusted. Nothing that a client sends gives it another address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;
use tidings_access::Transport;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of a request's client, with or without proxies in between. The [`Server`](crate::Server) makes it an
/// extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(IpAddr);

impl ClientIp {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(address)
    }

    /// The extension of a request; all requests without one count as one client.
    #[must_use]
    pub fn of(extensions: &Extensions) -> IpAddr {
        extensions.get().map_or(Ipv6Addr::UNSPECIFIED.into(), |Self(address)| *address)
    }
}

/// The proxies whose headers are believed, by their networks.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// The proxies in these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// The client of a request that came from `nearest`, the other end of the connection.
    ///
    /// An entry that cannot be read ends the walk: then the client is the one that wrote it.
    #[must_use]
    pub fn client(&self, nearest: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = nearest.to_canonical();
        while self.contains(client) {
            match entries.next().and_then(parse) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }

    /// What the client of a request speaks that came from `nearest` without TLS, and perhaps by way of proxies.
    ///
    /// A proxy that is trusted says so in `X-Forwarded-Proto`. Some append and some replace; that one of them has seen TLS
    /// is enough, since a client that lies there makes only the check of its own origin stricter.
    pub(crate) fn transport(&self, nearest: IpAddr, headers: &HeaderMap) -> Transport {
        if !self.contains(nearest.to_canonical()) {
            return Transport::Unknown;
        }
        let lines = headers.get_all(X_FORWARDED_PROTO).iter().filter_map(|line| line.to_str().ok());
        let named: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let is_any_of = |names: [&str; 2]| {
            named.iter().any(|named| names.iter().any(|name| named.eq_ignore_ascii_case(name)))
        };
        if is_any_of(["https", "wss"]) {
            Transport::Secured
        } else if is_any_of(["http", "ws"]) {
            Transport::Plain
        } else {
            Transport::Unknown
        }
    }

    /// Whether `address` is one of them. It is in its shortest form, as IPv4 wherever it can be.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 address. A subscriber has all addresses
/// that begin with them (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressBlock(Block);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Block {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl From<IpAddr> for AddressBlock {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Block::V4(address.octets()),
            IpAddr::V6(address) => {
                let [first, second, third, fourth, ..] = address.segments();
                Block::V6([first, second, third, fourth])
            }
        })
    }
}

/// An address as proxies write it: some add a port, and then IPv6 has brackets.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines =
            lines.iter().map(|line| (X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap()));
        lines.collect()
    }

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(
            ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"].map(|network| network.parse().unwrap()),
        )
    }

    #[track_caller]
    fn check(nearest: &str, lines: &[&str], expect: &str) {
        let client = trusted().client(nearest.parse().unwrap(), &headers(lines));
        assert_eq!(client.to_string(), expect, "{nearest} {lines:?}");
    }

    #[test]
    fn the_client_is_the_first_that_is_not_trusted() {
        check("203.0.113.5", &[], "203.0.113.5");
        check("203.0.113.5", &["198.51.100.1"], "203.0.113.5");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1, 198.51.100.1 , 10.9.9.9"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.9.9.9,fd00::2"], "198.51.100.1");
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1");
        // All of them are proxies of one's own.
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

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
            let block = |text: &str| AddressBlock::from(text.parse::<IpAddr>().unwrap());
            assert_eq!(block(one) == block(other), same, "{one} {other}");
        }
    }

    #[test]
    fn ports_are_left_aside() {
        check("10.0.0.1", &["198.51.100.1:443"], "198.51.100.1");
        check("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
    }

    #[test]
    fn nonsense_ends_the_walk_at_whoever_wrote_it() {
        for nonsense in ["", "unknown", "1.2.3", "[::1", "198.51.100.1;", "é", "a,b"] {
            check("10.0.0.1", &[nonsense], "10.0.0.1");
            check("10.0.0.1", &["198.51.100.1", &format!("{nonsense}, 10.0.0.2")], "10.0.0.2");
        }
    }

    #[test]
    fn what_a_client_speaks_is_said_by_a_trusted_proxy() {
        let check = |nearest: &str, lines: &[&str], expected: Transport| {
            let lines = lines.iter().map(|line| (X_FORWARDED_PROTO, HeaderValue::from_str(line).unwrap()));
            let found = trusted().transport(nearest.parse().unwrap(), &lines.collect());
            assert_eq!(found, expected);
        };
        check("203.0.113.5", &["http"], Transport::Unknown);
        check("10.0.0.1", &[], Transport::Unknown);
        check("10.0.0.1", &["gopher"], Transport::Unknown);
        check("10.0.0.1", &["http"], Transport::Plain);
        check("10.0.0.1", &["HTTPS"], Transport::Secured);
        check("::ffff:10.0.0.1", &["wss"], Transport::Secured);
        check("10.0.0.1", &["http, https"], Transport::Secured);
        check("10.0.0.1", &["https", "http"], Transport::Secured);
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        // Half of them are trusted.
        prop_oneof![
            any::<[u8; 3]>().prop_map(|[b, c, d]| IpAddr::from([10, b, c, d])),
            any::<[u8; 4]>().prop_map(|[a, b, c, d]| IpAddr::from([a.max(11), b, c, d])),
        ]
    }

    proptest! {
        /// Whatever a client writes in front of what its proxies append, it is taken for itself.
        #[test]
        fn a_client_cannot_be_somebody_else(
            forged in prop::collection::vec("[ -~]{0,20}", 0..4),
            client_address in any::<[u8; 4]>().prop_map(|[_, b, c, d]| IpAddr::from([203, b, c, d])),
            proxies in prop::collection::vec(any::<[u8; 3]>(), 1..5),
        ) {
            let mut proxies = proxies.into_iter().map(|[b, c, d]| IpAddr::from([10, b, c, d]).to_string());
            let nearest = proxies.next().unwrap();
            let mut lines = forged;
            lines.push(client_address.to_string());
            lines.extend(proxies);
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let found = trusted().client(nearest.parse().unwrap(), &headers(&lines));
            prop_assert_eq!(found, client_address);
        }

        #[test]
        fn all_who_are_passed_over_are_trusted(nearest in address(), hops in prop::collection::vec(address(), 0..6)) {
            let line = hops.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let found = trusted().client(nearest, &headers(&[&line]));
            let chain: Vec<_> = hops.iter().copied().chain([nearest]).collect();
            let first = chain.iter().rposition(|hop| !trusted().contains(*hop)).unwrap_or(0);
            prop_assert_eq!(found, chain[first]);
        }

        #[test]
        fn any_bytes_are_read(nearest in address(), line in prop::collection::vec(32u8..=255, 0..60)) {
            let Ok(line) = HeaderValue::from_bytes(&line) else { return Ok(()) };
            let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, line)]);
            let found = trusted().client(nearest, &headers);
            prop_assert!(trusted().contains(nearest) || found == nearest);
        }
    }
}
