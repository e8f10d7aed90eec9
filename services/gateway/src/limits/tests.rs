use std::num::{NonZeroU32, NonZeroUsize};

use proptest::prelude::*;
use tidings_protocol::error::ErrorCode;

use super::*;

fn limits(change: impl FnOnce(&mut GatewayConfig)) -> Arc<TenantLimits> {
    let mut all = GatewayConfig::default();
    change(&mut all);
    TenantLimits::new(&all, &TenantConfig::default())
}

fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

#[test]
fn connections_of_a_user_and_of_a_tenant() {
    let limits = limits(|all| {
        all.connections_per_user = NonZeroUsize::new(2).unwrap();
        all.connections_per_tenant = NonZeroUsize::new(3);
    });
    let first = limits.admit("ada").ok().unwrap();
    let second = limits.admit("ada").ok().unwrap();
    assert_eq!(limits.admit("ada").err().map(|error| error.code()), Some(ApiCode::TooManyConnectionsOfUser));
    let third = limits.admit("bo").ok().unwrap();
    assert_eq!(limits.admit("cy").err().map(|error| error.code()), Some(ApiCode::TooManyConnectionsOfTenant));
    drop(first);
    let again = limits.admit("ada").ok().unwrap();
    drop((second, third, again));
    let permits = limits.permits();
    assert_eq!((permits.all, permits.by_user.len()), (0, 0));
}

#[test]
fn attempts_of_a_user() {
    let limits = limits(|all| all.attempt_burst_per_user = some(2));
    for _ in 0..2 {
        assert!(limits.admit("ada").is_ok());
    }
    assert!(limits.admit("ada").is_err_and(|error| error.code() == ApiCode::TooManyAttempts));
    assert!(limits.admit("bo").is_ok());
    assert!(limits.admit_page("ada").is_ok(), "requests for pages count apart");
}

#[test]
fn messages_of_a_connection_and_of_its_user() {
    let limits = limits(|all| {
        (all.messages_per_minute, all.message_burst) = (some(1), some(3));
        (all.user_messages_per_minute, all.user_message_burst) = (some(2), some(4));
    });
    let permits = ["ada", "ada", "bo"].map(|user| limits.admit(user).ok().unwrap());
    let [mut one, mut other, mut bo] = permits.map(MessageBudget::new);
    let text = |verdict: Verdict| match verdict {
        Verdict::Refused(error) => {
            assert_eq!(error.code(), ErrorCode::RateLimited);
            let json = error.to_json(time::OffsetDateTime::UNIX_EPOCH);
            json.split('"').find(|text| text.starts_with("more than")).unwrap().to_owned()
        }
        verdict => panic!("{verdict:?}"),
    };
    for _ in 0..3 {
        assert_eq!(one.message(), Verdict::Admitted);
    }
    assert_eq!(text(one.message()), "more than 1 messages per minute");
    assert_eq!(other.message(), Verdict::Admitted, "its own limit");
    let of_user = "more than 2 messages per minute on all connections of this user";
    assert_eq!(text(other.message()), of_user);
    for _ in 0..3 {
        assert_eq!(bo.message(), Verdict::Admitted, "another user");
    }
    // As many refusals as a burst has are answered, and then no more.
    for _ in 0..2 {
        text(one.message());
    }
    assert_eq!(one.message(), Verdict::Regardless);
}

#[test]
fn frames_and_bytes_of_a_connection() {
    let limits = limits(|all| {
        (all.frames_per_minute, all.frame_burst) = (some(1), some(10));
        (all.bytes_per_minute, all.byte_burst) = (1, 1000);
    });
    for (frames, bytes, text) in [(9, 1, "more than 1 frames"), (1, 900, "more than 1 bytes")] {
        let mut budget = MessageBudget::new(limits.admit("ada").ok().unwrap());
        assert_eq!(budget.traffic(frames, bytes), Verdict::Admitted);
        let Verdict::Refused(error) = budget.traffic(frames, bytes) else { panic!("no warning") };
        assert!(error.message().starts_with(text), "{error:?}");
        assert_eq!(budget.traffic(1, 1), Verdict::Admitted, "warned once");
        assert_eq!(budget.traffic(frames, bytes), Verdict::Regardless);
    }
}

#[test]
fn publishing_of_a_tenant() {
    let limits = limits(|all| (all.publish_per_minute, all.publish_burst) = (some(1), some(2)));
    let budget = MessageBudget::new(limits.admit("ada").ok().unwrap());
    assert_eq!((budget.publish(), budget.publish()), (Ok(()), Ok(())));
    let wait = budget.publish().unwrap_err();
    assert!(Duration::from_secs(50) < wait && wait <= Duration::from_secs(60), "{wait:?}");
}

#[test]
fn a_tenants_own_table_goes_before_what_all_have() {
    let all = GatewayConfig {
        max_frame_bytes: 5,
        connections_per_tenant: NonZeroUsize::new(7),
        ..Default::default()
    };
    let own = TenantConfig {
        connections_per_tenant: NonZeroUsize::new(1),
        max_message_bytes: Some(9),
        message_burst: NonZeroU32::new(1),
        ..Default::default()
    };
    let limits = TenantLimits::new(&all, &own);
    let mut budget = MessageBudget::new(limits.admit("ada").ok().unwrap());
    assert_eq!((budget.max_frame_bytes(), budget.max_message_bytes()), (5, 9));
    assert_eq!(limits.admit("bo").err().map(|error| error.code()), Some(ApiCode::TooManyConnectionsOfTenant));
    assert_eq!(budget.message(), Verdict::Admitted);
    assert!(matches!(budget.message(), Verdict::Refused(_)));
}

proptest! {
    /// Whatever order connections come and go in, exactly those count that are there.
    #[test]
    fn seats_are_counted_exactly(
        steps in proptest::collection::vec((0_u8..4, any::<bool>(), any::<proptest::sample::Index>()), 1..200),
    ) {
        let limits = limits(|all| {
            all.attempt_burst_per_user = some(1_000_000);
            all.connections_per_user = NonZeroUsize::new(3).unwrap();
            all.connections_per_tenant = NonZeroUsize::new(8);
        });
        let mut held: Vec<(u8, ConnectionPermit)> = Vec::new();
        for (user, leaves, which) in steps {
            if leaves && !held.is_empty() {
                held.swap_remove(which.index(held.len()));
                continue;
            }
            let of_user = held.iter().filter(|(other, _)| *other == user).count();
            let admitted = limits.admit(&user.to_string());
            prop_assert_eq!(admitted.is_ok(), of_user < 3 && held.len() < 8);
            held.extend(admitted.ok().map(|permit| (user, permit)));
        }
        drop(held);
        let permits = limits.permits();
        prop_assert_eq!((permits.all, permits.by_user.len()), (0, 0));
    }
}
