//! `tidings send`: a client that sends what it is given, one message after the other, and prints the answers and whatever else
//! comes meanwhile. What it has printed is acknowledged, so without `--device` it is a device of its own.

use std::io::BufRead as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value};
use tidings_client::{Client, RequestError, Requests};
use tidings_model::json;
use tidings_runtime::config::SecretRule;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::arguments::SendOptions;
use crate::client::{self, Form, Screen, advise};
use crate::failure::Failure;
use crate::output::{print_message, remark};
use crate::serve;

/// The device, unless another one is named.
const DEVICE: &str = "tidings-send";

/// Sends and prints until everything is answered. Fails if a message was refused.
pub(crate) async fn run(file: Option<&Path>, options: &SendOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let (settings, url) = client::settings(&config.gateway, &options.connect)?;
    let settings = match &options.device {
        Some(device) => settings.device(device),
        None => settings.device(DEVICE).since("new"),
    };
    let mut client = Client::new(settings).map_err(advise)?;
    let requests = client.requests();
    let mut screen = Screen::new(url, Form::Bodies, None);
    let mut sending = std::pin::pin!(send_all(&options.message, &requests, options.within));
    let are_taken = loop {
        tokio::select! {
            biased;
            sent = &mut sending => break sent?,
            shown = show_next(&mut client, &mut screen) => shown?,
        }
    };
    let failing = async {
        loop {
            if let Err(failure) = show_next(&mut client, &mut screen).await {
                break failure;
            }
        }
    };
    if let Ok(failure) = timeout(options.stay, failing).await {
        return Err(failure);
    }
    client.close().await.map_err(advise)?;
    Ok(if are_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn show_next(client: &mut Client, screen: &mut Screen) -> Result<(), Failure> {
    screen.show(client.next().await.map_err(advise)?).map(drop)
}

/// Sends all messages; false if one was refused.
async fn send_all(given: &[String], requests: &Requests, within: Duration) -> Result<bool, Failure> {
    let mut are_taken = true;
    for given in given {
        if given == "-" {
            let mut lines = lines();
            while let Some(line) = lines.recv().await {
                are_taken &= send(message(&line?)?, requests, within).await?;
            }
        } else if let Some(path) = given.strip_prefix('@') {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("cannot read @{path}: {error}"))?;
            are_taken &= send(message(&text)?, requests, within).await?;
        } else {
            are_taken &= send(message(given)?, requests, within).await?;
        }
    }
    Ok(are_taken)
}

/// The lines of standard input as they come, without empty ones. A thread waits for them, which does not keep the process from
/// ending.
fn lines() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let is_empty = line.as_ref().is_ok_and(|line| line.trim().is_empty());
            if !is_empty && sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn message(text: &str) -> Result<Map<String, Value>, Failure> {
    let shown = || text.chars().take(80).collect::<String>();
    let message = match json::parse(text.as_bytes()) {
        Ok(Value::Object(message)) => message,
        Ok(_) => {
            return Err(format!("{:?} is not a JSON object, such as {{\"action\":\"ping\"}}", shown()).into());
        }
        Err(error) => return Err(format!("{:?} is not JSON: {error}", shown()).into()),
    };
    if message.get("action").and_then(Value::as_str) == Some("ack") {
        return Err("`ack` has no answer, and what is printed is acknowledged by itself".into());
    }
    Ok(message)
}

/// Prints the answer; false if it is a refusal.
async fn send(message: Map<String, Value>, requests: &Requests, within: Duration) -> Result<bool, Failure> {
    match requests.ask(message, within).await {
        Ok(answer) => print_message(&answer).map(|()| true),
        Err(RequestError::Refused { code, message, answer }) => {
            print_message(&answer)?;
            remark([&*format!("the gateway refuses the message: {message} ({code})")]);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
