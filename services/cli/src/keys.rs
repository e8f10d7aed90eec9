//! `tidings keys`: makes, lists and revokes API keys of producers.

use std::path::Path;
use std::process::ExitCode;

use tidings_access::ApiKey;
use tidings_model::{Event, EventPattern, KeyId, Tenant};
use tidings_runtime::config::SecretRule;
use tidings_streams::keys::{ApiKeys, KeyName, KeyReport, KeyState, KnownKey};
use tidings_streams::users::Mark;

use crate::arguments::{Grounds, KeyCommand, NewKey};
use crate::failure::Failure;
use crate::output::{Table, announce, print, print_json, remark, rfc3339};
use crate::users::{now, operator};
use crate::{known, serve, stores};

/// Runs `tidings keys …`.
pub(crate) async fn run(file: Option<&Path>, command: &KeyCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-keys").await?;
    let (KeyCommand::Create(NewKey { tenant, .. })
    | KeyCommand::Ls { tenant, .. }
    | KeyCommand::Revoke { tenant, .. }) = command;
    let tenant = known::tenant(&config, &topology.client(), tenant).await?;
    let keys = stores::keys(&config, &topology).await?;
    match command {
        KeyCommand::Create(new) => create(&keys, tenant, new).await?,
        KeyCommand::Ls { json, .. } => list(&keys, &tenant, *json).await?,
        KeyCommand::Revoke { id, grounds, .. } => revoke(&keys, tenant, id, grounds).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(keys: &ApiKeys, tenant: Tenant, new: &NewKey) -> Result<(), Failure> {
    let events = new.event.iter().map(|event| EventPattern::parse(event)).collect::<Result<Vec<_>, _>>()?;
    if let Some(source) =
        new.source.as_deref().filter(|source| source.is_empty() || !Event::can_be_named(source))
    {
        return Err(format!("{source:?} is no source of 1 to {} bytes", Event::MAX_ID_LENGTH).into());
    }
    let (key, token) = ApiKey::generate()?;
    let (name, now) = (KeyName { tenant, id: key.id().clone() }, now());
    let state = KeyState {
        digest: key.digest().to_owned(),
        events,
        source: new.source.clone(),
        created: Mark { since: now, by: operator(), reason: new.grounds.reason.clone() },
        expires_at: new.expires_in.map(|time| now.saturating_add(time.as_secs().max(1))),
        revoked: None,
    };
    keys.create(&name, &state).await?;
    let text = format!("this is API key {} of tenant {}; it is not shown again", name.id, name.tenant);
    remark([text.as_str()]);
    print(token.expose())
}

async fn list(keys: &ApiKeys, tenant: &Tenant, json: bool) -> Result<(), Failure> {
    let listed = keys.list(tenant).await?;
    if json {
        return listed.iter().try_for_each(|(name, state)| print_json(&KeyReport::new(name, state.as_ref())));
    }
    let mut table = Table::new(["KEY", "EVENTS", "SOURCE", "CREATED", "BY", "REASON", "STATE"]);
    for (name, state) in listed {
        table.row(cells(&name, state))?;
    }
    table.finish(&format!("there are no API keys of tenant {tenant}"))
}

fn cells(name: &KeyName, state: KnownKey) -> [String; 7] {
    let id = name.id.to_string();
    let Some(state) = state else {
        let mut cells: [String; 7] = Default::default();
        (cells[0], cells[6]) = (id, "unreadable".to_owned());
        return cells;
    };
    let standing = match (&state.revoked, state.expires_at) {
        (Some(mark), _) => format!("revoked {} by {}", rfc3339(mark.since), mark.by),
        (None, Some(_)) if state.has_expired(now()) => "expired".to_owned(),
        (None, Some(expires_at)) => format!("until {}", rfc3339(expires_at)),
        (None, None) => String::new(),
    };
    let KeyState { events, source, created, .. } = state;
    let events: Vec<_> = events.iter().map(ToString::to_string).collect();
    let Mark { since, by, reason } = created;
    let (source, reason) = (source.unwrap_or_default(), reason.unwrap_or_default());
    [id, events.join(" "), source, rfc3339(since), by, reason, standing]
}

async fn revoke(keys: &ApiKeys, tenant: Tenant, id: &str, grounds: &Grounds) -> Result<(), Failure> {
    let name = KeyName { tenant, id: KeyId::parse(id)? };
    let mark = Mark { since: now(), by: operator(), reason: grounds.reason.clone() };
    let Some(state) = keys.revoke(&name, &mark).await? else {
        let hint = format!("`tidings keys ls --tenant {}` lists those that there are", name.tenant);
        return Err(format!("there is no API key {} of tenant {}; {hint}", name.id, name.tenant).into());
    };
    let before = state.revoked.filter(|revoked| *revoked != mark);
    let note = before.map(|mark| format!(", as it has been since {} by {}", rfc3339(mark.since), mark.by));
    announce(&format!("API key {} of tenant {} is revoked{}", name.id, name.tenant, note.unwrap_or_default()))
}
