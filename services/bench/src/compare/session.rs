//! One client of either system: how it connects, subscribes, goes on where it was, and receives.

use serde_json::{Value, json};
use tidings_model::json::parse;
use tokio::net::{TcpSocket, TcpStream};

use super::system::Endpoint;
use super::wire::{self, PATH, Protocol, Receiver, channel_of};
use crate::audience::Message;
use crate::client::{Connection, Heard, acknowledgement_text, heard};
use crate::deployment::TOPIC;
use crate::failure::Failure;

/// A user's only device, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Device {
    user: String,
    /// It subscribes to the topic, too.
    is_subscribed: bool,
    receive_buffer: Option<u32>,
    /// The epoch, and where the client has read to: in the channel that is asked for, or at a gateway in all.
    position: Option<(String, u64)>,
}

/// An open connection of a device.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) device: Device,
    protocol: Protocol,
    /// What came before everything was confirmed.
    early: Vec<Message>,
}

impl Device {
    /// A device that receives what is for its user.
    pub(super) fn of(user: impl Into<String>) -> Self {
        Self { user: user.into(), is_subscribed: false, receive_buffer: None, position: None }
    }

    /// A device that is subscribed to the topic as well.
    pub(super) fn subscribed(user: impl Into<String>) -> Self {
        Self { is_subscribed: true, ..Self::of(user) }
    }

    /// With this much room in the system for what it does not read.
    pub(super) fn with_buffer(self, bytes: u32) -> Self {
        Self { receive_buffer: Some(bytes), ..self }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Connects; returns when the server has confirmed everything and given what was missed.
    pub(super) async fn connect(self, endpoint: Endpoint) -> Result<Session, Failure> {
        let stream = self.socket(endpoint).await?;
        let token = endpoint.protocol.token(&self.user)?;
        match endpoint.protocol {
            Protocol::Tidings => self.join_gateway(endpoint, stream, &token).await,
            Protocol::Centrifugo => self.join_centrifugo(endpoint, stream, &token).await,
        }
    }

    async fn socket(&self, endpoint: Endpoint) -> Result<TcpStream, Failure> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(socket.connect(endpoint.address).await?)
    }

    async fn join_gateway(
        mut self,
        endpoint: Endpoint,
        stream: TcpStream,
        token: &str,
    ) -> Result<Session, Failure> {
        let since = self.position.as_ref().map(|(epoch, sequence)| format!("{epoch}-{sequence}"));
        let mut connection = Connection::resume(stream, endpoint.address, token, since.as_deref()).await?;
        let mut early = Vec::new();
        if self.is_subscribed {
            connection.send(&format!(r#"{{"action":"subscribe","topics":["{TOPIC}"]}}"#)).await?;
        }
        let (mut is_caught_up, mut is_confirmed) = (false, !self.is_subscribed);
        while !(is_caught_up && is_confirmed) {
            let text = connection.next_text().await?;
            wire::envelope(&text, &mut |message| early.push(message))?;
            match heard(&text)? {
                Heard::Welcome => self.position = Some(wire::position(&text)?),
                Heard::CaughtUp => is_caught_up = true,
                Heard::Subscribed => is_confirmed = true,
                Heard::Envelope(_) | Heard::Other => {}
            }
        }
        Ok(Session { connection, device: self, protocol: endpoint.protocol, early })
    }

    async fn join_centrifugo(
        self,
        endpoint: Endpoint,
        stream: TcpStream,
        token: &str,
    ) -> Result<Session, Failure> {
        let connection = Connection::upgrade(stream, endpoint.address, PATH, "").await?;
        let mut session =
            Session { connection, device: self, protocol: endpoint.protocol, early: Vec::new() };
        let own = channel_of(&Receiver::User(session.device.user.clone()));
        let topic = channel_of(&Receiver::Topic);
        let mut connect = json!({ "token": token });
        if let Some(from) = session.device.recovery().filter(|_| !session.device.is_subscribed) {
            connect["subs"] = json!({ &own: from });
        }
        let answer = session.ask(1, "connect", connect).await?;
        if !session.device.is_subscribed {
            session.device.set_position(&answer["subs"][&own]);
            return Ok(session);
        }
        let mut subscribe = session.device.recovery().unwrap_or_else(|| json!({}));
        subscribe["channel"] = json!(topic);
        let answer = session.ask(2, "subscribe", subscribe).await?;
        session.device.set_position(&answer);
        Ok(session)
    }

    fn recovery(&self) -> Option<Value> {
        let (epoch, offset) = self.position.as_ref()?;
        Some(json!({ "recover": true, "epoch": epoch, "offset": offset }))
    }

    fn set_position(&mut self, subscribed: &Value) {
        let (epoch, offset) = (subscribed["epoch"].as_str(), subscribed["offset"].as_u64());
        self.position = epoch.map(|epoch| (epoch.to_owned(), offset.unwrap_or_default()));
    }
}

impl Session {
    /// The next messages: at least one.
    pub(super) async fn receive(&mut self) -> Result<Vec<Message>, Failure> {
        let mut messages = std::mem::take(&mut self.early);
        while messages.is_empty() {
            let text = self.connection.next_text().await?;
            self.protocol.messages(&text, &mut |message| messages.push(message))?;
        }
        if let (Some(last), Some((_, offset))) = (messages.last(), &mut self.device.position) {
            *offset = last.position;
        }
        Ok(messages)
    }

    /// Tells the server that everything up to this message was processed; Centrifugo's clients only remember it.
    pub(super) async fn acknowledge(&mut self, last: Message) -> Result<(), Failure> {
        match self.protocol {
            Protocol::Tidings => self.connection.send(&acknowledgement_text(last.position)).await,
            Protocol::Centrifugo => Ok(()),
        }
    }

    /// Sends a command of Centrifugo, and returns what it answers.
    async fn ask(&mut self, id: u64, name: &str, command: Value) -> Result<Value, Failure> {
        let text = json!({ "id": id, name: command }).to_string();
        self.connection.send(&text).await?;
        loop {
            let text = self.connection.next_text().await?;
            wire::publications(&text, &mut |message| self.early.push(message))?;
            for line in text[..].split(|byte| *byte == b'\n') {
                let mut answer = parse(line)?;
                if answer["id"].as_u64() != Some(id) {
                    continue;
                }
                if answer.get("error").is_some() {
                    return Err(format!("the answer to {name} is {answer}").into());
                }
                return Ok(answer[name].take());
            }
        }
    }
}
