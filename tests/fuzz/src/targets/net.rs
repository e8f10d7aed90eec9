//! What proxies send in front of requests and in them.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tidings_net::{TrustedProxies, read_proxy_header};

use crate::Target;

pub(crate) const PROXY_HEADER: Target = Target {
    name: "proxy_header",
    run: header,
    seeds: &[
        b"PROXY TCP4 203.0.113.5 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n",
        b"PROXY TCP6 ::ffff:203.0.113.5 fd00::1 56324 443\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x05\x0a\0\0\x01\0\x01\x01\xbb",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x05\x0a\0\0\x01\0\x01\x01\xbb\x04\0\x01\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    attempts: 5_000,
};

fn proxy_header(bytes: &[u8]) -> Result<Option<(usize, Option<IpAddr>)>, String> {
    read_proxy_header(bytes).map_err(|error| error.to_string())
}

/// A header is measured before it is read, is bounded, and what follows it changes nothing. As long as it is not whole,
/// more bytes are asked for, and once it is refused they do not help.
fn header(input: &[u8]) {
    let whole = proxy_header(input);
    if let Ok(Some((length, client))) = whole {
        assert!(length <= 2 * 1024 && length <= input.len());
        assert!(client.is_none_or(|client| client.to_canonical() == client));
        assert_eq!(proxy_header(&input[..length]), Ok(Some((length, client))));
        for end in 0..length.min(input.len()) {
            assert_eq!(proxy_header(&input[..end]), Ok(None), "after {end} bytes");
        }
    }
    if whole == Ok(None) {
        assert!(input.len() < 2 * 1024);
    }
    if let Err(reason) = &whole {
        assert!(reason.len() < 1024, "{reason}");
        let longer = [input, b"\r\n"].concat();
        assert!(proxy_header(&longer).is_err(), "{reason}");
    }
}

pub(crate) const FORWARDED_FOR: Target = Target {
    name: "forwarded_for",
    run: forwarded_for,
    seeds: &[
        b"1.1.1.1, 198.51.100.1 , 10.9.9.9",
        b"198.51.100.1\n10.9.9.9,fd00::2",
        b"[2001:db8::1]:443, ::ffff:10.0.0.3",
        b"unknown, 10.0.0.2",
        b"198.51.100.1:443",
        b"10.0.0.1\xff, ,",
    ],
    attempts: 5_000,
};

/// Whatever a client writes in front, it is taken for the address that the nearest proxy has seen; and who is no trusted
/// proxy speaks for itself alone. Each line is a header.
fn forwarded_for(input: &[u8]) {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse::<IpNet>().expect("a network"));
    let is_trusted = |address: IpAddr| networks.iter().any(|network| network.contains(&address));
    let trusted = TrustedProxies::new(networks);
    let name = HeaderName::from_static("x-forwarded-for");
    let lines = input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers: HeaderMap = lines.map(|line| (name.clone(), line)).collect();
    let (stranger, proxy) = ([203, 0, 113, 5].into(), [10, 0, 0, 1].into());
    assert_eq!(trusted.client(stranger, &headers), stranger);

    let client = trusted.client(proxy, &headers);
    assert!(client == client.to_canonical());
    let last = headers.get_all(&name).iter().next_back().cloned();
    if let Some(last) = last.as_ref().and_then(|last| last.to_str().ok()) {
        let nearest = last.rsplit(',').next().and_then(|entry| entry.trim().parse::<IpAddr>().ok());
        // The first entry from the right that is no proxy's ends the walk.
        if let Some(nearest) =
            nearest.map(|nearest| nearest.to_canonical()).filter(|nearest| !is_trusted(*nearest))
        {
            assert_eq!(client, nearest);
        }
    }
    headers.append(&name, HeaderValue::from_static("203.0.113.5"));
    assert_eq!(trusted.client(proxy, &headers), stranger);
}
