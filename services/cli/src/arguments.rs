//! The command line.
#![allow(rustdoc::invalid_html_tags, reason = "these texts are written for a terminal")]

mod backup;
mod canary;
mod client;
mod config;
mod consumers;
mod contacts;
mod deliveries;
mod doctor;
mod explain;
mod keys;
mod list;
mod preferences;
mod projector;
mod rejected;
mod scheduled;
mod users;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use backup::{BackupOptions, RestoreOptions};
pub(crate) use canary::CanaryOptions;
pub(crate) use client::{ConnectOptions, ListenOptions, SendOptions};
pub(crate) use config::{ConfigOptions, Process};
pub(crate) use consumers::{ConsumerCommand, ConsumerSelector};
pub(crate) use contacts::ContactCommand;
pub(crate) use deliveries::{DeliveriesCommand, DeliveriesSelection};
pub(crate) use doctor::{DoctorOptions, RoleName};
pub(crate) use explain::ExplainOptions;
pub(crate) use keys::{KeyCommand, NewKey};
pub(crate) use list::{ListOptions, Scope};
pub(crate) use preferences::{PreferenceChanges, PreferencesCommand};
pub(crate) use projector::{MoveOptions, ProjectorCommand, ProjectorOptions, RebuildOptions};
pub(crate) use rejected::{RejectedCommand, RejectedFilter, RejectedSelection};
pub(crate) use scheduled::ScheduledCommand;
pub(crate) use users::{Grounds, UserCommand, UserSelector};

/// Environment variables of the command that are not part of the configuration.
pub(crate) const OWN_VARIABLES: [&str; 3] = ["TIDINGS_CONFIG", "TIDINGS_TOKEN", "TIDINGS_NATS_SERVER"];

const AFTER_HELP: &str = "\
Configuration: one TOML file, and environment variables over it. A key such as `listen` in
section [gateway] is the variable TIDINGS_GATEWAY__LISTEN (two underscores between section and
key). All of it is checked before anything starts, and every mistake is named. `tidings config`
prints every key with its meaning and value.";

