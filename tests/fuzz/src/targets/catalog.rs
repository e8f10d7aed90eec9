//! Templates with the data of any event or token, and catalogs that somebody is still writing.

use serde_json::{Map, Value};
use tidings_catalog::{Catalog, Files, TextRule, additions, breaks};
use tidings_model::{Epoch, Event, EventName, Position, Tenant, json};
use time::OffsetDateTime;

use super::model::tokens;
use super::{split_line, text};
use crate::Target;

pub(crate) const TEMPLATE: Target = Target {
    name: "template",
    run: template,
    seeds: &[
        b"{data.user}\n{\"user\":\"ada\"}",
        b"{data.users[*].id?}-{data.n}\n{\"users\":[{\"id\":\"a\"},{\"id\":null},{\"id\":1.0},{}],\"n\":1e0}",
        b"x{{{data[\"first name\"]}}}\n{\"first name\":\"*.>\"}",
        b"{data.a.b[0]?}\n{\"a\":{\"b\":[\"all\"]}}",
        b"{sub}{roles}\n{\"sub\":\"ada\",\"roles\":\"a b\",\"realm_access\":{\"roles\":[\"c d\",null,2,true,{}]}}",
        b"{cognito:groups[*]}:{scope?}\n{\"cognito:groups\":[\"g\"],\"scope\":\"a:b c\"}",
        b"{data.*?}\n{}",
        b"{data.user\n[]",
    ],
    attempts: 2_000,
};

/// A template in an address, in a message and in what a token opens, filled with any data: addresses are of the kind that
/// the catalog says, each once, and no data can change which subject they lead to. The first line is the template, the
/// rest is the data.
fn template(input: &[u8]) {
    let (template, data) = split_line(input);
    let Ok(data) = json::parse(data) else { return };
    let place = quoted(&text(template));
    let address = quoted(&format!("user:{}", text(template)));
    if let Ok(catalog) = parse(&format!("grants = [\"all\", {address}]\n")) {
        let claims = data.as_object().cloned().unwrap_or_default();
        for key in &catalog.grants(&claims) {
            tokens(key);
            assert!(matches!(key.kind(), "all" | "user"), "{key}");
        }
    }
    let text = format!(
        "grants = [\"all\", \"user:{{sub}}\"]\n[[message]]\nname = \"m\"\nevents = [\"a.b\"]\nschema = \"any.json\"\n\
         to = [{address}]\nattributes = {{ x = {place} }}\n[message.body]\nvalue = {place}\n"
    );
    let Ok(catalog) = parse(&text) else { return };
    let event = event(data);
    let projected = catalog.project(&event);
    let spelled = format!("{projected:?}");
    assert_eq!(format!("{:?}", catalog.project(&event)), spelled);
    match projected {
        Ok(envelopes) => {
            let mut subjects: Vec<_> = envelopes
                .iter()
                .map(|envelope| {
                    assert_eq!(envelope.subject.address.kind(), "user");
                    assert!(json::parse(&envelope.body).is_ok_and(|body| body.is_object()));
                    tokens(&envelope.subject.address)
                })
                .collect();
            let count = subjects.len();
            subjects.sort_unstable();
            subjects.dedup();
            assert!(count > 0 && subjects.len() == count, "{count} envelopes at {subjects:?}");
        }
        Err(rejection) => {
            assert!(!rejection.text.contains('\n') && rejection.text.len() < 8 * 1024, "{}", rejection.text);
            assert!(rejection.pointer.is_none_or(|pointer| pointer.len() <= 1024));
        }
    }
}

