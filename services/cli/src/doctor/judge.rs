//! What the facts mean: pure judgements, each over what was looked up elsewhere.

mod dispatchers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tidings_model::{ShardNumber, Tenant};
use tidings_streams::{
    Duty, Permissions, Role, RunningGateway, ServerFacts, Silence, StreamFacts, StreamState,
};
use time::OffsetDateTime;

use super::edge::{Canary, EdgeFacts, EventStream};
use super::finding::{self as kind, Finding, Kind, Report};
use super::servers::ServerFigures;

pub(super) use self::dispatchers::{deliveries, dispatchers};

/// The least `max_payload` with which a projector starts.
const LEAST_PAYLOAD: usize = 256 * 1024;
/// Clocks that differ by less are not worth a word: an answer takes its time.
const MOST_SKEW: time::Duration = time::Duration::seconds(3);
/// Of 100 bytes, so many in use are too many.
const NEARLY_FULL: u64 = 85;
/// A certificate is renewed before so little is left.
const RENEWED_BEFORE: time::Duration = time::Duration::days(14);
/// A login that lacks more of a process's subjects is of another process.
const LACKED_AT_MOST: usize = 5;

/// The server of the connection.
pub(super) fn server(facts: &ServerFacts, max_event_bytes: usize) -> Vec<Finding> {
    let ServerFacts { version, max_payload, .. } = facts;
    let mut found = Vec::new();
    if !facts.is_supported {
        let text = format!("this is nats-server {version}, expected 2.14 at least");
        found.push(Finding::new(&kind::SERVER_TOO_OLD, text));
    } else if !facts.is_recommended {
        let text = format!("this is nats-server {version}, expected 2.15 or later");
        found.push(Finding::new(&kind::SERVER_OUTDATED, text));
    }
    if *max_payload < max_event_bytes.max(LEAST_PAYLOAD) {
        let text = format!(
            "NATS takes messages of {max_payload} bytes, expected at least `projector.max_event_bytes`, \
             {max_event_bytes}, and never less than {LEAST_PAYLOAD}"
        );
        found.push(Finding::new(&kind::MAX_PAYLOAD, text));
    }
    found
}

/// One stream or bucket.
pub(super) fn stream(facts: &StreamFacts, report: &mut Report) {
    let name = &facts.name;
    match &facts.found {
        Ok(Some(state)) => report.add(stream_state(name, state)),
        Ok(None) => report.find(&kind::STREAM_MISSING, format!("there is no stream {name}")),
        Err(Silence::None(_)) => {
            report.find(&kind::NO_LEADER, format!("stream {name} does not answer; it has no leader"));
        }
        Err(silence) => report.not_seen(format!("stream {name}"), silence.to_string()),
    }
}

fn stream_state(name: &str, state: &StreamState) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |kind: &'static Kind, text: String| found.push(Finding::new(kind, text));
    let listed = |differences: &[tidings_streams::topology::Difference]| {
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    if !state.essential.is_empty() {
        find(&kind::STREAM_DIFFERS, format!("stream {name}: {}", listed(&state.essential)));
    }
    if !state.limits.is_empty() {
        find(&kind::LIMITS_DIFFER, format!("stream {name}: {}", listed(&state.limits)));
    }
    let (replicas, wanted) = state.replicas;
    if replicas < wanted {
        find(
            &kind::REPLICAS,
            format!("stream {name} has {replicas} of {wanted} replicas (`streams.replicas`)"),
        );
    }
    if !state.is_led {
        find(&kind::NO_LEADER, format!("stream {name} has no leader"));
    }
    for peer in state.peers.iter().filter(|peer| peer.is_offline || !peer.is_current) {
        let how = if peer.is_offline { "is offline" } else { "is not current" };
        let text =
            format!("the replica of stream {name} on {} {how}, {} operations behind", peer.server, peer.lag);
        find(&kind::NODE_BEHIND, text);
    }
    // The others remove what is oldest.
    if name == tidings_streams::topology::EVENTS
        && let Some(most) = state.max_bytes
        && is_nearly_full(state.bytes, most)
    {
        find(&kind::STREAM_FULL, format!("stream {name} has {} of at most {most} bytes", state.bytes));
    }
    found
}

