//! Everything that can be found, with what it means and what to do; and how it is printed.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// It works, but less well than it should, or not for long.
    Warning,
    /// Something does not work, or loses what it should keep.
    Error,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) code: &'static str,
    pub(super) level: Level,
    pub(super) means: &'static str,
    pub(super) action: &'static str,
}

macro_rules! kinds {
    ($($name:ident $level:ident $code:literal $means:literal $action:literal)*) => {
        $(pub(super) const $name: Kind =
            Kind { code: $code, level: Level::$level, means: $means, action: $action };)*
        /// All kinds, in the order of the document.
        #[cfg(test)]
        pub(super) const ALL: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    CONFIGURATION Error "configuration"
        "No process starts with this configuration; nothing else was looked at."
        "Correct the key that is named; `tidings config --effective` shows all of them."
    CATALOG Error "catalog"
        "A process that starts now ends; one that runs keeps the catalogs that it has."
        "Correct the catalog; `tidings check` shows every mistake in it."
    OPEN_FILES Warning "open-files"
        "Each connection takes an open file: a gateway that is started here refuses connections beyond the limit."
        "Raise the hard limit: `LimitNOFILE=` of the unit, `ulimits` of the container, `ulimit -Hn` of the shell."
    CERTIFICATE Error "certificate"
        "The process with this certificate does not start, or keeps the certificate that it had."
        "Put a certificate and its private key there that belong together, both PEM."
    CERTIFICATE_EXPIRED Error "certificate-expired"
        "Whoever verifies it refuses the connection."
        "Renew the certificate; the gateway reads it again within seconds, what connects to NATS when it starts."
    CERTIFICATE_EXPIRES Warning "certificate-expires"
        "From then on, whoever verifies it refuses the connection."
        "Renew the certificate, and find out why nothing has done so by itself."
    JWKS_UNREACHABLE Error "jwks-unreachable"
        "Gateways that start cannot verify this issuer's tokens; those that run use the keys that they have for `access.jwks_grace`."
        "Check `jwks_url`, name resolution, the firewall, and whether the system trusts the server's certificate."
    JWKS_NO_KEYS Error "jwks-without-keys"
        "No token of this issuer is accepted."
        "Publish a key for signatures with one of the issuer's `algorithms`, or correct `algorithms`."
    NATS_UNREACHABLE Error "nats-unreachable"
        "Nothing works without NATS; nothing in it was looked at."
        "Start nats-server, or correct `nats.url` and the login."
    SERVER_TOO_OLD Error "server-too-old"
        "Projectors and gateways do not start with it."
        "Update nats-server to 2.15 or later, one server after another."
    SERVER_OUTDATED Warning "server-outdated"
        "Events cannot be scheduled, and two events with one `Nats-Msg-Id` within 100 ms are one."
        "Update nats-server to 2.15 or later, one server after another."
    MAX_PAYLOAD Error "max-payload"
        "Events that the configuration permits are refused by NATS; below 256 KiB no projector starts."
        "Raise `max_payload` of every nats-server, or lower `projector.max_event_bytes`."
    SYNC_INTERVAL Warning "sync-interval"
        "What NATS has acknowledged since it last synced is lost if the power of all replicas fails at once."
        "Set `jetstream { sync_interval: always }` on every nats-server."
    DISK Warning "disk-nearly-full"
        "A server whose store is full refuses events, and its replicas fall behind until it is started again."
        "Make room, raise `max_file_store`, or keep less: `streams.*_max_age`, `streams.*_max_bytes`."
    CLOCK_SKEW Warning "clock-skew"
        "Tokens are refused too early or accepted too long, and times in messages are wrong."
        "Let a time service such as chrony or systemd-timesyncd set the clocks of all machines."
    META_LEADER Error "no-meta-leader"
        "No stream or consumer can be created, so that no gateway reads on after a fault."
        "Start the nats-servers that are missing: more than half of them have to run and reach each other."
    NODE_BEHIND Warning "node-behind"
        "While this server lacks something, the loss of one more can stop everything."
        "Start the server or restore its network; after a full disk, restart it. `nats server report jetstream` shows its progress."
    PERMISSION Error "permission-missing"
        "What the process does by that subject fails; mostly it waits or does not start."
        "Run `deploy/nats-accounts.sh` again and reload nats-server, or allow the subject to this NATS user."
    STREAM_MISSING Error "stream-missing"
        "Gateways wait until projectors have created what projectors create, and create the rest themselves."
        "Start a projector, then a gateway. If the stream has existed before, its content is lost: restore the backup."
    STREAM_DIFFERS Error "stream-differs"
        "Processes refuse the stream and do not start."
        "Change the settings with `nats stream edit`, or remove the stream if nothing in it matters."
    LIMITS_DIFFER Warning "limits-differ"
        "The stream keeps more or less than the configuration says."
        "Change the limits with `nats stream edit`, or the configuration."
    REPLICAS Error "too-few-replicas"
        "The loss of fewer servers than planned loses or stops the stream."
        "`nats stream edit STREAM --replicas N` once as many servers are in the cluster."
    NO_LEADER Error "no-leader"
        "Nothing is stored in the stream or read from it."
        "Start the nats-servers that have its replicas, or restore their network; `nats stream report` shows them."
    STREAM_FULL Warning "stream-nearly-full"
        "Once it is full, producers' events are refused."
        "Raise `streams.events_max_bytes` and the stream's limit, lower `streams.events_max_age`, or find out who publishes so much."
    CONSUMER_STORE Error "consumer-store"
        "Devices that are known to the other store count as new ones: they do not receive what they missed."
        "Give all gateways the same `consumers.store`. If the other one was given up on purpose, remove its bucket."
    NO_PROJECTOR Error "no-projector"
        "Events of these tenants are stored and not delivered until a projector of their shard runs."
        "Start a projector with `projector.shard` set to the shard, and read its log if it does run."
    TENANT_UNKNOWN Error "tenant-without-projector"
        "No projector has run with the tenant's catalog, so that its events end up in REJECTED."
        "Give the catalog to the projectors and reload them with SIGHUP, or correct `schemas.tenants`."
    NO_STANDBY Warning "standby-missing"
        "If the projector of this shard ends, nothing new is delivered until it was started again."
        "Run a second projector of the shard on another machine."
    NO_DISPATCHER Error "no-dispatcher"
        "Fallbacks in the catalogs of these tenants are sent to nobody until a dispatcher of their shard runs."
        "Start `tidings dispatcher` with `dispatcher.shard` set to the shard, and read its log if it does run."
    NO_GATEWAY Error "no-gateway"
        "No client receives anything."
        "Start a gateway, and read its log if it does run."
    GATEWAY_NAMES Error "gateway-names"
        "Requests about a connection, and the saving of a device that changes the gateway, reach the wrong one."
        "Restart one of the two. Names end in random digits, so that copies of a running process or machine are the likely cause."
    GATEWAY_UNREACHABLE Error "gateway-unreachable"
        "Clients that connect there reach no gateway."
        "Check the address, the proxy in front and its target."
    GATEWAY_NOT_READY Error "gateway-not-ready"
        "The gateway refuses new connections."
        "Do as the answer says; it is that of `/readyz`."
    PROXY_UPGRADE Error "proxy-strips-upgrade"
        "No WebSocket can be opened through the proxy; clients fall back to event streams, if they can."
        "Let the proxy pass `Upgrade` and `Connection` with HTTP/1.1; `deploy/proxies` has files for nginx, HAProxy, Caddy and Envoy."
    PROXY_BUFFERS Warning "proxy-buffers"
        "Clients with event streams receive messages late or never."
        "Switch off buffering for `/api/sse` in the proxy, as `proxy_buffering off;` does in nginx."
    CLIENT_ADDRESS Warning "client-address"
        "If that is a proxy, all of its clients share the limits of one address, and the log names none of them."
        "Name the proxy in `gateway.trusted_proxies`, and let it set `X-Forwarded-For` or send a PROXY header."
    TOKEN_REFUSED Error "token-refused"
        "The gateway does not accept what the configuration says it does: another secret, issuer or audience, or another clock."
        "Compare the gateway's configuration with this one; `tidings config --effective` prints both."
    CANARY Error "canary"
        "What producers publish does not reach clients, or only late."
        "See to the other findings first; `tidings_projector_lag_seconds` and `tidings_gateway_reader_lag_seconds` say where it stops."
    SOURCE Error "source-unreadable"
        "Nothing of the source is copied into EVENTS until it can be read."
        "Do as the text says; `tidings check` shows what its newest messages would become."
}

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    kind: &'static Kind,
    text: String,
}

