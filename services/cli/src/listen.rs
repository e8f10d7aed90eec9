//! `tidings listen`: a WebSocket client that prints one message per line and acknowledges what it has printed. It
//! reconnects if the close code allows it, and continues after the last printed message.

mod dial;
mod interruption;
mod message;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidings_protocol::close::{CloseCode, Reconnect, reconnect};
use tidings_runtime::config::SecretRule;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use self::dial::{Dial, FRESH_TOKEN, Socket};
use self::interruption::Interruption;
use self::message::Received;
use crate::arguments::ListenOptions;
use crate::failure::Failure;
use crate::output::{print_json_text, remark};
use crate::serve;

/// Pauses before reconnecting double between these bounds. Each is shortened at random, so that listeners spread.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After this long without data from the gateway, a Ping is sent; the gateway has as long again to answer.
const SILENCE: Duration = Duration::from_secs(45);

/// Prints until the gateway closes the connection for good, or the requested number of messages is reached.
pub(crate) async fn run(file: Option<&Path>, options: &ListenOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let dial = Dial::new(&config.gateway, options)?;
    let mut listener = Listener {
        subscribe: subscription(options)?,
        left: options.count.unwrap_or(u64::MAX),
        everything: options.sequenced,
        url: dial.url.clone(),
        epoch: String::new(),
        since: None,
        connections: 0,
    };
    let mut pause = FIRST_PAUSE;
    while listener.left > 0 {
        let opened_at = Instant::now();
        let interruption = match dial.open(listener.since.as_deref()).await? {
            Ok(socket) => match listener.listen(socket).await? {
                Some(interruption) => interruption,
                None => break,
            },
            // A gateway that has never been reachable is not waited for.
            Err(Interruption { what, after: None }) if listener.connections == 0 => {
                return Err(format!("{what}; is a gateway running there?").into());
            }
            Err(interruption) => interruption,
        };
        if opened_at.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        remark([&*format!("{}; connecting again", interruption.what)]);
        let wait = pause.mul_f64(0.5 + fastrand::f64() / 2.0).max(interruption.after.unwrap_or_default());
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(ExitCode::SUCCESS)
}

/// How tungstenite reports a code that it does not know, such as 1014 from a proxy, whose gateway may return.
const UNKNOWN_CODE: &str = "Protocol violation";

/// The id of the subscription's request.
const SUBSCRIPTION: &str = "subscription";

struct Listener {
    subscribe: Option<String>,
    /// The number of messages that are still wanted.
    left: u64,
    /// Whether sequences, ids and control messages are printed, too.
    everything: bool,
    url: String,
    /// The epoch of the sequences of this connection.
    epoch: String,
    /// The position after which the next connection continues.
    since: Option<String>,
    /// The number of connections that were opened.
    connections: u64,
}

impl Listener {
    /// Prints what is received. `None` if it is enough.
    async fn listen(&mut self, mut socket: Socket) -> Result<Option<Interruption>, Failure> {
        let listened = self.exchange(&mut socket).await;
        let interruption = match listened {
            Ok(None) => None,
            Ok(Some(interruption)) => return Ok(Some(interruption)),
            Err(Ended::ForGood(failure)) => return Err(failure),
            Err(Ended::Broken(error)) if is_passing(&error) => {
                return Ok(Some(Interruption::new(format!("the connection to {} broke: {error}", self.url))));
            }
            Err(Ended::Broken(error)) => return Err(error.into()),
        };
        // The gateway's own Close confirms that the last acknowledgement has arrived.
        let _ = socket.close(None).await;
        let _ = timeout(SILENCE, async { while let Some(Ok(_)) = socket.next().await {} }).await;
        Ok(interruption)
    }

    async fn exchange(&mut self, socket: &mut Socket) -> Result<Option<Interruption>, Ended> {
        if let Some(subscribe) = &self.subscribe {
            socket.send(Message::text(subscribe)).await?;
        }
        // The answer arrives when the subscription is active: everything published from then on is received.
        socket.send(Message::text(r#"{"action":"ping"}"#)).await?;
        while self.left > 0 {
            match next(socket).await? {
                Some(Message::Text(text)) => {
                    let received = Received::read(&text);
                    let acknowledged = received.acknowledgement();
                    if let Some(interruption) = self.take(received, &text)? {
                        return Ok(Some(interruption));
                    }
                    // Only printed messages are acknowledged.
                    if let Some(sequence) = acknowledged {
                        let acknowledgement = json!({ "action": "ack", "seq": sequence }).to_string();
                        socket.send(Message::text(acknowledgement)).await?;
                    }
                }
                Some(Message::Close(close)) => return Ok(Some(Self::closed(close)?)),
                Some(_) => {}
                None => return Ok(Some(Interruption::new(format!("the connection to {} ended", self.url)))),
            }
        }
        Ok(None)
    }

    /// Prints a received message, as far as the options ask for it.
    fn take(&mut self, received: Received, text: &str) -> Result<Option<Interruption>, Failure> {
        match received {
            Received::Pong => {
                self.connections += 1;
                let again = if self.connections > 1 { " again" } else { "" };
                // Not on standard output, which holds messages only.
                remark([&*format!("listening at {}{again}; Ctrl-C ends", self.url)]);
                return Ok(None);
            }
            Received::Refused { id, code, message } if id == SUBSCRIPTION => {
                let what = format!("the gateway refuses the subscription: {message} ({code})");
                return match &*code {
                    "UNAVAILABLE" | "RATE_LIMITED" | "INTERNAL" => Ok(Some(Interruption::new(what))),
                    _ => Err(what.into()),
                };
            }
            Received::Envelope { body, sequence } => {
                print_json_text(if self.everything { text } else { &body })?;
                self.since = Some(format!("{}-{sequence}", self.epoch));
                self.left -= 1;
                return Ok(None);
            }
            Received::Refused { .. } | Received::Answer => {
                print_json_text(text)?;
                self.left -= 1;
                return Ok(None);
            }
            Received::Gap { to } => {
                self.stand_at(&to);
                if !self.everything {
                    remark([&*format!("some messages cannot be delivered: {text}")]);
                }
            }
            Received::Welcome { position } | Received::CaughtUp { position } => self.stand_at(&position),
            Received::Control => {}
        }
        if self.everything {
            print_json_text(text)?;
        }
        Ok(None)
    }

    fn stand_at(&mut self, position: &str) {
        if let Some((epoch, _)) = position.split_once('-') {
            epoch.clone_into(&mut self.epoch);
            self.since = Some(position.to_owned());
        }
    }

    fn closed(close: Option<CloseFrame>) -> Result<Interruption, Failure> {
        let code = close.as_ref().map(|close| u16::from(close.code));
        let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
        let shown = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
        let what = format!("the gateway closed the connection: {reason} ({shown})");
        let is_token = [CloseCode::TokenExpired, CloseCode::TokenRevoked].map(u16::from);
        match (code, reconnect(code)) {
            _ if reason == UNKNOWN_CODE => Ok(Interruption::new(what)),
            (Some(code), _) if is_token.contains(&code) => Err(format!("{what}{FRESH_TOKEN}").into()),
            (_, Reconnect::WithBackoff) => Ok(Interruption::new(what)),
            (_, Reconnect::No) => Err(what.into()),
        }
    }
}

/// Why a connection has no more messages.
enum Ended {
    ForGood(Failure),
    Broken(Error),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::ForGood(failure)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// Reads the next frame. If none arrives, sends one Ping.
async fn next(socket: &mut Socket) -> Result<Option<Message>, Error> {
    if let Ok(message) = timeout(SILENCE, socket.next()).await {
        return message.transpose();
    }
    socket.send(Message::Ping(Bytes::new())).await?;
    match timeout(SILENCE, socket.next()).await {
        Ok(message) => message.transpose(),
        Err(_) => Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "nothing comes any more"))),
    }
}

/// Whether another connection may succeed.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing)
    )
}

fn subscription(options: &ListenOptions) -> Result<Option<String>, Failure> {
    let mut filters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for filter in &options.filter {
        let wrong =
            || format!("--filter {filter:?} is not of the form name=value, such as environment=production");
        let (name, value) = filter.split_once('=').ok_or_else(wrong)?;
        filters.entry(name).or_default().push(value);
    }
    match (options.topic.is_empty(), filters.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err("--filter narrows topics; name them with --topic".into()),
        (false, true) => Ok(Some(
            json!({ "action": "subscribe", "id": SUBSCRIPTION, "topics": options.topic }).to_string(),
        )),
        (false, false) => {
            let message = json!({ "action": "subscribe", "id": SUBSCRIPTION, "topics": options.topic, "filters": filters });
            Ok(Some(message.to_string()))
        }
    }
}
