//! Web origins (RFC 6454): the site of the page that opened a connection.
//!
//! Two spellings of one origin are equal. Text that is not clearly an origin is refused.

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;

/// An origin such as `https://app.example`, `http://localhost:5173` or `capacitor://localhost`.
///
/// A scheme's default port may be written or omitted, and letters may have any case. A path, a user and `null` are not
/// allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// `None` for the schemes of apps, unless a port is written.
    port: Option<u16>,
}

/// The transport of a request, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The client uses TLS.
    Secured,
    /// The client does not use TLS.
    Plain,
    /// A proxy is in between and does not report what the client uses.
    Unknown,
}

impl Origin {
    /// The longest origin, in bytes. A domain name has at most 253 characters; the rest is for scheme and port.
    const MAX_LENGTH: usize = 320;
    /// Schemes that no page has: those of WebSocket and files, and those without a host.
    const NO_PAGES: [&str; 7] = ["ws", "wss", "ftp", "file", "data", "blob", "javascript"];

    /// Returns whether a page of this origin comes from the host in the request's `Host`.
    ///
    /// `Host` has no scheme, so the origin's scheme determines the default port. A page over HTTP may have been altered
    /// on its way, so it counts only if the client is known not to use TLS here. A page over HTTPS counts even if the
    /// gateway sees no TLS: then a proxy that is not configured terminates it.
    pub(crate) fn is_of_host(&self, host: &str, transport: Transport) -> bool {
        let may_be = match self.scheme.as_str() {
            "https" => true,
            "http" => transport == Transport::Plain,
            _ => false,
        };
        may_be
            && host_and_port(host, default_port(&self.scheme))
                .is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (scheme, authority) = text.split_once("://")?;
            let scheme = scheme.to_ascii_lowercase();
            if !is_scheme(&scheme) || Self::NO_PAGES.contains(&&*scheme) {
                return None;
            }
            let (host, port) = host_and_port(authority, default_port(&scheme))?;
            Some(Self { scheme, host, port })
        };
        if text.len() > Self::MAX_LENGTH {
            return Err(OriginError(format!("{} bytes", text.len())));
        }
        parse().ok_or_else(|| OriginError(format!("{text:?}")))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if self.port != default_port(&self.scheme) => write!(formatter, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// Text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no origin; expected one such as https://app.example or capacitor://localhost, without a path"
)]
pub struct OriginError(String);

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Returns whether this is a scheme (RFC 3986, section 3.1) in lower case.
fn is_scheme(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(is_inside)
}

/// Parses `host` or `host:port`, and nothing else.
///
/// The grammar of URIs allows more in a host than browsers send. A configured `https://*.example` must be an error, not
/// an origin that never matches.
fn host_and_port(text: &str, default_port: Option<u16>) -> Option<(String, Option<u16>)> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let port = match text.strip_prefix(host)? {
        "" => default_port,
        rest => Some(rest.strip_prefix(':')?.parse().ok()?),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[:]".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_plain)).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn origins_have_one_canonical_form() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), expected);
        };
        check("https://app.example", "https://app.example");
        check("HTTPS://App.Example:443", "https://app.example");
        check("http://app.example:443", "http://app.example:443");
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080");
        check("http://[::1]:80", "http://[::1]");
        check("Capacitor://LocalHost", "capacitor://localhost");
        check("ionic://localhost", "ionic://localhost");
        check("tauri://localhost", "tauri://localhost");
        check("app://bundle:1", "app://bundle:1");
        check("chrome-extension://abcdefgh", "chrome-extension://abcdefgh");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        let long = format!("https://{}", "a".repeat(320));
        for text in [
            "",
            "null",
            "app.example",
            "https://",
            "https://:443",
            "https://app.example/",
            "https://app.example/x",
            "https://app.example?x",
            "https://app.example#x",
            "https://ada@app.example",
            "https://ada:80@app.example",
            "https://app.example:",
            "https://app.example:99999",
            "ftp://app.example",
            "wss://app.example",
            "file://",
            "file://localhost",
            "capacitor://",
            "capacitor:localhost",
            "1app://localhost",
            "a b://localhost",
            "://localhost",
            "blob:https://app.example",
            "https://a b",
            "https://*.example",
            &long,
            "https://app.example https://other.example",
            "https://app.example:443:443",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_page_of_the_same_host_is_known() {
        use Transport::{Plain, Secured, Unknown};
        let check = |origin: &str, host: &str, over: &[Transport]| {
            let origin: Origin = origin.parse().unwrap();
            for transport in [Plain, Secured, Unknown] {
                let expected = over.contains(&transport);
                assert_eq!(origin.is_of_host(host, transport), expected, "{origin}, {host:?}, {transport:?}");
            }
        };
        let any = [Plain, Secured, Unknown];
        check("https://app.example", "app.example", &any);
        check("https://app.example", "APP.example:443", &any);
        check("http://app.example", "app.example", &[Plain]);
        check("http://app.example:443", "app.example:443", &[Plain]);
        check("http://localhost:8080", "localhost:8080", &[Plain]);
        check("https://app.example", "app.example:8443", &[]);
        check("http://localhost:5173", "localhost:8080", &[]);
        check("http://localhost:5173", "localhost", &[]);
        check("https://app.example.evil.example", "app.example", &[]);
        check("https://evil-app.example", "app.example", &[]);
        check("https://app.example", "", &[]);
        check("https://app.example", "evil@app.example", &[]);
        check("capacitor://app.example", "app.example", &[]);
        check("app://localhost:8080", "localhost:8080", &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_a_canonical_form_is_stable(text in "((https?|app)://)?.{0,40}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string().parse::<Origin>(), Ok(origin));
            }
        }
    }
}
