//! Which sockets are ready.
//!
//! A worker polls its sockets itself: the runtime would keep a registration and a task for each, which is as much memory
//! as all else of an idle connection, where here it is a number that the system hands back.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Registry};
use tokio::io::unix::AsyncFd;

/// Sockets that are reported at once.
const EVENTS: usize = 1024;

/// Reports which sockets are ready.
pub(in crate::worker) struct Readiness {
    poll: AsyncFd<Poll>,
    events: Events,
}

impl Readiness {
    /// Made on the runtime that is entered, with the registry for sockets.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for descriptors that others may close; this one is owned"
    )]
    pub(in crate::worker) fn new() -> io::Result<(Self, Registry)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok((Self { poll: AsyncFd::new(poll)?, events: Events::with_capacity(EVENTS) }, registry))
    }

    /// The next sockets that are ready. May be dropped while it waits without losing anything.
    pub(in crate::worker) async fn next(&mut self) -> io::Result<&Events> {
        loop {
            let mut ready = self.poll.readable_mut().await?;
            match ready.get_inner_mut().poll(&mut self.events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let count = self.events.iter().count();
            if count < EVENTS {
                ready.clear_ready();
            }
            if count > 0 {
                return Ok(&self.events);
            }
        }
    }
}
