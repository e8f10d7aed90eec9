//! How many refusals there were of whom, in a bounded space. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::limits::Block;

/// Refusals of one address that are written in a span of time.
const PER_ADDRESS: u64 = 60;
/// Refusals that are written in all.
const IN_ALL: u64 = 600;
/// Addresses that are told apart.
const ADDRESSES: usize = 4096;
/// Addresses whose counts are told one by one.
const TOLD: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    refusals: HashMap<Block, Count>,
    written: u64,
    /// Refusals of addresses for which there is no room; none of them is written.
    others: u64,
}

#[derive(Debug)]
struct Count {
    /// The first address of the block that was refused.
    address: IpAddr,
    written: u64,
    left_out: u64,
}

/// What was not written in a span of time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// The addresses with the most, and how many each.
    pub(super) addresses: Vec<(IpAddr, u64)>,
    /// Those of all other addresses.
    pub(super) others: u64,
}

impl Ledger {
    /// Counts a refusal and says whether it is written.
    pub(super) fn admits(&mut self, from: IpAddr) -> bool {
        let is_full = self.refusals.len() >= ADDRESSES;
        let block = Block::from(from);
        let count = match self.refusals.get_mut(&block) {
            Some(count) => count,
            None if is_full => {
                self.others += 1;
                return false;
            }
            None => self.refusals.entry(block).or_insert(Count { address: from, written: 0, left_out: 0 }),
        };
        if count.written < PER_ADDRESS && self.written < IN_ALL {
            count.written += 1;
            self.written += 1;
            return true;
        }
        count.left_out += 1;
        false
    }

    /// Ends the span of time and begins the next.
    pub(super) fn close(&mut self) -> Summary {
        let Self { refusals, others, .. } = std::mem::take(self);
        let left_out = refusals.into_values().map(|count| (count.address, count.left_out));
        let mut addresses: Vec<_> = left_out.filter(|(_, count)| *count > 0).collect();
        addresses.sort_unstable_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
        let untold = addresses.split_off(addresses.len().min(TOLD));
        Summary { addresses, others: others + untold.iter().map(|(_, count)| count).sum::<u64>() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn a_flood_from_one_address_is_counted() {
        let mut ledger = Ledger::default();
        let written = (0..1_000).filter(|_| ledger.admits(address(1))).count();
        assert_eq!(written, 60);
        assert!(ledger.admits(address(2)), "others are written");
        assert_eq!(ledger.close(), Summary { addresses: vec![(address(1), 940)], others: 0 });
        assert!(ledger.admits(address(1)), "the next span of time begins anew");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut ledger = Ledger::default();
        let from = |n: u128| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) + n));
        assert_eq!((0..100).filter(|n| ledger.admits(from(*n))).count(), 60);
        assert_eq!(ledger.close().addresses, [(from(0), 40)]);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded() {
        let mut ledger = Ledger::default();
        let written = (0..100_000).filter(|n| ledger.admits(address(*n))).count();
        assert_eq!((written, ledger.refusals.len()), (600, 4096));
        let summary = ledger.close();
        assert_eq!(summary.addresses.len(), 20);
        assert_eq!(summary.others, 100_000 - 600 - 20);
    }

    proptest! {
        /// Whatever comes, each refusal is written or told of.
        #[test]
        fn nothing_is_left_out_untold(froms in prop::collection::vec(0..60u32, 0..2_000)) {
            let mut ledger = Ledger::default();
            let written = froms.iter().filter(|from| ledger.admits(address(**from))).count();
            let Summary { addresses, others } = ledger.close();
            let told = others + addresses.iter().map(|(_, count)| count).sum::<u64>();
            prop_assert_eq!(written as u64 + told, froms.len() as u64);
        }
    }
}
