//! Finds the token in a handshake.
//!
//! 1. Explicit places: the header `Authorization: Bearer`; and, since browsers cannot set it on a WebSocket, the query
//!    parameters `token` and `Authorization`, and a subprotocol `bearer.<token>`.
//! 2. Only if all of those are absent: the cookie, and only with an allowed `Origin`.
//!
//! The configuration selects the places. Others are ignored.
//!
//! A subprotocol keeps the token out of the logs of proxies, which record queries. The client offers it beside the
//! subprotocol that it wants to use (`new WebSocket(url, ["tidings.v1", "bearer." + token])`). The gateway never
//! selects it.
//!
//! An explicit token takes precedence over a cookie, because browsers add cookies by themselves: a cookie of another
//! application on the same host does not show what this client wants. Different tokens in explicit places are refused.
//! Otherwise an attacker who can add a token to a victim's request (by a link, or a cookie set from a sibling domain)
//! could choose the user. The same token twice counts as one. An `Authorization` header of another scheme is not a
//! token: a browser adds the password of a staging host (`Basic`) to every request there.
//!
//! A WebSocket handshake is exempt from the same-origin policy, and any page's handshake carries the cookies. Without
//! the check of `Origin`, any site could receive messages as its visitor (cross-site WebSocket hijacking; RFC 6455,
//! section 10.2). A missing `Origin` is refused, too: browsers always send it.

use http::header::{AUTHORIZATION, AsHeaderName, COOKIE, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};

use crate::{Origin, Refusal, Token, Transport};

/// A place that may hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlace {
    /// The header `Authorization: Bearer <token>`.
    Header,
    /// The query parameter `token` or `Authorization`.
    Query,
    /// The cookie, with an allowed `Origin`.
    Cookie,
    /// The subprotocol `bearer.<token>` in `Sec-WebSocket-Protocol`.
    Subprotocol,
}

/// Where tokens may be, and which origins are allowed.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The places that may hold a token.
    pub places: Vec<TokenPlace>,
    /// The name of the cookie that may hold a token.
    pub cookie: String,
    /// Origins whose pages may use the cookie, besides the origin of the request's own `Host`.
    pub allowed_origins: Vec<Origin>,
    /// Whether every client needs an allowed origin, wherever its token is.
    pub requires_origin: bool,
}

/// The parts of a request that authenticate it.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'r> {
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// The part after `?`, as sent.
    pub query: Option<&'r str>,
    /// The request's transport.
    pub transport: Transport,
}

impl Default for Rules {
    /// Header, query, and the cookie `session`, for pages of the same host only.
    fn default() -> Self {
        let places = vec![TokenPlace::Header, TokenPlace::Query, TokenPlace::Cookie];
        Self { places, cookie: "session".to_owned(), allowed_origins: Vec::new(), requires_origin: false }
    }
}

impl Rules {
    fn allows(&self, place: TokenPlace) -> bool {
        self.places.contains(&place)
    }

    /// Returns the refusal of a request without a token.
    fn missing(&self) -> Refusal {
        let names = self.places.iter().map(|place| match place {
            TokenPlace::Header => "the header `Authorization: Bearer <token>`".to_owned(),
            TokenPlace::Query => "the query parameter `token` or `Authorization`".to_owned(),
            TokenPlace::Cookie => format!("the cookie `{}`", self.cookie),
            TokenPlace::Subprotocol => format!("the subprotocol `{SUBPROTOCOL_PREFIX}<token>`"),
        });
        let names: Vec<_> = names.collect();
        let places = match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{}, or {last}", others.join(", ")),
            _ => names.concat(),
        };
        Refusal::Missing { places }
    }
}

/// The prefix of the subprotocol that contains a token.
const SUBPROTOCOL_PREFIX: &str = "bearer.";

