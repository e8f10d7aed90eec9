//! The limit: a process that does nothing but write finished frames to its sockets, one after the
//! other. What it takes is what the system takes; a server can only add to it.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use rustix::net::sockopt;
use tidings_protocol::framing::text_with_sequence;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::audience::Audience;
use crate::affinity::{self, Cores};
use crate::population::body;
use crate::usage::Stopwatch;
use crate::{Failure, fanout};

/// What the gateway's sockets have, so that nothing differs but the program.
const SEND_BUFFER: usize = 16 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    connections: u64,
    #[arg(long)]
    body: usize,
}

/// Accepts so many connections, and then writes as many frames to each, in one call, as each line
/// on standard input says.
pub(crate) fn serve(options: &Options) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..options.connections {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
        streams.push(stream);
    }
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

/// The limit as a process, and those who listen to it.
pub(crate) struct Limit {
    _child: Child,
    pid: u32,
    orders: ChildStdin,
    /// `None` while they are listening.
    audience: Option<Audience>,
}

impl Limit {
    pub(crate) async fn start(options: &fanout::Options, cores: &Cores) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["limit", "--connections", &options.connections.to_string()]);
        command.args(["--body", &options.body.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = affinity::on(&cores.measured, || command.spawn())?;
        let pid = child.id().ok_or("the limit has ended at once")?;
        let orders = child.stdin.take().ok_or("the limit takes no orders")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the limit says nothing")?).lines();
        let address: SocketAddr = lines.next_line().await?.ok_or("the limit has no address")?.parse()?;
        let mut audience = Audience::new()?;
        for _ in 0..options.connections {
            audience.add(TcpStream::connect(address)?, &[])?;
        }
        Ok(Self { _child: child, pid, orders, audience: Some(audience) })
    }

    /// Processor time to write to everybody so often.
    pub(crate) async fn deliver(&mut self, pending: u64, writes: u64) -> Result<Duration, Failure> {
        let used = Stopwatch::start(self.pid)?;
        for _ in 0..writes {
            let mut audience = self.audience.take().ok_or("nobody listens to the limit")?;
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
