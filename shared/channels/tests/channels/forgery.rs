//! Nobody reaches the operator's own network by a webhook (server-side request forgery).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tidings_channels::{Accepted, Channel, Failed, Resolve, Webhook};
use tidings_runtime::config::WebhookConfig;

use crate::delivery;
use crate::receiver::Receiver;
use crate::webhook::{config, target};

/// A name server that gives one answer after the other, the last again and again.
#[derive(Default)]
struct Names {
    answers: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn new(answers: &[(&'static str, &[&[&str]])]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let answers = answers.iter().map(|(host, answers)| (*host, answers.iter().map(parse).collect()));
        Arc::new(Self { answers: answers.collect(), asked: Mutex::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|name| *name == host).count();
        asked.push(host.to_owned());
        let answers = self.answers.get(host).ok_or(io::ErrorKind::NotFound)?;
        Ok(answers[before.min(answers.len() - 1)].clone())
    }
}

/// Every spelling of an address that a parser or the system's resolver may take for it.
#[tokio::test]
async fn no_spelling_of_an_address_reaches_this_machine() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let closed = Webhook::new(&WebhookConfig { allow_http: true, ..WebhookConfig::default() }).unwrap();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "172.16.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ];
    for host in hosts {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            let outcome = closed.send(&delivery(target(&url))).await;
            match outcome {
                Err(Failed::Never { reason }) => {
                    assert!(reason.contains("leads to no address that may be reached"), "{url} {reason}");
                }
                // No certificate is good for such a name, so no address of it is looked for.
                Err(Failed::Later { reason, .. }) if scheme == "https" => {
                    assert!(reason.ends_with("invalid dns name"), "{url} {reason}");
                }
                outcome => panic!("{url} {outcome:?}"),
            }
        }
    }
    assert_eq!(receiver.connections(), 0);

    // What is allowed is reached, and nothing beside it.
    let own = Ipv4Addr::LOCALHOST.to_string();
    let open = Webhook::new(&WebhookConfig {
        allowed_networks: vec![format!("{own}/32").parse().unwrap()],
        allow_http: true,
        ..WebhookConfig::default()
    });
    let open = open.unwrap();
    let outcome = open.send(&delivery(target(format!("http://{own}:{port}/")))).await;
    assert_eq!(outcome, Ok(Accepted { reference: None }));
    for host in ["127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let outcome = open.send(&delivery(target(format!("http://{host}:{port}/")))).await;
        assert!(matches!(outcome, Err(Failed::Never { .. })), "{host} {outcome:?}");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_only_a_checked_address_is_reached() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let names = Names::new(&[
        // What a name server says to a second question has no effect on the first.
        ("rebinds.example", &[&["127.0.0.1"], &["127.0.0.2"]]),
        ("mixed.example", &[&["169.254.169.254", "10.0.0.1", "127.0.0.1"]]),
        ("inside.example", &[&["169.254.169.254", "::1", "::ffff:127.0.0.1"]]),
        ("nothing.example", &[&[]]),
    ]);
    let config = WebhookConfig { allowed_networks: vec!["127.0.0.1/32".parse().unwrap()], ..config() };
    let send = async |host: &str| {
        // A channel of its own, so that no connection is used again.
        let webhook = Webhook::with_resolver(&config, Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
        webhook.send(&delivery(target(format!("http://{host}:{port}/")))).await
    };
    assert_eq!(send("rebinds.example").await, Ok(Accepted { reference: None }));
    assert_eq!((names.asked(), receiver.one().header("host")), (1, &*format!("rebinds.example:{port}")));
    assert!(matches!(send("rebinds.example").await, Err(Failed::Never { .. })));
    assert_eq!(send("mixed.example").await, Ok(Accepted { reference: None }));
    assert!(matches!(send("inside.example").await, Err(Failed::Never { .. })));
    assert_eq!((names.asked(), receiver.connections()), (4, 2));
    // What has no address now may have one later.
    for host in ["nothing.example", "unknown.example"] {
        assert!(matches!(send(host).await, Err(Failed::Later { .. })), "{host}");
    }
}
