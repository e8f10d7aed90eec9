//! `tidings explain`: the way of an event, and where it ended for a user.
//!
//! Reads what all streams and buckets know of both (`evidence`); what follows from it is a pure function (`decide`).

mod decide;
mod evidence;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use serde_json::json;
use tidings_catalog::Catalog;
use tidings_model::{Event, RawEvent, Tenant};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::deliveries::Deliveries;
use tidings_streams::users::UserName;
use tidings_streams::{
    EventHistory, Home, Rejections, Schedules, Topology, envelopes_of_event, last_purge, newest,
    projected_through, running_catalog, translate_position,
};
use time::OffsetDateTime;

use self::evidence::{Device, Evidence, Expected, Rejection, Stored};
use crate::arguments::ExplainOptions;
use crate::failure::Failure;
use crate::output::{Table, print, print_json, rfc3339};
use crate::{catalogs, known, serve, stores};

/// Explains.
pub(crate) async fn run(file: Option<&Path>, options: &ExplainOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-explain").await?;
    let tenant = known::tenant(&config, &topology.client(), &options.tenant).await?;
    let user = UserName::new(tenant.clone(), &options.user)?;
    let home = topology.home(&tenant).await?;
    let reading = Reading { config: &config, topology: &topology, home: &home, tenant: &tenant };
    let evidence = Box::pin(reading.evidence(&user, options)).await?;
    let explanation = evidence.explain();
    if options.json {
        let members = json!({ "tenant": tenant, "user": options.user, "event": options.event });
        let mut whole = serde_json::to_value(&explanation)?;
        if let (Some(whole), Some(members)) = (whole.as_object_mut(), members.as_object()) {
            whole.extend(members.clone());
        }
        print_json(&whole)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["TIME", "WHAT"]);
    for step in explanation.steps {
        table.row([step.at.map_or_else(|| "-".to_owned(), tidings_model::rfc3339), step.text])?;
    }
    table.finish("nothing is known of it")?;
    print(&explanation.summary)?;
    Ok(ExitCode::SUCCESS)
}

struct Reading<'r> {
    config: &'r Config,
    topology: &'r Topology,
    home: &'r Home,
    tenant: &'r Tenant,
}

