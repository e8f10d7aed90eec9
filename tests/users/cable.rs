//! A cable between a gateway and NATS that can be pulled out.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Carries connections to a nats-server while it is plugged in.
#[derive(Debug)]
pub(crate) struct Cable {
    plugged: Arc<watch::Sender<bool>>,
    url: String,
    task: JoinHandle<()>,
}

impl Cable {
    /// To the nats-server at this URL.
    pub(crate) async fn to(nats: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let plugged = Arc::new(watch::Sender::new(true));
        let task =
            tokio::spawn(carry(listener, nats.trim_start_matches("nats://").to_owned(), plugged.subscribe()));
        Self { plugged, url, task }
    }

    /// Where the cable begins.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Pulls it out: every connection breaks, and no new one lasts.
    pub(crate) fn pull(&self) {
        self.plugged.send_replace(false);
    }

    /// Plugs it in again.
    pub(crate) fn plug(&self) {
        self.plugged.send_replace(true);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(listener: TcpListener, nats: String, plugged: watch::Receiver<bool>) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let (nats, mut plugged) = (nats.clone(), plugged.clone());
        tokio::spawn(async move {
            if !*plugged.borrow() {
                return;
            }
            let Ok(mut far) = TcpStream::connect(nats).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = plugged.wait_for(|plugged| !plugged) => {}
            }
        });
    }
}
