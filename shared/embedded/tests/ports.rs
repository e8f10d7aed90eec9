//! The error for a busy port names it, at the first start and after an outage.
//!
//! One test in a program of its own: a process that another test is starting would keep the very listener open that
//! this test has just closed, until it runs its own program.

use std::net::{Ipv4Addr, TcpListener};

use tidings_embedded::{Error, NatsServer, Options};

#[tokio::test]
async fn a_busy_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let start = || NatsServer::start(Options::new(folder.path()).port(port));
    let check = |error: Error| {
        assert!(matches!(error, Error::PortBusy { port: named } if named == port), "{error:?}");
        assert!(
            error.to_string().starts_with(&format!("port {port} is in use by another process")),
            "{error}"
        );
    };

    check(start().await.unwrap_err());

    drop(listener);
    let mut server = start().await.unwrap();
    assert_eq!(server.port(), port);

    server.kill().await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    check(server.restart().await.unwrap_err());

    drop(listener);
    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
}