#[derive(Debug, Parser)]
#[command(name = "tidings", version, after_help = AFTER_HELP, max_term_width = 100)]
/// Event-sourced notifications on NATS JetStream: events in, messages to browsers out.
pub(crate) struct Arguments {
    /// The configuration file [default: tidings.toml in this folder, if there is one]
    #[arg(long, global = true, env = "TIDINGS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine: a nats-server of its own, projector and gateway
    #[command(after_long_help = "Examples:\n  tidings dev --data /tmp/tidings\n  tidings dev --nodes 3")]
    Dev(DevOptions),
    /// Start a gateway: WebSockets for clients
    #[command(after_long_help = "Example:\n  tidings gateway --config /etc/tidings/tidings.toml")]
    Gateway,
    /// Start a projector: events in, messages out; or rebuild, move and list tenants
    #[command(after_long_help = "Example:\n  tidings projector --config /etc/tidings/tidings.toml")]
    Projector(ProjectorOptions),
    /// Start a dispatcher: sends what no device has received by then, by webhooks and other channels
    #[command(after_long_help = "Example:\n  tidings dispatcher --config /etc/tidings/tidings.toml")]
    Dispatcher,
    /// Print a token, signed with the configured secret or with that of tidings dev
    #[command(
        after_long_help = "Example:\n  export TIDINGS_TOKEN=$(tidings token --tenant ops --sub ada --role sre)"
    )]
    Token(TokenOptions),
    /// Publish an event as a CloudEvent, and wait until the projector has projected it
    #[command(
        after_long_help = "Examples:\n  tidings publish --tenant ops incident.created --data @incident.json\n  \
        echo '{\"id\":\"m1\"}' | tidings publish --tenant ops metric.updated --data -"
    )]
    Publish(PublishOptions),
    /// Connect to a gateway and print one message per line; connects again when the connection is lost
    #[command(after_long_help = "Example:\n  tidings listen --topic incidents --filter squad=platform")]
    Listen(ListenOptions),
    /// Connect to a gateway as a client, send messages, and print the answers and what else comes
    #[command(
        after_long_help = "Examples:\n  tidings send '{\"action\":\"ping\"}'\n  tidings send '{\"action\":\"progress\",\"docId\":\"d1\"}'\n  \
        tidings send --stay 1m '{\"action\":\"subscribe\",\"topics\":[\"incidents\"]}'\n  tidings send - < messages.jsonl"
    )]
    Send(SendOptions),
    /// List, show, reset and remove consumers: how far each device of a user has read
    #[command(subcommand, after_long_help = "Example:\n  tidings consumers ls --tenant ops --user ada")]
    Consumers(ConsumerCommand),
    /// Disable, enable and purge users, and revoke their tokens
    #[command(
        subcommand,
        after_long_help = "Example:\n  tidings users disable --tenant ops --user ada --reason 'has left'"
    )]
    Users(UserCommand),
    /// Show and change what a user wants to be told by which channel, and when not
    #[command(
        subcommand,
        after_long_help = "Example:\n  tidings preferences set --tenant ops --user ada --off notification/email"
    )]
    Preferences(PreferencesCommand),
    /// Show, set and forget where users are reached who are not connected
    #[command(subcommand, after_long_help = "Example:\n  tidings contacts show --tenant ops --user ada")]
    Contacts(ContactCommand),
    /// Make, list and revoke API keys of programs that publish events over HTTP
    #[command(
        subcommand,
        after_long_help = "Example:\n  tidings keys create --tenant ops --event 'incident.*'"
    )]
    Keys(KeyCommand),
    /// List, show, retry and drop events that could not be projected
    #[command(subcommand, after_long_help = "Example:\n  tidings rejected ls --reason schema-violation")]
    Rejected(RejectedCommand),
    /// Say what became of an event for a user: where it is stored, who was meant, where it ended
    #[command(after_long_help = "Example:\n  tidings explain --tenant ops --user ada --event inc-1")]
    Explain(ExplainOptions),
    /// List and cancel events that are delivered later
    #[command(subcommand, after_long_help = "Example:\n  tidings scheduled ls --tenant ops")]
    Scheduled(ScheduledCommand),
    /// List, show and retry deliveries: what the dispatcher has sent, skipped, or keeps until it is due
    #[command(subcommand, after_long_help = "Example:\n  tidings deliveries ls --tenant ops --user ada")]
    Deliveries(DeliveriesCommand),
    /// Save everything that Tidings has in NATS into a folder, while it runs
    #[command(
        after_long_help = "Examples:\n  tidings backup /var/backups/tidings-monday\n  tidings backup --check /var/backups/tidings-monday"
    )]
    Backup(BackupOptions),
    /// Put a backup into an empty NATS; stop gateways and projectors first
    #[command(
        after_long_help = "Examples:\n  tidings restore /var/backups/tidings-monday\n  tidings restore /var/backups/tidings-monday --until 2026-01-17T10:30:00Z"
    )]
    Restore(RestoreOptions),
    /// Check catalogs, schemas and examples, and whether they are backward compatible
    #[command(after_long_help = "Examples:\n  tidings check\n  \
        git worktree add /tmp/main main && tidings check --against /tmp/main/schemas")]
    Check(CheckOptions),
    /// Print types for clients or producers, made from a tenant's catalog: a wrong topic or member does not compile
    #[command(
        after_long_help = "Examples:\n  tidings types --tenant ops --lang ts > src/ops.ts\n  tidings types --tenant uploads --lang ts --for producer > src/uploads.ts\n  tidings types --tenant uploads --lang python > uploads.py"
    )]
    Types(TypesOptions),
    /// Print what passes between gateways and a tenant's clients: the document that gateways serve as asyncapi.json
    #[command(after_long_help = "Example:\n  tidings describe --tenant ops > ops.asyncapi.json")]
    Describe(DescribeOptions),
    /// List and close connections
    #[command(subcommand, after_long_help = "Example:\n  tidings connections ls --tenant ops --user ada")]
    Connections(ConnectionCommand),
    /// Print the configuration with every key, its meaning and its value
    #[command(
        after_long_help = "Examples:\n  tidings config > tidings.toml\n  tidings config --effective --changed\n  tidings config --check"
    )]
    Config(ConfigOptions),
    /// Look at a deployment, and say what is wrong with it, what that means and what to do; changes nothing
    #[command(
        after_long_help = "Examples:\n  tidings doctor --url wss://example.com/api/ws\n  tidings doctor --json --monitor http://nats-1:8222\n\nExit codes: 0 nothing is wrong, 3 warnings only, 1 errors."
    )]
    Doctor(DoctorOptions),
    /// Send an event for each tenant every few seconds, receive what becomes of it, and serve how long that takes
    #[command(
        after_long_help = "Example:\n  tidings canary --tenant ops --tenant shelter --url wss://example.com/api/ws"
    )]
    Canary(CanaryOptions),
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Succeed even if changes break clients or producers
    #[arg(long)]
    pub(crate) allow_breaking: bool,
    /// Compare with the catalogs in this folder, such as those of another commit; needs no NATS
    #[arg(long, value_name = "FOLDER")]
    pub(crate) against: Option<PathBuf>,
    /// If the check succeeds, compare with these catalogs from now on
    #[arg(long, conflicts_with_all = ["against", "offline"])]
    pub(crate) accept: bool,
    /// Compare with nothing; needs no NATS
    #[arg(long, conflicts_with = "against")]
    pub(crate) offline: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionCommand {
    /// List connections, as all gateways report them
    #[command(after_long_help = "Example:\n  tidings connections ls --tenant ops --json")]
    Ls(ListOptions),
    /// Close a connection, or all connections of a user; the client may connect again
    #[command(group = clap::ArgGroup::new("which").required(true))]
    #[command(after_long_help = "Example:\n  tidings connections close --tenant ops --user ada")]
    Close {
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// All of this user's
        #[arg(long, group = "which")]
        user: Option<String>,
        /// This one, as ls shows it
        #[arg(long, group = "which")]
        id: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DevOptions {
    /// Where the nats-server keeps its data
    #[arg(long, value_name = "FOLDER", default_value = ".tidings/nats")]
    pub(crate) data: PathBuf,
    /// How many nats-servers; with three, two gateways and two projectors for each shard besides
    #[arg(long, value_enum, default_value_t = Nodes::One)]
    pub(crate) nodes: Nodes,
}

/// How many nats-servers `tidings dev` starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nodes {
    #[value(name = "1")]
    One,
    #[value(name = "3")]
    Three,
}

#[derive(Debug, Args)]
pub(crate) struct TokenOptions {
    /// The tenant: cnc, documents, ops, shelter, uploads, or one of your own
    #[arg(long)]
    pub(crate) tenant: String,
    /// The user (claim sub)
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) sub: String,
    /// A role (claim role); may be given several times
    #[arg(long)]
    pub(crate) role: Vec<String>,
    /// Another claim, such as orgId=o1; may be given several times, and repeating a name makes a list
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) claim: Vec<String>,
    /// How long the token is valid
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = humantime::parse_duration)]
    pub(crate) expires_in: std::time::Duration,
}