impl Finding {
    /// What was found, with the value and what was expected. It has no secret.
    pub(super) fn new(kind: &'static Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// Something that could not be looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unseen {
    what: String,
    why: String,
}

/// What there is to say about a deployment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    findings: Vec<Finding>,
    unseen: Vec<Unseen>,
}

#[derive(Serialize)]
struct Written<'r> {
    findings: Vec<WrittenFinding<'r>>,
    not_looked_at: &'r [Unseen],
}

#[derive(Serialize)]
struct WrittenFinding<'r> {
    kind: &'r str,
    level: Level,
    found: &'r str,
    means: &'r str,
    action: &'r str,
}

impl Report {
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    pub(super) fn find(&mut self, kind: &'static Kind, text: impl Into<String>) {
        self.findings.push(Finding::new(kind, text));
    }

    pub(super) fn not_seen(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.unseen.push(Unseen { what: what.into(), why: why.into() });
    }

    /// With everything of another report.
    pub(super) fn absorb(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.unseen.extend(other.unseen);
    }

    /// The worst finding.
    pub(super) fn level(&self) -> Option<Level> {
        self.findings.iter().map(|finding| finding.kind.level).max()
    }

    pub(super) fn json(&self) -> impl Serialize {
        let findings = self.findings.iter().map(|finding| WrittenFinding {
            kind: finding.kind.code,
            level: finding.kind.level,
            found: &finding.text,
            means: finding.kind.means,
            action: finding.kind.action,
        });
        Written { findings: findings.collect(), not_looked_at: &self.unseen }
    }

