//! The audit log: refused requests and administrators' actions. Lines of the log with the target `audit`.
//!
//! Each line says what happened, to which user, why, and from which address; none contains a token or a part of one.
//! Administrators' actions are always logged. Refusals cost an attacker nothing, so their number is bounded: per minute
//! so many of one address and so many in all are logged, the others are counted, and the counts are logged at the end of
//! the minute.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use ipnet::IpNet;
use tidings_net::AddressBlock;
use tidings_streams::connections::ConnectionName;
use tidings_streams::users::UserName;
use tokio_util::sync::CancellationToken;

use crate::auth::Administrator;
use crate::error::ApiError;

/// The time in which refusals are counted.
const SPAN: Duration = Duration::from_secs(60);

/// Refusals of one address that are logged in a span of time.
const PER_ADDRESS: u64 = 60;
/// Of these, so many are logged in any case.
const ASSURED: u64 = 2;
/// Refusals that are logged in all beyond those.
const SHARED: u64 = 600;
/// Addresses of one network that are counted one by one: a /16 of IPv4, a /32 of IPv6, which is what a provider has.
const PER_NETWORK: usize = 256;
/// Addresses that are counted one by one.
const ADDRESSES: usize = 4096;
/// Addresses whose counts are logged one by one.
const REPORTED: usize = 20;

/// The log of refusals.
#[derive(Default)]
pub(crate) struct Audit {
    ledger: Mutex<Ledger>,
}

impl Audit {
    /// Logs a refused request.
    pub(crate) fn refused(&self, what: &'static str, error: &ApiError, from: IpAddr) {
        let code = error.code();
        self.refused_with(what, (code.status(), code.as_str()), error, error.user(), from);
    }

    /// Logs a refusal with this status and code, or counts it. Only 401, 403 and 429 are about access.
    pub(crate) fn refused_with(
        &self,
        what: &'static str,
        (status, code): (StatusCode, &str),
        why: &dyn Display,
        who: Option<&UserName>,
        from: IpAddr,
    ) {
        let is_about_access = matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        );
        if !is_about_access || !self.ledger().admits(from) {
            return;
        }
        let (who, why) = (who.map(ToString::to_string), why.to_string());
        let (who, why, status) = (who.as_deref(), why.as_str(), status.as_u16());
        tracing::info!(target: "audit", what, who, status, code, why, %from, "refused");
    }

    /// Logs the counts of refusals that were not logged, every minute and at the end, until cancelled.
    pub(crate) async fn run(&self, cancelled: &CancellationToken) {
        while cancelled.run_until_cancelled(tokio::time::sleep(SPAN)).await.is_some() {
            self.close_span();
        }
        self.close_span();
    }

    fn close_span(&self) {
        let summary = self.ledger().close();
        for (from, refusals) in summary.addresses {
            tracing::info!(target: "audit", %from, refusals, "refusals that were not written");
        }
        if summary.others > 0 {
            let refusals = summary.others;
            tracing::info!(target: "audit", refusals, "refusals from other addresses that were not written");
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs an administrator's action.
pub(crate) fn done(by: &Administrator, what: &'static str, to: &dyn Display, why: Option<&str>) {
    let Administrator { tenant, user, from } = by;
    let (who, to) = (format!("{tenant}/{user}"), to.to_string());
    let (who, to) = (who.as_str(), to.as_str());
    tracing::info!(target: "audit", what, who, to, why, %from, "administration");
}

/// Logs a connection that was closed on request.
pub(crate) fn closed(
    connection: &ConnectionName,
    user: &dyn Display,
    from: IpAddr,
    by: &str,
    why: Option<&str>,
) {
    let (connection, user) = (connection.to_string(), user.to_string());
    let (connection, user) = (connection.as_str(), user.as_str());
    tracing::info!(target: "audit", what = "close", connection, user, by, why, %from, "a connection was closed");
}

/// Counts refused requests by address, in bounded memory.
///
/// The first refusals of each address are logged whatever others do; beyond those, all addresses share a budget. So a
/// flood, from however many addresses it comes, hides no other address: it uses up its own share and the common budget.
/// Addresses are counted one by one only as far as there is room, and no network can take more than a small part of it.
#[derive(Debug, Default)]
struct Ledger {
    refusals: HashMap<AddressBlock, Count>,
    /// How many of the addresses are in each network.
    networks: HashMap<IpNet, usize>,
    /// Logged refusals beyond the assured ones.
    written: u64,
    /// Refusals of addresses for which there is no room; none of them is logged.
    others: u64,
}

#[derive(Debug)]
struct Count {
    /// The first address of the block that was refused.
    address: IpAddr,
    written: u64,
    left_out: u64,
}

fn network_of(address: IpAddr) -> Option<IpNet> {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 16 } else { 32 };
    IpNet::new(address, bits).ok().map(|network| network.trunc())
}

/// What was not logged in a span of time.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    /// The addresses with the most, and how many each.
    addresses: Vec<(IpAddr, u64)>,
    /// Those of all other addresses.
    others: u64,
}

