//! A fresh nats-server per test.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use async_nats::jetstream;
use tempfile::TempDir;
use tidings_embedded::{NatsServer, Options};

use crate::wait::{BOUND, eventually};

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

    /// Deletes a stream and makes it anew, empty.
    ///
    /// nats-server puts what is deleted aside, with a dot before its name, and removes it later. As long as one that was
    /// deleted before lies there, it cannot, and does not say so: the new stream begins with what was deleted.
    pub async fn renew(&self, stream: &str) {
        let aside = self.folder().join("jetstream/$G/streams").join(format!(".{stream}"));
        eventually("the stream deleted before is removed", BOUND, async || {
            if aside.exists() { Err(aside.display()) } else { Ok(()) }
        })
        .await;
        let context = jetstream::new(self.client().await);
        let config = context.get_stream(stream).await.unwrap().cached_info().config.clone();
        context.delete_stream(stream).await.unwrap();
        context.create_stream(config).await.unwrap();
    }
}

/// What these parts of JetStream's store held at one time: streams by their names, or folders within them.
#[derive(Debug)]
pub struct Saved {
    folder: TempDir,
    parts: Vec<String>,
}

impl Nats {
    /// Saves parts of the store, such as `EVENTS`, or `EVENTS/msgs`, which is a stream without its consumers. The server
    /// is restarted.
    pub async fn save(&mut self, parts: &[&str]) -> Saved {
        self.server.stop().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
        for part in &parts {
            copy(&self.store().join(part), &folder.path().join(part));
        }
        self.server.restart().await.unwrap();
        Saved { folder, parts }
    }

    /// Kills the server and starts it with what was saved in the place of what is there now, as a restored backup does,
    /// or a power failure.
    pub async fn bring_back(&mut self, saved: Saved) {
        self.server.kill().await.unwrap();
        for part in &saved.parts {
            let place = self.store().join(part);
            std::fs::remove_dir_all(&place).unwrap();
            copy(&saved.folder.path().join(part), &place);
        }
        self.server.restart().await.unwrap();
    }

    fn store(&self) -> PathBuf {
        self.folder().join("jetstream/$G/streams")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (source, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if source.is_dir() {
            copy(&source, &to.join(name));
        } else {
            std::fs::copy(&source, to.join(name)).unwrap();
        }
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

    #[tokio::test]
    async fn a_stream_made_anew_is_empty() {
        let nats = nats().await;
        let context = jetstream::new(nats.client().await);
        let config = jetstream::stream::Config { name: "S".into(), ..Default::default() };
        context.create_stream(config).await.unwrap();
        for _ in 0..20 {
            context.publish("S", "x".into()).await.unwrap().await.unwrap();
            nats.renew("S").await;
            assert_eq!(context.get_stream("S").await.unwrap().cached_info().state.messages, 0);
        }
    }
}
