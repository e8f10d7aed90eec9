//! Web origins (RFC 6454): which site's page opened a connection.
//!
//! Two spellings of one origin are equal here, and whatever is not plainly an origin is none.

use std::fmt;
use std::str::FromStr;

use http::uri::Authority;

/// An origin such as `https://app.example` or `http://localhost:5173`.
///
/// The default port of a scheme may be written or not, letters of any case; a path, a user and
/// `null` may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// A domain name has at most 253 characters; this leaves room for scheme and port.
    const MAX_LENGTH: usize = 320;

    /// Whether a page of this origin comes from the host that the request's `Host` names.
    ///
    /// `Host` has no scheme, and behind a proxy that ends TLS nobody here knows it, so host and
    /// port decide; without a port the origin's scheme tells which is meant.
    pub(crate) fn is_of_host(&self, host: &str) -> bool {
        host_and_port(host, self.scheme).is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (scheme, authority) = text.split_once("://")?;
            let scheme = Scheme::parse(scheme)?;
            let (host, port) = host_and_port(authority, scheme)?;
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
        write!(formatter, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(formatter, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no origin; expected one such as https://app.example, without a path")]
pub struct OriginError(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|known| text.eq_ignore_ascii_case(known.as_str()))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Reads `host` or `host:port`, and nothing before, between or after.
///
/// The grammar of URIs allows more in a host than any browser sends; a configured `https://*.example`
/// must be a mistake rather than an origin that nothing ever equals.
fn host_and_port(text: &str, scheme: Scheme) -> Option<(String, u16)> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let port = match text.strip_prefix(host)? {
        "" => scheme.default_port(),
        rest => rest.strip_prefix(':')?.parse().ok()?,
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
        let check = |origin: &str, host: &str, expected: bool| {
            let origin: Origin = origin.parse().unwrap();
            assert_eq!(origin.is_of_host(host), expected, "{origin} and {host:?}");
        };
        check("https://app.example", "app.example", true);
        check("https://app.example", "APP.example:443", true);
        check("http://app.example", "app.example", true);
        check("http://localhost:8080", "localhost:8080", true);
        check("https://app.example", "app.example:8443", false);
        check("http://localhost:5173", "localhost:8080", false);
        check("http://localhost:5173", "localhost", false);
        check("https://app.example.evil.example", "app.example", false);
        check("https://evil-app.example", "app.example", false);
        check("https://app.example", "", false);
        check("https://app.example", "evil@app.example", false);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_a_canonical_form_is_stable(text in "(https?://)?.{0,40}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string().parse::<Origin>(), Ok(origin));
            }
        }
    }
}
