use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn pending(per_address: usize, all: usize) -> Arc<Pending> {
    let [per_address, all] = [per_address, all].map(|number| NonZeroUsize::new(number).unwrap());
    Pending::new(PendingLimits { per_address, all })
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

impl PendingConnection {
    fn is_displaced(&self) -> bool {
        self.displaced.is_cancelled()
    }
}

#[test]
fn an_address_may_hold_so_many() {
    let pending = pending(2, 10);
    let first = pending.enter(address(1)).unwrap();
    let second = pending.enter(address(1)).unwrap();
    assert!(pending.enter(address(1)).is_none());
    assert!(pending.enter(address(2)).is_some());
    drop(first);
    assert!(pending.enter(address(1)).is_some(), "who has become a WebSocket makes room");
    assert!(!second.is_displaced());
}

#[test]
fn the_newest_of_the_busiest_gives_way() {
    let pending = pending(10, 4);
    let busy: Vec<_> = (0..3).map(|_| pending.enter(address(1)).unwrap()).collect();
    let other = pending.enter(address(2)).unwrap();
    let newcomer = pending.enter(address(3)).unwrap();
    assert_eq!(busy.iter().map(PendingConnection::is_displaced).collect::<Vec<_>>(), [false, false, true]);
    assert!(pending.enter(address(1)).is_none(), "the busiest address displaces nobody");
    assert!(!other.is_displaced() && !newcomer.is_displaced());
    // What has been displaced leaves nothing behind when it ends.
    drop(busy);
    assert!(pending.enter(address(4)).is_some() && pending.enter(address(4)).is_some());
}

#[test]
fn where_nobody_is_busy_the_oldest_gives_way() {
    let pending = pending(10, 3);
    let waiting: Vec<_> = (0..3).map(|number| pending.enter(address(number)).unwrap()).collect();
    let newcomer = pending.enter(address(9)).unwrap();
    assert_eq!(waiting.iter().map(PendingConnection::is_displaced).collect::<Vec<_>>(), [true, false, false]);
    assert!(pending.enter(address(9)).is_none());
    assert!(!newcomer.is_displaced());
}

proptest! {
    /// Addresses come and go in any order: bounds hold, the first connection of an address finds room, and when
    /// everybody has gone nothing is left.
    #[test]
    fn bounds_hold(
        per_address in 1_usize..5,
        all in 1_usize..8,
        steps in proptest::collection::vec((0_u32..6, any::<bool>(), any::<proptest::sample::Index>()), 1..200),
    ) {
        let pending = pending(per_address, all);
        let mut held: Vec<(u32, PendingConnection)> = Vec::new();
        for (number, leaves, which) in steps {
            if leaves && !held.is_empty() {
                held.swap_remove(which.index(held.len()));
            } else {
                let is_first = !held.iter().any(|(other, _)| *other == number);
                let entered = pending.enter(address(number));
                prop_assert!(entered.is_some() || !is_first);
                held.extend(entered.map(|connection| (number, connection)));
            }
            held.retain(|(_, connection)| !connection.is_displaced());
            prop_assert!(held.len() <= all);
            let of = |number| held.iter().filter(|(other, _)| *other == number).count();
            prop_assert!((0..6).all(|number| of(number) <= per_address));
            let waiting = pending.waiting();
            prop_assert_eq!(waiting.connections.len(), held.len());
            prop_assert_eq!(waiting.busiest.last().map(|(most, _)| *most), (0..6).map(of).max().filter(|most| *most > 0));
        }
        drop(held);
        let waiting = pending.waiting();
        prop_assert!(waiting.connections.is_empty() && waiting.by_address.is_empty() && waiting.busiest.is_empty());
    }
}
