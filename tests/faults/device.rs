//! Devices that come and go: they stay, leave for a while, change the gateway, or stop reading.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use harness::{SECRET, token};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::deployment::{Deployment, TENANTS, USERS, user};
use crate::ledger::{Ledger, Line};
use crate::view::{Kind, View, Wrong};

/// For a handshake, and for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(50);

/// All devices.
pub(crate) struct Devices {
    tasks: JoinSet<()>,
    seen: Vec<Arc<Seen>>,
    settles: Arc<AtomicBool>,
}

/// A device's view, and whose it is.
#[derive(Debug)]
pub(crate) struct Seen {
    personal: Line,
    topic: Line,
    view: Mutex<View>,
}

impl Seen {
    pub(crate) fn view<T>(&self, look: impl FnOnce(&mut View) -> T) -> T {
        look(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What of all that was stored has not come.
    pub(crate) fn missing(&self, ledger: &Ledger) -> Vec<String> {
        let (personal, topic) = (ledger.stored_of(&self.personal), ledger.stored_of(&self.topic));
        let is_forgotten = |kind, number| match kind {
            Kind::Personal => ledger.is_forgotten(&self.personal, number),
            Kind::Topic => ledger.is_forgotten(&self.topic, number),
        };
        self.view(|view| view.missing(personal, topic, is_forgotten))
    }
}

/// Starts two devices of each user: one that acknowledges and is subscribed to the topic, and a plain one.
pub(crate) fn start(ledger: &Arc<Ledger>, deployment: &Deployment, seed: u64) -> Devices {
    let settles = Arc::new(AtomicBool::new(false));
    let mut devices = Devices { tasks: JoinSet::new(), seen: Vec::new(), settles: Arc::clone(&settles) };
    for tenant in TENANTS {
        for (user, is_sequenced) in
            (0..USERS).flat_map(|number| [(user(number), true), (user(number), false)])
        {
            let name = format!("{tenant}/{user}/{}", if is_sequenced { "sequenced" } else { "plain" });
            let seen = Arc::new(Seen {
                personal: (tenant.to_owned(), user.clone()),
                topic: (tenant.to_owned(), String::new()),
                view: Mutex::new(View::new(name)),
            });
            devices.seen.push(Arc::clone(&seen));
            let device = Device {
                ledger: Arc::clone(ledger),
                gateways: deployment.gateways(),
                random: fastrand::Rng::with_seed(seed ^ devices.seen.len() as u64),
                settles: Arc::clone(&settles),
                token: token(SECRET, json!({ "tenant": tenant, "sub": user })),
                is_sequenced,
                seen,
            };
            devices.tasks.spawn(device.run());
        }
    }
    devices
}

impl Devices {
    /// From now on they stay connected and read.
    pub(crate) fn settle(&self) {
        self.settles.store(true, Ordering::Relaxed);
    }

    /// Waits until each has everything that was stored; says what is missing if that takes too long.
    #[expect(clippy::print_stdout, reason = "a run that gives up tells for what it waited")]
    pub(crate) async fn complete(&self, ledger: &Ledger, bound: Duration) {
        let (mut poll, end) = (interval(POLL), Instant::now() + bound);
        loop {
            let missing: Vec<_> = self.seen.iter().flat_map(|seen| seen.missing(ledger)).collect();
            if missing.is_empty() {
                return;
            }
            if Instant::now() >= end {
                return println!("gave up after {bound:?}: {missing:#?}");
            }
            poll.tick().await;
        }
    }

    /// Ends them. What each has seen.
    pub(crate) async fn stop(mut self) -> Vec<Arc<Seen>> {
        self.tasks.shutdown().await;
        self.seen
    }
}

struct Device {
    ledger: Arc<Ledger>,
    gateways: Vec<SocketAddr>,
    random: fastrand::Rng,
    settles: Arc<AtomicBool>,
    token: String,
    is_sequenced: bool,
    seen: Arc<Seen>,
}

type Socket = WebSocketStream<TcpStream>;

impl Device {
    async fn run(mut self) {
        let mut gateway = self.random.usize(..self.gateways.len());
        loop {
            let Some(mut socket) = self.open(self.gateways[gateway % self.gateways.len()]).await else {
                gateway += 1;
                sleep(Duration::from_millis(self.random.u64(50..500))).await;
                continue;
            };
            let moment = self.ledger.now();
            self.seen.view(|view| {
                view.connected(moment);
                view.remember(&format!("{} opened at gateway {}", now(), gateway % self.gateways.len()));
            });
            self.stay(&mut socket).await;
            // To another gateway at once, or back after a while.
            if self.random.bool() {
                gateway += 1;
            } else {
                sleep(Duration::from_millis(self.random.u64(..3_000))).await;
            }
        }
    }

    async fn open(&self, gateway: SocketAddr) -> Option<Socket> {
        let device = if self.is_sequenced { "sequenced" } else { "plain" };
        let mut request = format!("ws://{gateway}/api/ws?device={device}").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("Authorization", format!("Bearer {}", self.token).parse().unwrap());
        if self.is_sequenced {
            headers.insert("Sec-WebSocket-Protocol", "tidings.v1".parse().unwrap());
        }
        let connecting = async { client_async(request, TcpStream::connect(gateway).await.ok()?).await.ok() };
        timeout(PATIENCE, connecting).await.ok()?.map(|(socket, _)| socket)
    }

    /// Reads for some seconds, or until the connection breaks; then says goodbye, mostly.
    async fn stay(&mut self, socket: &mut Socket) {
        if self.is_sequenced && !self.seen.view(|view| view.is_subscribed()) {
            let subscribe = json!({ "action": "subscribe", "topics": ["news"] });
            if !send(socket, &subscribe).await {
                return;
            }
        }
        let end = Instant::now() + Duration::from_millis(self.random.u64(500..10_000));
        if self.random.u8(..10) == 0 {
            // One that does not read for a while.
            sleep(Duration::from_millis(self.random.u64(500..3_000))).await;
        }
        while Instant::now() < end || self.settles.load(Ordering::Relaxed) {
            let next = timeout_at(Instant::now() + POLL, socket.next()).await;
            match next {
                Ok(Some(Ok(Message::Text(text)))) => self.receive(socket, &text).await,
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return,
                Ok(Some(Ok(_))) | Err(_) => {}
            }
        }
        if self.random.u8(..4) > 0 {
            self.leave(socket).await;
        }
    }

    async fn receive(&mut self, socket: &mut Socket, text: &str) {
        if let Some(sequence) = self.note(text)
            && self.random.u8(..4) == 0
        {
            send(socket, &json!({ "action": "ack", "seq": sequence })).await;
        }
    }

    /// Takes note of a message. Its sequence, if it has one.
    fn note(&self, text: &str) -> Option<u64> {
        let message: Value = serde_json::from_str(text).unwrap();
        self.seen.view(|view| view.remember(&format!("{} {text}", now())));
        let kind = match message["type"].as_str() {
            Some("note") => Kind::Personal,
            Some("news") => Kind::Topic,
            _ => {
                self.control(&message);
                return None;
            }
        };
        let (sequence, number) = (message["seq"].as_u64(), message["number"].as_u64().unwrap());
        if kind == Kind::Personal && message["user"] != self.seen.personal.1.as_str() {
            self.seen.view(|view| view.violation(Wrong::Foreign, &format!("foreign message {message}")));
        }
        let moment = self.ledger.now();
        let line = if kind == Kind::Personal { &self.seen.personal } else { &self.seen.topic };
        // A plain client is told of no gap.
        if sequence.is_some()
            && let Some(loss) = self.ledger.loss(line)
        {
            self.seen.view(|view| view.check_told(kind, number, &loss));
        }
        if self.seen.view(|view| view.received(kind, number, sequence, moment)) {
            self.ledger.delivered(line, number);
        }
        sequence
    }

    fn control(&self, message: &Value) {
        match message["action"].as_str() {
            Some("subscribed") => {
                let from = self.ledger.begun(&self.seen.topic) + 1;
                self.seen.view(|view| view.subscribed(from));
            }
            Some("welcome" | "caught_up") => {
                let position = message["position"].as_str().unwrap_or_default();
                let now = self.ledger.now();
                self.seen.view(|view| view.positioned(position, now));
            }
            Some("gap") => {
                let now = self.ledger.now();
                self.seen.view(|view| view.gap(&message.to_string(), now));
            }
            _ => {}
        }
    }

    /// Acknowledges all and closes. A gateway writes positions about once a second; whoever is confirmed a topic knows that
    /// their position is stored, too, and what it covers must not come again.
    async fn leave(&mut self, socket: &mut Socket) {
        let at = self.ledger.now();
        if let Some(mark) = self.seen.view(|view| view.mark()) {
            send(socket, &json!({ "action": "ack", "seq": mark.sequence })).await;
            send(socket, &json!({ "action": "subscribe", "topics": ["news"] })).await;
            if timeout(PATIENCE, self.until_confirmed(socket)).await.unwrap_or(false) {
                self.seen.view(|view| view.acknowledged(mark, at));
            }
        }
        let _ = timeout(PATIENCE, socket.close(None)).await;
    }

    async fn until_confirmed(&self, socket: &mut Socket) -> bool {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            self.note(&text);
            if text.contains("\"subscribed\"") {
                return true;
            }
        }
        false
    }
}

/// The time of day in UTC, as in logs.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (seconds, millis) = (since.as_secs() % 86_400, since.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

async fn send(socket: &mut Socket, message: &Value) -> bool {
    matches!(timeout(PATIENCE, socket.send(Message::text(message.to_string()))).await, Ok(Ok(())))
}
