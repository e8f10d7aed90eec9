//! Where users are reached who are not connected.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;

/// Contacts of users: e-mail addresses, phone numbers, webhooks, browsers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
    /// Whether gateways note what clients' tokens say of where their users are reached, when these connect.
    pub from_tokens: bool,
    /// Claim with the user's e-mail address.
    #[schemars(length(min = 1))]
    pub email_claim: String,
    /// Claim with the user's phone number, in the form of E.164.
    #[schemars(length(min = 1))]
    pub phone_number_claim: String,
    /// Whether both are noted from tokens without `email_verified` and `phone_number_verified`, too: then whoever can have a
    /// token with any address receives what is meant for its user there.
    pub unverified_claims: bool,
}

impl Default for ContactsConfig {
    fn default() -> Self {
        Self {
            keys: None,
            keys_file: None,
            from_tokens: true,
            email_claim: "email".to_owned(),
            phone_number_claim: "phone_number".to_owned(),
            unverified_claims: false,
        }
    }
}
