//! What clients and proxies send to a gateway.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde_json::Map;
use tidings_catalog::{Catalog, Files};
use tidings_gateway::parsers::{Conversation, forwarded_client, handshake_query, proxy_header};
use tidings_model::{Tenant, json};

use super::text;
use crate::Target;

pub(crate) const CONVERSATION: Target = Target {
    name: "conversation",
    run: conversation,
    seeds: &[
        br#"{"action":"subscribe","topics":["incidents"],"filters":{"site":["a"]},"id":1}
{"action":"subscribe","topics":["incidents","tasks"]}
{"action":"unsubscribe","topics":["tasks"],"id":"u"}
{"action":"ack","seq":30}"#,
        br#"{"action":"subscribe","topics":["metrics"]}
{"action":"subscribe","topics":["incidents","tasks","metrics"]}
{"action":"subscribe","topics":["incidents"],"filters":{"sight":"a"}}
{"action":"ack","seq":31}"#,
        br#"{"action":"progress","docId":"d1","id":"p"}
{"action":"progress","docId":"*.>"}
{"action":"report","docId":"d","data":{"site":"s1"},"id":"r"}
{"action":"report","data":{"site":"s2"}}
{"action":"authenticate","token":"a.b.c"}
{"action":"ping","id":"x"}
nonsense"#,
    ],
    attempts: 2_500,
};

/// That of the session's own tests.
const CATALOG_TEXT: &str = include_str!("../../../../services/gateway/src/session/catalog.toml");

const MAX_TOPICS: usize = 2;

/// Each line is a message of one client, whose roles do not open `metrics`. Each is answered or has an effect; what is
/// opened is what the session remembers, is allowed to this user, and keeps to the limit.
fn conversation(input: &[u8]) {
    let files = [("catalog.toml", CATALOG_TEXT), ("any.json", "{}")];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let catalog = Catalog::parse(&Tenant::parse("ops").expect("a tenant"), &files).expect("a catalog");
    let claims = json::parse(br#"{"sub":"ada","role":"worker","site":"s1"}"#).expect("JSON");
    let claims = claims.as_object().cloned().unwrap_or_else(Map::new);
    let mut conversation = Conversation::new(catalog, &claims, true).expect("a user");
    let mut allowed: BTreeSet<_> = ["topic:incidents", "topic:tasks"].into();
    allowed.extend(["all", "user:ada", "role:worker"]);
    let text = text(input);
    for message in text.split('\n') {
        let caused = conversation.receive(message, MAX_TOPICS);
        assert!(!caused.replies.is_empty() || caused.others > 0, "{message} is not answered");
        for reply in &caused.replies {
            assert!(reply.len() < 8 * 1024, "{reply}");
            assert!(json::parse(reply.as_bytes()).is_ok_and(|reply| reply.is_object()), "{reply}");
        }
        let opened = conversation.opened();
        assert_eq!(*opened, conversation.remembered());
        assert!(opened.iter().all(|(address, _)| allowed.contains(&**address)), "{opened:?}");
        assert!(conversation.topics().count() <= MAX_TOPICS);
    }
}

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
    let trusted: Vec<IpNet> =
        ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network")).into();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let name = HeaderName::from_static("x-forwarded-for");
    let lines = input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers: HeaderMap = lines.map(|line| (name.clone(), line)).collect();
    let (stranger, proxy) = ([203, 0, 113, 5].into(), [10, 0, 0, 1].into());
    assert_eq!(forwarded_client(stranger, &headers, &trusted), stranger);

    let client = forwarded_client(proxy, &headers, &trusted);
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
    assert_eq!(forwarded_client(proxy, &headers, &trusted), stranger);
}

pub(crate) const QUERY: Target = Target {
    name: "query",
    run: query,
    seeds: &[
        b"device=phone+1&token=x&since=18f3a0c2b41-42",
        b"device=%E8%AA%9E&device=a",
        b"device=a%0Ab",
        b"since=1-2&since=1-2",
        b"device=&since=yesterday",
        b"%64evice=x&=&&?",
    ],
    attempts: 4_000,
};

/// A device is a name that can be kept and shown, a position is one, and a refusal has the code of an answer.
fn query(input: &[u8]) {
    match handshake_query(&text(input)) {
        Ok((device, _)) => {
            let is_name =
                |name: &str| (1..=64).contains(&name.chars().count()) && !name.contains(char::is_control);
            assert!(device.as_deref().is_none_or(is_name), "{device:?}");
        }
        Err(code) => assert!(["DEVICE_NAME", "POSITION", "PARAMETER_REPEATED"].contains(&code)),
    }
}
