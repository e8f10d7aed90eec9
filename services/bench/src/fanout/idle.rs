//! The gateway's memory for an idle connection, by the form in which its client receives.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Options;
use super::scene::{Scene, UNDER_WAY};
use crate::affinity::Cores;
use crate::client::{Connection, all_of};
use crate::deployment::token_in;
use crate::failure::Failure;
use crate::population::user;
use crate::report::{Section, megabytes, number, progress};
use crate::usage::until_idle;

const COLUMNS: &[&str] = &["gateway MB before", "bytes each"];

#[derive(Debug, Clone, Copy)]
enum Form {
    WebSocket,
    EventStream,
    LongPoll,
}

pub(crate) async fn measure(options: &Options, cores: &Cores) -> Result<Section, Failure> {
    let title = format!("Memory of an idle connection, {} of each form", options.idle);
    let mut section = Section::new(title, COLUMNS);
    for (form, name) in [
        (Form::WebSocket, "WebSocket"),
        (Form::EventStream, "event stream"),
        (Form::LongPoll, "request that waits"),
    ] {
        progress(&format!("{} connections open, each a {name}", options.idle));
        let scene = Scene::prepare(options.body, cores).await?;
        let before = scene.memory().await?;
        let address = scene.gateway.address;
        let connections = open_all(form, address, options.idle).await?;
        until_idle(&[scene.gateway.pid]).await?;
        let held = scene.memory().await?;
        drop(connections);
        let each = number(held.saturating_sub(before)) / number(options.idle);
        section.row(name.to_owned(), [Some(megabytes(before)), Some(each)]);
    }
    section
        .note("resident and not from files, in addition to the gateway's memory before the first connection");
    section.note("every connection is authenticated, and has a durable consumer of its own and no topic");
    Ok(section)
}

async fn open_all(form: Form, address: SocketAddr, count: u64) -> Result<Vec<Open>, Failure> {
    let Form::LongPoll = form else {
        return all_of((0..count).collect(), UNDER_WAY, move |index| open(form, address, index)).await;
    };
    // A request that waits is answered with nothing until something comes. So as not to measure a crowd's handshakes, the next
    // ones follow when another client was served behind these.
    let mut connections = Vec::new();
    let users: Vec<_> = (0..count).collect();
    for (number, users) in (count..).zip(users.chunks(UNDER_WAY)) {
        connections.extend(all_of(users.to_vec(), UNDER_WAY, move |index| open(form, address, index)).await?);
        open(Form::EventStream, address, number).await?;
    }
    Ok(connections)
}

/// A WebSocket, or another connection.
type Open = (Option<Connection>, Option<TcpStream>);

/// A connection that is open and has nothing more to receive.
async fn open(form: Form, address: SocketAddr, index: u64) -> Result<Open, Failure> {
    let token = token_in(&user(index), &[])?;
    let (path, until) = match form {
        Form::WebSocket => {
            let mut connection = Connection::open(address, &token).await?;
            connection.catch_up(std::iter::empty()).await?;
            return Ok((Some(connection), None));
        }
        Form::EventStream => ("/api/sse", Some(r#""action":"caught_up""#)),
        // The longest that is permitted.
        Form::LongPoll => ("/api/messages?device=default&wait=55s", None),
    };
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    if let Some(until) = until {
        let (mut text, mut scratch) = (String::new(), [0; 2048]);
        while !text.contains(until) {
            let count = stream.read(&mut scratch).await?;
            if count == 0 {
                return Err(format!("{path} was answered with {text:?}").into());
            }
            text.push_str(&String::from_utf8_lossy(&scratch[..count]));
        }
    }
    Ok((None, Some(stream)))
}
