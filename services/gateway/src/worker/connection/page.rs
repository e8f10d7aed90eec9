//! A page: what one request over HTTP is answered with. Pure.
//!
//! A client without a socket asks again and again, and each request is a connection that ends with its answer. Frames are
//! collected until the client has everything and something has come, or until its time is over; then they become one answer,
//! with the position behind it. What is in no answer was not given: the next request begins at the position that the
//! client names.
//!
//! Bounded: no more than [`ENOUGH`] bytes are collected, and one frame.

use std::io::IoSlice;
use std::time::Duration;

use tidings_model::Position;
use tidings_protocol::framing::{Opcode, first_frame};

use super::http_format::{HttpFormat, Said};
use super::send_queue::Flushed;
use crate::error::{ApiCode, ApiError};

/// Bytes of messages with which a page is full.
const ENOUGH: usize = 256 * 1024;
/// How much longer than its client waits a page may take that has not everything yet.
const CATCHING_UP: Duration = Duration::from_secs(10);

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// Messages alone.
    Messages,
    /// The head of an answer with messages.
    Head,
    /// All that a connection of `tidings.v1` brings, with the answers to what the client has sent.
    Everything,
}

/// A request for a page.
pub(crate) struct PageRequest {
    kind: PageKind,
    wait: Duration,
    headers: Vec<u8>,
}

impl PageRequest {
    /// A request that may wait for so long until something comes, and whose answer has these lines in its head.
    pub(crate) fn new(kind: PageKind, wait: Duration, headers: Vec<u8>) -> Self {
        Self { kind, wait, headers }
    }
}

/// What a request is answered with over HTTP.
pub(crate) enum HttpAnswer {
    /// An event stream, which begins with this head.
    Events(Vec<u8>),
    Page(PageRequest),
}

pub(super) struct Page {
    kind: PageKind,
    wait: Duration,
    headers: Vec<u8>,
    /// What was collected: a JSON array without its end.
    body: Vec<u8>,
    /// What is in it besides `welcome` and `caught_up`.
    news: usize,
    /// Where the client is behind what was collected.
    position: Option<Position>,
    has_messages: bool,
    is_caught_up: bool,
    /// Nothing more is collected.
    is_over: bool,
    /// Why the position from which the client goes on cannot be reached from its own.
    gap: Option<Box<str>>,
    stage: Stage,
    /// How much of the answer is sent.
    sent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Collecting,
    Answering,
    Answered,
}

impl Page {
    pub(super) fn new(PageRequest { kind, wait, headers }: PageRequest) -> Self {
        Self {
            kind,
            wait,
            headers,
            body: Vec::new(),
            news: 0,
            position: None,
            has_messages: false,
            is_caught_up: false,
            is_over: false,
            gap: None,
            stage: Stage::Collecting,
            sent: 0,
        }
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        if opcode == Opcode::Close as u8 {
            self.is_over = true;
        } else if opcode == Opcode::Text as u8 {
            self.text(payload);
        }
    }

    fn text(&mut self, text: &[u8]) {
        let said = Said::of(text);
        match said {
            Said::Message(sequence) => {
                self.has_messages = true;
                let epoch = self.position.map(|position| position.epoch);
                self.position = epoch.map(|epoch| Position { epoch, sequence });
            }
            Said::Begin(_) => self.is_caught_up = false,
            Said::CaughtUp(_) => self.is_caught_up = true,
            Said::Gap(_, reason) if self.kind != PageKind::Everything => {
                self.is_over = true;
                if self.news > 0 {
                    // The next request is told, which begins before it.
                    return;
                }
                self.gap = Some(reason.into());
            }
            Said::Draining => self.is_over = true,
            Said::Gap(..) | Said::Answer => {}
        }
        self.position = said.position().or(self.position);
        let is_news = !matches!(said, Said::Begin(_) | Said::CaughtUp(_));
        if self.kind == PageKind::Everything || matches!(said, Said::Message(_)) {
            self.news += usize::from(is_news);
            // Each in a line of its own. No text has a line's end but between its members.
            self.body.extend_from_slice(if self.body.is_empty() { b"[" } else { b",\n" });
            self.body
                .extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
            self.is_over |= self.body.len() >= ENOUGH;
        }
    }

