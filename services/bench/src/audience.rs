//! The audience: thousands of sockets read by one thread, at as little cost as possible.
//!
//! Like [`crate::client`] it relies on unmasked, unfragmented frames, and checks that each connection receives everything
//! once and in order.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::client::{Heard, TEXT, acknowledgement, heard, whole_frame};
use crate::failure::Failure;

const SCRATCH: usize = 64 * 1024;
/// The number of sockets that the system reports at once.
const EVENTS: usize = 512;
/// How long no message may arrive, in seconds, before the benchmark fails.
const PATIENCE: i64 = 60;

/// Finds the messages in a text frame.
pub(crate) type Reader = fn(&[u8], &mut dyn FnMut(Message)) -> Result<(), Failure>;

/// A message that a client has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// What the client tells the server of where it stands.
    pub(crate) position: u64,
    /// Ascending on each connection.
    pub(crate) number: u64,
}

/// When a message reached one of the clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) number: u64,
    pub(crate) at: Instant,
}

pub(crate) struct Audience {
    epoll: OwnedFd,
    reader: Reader,
    members: Vec<Member>,
    scratch: Box<[u8]>,
}

struct Member {
    stream: TcpStream,
    /// The beginning of an incomplete frame.
    rest: Vec<u8>,
    /// The number of messages received since the last query.
    received: u64,
    last: Option<Message>,
}

impl Audience {
    /// Clients of our own protocol.
    pub(crate) fn new() -> Result<Self, Failure> {
        Self::reading(envelopes)
    }

    /// Clients that read messages in this way.
    pub(crate) fn reading(reader: Reader) -> Result<Self, Failure> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, reader, members: Vec::new(), scratch: vec![0; SCRATCH].into() })
    }

    /// Opens plain connections to a server without a handshake.
    pub(crate) fn connect(address: SocketAddr, connections: u64) -> Result<Self, Failure> {
        let mut audience = Self::new()?;
        for _ in 0..connections {
            audience.add(TcpStream::connect(address)?, &[])?;
        }
        Ok(audience)
    }

    /// Adds a connection, with bytes that were already read from it.
    pub(crate) fn add(&mut self, stream: TcpStream, rest: &[u8]) -> Result<(), Failure> {
        stream.set_nonblocking(true)?;
        let data = EventData::new_u64(self.members.len() as u64);
        epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
        self.members.push(Member { stream, rest: rest.to_vec(), received: 0, last: None });
        Ok(())
    }

    /// Reads until each connection has received `each` more messages; returns when each had.
    pub(crate) fn hear(&mut self, each: u64) -> Result<Vec<Instant>, Failure> {
        let mut moments = Vec::with_capacity(self.members.len());
        let mut events = vec![Event { flags: EventFlags::IN, data: EventData::new_u64(0) }; EVENTS];
        while moments.len() < self.members.len() {
            let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
            let count = epoll::wait(&self.epoll, events.as_mut_slice(), Some(&patience))?;
            if count == 0 {
                let missing = self.members.len() - moments.len();
                return Err(format!("{missing} connections did not receive their messages").into());
            }
            for event in &events[..count] {
                let index = usize::try_from(event.data.u64())?;
                let member = self.members.get_mut(index).ok_or("an event of an unknown socket")?;
                let before = member.received;
                member.read(&mut self.scratch, self.reader, &mut |_| {})?;
                if member.received > each {
                    return Err(format!("a connection received more than {each} messages").into());
                }
                if before < each && member.received == each {
                    moments.push(Instant::now());
                }
            }
        }
        self.members.iter_mut().for_each(|member| member.received = 0);
        Ok(moments)
    }

    /// Reads until the connections have received this many messages together, or none for a while.
    pub(crate) fn collect(&mut self, count: u64, quiet: Duration) -> Result<Vec<Arrival>, Failure> {
        let mut arrivals = Vec::new();
        let mut events = vec![Event { flags: EventFlags::IN, data: EventData::new_u64(0) }; EVENTS];
        let patience = Timespec { tv_sec: quiet.as_secs().try_into()?, tv_nsec: quiet.subsec_nanos().into() };
        while (arrivals.len() as u64) < count {
            let ready = epoll::wait(&self.epoll, events.as_mut_slice(), Some(&patience))?;
            if ready == 0 {
                break;
            }
            for event in &events[..ready] {
                let index = usize::try_from(event.data.u64())?;
                let member = self.members.get_mut(index).ok_or("an event of an unknown socket")?;
                let at = Instant::now();
                member.read(&mut self.scratch, self.reader, &mut |message| {
                    arrivals.push(Arrival { number: message.number, at });
                })?;
            }
        }
        self.members.iter_mut().for_each(|member| member.received = 0);
        Ok(arrivals)
    }

    /// Acknowledges on every connection what was received.
    pub(crate) fn acknowledge(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            let last = member.last.map_or(0, |message| message.position);
            member.stream.write_all(&acknowledgement(last)?)?;
        }
        Ok(())
    }
}

impl Member {
    fn read(
        &mut self,
        scratch: &mut [u8],
        reader: Reader,
        found: &mut dyn FnMut(Message),
    ) -> Result<(), Failure> {
        let held = self.rest.len();
        scratch[..held].copy_from_slice(&self.rest);
        let count = match self.stream.read(&mut scratch[held..]) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = &scratch[..held + count];
        let (last, received) = (&mut self.last, &mut self.received);
        let mut disorder = None;
        while let Some((head, start, length)) = whole_frame(bytes) {
            let payload = &bytes[start..start + length];
            bytes = &bytes[start + length..];
            if head != TEXT {
                return Err(format!("a frame that begins with {head:#x} was not expected").into());
            }
            reader(payload, &mut |message| {
                if let Some(before) = last.filter(|before| message.number <= before.number) {
                    disorder = Some((message.number, before.number));
                }
                *last = Some(message);
                *received += 1;
                found(message);
            })?;
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        match disorder {
            Some((number, last)) => Err(format!("message {number} came after {last}").into()),
            None => Ok(()),
        }
    }
}

/// The envelopes of our own protocol.
fn envelopes(text: &[u8], found: &mut dyn FnMut(Message)) -> Result<(), Failure> {
    if let Heard::Envelope(sequence) = heard(text)? {
        found(Message { position: sequence, number: sequence });
    }
    Ok(())
}