/// Extracts the token from a request.
///
/// Query parameters are decoded as browsers encode forms: `%HH`, and `+` for a space. A `Bearer ` before the token is
/// dropped. An empty cookie counts as absent: logging out may leave one.
pub fn find(asking: Asking<'_>, rules: &Rules) -> Result<Token, Refusal> {
    let Asking { headers, query, .. } = asking;
    let from_headers = headers.get_all(AUTHORIZATION).iter().map(from_authorization);
    let from_query = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter_map(
        |(name, value)| match &*name {
            "token" => Some(Token::parse(after_bearer(&value).unwrap_or(&value))),
            "Authorization" => Some(from_parameter(&value)),
            _ => None,
        },
    );
    let from_headers = from_headers.filter(|_| rules.allows(TokenPlace::Header));
    let from_query = from_query.filter(|_| rules.allows(TokenPlace::Query));
    let from_subprotocols = subprotocol_tokens(headers).filter(|_| rules.allows(TokenPlace::Subprotocol));
    let mut has_other_scheme = false;
    let given = from_headers.chain(from_query).chain(from_subprotocols).filter(|found| {
        let is_other = matches!(found, Err(Refusal::Scheme));
        has_other_scheme |= is_other;
        !is_other
    });
    let found = match sole(given)? {
        Some(token) => Ok(token),
        None if rules.allows(TokenPlace::Cookie) => from_cookie(asking, rules),
        None => Err(rules.missing()),
    };
    match found {
        Err(Refusal::Missing { .. }) if has_other_scheme => Err(Refusal::Scheme),
        found => found,
    }
}

/// Checks that the request comes from an allowed page. Programs other than browsers can send any origin.
pub fn check_origin(asking: Asking<'_>, rules: &Rules) -> Result<(), Refusal> {
    let Asking { headers, transport, .. } = asking;
    let origin: Origin =
        single(headers, ORIGIN).and_then(|text| text.parse().ok()).ok_or(Refusal::MissingOrigin)?;
    let is_same = || single(headers, HOST).is_some_and(|host| origin.is_of_host(host, transport));
    if rules.allowed_origins.contains(&origin) || is_same() {
        Ok(())
    } else {
        Err(Refusal::ForeignOrigin(origin))
    }
}

/// Returns the tokens in the subprotocols: a list with commas, possibly in several headers (RFC 6455, section 11.3.4).
fn subprotocol_tokens(headers: &HeaderMap) -> impl Iterator<Item = Result<Token, Refusal>> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let names = offered.flat_map(|header| header.as_bytes().split(|byte| *byte == b','));
    let tokens = names.filter_map(|name| name.trim_ascii().strip_prefix(SUBPROTOCOL_PREFIX.as_bytes()));
    tokens.map(|token| Token::parse(&String::from_utf8_lossy(token)))
}

fn from_authorization(value: &HeaderValue) -> Result<Token, Refusal> {
    let text = value.to_str().map_err(|_| Refusal::Scheme)?;
    Token::parse(after_bearer(text).ok_or(Refusal::Scheme)?)
}

/// Parses the parameter that replaces the header: the token, with or without its scheme.
fn from_parameter(value: &str) -> Result<Token, Refusal> {
    match after_bearer(value) {
        Some(token) => Token::parse(token),
        None if value.contains(' ') => Err(Refusal::Scheme),
        None => Token::parse(value),
    }
}

/// Returns the text after the scheme's name, which ignores case (RFC 9110, section 11.1).
fn after_bearer(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| rest.trim_matches(' '))
}

fn from_cookie(asking: Asking<'_>, rules: &Rules) -> Result<Token, Refusal> {
    let mut values = cookie_values(asking.headers, &rules.cookie).peekable();
    if values.peek().is_some() {
        check_origin(asking, rules)?;
    }
    sole(values.map(|value| Token::parse(&String::from_utf8_lossy(value))))?.ok_or_else(|| rules.missing())
}

/// Returns the non-empty values of every cookie of this name, without the quotes that RFC 6265, section 4.1.1, allows
/// around them. Other cookies are ignored, even if they are malformed.
fn cookie_values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            let unquoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            Some(unquoted.unwrap_or(value))
        })
        .filter(|value| !value.is_empty())
}

/// Returns the value of a header that occurs once. Implementations differ in which of several values they use, so
/// `None` is returned then.
fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Returns the token if all places hold the same one.
fn sole(mut tokens: impl Iterator<Item = Result<Token, Refusal>>) -> Result<Option<Token>, Refusal> {
    let Some(first) = tokens.next().transpose()? else { return Ok(None) };
    for token in tokens {
        if token? != first {
            return Err(Refusal::Ambiguous);
        }
    }
    Ok(Some(first))
}
