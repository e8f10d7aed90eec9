//! The benchmarks: Tidings compared with other ways to do the same.
//!
//! A benchmark starts everything that it measures as separate processes, so that their costs can be distinguished:
//! nats-server, the real `tidings projector` and `tidings gateway`, and what they are compared with. Only figures of
//! one run on one machine are compared. No benchmark asserts a time; each asserts that every client received exactly
//! the expected messages.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing its figures is what this program is for"
)]

mod affinity;
mod arguments;
mod audience;
mod client;
mod compare;
mod comparison;
mod connect;
mod deployment;
mod dispatcher;
mod failure;
mod fanout;
mod limit;
mod offline;
mod per_user;
mod population;
mod process;
mod producers;
mod projector;
mod relay;
mod report;
mod sender;
mod usage;
mod way;

use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use self::arguments::{Arguments, Benchmark, Command, Program};
use self::failure::{Failure, fail};
use self::report::{Report, progress};

fn main() -> ExitCode {
    let Arguments { output, command } = Arguments::parse();
    let outcome = match command {
        Command::Benchmark(benchmark) => on_runtime(async {
            let mut report = Report::new(output);
            let outcome = run(benchmark, &mut report).await;
            // Figures from before a failure are still written.
            report.finish()?;
            outcome
        }),
        Command::Program(Program::Comparison(options)) => on_runtime(comparison::serve(&options)),
        Command::Program(Program::Limit(options)) => limit::serve(&options),
        Command::Program(Program::Relay(options)) => on_runtime(relay::run(&options)),
        Command::Program(Program::Sender(options)) => on_runtime(sender::serve(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&*failure),
    }
}

/// Runs until it is done or interrupted.
fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    allow_many_sockets()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let work = Box::pin(work);
    runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            outcome = interrupted() => outcome,
        }
    })
}

/// Lets this process and those that it starts open as many files as the system allows.
fn allow_many_sockets() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

/// The benchmarks of `all`, with sizes at which none takes longer than a few minutes. Those that reserve a core come
/// last, because they do not release it.
const ALL: [&str; 8] = [
    "way --rounds 3",
    "producers --rounds 3",
    "connect --rounds 1",
    "projector --events 50000 --backlog 200000 --paced 5 --takeovers 3",
    "dispatcher --pending 50000 --due 20000",
    "cluster --events 30000 --rounds 3",
    "offline --users 5000 --durables 2000 --compared 50 --rounds 3 \
     --absent 200000 --published 20000 --live 5000 --envelopes 300000 --addresses 30000",
    "fanout --rounds 3 --held 10000 --crowds 1000,5000 --delivered 200000",
];

async fn run(benchmark: Benchmark, report: &mut Report) -> Result<(), Failure> {
    match benchmark {
        Benchmark::All => {
            for line in ALL {
                progress(&format!("\n{line}"));
                let words = std::iter::once("tidings-bench").chain(line.split_whitespace());
                if let Command::Benchmark(one) = Arguments::try_parse_from(words)?.command {
                    Box::pin(run(one, report)).await?;
                }
            }
            Ok(())
        }
        Benchmark::Way(options) => Box::pin(way::run(&options, report)).await,
        Benchmark::Connect(options) => Box::pin(connect::run(&options, report)).await,
        Benchmark::Fanout(options) => Box::pin(fanout::run(&options, report)).await,
        Benchmark::Projector(options) => Box::pin(projector::run(&options, report)).await,
        Benchmark::Cluster(options) => Box::pin(projector::replicas(&options, report)).await,
        Benchmark::Compare(options) => Box::pin(compare::run(&options, report)).await,
        Benchmark::Dispatcher(options) => Box::pin(dispatcher::run(&options, report)).await,
        Benchmark::Producers(options) => Box::pin(producers::run(&options, report)).await,
        Benchmark::Offline(options) => Box::pin(offline::run(&options, report)).await,
    }
}

/// Interrupting a benchmark ends all that it started: processes end when they are dropped.
async fn interrupted() -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Err("interrupted".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_consists_of_benchmarks_with_sizes_that_they_have() {
        for line in ALL {
            let words = std::iter::once("tidings-bench").chain(line.split_whitespace());
            let command = Arguments::try_parse_from(words).unwrap().command;
            assert!(matches!(command, Command::Benchmark(_)), "{line}");
        }
    }
}