fn is_nearly_full(used: u64, most: u64) -> bool {
    most > 0 && u128::from(used) * 100 >= u128::from(most) * u128::from(NEARLY_FULL)
}

/// The clock of another machine that is ahead by so much.
pub(super) fn clock(whose: &str, skew: time::Duration) -> Option<Finding> {
    let seconds = skew.whole_seconds().unsigned_abs();
    let way = if skew.is_negative() { "behind" } else { "ahead of" };
    let text = || format!("the clock of {whose} is {seconds} s {way} this machine's");
    (skew.abs() >= MOST_SKEW).then(|| Finding::new(&kind::CLOCK_SKEW, text()))
}

/// A server's own figures.
pub(super) fn figures(figures: &ServerFigures) -> Vec<Finding> {
    let name = &figures.name;
    let mut found = Vec::new();
    if figures.syncs_always == Some(false) {
        let text = format!("nats-server {name} does not sync before it acknowledges");
        found.push(Finding::new(&kind::SYNC_INTERVAL, text));
    }
    if let Some((used, most)) = figures.store {
        if is_nearly_full(used, most) {
            let text = format!("nats-server {name}: JetStream's store has {used} of at most {most} bytes");
            found.push(Finding::new(&kind::DISK, text));
        }
        if let Some(free) = figures.free.filter(|free| is_nearly_full(most.saturating_sub(*free), most)) {
            let text =
                format!("nats-server {name}: the disk has {free} bytes left, and JetStream may store {most}");
            found.push(Finding::new(&kind::DISK, text));
        }
    }
    if let Some((leader, behind)) = &figures.meta {
        if leader.is_empty() {
            let text = format!("nats-server {name} knows no leader of JetStream in its cluster");
            found.push(Finding::new(&kind::META_LEADER, text));
        }
        let text = |server| format!("nats-server {server} is behind, as {name} says");
        found.extend(behind.iter().map(|server| Finding::new(&kind::NODE_BEHIND, text(server))));
    }
    found.extend(figures.skew.and_then(|skew| clock(&format!("nats-server {name}"), skew)));
    found
}

/// Whether figures are of the server, or cluster, that this machine is connected to.
pub(super) fn is_of(figures: &ServerFigures, server: &ServerFacts) -> bool {
    figures.id == server.id || (figures.cluster.is_some() && figures.cluster == server.cluster)
}

/// What a login lacks. Without a role, that of which it lacks least counts.
pub(super) fn permissions(
    permissions: &Permissions,
    duties: &[(Role, Vec<Duty>)],
    role: Option<Role>,
    report: &mut Report,
) {
    let lacked =
        duties.iter().filter(|(one, _)| role.is_none_or(|role| role == *one)).map(|(role, duties)| {
            let missing: Vec<_> = duties.iter().filter(|duty| !permissions.lets(duty)).collect();
            (*role, missing)
        });
    let Some((found, missing)) = lacked.min_by_key(|(_, missing)| missing.len()) else { return };
    if role.is_none() && missing.len() > LACKED_AT_MOST {
        report.not_seen(
            "permissions",
            "this login is of no gateway, projector or dispatcher; `--as` says what it is to be",
        );
        return;
    }
    for duty in missing {
        let (verb, subject) = match duty {
            Duty::Publish(subject) => ("publish", subject),
            Duty::Subscribe(subject) => ("subscribe", subject),
        };
        let text = format!("a {} needs to {verb} to {subject}, and this login may not", found.name());
        report.find(&kind::PERMISSION, text);
    }
}

/// Which processes run.
pub(super) struct Processes {
    /// `None` if it could not be asked.
    pub(super) gateways: Option<Vec<RunningGateway>>,
    /// The shards of running projectors; `None` if it could not be asked.
    pub(super) projectors: Option<Vec<ShardNumber>>,
    /// Whether each shard is led; `None` if it could not be looked at.
    pub(super) led: BTreeMap<ShardNumber, Option<bool>>,
    /// The tenants in each shard.
    pub(super) tenants: BTreeMap<ShardNumber, BTreeSet<Tenant>>,
    /// Tenants that are served here and that no projector has run with; `None` if it could not be looked at.
    pub(super) unknown: Option<BTreeSet<Tenant>>,
    /// Whether this account may have no way to processes of other accounts.
    pub(super) is_separate: bool,
}

