//! The token by which a push service knows the sender (VAPID, RFC 8292).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

/// A token may be valid for a day; clocks differ.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Signs tokens.
pub(super) struct Vapid {
    key: EcdsaKeyPair,
    public: String,
    contact: String,
}

impl Vapid {
    /// Reads the private key, in Base64 for URLs.
    pub(super) fn new(key: &[u8], contact: &str) -> Option<Self> {
        let private = BASE64_URL_SAFE_NO_PAD.decode(key).ok()?;
        let public = PrivateKey::from_private_key(&ECDH_P256, &private).ok()?.compute_public_key().ok()?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, public.as_ref()).ok()?;
        let public = BASE64_URL_SAFE_NO_PAD.encode(public.as_ref());
        Some(Self { key, public, contact: contact.to_owned() })
    }

    /// Returns the public key, in Base64 for URLs.
    pub(super) fn public_key(&self) -> &str {
        &self.public
    }

    /// Returns the value of `Authorization` for the push service of this origin.
    pub(super) fn authorization(&self, origin: &str, now: SystemTime) -> Option<String> {
        let expiry = now.duration_since(UNIX_EPOCH).unwrap_or_default() + LIFETIME;
        let header = json!({ "typ": "JWT", "alg": "ES256" });
        let claims = json!({ "aud": origin, "exp": expiry.as_secs(), "sub": self.contact });
        let parts = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = parts.join(".");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref());
        Some(format!("vapid t={signed}.{signature}, k={}", self.public))
    }
}
