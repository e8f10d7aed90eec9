//! What can be measured, and how large.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures Tidings on this machine.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What it costs that users are away, and how fast they get what they missed
    Offline(OfflineOptions),
    /// What a delivered message costs beside a bare loop of writes, and what a connection holds
    Fanout(crate::fanout::Options),
    /// Write to sockets in a bare loop, for the gateway to be compared with
    #[command(hide = true)]
    Limit(crate::fanout::limit::Options),
    /// Serve users from a JetStream consumer each, for the other benchmarks to compare with
    #[command(hide = true)]
    Comparison(ComparisonOptions),
}

/// A part of `offline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Everybody returns at once to a restarted gateway
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
    /// Users who return
    #[arg(long, default_value_t = 10_000)]
    pub(crate) users: u64,
    /// Envelopes that each of them missed
    #[arg(long, default_value_t = 20)]
    pub(crate) missed: u64,
    /// Of the users, how many have a durable JetStream consumer for the comparison
    #[arg(long, default_value_t = 10_000)]
    pub(crate) durables: u64,
    /// Of the users, how many return to a JetStream consumer each
    #[arg(long, default_value_t = 100)]
    pub(crate) compared: u64,
    /// What one user missed lies together in the stream instead of scattered over it
    #[arg(long)]
    pub(crate) together: bool,
    /// Users who are on their way back at any moment
    #[arg(long, default_value_t = 256)]
    pub(crate) under_way: usize,
    /// Users whose envelopes are read at the same time, without handshakes
    #[arg(long, default_value_t = 64)]
    pub(crate) readers: usize,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 256)]
    pub(crate) body: usize,
    /// How often what is quick is measured; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Consumers that are away while others are served
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) absent: u64,
    /// Users who are present then
    #[arg(long, default_value_t = 500)]
    pub(crate) present: u64,
    /// Envelopes for those who are away
    #[arg(long, default_value_t = 50_000)]
    pub(crate) published: u64,
    /// Envelopes for all who are present
    #[arg(long, default_value_t = 10_000)]
    pub(crate) live: u64,
    /// Envelopes that a starting gateway finds
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) envelopes: u64,
    /// Users whom they are for
    #[arg(long, default_value_t = 100_000)]
    pub(crate) addresses: u64,
    /// `gateway.hot_tail_bytes`; the gateway's default if it is not given
    #[arg(long)]
    pub(crate) hot_tail: Option<u64>,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Where a user's envelopes are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// The user's own durable consumer, which is there already
    Durable,
    /// A consumer that is made when the user comes and removed when everything was read
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
