//! Fallbacks: what of them is a mistake, and what a channel gets of a message.

use std::time::Duration;

use serde_json::json;
use tidings_catalog::Unless;
use tidings_model::ChannelKind;

use crate::support::{catalog, event, parse};

fn with(message: &str, fallbacks: &str) -> String {
    format!(
        "grants = ['user:{{sub}}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\n\
         to = 'user:{{data.u}}'\n{message}\n\
         body = {{ type = 'note', data = {{ title = '{{data.title}}', name = '{{data.name?}}', all = '{{data}}' }} }}\n\
         {fallbacks}\n"
    )
}

const EMAIL: &str = "[[message.fallback]]\nchannel = 'email'\nafter = '10m'\nsubject = 's'\ntext = 't'\n";

#[test]
fn every_mistake_in_a_fallback_is_named() {
    let webhook = |line: &str| format!("[[message.fallback]]\nchannel = 'webhook'\nafter = '0s'\n{line}");
    for (message, fallback, text) in [
        ("", webhook("unless = 'read'"), "`unless` is \"read\", expected \"received\" or \"connected\""),
        ("", webhook("text = 't'"), "channel `webhook` has no `text`; it has payload"),
        ("", webhook("payload = '{data.other}'"), "the message has no {data.other}"),
        ("", webhook("payload = { a = '{time}' }"), "here, paths begin with the members of its `body`"),
        ("", webhook("payload = '{data.all[*]}'"), "has a [*]"),
        ("", EMAIL.replace("email", "fax"), "channel \"fax\" is none of webhook, email, sns, web_push"),
        ("", EMAIL.replace("text = 't'", ""), "channel `email` needs `text`"),
        ("", EMAIL.replace("10m", "soon"), "after \"soon\" is no span up to 30 days"),
        ("", EMAIL.replace("10m", "31d"), "after \"31d\" is no span up to 30 days"),
        ("", EMAIL.replace("'t'", "'{type.name}'"), "the message has no {type.name}"),
        ("", EMAIL.replace("'t'", "'{data.title'"), "has a brace without its partner"),
        (
            "",
            format!("{EMAIL}{}", webhook("")),
            "fallback 2: `after` 0s is before that of the fallback above",
        ),
        ("", EMAIL.repeat(9), "9 fallbacks are more than 8"),
        ("ttl = '10m'", EMAIL.to_owned(), "`after` 10m is not shorter than the message's `ttl`"),
        ("class = 'ephemeral'", webhook(""), "class `ephemeral` has no fallback"),
    ] {
        let error = parse(&with(message, &fallback)).unwrap_err().to_string();
        assert!(error.contains("message `m`") && error.contains(text), "{fallback}: {error}");
    }
    let other = "\n[[message]]\nname = 'n'\nslot = 'm'\nevents = ['a.c']\nschema = 'any.json'\n\
                 to = 'user:{data.u}'\nbody = {}";
    let error = parse(&with("", &format!("{EMAIL}{other}"))).unwrap_err().to_string();
    assert!(error.contains("message `n` the same slot"), "{error}");
}

#[test]
fn fallbacks_are_filled_from_the_message() {
    let fallbacks = "[[message.fallback]]\nchannel = 'webhook'\nafter = '0s'\nunless = 'connected'\n\
        [[message.fallback]]\nchannel = 'webhook'\nafter = '5m'\npayload = { what = '{data.title}', n = '{data.all.n}' }\n\
        [[message.fallback]]\nchannel = 'email'\nafter = '10m'\nsubject = '{data.title}'\n\
        text = 'Dear {data.name?}, {data.all.n}'\nhtml = '<b>{data.title}</b>'";
    let catalog = catalog(&with("", fallbacks));
    let data = json!({ "u": "ada", "title": "<i>\r\nA & \"B\"", "n": 1 });
    let envelope = &catalog.project(&event("a.b", data)).unwrap()[0];
    let message = tidings_model::json::parse(&envelope.body).unwrap();
    let found = catalog.fallbacks(&envelope.subject.slot);
    let steps: Vec<_> =
        found.iter().map(|step| (step.channel(), step.after().as_secs(), step.unless())).collect();
    assert_eq!(
        steps,
        [
            (ChannelKind::Webhook, 0, Unless::Connected),
            (ChannelKind::Webhook, 300, Unless::Received),
            (ChannelKind::Email, 600, Unless::Received),
        ]
    );
    assert_eq!(found[0].content(&message).unwrap().payload.as_ref(), Some(&message), "the message itself");
    let own = found[1].content(&message).unwrap().payload.unwrap();
    assert_eq!(own, json!({ "what": "<i>\r\nA & \"B\"", "n": 1 }));
    let email = found[2].content(&message).unwrap();
    assert_eq!(email.payload, None, "people read what is written for them");
    assert_eq!(email.subject.as_deref(), Some("<i>  A & \"B\""), "no header of its own");
    assert_eq!(email.text.as_deref(), Some("Dear , 1"));
    assert_eq!(email.html.as_deref(), Some("<b>&lt;i&gt;\r\nA &amp; &quot;B&quot;</b>"));
    let missing = found[1].content(&json!({ "data": { "title": "t" } })).unwrap_err();
    assert_eq!(missing, "there is nothing at data.all.n");
    assert_eq!(catalog.fallbacks("other").len(), 0);
    assert_eq!(found[1].after(), Duration::from_secs(300));
}

#[test]
fn users_switch_categories_and_not_messages() {
    let categories = "[categories.offers]\noff = ['email', 'sns']\n[categories.m]\noff = ['webhook']\n";
    let more = "[[message]]\nname = 'offer'\nevents = ['a.d']\nschema = 'any.json'\nto = 'user:{data.u}'\nbody = {}\n\
                category = 'offers'\ncritical = true\n";
    let catalog = catalog(&format!("{}{more}{EMAIL}{categories}", with("", EMAIL)));
    let of =
        |slot: &str| catalog.question(slot, ChannelKind::Email).map(|n| (n.category.as_str(), n.is_critical));
    assert_eq!((of("m"), of("offer"), of("x")), (Some(("m", false)), Some(("offers", true)), None));
    let names: Vec<_> =
        catalog.categories().into_iter().map(|(name, channels)| (name.as_str(), channels)).collect();
    assert_eq!(names, [("m", [ChannelKind::Email].into()), ("offers", [ChannelKind::Email].into())]);
    assert_eq!(catalog.preferences().off["offers"], [ChannelKind::Email, ChannelKind::Sns].into());
    for (message, categories, text) in [
        ("category = 'offers'", "", "category \"offers\" is not under [categories]"),
        ("category = 'o f'", "", "\"o f\" is not a category of 1 to 64 characters"),
        ("", "[categories.offers]\n", "categories.offers: no message is in this category"),
        ("", "[categories.m]\noff = ['fax']\n", "channel \"fax\" is none of webhook"),
    ] {
        let error = parse(&format!("{}{categories}", with(message, EMAIL))).unwrap_err().to_string();
        assert!(error.contains(text), "{categories}: {error}");
    }
}
