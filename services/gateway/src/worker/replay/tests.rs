use tokio::time::{Instant, timeout};

use super::*;

/// So that a client which reads nothing does not keep others from their turn to scan the stream.
#[tokio::test(start_paused = true)]
async fn a_reading_is_given_up_when_its_client_takes_nothing_for_a_while() {
    let (sender, mut found) = mpsc::channel(1);
    assert!(hand_over(&sender, Found::Through(1)).await);
    let began = Instant::now();
    let handed_over = timeout(10 * PATIENCE, hand_over(&sender, Found::Through(2))).await;
    assert_eq!(handed_over, Ok(false));
    assert_eq!(began.elapsed(), PATIENCE);

    // One that takes something just in time goes on.
    let takes = async {
        tokio::time::sleep(PATIENCE / 2).await;
        found.recv().await.is_some()
    };
    let (handed_over, took) = tokio::join!(hand_over(&sender, Found::Through(3)), takes);
    assert!(handed_over && took);
    drop(found);
    let began = Instant::now();
    assert!(!hand_over(&sender, Found::Through(4)).await, "the connection is gone");
    assert_eq!(began.elapsed(), Duration::ZERO);
}
