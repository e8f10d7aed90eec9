//! What says who sends a request: headers and queries with tokens, the tokens themselves, key sets, origins.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{
    AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN as ORIGIN_HEADER,
    SEC_WEBSOCKET_PROTOCOL,
};
use tidings_access::{
    Algorithm, Asking, Claims, Issuer, Origin, Policy, Rules, SigningSecret, Token, TokenPlace, Transport,
    Verifier, VerifyingKey, find, usable_keys,
};
use tidings_model::json;

use super::{split_line, text};
use crate::Target;

pub(crate) const SOURCE: Target = Target {
    name: "source",
    run: source,
    seeds: &[
        b"Atoken=a.b.c&device=x\n0Basic c3RhZ2U6c2VjcmV0",
        b"O\n0Bearer a.b.c\n0bearer  a.b.c ",
        b"DAuthorization=Bearer+a.b.c&token=a.b.d",
        b"H\n1session=\"a.b.c\"; session=; other=x\n3https://app.example\n4app.example",
        b"L\n2tidings.v1, bearer.a.b.c\n2bearer.a.b.c",
        b"O%\n3null\n1session=a.b.c",
    ],
    attempts: 5_000,
};

const NAMES: [HeaderName; 5] = [AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, ORIGIN_HEADER, HOST];
const PLACES: [(TokenPlace, Option<HeaderName>); 4] = [
    (TokenPlace::Header, Some(AUTHORIZATION)),
    (TokenPlace::Query, None),
    (TokenPlace::Cookie, Some(COOKIE)),
    (TokenPlace::Subprotocol, Some(SEC_WEBSOCKET_PROTOCOL)),
];

/// Of any headers and query: a token that was there, in a place that counts, or a refusal that shows nothing of it. The
/// first byte chooses the places, the rest of the first line is the query; a line is a header, named by its first byte.
fn source(input: &[u8]) {
    let (first, mut rest) = split_line(input);
    let Some((&chosen, query)) = first.split_first() else { return };
    let query = text(query);
    let mut headers = HeaderMap::new();
    while !rest.is_empty() {
        let (line, behind) = split_line(rest);
        rest = behind;
        let Some((&name, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(&NAMES[usize::from(name) % NAMES.len()], value);
        }
    }
    let is_chosen = |index: usize| chosen >> index & 1 == 1;
    let places =
        PLACES.iter().enumerate().filter(|(index, _)| is_chosen(*index)).map(|(_, (place, _))| *place);
    let rules = Rules { places: places.collect(), ..Rules::default() };
    let found = found(&headers, Some(&query), &rules);

    // What is in other places makes no difference.
    let mut left = headers.clone();
    let mut left_query = Some(&*query);
    for (_, (_, header)) in PLACES.iter().enumerate().filter(|(index, _)| !is_chosen(*index)) {
        match header {
            Some(header) => drop(left.remove(header)),
            None => left_query = None,
        }
    }
    assert_eq!(self::found(&left, left_query, &rules), found);
    let Ok(token) = found else { return };
    assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
}

fn found(headers: &HeaderMap, query: Option<&str>, rules: &Rules) -> Result<String, String> {
    let asking = Asking { headers, query, transport: Transport::Secured };
    let found = find(asking, rules);
    found.map(|token| token.expose().to_owned()).map_err(|refusal| {
        assert!(refusal.to_string().len() < 1024);
        refusal.code().to_owned()
    })
}

pub(crate) const TOKEN: Target = Target {
    name: "token",
    run: token,
    seeds: &[
        b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJ0ZW5hbnQiOiJvcHMiLCJleHAiOjE3OTAwMDAwNjB9.",
        b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.x",
        b"+{\"alg\":\"HS256\"}\n{\"sub\":\"ada\",\"tenant\":\"ops\",\"exp\":1790000060}",
        b"+{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k\"}\n{\"sub\":\"ada\",\"tenant\":\"ops\",\"exp\":1790000060.5,\"iat\":1789999990,\"nbf\":1,\"scope\":\"a b\",\"roles\":[\"a\",1]}",
        b"+{\"alg\":\"none\"}\n{\"sub\":\"ada\",\"tenant\":\"ops\",\"exp\":1790000060}",
        b"+{\"alg\":\"HS256\",\"crit\":null}\n{\"sub\":\"ada\",\"tenant\":\"ops\",\"exp\":1790000060}",
        b"+{\"alg\":\"HS256\"}\n{\"sub\":\"ada\",\"sub\":\"bob\",\"tenant\":\"ops\",\"exp\":1790000060}",
        b"+{\"alg\":\"HS256\"}\n{\"sub\":\"ada\",\"tenant\":\"ops\",\"exp\":9007199254740993}",
        b"+{\"alg\":\"HS256\"}\n{\"a\":[[[[{\"$serde_json::private::RawValue\":\"[[[[1]]]]\"}]]]]}",
    ],
    attempts: 5_000,
};

const NOW: u64 = 1_790_000_000;
const SECRET: &[u8] = b"a secret of at least 32 bytes ...";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let secret = SigningSecret::new(SECRET).expect("it is long enough");
    Verifier::new(vec![Issuer::with_secret(&secret)], Policy::default())
});

