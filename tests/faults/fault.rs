//! What can happen, one after another, drawn from a seed.

use std::time::Duration;

use harness::{Tidings, eventually};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::deployment::{Deployment, TENANTS, server};
use crate::ledger::Ledger;

/// How long it may take until everything goes on when a fault is over.
const PATIENCE: Duration = Duration::from_secs(60);
const SERVERS: usize = 3;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    KillServer,
    KillAllServers,
    PauseServer,
    WipeServer,
    StepDown,
    KillService,
    PauseService,
    RestartService,
    CutOffService,
    SilenceService,
    SilenceOneLink,
}

const FAULTS: [Fault; 11] = [
    Fault::KillServer,
    Fault::KillAllServers,
    Fault::PauseServer,
    Fault::WipeServer,
    Fault::StepDown,
    Fault::KillService,
    Fault::PauseService,
    Fault::RestartService,
    Fault::CutOffService,
    Fault::SilenceService,
    Fault::SilenceOneLink,
];

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
    random: fastrand::Rng,
    next: Vec<Fault>,
    /// A rebuild or a move under way.
    command: Option<Tidings>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), next: Vec::new(), command: None }
    }

    /// Lets one happen, puts it right, and waits until everything goes on.
    pub(crate) async fn next(&mut self, deployment: &mut Deployment, ledger: &Ledger) -> Outcome {
        let fault = self.draw();
        if self.random.u8(..3) == 0 {
            self.command = Some(self.rebuild_or_move(deployment));
        }
        ledger.fault_begins();
        let to = self.inflict(fault, deployment).await;
        deployment.heal().await;
        ledger.fault_ends();
        let what = format!("everything goes on after {fault:?} {to}");
        eventually(&what, PATIENCE, async || ledger.goes_on()).await;
        let (storing, delivering) = ledger.stood();
        Outcome { fault, to, storing, delivering }
    }

    fn draw(&mut self) -> Fault {
        if self.next.is_empty() {
            self.next = FAULTS.to_vec();
            self.random.shuffle(&mut self.next);
        }
        self.next.pop().unwrap()
    }

    fn rebuild_or_move(&mut self, deployment: &Deployment) -> Tidings {
        let tenant = TENANTS[self.random.usize(..TENANTS.len())];
        let shard = if self.random.bool() { "0" } else { "1" };
        if self.random.bool() {
            deployment.command(&["projector", "rebuild", "--tenant", tenant])
        } else {
            deployment.command(&["projector", "move", "--tenant", tenant, "--to", shard])
        }
    }

    async fn inflict(&mut self, fault: Fault, deployment: &mut Deployment) -> &'static str {
        let index = self.random.usize(..SERVERS);
        let service = self.random.usize(..deployment.services());
        let hold = Duration::from_millis(self.random.u64(200..6_000));
        match fault {
            Fault::KillServer => server(deployment, index).kill().await.unwrap(),
            Fault::KillAllServers => {
                for index in 0..SERVERS {
                    server(deployment, index).kill().await.unwrap();
                }
            }
            Fault::PauseServer => server(deployment, index).pause().unwrap(),
            Fault::WipeServer => {
                server(deployment, index).kill().await.unwrap();
                server(deployment, index).wipe().await.unwrap();
            }
            Fault::StepDown => {
                let streams = ["EVENTS", "ENVELOPES", "ENVELOPES_1", "KV_CONSUMERS", "KV_PLACEMENTS"];
                let stream = streams[self.random.usize(..streams.len())];
                deployment.step_down(stream).await;
                return stream;
            }
            Fault::KillService => deployment.kill(service),
            Fault::PauseService => deployment.signal(service, Signal::STOP),
            Fault::RestartService => deployment.stop(service).await,
            Fault::CutOffService => deployment.cables(service).iter().for_each(harness::Cable::pull),
            Fault::SilenceService => deployment.cables(service).iter().for_each(harness::Cable::silence),
            Fault::SilenceOneLink => deployment.cables(service)[index].silence(),
        }
        sleep(hold).await;
        match fault {
            Fault::KillServer | Fault::KillAllServers | Fault::PauseServer | Fault::WipeServer => "",
            _ => deployment.name(service),
        }
    }
}
