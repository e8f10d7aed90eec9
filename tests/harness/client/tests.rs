//! The client against servers that do exactly what a test says.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

use super::*;

type ServerSocket = WebSocketStream<TcpStream>;

/// A server for one connection; the address to dial.
async fn server(serve: impl AsyncFnOnce(ServerSocket) + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    address
}

async fn send(socket: &mut ServerSocket, value: Value) {
    socket.send(Message::text(value.to_string())).await.unwrap();
}

/// Answers a ping after these messages.
async fn pong_after(messages: Vec<Value>) -> Client {
    let address = server(async move |mut socket| {
        let ping = socket.next().await.unwrap().unwrap();
        assert_eq!(ping.to_text().unwrap(), r#"{"action":"ping"}"#);
        for message in messages {
            send(&mut socket, message).await;
        }
        send(&mut socket, json!({ "action": "pong", "timestamp": "2026-01-01T00:00:00Z" })).await;
        socket.next().await;
    });
    Dial::new(&address.await).open().await
}

#[tokio::test(flavor = "local")]
async fn silence_is_a_pong_before_anything_else() {
    pong_after(vec![]).await.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test(flavor = "local")]
#[should_panic(expected = r#"expected silence, got {"title":"leak"}"#)]
async fn a_message_before_the_pong_is_no_silence() {
    pong_after(vec![json!({ "title": "leak" })]).await.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test(flavor = "local")]
async fn messages_until_a_marker_and_the_close_code() {
    let address = server(async |mut socket| {
        for number in 1..=3 {
            send(&mut socket, json!({ "number": number })).await;
            socket.send(Message::Ping(vec![number].into())).await.unwrap();
        }
        let frame = CloseFrame { code: CloseCode::from(4001), reason: "expired".into() };
        socket.close(Some(frame)).await.unwrap();
        while socket.next().await.is_some() {}
    });
    let mut client = Dial::new(&address.await).open().await;
    assert_eq!(client.next_json(BOUND).await, json!({ "number": 1 }));
    let rest = client.until(BOUND, |message| message["number"] == 3).await;
    assert_eq!(rest, [json!({ "number": 2 }), json!({ "number": 3 })]);
    assert_eq!(client.close_code(BOUND).await, Some(4001));
}

#[tokio::test(flavor = "local")]
async fn the_handshake_carries_what_was_asked_for_and_a_refusal_is_complete() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        // The body comes later than the headers, as it may on any network.
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 5\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(b"token").await.unwrap();
        String::from_utf8(request).unwrap()
    });

    let dial =
        Dial::new(&address).bearer("abc").cookie("def").origin("http://localhost").subprotocol("tidings.v1");
    let refusal = dial.query("token", "a b").query("device", "phone").refused().await;
    assert_eq!((refusal.status, refusal.body.as_str()), (401, "token"));

    let request = answer.await.unwrap();
    for line in [
        "GET /api/ws?token=a+b&device=phone HTTP/1.1",
        "authorization: Bearer abc",
        "cookie: session=def",
        "origin: http://localhost",
        "sec-websocket-protocol: tidings.v1",
        "upgrade: websocket",
    ] {
        assert!(request.lines().any(|sent| sent == line), "{line:?} is missing in\n{request}");
    }
}
