//! A proxy in front of a gateway that does what proxies do wrong, and reaches the gateway from an address of its own.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use time::format_description::well_known::Rfc2822;
use time::{Duration, OffsetDateTime};

/// The address from which it comes to the gateway.
pub(crate) const ADDRESS: &str = "127.0.0.3";

/// What is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crooked {
    /// Requests lose their `Upgrade`.
    pub(crate) strips: bool,
    /// Event streams are kept until they end.
    pub(crate) holds: bool,
    /// Answers are from the future.
    pub(crate) hours_ahead: i64,
}

impl Crooked {
    /// Serves this gateway; where WebSockets are.
    pub(crate) async fn start(self, gateway: &str) -> String {
        let target = gateway.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = target.clone();
                // A client may leave at any time.
                tokio::spawn(async move { drop(self.serve(client, &target).await) });
            }
        });
        format!("ws://{address}/api/ws")
    }

    async fn serve(self, mut client: TcpStream, target: &str) -> std::io::Result<()> {
        let (reading, mut writing) = client.split();
        let mut reading = BufReader::new(reading);
        let request = head(&mut reading).await?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("{ADDRESS}:0").parse().unwrap())?;
        let mut gateway = socket.connect(target.parse().unwrap()).await?;
        let (answers, mut asked) = gateway.split();
        let mut answers = BufReader::new(answers);
        let is_stripped = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            self.strips && matches!(name.as_str(), "upgrade" | "connection")
        };
        let kept: String = request.split_inclusive("\r\n").filter(|line| !is_stripped(line)).collect();
        asked.write_all(kept.as_bytes()).await?;
        if self.holds && request.starts_with("GET /api/sse") {
            let mut held = Vec::new();
            answers.read_to_end(&mut held).await?;
            return writing.write_all(&held).await;
        }
        let answer = head(&mut answers).await?;
        let date = OffsetDateTime::now_utc() + Duration::hours(self.hours_ahead);
        let date = date.format(&Rfc2822).unwrap().replace("+0000", "GMT");
        let dated = answer.split_inclusive("\r\n").map(|line| {
            let is_date = line.to_ascii_lowercase().starts_with("date:");
            if is_date { format!("date: {date}\r\n") } else { line.to_owned() }
        });
        writing.write_all(dated.collect::<String>().as_bytes()).await?;
        tokio::try_join!(copy(&mut answers, &mut writing), copy(&mut reading, &mut asked)).map(drop)
    }
}

/// Everything up to the empty line.
async fn head(reading: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reading.read_line(&mut head).await? > 0 {}
    Ok(head)
}