impl Ledger {
    /// Counts a refusal; `true` if it is to be logged.
    fn admits(&mut self, from: IpAddr) -> bool {
        let block = AddressBlock::from(from);
        if !self.refusals.contains_key(&block) && !self.has_room(from) {
            self.others += 1;
            return false;
        }
        let count = self.refusals.entry(block).or_insert(Count { address: from, written: 0, left_out: 0 });
        if count.written < ASSURED {
            count.written += 1;
            return true;
        }
        if count.written < PER_ADDRESS && self.written < SHARED {
            count.written += 1;
            self.written += 1;
            return true;
        }
        count.left_out += 1;
        false
    }

    /// Whether there is room for another address; then it counts in its network.
    fn has_room(&mut self, address: IpAddr) -> bool {
        if self.refusals.len() >= ADDRESSES {
            return false;
        }
        let Some(network) = network_of(address) else { return true };
        let known = self.networks.entry(network).or_default();
        let has_room = *known < PER_NETWORK;
        *known += usize::from(has_room);
        has_room
    }

    /// Ends the span of time and begins the next.
    fn close(&mut self) -> Summary {
        let Self { refusals, others, .. } = std::mem::take(self);
        let left_out = refusals.into_values().map(|count| (count.address, count.left_out));
        let mut addresses: Vec<_> = left_out.filter(|(_, count)| *count > 0).collect();
        addresses.sort_unstable_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
        let untold = addresses.split_off(addresses.len().min(REPORTED));
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
        assert!(ledger.admits(address(1)), "the next span of time begins at 0");
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
        // Each address once: as if all of the Internet took part.
        let written = (0..100_000).filter(|n| ledger.admits(address(n * 40_000))).count();
        assert_eq!((written, ledger.refusals.len()), (4096, 4096));
        assert!(ledger.networks.len() <= 4096);
        assert_eq!(ledger.close(), Summary { addresses: Vec::new(), others: 100_000 - 4096 });
    }

    #[test]
    fn a_flood_does_not_hide_others() {
        let mut ledger = Ledger::default();
        // All that a provider's networks of both kinds have, many times over.
        for n in 0..100_000_u32 {
            ledger.admits(address(0x0A00_0000 + n % 65_536));
            ledger.admits(Ipv6Addr::from_bits((0x2001_0db8 << 96) + (u128::from(n) << 64)).into());
        }
        for n in 0..1_000 {
            let honest = address(0xC000_0000 + (n << 18));
            assert!(ledger.admits(honest) && ledger.admits(honest), "{honest}");
        }
        assert_eq!(ledger.refusals.len(), 2 * 256 + 1_000);
    }

    proptest! {
        /// Whatever comes, each refusal is logged or counted.
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
