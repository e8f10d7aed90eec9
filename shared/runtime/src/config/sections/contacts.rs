//! Where users are reached who are not connected.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;

/// Contacts of users: e-mail addresses, phone numbers, webhooks, browsers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContactsConfig {
    /// Keys that contacts are encrypted with, separated by spaces: 32 bytes in Base64 each, as `openssl rand -base64 32` prints
    /// them. The first encrypts, all decrypt. Gateways, dispatchers and administrators have the same ones. Without them, no
    /// contacts are kept.
    #[schemars(with = "String", extend("format" = "contact-keys", "writeOnly" = true))]
    pub keys: Option<Secret>,
    /// File with those keys, one on each line, instead of `keys`.
    #[schemars(length(min = 1))]
    pub keys_file: Option<PathBuf>,
}
