//! One connection: what is to be sent on it, whether it still lives, and when its token is to be replaced.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::json;
use tidings_protocol::close::{CloseCode, Reconnect, reconnect};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::dial::Socket;
use crate::outbox::Outbox;
use crate::requests::Request;
use crate::settings::{Settings, TokenAnswer};

/// How tungstenite reports a code that it does not know, such as 1014 from a proxy, whose gateway may return.
const UNKNOWN_CODE: &str = "Protocol violation";
/// After how long a token is asked for again that did not come.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Why there is no connection any more.
pub(super) enum Lost {
    Broken(String),
    /// Closed with a code that says to come again.
    Closed {
        what: String,
    },
    /// Closed, and the next connection can be opened at once.
    Moved {
        what: String,
    },
    TokenOver {
        what: String,
    },
    ForGood {
        what: String,
    },
}

pub(super) struct Open {
    socket: Socket,
    outgoing: VecDeque<String>,
    /// The newest sequence that was handled and not acknowledged.
    unacknowledged: Option<String>,
    is_flushed: bool,
    epoch: String,
    opened: Instant,
    heard: Instant,
    is_asked: bool,
    drains: bool,
    refresh_at: Option<Instant>,
    refreshing: Option<TokenAnswer>,
}

impl Open {
    pub(super) fn new(socket: Socket, first: Vec<String>) -> Self {
        let now = Instant::now();
        Self {
            socket,
            outgoing: first.into(),
            unacknowledged: None,
            is_flushed: true,
            epoch: String::new(),
            opened: now,
            heard: now,
            is_asked: false,
            drains: false,
            refresh_at: None,
            refreshing: None,
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(super) fn acknowledge(&mut self, sequence: &str) {
        self.unacknowledged = Some(sequence.to_owned());
    }

    pub(super) fn stands_at(&mut self, position: &str) {
        if let Some((epoch, _)) = position.split_once('-') {
            epoch.clone_into(&mut self.epoch);
        }
    }

    pub(super) fn position_of(&self, sequence: u64) -> String {
        format!("{}-{sequence}", self.epoch)
    }

    pub(super) fn is_draining(&mut self) {
        self.drains = true;
    }

    /// When four fifths of the token's time have passed, the next one is asked for.
    pub(super) fn expires(&mut self, at: Option<&str>) {
        let at = at.and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        let left = at.and_then(|at| Duration::try_from(at - OffsetDateTime::now_utc()).ok());
        self.refresh_at = left.and_then(|left| Instant::now().checked_add(left.mul_f64(0.8)));
    }

    /// Sends what there is to send, and returns the next text that comes; `None` if something else has happened.
    pub(super) async fn step(
        &mut self,
        outbox: &mut Outbox,
        asked: &mut mpsc::Receiver<Request>,
        settings: &Settings,
    ) -> Result<Option<String>, Lost> {
        self.send(outbox).await.map_err(|error| broke(&error))?;
        let silent = self.heard + if self.is_asked { settings.patience } else { settings.silence };
        let due = outbox.due();
        tokio::select! {
            biased;
            frame = self.socket.next() => {
                (self.heard, self.is_asked) = (Instant::now(), false);
                return self.read(frame);
            }
            token = answer(&mut self.refreshing) => {
                self.refreshing = None;
                self.refreshed(token);
            }
            () = until(self.refresh_at), if self.refreshing.is_none() => {
                self.refresh_at = None;
                self.refreshing = Some((settings.token)());
            }
            Some(request) = asked.recv() => outbox.add(request, Instant::now()),
            () = until(due) => {}
            () = sleep_until(silent) => {
                if self.is_asked {
                    return Err(Lost::Broken("is silent, nothing comes any more".to_owned()));
                }
                (self.heard, self.is_asked) = (Instant::now(), true);
                self.socket.feed(Message::Ping(Bytes::new())).await.map_err(|error| broke(&error))?;
                self.is_flushed = false;
            }
        }
        Ok(None)
    }

    /// Given up in the middle, it goes on with what it has not sent.
    async fn send(&mut self, outbox: &mut Outbox) -> Result<(), Error> {
        self.outgoing.extend(outbox.take(Instant::now()));
        while let Some(text) = self.outgoing.front() {
            let text = Message::text(text);
            self.socket.feed(text).await?;
            self.outgoing.pop_front();
            self.is_flushed = false;
        }
        if let Some(sequence) = &self.unacknowledged {
            let text = format!(r#"{{"action":"ack","seq":{sequence}}}"#);
            self.socket.feed(Message::text(text)).await?;
            self.unacknowledged = None;
            self.is_flushed = false;
        }
        if !self.is_flushed {
            self.socket.flush().await?;
            self.is_flushed = true;
        }
        Ok(())
    }

    fn refreshed(&mut self, token: Option<String>) {
        match token {
            Some(token) => {
                self.outgoing.push_back(json!({ "action": "authenticate", "token": token }).to_string());
            }
            None => self.refresh_at = Some(Instant::now() + ASK_AGAIN),
        }
    }

    fn read(&self, frame: Option<Result<Message, Error>>) -> Result<Option<String>, Lost> {
        match frame {
            Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
            Some(Ok(Message::Close(close))) => Err(self.closed(close)),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(broke(&error)),
            None => Err(Lost::Broken("ended".to_owned())),
        }
    }

    fn closed(&self, close: Option<CloseFrame>) -> Lost {
        let code = close.as_ref().map(|close| u16::from(close.code));
        let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
        let shown = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
        let what = format!("the gateway closed the connection: {reason} ({shown})");
        let is = |one: CloseCode| code == Some(u16::from(one));
        if is(CloseCode::TokenExpired) || is(CloseCode::TokenRevoked) {
            return Lost::TokenOver { what };
        }
        match reconnect(code) {
            _ if reason == UNKNOWN_CODE => Lost::Closed { what },
            Reconnect::No => Lost::ForGood { what },
            Reconnect::WithBackoff if self.drains || is(CloseCode::ConnectionAge) => Lost::Moved { what },
            Reconnect::WithBackoff => Lost::Closed { what },
        }
    }

    /// The gateway's own Close confirms that the last acknowledgement has arrived.
    pub(super) async fn close(mut self) -> Result<(), Error> {
        let mut nothing = Outbox::new(0, Duration::ZERO);
        self.send(&mut nothing).await?;
        self.socket.close(None).await?;
        while let Some(Ok(_)) = self.socket.next().await {}
        Ok(())
    }
}

fn broke(error: &Error) -> Lost {
    Lost::Broken(format!("broke: {error}"))
}

/// The token that was asked for, if one was; `None` if it cannot be had now.
async fn answer(asked: &mut Option<TokenAnswer>) -> Option<String> {
    match asked {
        Some(asked) => asked.map(|answer| answer.ok().flatten()).await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
