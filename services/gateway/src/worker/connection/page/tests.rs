use tidings_protocol::framing::{close, frame};

use super::*;

fn page(kind: PageKind, wait: u64) -> Page {
    let headers = b"vary: origin\r\n".to_vec();
    let mut page = Page::new(PageRequest::new(kind, Duration::from_secs(wait), headers));
    assert!(give(&mut page, r#"{"action":"welcome","position":"ab-6"}"#));
    page
}

fn text(text: &str) -> Vec<u8> {
    frame(Opcode::Text, text.as_bytes()).to_vec()
}

/// Whether a text is taken.
fn give(page: &mut Page, json: &str) -> bool {
    page.take(&[IoSlice::new(&text(json))]) > 0
}

fn at(position: &str) -> Position {
    position.parse().unwrap()
}

/// The status, the head in lines, and the body, sent in pieces.
fn answer(page: &mut Page, reached: Option<Position>) -> (String, Vec<String>, String) {
    assert!(page.is_ready());
    assert!(page.answer(reached, false));
    assert!(!give(page, r#"{"seq":99}"#), "behind its end a page takes nothing");
    let mut sent = Vec::new();
    let mut is_ready = false;
    let mut write = |bytes: &[u8]| {
        is_ready = !is_ready;
        let piece = &bytes[..bytes.len().min(7)];
        sent.extend_from_slice(if is_ready { piece } else { b"" });
        if is_ready { Ok(piece.len()) } else { Err(std::io::ErrorKind::WouldBlock.into()) }
    };
    while page.send(&mut write).unwrap() == Flushed::Blocked {
        assert!(page.is_ready() && !page.has_ended());
    }
    assert!(page.has_ended());
    assert!(give(page, r#"{"seq":99}"#), "what comes behind the answer goes nowhere");
    let sent = String::from_utf8(sent).unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines().map(str::to_owned);
    (lines.next().unwrap(), lines.collect(), body.to_owned())
}

fn has(head: &[String], line: &str) -> bool {
    head.iter().any(|found| found == line)
}

#[test]
fn messages_are_answered_once_the_client_has_everything() {
    let mut page = page(PageKind::Messages, 30);
    assert!(give(&mut page, r#"{"seq":7,"id":"e"}"#));
    assert!(give(&mut page, r#"{"action":"pong"}"#));
    assert!(!page.is_ready(), "more may be there");
    let joined =
        [text("{\"seq\":8,\n\"id\":\"f\"}"), text(r#"{"action":"caught_up","position":"ab-8"}"#)].concat();
    assert_eq!(page.take(&[IoSlice::new(&joined)]), joined.len());
    let (status, head, body) = answer(&mut page, Some(at("ab-9")));
    assert_eq!(
        (&*status, &*body),
        ("HTTP/1.1 200 OK", "[{\"seq\":7,\"id\":\"e\"},\n{\"seq\":8, \"id\":\"f\"}]")
    );
    assert!(has(&head, "stream-next-offset: ab-00000000000000000008"), "{head:?}");
    assert!(has(&head, "stream-up-to-date: true") && has(&head, "vary: origin"), "{head:?}");
    assert!(has(&head, &format!("content-length: {}", body.len())), "{head:?}");
}

#[test]
fn who_waits_in_vain_learns_how_far_the_stream_is() {
    let caught_up = r#"{"action":"caught_up","position":"ab-6"}"#;
    let mut waiting = page(PageKind::Messages, 30);
    give(&mut waiting, caught_up);
    assert!(!waiting.is_ready());
    waiting.end();
    let (status, head, body) = answer(&mut waiting, Some(at("ab-90")));
    assert_eq!((&*status, &*body), ("HTTP/1.1 204 No Content", ""));
    assert!(has(&head, "stream-next-offset: ab-00000000000000000090"), "{head:?}");
    assert!(!head.iter().any(|line| line.starts_with("content-")), "{head:?}");

    let mut hasty = page(PageKind::Messages, 0);
    give(&mut hasty, caught_up);
    let (status, _, body) = answer(&mut hasty, Some(at("ab-90")));
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", "[]"));

    let mut asked = page(PageKind::Head, 0);
    give(&mut asked, caught_up);
    let (status, head, body) = answer(&mut asked, Some(at("ab-90")));
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", ""));
    assert!(has(&head, "stream-next-offset: ab-00000000000000000090"), "{head:?}");

    let mut asking = page(PageKind::Everything, 0);
    give(&mut asking, caught_up);
    assert!(asking.is_ready() && !asking.answer(at("ab-6").into(), true), "an answer is still to come");

    // It is closed before it has everything.
    let mut closed = page(PageKind::Messages, 30);
    closed.take(&[IoSlice::new(&close(1001_u16, "over"))]);
    let (status, head, body) = answer(&mut closed, None);
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", "[]"));
    assert!(has(&head, "stream-next-offset: ab-00000000000000000006"), "{head:?}");
    assert!(!has(&head, "stream-up-to-date: true"), "{head:?}");
}

#[test]
fn what_is_gone_is_said_before_anything_else() {
    let gap = r#"{"action":"gap","from":"ab-6","to":"ab-20","reason":"retention"}"#;
    let mut gone = page(PageKind::Messages, 30);
    give(&mut gone, gap);
    let (status, head, body) = answer(&mut gone, Some(at("ab-21")));
    assert_eq!(status, "HTTP/1.1 410 Gone");
    assert!(has(&head, "stream-next-offset: ab-00000000000000000020"), "{head:?}");
    assert!(!has(&head, "stream-up-to-date: true"), "{head:?}");
    assert!(body.contains(r#""code":"POSITION_GONE""#) && body.contains("retention"), "{body}");
    assert!(body.contains(r#""next":"ab-00000000000000000020""#), "{body}");

    // Behind messages, the next request is told.
    let mut begun = page(PageKind::Messages, 30);
    give(&mut begun, r#"{"seq":7}"#);
    give(&mut begun, gap);
    let (status, head, body) = answer(&mut begun, Some(at("ab-21")));
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", r#"[{"seq":7}]"#));
    assert!(has(&head, "stream-next-offset: ab-00000000000000000007"), "{head:?}");

    // A client that is told everything is told this where it belongs.
    let mut told = page(PageKind::Everything, 30);
    give(&mut told, gap);
    give(&mut told, r#"{"seq":21}"#);
    give(&mut told, r#"{"action":"caught_up","position":"ab-21"}"#);
    let (_, head, body) = answer(&mut told, Some(at("ab-21")));
    assert!(body.contains(gap) && body.starts_with(r#"[{"action":"welcome""#), "{body}");
    assert!(has(&head, "stream-next-offset: ab-00000000000000000021"), "{head:?}");
}

#[test]
fn a_page_has_so_much_and_no_more() {
    let long = text(&format!(r#"{{"seq":7,"pad":"{}"}}"#, "x".repeat(ENOUGH / 2)));
    let mut page = page(PageKind::Messages, 30);
    let slices = [IoSlice::new(&long), IoSlice::new(&long), IoSlice::new(&long)];
    assert_eq!(page.take(&slices), 2 * long.len());
    assert_eq!(page.take(&slices), 0);
    let (status, head, _) = answer(&mut page, None);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(!has(&head, "stream-up-to-date: true"), "there is more: {head:?}");
}

#[test]
fn a_tenant_that_moves_is_caught_up_with_again() {
    let mut page = page(PageKind::Messages, 30);
    give(&mut page, r#"{"action":"caught_up","position":"ab-6"}"#);
    give(&mut page, r#"{"action":"welcome","position":"cd-3"}"#);
    assert_eq!(page.patience(), Some(CATCHING_UP));
    give(&mut page, r#"{"seq":4}"#);
    give(&mut page, r#"{"action":"caught_up","position":"cd-4"}"#);
    let (_, head, _) = answer(&mut page, Some(at("cd-4")));
    assert!(has(&head, "stream-next-offset: cd-00000000000000000004"), "{head:?}");
}
