use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A connection whose first request must have come when `left` has passed.
fn connection(left: Duration) -> DuplexStream {
    let (ours, theirs) = duplex(4096);
    let first = Instant::now() + left;
    let settings = Settings {
        section: "service",
        trusted_proxies: TrustedProxies::default(),
        proxy_protocol: false,
        handshake_timeout: PATIENCE,
        response_timeout: PATIENCE,
        max_headers: 100,
        max_header_bytes: 1024,
        error_body: |_| None,
    };
    let service = service_fn(|_| async { Ok::<_, Infallible>(Response::default()) });
    let stream = HttpStream::new(theirs, (PATIENCE, settings.error_body), (Takeover::default(), |_| None));
    tokio::spawn(async move { answer(stream, service, first, &settings, Ipv4Addr::LOCALHOST.into()).await });
    ours
}

/// Sends a request, and says whether it is answered.
async fn is_answered(connection: &mut DuplexStream) -> bool {
    let mut answer = [0; 4096];
    connection.write_all(REQUEST).await.is_ok()
        && matches!(connection.read(&mut answer).await, Ok(read) if answer[..read].ends_with(b"\r\n\r\n"))
}

/// How long it takes, on the test's own clock, until the connection is closed.
async fn time_until_closed(mut connection: DuplexStream) -> Duration {
    let start = Instant::now();
    assert_eq!(connection.read(&mut [0; 1]).await.unwrap(), 0);
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_first_request_has_the_time_that_is_left() {
    let left = Duration::from_secs(1);
    for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: "] {
        let mut connection = connection(left);
        connection.write_all(beginning.as_bytes()).await.unwrap();
        let passed = time_until_closed(connection).await;
        assert!(left <= passed && passed < PATIENCE, "{beginning:?}: {passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn later_requests_have_their_own_time() {
    let mut connection = connection(Duration::from_secs(1));
    for _ in 0..3 {
        assert!(is_answered(&mut connection).await);
        sleep(PATIENCE / 2).await;
    }
    assert!(is_answered(&mut connection).await);
    assert!(time_until_closed(connection).await >= PATIENCE);
}
