//! A stream in a team's own account, of which processes may use only what `nats-accounts.sh --source` lets them.

use async_nats::jetstream::{self, Context, stream::Config};
use harness::BOUND;

use super::incident;
use crate::deployment::{Deployment, Made};

/// How many messages a team stores.
pub(super) const MESSAGES: usize = 40;

/// Configures a source for each of these streams.
pub(super) fn configure(made: &Made, streams: &[&str]) {
    let file = made.path("tidings.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (own, _) = text.split_once("\n# of the team\n").unwrap_or((&text, ""));
    let sources = streams.iter().map(|stream| {
        let name = stream.to_lowercase();
        format!(
            "[[projector.sources]]\nname = {name:?}\nstream = {stream:?}\ntenant = \"ops\"\nevent = \"incident.created\"\n"
        )
    });
    std::fs::write(&file, format!("{own}\n# of the team\n{}", sources.collect::<String>())).unwrap();
}

/// Lets the projector look up a stream HALF, and make a consumer of a stream MOST, and read none of them.
pub(super) fn permit_a_part(made: &Made) {
    let team = made.nsc("describe account --name TEAM --field sub");
    let team = team.trim().trim_matches('"');
    for subject in ["STREAM.INFO.HALF", "STREAM.INFO.MOST", "CONSUMER.CREATE.MOST"] {
        made.nsc(&format!("add export --account TEAM --service --subject $JS.API.{subject}"));
        made.nsc(&format!(
            "add import --account PROJECTOR --service --src-account {team} --remote-subject $JS.API.{subject} \
             --local-subject TIDINGS.API.{subject}"
        ));
    }
    made.nsc("generate config --mem-resolver --config-file nats-accounts.conf --force");
}

/// The team makes its streams.
pub(super) async fn create(deployment: &Deployment<'_>, streams: &[&str]) -> Context {
    let context = jetstream::new(deployment.client("TEAM").await);
    for stream in streams {
        let subjects = vec![stream.to_lowercase()];
        let config = Config { name: (*stream).to_owned(), subjects, ..Config::default() };
        context.create_stream(config).await.unwrap();
    }
    context
}

/// The team stores messages.
pub(super) async fn fill(team: &Context, stream: &str) {
    for number in 0..MESSAGES {
        let body = incident(&number.to_string()).to_string();
        team.publish(stream.to_lowercase(), body.into()).await.unwrap().await.unwrap();
    }
}

/// Streams that are not permitted, and permitted in part, are told with what to do; nothing of them is copied.
pub(super) async fn says_what_is_missing(made: &Made, deployment: &Deployment<'_>, team: &Context) {
    fill(team, "MOST").await;
    configure(made, &["HALF", "NONE", "MOST"]);
    let mut projector = deployment.tidings("projector", &["projector"]).start();
    for name in ["none", "half"] {
        let line = projector.line(&format!("cannot copy the source {name} now"), 2 * BOUND).await;
        assert!(line.contains("nats-accounts.sh --source"), "{line}");
    }
    let line = projector.line("NATS sends no messages of the source", 2 * BOUND).await;
    assert!(line.contains("stream=\"MOST\"") && line.contains("nats-accounts.sh --source"), "{line}");
}
