use ppp::v2::{Builder, Command, Protocol, Type, Version};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;

const CLIENT: &str = "203.0.113.5";

fn version_2(command: Command, padding: usize) -> Vec<u8> {
    let addresses: (std::net::SocketAddr, std::net::SocketAddr) =
        ("203.0.113.5:1".parse().unwrap(), "10.0.0.1:443".parse().unwrap());
    let header = Builder::with_addresses(Version::Two | command, Protocol::Stream, addresses);
    header.write_tlv(Type::NoOp, &vec![0; padding]).unwrap().build().unwrap()
}

/// What is taken from these bytes, sent in pieces of such lengths, and what follows them.
async fn taken(bytes: &[u8], pieces: &[usize]) -> (Result<Option<IpAddr>, HeaderError>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    sender.set_nodelay(true).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let sending = async {
        let mut rest = bytes;
        for length in pieces.iter().copied().chain([usize::MAX]) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            sender.write_all(piece).await.unwrap();
            rest = after;
            tokio::task::yield_now().await;
        }
        drop(sender);
    };
    let taking = async {
        let outcome = take(&mut stream).await;
        let mut rest = Vec::new();
        if outcome.is_ok() {
            stream.read_to_end(&mut rest).await.unwrap();
        }
        (outcome, rest)
    };
    tokio::join!(sending, taking).1
}

#[tokio::test]
async fn the_header_is_taken_and_nothing_else() {
    let client = Some(CLIENT.parse().unwrap());
    let headers: &[(Vec<u8>, Option<IpAddr>)] = &[
        (b"PROXY TCP4 203.0.113.5 10.0.0.1 56324 443\r\n".to_vec(), client),
        (b"PROXY TCP6 ::ffff:203.0.113.5 fd00::1 56324 443\r\n".to_vec(), client),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (version_2(Command::Proxy, 0), client),
        (version_2(Command::Proxy, 1_500), client),
        (version_2(Command::Local, 0), None),
    ];
    for (header, source) in headers {
        for pieces in [&[][..], &[1; 60], &[12, 3], &[40], &[header.len()]] {
            let sent = [header.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
            let (outcome, rest) = taken(&sent, pieces).await;
            assert_eq!(outcome.unwrap(), *source, "{header:?} in {pieces:?}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{header:?} in {pieces:?}");
        }
    }
}

#[tokio::test]
async fn whatever_is_no_header_is_refused() {
    let endless = [V1_SIGNATURE, &[b'x'; 200]].concat();
    let checks: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\r\n\r\n", "expected a PROXY header of version 1 or 2, got something else"),
        (&[0x16, 3, 1, 2, 0, 1], "expected a PROXY header of version 1 or 2, got something else"),
        (&endless, "expected a PROXY header of at most 2048 bytes, got a longer one"),
        (
            &version_2(Command::Proxy, 2_100),
            "expected a PROXY header of at most 2048 bytes, got a longer one",
        ),
        (b"PROXY TCP4 1.2.3.4", "the connection ended before its PROXY header"),
        (b"", "the connection ended before its PROXY header"),
    ];
    for (sent, expected) in checks {
        assert_eq!(taken(sent, &[]).await.0.unwrap_err().to_string(), *expected);
    }
    for sent in
        ["PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY \r\n", "PROXY TCP4\n"]
    {
        let outcome = taken(sent.as_bytes(), &[]).await.0;
        assert!(matches!(outcome, Err(HeaderError::Malformed { .. })), "{sent:?}: {outcome:?}");
    }
}

proptest! {
    /// Whatever comes, reading goes forward and is bounded.
    #[test]
    fn any_bytes_are_measured(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        signature in prop::sample::select(vec![&b""[..], V1_SIGNATURE, V2_SIGNATURE]),
    ) {
        let bytes = [signature, &bytes].concat();
        match length(&bytes) {
            Ok(Some(length)) => {
                prop_assert!(length <= LONGEST);
                if let Some(header) = bytes.get(..length) {
                    let _ = source(header);
                }
            }
            Ok(None) => prop_assert!(bytes.len() < LONGEST),
            Err(_) => {}
        }
    }
}
