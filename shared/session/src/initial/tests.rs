use std::sync::Arc;

use serde_json::{Value, json};
use tidings_catalog::{Catalogs, Files};
use tidings_model::{Epoch, PlacedPosition, Position, Tenant};
use tidings_protocol::server::Form;
use tidings_streams::consumers::{Change, ConsumerName, ConsumerState, Presence};
use time::macros::datetime;

use super::*;
use crate::{Moment, Principal};

fn catalogs(topics: &str) -> Arc<Catalogs> {
    let tenant = Tenant::parse("ops").unwrap();
    let text = format!(
        "grants = ['user:{{sub}}', 'role:{{role}}']\n{topics}\n[[message]]\nname = 'm'\nevents = ['a.b']\n\
         schema = 'any.json'\nto = 'topic:{{data.topic}}'\nattributes = {{ squad = '{{data.squad?}}' }}\nbody = {{}}"
    );
    let files: Files = [("catalog.toml", text), ("any.json", "{}".to_owned())]
        .map(|(name, text)| (name.to_owned(), text))
        .into();
    let catalog = Catalog::parse(&tenant, &files).unwrap();
    Arc::new([(tenant, catalog)].into())
}

const TOPICS: &str = "[topics.a]\ninitial = true\n[topics.b]\n[topics.c]\ninitial = true\n[topics.d]\ninitial = true\nroles = ['sre']";

fn principal(catalogs: &Catalogs, role: &str) -> Principal {
    let catalog = catalogs.values().next().unwrap();
    let claims = json!({ "sub": "ada", "role": role });
    let claims = claims.as_object().unwrap();
    let grants = catalog.grants(claims);
    Principal {
        publish_claims: catalog.publish_claims(claims, &grants),
        consumer: ConsumerName::new(catalog.tenant().clone(), "ada", "d").unwrap(),
        grants,
        expires_at: datetime!(2030-01-01 00:00 UTC),
        issued_at: None,
    }
}

/// A device as it is stored, over its connections.
struct Device {
    catalogs: Arc<Catalogs>,
    stored: Option<ConsumerState>,
    session: Option<Session>,
}

impl Device {
    fn new(catalogs: &Arc<Catalogs>) -> Self {
        Self { catalogs: Arc::clone(catalogs), stored: None, session: None }
    }

    fn save(&mut self, subscriptions: BTreeMap<String, Edit>) {
        let position = Position { epoch: Epoch(1), sequence: 7 };
        let position = PlacedPosition { generation: 1, position };
        let presence = Presence::Connected("gw".to_owned());
        let change = Change { subscriptions, ..Change::new(position, presence, 1) };
        self.stored = Some(change.apply(self.stored.as_ref()));
    }

    fn connect(&mut self, role: &str) -> &mut Self {
        let principal = principal(&self.catalogs, role);
        let catalog = self.catalogs.values().next();
        let stored = self.stored.as_ref().map(|stored| &stored.subscriptions);
        let edits = initial_subscriptions(catalog, &principal.grants, stored, 7);
        self.save(edits);
        let mut session = Session::new(Arc::clone(&self.catalogs), principal, Form::Plain);
        session.restore(self.stored.as_ref().unwrap().subscriptions.clone());
        self.session = Some(session);
        self
    }

    fn save_effects(&mut self, effects: Vec<Effect>) -> &mut Self {
        for effect in effects {
            match effect {
                Effect::Remember { topic, edit } => self.save([(topic, edit)].into()),
                Effect::OpenAddress(..) | Effect::CloseAddress(..) => {}
                other => panic!("{other:?}"),
            }
        }
        self
    }

    fn say(&mut self, message: &Value) -> &mut Self {
        let now = datetime!(2025-01-17 16:00 UTC);
        let moment = Moment { now, sequence: 40, sent: 30, max_topics: 2 };
        let read = moment.read(&message.to_string());
        let effects = self.session.as_mut().unwrap().receive(read, moment);
        self.save_effects(effects)
    }

    fn reload(&mut self, topics: &str) -> &mut Self {
        self.catalogs = catalogs(topics);
        let effects = self.session.as_mut().unwrap().update_catalogs(&self.catalogs);
        self.save_effects(effects)
    }