impl Reading<'_> {
    async fn evidence(&self, user: &UserName, options: &ExplainOptions) -> Result<Evidence, Failure> {
        let (id, source) = (options.event.as_str(), options.source.as_deref());
        let events = self.events(id, source).await?;
        let mut envelopes: Vec<_> =
            envelopes_of_event(self.home, self.tenant, id.to_owned()).try_collect().await?;
        if source.is_some() {
            envelopes.retain(|stored| stored.envelope.event_source.as_deref() == source);
        }
        let stored: Vec<_> = events.iter().map(stored).collect();
        let is_projected = match events.last() {
            Some(last) => self.is_projected(last.position.sequence).await?,
            None => false,
        };
        let expected = match events.first().map(RawEvent::read) {
            Some(Ok(event)) if envelopes.is_empty() => self.expected(&event).await?,
            _ => None,
        };
        let (mut facts, mut waiting) = (Vec::new(), Vec::new());
        if let Some(deliveries) = Deliveries::find(self.topology).await? {
            facts = deliveries.facts(self.tenant, Some(user.user())).try_collect().await?;
            facts.retain(|stored| stored.fact.event == id);
            waiting = deliveries.waiting(self.tenant, Some(user.user())).try_collect().await?;
            waiting.retain(|waiting| waiting.event == id);
        }
        let state = stores::users(self.config, self.topology).await?.load(user).await?;
        let disabled = state.disabled.map(|mark| {
            let why = mark.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("since {} by {}{why}", rfc3339(mark.since), mark.by)
        });
        Ok(Evidence {
            user: user.user().to_owned(),
            event: id.to_owned(),
            now: OffsetDateTime::now_utc(),
            scheduled: self.scheduled(id, source).await?,
            stored,
            rejection: self.rejection(id, &events).await?,
            is_projected,
            expected,
            envelopes,
            devices: self.devices(user.user()).await?,
            disabled,
            facts,
            waiting,
        })
    }

    /// Each time that `EVENTS` has the event. Reads all of the tenant's events.
    async fn events(&self, id: &str, source: Option<&str>) -> Result<Vec<RawEvent>, Failure> {
        let mut history = EventHistory::open(self.topology, self.tenant, None, None).await?;
        let (mut found, mut sources) = (Vec::new(), BTreeSet::new());
        while !history.has_read_all().await? {
            history.ready().await;
            while let Some(raw) = history.take() {
                let (its_id, its_source) = match raw.read() {
                    Ok(event) => (event.id, event.source),
                    Err(_) => (raw.own_id(), None),
                };
                if its_id == id && (source.is_none() || source == its_source.as_deref()) {
                    sources.insert(its_source.unwrap_or_else(|| "none".to_owned()));
                    found.push(raw);
                }
            }
        }
        if sources.len() > 1 {
            let sources = sources.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "several sources have an event {id:?}: {sources}; --source says which is meant"
            )
            .into());
        }
        Ok(found)
    }

    async fn scheduled(&self, id: &str, source: Option<&str>) -> Result<Option<OffsetDateTime>, Failure> {
        let mut scheduled = Schedules::new(self.topology).list(self.tenant);
        while let Some(waiting) = scheduled.try_next().await? {
            if waiting.id == id && (source.is_none() || waiting.source.as_deref() == source) {
                return Ok(Some(waiting.at));
            }
        }
        Ok(None)
    }

    async fn rejection(&self, id: &str, events: &[RawEvent]) -> Result<Option<Rejection>, Failure> {
        let mut rejections = Rejections::new(self.topology).list(self.tenant);
        while let Some(rejected) = rejections.try_next().await? {
            // The id of an event that cannot be read is not known; its position is.
            let is_it = events.iter().any(|event| event.position == rejected.position);
            if is_it || (events.is_empty() && rejected.id == id) {
                let (at, reason, text) = (rejected.last_seen, rejected.reason, rejected.text);
                return Ok(Some(Rejection { at, reason, text }));
            }
        }
        Ok(None)
    }

    async fn is_projected(&self, sequence: u64) -> Result<bool, Failure> {
        let topology = &self.home.topology;
        let consumer = topology.shard().name(&self.config.projector.consumer);
        Ok(projected_through(topology, &consumer).await?.is_some_and(|done| done >= sequence))
    }

    /// What the catalog makes of the event, and what became of that.
    async fn expected(&self, event: &Event) -> Result<Option<Result<Vec<Expected>, String>>, Failure> {
        let files = match running_catalog(self.topology, self.tenant).await? {
            Some(files) => Some(files),
            None => {
                catalogs::read_texts(&self.config.schemas).ok().and_then(|mut all| all.remove(self.tenant))
            }
        };
        let Some(catalog) = files.and_then(|files| Catalog::parse(self.tenant, &files).ok()) else {
            return Ok(None);
        };
        let envelopes = match catalog.project(event) {
            Ok(envelopes) => envelopes,
            Err(rejection) => return Ok(Some(Err(rejection.to_string()))),
        };
        let mut expected = Vec::new();
        for envelope in envelopes {
            let mut message = Expected::new(envelope);
            let (home, subject) = (self.home, &message.subject);
            if message.may_be_replaced() {
                let generation = home.placement.current.place.generation;
                let newer = newest(&home.topology, subject, generation).await?;
                message.newer = newer.map(|stored| stored.envelope.event_id);
            }
            let purge = last_purge(&home.topology, Some((self.tenant, &message.subject.address))).await?;
            message.purged_at = purge.map(|(_, at)| at).filter(|at| *at >= event.stored_at);
            expected.push(message);
        }
        Ok(Some(Ok(expected)))
    }

    async fn devices(&self, user: &str) -> Result<Vec<Device>, Failure> {
        let store = stores::consumers(self.config, self.topology).await?;
        let here = self.home.extent().await?.epoch;
        let mut devices = Vec::new();
        let mut listed = store.list(self.tenant, Some(user));
        while let Some((name, stored)) = listed.try_next().await? {
            let state = stored.state;
            let is_in_place = state.position.epoch == here;
            let Home { topology, placement } = self.home;
            let sequence = if is_in_place {
                Some(state.position.sequence)
            } else {
                let translated = translate_position(topology, self.tenant, placement, state.position).await?;
                translated.map(|translated| translated.position.sequence)
            };
            devices.push(Device { name: name.device().to_owned(), state, sequence, is_in_place });
        }
        Ok(devices)
    }
}

fn stored(raw: &RawEvent) -> Stored {
    let name = raw.name().map_or_else(|_| raw.subject.clone(), |(_, name)| name.to_string());
    Stored { position: raw.position, at: raw.stored_at, name }
}
