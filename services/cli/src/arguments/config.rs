//! `tidings config`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    /// Print one line for each key: its value, and whether it comes from the file, a variable or the defaults
    #[arg(long)]
    pub(crate) effective: bool,
    /// Print only those that differ from the defaults
    #[arg(long, requires = "effective")]
    pub(crate) changed: bool,
    /// Print nothing but whether this process would accept the configuration, with its files and catalogs; needs no NATS
    #[arg(
        long,
        value_name = "PROCESS",
        num_args = 0..=1,
        default_missing_value = "gateway",
        conflicts_with_all = ["effective", "changed"]
    )]
    pub(crate) check: Option<Process>,
}

/// A process whose configuration is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Process {
    Gateway,
    Projector,
    Dispatcher,
}
