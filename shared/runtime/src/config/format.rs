//! Formats of text: their checks, and their descriptions for error messages.
//!
//! The checks run as formats of the JSON Schema, so that a malformed duration is reported together with a missing key.
//! A text that passes its check deserialises, and its value causes no overflow later.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use http::Uri;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

/// A format of text, by its name in the schema.
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) holds: fn(&str) -> bool,
    /// The description, which ends the sentence "expected …".
    pub(super) expected: &'static str,
}

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "duration",
        holds: |text| parse_duration(text).is_some_and(|duration| !duration.is_zero()),
        expected: "a duration above zero and up to 100 years, such as 30s, 5m or 7d",
    },
    Format {
        name: "duration-or-zero",
        holds: |text| parse_duration(text).is_some(),
        expected: "a duration up to 100 years, such as 0s, 30s or 5m",
    },
    Format {
        name: "byte-size",
        holds: |text| parse_byte_size(text).is_some(),
        expected: "a size above zero, in bytes or such as 16 KiB, 1 MiB or 2 GB",
    },
    Format {
        name: "socket-address",
        holds: |text| text.parse::<SocketAddr>().is_ok(),
        expected: "an IP address and port, such as 127.0.0.1:8080 or [::]:8080",
    },
    Format {
        name: "network",
        holds: |text| parse_network(text).is_some(),
        expected: "an IP address or network such as 10.0.0.7, 10.0.0.0/8 or fd00::/8",
    },
    Format {
        name: "nats-url",
        holds: |text| text.split(',').all(|url| is_url(url.trim(), &["nats", "tls"])),
        expected: "URLs such as nats://127.0.0.1:4222 or tls://nats-1.example:4222,tls://nats-2.example:4222, without user \
                   or password",
    },
    Format {
        name: "nats-subject",
        holds: |text| {
            let is_token = |token: &str| {
                !token.is_empty()
                    && token.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
            };
            text.split('.').all(is_token)
        },
        expected: "a subject without wildcards, such as $JS.API",
    },
    NKEY_SEED,
    Format {
        name: "otlp-url",
        holds: |text| is_url(text, &["http"]),
        expected: "a URL such as http://127.0.0.1:4318, without user or password \
                   (for TLS, let a collector beside this process forward)",
    },
    Format {
        name: "origin",
        holds: is_origin,
        expected: "an origin such as https://app.example or capacitor://localhost, without a path",
    },
    Format {
        name: "jwks-url",
        holds: is_location,
        expected: "a URL such as https://auth.example/.well-known/jwks.json, without user, password or fragment",
    },
    TENANT,
    Format {
        name: "webhook-url",
        holds: is_location,
        expected: "a URL such as https://acme.example/hooks, without user, password or fragment",
    },
    VAPID_KEY,
    CONTACT_KEYS,
    Format {
        name: "mailbox",
        holds: |text| {
            let address = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
            let address = address.map_or(text, |(_, address)| address);
            let is_text = text.chars().all(|letter| !letter.is_control());
            is_text
                && address
                    .split_once('@')
                    .is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty())
        },
        expected: "an e-mail address, such as no-reply@acme.example or Acme <no-reply@acme.example>",
    },
    Format {
        name: "region",
        holds: |text| {
            let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
        },
        expected: "a region such as eu-central-1",
    },
    Format {
        name: "service-url",
        holds: |text| is_url(text, &["http", "https"]),
        expected: "a URL such as https://sns.eu-central-1.amazonaws.com, without path, user or password",
    },
    Format {
        name: "contact",
        holds: |text| match text.strip_prefix("mailto:") {
            Some(address) => address.contains('@') && address.bytes().all(|byte| byte.is_ascii_graphic()),
            None => is_location(text) && text.starts_with("https:"),
        },
        expected: "mailto: and an e-mail address, or an https URL",
    },
    Format { name: "file-name", holds: |text| !text.is_empty(), expected: "a file's name" },
    Format {
        name: "cookie-name",
        holds: |text| !text.is_empty() && text.bytes().all(is_token_byte),
        expected: "a cookie name: letters, digits and any of !#$%&'*+-.^_`|~",
    },
    Format {
        name: "consumer-name",
        holds: |text| {
            (1..=32).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        },
        expected: "1 to 32 letters, digits, - and _",
    },
    Format {
        name: "log-filter",
        holds: |text| !text.trim().is_empty() && EnvFilter::builder().parse(text).is_ok(),
        expected: "a log filter such as info or warn,tidings_gateway=debug",
    },
    Format {
        name: "hs256-secret",
        holds: |text| text.len() >= MIN_SECRET_BYTES,
        expected: "a secret of at least 32 bytes (RFC 7518, section 3.2)",
    },
];

