//! Access: where a token may be in a request, and which issuers are accepted.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ByteSizeSchema, MINUTE};
use crate::config::format::{byte_size, duration};

/// A place in a request that may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenSource {
    /// The header `Authorization: Bearer <token>`.
    Header,
    /// The query parameter `token` or `Authorization`.
    Query,
    /// The cookie that `gateway.cookie` names, from pages of the same host and of `gateway.allowed_origins`.
    Cookie,
    /// The subprotocol `bearer.<token>`, alone or beside `tidings.v1`.
    Subprotocol,
}

/// Verification of clients' tokens: with one secret for all tenants (`hs256_secret`), or by a list of issuers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Secret that HS256 tokens are signed with, at least 32 bytes (RFC 7518, section 3.2).
    #[schemars(with = "String", extend("format" = "hs256-secret", "writeOnly" = true))]
    pub hs256_secret: Option<Secret>,
    /// File with that secret, instead of `hs256_secret`; one line end after it is not part of the secret.
    #[schemars(length(min = 1))]
    pub hs256_secret_file: Option<PathBuf>,
    /// The former secret, whose tokens are still accepted while it is replaced by `hs256_secret`.
    #[schemars(with = "String", extend("format" = "hs256-secret", "writeOnly" = true))]
    pub hs256_previous_secret: Option<Secret>,
    /// File with that secret, instead of `hs256_previous_secret`; one line end after it is not part of the secret.
    #[schemars(length(min = 1))]
    pub hs256_previous_secret_file: Option<PathBuf>,
    /// Time by which clocks may differ when a token's `exp`, `nbf` and `iat` are checked.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration-or-zero"))]
    pub leeway: Duration,
    /// Required value of `iss` in a token that is signed with that secret; without it, `iss` is not checked.
    #[schemars(length(min = 1))]
    pub issuer: Option<String>,
    /// Value that `aud` must be or contain in such a token; without it, `aud` is not checked.
    #[schemars(length(min = 1))]
    pub audience: Option<String>,
    /// Claim that names the user in such a token, or a path such as `app.userId`; without it, `sub`. In catalogs the user is
    /// `{sub}` all the same.
    #[schemars(length(min = 1))]
    pub user_claim: Option<String>,
    /// Tenant of all users with such tokens, whatever these claim; without it, the claim `tenant` names it.
    #[schemars(with = "String", extend("format" = "tenant"))]
    pub tenant: Option<String>,
    /// Places in a request that may hold a token: `header`, `query`, `cookie`, `subprotocol`. Other places are ignored.
    pub sources: Vec<TokenSource>,
    /// Values of `typ` that a token's header may have, of any case, with or without `application/`; `absent` stands for
    /// tokens without it.
    #[schemars(extend("items" = { "type": "string", "minLength": 1 }))]
    pub types: Vec<String>,
    /// Time for which a token may be valid, from its `iat` on, or from now on if it has none; `0s` is no limit.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration-or-zero"))]
    pub max_lifetime: Duration,
    /// Bytes that a token may have, from 1 to 64 KiB. It has to fit into the head of a request, or into a message of
    /// `gateway.max_frame_bytes`, too.
    #[serde(deserialize_with = "byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_token_bytes: usize,
    /// Whether every WebSocket must come from a page of this host or of `gateway.allowed_origins`, even if its token is not in
    /// the cookie.
    pub require_origin: bool,
    /// Age at which the keys of a `jwks_url` are fetched again.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub jwks_max_age: Duration,
    /// Time between two fetches on behalf of tokens with unknown keys, for each issuer, and after a fetch that failed.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub jwks_cooldown: Duration,
    /// Time for which a key is still accepted after the issuer stopped publishing it.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration-or-zero"))]
    pub jwks_grace: Duration,
    /// Time that one fetch may take, and that a token with an unknown key waits for it.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub jwks_timeout: Duration,
    /// Issuers whose tokens are accepted, one `[[access.issuers]]` each, instead of `hs256_secret`. They have no variables.
    pub issuers: Vec<IssuerConfig>,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            hs256_secret: None,
            hs256_secret_file: None,
            hs256_previous_secret: None,
            hs256_previous_secret_file: None,
            leeway: Duration::from_secs(30),
            issuer: None,
            audience: None,
            user_claim: None,
            tenant: None,
            sources: vec![
                TokenSource::Header,
                TokenSource::Query,
                TokenSource::Cookie,
                TokenSource::Subprotocol,
            ],
            types: ["absent", "JWT", "at+jwt"].map(str::to_owned).into(),
            max_lifetime: Duration::ZERO,
            max_token_bytes: 8 * 1024,
            require_origin: false,
            jwks_max_age: 10 * MINUTE,
            jwks_cooldown: Duration::from_secs(10),
            jwks_grace: 5 * MINUTE,
            jwks_timeout: Duration::from_secs(5),
            issuers: Vec::new(),
        }
    }
}

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say what the RFCs explain")]
pub enum SignatureAlgorithm {
    HS256,
    RS256,
    RS384,
    RS512,
    PS256,
    ES256,
    ES384,
    EdDSA,
    // Another name of EdDSA (RFC 9864); a description here would end the schema's list of names.
    Ed25519,
}

