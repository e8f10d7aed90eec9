//! Chooses the server to try next.

use std::sync::{Mutex, PoisonError};

use async_nats::{ReconnectToServer, Server, ServerAddr};

/// Records the order in which servers were tried. The next one is the server that was tried longest ago: the server
/// that was just lost, or could not be reached, comes last.
#[derive(Debug, Default)]
pub(super) struct Servers {
    tried: Mutex<Vec<ServerAddr>>,
}

impl Servers {
    /// Returns a server that was not tried yet, else the one that was tried longest ago.
    pub(super) fn choose(&self, pool: &[Server]) -> Option<ReconnectToServer> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.retain(|addr| pool.iter().any(|server| server.addr == *addr));
        let rank = |server: &&Server| {
            let turn = tried.iter().position(|addr| *addr == server.addr).map(|turn| turn + 1);
            (turn.unwrap_or_default(), fastrand::u64(..))
        };
        let addr = pool.iter().min_by_key(rank)?.addr.clone();
        tried.retain(|other| *other != addr);
        tried.push(addr.clone());
        // The client chooses the pause by the number of attempts in a row.
        Some(ReconnectToServer { addr, delay: None })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn server(port: usize) -> Server {
        let addr = format!("nats://127.0.0.1:{port}").parse().unwrap();
        Server { addr, failed_attempts: 0, did_connect: false, is_discovered: false, last_error: None }
    }

    fn port(servers: &Servers, pool: &[Server]) -> u16 {
        servers.choose(pool).unwrap().addr.port()
    }

    #[test]
    fn the_order_is_random_and_each_server_has_its_turn() {
        let pool = [server(1), server(2), server(3)];
        let firsts: BTreeSet<_> = (0..200).map(|_| port(&Servers::default(), &pool)).collect();
        assert_eq!(firsts, BTreeSet::from([1, 2, 3]));
        for _ in 0..50 {
            let servers = Servers::default();
            let turns: Vec<_> = (0..9).map(|_| port(&servers, &pool)).collect();
            assert_eq!(BTreeSet::from_iter(turns[..3].to_vec()), BTreeSet::from([1, 2, 3]));
            assert_eq!((&turns[..3], &turns[3..6]), (&turns[3..6], &turns[6..]));
        }
    }

    #[test]
    fn the_server_that_was_lost_comes_last_and_is_better_than_none() {
        for _ in 0..50 {
            let servers = Servers::default();
            assert_eq!(port(&servers, &[server(1)]), 1);
            assert_ne!(port(&servers, &[server(1), server(2), server(3)]), 1);
        }
        let servers = Servers::default();
        assert_eq!([port(&servers, &[server(1)]), port(&servers, &[server(1)])], [1, 1]);
        assert_eq!(port(&servers, &[server(1), server(2)]), 2);
        assert!(servers.choose(&[]).is_none());
    }
}
