//! Gateways, users who connect to them, and what these find when they return.

use harness::{BOUND, Tidings, token};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::wire::{Refused, Wire};

/// By which tokens are signed.
pub(crate) const SECRET: &str = "a-secret-for-tests-of-32-or-more-bytes";

/// A process that serves clients.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Tidings,
    pub(crate) address: String,
}

impl Gateway {
    /// SIGKILL.
    pub(crate) async fn kill(self) {
        self.process.signal(Signal::KILL);
        self.process.end(BOUND).await;
    }

    /// SIGTERM, as its operator would; it must end well.
    pub(crate) async fn stop(self) {
        self.process.signal(Signal::TERM);
        let (status, output) = self.process.end(BOUND).await;
        assert!(status.success() && !output.contains("panicked"), "{status}:\n{output}");
    }
}

/// A user who is about to connect.
pub(crate) fn dial(user: &str) -> Dial<'_> {
    Dial { user, roles: &[], device: "d", since: None, sequenced: false, receive_buffer: None }
}

/// A connection in the making.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dial<'u> {
    user: &'u str,
    roles: &'u [&'u str],
    device: &'u str,
    since: Option<&'u str>,
    sequenced: bool,
    receive_buffer: Option<u32>,
}

impl<'u> Dial<'u> {
    /// With the subprotocol `tidings.v1`.
    pub(crate) fn sequenced(self) -> Self {
        Self { sequenced: true, ..self }
    }

    pub(crate) fn device(self, device: &'u str) -> Self {
        Self { device, ..self }
    }

    pub(crate) fn roles(self, roles: &'u [&'u str]) -> Self {
        Self { roles, ..self }
    }

    pub(crate) fn since(self, position: &'u str) -> Self {
        Self { since: Some(position), ..self }
    }

    /// With a socket that holds little.
    pub(crate) fn receive_buffer(self, bytes: u32) -> Self {
        Self { receive_buffer: Some(bytes), ..self }
    }

    pub(crate) async fn try_open(self, gateway: &Gateway) -> Result<Wire, Refused> {
        self.try_open_at(&gateway.address).await
    }

    pub(crate) async fn try_open_at(self, address: &str) -> Result<Wire, Refused> {
        let token = token(SECRET, json!({ "tenant": "lab", "sub": self.user, "role": self.roles }));
        let mut headers = vec![format!("Authorization: Bearer {token}")];
        if self.sequenced {
            headers.push("Sec-WebSocket-Protocol: tidings.v1".to_owned());
        }
        let since = self.since.map(|since| format!("&since={since}")).unwrap_or_default();
        let request = format!("/api/ws?device={}{since}", self.device);
        Wire::open(address, &request, &headers, self.receive_buffer).await
    }

    pub(crate) async fn open(self, gateway: &Gateway) -> Wire {
        self.try_open(gateway).await.unwrap_or_else(|refused| panic!("the gateway refuses: {refused:?}"))
    }

    /// Opens a connection of `tidings.v1` and reads on until it has caught up.
    pub(crate) async fn returns(self, gateway: &Gateway) -> Return {
        let mut wire = self.sequenced().open(gateway).await;
        let mut missed = wire.until(|message| message["action"] == "caught_up").await;
        let caught_up = missed.pop().unwrap();
        let welcome = missed.remove(0);
        assert_eq!(welcome["action"], "welcome", "{welcome}");
        let gap = missed.iter().position(|message| message["action"] == "gap").map(|at| missed.remove(at));
        Return { wire, welcome, gap, missed, caught_up }
    }
}

/// What a client of `tidings.v1` hears on its return.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) wire: Wire,
    pub(crate) welcome: Value,
    pub(crate) gap: Option<Value>,
    pub(crate) missed: Vec<Value>,
    pub(crate) caught_up: Value,
}

impl Return {
    /// The numbers of what was missed.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        numbers(&self.missed)
    }

    /// The last sequence that was sent.
    pub(crate) fn last(&self) -> u64 {
        self.missed.last().expect("something was missed")["seq"].as_u64().unwrap()
    }

    /// Acknowledges all of it and leaves.
    pub(crate) async fn leave(mut self) {
        if let Some(last) = self.missed.last() {
            self.wire.ack(last["seq"].as_u64().unwrap()).await;
        }
        self.wire.close().await;
    }
}

/// The numbers of these messages.
pub(crate) fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["n"].as_u64().unwrap_or_else(|| panic!("{message}"))).collect()
}

/// The sequence in a position.
pub(crate) fn sequence_of(position: &Value) -> u64 {
    let (_, sequence) = position.as_str().and_then(|text| text.split_once('-')).expect("a position");
    sequence.parse().unwrap()
}
