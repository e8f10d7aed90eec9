//! The command `tidings`: starts the services, and offers to operators what producers and clients do.

mod arguments;
mod backup;
mod canary;
mod catalogs;
mod check;
mod client;
mod config;
mod connections;
mod consumers;
mod contacts;
mod deliveries;
mod dev;
mod doctor;
mod explain;
mod failure;
mod issuers;
mod keys;
mod known;
mod listen;
mod metrics;
mod open_files;
mod output;
mod preferences;
mod projector;
mod publish;
mod rejected;
mod reload;
mod report;
mod scheduled;
mod send;
mod serve;
mod sources;
mod stores;
mod suggestion;
mod token;
mod types;
mod unsubscribe;
mod users;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};
use self::failure::Failure;
use self::output::ReaderGone;
use self::report::report;

/// One thread sets up a gateway's connections and another keeps them, so short-lived memory lies between long-lived
/// memory. With that pattern, glibc's allocator holds about twice as much as is in use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(failure) if failure.is::<ReaderGone>() => ExitCode::from(READER_GONE),
        Err(failure) => {
            report(&*failure);
            ExitCode::FAILURE
        }
    }
}

/// The exit code that shells use when a program ended because its output was closed (128 and the number of SIGPIPE).
const READER_GONE: u8 = 141;

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let file = arguments.config.as_deref();
    runtime.block_on(async {
        match &arguments.command {
            Command::Dev(options) => Box::pin(dev::run(file, options)).await,
            Command::Gateway => Box::pin(serve::gateway(file)).await,
            Command::Projector(options) => match &options.command {
                None => Box::pin(serve::projector(file)).await,
                Some(command) => Box::pin(projector::run(file, command)).await,
            },
            Command::Dispatcher => Box::pin(serve::dispatcher::run(file)).await,
            Command::Deliveries(command) => Box::pin(deliveries::run(file, command)).await,
            Command::Token(options) => token::run(file, options),
            Command::Types(options) => types::run(file, options),
            Command::Describe(options) => types::describe(file, options),
            Command::Publish(options) => publish::run(file, options).await,
            Command::Listen(options) => listen::run(file, options).await,
            Command::Send(options) => Box::pin(send::run(file, options)).await,
            Command::Consumers(command) => Box::pin(consumers::run(file, command)).await,
            Command::Users(command) => Box::pin(users::run(file, command)).await,
            Command::Preferences(command) => Box::pin(preferences::run(file, command)).await,
            Command::Contacts(command) => Box::pin(contacts::run(file, command)).await,
            Command::Keys(command) => Box::pin(keys::run(file, command)).await,
            Command::Connections(command) => Box::pin(connections::run(file, command)).await,
            Command::Check(options) => Box::pin(check::run(file, options)).await,
            Command::Config(options) => config::run(file, options).await,
            Command::Canary(options) => Box::pin(canary::run(file, options)).await,
            Command::Doctor(options) => Box::pin(doctor::run(file, options)).await,
            Command::Backup(options) => Box::pin(backup::run(file, options)).await,
            Command::Restore(options) => Box::pin(backup::restore(file, options)).await,
            Command::Scheduled(command) => Box::pin(scheduled::run(file, command)).await,
            Command::Explain(options) => Box::pin(explain::run(file, options)).await,
            Command::Rejected(command) => Box::pin(rejected::run(file, command)).await,
        }
    })
}