#[derive(Debug, Args)]
pub(crate) struct TypesOptions {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// The language
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Who uses them: by default clients for TypeScript, producers for the others
    #[arg(long = "for", value_enum)]
    pub(crate) role: Option<Role>,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeOptions {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
}

/// A language for which types are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// TypeScript, for the packages @tidings/client and tidings-producer
    Ts,
    /// Python, for the package tidings-producer
    Python,
    /// Rust, for the crate tidings-producer
    Rust,
}

/// What uses the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// What receives messages
    Client,
    /// What publishes events
    Producer,
}

#[derive(Debug, Args)]
pub(crate) struct PublishOptions {
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: String,
    /// What happened: <entity>.<action>, such as incident.created
    #[arg(value_name = "EVENT")]
    pub(crate) event: String,
    /// The event's data: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(crate) data: String,
    /// The event's id; a repetition with the same id counts once
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Where the event comes from (CloudEvents source)
    #[arg(long, default_value = "tidings-cli")]
    pub(crate) source: String,
    /// What the event is about (CloudEvents subject)
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// When it happened, RFC 3339 [default: now]
    #[arg(long)]
    pub(crate) time: Option<String>,
    /// When it is to be delivered, RFC 3339; until then, the same event and id replaces it [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// After which time it is to be delivered, such as 90s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "at")]
    pub(crate) delay: Option<std::time::Duration>,
    /// Publish also what the projector will reject, and wait for its result
    #[arg(long)]
    pub(crate) unchecked: bool,
    /// Return as soon as the event is stored; neither check it nor wait for the projector
    #[arg(long, conflicts_with = "unchecked")]
    pub(crate) no_wait: bool,
}
