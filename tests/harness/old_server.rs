//! A nats-server that says it is an old one.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy};
use tokio::net::{TcpListener, TcpStream};

/// A server in front of the real one that says of itself that it has another version.
pub async fn old_server(url: &str) -> String {
    let target = url.trim_start_matches("nats://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move {
                let (reading, mut writing) = server.into_split();
                let (mut reading, mut info) = (BufReader::new(reading), String::new());
                reading.read_line(&mut info).await.unwrap();
                let (head, rest) = info.split_once("\"version\":\"").unwrap();
                let (_, tail) = rest.split_once('"').unwrap();
                let info = format!("{head}\"version\":\"2.10.29\"{tail}");
                let (mut from, mut to) = client.split();
                to.write_all(info.as_bytes()).await.unwrap();
                let _ = tokio::join!(copy(&mut reading, &mut to), copy(&mut from, &mut writing));
            });
        }
    });
    format!("nats://{address}")
}
