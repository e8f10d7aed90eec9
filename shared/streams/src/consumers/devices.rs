//! Limits the devices of a user, and chooses the device to remove for a new one.
//!
//! A device is often no more than a login: its name is the token's `sid` if the client gives none, so a user who logs
//! in every other day has sixteen within a month. Refusing the seventeenth would lock out the only device in use, for
//! the sake of logins that never return. Therefore the device that was seen longest ago is removed. If it returns after
//! all, it starts as a new device.
//!
//! A connected device is never removed: its gateway's next save would create it again, and seventeen devices would keep
//! replacing each other in sixteen places. When all are connected, the new device is refused.

use futures_util::{StreamExt as _, TryStreamExt as _, future};

use super::state::ConsumerState;
use super::{ConsumerName, ConsumerStore, ConsumerStoreError};

/// The maximum number of durable consumers of a user. A device whose gateway dies while it makes room may exceed it until
/// the next one appears.
pub const MAX_DEVICES: usize = 16;

/// Removes devices of the user until the new one fits.
pub(super) async fn make_room(
    store: &dyn ConsumerStore,
    name: &ConsumerName,
    now: u64,
) -> Result<(), ConsumerStoreError> {
    let devices = store.list(name.tenant(), Some(name.user())).filter(|listed| {
        // The new device may be stored already. An unreadable record affects one device only, and does not show whether
        // that device is connected.
        future::ready(match listed {
            Ok((device, _)) => device != name,
            Err(error) => !matches!(error, ConsumerStoreError::Damaged { .. }),
        })
    });
    let devices = devices.map_ok(|(device, stored)| (device, stored.state)).try_collect().await?;
    let Some(devices) = giving_way(devices, now) else {
        let (tenant, user) = (name.tenant().clone(), name.user().to_owned());
        return Err(ConsumerStoreError::TooManyDevices { tenant, user });
    };
    for device in devices {
        tracing::info!(%device, newcomer = %name, "removed a device to make room for a new one of the same user");
        store.remove(&device).await?;
    }
    Ok(())
}

/// Chooses the devices of a user to remove so that a new one fits, or returns `None` if too few can be removed.
pub(super) fn giving_way<D>(devices: Vec<(D, ConsumerState)>, now: u64) -> Option<Vec<D>> {
    let excess = (devices.len() + 1).saturating_sub(MAX_DEVICES);
    let mut away: Vec<_> = devices.into_iter().filter(|(_, state)| !state.is_connected(now)).collect();
    away.sort_by_key(|(_, state)| state.last_seen);
    (away.len() >= excess).then(|| away.into_iter().take(excess).map(|(device, _)| device).collect())
}

#[cfg(test)]
mod tests {
    use tidings_model::{Epoch, PlacedPosition, Position};

    use super::*;
    use crate::consumers::{Change, Presence, REFRESH};

    const NOW: u64 = 1_800_000_000;

    fn state(seen_at: u64, connected: bool) -> ConsumerState {
        let gateway = "gateway-1".to_owned();
        let presence = if connected { Presence::Connected(gateway) } else { Presence::Left(gateway) };
        let position = Position { epoch: Epoch(1), sequence: 0 };
        Change::new(PlacedPosition { generation: 0, position }, presence, seen_at).apply(None)
    }

    /// Devices by their age in seconds; a negative age means connected.
    #[track_caller]
    fn check(ages: impl IntoIterator<Item = i64>, expected: Option<&[i64]>) {
        let devices = ages.into_iter().map(|age| (age, state(NOW - age.unsigned_abs(), age < 0)));
        assert_eq!(giving_way(devices.collect(), NOW).as_deref(), expected);
    }

    #[test]
    fn who_was_seen_longest_ago_gives_way() {
        check(1..16, Some(&[]));
        check(1..17, Some(&[16]));
        check((1..17).rev(), Some(&[16]));
        check(1..20, Some(&[19, 18, 17, 16]));
        check((-15..0).chain([1]), Some(&[1]));
        check((-16..0).chain([1]), None);
        check(-16..0, None);
    }

    #[test]
    fn a_gateway_that_fell_silent_holds_no_place() {
        let silent = -(i64::try_from(REFRESH.as_secs()).unwrap() * 2 + 1);
        check((-15..0).chain([silent]), Some(&[silent]));
    }
}
