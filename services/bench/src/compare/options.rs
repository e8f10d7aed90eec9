//! What is compared, and at which size. The sizes fit two cores and some minutes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A scene of `compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Memory of a connection that is idle
    Memory,
    /// An event for many receivers
    Fanout,
    /// An event for one receiver
    Alone,
    /// Events for one of many users each
    Personal,
    /// The first connect and subscribe of a device
    Arrive,
    /// All come back at once, each with messages missed
    Storm,
    /// Some never read
    Slow,
    /// The process that clients are connected to is killed
    Kill,
}

impl Part {
    pub(crate) const ALL: [Self; 8] = [
        Self::Memory,
        Self::Fanout,
        Self::Alone,
        Self::Personal,
        Self::Arrive,
        Self::Storm,
        Self::Slow,
        Self::Kill,
    ];
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The program that Tidings is compared with, Centrifugo 6; without it, its columns are empty
    #[arg(long, value_name = "PATH")]
    pub(crate) centrifugo: Option<PathBuf>,
    /// Play only these scenes
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// Rounds, in which both take turns; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,
    /// Connections that are idle, that receive the same event, and devices that connect for the first time
    #[arg(long, default_value_t = 2_000)]
    pub(crate) connections: u64,
    /// Events for all of these, one after the other, in each round
    #[arg(long, default_value_t = 30)]
    pub(crate) events: u64,
    /// Events for one receiver, 50 a second, in each round
    #[arg(long, default_value_t = 250)]
    pub(crate) alone: u64,
    /// Users who receive messages of their own
    #[arg(long, default_value_t = 5_000)]
    pub(crate) users: u64,
    /// Such messages a second
    #[arg(long, default_value_t = 1_000)]
    pub(crate) rate: u64,
    /// Seconds for which they are published, in each round
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Users who come back at once
    #[arg(long, default_value_t = 2_000)]
    pub(crate) returning: u64,
    /// Messages that each of them missed
    #[arg(long, default_value_t = 5)]
    pub(crate) missed: u64,
    /// Devices that are connecting at any moment
    #[arg(long, default_value_t = 64)]
    pub(crate) under_way: usize,
    /// Connections beside which one in ten never reads
    #[arg(long, default_value_t = 100)]
    pub(crate) readers: u64,
    /// Messages that those leave unread, before they read after all
    #[arg(long, default_value_t = 16_000)]
    pub(crate) unread: u64,
    /// Connections of the process that is killed
    #[arg(long, default_value_t = 200)]
    pub(crate) survivors: u64,
    /// Messages to each of them, 100 a second, a third of them before the kill
    #[arg(long, default_value_t = 300)]
    pub(crate) through: u64,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 256)]
    pub(crate) body: usize,
}
