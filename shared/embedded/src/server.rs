//! A nats-server with JetStream on a folder and a port.
//!
//! The server itself chooses a free port and writes it into its ports file, so no port is guessed. The file's name
//! contains the process id, so another server on the expected port is never mistaken for the child. nats-server
//! enables JetStream, with all its streams recovered, before it accepts clients.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::Process;
use crate::{Binary, Error, Options, Places};

const CONFIG_FILE: &str = "nats-server.conf";
const LOG_FILE: &str = "nats-server.log";
const LOCK_FILE: &str = "lock";
/// The folder that nats-server creates in its store folder.
const STORE: &str = "jetstream";

/// The number of log lines in an error.
const LOG_LINES: usize = 8;
/// The longest first line of a server to a client; 2.15 sends about 500 bytes.
const LONGEST_INFO: u64 = 64 * 1024;
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A nats-server child process. Dropping it kills the process and blocks for the milliseconds that this takes.
#[derive(Debug)]
pub struct NatsServer {
    // Declared first, so that the process is gone before the lock on its folder is.
    process: Option<Process>,
    options: Options,
    binary: Binary,
    port: u16,
    url: String,
    /// Where the log of the current process begins; earlier processes wrote what is before.
    log_start: u64,
    _lock: FolderLock,
}

impl NatsServer {
    /// Starts a server and waits until it serves JetStream.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let folder = &options.folder;
        fs::create_dir_all(folder).map_err(file_error("create", folder))?;
        // nats-server resolves relative paths in its own way; an absolute path is unambiguous.
        let folder = folder.canonicalize().map_err(file_error("open", folder))?;
        let options = Options { folder, ..options };
        let lock = FolderLock::take(&options.folder)?;
        let log = options.folder.join(LOG_FILE);
        File::create(&log).map_err(file_error("write", &log))?;
        write_config(&options)?;