pub(crate) const CATALOG: Target = Target {
    name: "catalog",
    run: catalog,
    seeds: &[
        b"grants = [\"all\", \"user:{sub}\", 'role:{realm_access.roles}']\ndeliver = \"7d\"\n[topics.incidents]\nroles = [\"sre\"]\n[[message]]\nname = \"incident\"\nevents = [\"incident.created\"]\nschema = \"any.json\"\nto = [\"topic:incidents\", { address = \"user:{data.a?}\", when = { \"data.b\" = 1.0 } }]\nttl = \"1h\"\n[message.body]\nid = \"{data.id}\"\n",
        b"grants = [\"user:{sub}\"]\n[[message]]\nname = \"p\"\nevents = [\"p.q\"]\nschema = \"any.json\"\nto = \"user:{data.u}\"\nclass = \"latest\"\nkey = \"{data.d}\"\nmax_rate = \"5/s\"\nslot = \"s\"\n[message.body]\nd = \"{data.d}\"\n[routes.progress]\nmessage = \"p\"\nkey = \"{docId}\"\n",
        b"grants = [\"user:{sub}\"]\n[[publish]]\naction = \"order\"\nevent = \"order.placed\"\nroles = [\"cook\"]\nwhere = { \"data.guest\" = \"{sub}\" }\ndata = { a = \"{claims.sub}\", b = [\"{x?}\", 1] }\n",
        b"grants = [\"user:{sub}\"]\ntext = \"plain\"\nunknown = \"drop\"\n[digest]\nevery = \"1s\"\nbody = { m = [\"{messages}\"] }\n[topics.t]\ninitial = true\n[[message]]\nname = \"m\"\nevents = [\"a.b\"]\nschema = \"any.json\"\nto = \"topic:t\"\nclass = \"latest\"\nkey = \"{data.k}/{data.e?}\"\ntext = { \"d.url\" = \"url\" }\n[message.body]\nd = \"{data}\"\n",
        b"grants = []\n[message]\n",
        b"deliver = \"99999999999999999999d\"\ngrants = [\"a:b:c\"]\n",
    ],
    attempts: 1_500,
};

/// A catalog is taken or all of its mistakes are named; one that is taken breaks nobody compared
/// with itself, and opens addresses alone.
fn catalog(input: &[u8]) {
    let text = text(input);
    let catalog = match parse(&text) {
        Ok(catalog) => catalog,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(breaks(&files(&text), &files(&text)).expect("it can be compared").is_empty());
    assert!(additions(&files(&text), &files(&text)).expect("it can be compared").is_empty());
    assert!(catalog.without_effect().iter().all(|problem| !problem.text.is_empty()));
    if let Some(digest) = catalog.digest() {
        assert!(json::parse(&digest.join(&["{}", "[]"])).is_ok_and(|digest| digest.is_object()));
    }
    let claims = json::parse(br#"{"sub":"ada","role":["sre",1]}"#).expect("it is JSON");
    for key in &catalog.grants(claims.as_object().unwrap_or(&Map::new())) {
        tokens(key);
    }
    drop(catalog.project(&event(Value::Object(Map::new()))));
}

pub(crate) const SANITIZED: Target = Target {
    name: "sanitized",
    run: sanitized,
    seeds: &[
        b"<script>alert(1)</script>",
        b"a <b and c> d < e <<b>img src=x onerror=y>",
        b"java\tscript:alert(1)",
        b"https://x.example/?a=<b>&c",
        "<é><!--x--></".as_bytes(),
    ],
    attempts: 4_000,
};

/// Whatever a text is, nothing that a browser would run is left of it, a second pass finds nothing more, and it is hardly
/// longer than before.
fn sanitized(input: &[u8]) {
    let text = text(input);
    for rule in [TextRule::Plain, TextRule::Url] {
        let clean = rule.clean(&text).into_owned();
        assert_eq!(rule.clean(&clean), clean);
        assert!(clean.len() <= text.len() + text.len() / 2 || clean == "about:blank");
        let begins =
            |pair: &[u8]| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1]));
        assert!(!clean.as_bytes().windows(2).any(begins), "{clean:?}");
    }
    assert_eq!(TextRule::Raw.clean(&text), text);
}

fn files(catalog: &str) -> Files {
    [("catalog.toml", catalog), ("any.json", "{}")]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
}

fn parse(catalog: &str) -> Result<Catalog, tidings_catalog::CatalogError> {
    Catalog::parse(&Tenant::parse("ops").expect("a tenant"), &files(catalog))
}

/// A text as TOML has it in double quotes.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn event(data: Value) -> Event {
    Event {
        tenant: Tenant::parse("ops").expect("a tenant"),
        name: EventName::parse("a.b").expect("a name"),
        id: "e1".to_owned(),
        source: None,
        subject: None,
        time: None,
        stored_at: OffsetDateTime::UNIX_EPOCH,
        trace_parent: None,
        position: Position { epoch: Epoch(1), sequence: 1 },
        data,
        has_own_id: true,
        publication: None,
        copied_from: None,
        delivery: None,
        scheduled: None,
    }
}
