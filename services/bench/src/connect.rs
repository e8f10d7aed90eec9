//! `tidings-bench connect`: the cost of a handshake with a token, and the share of checking its signature.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use harness::SigningKey;
use jsonwebtoken::Algorithm as Signature;
use serde_json::{Value, json};
use tidings_access::{
    Algorithm, Issuer, Keys, Policy, SigningSecret, Tenancy, Token, Verifier, VerifyingKey,
};

use crate::arguments::ConnectOptions;
use crate::client::{Returned, Returning, return_all};
use crate::deployment::{Deployment, SECRET, claims, token};
use crate::failure::Failure;
use crate::population::user;
use crate::process::Running;
use crate::report::Plot;
use crate::report::{Report, Section, each, median, milliseconds, number, progress, quantile, rate, spread};
use crate::usage::{Stopwatch, thread_time, until_idle};

const COLUMNS: &[&str] = &[
    "handshakes",
    "per s and core",
    "± %",
    "gateway µs",
    "token µs",
    "token %",
    "JetStream µs",
    "per s",
    "p50 ms",
    "p99 ms",
];
const ISSUER: &str = "https://login.example";

/// Runs the benchmark.
pub(crate) async fn run(options: &ConnectOptions, report: &mut Report) -> Result<(), Failure> {
    let mut section = Section::new(format!("{} handshakes with tokens", options.users), COLUMNS);
    section.plot = Some(Plot::of(&["per s and core"]));
    for kind in [Kind::Hs256, Kind::Rs256, Kind::Es256] {
        progress(&format!("signing {} tokens with {kind:?}", options.users));
        let identity = Identity::new(kind, options.users)?;
        let verification = identity.verify_all()?;
        progress("their users connect");
        let deployment = Deployment::start(1_000).await?;
        let gateway = identity.gateway(&deployment).await?;
        let mut rounds = Vec::new();
        for _ in 0..=options.rounds {
            rounds.push(Round::of(options, &identity, &deployment, &gateway).await?);
        }
        let name = kind.name();
        add(&mut section, &format!("{name}, for the first time"), &rounds[..1], verification);
        add(&mut section, &format!("{name}, again"), &rounds[1..], verification);
    }
    section.note("per s and core: in one second of the gateway's processor time, until `caught_up` is sent");
    section.note("token: checking the same tokens alone, on one thread; and its part of the gateway's time");
    section.note(format!(
        "{} users connecting at any moment; per s includes the load client on the same cores",
        options.under_way
    ));
    report.add(section);
    Ok(())
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hs256,
    Rs256,
    Es256,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// An issuer and its signed tokens.
struct Identity {
    /// The public key in PEM; without it, tokens are signed with [`SECRET`].
    key: Option<(Kind, String)>,
    verifier: Verifier,
    tokens: Vec<String>,
}

impl Identity {
    fn new(kind: Kind, users: u64) -> Result<Self, Failure> {
        let (signature, algorithm) = match kind {
            Kind::Hs256 => return Self::with_secret(users),
            Kind::Rs256 => (Signature::RS256, Algorithm::Rs256),
            Kind::Es256 => (Signature::ES256, Algorithm::Es256),
        };
        let key = SigningKey::new("bench", signature);
        let pem = key.public_pem();
        let issuer = Issuer {
            name: Some(ISSUER.to_owned()),
            audience: None,
            algorithms: vec![algorithm],
            user_claim: "sub".to_owned(),
            tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: None },
            keys: Keys::Fixed(VerifyingKey::from_file(pem.as_bytes())?),
        };
        let tokens = (0..users).map(|index| {
            let mut claims = claims(&user(index), &["o1".to_owned()]);
            claims.insert("iss".to_owned(), json!(ISSUER));
            key.token(Value::Object(claims))
        });
        let verifier = Verifier::new(vec![issuer], Policy::default());
        Ok(Self { key: Some((kind, pem)), verifier, tokens: tokens.collect() })
    }

    fn with_secret(users: u64) -> Result<Self, Failure> {
        let issuer = Issuer::with_secret(&SigningSecret::new(SECRET)?);
        let tokens = (0..users).map(|index| token(&user(index))).collect::<Result<_, _>>()?;
        Ok(Self { key: None, verifier: Verifier::new(vec![issuer], Policy::default()), tokens })
    }

    /// Checks all tokens; returns the microseconds for each.
    fn verify_all(&self) -> Result<f64, Failure> {
        let (began, now) = (thread_time(), SystemTime::now());
        for token in &self.tokens {
            black_box(self.verifier.verify_known(&Token::parse(token)?, now)?);
        }
        Ok(each(thread_time().saturating_sub(began), self.tokens.len() as u64))
    }

    async fn gateway(&self, deployment: &Deployment) -> Result<Running, Failure> {
        let Some((kind, pem)) = &self.key else { return deployment.gateway(None).await };
        let file = deployment.folder().join("issuer.pem");
        std::fs::write(&file, pem)?;
        let (file, name) = (file.display(), kind.name());
        let issuer = format!("issuer = '{ISSUER}'\nalgorithms = ['{name}']\nkey_files = ['{file}']\n");
        deployment.gateway_for(&issuer).await
    }
}

/// One round in which all users connect.
struct Round {
    users: u64,
    elapsed: Duration,
    times: [Duration; 2],
    gateway: Duration,
    jetstream: Duration,
}

impl Round {
    async fn of(
        options: &ConnectOptions,
        identity: &Identity,
        deployment: &Deployment,
        gateway: &Running,
    ) -> Result<Self, Failure> {
        let users: Vec<_> = identity
            .tokens
            .iter()
            .map(|token| Returning { token: token.clone(), first: 0, step: 0, count: 0 })
            .collect();
        let (ours, theirs) = (Stopwatch::start(gateway.pid)?, Stopwatch::start(deployment.server_pid()?)?);
        let Returned { elapsed, times, connections } =
            return_all(gateway.address, users, options.under_way).await?;
        let round = Self {
            users: options.users,
            elapsed,
            times: [0.5, 0.99].map(|part| quantile(&times, part)),
            gateway: ours.read()?,
            jetstream: theirs.read()?,
        };
        drop(connections);
        until_idle(&[gateway.pid]).await?;
        Ok(round)
    }
}

fn add(section: &mut Section, name: &str, rounds: &[Round], verification: f64) {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let per_core: Vec<f64> = rounds.iter().map(|round| rate(round.users, round.gateway)).collect();
    let gateway = of(|round| each(round.gateway, round.users));
    section.row(
        name,
        [
            Some(of(|round| number(round.users))),
            Some(median(per_core.clone())),
            (per_core.len() > 1).then(|| spread(&per_core)),
            Some(gateway),
            Some(verification),
            Some(100.0 * verification / gateway),
            Some(of(|round| each(round.jetstream, round.users))),
            Some(of(|round| rate(round.users, round.elapsed))),
            Some(of(|round| milliseconds(round.times[0]))),
            Some(of(|round| milliseconds(round.times[1]))),
        ],
    );
}