pub(super) const NKEY_SEED: Format = Format {
    name: "nkey-seed",
    holds: |text| {
        let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
        text.len() == 58 && text.starts_with("SU") && text.bytes().all(is_base32)
    },
    expected: "the seed of a user's nkey: SU and 56 of A-Z and 2-7",
};

pub(super) const TENANT: Format = Format {
    name: "tenant",
    holds: |text| {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
    },
    expected: "a tenant's name: 1 to 32 of a-z, 0-9, _ and -",
};

pub(super) const VAPID_KEY: Format = Format {
    name: "vapid-key",
    holds: |text| {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        text.len() == 43 && text.bytes().all(is_base64)
    },
    expected: "a private VAPID key: 32 bytes in Base64 for URLs, 43 characters",
};

pub(super) const CONTACT_KEYS: Format = Format {
    name: "contact-keys",
    holds: |text| {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let is_key = |key: &str| {
            key.len() == 44 && key.strip_suffix('=').is_some_and(|bytes| bytes.bytes().all(is_base64))
        };
        text.split_ascii_whitespace().all(is_key) && !text.trim().is_empty()
    },
    expected: "keys of 32 bytes in Base64, 44 characters each, as `openssl rand -base64 32` prints them",
};

/// RFC 7518, section 3.2: a key for HS256 has at least as many bits as the hash.
pub(super) const MIN_SECRET_BYTES: usize = 32;

/// Far above any useful value, and far below an overflow of nanoseconds in 64 bits or of points in time.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Returns a value in one spelling, so that `60s` and `1m` are equal.
pub(super) fn normalized(schema: &Value, value: &Value) -> Value {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let spelled = match (format, value.as_str()) {
        ("duration" | "duration-or-zero", Some(text)) => {
            parse_duration(text).map(|it| it.as_nanos().to_string())
        }
        ("byte-size", Some(text)) => parse_byte_size(text).map(|size| size.as_u64().to_string()),
        ("byte-size", None) => Some(value.to_string()),
        _ => None,
    };
    spelled.map_or_else(|| value.clone(), Value::String)
}

fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|duration| *duration <= MAX_DURATION)
}

fn parse_byte_size(text: &str) -> Option<ByteSize> {
    let size: ByteSize = text.parse().ok()?;
    i64::try_from(size.as_u64()).is_ok_and(|bytes| bytes > 0).then_some(size)
}

/// Clients' addresses are compared in their shortest form. So an IPv4 network written as IPv6 would match none.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    (network.addr().to_canonical() == network.addr()).then_some(network)
}

/// Returns whether `text` is `scheme://host[:port]` and nothing else. Text after the host would have no meaning.
fn is_url(text: &str, schemes: &[&str]) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        let is_bare = uri.path_and_query().is_none_or(|path| path == "/");
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        is_bare
            && uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
            && uri.host().is_some_and(|host| !host.is_empty())
            && !authority.contains('@')
    })
}

/// Returns whether `text` may be the origin of a page or an app. The code that compares origins parses it strictly.
fn is_origin(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    let has_pages = !["ws", "wss", "ftp", "file", "data", "blob", "javascript"].contains(&&*scheme);
    has_pages && is_url(text, &[&scheme, &scheme.to_ascii_uppercase()]) && !text.ends_with('/')
}

/// Returns whether `text` is an HTTP URL of a document.
fn is_location(text: &str) -> bool {
    // The parser drops fragments.
    !text.contains('#')
        && text.parse::<Uri>().is_ok_and(|uri| {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && !authority.contains('@')
        })
}

/// Returns whether this is a `tchar` of RFC 9110, which RFC 6265 uses for cookie names.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom("not a duration"))
}

pub(super) fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let networks = texts.iter().map(|text| parse_network(text));
    networks.collect::<Option<_>>().ok_or_else(|| D::Error::custom("not a list of networks"))
}

pub(super) fn byte_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    usize::try_from(ByteSize::deserialize(deserializer)?.as_u64()).map_err(D::Error::custom)
}

pub(super) fn optional_byte_size<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    T::Error: Display,
{
    T::try_from(ByteSize::deserialize(deserializer)?.as_u64()).map(Some).map_err(D::Error::custom)
}
