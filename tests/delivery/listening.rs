//! `tidings listen` connects again as a client should, and ends when another attempt would change nothing.

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use harness::{BOUND, Finished, Launch, SECRET, Setup, free_port, token};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::command::Desk;
use crate::kitchen;

/// How a gateway ends a listener's first connection.
#[derive(Clone, Copy, Debug)]
enum End {
    Close(u16),
    /// A Close without a code (1005).
    Bare,
    /// No Close at all (1006).
    Cut,
    /// An answer in place of the connection.
    Answer(&'static str),
}

/// A gateway that ends the first connection like that and has a message for the second one.
async fn listen(end: End) -> Finished {
    let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/api/ws", gateway.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        for is_first in [true, false] {
            let (mut stream, _) = gateway.accept().await.unwrap();
            if let (true, End::Answer(answer)) = (is_first, end) {
                let _ = stream.read(&mut [0; 4096]).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                continue;
            }
            let choose = |_: &Request, mut response: Response| {
                response.headers_mut().insert("Sec-WebSocket-Protocol", "tidings.v1".parse().unwrap());
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, choose).await.unwrap();
            match end {
                _ if !is_first => {
                    socket.send(Message::text(r#"{"seq":1,"id":"e","n":1}"#)).await.unwrap();
                }
                End::Close(code) => {
                    let close = CloseFrame { code: code.into(), reason: "because".into() };
                    socket.close(Some(close)).await.unwrap();
                }
                End::Bare => socket.close(None).await.unwrap(),
                End::Cut | End::Answer(_) => continue,
            }
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    let arguments = ["listen", "--token", "t", "--url", &url, "--count", "1"];
    let folder = tempfile::tempdir().unwrap();
    let finished = Launch::tidings(arguments).folder(folder.path()).finish(BOUND).await;
    serving.abort();
    finished
}

#[tokio::test]
async fn what_passes_is_waited_for_and_what_does_not_ends_it() {
    let passing = [1001, 1011, 1012, 1013, 1014, 4000, 4002, 4003, 4005, 4007, 4499].map(End::Close);
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let away = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let passing = passing.into_iter().chain([End::Bare, End::Cut, End::Answer(busy), End::Answer(away)]);
    for (end, finished) in join_all(passing.map(async |end| (end, listen(end).await))).await {
        assert_eq!(finished.code, Some(0), "{end:?}: {}", finished.errors);
        assert_eq!(finished.output, "{\"n\":1}\n", "{end:?}");
        assert!(finished.errors.contains("; connecting again\n"), "{end:?}: {}", finished.errors);
    }
    let lasting = [1000, 1002, 1003, 1007, 1009, 3000, 3999, 4500, 4503, 4999].map(End::Close);
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nbad!";
    let lasting = lasting.into_iter().chain([End::Answer(refused)]);
    for (end, finished) in join_all(lasting.map(async |end| (end, listen(end).await))).await {
        assert!(!finished.errors.contains("connecting again"), "{end:?}: {}", finished.errors);
        let why = finished.failed();
        assert!(why.contains("because (") || why.contains("answers 403 Forbidden: bad!"), "{end:?}: {why}");
    }
    let expired = r#"{"status":401,"code":"TOKEN_EXPIRED","detail":"expired"}"#;
    let expired = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{expired}", expired.len());
    for end in [End::Close(4001), End::Close(4006), End::Answer(expired.leak())] {
        let why = listen(end).await.failed();
        assert!(
            why.ends_with("; get a fresh token, as `tidings token` prints one, for --token or TIDINGS_TOKEN"),
            "{why}"
        );
    }
}

/// What was published while its gateway was gone comes, and nothing twice.
#[tokio::test]
async fn a_listener_continues_at_the_next_gateway() {
    let address = format!("127.0.0.1:{}", free_port());
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1, 2, 3]));
    let setup = Setup::default().schemas(&desk.folder().join("schemas"));
    let system = setup.variable("TIDINGS_GATEWAY__LISTEN", &address).start().await;
    let ada = token(SECRET, json!({ "tenant": "kitchen", "sub": "ada" }));
    let url = format!("ws://{address}/api/ws");
    let mut listener = system.command(&["listen", "--token", &ada, "--url", &url, "--count", "3"]).start();
    listener.line("listening at", BOUND).await;
    let publish = async |table: u64| {
        system.publish("kitchen", "dish.ready", &json!({ "guest": "ada", "table": table })).await;
    };
    publish(1).await;
    listener.line("\"table\":1", BOUND).await;
    system.gateway.signal(Signal::KILL);
    listener.line("; connecting again", BOUND).await;
    publish(2).await;
    let _gateway = system.another_gateway(&[]).await;
    listener.line("\"table\":2", BOUND).await;
    publish(3).await;
    let (status, output) = listener.end(BOUND).await;
    assert!(status.success(), "{output}");
    assert_eq!(output.lines().filter(|line| line.starts_with('{')).count(), 3, "{output}");
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused() {
    let system = Setup::default().start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let url = system.address().replacen("http", "ws", 1) + "/api/ws";
    let arguments = ["listen", "--token", &ada, "--url", &url, "--topic", "incidentz"];
    let refused = system.command(&arguments).finish(BOUND).await;
    assert_eq!((refused.code, refused.output.as_str()), (Some(1), ""), "{}", refused.errors);
    let line = refused.errors.lines().last().unwrap();
    assert!(line.contains("refuses the subscription: ") && line.ends_with("(UNKNOWN_TOPIC)"), "{line}");
}

#[tokio::test]
async fn programs_learn_positions_and_begin_behind_them() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1, 2, 3]));
    let system = Setup::default().schemas(&desk.folder().join("schemas")).start().await;
    let ada = token(SECRET, json!({ "tenant": "kitchen", "sub": "ada" }));
    let url = system.address().replacen("http", "ws", 1) + "/api/ws";
    let listen = |device: &str, rest: &[&str]| {
        let arguments = ["listen", "--token", &ada, "--url", &url, "--device", device];
        system.command(&[&arguments, rest].concat())
    };
    let publish = async |table: u64| {
        system.publish("kitchen", "dish.ready", &json!({ "guest": "ada", "table": table })).await;
    };
    for table in 1..=3 {
        publish(table).await;
    }
    let output = listen("first", &["--json", "--count", "3"]).finish(BOUND).await.succeeded();
    let happened: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = happened.iter().filter(|line| line["kind"] == "message").collect();
    let tables: Vec<_> = messages.iter().map(|line| line["message"]["table"].as_u64()).collect();
    assert_eq!(tables, [Some(1), Some(2), Some(3)]);

    let since = messages[0]["position"].as_str().unwrap();
    let output = listen("second", &["--since", since, "--count", "2"]).finish(BOUND).await.succeeded();
    assert_eq!(output, "{\"type\":\"dish\",\"table\":2}\n{\"type\":\"dish\",\"table\":3}\n");
    let mut new = listen("third", &["--since", "new", "--count", "1", "--json"]).start();
    let open = new.line(r#""kind":"open""#, BOUND).await;
    assert_eq!(open, json!({ "kind": "open", "url": url }).to_string());
    publish(2).await;
    let (_, output) = new.end(BOUND).await;
    assert!(output.ends_with(r#""message":{"type":"dish","table":2}}"#), "{output}");
    assert!(!output.contains('\u{1b}'), "colours are for terminals");
    let why = listen("fourth", &["--since", "nonsense"]).finish(BOUND).await.failed();
    assert!(why.contains("POSITION"), "{why}");
}
