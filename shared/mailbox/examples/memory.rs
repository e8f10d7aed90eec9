//! What a mailbox costs: bytes per envelope and per address, the time to build it, the time to read from it.
//!
//! `cargo run --release -p tidings-mailbox --example memory [envelopes] [addresses]`
//!
//! Bytes are what the program asked of the allocator; the resident size, where the system tells it, shows what
//! the allocator made of that.
#![expect(clippy::print_stdout, reason = "printing its figures is what this program is for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tidings_mailbox::{Delivery, Entry, Mailbox, Query};

/// The system's allocator, with a count of the bytes in use and their peak.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "only an allocator sees every byte that is asked for")]
// SAFETY: every call is handed to `System` unchanged and its answer returned unchanged, so `System`'s fulfilment of the
// contract is this one's. The counters are atomics: touching them neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(in_use, Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is `System.alloc`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `memory` came from `alloc` above with this layout, hence from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What the envelopes of a run have in common.
struct Shape {
    name: &'static str,
    user: fn(u64) -> String,
    latest: bool,
    expires: bool,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "durable, short ids",
        user: |user| format!("user:u{user:06}"),
        latest: false,
        expires: false,
    },
    Shape { name: "durable, UUIDs", user: uuid_like, latest: false, expires: false },
    Shape {
        name: "every one with its own `latest` key, UUIDs",
        user: uuid_like,
        latest: true,
        expires: false,
    },
    Shape { name: "every one with a time to live, UUIDs", user: uuid_like, latest: false, expires: true },
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let envelopes: u64 = arguments.next().unwrap_or(1_000_000);
    let addresses: u64 = arguments.next().unwrap_or(100_000);
    println!("{envelopes} envelopes at {addresses} addresses");
    for shape in &SHAPES {
        measure(shape, envelopes, addresses);
    }
}

fn measure(shape: &Shape, envelopes: u64, addresses: u64) {
    let users: Vec<String> = (0..addresses).map(shape.user).collect();
    let (before, resident) = (IN_USE.load(Relaxed), resident_kib());
    PEAK.store(before, Relaxed);

    let (mailbox, alone) = build(shape, &users, envelopes, before);
    let in_use = IN_USE.load(Relaxed) - before;
    println!("\n{}", shape.name);
    println!(
        "  in use         {:>10} KiB, at most {} KiB while it grew",
        in_use >> 10,
        (PEAK.load(Relaxed) - before) >> 10
    );
    println!("  its footprint  {:>10} KiB by its own account", mailbox.footprint() >> 10);
    if let (Some(before), Some(after)) = (resident, resident_kib()) {
        println!("  resident       {:>10} KiB more than before", after.saturating_sub(before));
    }
    println!("  per envelope   {:>10.1} bytes, all included", ratio(in_use, envelopes));
    println!("  per address    {:>10.1} bytes with one envelope", ratio(alone.bytes, addresses));
    println!(
        "  one more       {:>10.1} bytes per further envelope",
        ratio(in_use - alone.bytes, envelopes - addresses)
    );
    println!("  built in       {:>10.0?}, {:.0?} per envelope", alone.elapsed, per(alone.elapsed, envelopes));
    println!(
        "  merge          {:>10.0?} for the 20 oldest of one user, role, organisation and `all`",
        read(&mailbox, &users)
    );
    let dropped = drop_half(mailbox, envelopes);
    println!(
        "  retention      {:>10.0?} per dropped sequence, a thousand at a time",
        per(dropped, envelopes / 2)
    );
}

/// Taken on the way, when every address held one envelope, and at the end.
struct Taken {
    bytes: usize,
    elapsed: Duration,
}

fn build(shape: &Shape, users: &[String], envelopes: u64, before: usize) -> (Mailbox, Taken) {
    let mut mailbox = Mailbox::new(0);
    let mut bytes = 0;
    let mut random = 1_u64;
    let started = Instant::now();
    for sequence in 1..=envelopes {
        let user = usize::try_from(sequence - 1).unwrap_or(usize::MAX);
        // Each user once, then at random.
        let address = users.get(user).unwrap_or_else(|| &users[pick(&mut random, users.len())]);
        let key = if shape.latest { format!("progress.{sequence}") } else { String::new() };
        let delivery = if shape.latest { Delivery::Latest { key: &key } } else { Delivery::Durable };
        let expires_at = shape.expires.then_some(1_700_000_000 + sequence / 1000);
        let entry = Entry { tenant: "documents", address, sequence, delivery, expires_at };
        if let Err(refused) = mailbox.append(entry) {
            println!("not taken: {refused}");
        }
        if user + 1 == users.len() {
            bytes = IN_USE.load(Relaxed) - before;
        }
    }
    (mailbox, Taken { bytes, elapsed: started.elapsed() })
}

/// The mean time of a read as a returning user makes it.
fn read(mailbox: &Mailbox, users: &[String]) -> Duration {
    const READS: u32 = 200_000;
    let mut random = 7_u64;
    let started = Instant::now();
    for _ in 0..READS {
        // Three users stand for the lists of a user, a role and an organisation: 20 envelopes or a few more.
        let [user, role, organisation] = [(); 3].map(|()| users[pick(&mut random, users.len())].as_str());
        let addresses = [user, role, organisation, "all"];
        let query = Query { tenant: "documents", addresses: &addresses, after: mailbox.floor(), now: 0 };
        let _ = black_box(mailbox.merge(&query, u64::MAX, 20));
    }
    started.elapsed() / READS
}

fn drop_half(mut mailbox: Mailbox, envelopes: u64) -> Duration {
    let started = Instant::now();
    for first in (1..=envelopes / 2).step_by(1000) {
        mailbox.retain_from(first);
    }
    started.elapsed()
}

/// A step of the PCG family's linear congruence; the high bits are random enough to choose by.
fn pick(random: &mut u64, len: usize) -> usize {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*random >> 33).unwrap_or(0) % len
}

fn uuid_like(user: u64) -> String {
    format!("user:{user:08x}-0000-7000-8000-{user:012x}")
}

fn per(elapsed: Duration, count: u64) -> Duration {
    Duration::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) / count.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal place")]
fn ratio(bytes: usize, count: u64) -> f64 {
    bytes as f64 / count.max(1) as f64
}

/// Linux tells the resident size in `/proc`; other systems are left out.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
