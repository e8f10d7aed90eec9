//! How a process logs in to NATS.

use tidings_runtime::config::{NatsConfig, Secret};
use tidings_streams::Login;

/// The login of a checked configuration, which has exactly one.
pub(super) fn login(nats: &NatsConfig) -> Login {
    let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    if let Some(path) = &nats.credentials {
        return Login::Credentials(path.clone());
    }
    if let (Some(user), Some(password)) = (&nats.user, &nats.password) {
        return Login::Password { user: user.clone(), password: text(password) };
    }
    if let Some(token) = &nats.token {
        return Login::Token(text(token));
    }
    nats.nkey_seed.as_ref().map_or(Login::Anonymous, |seed| Login::NkeySeed(text(seed)))
}
