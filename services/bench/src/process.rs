//! The measured processes: separate ones, because costs are measured by process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::thread::CpuSet;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};

use crate::affinity;
use crate::failure::Failure;

/// How long a process may take to be ready.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// A process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
}

impl Process {
    /// Starts it on these cores, without standard input and output; standard error shows its warnings.
    pub(crate) fn start(mut command: Command, cores: Option<CpuSet>) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::spawn(command, cores)
    }

    /// Starts a server of this program that first prints its address, and may read commands from standard input.
    pub(crate) async fn start_listening(
        mut command: Command,
        cores: Option<CpuSet>,
    ) -> Result<(Self, SocketAddr, ChildStdin), Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self::spawn(command, cores)?;
        let orders = process.child.stdin.take().ok_or("a process has no standard input")?;
        let mut lines =
            BufReader::new(process.child.stdout.take().ok_or("a process has no standard output")?).lines();
        let address = lines.next_line().await?.ok_or("a process does not print its address")?.parse()?;
        Ok((process, address, orders))
    }

    fn spawn(mut command: Command, cores: Option<CpuSet>) -> Result<Self, Failure> {
        command.kill_on_drop(true);
        let child = match cores {
            Some(cores) => affinity::on(&cores, || command.spawn())?,
            None => command.spawn()?,
        };
        let pid = child.id().ok_or("a process has ended immediately")?;
        Ok(Self { child, pid })
    }

    /// Waits until it answers `GET /readyz` with 200.
    async fn is_ready(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let began = Instant::now();
        while !answers(address).await {
            self.check()?;
            if began.elapsed() > PATIENCE {
                return Err(format!("a server was not ready within {PATIENCE:?}").into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Returns an error if it has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("a process ended unexpectedly: {status}").into()),
            None => Ok(()),
        }
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}

/// A server that is ready. Dropping it kills it.
pub(crate) struct Running {
    process: Process,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// The time from its start until it was ready.
    pub(crate) ready_after: Duration,
}

impl Running {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(
        command: Command,
        address: SocketAddr,
        cores: Option<CpuSet>,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let mut process = Process::start(command, cores)?;
        process.is_ready(address).await?;
        Ok(Self { pid: process.pid, process, address, ready_after: began.elapsed() })
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(self) -> Result<(), Failure> {
        self.process.kill().await
    }
}

impl From<Running> for Process {
    fn from(running: Running) -> Self {
        running.process
    }
}

/// A command that runs this program as another server.
pub(crate) fn own(arguments: &[&str]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

/// The path of a program that was built together with this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        let path = path.display();
        return Err(
            format!("{path} is missing; `just bench` builds it, as does `cargo build --release`").into()
        );
    }
    Ok(path)
}

pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Whether `GET /readyz` is answered with 200.
async fn answers(address: SocketAddr) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer == *b"HTTP/1.1 200")
    };
    exchange.await.unwrap_or(false)
}