/// An issuer whose tokens are accepted. It has exactly one of `jwks_url`, `key_files`, `hs256_secret` and
/// `hs256_secret_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// Value of `iss` in its tokens, compared exactly: `https://auth.example/realms/acme`, often with a slash at the end.
    #[schemars(length(min = 1))]
    pub issuer: String,
    /// Value that `audience_claim` must be or contain; without it, that is not checked, and a token that the issuer made for
    /// another service is accepted.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub audience: Option<String>,
    /// Claim with the audience; Amazon Cognito's access tokens have it in `client_id`.
    #[serde(default = "aud")]
    #[schemars(length(min = 1))]
    pub audience_claim: String,
    /// Algorithms that its tokens may be signed with. A key is only used with those that fit it.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Claim that names the user, or a path such as `app.userId`; without it, `sub`. In catalogs the user is `{sub}` all the
    /// same.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub user_claim: Option<String>,
    /// Tenants whose tokens it may issue; without them, all tenants, and then there is no other issuer.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "tenant" }))]
    pub tenants: Option<Vec<String>>,
    /// Claim that names a token's tenant, `custom:tenant` or a path such as `app.tenant`; without it, `tenant`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub tenant_claim: Option<String>,
    /// Tenant of all of its users, instead of `tenants` and `tenant_claim`.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = "tenant"))]
    pub tenant: Option<String>,
    /// URL of its keys, a JSON Web Key Set (RFC 7517). Redirects are not followed. Use `http` only in a network that
    /// attackers cannot reach.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = "jwks-url"))]
    pub jwks_url: Option<String>,
    /// Files with one public key in PEM each, or with a JSON Web Key Set, whose keys have identifiers (`kid`).
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "file-name" }))]
    pub key_files: Vec<PathBuf>,
    /// Secret that it signs with by HS256, at least 32 bytes (RFC 7518, section 3.2).
    #[serde(default)]
    #[schemars(with = "String", extend("format" = "hs256-secret", "writeOnly" = true))]
    pub hs256_secret: Option<Secret>,
    /// File with that secret, instead of `hs256_secret`; one line end after it is not part of the secret.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub hs256_secret_file: Option<PathBuf>,
    /// The former secret, whose tokens are still accepted while it is replaced.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = "hs256-secret", "writeOnly" = true))]
    pub hs256_previous_secret: Option<Secret>,
    /// File with that secret, instead of `hs256_previous_secret`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub hs256_previous_secret_file: Option<PathBuf>,
}

fn aud() -> String {
    "aud".to_owned()
}

/// Secret bytes. `Debug` shows only their number.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Creates a secret from `bytes`.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes, for a key.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(text.into_bytes()))
    }
}
