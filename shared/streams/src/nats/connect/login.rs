//! How a process logs in to NATS.

use std::fmt;
use std::path::PathBuf;

use async_nats::ConnectOptions;

use super::ConnectError;

/// How a process logs in to NATS. `Debug` shows no secret.
#[derive(Clone, Default)]
pub enum Login {
    /// Without credentials, or by the TLS certificate.
    #[default]
    Anonymous,
    /// With a `.creds` file, which contains a token of the user and a seed.
    Credentials(PathBuf),
    /// With a user name and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// With a token that all clients of the server share.
    Token(String),
    /// With the seed of an nkey.
    NkeySeed(String),
}

impl Login {
    pub(super) async fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, ConnectError> {
        Ok(match self {
            Self::Anonymous => options,
            Self::Credentials(path) => options
                .credentials_file(path)
                .await
                .map_err(|source| ConnectError::Credentials { path: path.clone(), source })?,
            Self::Password { user, password } => options.user_and_password(user.clone(), password.clone()),
            Self::Token(token) => options.token(token.clone()),
            Self::NkeySeed(seed) => options.nkey(seed.clone()),
        })
    }

    /// A description for error texts.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "no credentials",
            Self::Credentials(_) => "a credentials file",
            Self::Password { .. } => "user and password",
            Self::Token(_) => "a token",
            Self::NkeySeed(_) => "an nkey",
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