pub(super) fn processes(found: &Processes, report: &mut Report) {
    gateways(found, report);
    for (shard, led) in &found.led {
        let tenants = found.tenants.get(shard).map(names).unwrap_or_default();
        match led {
            None => report.not_seen(format!("the projector of shard {shard}"), "its lease cannot be read"),
            Some(false) => {
                let text = format!("shard {shard} has no projector; in it are the tenants {tenants}");
                report.find(&kind::NO_PROJECTOR, text);
            }
            Some(true) => standby(found, *shard, report),
        }
    }
    match &found.unknown {
        None => report.not_seen("the tenants that projectors know", "the bucket CATALOGS cannot be read"),
        Some(unknown) if unknown.is_empty() => {}
        Some(unknown) => {
            let text = format!("no projector has run with the catalogs of {}", names(unknown));
            report.find(&kind::TENANT_UNKNOWN, text);
        }
    }
}

fn standby(found: &Processes, shard: ShardNumber, report: &mut Report) {
    let running = found.projectors.iter().flatten().filter(|one| **one == shard).count();
    match running {
        // It leads, so it runs: nobody hears the question, or it is of an earlier version.
        0 => report.not_seen(
            format!("whether a projector of shard {shard} stands by"),
            "no projector answers; administrators may ask",
        ),
        1 => {
            report
                .find(&kind::NO_STANDBY, format!("one projector of shard {shard} runs, and none stands by"));
        }
        _ => {}
    }
}

fn gateways(found: &Processes, report: &mut Report) {
    match found.gateways.as_deref() {
        None => report.not_seen("which gateways run", "this login may not ask"),
        Some([]) if found.is_separate => {
            report.not_seen("which gateways run", "none answers; gateways and administrators may ask");
        }
        Some([]) => report.find(&kind::NO_GATEWAY, "no gateway answers"),
        Some(gateways) => {
            let mut times = BTreeMap::<_, u32>::new();
            for gateway in gateways {
                *times.entry(gateway.name.as_str()).or_default() += 1;
            }
            for (name, times) in times.into_iter().filter(|(_, times)| *times > 1) {
                report.find(&kind::GATEWAY_NAMES, format!("{times} gateways have the name {name}"));
            }
        }
    }
}

fn names(tenants: &BTreeSet<Tenant>) -> String {
    tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join(", ")
}

/// Devices in the store that gateways with this configuration do not use.
pub(super) fn consumer_store(uses_kv: bool, kv_records: u64, has_leases: bool) -> Option<Finding> {
    let text = if uses_kv && has_leases {
        "`consumers.store` is \"kv\", and a gateway has used \"jetstream\": there is a bucket CONSUMER_LEASES"
            .to_owned()
    } else if !uses_kv && kv_records > 0 {
        format!(
            "`consumers.store` is \"jetstream\", and the bucket CONSUMERS of \"kv\" knows {kv_records} devices"
        )
    } else {
        return None;
    };
    Some(Finding::new(&kind::CONSUMER_STORE, text))
}

/// The hard limit of open files; `None` if there is none.
pub(super) fn open_files(limit: Option<u64>, max_connections: Option<usize>) -> Option<Finding> {
    /// What a gateway is to carry that has no limit of its own, and what it needs besides connections.
    const USUAL: usize = 10_000;
    const BESIDES: u64 = 200;
    let connections = max_connections.unwrap_or(USUAL);
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(BESIDES);
    let limit = limit.filter(|limit| *limit < needed)?;
    let whose = if max_connections.is_some() { "`gateway.max_connections`" } else { "a small gateway" };
    let text =
        format!("here a process may open {limit} files, expected {needed} for the {connections} of {whose}");
    Some(Finding::new(&kind::OPEN_FILES, text))
}

/// A certificate that is valid until then.
pub(super) fn certificate(key: &str, until: OffsetDateTime, now: OffsetDateTime) -> Option<Finding> {
    let left = until - now;
    let day = until.date();
    if left.is_negative() {
        let text = format!("the certificate of `{key}` has expired on {day}");
        return Some(Finding::new(&kind::CERTIFICATE_EXPIRED, text));
    }
    (left < RENEWED_BEFORE).then(|| {
        Finding::new(&kind::CERTIFICATE_EXPIRES, format!("the certificate of `{key}` expires on {day}"))
    })
}

