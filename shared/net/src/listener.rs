//! Listening sockets, with room for all clients of an instance that ended: they come at once.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted; the system bounds them further (`net.core.somaxconn` on
/// Linux). All clients of an instance that ended come at once, and one that finds no room tries again
/// only after a second.
const BACKLOG: u32 = 16 * 1024;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens at the address that this key of the configuration names; port 0 lets the system choose one.
    pub fn bind(key: &'static str, address: SocketAddr) -> Result<Self, ListenError> {
        let listener = listen(address);
        let bound = listener.and_then(|listener| listener.local_addr().map(|bound| (listener, bound)));
        let (listener, address) = bound.map_err(|source| ListenError { key, address, source })?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn socket(&self) -> &TcpListener {
        &self.listener
    }
}

/// The address is taken, or it is not an address of this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; is another program there? `{key}` says where")]
pub struct ListenError {
    key: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A service that starts again does not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// More than the 128 that libraries let wait by default.
    #[tokio::test]
    async fn many_may_wait_to_be_accepted() {
        let listener = Listener::bind("a.key", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..512 {
            // A connection for which there is no room is not answered at all.
            let connecting = tokio::net::TcpStream::connect(listener.address());
            let connected = tokio::time::timeout(Duration::from_secs(30), connecting).await;
            waiting.push(connected.expect("there is room").unwrap());
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_its_key() {
        let address = Listener::bind("a.key", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let error = Listener::bind("another.key", address.address()).unwrap_err();
        let expected = format!(
            "cannot listen on {}; is another program there? `another.key` says where",
            address.address()
        );
        assert_eq!(error.to_string(), expected);
    }
}
