//! A fresh nats-server per test.

use std::ops::{Deref, DerefMut};

use tempfile::TempDir;
use tidings_embedded::{NatsServer, Options};

/// A nats-server on a free port, whose data is removed together with it.
#[derive(Debug)]
pub struct Nats {
    // Declared first, so that the server is gone before its folder is.
    server: NatsServer,
    _folder: TempDir,
}

/// Starts a nats-server in a temporary folder of its own.
pub async fn nats() -> Nats {
    nats_with(|options| options).await
}

/// As [`nats`], with other options: `nats_with(|options| options.config("max_payload: 2MB"))`.
pub async fn nats_with(change: impl FnOnce(Options) -> Options) -> Nats {
    let folder = tempfile::tempdir().unwrap();
    let options = change(Options::new(folder.path()));
    let server = NatsServer::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    Nats { server, _folder: folder }
}

impl Nats {
    /// A plain client of the server.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("the nats-server that the test started accepts clients")
    }
}

impl Deref for Nats {
    type Target = NatsServer;

    fn deref(&self) -> &NatsServer {
        &self.server
    }
}

impl DerefMut for Nats {
    fn deref_mut(&mut self) -> &mut NatsServer {
        &mut self.server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_server_is_fresh_and_gone_with_its_data() {
        let (nats, other) = (nats().await, nats_with(|options| options.config("max_payload: 4321")).await);
        assert_ne!(nats.url(), other.url());
        assert_eq!(other.client().await.server_info().max_payload, 4321);

        let folder = nats.folder().to_owned();
        drop(nats);
        assert!(!folder.exists());
    }
}
