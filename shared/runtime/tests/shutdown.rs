//! Tasks end together, and what does not end as it should is named. Time is paused: no test waits.

use std::future::pending;
use std::time::Duration;

use tidings_runtime::shutdown::{Shutdown, Unclean};
use tokio::time::{Instant, timeout};

/// Fails a test that hangs; nothing waits this long.
const HANGS: Duration = Duration::from_secs(60);
/// The bound of a shutdown that is expected to use it up.
const SHORT: Duration = Duration::from_millis(20);

fn unclean(panicked: &[&str], unfinished: &[&str]) -> Result<(), Unclean> {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Err(Unclean { panicked: owned(panicked), unfinished: owned(unfinished) })
}

#[tokio::test(start_paused = true)]
async fn a_trigger_ends_every_task() {
    let shutdown = Shutdown::new();
    for name in ["listener", "reader"] {
        let word = shutdown.clone();
        shutdown.spawn(name, async move { word.triggered().await });
    }
    assert!(!shutdown.is_triggered());
    shutdown.trigger();
    assert_eq!(shutdown.finished(Duration::ZERO, HANGS).await, Ok(()));
    assert!(shutdown.is_triggered());
}

#[tokio::test(start_paused = true)]
async fn tasks_may_end_by_themselves() {
    let shutdown = Shutdown::new();
    shutdown.spawn("brief", async {});
    assert_eq!(timeout(HANGS, shutdown.finished(Duration::ZERO, SHORT)).await.unwrap(), Ok(()));
    assert!(!shutdown.is_triggered());
}

#[tokio::test(start_paused = true)]
async fn the_bound_starts_at_the_trigger() {
    let shutdown = Shutdown::new();
    let word = shutdown.clone();
    shutdown.spawn("listener", async move {
        tokio::time::sleep(SHORT * 5).await;
        word.trigger();
    });
    assert_eq!(shutdown.finished(Duration::ZERO, SHORT).await, Ok(()));
}

/// Tells a shutdown to end by `begin`, and by a fault `later` on; how long it takes although a task never
/// ends.
async fn duration_of_an_end(begin: impl Fn(&Shutdown), later: Option<Duration>) -> Duration {
    let (shutdown, began) = (Shutdown::new(), Instant::now());
    shutdown.spawn("stuck", pending());
    begin(&shutdown);
    let fault = async {
        match later {
            Some(later) => tokio::time::sleep(later).await,
            None => pending().await,
        }
        shutdown.trigger();
        pending::<()>().await;
    };
    tokio::select! {
        () = fault => {}
        ended = shutdown.finished(SHORT * 10, SHORT) => assert_eq!(ended, unclean(&[], &["stuck"])),
    }
    began.elapsed()
}

/// The clock is the tests' own, so that times are exact.
#[tokio::test(start_paused = true)]
async fn a_signal_leaves_time_and_a_fault_takes_it_away() {
    assert_eq!(duration_of_an_end(Shutdown::begin, None).await.as_millis(), (SHORT * 11).as_millis());
    assert_eq!(duration_of_an_end(Shutdown::trigger, None).await.as_millis(), SHORT.as_millis());
    let both = duration_of_an_end(Shutdown::begin, Some(SHORT * 3)).await;
    assert_eq!(both.as_millis(), (SHORT * 4).as_millis());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_named() {
    let shutdown = Shutdown::new();
    shutdown.spawn("stuck reader", pending());
    shutdown.spawn(format!("shard {}", 3), pending());
    shutdown.spawn("listener", async {});
    shutdown.trigger();
    let ended = timeout(HANGS, shutdown.finished(Duration::ZERO, SHORT)).await.unwrap();
    assert_eq!(ended, unclean(&[], &["stuck reader", "shard 3"]));
}

#[tokio::test(start_paused = true)]
async fn a_panic_triggers_the_shutdown_and_is_named() {
    let shutdown = Shutdown::new();
    let word = shutdown.clone();
    shutdown.spawn("reader", async move { word.triggered().await });
    shutdown.spawn("projector", async { panic!("a defect") });
    let ended = timeout(HANGS, shutdown.finished(Duration::ZERO, HANGS)).await.unwrap();
    assert_eq!(ended, unclean(&["projector"], &[]));
    assert_eq!(ended.unwrap_err().to_string(), "shutdown was not clean: projector panicked");
}

#[test]
fn an_unclean_end_tells_all() {
    let told = unclean(&["a"], &["b", "c"]).unwrap_err().to_string();
    assert_eq!(told, "shutdown was not clean: a panicked; b, c did not end in time");
}
