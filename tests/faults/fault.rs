//! What can happen, one after another, drawn from a seed.

use std::time::Duration;

use harness::{FlakyProxy, Tidings, within};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::deployment::{Deployment, TENANTS};
use crate::ledger::Ledger;
use crate::options::Options;
use crate::servers::{PATIENCE, SERVERS};

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillServer,
    KillAllServers,
    PauseServer,
    WipeServer,
    RollServers,
    /// A server that stays up is cut off from the others.
    CutOffServer,
    /// As packets that are dropped.
    SilenceServer,
    /// Two servers do not reach each other, and the third reaches both.
    CutRoute,
    FillStore,
    FillAllStores,
    /// A server comes back with what it had stored some time ago.
    RollBackServer,
    /// All come back with what they had stored.
    RollBackAllServers,
    StepDown,
    KillService,
    PauseService,
    /// Both projectors of a shard in turn, and a rebuild then.
    PauseProjectorsInTurn,
    RestartService,
    RollServices,
    CutOffService,
    SilenceService,
    SilenceOneLink,
}

/// One round: what takes long or changes much comes once, everything else twice.
const SELDOM: [Fault; 9] = [
    Fault::KillAllServers,
    Fault::WipeServer,
    Fault::RollServers,
    Fault::FillStore,
    Fault::FillAllStores,
    Fault::RollBackServer,
    Fault::SilenceServer,
    Fault::RollServices,
    Fault::PauseProjectorsInTurn,
];
const OFTEN: [Fault; 11] = [
    Fault::KillServer,
    Fault::PauseServer,
    Fault::CutOffServer,
    Fault::CutRoute,
    Fault::StepDown,
    Fault::KillService,
    Fault::PauseService,
    Fault::RestartService,
    Fault::CutOffService,
    Fault::SilenceService,
    Fault::SilenceOneLink,
];
const STREAMS: [&str; 5] = ["EVENTS", "ENVELOPES", "ENVELOPES_1", "KV_CONSUMERS", "KV_PLACEMENTS"];
const ALL_SERVERS: [usize; SERVERS] = [0, 1, 2];
/// Long enough for the other projector to take over.
const TAKEOVER: Duration = Duration::from_secs(7);

/// What came of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    /// To a process of ours or a stream; empty for servers.
    pub(crate) to: &'static str,
    /// How long nothing was stored, and nothing was delivered.
    pub(crate) storing: Duration,
    pub(crate) delivering: Duration,
}

/// Draws faults. Each kind comes once before any comes again.
pub(crate) struct Faults {
    options: Options,
    random: fastrand::Rng,
    next: Vec<Fault>,
    /// A rebuild or a move under way.
    command: Option<Tidings>,
    /// Servers whose stores were copied some time ago.
    copied: Vec<usize>,
}

impl Faults {
    pub(crate) fn new(options: Options) -> Self {
        let random = fastrand::Rng::with_seed(options.seed);
        Self { options, random, next: Vec::new(), command: None, copied: Vec::new() }
    }

    /// Lets one happen, puts it right, and waits until everything goes on. An error says what does not.
    pub(crate) async fn next(
        &mut self,
        deployment: &mut Deployment,
        ledger: &Ledger,
    ) -> Result<Outcome, String> {
        let fault = self.draw();
        if self.options.moves > 0.0 && self.random.f64() < self.options.moves {
            self.command = Some(self.just_move(deployment));
        } else if self.random.u8(..3) == 0 {
            self.command = Some(self.rebuild_or_move(deployment));
        }
        ledger.fault_begins();
        let hung = |why: String| format!("after {fault:?}: {why}");
        let to = self.inflict(fault, deployment, ledger).await.map_err(hung)?;
        deployment.heal().await.map_err(hung)?;
        ledger.fault_ends();
        let what = format!("everything goes on after {fault:?} {to}");
        within(&what, PATIENCE, async || ledger.goes_on()).await?;
        let (storing, delivering) = ledger.stood();
        Ok(Outcome { fault, to, storing, delivering })
    }

    /// Nobody waits any more for what an administrator has asked for; it is done nevertheless.
    pub(crate) fn leave_nothing_under_way(&mut self) {
        self.command = None;
    }

    fn draw(&mut self) -> Fault {
        if self.next.is_empty() {
            self.next = [&SELDOM[..], &OFTEN[..], &OFTEN[..]].concat();
            if self.options.rolls_back_all {
                self.next.push(Fault::RollBackAllServers);
            }
            self.random.shuffle(&mut self.next);
        }
        self.next.pop().unwrap()
    }

    fn rebuild_or_move(&mut self, deployment: &Deployment) -> Tidings {
        let (tenant, shard) = self.tenant_and_shard();
        if self.random.bool() {
            deployment.command(&["projector", "rebuild", "--tenant", tenant])
        } else {
            deployment.command(&["projector", "move", "--tenant", tenant, "--to", shard])
        }
    }

    fn just_move(&mut self, deployment: &Deployment) -> Tidings {
        let (tenant, shard) = self.tenant_and_shard();
        deployment.command(&["projector", "move", "--tenant", tenant, "--to", shard])
    }

