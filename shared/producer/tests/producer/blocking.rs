//! Programs that are not asynchronous.

use tidings_producer::blocking::Producer;

use crate::support::{Scene, numbered};

#[tokio::test]
async fn a_program_without_a_runtime_publishes() {
    let scene = Scene::new().await;
    let settings = scene.settings();
    let work = move || {
        let producer = Producer::connect("ops", settings).unwrap();
        assert_eq!(producer.publish(numbered(0)).unwrap().sequence, 1);
        let receipt = producer.enqueue(numbered(1)).unwrap();
        assert_eq!(producer.stored(receipt).unwrap().sequence, 2);
        for n in 2..100 {
            producer.try_enqueue(numbered(n)).unwrap();
        }
        producer.flush().unwrap();
        producer.shutdown(harness::BOUND).unwrap();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(scene.numbers().await, (0..100).collect::<Vec<_>>());
}