/// A token that nobody has signed is refused. Of one that was signed, after `+` with its header as the first line and its
/// claims behind it, only what is valid now and names a user and a tenant is accepted.
fn token(input: &[u8]) {
    let Some(signed) = input.strip_prefix(b"+") else {
        let refused = verify(&text(input)).expect_err("nobody has signed it");
        return assert!(refused.len() < 1024, "{refused}");
    };
    let (header, claims) = split_line(signed);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message.as_bytes());
    let accepted = match verify(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))) {
        Ok(accepted) => accepted,
        Err(refused) => return assert!(refused.len() < 1024, "{refused}"),
    };
    let header = json::parse_unique(header).expect("an accepted header is JSON");
    assert!(header.get("alg").is_some_and(|name| name == "HS256") && header.get("crit").is_none());
    let leeway = Policy::default().leeway.as_secs();
    assert!(
        accepted.expires_at + leeway >= NOW && accepted.issued_at.is_none_or(|issued| issued <= NOW + leeway)
    );
    assert_eq!(accepted.all.get("sub").and_then(|subject| subject.as_str()), Some(&*accepted.subject));
    assert_eq!(accepted.all.get("tenant").and_then(|tenant| tenant.as_str()), Some(accepted.tenant.as_str()));
    assert!(!accepted.subject.is_empty());
    assert!(accepted.scopes().all(|scope| !scope.is_empty() && !scope.contains(' ')));
}

fn verify(token: &str) -> Result<Claims, String> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let verified = Token::parse(token).and_then(|token| VERIFIER.verify_known(&token, now));
    verified.map_err(|refusal| {
        assert!(refusal.status().is_client_error());
        refusal.to_string()
    })
}

pub(crate) const KEY_SET: Target = Target {
    name: "key_set",
    run: key_set,
    seeds: &[
        br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","use":"sig","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},{"kty":"oct","k":"AAAA"},1,null]}"#,
        br#"{"kty":"RSA","n":"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww","e":"AQAB"}"#,
        br#"{"keys":[]}"#,
        b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}],"keys":[]}"#,
    ],
    attempts: 3_000,
};

/// A public key is never taken as a secret, whatever it says of itself; of a fetched set each key is used or left out, and
/// a file is as good as the set that it holds.
fn key_set(input: &[u8]) {
    let from_file = VerifyingKey::from_file(input);
    let public = |keys: &[VerifyingKey]| {
        for key in keys {
            let algorithms = Algorithm::ALL.iter().filter(|algorithm| key.fits(**algorithm));
            assert!(algorithms.clone().count() > 0);
            assert!(algorithms.into_iter().all(|algorithm| *algorithm != Algorithm::Hs256));
        }
    };
    if let Ok(keys) = &from_file {
        public(keys);
    }
    let Ok((keys, left_out)) = usable_keys(input) else { return };
    public(&keys);
    let set = json::parse_unique(input).expect("it is a set");
    let all = set.get("keys").and_then(|keys| keys.as_array()).expect("it is a set").len();
    assert_eq!(keys.len() + left_out, all);
    if let Ok(from_file) = &from_file {
        assert_eq!(keys.len(), from_file.len().min(keys.len() + left_out));
    }
}

pub(crate) const ORIGIN: Target = Target {
    name: "origin",
    run: origin,
    seeds: &[
        b"https://app.example",
        b"HTTP://LocalHost:5173",
        b"capacitor://localhost",
        b"https://[::1]:443",
        b"null",
        b"https://a@b",
        b"https://*.example",
        b"wss://app.example",
        b"https://app.example:0443/",
    ],
    attempts: 4_000,
};

/// An origin has one canonical spelling, without a path or a user.
fn origin(input: &[u8]) {
    match text(input).parse::<Origin>() {
        Ok(origin) => {
            let written = origin.to_string();
            assert_eq!(written.parse::<Origin>().as_ref(), Ok(&origin), "{written}");
            let (_, host) = written.split_once("://").expect("it has a scheme");
            assert!(!host.is_empty() && !host.contains(['/', '@', '?', '#', ' ', ',']), "{written}");
            assert_eq!(written, written.to_ascii_lowercase());
        }
        Err(error) => assert!(error.to_string().len() < 4 * 1024),
    }
}
