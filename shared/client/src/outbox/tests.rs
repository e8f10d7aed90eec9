use tokio::sync::oneshot;

use super::*;

type Answer = oneshot::Receiver<Result<String, RequestError>>;

/// An outbox at a moment that is moved by hand.
struct Desk {
    outbox: Outbox,
    now: Instant,
}

impl Desk {
    fn new(most: usize) -> Self {
        Self { outbox: Outbox::new(most, Duration::from_secs(100)), now: Instant::now() }
    }

    fn add(&mut self, purpose: Purpose, id: &str, within: u64) -> Answer {
        let (answer, answered) = oneshot::channel();
        let deadline = Some(self.now + Duration::from_secs(within));
        let request = Request { purpose, id: id.into(), text: id.to_owned(), answer, deadline };
        self.outbox.add(request, self.now);
        answered
    }

    fn publish(&mut self, id: &str) -> Answer {
        self.add(Purpose::Publish, id, 1000)
    }

    fn ask(&mut self, id: &str) -> Answer {
        self.add(Purpose::Ask, id, 1000)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    #[track_caller]
    fn sends(&mut self, expected: &[&str]) {
        assert_eq!(self.outbox.take(self.now), expected);
    }

    fn answer(&mut self, id: &str) -> Option<Purpose> {
        self.outbox.answered(&id.into(), format!("answer to {id}"))
    }

    fn refuse(&mut self, id: &str, code: &str) -> bool {
        let error =
            RequestError::Refused { code: code.to_owned(), message: String::new(), answer: String::new() };
        self.outbox.refused(&id.into(), error, None, self.now)
    }
}

fn got(answer: &mut Answer) -> Option<Result<String, RequestError>> {
    answer.try_recv().ok()
}

#[test]
fn publications_are_under_way_one_at_a_time_and_questions_beside_them() {
    let mut desk = Desk::new(20);
    let mut first = desk.publish("p1");
    let _second = desk.publish("p2");
    let _asked: Vec<_> = (0..9).map(|n| desk.ask(&format!("a{n}"))).collect();
    desk.sends(&["p1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"]);
    desk.sends(&[]);
    assert_eq!(desk.answer("a3"), Some(Purpose::Ask));
    desk.sends(&["a8"]);
    assert_eq!(desk.answer("p2"), None, "it was not sent");
    assert_eq!(desk.answer("p1"), Some(Purpose::Publish));
    assert_eq!(got(&mut first), Some(Ok("answer to p1".to_owned())));
    desk.sends(&["p2"]);
}

#[test]
fn what_was_not_answered_is_sent_again_in_its_order_on_the_next_connection() {
    let mut desk = Desk::new(20);
    let mut answers = [desk.publish("p1"), desk.publish("p2"), desk.ask("a")];
    desk.sends(&["p1", "a"]);
    desk.outbox.connected();
    desk.sends(&["p1", "a"]);
    desk.outbox.connected();
    desk.pass(101);
    desk.sends(&["p2"]);
    assert_eq!(got(&mut answers[0]), Some(Err(RequestError::Uncertain)));
    assert_eq!(got(&mut answers[1]), None);
    assert_eq!(got(&mut answers[2]), Some(Err(RequestError::Uncertain)), "it may have been a publication");
}

#[test]
fn what_may_pass_is_sent_again_after_a_pause_and_what_does_not_fails() {
    let mut desk = Desk::new(20);
    let mut answers = [desk.publish("p1"), desk.publish("p2"), desk.ask("a")];
    desk.sends(&["p1", "a"]);
    assert!(desk.refuse("p1", "UNAVAILABLE"));
    desk.sends(&[]);
    assert_eq!(desk.outbox.due(), Some(desk.now + AGAIN));
    desk.pass(1);
    desk.sends(&["p1"]);
    assert!(desk.refuse("p1", "INVALID_MESSAGE"));
    assert!(matches!(got(&mut answers[0]), Some(Err(RequestError::Refused { .. }))));
    desk.sends(&["p2"]);
    assert!(!desk.refuse("p1", "INVALID_MESSAGE"), "it was refused already");
}

#[test]
fn what_is_late_gives_way_and_its_answer_is_nobody_elses() {
    let mut desk = Desk::new(20);
    let (mut late, given_up) = (desk.add(Purpose::Publish, "late", 5), desk.ask("given up"));
    let _next = desk.publish("next");
    desk.sends(&["late", "given up"]);
    assert_eq!(desk.outbox.due(), Some(desk.now + Duration::from_secs(5)));
    desk.pass(5);
    drop(given_up);
    desk.sends(&["next"]);
    assert_eq!(got(&mut late), Some(Err(RequestError::Late)));
    for id in ["late", "given up"] {
        assert_eq!(desk.answer(id), None);
        assert!(desk.outbox.is_forgotten(&id.into()), "{id}");
        assert!(!desk.outbox.is_forgotten(&id.into()), "only once");
    }
    assert!(!desk.outbox.is_forgotten(&"next".into()));
}

#[test]
fn changes_of_topics_keep_their_order_and_say_what_they_were() {
    let mut desk = Desk::new(20);
    let topic = || "a".to_owned();
    let _on = desk.add(Purpose::Subscribe { topic: topic(), filters: [].into() }, "on", 9);
    let _off = desk.add(Purpose::Unsubscribe { topic: topic() }, "off", 9);
    desk.sends(&["on"]);
    assert_eq!(desk.answer("on"), Some(Purpose::Subscribe { topic: topic(), filters: [].into() }));
    desk.sends(&["off"]);
    assert_eq!(desk.answer("off"), Some(Purpose::Unsubscribe { topic: topic() }));
}

#[test]
fn no_more_wait_than_are_allowed() {
    let mut desk = Desk::new(2);
    let (_first, second) = (desk.ask("a"), desk.ask("b"));
    let mut third = desk.ask("c");
    assert_eq!(got(&mut third), Some(Err(RequestError::OutboxFull(2))));
    drop(second);
    let _fourth = desk.ask("d");
    desk.sends(&["a", "d"]);
}
