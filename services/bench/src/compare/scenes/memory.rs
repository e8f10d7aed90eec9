//! Connections that are idle: authenticated, subscribed, and after that nothing.

use crate::compare::crowd::Crowd;
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Kind, System};
use crate::failure::Failure;
use crate::population::user;
use crate::report::{megabytes, number};
use crate::usage::settled;

pub(in crate::compare) struct Memory {
    kind: Kind,
}

impl Scene for Memory {
    const IS_FRESH: bool = true;

    fn title(options: &Options) -> String {
        format!("Idle memory, {} connections", options.connections)
    }

    fn notes() -> &'static [&'static str] {
        &["resident and not from files, in addition to what there was before the first connection"]
    }

    async fn prepare(kind: &Kind, _options: &Options) -> Result<Self, Failure> {
        Ok(Self { kind: kind.clone() })
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let system = System::start(&self.kind, options.body).await?;
        let pids = [system.server_pid(), system.nats_server_pid()?];
        let before = both(pids).await?;
        let devices = (0..options.connections).map(|index| Device::subscribed(user(index)));
        let crowd = Crowd::connect(&system, devices.collect(), options.under_way).await?;
        let after = both(pids).await?;
        drop(crowd);
        let each = |index: usize| {
            number(after[index].saturating_sub(before[index])) / number(options.connections.max(1))
        };
        Ok(vec![
            ("gateway or Centrifugo, bytes each", Some(each(0))),
            ("nats-server, bytes each", Some(each(1))),
            ("gateway or Centrifugo without connections, MB", Some(megabytes(before[0]))),
        ])
    }
}

async fn both(pids: [u32; 2]) -> Result<[u64; 2], Failure> {
    Ok(tokio::try_join!(settled(pids[0]), settled(pids[1]))?.into())
}
