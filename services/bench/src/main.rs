//! The benchmarks: how Tidings does beside other ways to do the same.
//!
//! A benchmark starts everything that it measures, each as a process of its own so that its cost
//! can be told apart: nats-server, the real `tidings gateway`, and what it is compared with. Only
//! what was measured in one run on one machine is compared. Nothing here asserts a time; what is
//! asserted is that every client received exactly what it should.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing its figures is what this program is for"
)]

mod affinity;
mod arguments;
mod client;
mod comparison;
mod deployment;
mod fanout;
mod offline;
mod per_user;
mod population;
mod report;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use self::arguments::{Arguments, Command};

/// Why a benchmark ends without figures.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(Arguments::parse().command) => outcome,
            outcome = interrupted() => outcome,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&*failure),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Offline(options) => Box::pin(offline::run(&options)).await,
        Command::Fanout(options) => Box::pin(fanout::run(&options)).await,
        Command::Limit(options) => fanout::limit::serve(&options),
        Command::Comparison(options) => comparison::serve(&options).await,
    }
}

/// Whoever ends a benchmark ends what it has started: the processes end as they are dropped.
async fn interrupted() -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Err("interrupted".into())
}

fn fail(failure: &(dyn std::error::Error + 'static)) -> ExitCode {
    let causes = std::iter::successors(Some(failure), |error| (*error).source());
    let line: Vec<String> = causes.map(ToString::to_string).collect();
    eprintln!("tidings-bench: {}", line.join(": "));
    ExitCode::FAILURE
}