    /// What is open, and that the same is open after a reconnect.
    #[track_caller]
    fn has(&mut self, topics: &[&str], role: &str) -> &mut Self {
        assert_eq!(self.session.as_ref().unwrap().topics().collect::<Vec<_>>(), topics);
        self.connect(role);
        assert_eq!(self.session.as_ref().unwrap().topics().collect::<Vec<_>>(), topics, "after a reconnect");
        self
    }
}

#[test]
fn a_device_that_has_not_chosen_has_what_the_catalog_opens() {
    let catalogs = catalogs(TOPICS);
    let mut device = Device::new(&catalogs);
    device.connect("dev").has(&["a", "c"], "dev").connect("sre").has(&["a", "c", "d"], "sre");
    device.connect("dev").has(&["a", "c"], "dev");
    device.reload("[topics.b]\ninitial = true\n[topics.c]\ninitial = true").has(&["b", "c"], "dev");
    device.reload("[topics.b]").has(&[], "dev").reload(TOPICS).has(&["a", "c"], "dev");
    let fresh = principal(&device.catalogs, "sre");
    let effects = device.session.as_mut().unwrap().renew(fresh).unwrap();
    device.save_effects(effects).has(&["a", "c", "d"], "sre");
}

#[test]
fn its_first_choice_is_what_it_has() {
    let catalogs = catalogs(TOPICS);
    let device = || Device::new(&catalogs);
    let subscribe = |topics: Value| json!({ "action": "subscribe", "topics": topics });
    let unsubscribe = |topics: Value| json!({ "action": "unsubscribe", "topics": topics });
    let mut one = device();
    one.connect("sre").say(&subscribe(json!(["b", "c"]))).has(&["b", "c"], "sre");
    // What was open before brings what came meanwhile.
    let since = |topic: &str| one.stored.as_ref().unwrap().subscriptions.get(topic).unwrap().since;
    assert_eq!((since("c"), since("b")), (7, 40));
    one.reload(TOPICS).has(&["b", "c"], "sre").say(&unsubscribe(json!(["b"]))).has(&["c"], "sre");
    device()
        .connect("sre")
        .say(&unsubscribe(json!(["a"])))
        .has(&["c", "d"], "sre")
        .reload(TOPICS)
        .has(&["c", "d"], "sre");
    device()
        .connect("dev")
        .say(&unsubscribe(json!(["a", "c"])))
        .has(&[], "dev")
        .connect("sre")
        .has(&[], "sre");
    device().connect("dev").say(&unsubscribe(json!(["nothing"]))).has(&["a", "c"], "sre");
}

#[test]
fn a_subscription_that_is_refused_is_no_choice() {
    let catalogs = catalogs(TOPICS);
    for (topics, filters) in [(json!(["b", "x"]), json!({})), (json!(["b"]), json!({ "site": "s" }))] {
        let mut device = Device::new(&catalogs);
        device.connect("sre");
        let message = json!({ "action": "subscribe", "topics": topics, "filters": filters });
        let now = datetime!(2025-01-17 16:00 UTC);
        let moment = Moment { now, sequence: 40, sent: 30, max_topics: 2 };
        let effects = device.session.as_mut().unwrap().receive(moment.read(&message.to_string()), moment);
        assert!(matches!(effects.as_slice(), [Effect::Refuse(_)]), "{effects:?}");
        device.has(&["a", "c", "d"], "sre");
    }
}

#[test]
fn devices_that_were_there_before_keep_what_they_have() {
    let (before, after) = (catalogs("[topics.a]\n[topics.b]"), catalogs(TOPICS));
    let mut device = Device::new(&before);
    device.connect("dev");
    assert!(device.stored.as_ref().unwrap().subscriptions.is_empty());
    device.catalogs = Arc::clone(&after);
    device.connect("dev").has(&[], "dev");
    // Another gateway makes the same device at the same time, and its client has chosen by then.
    let edits = initial_subscriptions(after.values().next(), &Grants::default(), None, 7);
    let mut device = Device::new(&after);
    device.connect("dev").say(&json!({ "action": "subscribe", "topics": ["b"] }));
    device.save(edits);
    device.connect("dev").has(&["b"], "dev");
}