    /// As people read it, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for level in [Level::Error, Level::Warning] {
            for Finding { kind, text } in self.findings.iter().filter(|finding| finding.kind.level == level) {
                lines.push(format!("{}: {}: {text}", level.name(), kind.code));
                lines.push(format!("  means:  {}", kind.means));
                lines.push(format!("  to do:  {}", kind.action));
            }
        }
        for Unseen { what, why } in &self.unseen {
            lines.push(format!("not looked at: {what}: {why}"));
        }
        if self.findings.is_empty() {
            lines.push("nothing is wrong with what was looked at".to_owned());
        }
        lines
    }
}

#[cfg(test)]
impl Report {
    /// The codes of the findings, and the number of things that were not looked at.
    pub(super) fn codes(&self) -> (Vec<&'static str>, usize) {
        (self.findings.iter().map(|finding| finding.kind.code).collect(), self.unseen.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_table_of_all_findings() {
        let (begin, end) =
            ("<!-- findings: `UPDATE_GENERATED=1 cargo test` writes it -->\n", "<!-- findings: end -->");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/doctor.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (before, rest) = document.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let row = |kind: &&Kind| {
            format!("| `{}` | {} | {} | {} |", kind.code, kind.level.name(), kind.means, kind.action)
        };
        let rows = ALL.iter().map(row).collect::<Vec<_>>().join("\n");
        let table =
            format!("| finding | level | what it means | what to do |\n| --- | --- | --- | --- |\n{rows}\n");
        let generated = format!("{before}{begin}\n{table}\n{end}{after}");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(path, &generated).unwrap();
        } else {
            assert!(document == generated, "UPDATE_GENERATED=1 cargo test writes the table again");
        }
    }

    #[test]
    fn codes_are_unique_and_texts_are_sentences() {
        let mut codes: Vec<_> = ALL.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        for kind in ALL {
            assert!(kind.means.ends_with('.') && kind.action.ends_with('.'), "{}", kind.code);
        }
    }

    #[test]
    fn the_worst_finding_counts() {
        let mut report = Report::default();
        assert_eq!(report.level(), None);
        report.find(&NO_STANDBY, "shard 0 has one projector");
        assert_eq!(report.level(), Some(Level::Warning));
        report.find(&NO_GATEWAY, "no gateway answers");
        assert_eq!(report.level(), Some(Level::Error));
        report.not_seen("disks", "there is no monitoring");
        let lines = report.lines();
        assert!(lines[0].starts_with("error: no-gateway: no gateway answers"), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "not looked at: disks: there is no monitoring");
    }
}
