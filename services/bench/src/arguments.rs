//! The command line: what is measured, and at which size.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::Output;

/// Measures Tidings on this machine.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Benchmark(Benchmark),
    #[command(flatten)]
    Program(Program),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// All benchmarks, with sizes that take about a quarter of an hour together
    All,
    /// The path of an event from its publication to sockets, beside the least that it could cost
    Way(WayOptions),
    /// Handshakes with tokens, and the share of checking signatures
    Connect(ConnectOptions),
    /// The cost of a delivered message beside a bare loop of writes, and the memory of a connection
    Fanout(crate::fanout::Options),
    /// The projector beside a bare relay
    Projector(ProjectorOptions),
    /// Throughput with three replicas of everything beside one, and beside a bare relay on the same servers
    Cluster(ClusterOptions),
    /// Fallbacks that wait, and those that are due all at once
    Dispatcher(crate::dispatcher::Options),
    /// Publishing over HTTP, one by one and in batches, beside publishing to JetStream itself
    Producers(crate::producers::Options),
    /// The cost of absent users, and how fast they get what they missed
    Offline(OfflineOptions),
    /// The same scenes on Tidings and on a Centrifugo that you give, side by side
    Compare(crate::compare::Options),
}

/// Processes that Tidings is compared with; benchmarks start them.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Program {
    /// Serve users from a JetStream consumer each
    #[command(hide = true)]
    Comparison(ComparisonOptions),
    /// Write to sockets in a bare loop
    #[command(hide = true)]
    Limit(crate::limit::Options),
    /// Publish again what comes from EVENTS
    #[command(hide = true)]
    Relay(RelayOptions),
    /// Send what comes from ENVELOPES to all connections
    #[command(hide = true)]
    Sender(SenderOptions),
}

#[derive(Debug, Args)]
pub(crate) struct WayOptions {
    /// Clients that are subscribed to one topic
    #[arg(long, default_value_t = 5_000)]
    pub(crate) receivers: u64,
    /// Events that are published at once, before the next wait until all clients have them
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16])]
    pub(crate) pending: Vec<u64>,
    /// How many times events are published at once, in each round
    #[arg(long, default_value_t = 30)]
    pub(crate) times: u64,
    /// Rounds, in which all setups take turns; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Events in a round with one receiver
    #[arg(long, default_value_t = 500)]
    pub(crate) alone: u64,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 256)]
    pub(crate) body: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectOptions {
    /// Users that connect, in each round
    #[arg(long, default_value_t = 10_000)]
    pub(crate) users: u64,
    /// Users that are connecting at any moment
    #[arg(long, default_value_t = 256)]
    pub(crate) under_way: usize,
    /// How many times they connect; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectorOptions {
    /// Events in each round that become one envelope each
    #[arg(long, default_value_t = 100_000)]
    pub(crate) events: u64,
    /// Bytes of such an event
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Events in each round that go to many addresses
    #[arg(long, default_value_t = 10)]
    pub(crate) broadcasts: u64,
    /// Addresses of each such event
    #[arg(long, default_value_t = 10_000)]
    pub(crate) addresses: u64,
    /// Rounds, in which projector and relay take turns; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds for which events are published at a tenth of the relay's rate
    #[arg(long, default_value_t = 10)]
    pub(crate) paced: u64,
    /// Events that a starting projector finds
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) backlog: u64,
    /// How many times the active projector is killed
    #[arg(long, default_value_t = 5)]
    pub(crate) takeovers: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterOptions {
    /// Events in each round, each of which becomes one envelope
    #[arg(long, default_value_t = 50_000)]
    pub(crate) events: u64,
    /// Bytes of such an event
    #[arg(long, default_value_t = 1_024)]
    pub(crate) bytes: usize,
    /// Rounds, in which all take turns; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

/// A part of `offline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// All users return at once to a restarted gateway
    Returning,
    /// Reading what one user missed, without handshakes
    Reading,
    /// Publishing and live delivery while others are away
    Absent,
    /// Starting a gateway on a long stream
    Start,
}

#[derive(Debug, Args)]
pub(crate) struct OfflineOptions {
    /// Measure only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Users that return
    #[arg(long, default_value_t = 10_000)]
    pub(crate) users: u64,
    /// Envelopes that each of them missed
    #[arg(long, default_value_t = 20)]
    pub(crate) missed: u64,
    /// The number of users with a durable JetStream consumer for the comparison
    #[arg(long, default_value_t = 10_000)]
    pub(crate) durables: u64,
    /// The number of users that return to a JetStream consumer each
    #[arg(long, default_value_t = 100)]
    pub(crate) compared: u64,
    /// One user's missed envelopes lie together in the stream instead of scattered over it
    #[arg(long)]
    pub(crate) together: bool,
    /// Users that are returning at any moment
    #[arg(long, default_value_t = 256)]
    pub(crate) under_way: usize,
    /// Users whose envelopes are read at the same time, without handshakes
    #[arg(long, default_value_t = 64)]
    pub(crate) readers: usize,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 256)]
    pub(crate) body: usize,
    /// How many times fast operations are measured; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Consumers that are away while others are served
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) absent: u64,
    /// Users that are present then
    #[arg(long, default_value_t = 500)]
    pub(crate) present: u64,
    /// Envelopes for absent users
    #[arg(long, default_value_t = 50_000)]
    pub(crate) published: u64,
    /// Envelopes for all present users
    #[arg(long, default_value_t = 10_000)]
    pub(crate) live: u64,
    /// Envelopes that a starting gateway finds
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) envelopes: u64,
    /// Users that they are addressed to
    #[arg(long, default_value_t = 100_000)]
    pub(crate) addresses: u64,
    /// `gateway.hot_tail_bytes`; the gateway's default if it is not given
    #[arg(long)]
    pub(crate) hot_tail: Option<u64>,
}

/// Where a user's envelopes are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// The user's own durable consumer, which exists already
    Durable,
    /// A consumer that is created when the user connects and removed when everything was read
    Fresh,
}

#[derive(Debug, Args)]
pub(crate) struct ComparisonOptions {
    #[arg(long)]
    pub(crate) nats: String,
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_enum)]
    pub(crate) source: Source,
    #[arg(long)]
    pub(crate) missed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RelayOptions {
    #[arg(long)]
    pub(crate) nats: String,
    /// The durable consumer to read EVENTS with
    #[arg(long)]
    pub(crate) consumer: String,
    /// Publish to this many users in turns; without it, to a topic
    #[arg(long)]
    pub(crate) users: Option<u64>,
    /// Publish bodies of this many bytes, one to each of the users for each event, instead of the event once
    #[arg(long, requires = "users")]
    pub(crate) broadcast: Option<usize>,
    /// Write as the projector does: in batches, of which NATS checks the order
    #[arg(long)]
    pub(crate) headers: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SenderOptions {
    #[arg(long)]
    pub(crate) nats: String,
    /// Connections to wait for
    #[arg(long)]
    pub(crate) connections: u64,
}
