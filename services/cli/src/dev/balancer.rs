//! A load balancer for several gateways: each connection goes to the next gateway that accepts it.
//!
//! It copies bytes and does not parse HTTP, so WebSockets, TLS and the gateways' answers pass unchanged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A gateway on this machine accepts a connection at once, or it does not run.
const CONNECT: Duration = Duration::from_secs(1);
/// How long to wait before accepting again after an error, for example when no file descriptors are left.
const RETRY: Duration = Duration::from_millis(100);

/// Forwards connections to the gateways in turn, until cancelled.
pub(super) async fn balance(listener: TcpListener, gateways: Vec<SocketAddr>, stopped: CancellationToken) {
    let gateways: Arc<[SocketAddr]> = gateways.into();
    let mut first = 0;
    while let Some(accepted) = stopped.run_until_cancelled(listener.accept()).await {
        let Ok((client, _)) = accepted else {
            sleep(RETRY).await;
            continue;
        };
        let (gateways, stopped) = (Arc::clone(&gateways), stopped.clone());
        tokio::spawn(async move {
            stopped.run_until_cancelled(carry(client, &gateways, first)).await;
        });
        first += 1;
    }
}

/// Forwards one connection to the first gateway that accepts it; closes it if none does.
async fn carry(mut client: TcpStream, gateways: &[SocketAddr], first: usize) {
    for turn in 0..gateways.len() {
        let Some(gateway) = gateways.get((first + turn) % gateways.len()) else { continue };
        if let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(gateway)).await {
            // Bytes are forwarded at once: the gateway decides what is sent together.
            let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
            // The end of the connection concerns only client and gateway.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that sends its name to each connection.
    async fn named(name: u8) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&[name]).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_gateway_that_does_not_run_is_passed_over() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        let gateways = vec![named(b'a').await, gone, named(b'b').await];
        tokio::spawn(balance(front, gateways, CancellationToken::new()));
        let mut reached = Vec::new();
        for _ in 0..3 {
            reached.push(TcpStream::connect(address).await.unwrap().read_u8().await.unwrap());
        }
        assert_eq!(reached, b"abb");
    }
}
