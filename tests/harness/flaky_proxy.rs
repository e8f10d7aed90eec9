//! A cable to NATS that can be pulled out, or break in one direction.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Carries connections to a nats-server while it is plugged in.
#[derive(Debug)]
pub struct FlakyProxy {
    state: Arc<watch::Sender<State>>,
    url: String,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plugged,
    Muted,
    Silent,
    Pulled,
}

impl FlakyProxy {
    /// To the nats-server at this URL.
    pub async fn to(nats: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let state = Arc::new(watch::Sender::new(State::Plugged));
        let nats = nats.trim_start_matches("nats://").to_owned();
        let task = tokio::spawn(accept(listener, nats, state.subscribe()));
        Self { state, url, task }
    }

    /// Where the cable begins.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Pulls it out: every connection breaks, and no new one lasts.
    pub fn pull(&self) {
        self.state.send_replace(State::Pulled);
    }

    /// Nothing gets through to NATS any more, and nobody is told: what is sent meanwhile arrives when the cable is plugged
    /// in again. What NATS says arrives.
    pub fn mute(&self) {
        self.state.send_replace(State::Muted);
    }

    /// Nothing gets through in either direction, and nobody is told, as where packets are dropped; what is sent meanwhile
    /// arrives when the cable is plugged in again.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Plugs it in again.
    pub fn plug(&self) {
        self.state.send_replace(State::Plugged);
    }
}

impl Drop for FlakyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, nats: String, state: watch::Receiver<State>) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        tokio::spawn(connect(near, nats.clone(), state.clone()));
    }
}

async fn connect(near: TcpStream, nats: String, mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Pulled {
        return;
    }
    let Ok(far) = TcpStream::connect(nats).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        _ = carry(near_in, far_out, state.clone(), |state| state == State::Plugged) => {}
        _ = carry(far_in, near_out, state.clone(), |state| matches!(state, State::Plugged | State::Muted)) => {}
        _ = state.wait_for(|state| *state == State::Pulled) => {}
    }
}

/// Carries bytes one way while the cable lets them through, until the connection ends or nobody holds the cable any more.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    passes: impl Fn(State) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 || state.wait_for(|state| passes(*state)).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connection(listener: &TcpListener, cable: &FlakyProxy) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(cable.url().trim_start_matches("nats://")).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_sent_into_a_mute_cable_arrives_when_it_is_plugged_in_or_never() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = FlakyProxy::to(&format!("nats://{}", listener.local_addr().unwrap())).await;
        for plugged_again in [true, false] {
            cable.plug();
            let (mut near, mut far) = connection(&listener, &cable).await;
            cable.mute();
            near.write_all(b"late").await.unwrap();
            if plugged_again {
                cable.plug();
            } else {
                cable.pull();
            }
            let mut found = vec![0; 4];
            let length = far.read(&mut found).await.unwrap_or(0);
            assert_eq!(&found[..length], if plugged_again { &b"late"[..] } else { b"" });
        }
    }
}
