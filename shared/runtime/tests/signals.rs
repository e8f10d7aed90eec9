//! Signals reach a process as a whole, so this is a test binary with one test.

use std::time::Duration;

use rustix::process::{self, Signal as Kind};
use tidings_runtime::shutdown::{Shutdown, Signal};
use tokio::time::timeout;

const HANGS: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_first_signal_shuts_down_and_the_second_is_returned() {
    let shutdown = Shutdown::new();
    let second = tokio::spawn(shutdown.on_signals().unwrap());

    process::kill_process(process::getpid(), Kind::TERM).unwrap();
    timeout(HANGS, shutdown.triggered()).await.unwrap();
    assert!(!second.is_finished());

    process::kill_process(process::getpid(), Kind::INT).unwrap();
    let signal = timeout(HANGS, second).await.unwrap().unwrap();
    assert_eq!(signal, Signal::Interrupt);
    assert_eq!(signal.exit_code(), 130);
    assert_eq!(Signal::Terminate.exit_code(), 143);
}