    fn tenant_and_shard(&mut self) -> (&'static str, &'static str) {
        let tenant = TENANTS[self.random.usize(..TENANTS.len())];
        (tenant, if self.random.bool() { "0" } else { "1" })
    }

    /// Mostly short, so that much happens; now and then as long as it takes to be noticed.
    fn hold(&mut self) -> Duration {
        let most = if self.random.u8(..4) == 0 { 8_000 } else { 1_500 };
        Duration::from_millis(self.random.u64(100..most))
    }

    async fn inflict(
        &mut self,
        fault: Fault,
        deployment: &mut Deployment,
        ledger: &Ledger,
    ) -> Result<&'static str, String> {
        let index = self.random.usize(..SERVERS);
        let service = self.random.usize(..deployment.services());
        let hold = self.hold();
        match fault {
            Fault::KillService
            | Fault::PauseService
            | Fault::RestartService
            | Fault::RollServices
            | Fault::CutOffService
            | Fault::SilenceService
            | Fault::SilenceOneLink => {
                return Ok(self.inflict_on_service(fault, deployment, service, hold).await);
            }
            Fault::StepDown => {
                let stream = STREAMS[self.random.usize(..STREAMS.len())];
                deployment.servers.step_down(stream).await;
                return Ok(stream);
            }
            Fault::PauseProjectorsInTurn => {
                for index in 0..2 {
                    deployment.signal(index, Signal::STOP);
                    sleep(TAKEOVER).await;
                    deployment.signal(index, Signal::CONT);
                }
                let tenant = TENANTS[self.random.usize(..TENANTS.len())];
                self.command = Some(deployment.command(&["projector", "rebuild", "--tenant", tenant]));
                return Ok("");
            }
            Fault::RollServers => {
                for index in 0..SERVERS {
                    deployment.servers.get(index).restart().await.map_err(|error| error.to_string())?;
                    deployment.servers.is_whole().await?;
                }
                return Ok("");
            }
            Fault::RollBackServer => self.roll_back(index, deployment, hold).await?,
            Fault::RollBackAllServers => self.roll_back_all(deployment, ledger, hold).await?,
            Fault::KillServer => deployment.servers.get(index).kill().await.unwrap(),
            Fault::KillAllServers => deployment.servers.kill_all().await,
            Fault::PauseServer => deployment.servers.get(index).pause().unwrap(),
            Fault::WipeServer => {
                deployment.servers.get(index).kill().await.unwrap();
                deployment.servers.get(index).wipe().await.unwrap();
            }
            Fault::CutOffServer => deployment.servers.around(index).for_each(FlakyProxy::pull),
            Fault::SilenceServer => deployment.servers.around(index).for_each(FlakyProxy::silence),
            Fault::CutRoute => {
                let cut = deployment.servers.between(index, (index + 1) % SERVERS);
                cut.into_iter().for_each(FlakyProxy::pull);
            }
            Fault::FillStore => deployment.servers.fill(Some(index)).await,
            Fault::FillAllStores => deployment.servers.fill(None).await,
        }
        sleep(hold).await;
        Ok("")
    }

    async fn inflict_on_service(
        &mut self,
        fault: Fault,
        deployment: &mut Deployment,
        service: usize,
        hold: Duration,
    ) -> &'static str {
        match fault {
            Fault::KillService => deployment.kill(service),
            Fault::PauseService => deployment.signal(service, Signal::STOP),
            Fault::RestartService => deployment.stop(service).await,
            Fault::CutOffService => deployment.cables(service).iter().for_each(FlakyProxy::pull),
            Fault::SilenceService => deployment.cables(service).iter().for_each(FlakyProxy::silence),
            Fault::SilenceOneLink => deployment.cables(service)[self.random.usize(..SERVERS)].silence(),
            _ => {
                for service in 0..deployment.services() {
                    deployment.stop(service).await;
                    deployment.start_service(service);
                    deployment.is_ready(service).await;
                }
                return "";
            }
        }
        sleep(hold).await;
        deployment.name(service)
    }

    /// One of three comes back with less, with what it had some faults ago if that is known.
    async fn roll_back(
        &mut self,
        index: usize,
        deployment: &mut Deployment,
        hold: Duration,
    ) -> Result<(), String> {
        if !self.copied.contains(&index) || self.random.bool() {
            deployment.servers.copy(&[index]).await;
            self.copied.push(index);
            deployment.servers.heal().await;
            deployment.servers.is_whole().await?;
            sleep(hold).await;
        }
        deployment.servers.put_back(&[index]).await;
        Ok(())
    }

    /// All three come back with less: what was stored meanwhile is gone, and everybody goes on behind what is there.
    async fn roll_back_all(
        &mut self,
        deployment: &mut Deployment,
        ledger: &Ledger,
        hold: Duration,
    ) -> Result<(), String> {
        deployment.servers.copy(&ALL_SERVERS).await;
        ledger.copied();
        deployment.servers.heal().await;
        deployment.servers.is_whole().await?;
        sleep(hold).await;
        deployment.servers.put_back(&ALL_SERVERS).await;
        ledger.rolled_back();
        // What was copied before is of another history.
        self.copied.clear();
        Ok(())
    }
}
