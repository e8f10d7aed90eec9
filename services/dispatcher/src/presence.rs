//! Tells as facts when users of a tenant connect and disconnect.
//!
//! Gateways note in `CONSUMERS` where each device is connected, and renew one lease each. This follows both, compares them with
//! the last facts (`board`), and writes a fact where they differ. A fact is written behind the last one about its user, and only
//! if it says something else than that one: so there is one for each change, whichever dispatcher is killed.

mod board;

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tidings_model::Tenant;
use tidings_streams::Retry;
use tidings_streams::consumers::{ConsumerName, ConsumerNews, ConsumerState, ConsumerWatch};
use tidings_streams::deliveries::{GatewayLeases, LeaseNews, PresenceFact, PresenceStatus};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::board::{Board, Change, Moment};
use crate::deliver::Deliverer;
use crate::error::DispatcherError;
use crate::parts::Parts;

/// How often it is looked what has settled and which leases have ended.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked which facts are about to expire.
const REPEAT: Duration = Duration::from_secs(60);

/// Tells until it is stopped, in the term of the deliverer. Waits while NATS is away.
pub(crate) async fn tell(deliverer: &Deliverer, tenant: &Tenant, stopping: &CancellationToken) {
    if !deliverer.parts.presence.tenants.contains(tenant) {
        return;
    }
    let mut retry = Retry::to("tell who is connected");
    while !stopping.is_cancelled() {
        let Some(consumers) = deliverer.parts.consumers.watch(tenant) else {
            tracing::warn!(
                %tenant, "who is connected cannot be told with `consumers.store = \"jetstream\"`, only with \"kv\""
            );
            return;
        };
        let telling = async {
            let mut teller = Teller::open(deliverer, tenant, consumers).await?;
            retry.succeeded();
            Ok::<_, DispatcherError>(teller.run().await)
        };
        let Some(told) = Box::pin(stopping.run_until_cancelled(telling)).await else { return };
        let (Ok(error) | Err(error)) = told;
        retry.failed(&error);
        retry.wait().await;
    }
}

struct Teller<'d> {
    deliverer: &'d Deliverer,
    parts: &'d Arc<Parts>,
    tenant: &'d Tenant,
    consumers: ConsumerWatch,
    leases: GatewayLeases,
    board: Board,
    /// Whether all devices are known; before, nobody can be said to be gone.
    is_complete: bool,
}

impl<'d> Teller<'d> {
    async fn open(
        deliverer: &'d Deliverer,
        tenant: &'d Tenant,
        consumers: ConsumerWatch,
    ) -> Result<Self, DispatcherError> {
        let (parts, deliveries) = (&deliverer.parts, &deliverer.parts.deliveries);
        let leases = deliveries.gateway_leases().await?;
        let settings = &parts.presence;
        let mut board =
            Board::new(settings.settling, settings.lease, deliveries.facts_are_kept(), Instant::now());
        let mut facts = deliveries.presence(tenant);
        while let Some(stored) = facts.try_next().await? {
            if stored.fact.status == PresenceStatus::Connected {
                board.remember(stored.fact.user, stored.fact.since, stored.at);
            }
        }
        Ok(Self { deliverer, parts, tenant, consumers, leases, board, is_complete: false })
    }

    /// Tells until something fails, and returns that.
    async fn run(&mut self) -> DispatcherError {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut repeat = interval(REPEAT);
        repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What has come counts before what has not: a process that was stopped for a while has much to read.
            tokio::select! {
                biased;
                news = self.leases.next() => self.hear(news),
                news = self.consumers.next() => self.see(news),
                _ = look.tick(), if self.is_complete => {
                    let now = self.now();
                    self.board.look(now);
                    let settled = self.board.settled(now);
                    if let Err(error) = self.write(settled).await {
                        return error;
                    }
                }
                _ = repeat.tick(), if self.is_complete => {
                    let old = self.board.to_repeat(self.now());
                    if let Err(error) = self.write(old).await {
                        return error;
                    }
                }
            }
        }
    }

    fn hear(&mut self, news: LeaseNews) {
        let now = self.now();
        match news {
            LeaseNews::Renewed(gateway) => self.board.hear(&gateway, now),
            LeaseNews::Interrupted => self.board.hears_again(now.instant),
        }
    }

    fn see(&mut self, news: ConsumerNews) {
        let now = self.now();
        match news {
            ConsumerNews::All(all) => {
                let connected = all.into_iter().filter_map(|(name, state)| {
                    let gateway = gateway(state.as_ref())?.to_owned();
                    Some((name.user().to_owned(), name.device().to_owned(), gateway))
                });
                self.board.replace(connected, now);
                self.is_complete = true;
            }
            ConsumerNews::One(name, state) => self.see_one(&name, state.as_ref(), now),
        }
    }

    fn see_one(&mut self, name: &ConsumerName, state: Option<&ConsumerState>, now: Moment) {
        self.board.see(name.user(), name.device(), gateway(state), now);
    }

    /// Writes facts while this dispatcher leads.
    async fn write(&mut self, changes: Vec<Change>) -> Result<(), DispatcherError> {
        let deliveries = &self.parts.deliveries;
        for change in changes {
            self.deliverer.led().await;
            let Change { user, is_connected, since, is_repeated } = change;
            let status = if is_connected { PresenceStatus::Connected } else { PresenceStatus::Disconnected };
            let last = deliveries.presence_of(self.tenant, &user).await?;
            let before = last.as_ref().map_or(PresenceStatus::Disconnected, |last| last.fact.status);
            // An answer was lost, or another dispatcher has led in between.
            if before != status || is_repeated {
                let fact = PresenceFact { user: user.clone(), status, since, is_repeated };
                let expected = last.map_or(0, |last| last.sequence);
                if !deliveries.note_presence(self.tenant, &fact, expected).await? {
                    return Err(DispatcherError::Overtaken);
                }
            }
            self.board.told(&user, is_connected, since, self.now());
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        Moment { instant: Instant::now(), wall: (self.parts.clock)() }
    }
}

/// The gateway to which a device is connected.
fn gateway(state: Option<&ConsumerState>) -> Option<&str> {
    state?.connected.as_deref()
}