        let binary = find_binary(options.binary.clone()).await?;
        let mut server =
            Self { process: None, binary, port: 0, url: String::new(), log_start: 0, options, _lock: lock };
        server.launch(server.options.port).await?;
        Ok(server)
    }

    /// The address for clients, such as `nats://127.0.0.1:4222`; the same after [`Self::restart`].
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port for clients, on 127.0.0.1; the same after [`Self::restart`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, or `None` after [`Self::stop`] and [`Self::kill`].
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The folder with the server's data, configuration and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// The log file. A restart appends to it, a new start truncates it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.options.folder.join(LOG_FILE)
    }

    /// The binary that runs, with its version.
    #[must_use]
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Stops the server with its regular signal and waits until it has ended. Does nothing if it does not run.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        process.signal(Signal::TERM).map_err(process_error("stop"))?;
        let within = self.options.stop_within;
        // On a timeout, dropping the process kills it.
        timeout(within, process.ended()).await.map(drop).map_err(|_elapsed| Error::Stuck { within })
    }

    /// Kills the server (SIGKILL), as a crash would, and waits until it has ended. Does nothing if it does not run.
    pub async fn kill(&mut self) -> Result<(), Error> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        process.kill().map_err(process_error("kill"))?;
        process.ended().await;
        Ok(())
    }

    /// Starts the server again on the same port and data, after stopping it if it runs.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.launch(Some(self.port)).await
    }

    /// Stops the server and removes all JetStream data, as a lost volume would; the server does not run afterwards.
    pub async fn wipe(&mut self) -> Result<(), Error> {
        self.stop().await?;
        let store = self.options.folder.join(STORE);
        match fs::remove_dir_all(&store) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error("remove", &store)(error)),
            _ => Ok(()),
        }
    }

    /// Freezes the server (SIGSTOP): its connections stay open, and it does not answer. Does nothing if it does not
    /// run.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP, "pause")
    }

    /// Resumes a paused server (SIGCONT).
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT, "resume")
    }

    fn signal(&self, signal: Signal, action: &'static str) -> Result<(), Error> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal)).map_err(process_error(action))
    }

    /// Completes when the server ends without [`Self::stop`] or [`Self::kill`], with the reason. Never completes after these.
    pub async fn exited(&self) -> Error {
        match &self.process {
            Some(process) => {
                let status = process.ended().await;
                self.exit_error(status)
            }
            None => std::future::pending().await,
        }
    }

    /// Starts the process and waits until it serves JetStream. On failure, no process is left running.
    async fn launch(&mut self, port: Option<u16>) -> Result<(), Error> {
        self.remove_ports_files()?;
        let log = self.log();
        self.log_start = fs::metadata(&log).map_err(file_error("read", &log))?.len();
        let process = Process::spawn(self.command(port)?).await.map_err(process_error("start"))?;

        let within = self.options.start_within;
        let outcome = timeout(within, async {
            tokio::select! {
                status = process.ended() => Err(self.exit_error(status)),
                port = self.serving_port(process.pid()) => Ok(port),
            }
        })
        .await;
        self.port = outcome.map_err(|_elapsed| Error::NotReady {
            within,
            path: self.log(),
            log: self.log_tail(),
        })??;
        self.url = format!("nats://127.0.0.1:{}", self.port);
        self.process = Some(process);
        Ok(())
    }

    fn command(&self, port: Option<u16>) -> Result<Command, Error> {
        let log = self.log();
        let output = OpenOptions::new().append(true).open(&log).map_err(file_error("write", &log))?;
        let errors = output.try_clone().map_err(file_error("write", &log))?;
        let folder = &self.options.folder;
        let mut command = Command::new(&self.binary.path);
        // Arguments take precedence over the configuration file and need no quoting.
        command
            .arg("--config")
            .arg(folder.join(CONFIG_FILE))
            .args(["--addr", "127.0.0.1", "--port"])
            .arg(port.map_or_else(|| "-1".into(), |port| port.to_string()))
            .arg("--jetstream")
            .arg("--store_dir")
            .arg(folder)
            .arg("--ports_file_dir")
            .arg(folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        Ok(command)
    }

    /// Removes ports files of killed servers: a process id may be reused.
    fn remove_ports_files(&self) -> Result<(), Error> {
        let folder = &self.options.folder;
        for entry in fs::read_dir(folder).map_err(file_error("read", folder))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "ports") {
                fs::remove_file(&path).map_err(file_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Waits until the process serves JetStream, and returns its port.
    async fn serving_port(&self, pid: u32) -> u16 {
        loop {
            if let Some(port) = port_of(&self.options.folder, pid)
                && serves_jetstream(port).await
            {
                return port;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn exit_error(&self, status: Option<ExitStatus>) -> Error {
        let log = self.log_tail();
        // The requested port, or that of an earlier start; 0 before either.
        let port = self.options.port.unwrap_or(self.port);
        if port != 0 && log.contains("address already in use") {
            return Error::PortBusy { port };
        }
        let status = status.map_or_else(|| "status unknown".into(), |status| status.to_string());
        Error::Exited { status, path: self.log(), log }
    }

    /// The last lines of the current process's log.
    pub(crate) fn log_tail(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(self.log()).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_start))?;
            file.read_to_end(&mut bytes)
        });
        if let Err(error) = read {
            return format!("(cannot be read: {error})");
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

async fn find_binary(chosen: Option<PathBuf>) -> Result<Binary, Error> {
    let search = tokio::task::spawn_blocking(move || match chosen {
        Some(path) => Binary::at(&path),
        None => Binary::find(&Places::of_this_process()),
    });
    search.await.map_err(io::Error::other).map_err(process_error("find"))?
}

/// The operating system releases the lock also when the process is killed.
#[derive(Debug)]
struct FolderLock(File);

impl FolderLock {
    fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK_FILE);
        let file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(file_error("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(file_error("lock", &path)(source)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file alone would leave the lock with a child process that has not yet reached its exec.
        _ = self.0.unlock();
    }
}

fn write_config(options: &Options) -> Result<(), Error> {
    let path = options.folder.join(CONFIG_FILE);
    let mut text = String::from(
        "# Rewritten at each start. Address, port and data folder are arguments of the process.\n",
    );
    for lines in &options.config {
        text.push_str(lines);
        text.push('\n');
    }
    fs::write(&path, text).map_err(file_error("write", &path))
}

/// The port in the ports file of this process: `{"nats":["nats://127.0.0.1:4222"]}`. `None` until it is complete.
fn port_of(folder: &Path, pid: u32) -> Option<u16> {
    let suffix = format!("_{pid}.ports");
    let entry = fs::read_dir(folder)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().ends_with(&suffix))?;
    let ports: Value = serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok()
}

/// Whether the server reports JetStream in the `INFO` line that it sends to every client before authentication.
async fn serves_jetstream(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut line = String::new();
        BufReader::new(stream.take(LONGEST_INFO)).read_line(&mut line).await?;
        io::Result::Ok(line)
    };
    greeting.await.is_ok_and(|line| {
        let info = line.strip_prefix("INFO ").and_then(|json| serde_json::from_str::<Value>(json).ok());
        info.is_some_and(|info| info["jetstream"] == true)
    })
}

pub(crate) fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { action, path: path.to_owned(), source }
}

fn process_error(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Process { action, source }
}