/// The key set of an issuer: how many of its keys can be used, and how many not.
pub(super) fn key_set(issuer: &str, fetched: Result<(usize, usize), String>) -> Option<Finding> {
    match fetched {
        Err(error) => {
            let text = format!("the keys of issuer {issuer:?} cannot be fetched: {error}");
            Some(Finding::new(&kind::JWKS_UNREACHABLE, text))
        }
        Ok((0, left_out)) => {
            let text = format!(
                "issuer {issuer:?} publishes no key that fits its `algorithms`, and {left_out} others"
            );
            Some(Finding::new(&kind::JWKS_NO_KEYS, text))
        }
        Ok(_) => None,
    }
}

/// What a client finds. `signs` says that the token was signed with the configured secret.
pub(super) fn edge(facts: &EdgeFacts, signs: bool, report: &mut Report) {
    let url = &facts.url;
    match &facts.ready {
        Err(error) if facts.is_named => {
            report.find(&kind::GATEWAY_UNREACHABLE, format!("{url} cannot be reached: {error}"));
            return;
        }
        Err(error) => {
            let text = format!("{url} cannot be reached: {error}; `--url` says where clients connect");
            report.not_seen("what clients find", text);
            return;
        }
        Ok(ready) if ready.status != 200 => {
            let text = format!("{url} answers /readyz with {}: {}", ready.status, ready.text);
            report.find(
                if ready.status == 503 { &kind::GATEWAY_NOT_READY } else { &kind::GATEWAY_UNREACHABLE },
                text,
            );
            return;
        }
        Ok(ready) => report.add(ready.skew.and_then(|skew| clock(&format!("the gateway at {url}"), skew))),
    }
    match &facts.handshake {
        Some((status, code)) if matches!(code.as_str(), "UPGRADE_REQUIRED" | "HTTP_VERSION") => {
            let text = format!("a WebSocket at {url} is answered with {status} {code}");
            report.find(&kind::PROXY_UPGRADE, text);
        }
        Some(_) => {}
        None => report.find(&kind::PROXY_UPGRADE, format!("a WebSocket at {url} is not answered")),
    }
    match &facts.canary {
        Some(Canary::Missing(time)) => {
            report.find(
                &kind::CANARY,
                format!("an event of the doctor's own was stored, and no message came within {time:?}"),
            );
        }
        Some(Canary::NotSent(why)) => {
            report.not_seen("delivery", format!("no event can be published: {why}"));
        }
        Some(Canary::Came) | None => {}
    }
    match &facts.stream {
        None => {
            report.not_seen("event streams and clients' addresses", "there is no token; `--token` gives one");
        }
        Some(EventStream::Held) => {
            report.find(&kind::PROXY_BUFFERS, format!("no event comes from the event stream at {url}"));
        }
        Some(EventStream::Refused(401, code)) if !signs => {
            let text = format!("the gateway refuses the token ({code}); `--token` gives another one");
            report.not_seen("event streams and clients' addresses", text);
        }
        Some(EventStream::Refused(status, code)) => {
            report.find(&kind::TOKEN_REFUSED, format!("{url} answers an event stream with {status} {code}"));
        }
        Some(EventStream::Opened { addresses: None }) => {
            report.not_seen("clients' addresses", "this login may not ask gateways about connections");
        }
        Some(EventStream::Opened { addresses: Some((seen, own)) }) => report.add(address(*seen, *own)),
    }
}

/// The gateway sees this machine at another address of a private network. One of a public network is that of a router.
fn address(seen: IpAddr, own: IpAddr) -> Option<Finding> {
    let is_private = match seen.to_canonical() {
        IpAddr::V4(seen) => seen.is_private() || seen.is_loopback() || seen.is_link_local(),
        IpAddr::V6(seen) => seen.is_unique_local() || seen.is_loopback() || seen.is_unicast_link_local(),
    };
    let text = || format!("the gateway takes this machine, {own}, for a client at {seen}");
    (is_private && seen.to_canonical() != own.to_canonical())
        .then(|| Finding::new(&kind::CLIENT_ADDRESS, text()))
}

#[cfg(test)]
mod tests;