    /// The time for which the client waits is over, or the page has to be answered for another reason.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// How long it may wait until something comes.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// How much longer than its client waits a page may take, if it has no answer yet.
    pub(super) fn patience(&self) -> Option<Duration> {
        let patience = if self.is_caught_up { Duration::ZERO } else { CATCHING_UP };
        (self.stage == Stage::Collecting).then_some(patience)
    }

    /// Whether the client has to be answered, or is being answered.
    pub(super) fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Collecting => {
                self.is_over || (self.is_caught_up && (self.news > 0 || self.wait.is_zero()))
            }
            Stage::Answering => true,
            Stage::Answered => false,
        }
    }

    /// Makes the answer, unless the client `waits` for answers to what it has sent. `reached` is where the connection is, if
    /// everything that it was given is in the page.
    pub(super) fn answer(&mut self, reached: Option<Position>, waits: bool) -> bool {
        if waits && self.kind == PageKind::Everything && !self.is_over {
            return false;
        }
        let is_exact = self.has_messages || self.gap.is_some();
        let position = if is_exact { self.position } else { reached.or(self.position) };
        let is_up_to_date = reached.is_some() && self.is_caught_up;
        let offset = position.map(offset).unwrap_or_default();
        let is_empty = self.body.is_empty() && self.kind == PageKind::Messages;
        let (status, body) = if let Some(reason) = &self.gap {
            ("410 Gone", Some(gone(reason, &offset)))
        } else if is_empty && is_up_to_date && !self.wait.is_zero() {
            ("204 No Content", None)
        } else {
            let mut body = std::mem::take(&mut self.body);
            body.extend_from_slice(if body.is_empty() { b"[]" } else { b"]" });
            ("200 OK", Some(body))
        };
        let is_head = self.kind == PageKind::Head;
        let up_to_date = if is_up_to_date && self.gap.is_none() { "stream-up-to-date: true\r\n" } else { "" };
        let kind = if self.gap.is_some() { "application/problem+json" } else { "application/json" };
        let about_body = match &body {
            None => String::new(),
            Some(_) if is_head => format!("content-type: {kind}\r\n"),
            Some(body) => format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\
             stream-next-offset: {offset}\r\n{up_to_date}{about_body}"
        );
        let body = body.filter(|_| !is_head).unwrap_or_default();
        self.body = [head.as_bytes(), &self.headers, b"\r\n", &body].concat();
        self.stage = Stage::Answering;
        true
    }

    /// Whether all of the answer is with the system, with which the exchange is over.
    pub(super) fn has_ended(&mut self) -> bool {
        let has_ended = self.stage == Stage::Answering && self.sent == self.body.len();
        if has_ended {
            (self.body, self.sent, self.stage) = (Vec::new(), 0, Stage::Answered);
        }
        has_ended
    }
}

impl HttpFormat for Page {
    fn take(&mut self, slices: &[IoSlice<'_>]) -> usize {
        match self.stage {
            Stage::Collecting => {}
            Stage::Answering => return 0,
            // Nothing goes anywhere any more.
            Stage::Answered => return slices.iter().map(|slice| slice.len()).sum(),
        }
        let mut taken = 0;
        for slice in slices {
            let mut rest: &[u8] = slice;
            while let Some((opcode, payload, behind)) = first_frame(rest) {
                if self.is_over {
                    return taken;
                }
                self.frame(opcode, payload);
                taken += rest.len() - behind.len();
                rest = behind;
            }
        }
        taken
    }

    fn outgoing(&mut self) -> (&[u8], &mut usize) {
        let is_answering = self.stage == Stage::Answering;
        (if is_answering { &self.body } else { &[] }, &mut self.sent)
    }

    fn note_sent(&mut self) -> Flushed {
        if self.is_ready() { Flushed::Complete } else { Flushed::All }
    }
}

/// Why the answer has no messages, and where to go on.
fn gone(reason: &str, next: &str) -> Vec<u8> {
    let text = format!(
        "what lies before {next} cannot be delivered any more ({reason}); fetch what is shown from its source, and go on there"
    );
    let error = ApiError::new(ApiCode::PositionGone, text).with("reason", reason).with("next", next);
    error.problem().body().into_bytes()
}

/// A position as an offset, which is sorted as text within one life of the stream.
fn offset(position: Position) -> String {
    format!("{}-{:020}", position.epoch, position.sequence)
}

#[cfg(test)]
mod tests;
