//! The limit: a process that only writes finished frames to its sockets, one after the other. Its cost is the
//! system's cost; a server can only add to it.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use clap::Args;
use rustix::net::sockopt;
use rustix::thread::CpuSet;
use tidings_protocol::framing::text_with_sequence;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use crate::audience::Audience;
use crate::failure::Failure;
use crate::population::body;
use crate::process::{Process, own};
use crate::usage::Stopwatch;

/// The same size as for the gateway's sockets, so that only the program differs.
const SEND_BUFFER: usize = 16 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    connections: u64,
    #[arg(long)]
    body: usize,
}

/// Accepts connections, and then writes as many frames to each, in one call, as each line on standard input requests.
pub(crate) fn serve(options: &Options) -> Result<(), Failure> {
    let mut streams = accept(options.connections)?;
    let body = body(options.body);
    let mut sequences = 1u64..;
    for line in std::io::stdin().lock().lines() {
        let pending: usize = line?.parse()?;
        let mut frames = Vec::new();
        for sequence in sequences.by_ref().take(pending) {
            frames.extend_from_slice(&text_with_sequence(sequence, &format!("event-{sequence}"), &body)?);
        }
        for stream in &mut streams {
            stream.write_all(&frames)?;
        }
    }
    Ok(())
}

/// Prints its address on standard output, and waits for this many connections.
pub(crate) fn accept(connections: u64) -> Result<Vec<TcpStream>, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
        streams.push(stream);
    }
    Ok(streams)
}

/// The limit as a process, and its audience.
pub(crate) struct Limit {
    process: Process,
    orders: ChildStdin,
    /// `None` while the audience is receiving.
    audience: Option<Audience>,
}

impl Limit {
    pub(crate) async fn start(connections: u64, body: usize, cores: Option<CpuSet>) -> Result<Self, Failure> {
        let (count, body) = (connections.to_string(), body.to_string());
        let command = own(&["limit", "--connections", &count, "--body", &body])?;
        let (process, address, orders) = Process::start_listening(command, cores).await?;
        let audience = Audience::connect(address, connections)?;
        Ok(Self { process, orders, audience: Some(audience) })
    }

    /// Returns the processor time for writing to all connections this many times.
    pub(crate) async fn deliver(&mut self, pending: u64, writes: u64) -> Result<Duration, Failure> {
        let used = Stopwatch::start(self.process.pid)?;
        for _ in 0..writes {
            let mut audience = self.audience.take().ok_or("the limit has no audience")?;
            let hearing = tokio::task::spawn_blocking(move || {
                audience.hear(pending)?;
                Ok::<_, Failure>(audience)
            });
            self.orders.write_all(format!("{pending}\n").as_bytes()).await?;
            self.audience = Some(hearing.await??);
        }
        used.read()
    }
}
