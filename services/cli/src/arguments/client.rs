//! The command lines of `tidings listen` and `tidings send`: clients of a gateway.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Where and as whom a client connects.
#[derive(Debug, Args)]
pub(crate) struct ConnectOptions {
    /// A token, as tidings token prints it
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// The gateway, ws:// or wss:// [default: the address in gateway.listen, wss:// where it speaks TLS]
    #[arg(long, value_name = "ws://HOST:PORT/api/ws")]
    pub(crate) url: Option<String>,
    /// Certificates to trust for wss://, PEM [default: the system's root certificates]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListenOptions {
    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
    /// A topic to subscribe to; may be given several times
    #[arg(long)]
    pub(crate) topic: Vec<String>,
    /// Receive only messages with this attribute; the same name several times means any of the values
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) filter: Vec<String>,
    /// The name of this device [default: the token's claim sid, else default]
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Begin behind this position, such as 18f3a0c2b41-42, or with what comes from now on; what the device has missed up to
    /// there counts as received [default: where the device is]
    #[arg(long, value_name = "POSITION|new")]
    pub(crate) since: Option<String>,
    /// Print messages with their `seq` and `id`, and control messages
    #[arg(long)]
    pub(crate) sequenced: bool,
    /// Print all that happens, as one JSON object per line: each message with its position, gaps, connections and waits
    #[arg(long, conflicts_with = "sequenced")]
    pub(crate) json: bool,
    /// End after this many messages
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct SendOptions {
    /// Messages, one after the other: JSON objects, @FILE, or - for one in each line of standard input
    #[arg(required = true, value_name = "JSON|@FILE|-")]
    pub(crate) message: Vec<String>,
    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
    /// The name of this device; what it has missed is printed, too, and counts as received [default: tidings-send, without what it has missed]
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// How long each answer may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) within: Duration,
    /// How long to print what comes, after the last answer
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) stay: Duration,
}
