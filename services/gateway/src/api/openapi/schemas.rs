//! The schemas of bodies and answers, and where a credential may be.

use serde_json::{Map, Value, json};
use tidings_types::json_schema::{self, text, time};

/// An object with these members, of which those with a `?` may be absent, and no others.
fn object(about: &str, members: &[(&str, Value)]) -> Value {
    let mut object = json_schema::object(members);
    object["description"] = about.into();
    object["additionalProperties"] = false.into();
    object
}

fn optional(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn number(about: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": about })
}

fn boolean(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn list(items: &Value, about: &str) -> Value {
    json!({ "type": "array", "items": items, "description": about })
}

fn any_of(schemas: &[Value; 2]) -> Value {
    json!({ "anyOf": schemas })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// Where a credential may be.
pub(super) fn security() -> Value {
    let jwt = "A JSON Web Token with the claims `sub`, `tenant` and `exp`.";
    json!({
        "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": jwt },
        "key": { "type": "http", "scheme": "bearer", "description": "An API key of a producer." },
        "query": { "type": "apiKey", "in": "query", "name": "token", "description": "The token, for WebSockets of browsers." },
        "cookie": { "type": "apiKey", "in": "cookie", "name": "session", "description": "The token, from allowed pages alone." },
    })
}

pub(super) fn all() -> Value {
    let mut all = Map::new();
    for (name, schema) in
        errors().into_iter().chain(events()).chain(administration()).chain(deliveries()).chain(bodies())
    {
        all.insert(name.to_owned(), schema);
    }
    Value::Object(all)
}

type Named = (&'static str, Value);

fn errors() -> Vec<Named> {
    let refused = [
        ("index", number("Which event of the batch.")),
        ("code", text("Its code.")),
        ("detail", text("What is wrong with it.")),
        ("reason?", text("Why the projector would reject it.")),
        ("pointer?", text("The JSON pointer of the refused place.")),
    ];
    let unknown = [
        ("id", text("Its id.")),
        ("source?", text("Its source.")),
        ("stream?", text("Where it is stored.")),
        ("sequence", optional(number("Where it is stored, or `null` if it is not known to be."))),
        ("duplicate?", boolean("Whether it was stored before.")),
        ("scheduled?", boolean("Whether it waits until it is due.")),
        ("cancelled?", boolean("Whether a waiting event is cancelled.")),
        ("code?", text("Why it is not known to be stored.")),
    ];
    let events = [object("A refused event.", &refused), object("What became of an event.", &unknown)];
    vec![
        (
            "Problem",
            object(
                "What is wrong with a request (RFC 9457).",
                &[
                    ("type", json!({ "type": "string", "format": "uri", "description": "Names the code." })),
                    ("title", text("What the code means.")),
                    ("status", json!({ "type": "integer", "description": "The status of the answer." })),
                    ("code", text("For programs. Its meaning never changes.")),
                    ("detail", text("What is wrong with this request.")),
                    ("reason?", text("Why the projector would reject the event.")),
                    ("pointer?", text("The JSON pointer of the refused place in the event.")),
                    ("id?", text("The id with which to send the event again.")),
                    ("events?", list(&any_of(&events), "What is wrong with which event of a batch.")),
                ],
            ),
        ),
        (
            "LineError",
            object(
                "Why something is missing from a list.",
                &[(
                    "error",
                    object("The error.", &[("code", text("For programs.")), ("detail", text("For people."))]),
                )],
            ),
        ),
    ]
}

fn events() -> Vec<Named> {
    let stored = [
        ("id", text("The event's id.")),
        ("source?", text("Its source, if it has one.")),
        ("stream", text("The stream, `EVENTS`.")),
        ("sequence", number("Its sequence in the stream.")),
        ("duplicate", boolean("Whether an earlier request stored it.")),
        ("scheduled?", boolean("Whether it waits until it is due.")),
        ("cancelled?", boolean("Whether a waiting event is cancelled.")),
    ];
    vec![
        ("Stored", object("A stored event.", &stored)),
        (
            "StoredBatch",
            object("A stored batch.", &[("events", list(&reference("Stored"), "In their order."))]),
        ),
        (
            "CloudEvent",
            json!({
                "type": "object",
                "description": "A CloudEvent 1.0. Attributes of its own are kept.",
                "required": ["specversion", "id", "source", "type"],
                "properties": {
                    "specversion": { "type": "string", "const": "1.0" },
                    "id": text("Its id, which counts once within its source."),
                    "source": text("Its source."),
                    "type": text("The event, `<entity>.<action>`, unless the path names it."),
                    "time": { "type": "string", "format": "date-time", "description": "When it happened." },
                    "data": { "description": "What happened." },
                },
            }),
        ),
        ("Document", json!({ "type": "object", "description": "A description." })),
    ]
}

fn administration() -> Vec<Named> {
    let mark = |first: &'static str, about| {
        object(
            about,
            &[(first, time("When.")), ("by", text("The administrator.")), ("reason", optional(text("Why.")))],
        )
    };
    let or_null = |schema| any_of(&[schema, json!({ "type": "null" })]);
    let values = json!({ "type": "object", "additionalProperties": list(&text("A value."), "Values of an attribute.") });
    let subscription = object(
        "A subscription.",
        &[("filter", values), ("since", number("The sequence after which messages of the topic count."))],
    );
    let traffic = |schema: Value| object("Messages.", &[("sent", schema.clone()), ("received", schema)]);
    let rate = json!({ "type": "number", "minimum": 0 });
    let key = [
        ("id", text("The key's name.")),
        ("readable", boolean("Whether its record can be read; else it is refused.")),
        ("events", list(&text("A pattern."), "What it may publish.")),
        ("source", optional(text("The source that it is bound to."))),
        ("created", or_null(mark("since", "Who made it."))),
        ("expires_at", optional(time("When it expires."))),
        ("revoked", or_null(mark("since", "Who revoked it."))),
    ];
    let made = [&[("key", text("The key itself."))], &key[..]].concat();
    let rejection = [
        ("position", text("Its position in `EVENTS`, which names it.")),
        ("subject", text("The subject that it was published on.")),
        ("id", text("The event's id.")),
        ("reason", text("Why, for programs.")),
        ("text", text("Why, for people.")),
        ("pointer", optional(text("The JSON pointer of the refused place."))),
        ("tries", number("How often it was tried.")),
        ("first_seen", time("When the event was stored.")),
        ("last_seen", time("When it was rejected last.")),
        ("omitted_bytes", number("How much of it could not be kept.")),
        ("headers", list(&list(&text("Name, then value."), "A header."), "The event's own headers.")),
    ];
    let whole = [&rejection[..], &[("payload", json!({ "description": "JSON, or else text." }))]].concat();
    vec![
        (
            "Consumer",
            object(
                "The position of a device.",
                &[
                    ("tenant", text("The tenant.")),
                    ("user", text("The user.")),
                    ("device", text("The device.")),
                    ("position", text("Everything up to here was received.")),
                    ("pending", number("Messages after it, before any filter.")),
                    ("last_seen", optional(time("When a gateway last saw the device."))),
                    ("connected", optional(text("The gateway that has it."))),
                    ("grants", list(&text("An address."), "What the token opened last.")),
                    ("subscriptions", json!({ "type": "object", "additionalProperties": subscription })),
                ],
            ),
        ),
        (
            "User",
            object(
                "What is known of a user.",
                &[
                    ("tenant", text("The tenant.")),
                    ("user", text("The user.")),
                    ("disabled", or_null(mark("since", "Who disabled the user."))),
                    ("revoked", or_null(mark("before", "Tokens issued before then are refused."))),
                    (
                        "devices",
                        optional(list(&text("A device."), "The user's devices, if they can be read.")),
                    ),
                    ("connections", optional(number("How many, if all gateways answer."))),
                ],
            ),
        ),
        ("Contacts", contacts()),
        (
            "Connection",
            object(
                "A connection.",
                &[
                    ("id", text("Its name.")),
                    ("tenant", text("The tenant.")),
                    ("user", text("The user.")),
                    ("device", text("The device.")),
                    ("gateway", text("The gateway that serves it.")),
                    ("address", text("The client's IP address.")),
                    ("since", time("When it was opened.")),
                    ("subscriptions", list(&text("A topic."), "Its topics.")),
                    ("acknowledged", optional(text("The position that is known to be received."))),
                    ("sent", text("The position up to which everything was sent.")),
                    ("messages", traffic(number("Messages."))),
                    ("per_minute", traffic(rate)),
                ],
            ),
        ),
        ("Rejection", object("An event that could not be projected.", &rejection)),
        ("WholeRejection", object("An event that could not be projected.", &whole)),
        ("Key", object("An API key.", &key)),
        ("MadeKey", object("A new API key.", &made)),
    ]
}

fn deliveries() -> Vec<Named> {
    let delivery = [
        ("user", text("The user.")),
        ("name", text("What names it besides the user.")),
        ("event", text("The event's id.")),
        ("message", text("The message, by its slot.")),
        ("channel", text("The channel.")),
        ("status", text("`waiting`, or what became of it, as facts say.")),
        ("attempts", number("How many were made.")),
        ("due?", time("When it is due, if it waits.")),
        ("at?", time("When that became of it.")),
        ("delivery?", text("The id under which the receiver knows it.")),
        ("source?", optional(text("The event's source."))),
        ("reason?", optional(text("Why, for people."))),
        ("is_repeated?", boolean("Whether an attempt repeats one of which the outcome is not known.")),
        ("reference?", optional(text("What the receiver calls it."))),
        ("reached?", list(&text("An id."), "The contacts that have it.")),
        ("next?", optional(time("When the next attempt is due."))),
    ];
    vec![
        ("Delivery", object("A fallback for a user.", &delivery)),
        (
            "Facts",
            object(
                "What became of a delivery.",
                &[("facts", list(&reference("Delivery"), "Each attempt and its outcome."))],
            ),
        ),
    ]
}

/// Where a user is reached.
fn contacts() -> Value {
    let gone = object("What its receiver has said.", &[("since", time("When.")), ("reason", text("Why."))]);
    let contact = [
        ("id", text("Names it within its user.")),
        ("kind", text("`email`, `phone_number`, `sns_endpoint`, `sns_topic`, `webhook` or `web_push`.")),
        ("shown", text("As much of it as lets its owner recognise it.")),
        ("origin", text("Who has set it: `administrator`, `token` or `browser`.")),
        ("device", optional(text("The device, of a browser."))),
        ("since", time("When it was set.")),
        ("gone", any_of(&[gone, json!({ "type": "null" })])),
    ];
    let about = "Where a user is reached who is not connected.";
    let contacts = list(&object("A contact.", &contact), "What is set. Nothing is sent to one that is gone.");
    object(about, &[("tenant", text("The tenant.")), ("user", text("The user.")), ("contacts", contacts)])
}

/// The keys of a browser's subscription.
fn push_keys() -> Value {
    object("Its keys.", &[("p256dh", text("Base64 for URLs.")), ("auth", text("Base64 for URLs."))])
}

/// What sets contacts.
fn new_contacts() -> Value {
    let texts = |about, example: &str| {
        let item = json!({ "type": "string", "examples": [example] });
        let mut list = optional(list(&item, about));
        list["maxItems"] = 16.into();
        list
    };
    let webhook = object(
        "A webhook.",
        &[
            ("url", text("Where to.")),
            ("keys", list(&text("`whsec_` and Base64."), "One or two keys that sign.")),
        ],
    );
    let browser = object(
        "The subscription of a browser.",
        &[("device", text("The device.")), ("endpoint", text("At the push service.")), ("keys", push_keys())],
    );
    let members = [
        ("email?", texts("E-mail addresses.", "ada@example.com")),
        ("phone_number?", texts("Phone numbers in the form of E.164.", "+4930123456")),
        (
            "sns_endpoint?",
            texts("ARNs of applications on devices.", "arn:aws:sns:eu-central-1:1:endpoint/GCM/app/1"),
        ),
        ("sns_topic?", texts("ARNs of topics.", "arn:aws:sns:eu-central-1:1:alerts")),
        ("webhook?", optional(list(&webhook, "Webhooks."))),
        ("web_push?", optional(list(&browser, "Browsers."))),
    ];
    object(
        "What takes the place of what there was. At most 16 of a kind; an empty list removes them.",
        &members,
    )
}

fn bodies() -> Vec<Named> {
    let position = ("position", text("A position."));
    let new_key = [
        ("events", list(&json!({ "type": "string", "examples": ["incident.*"] }), "What it may publish.")),
        ("source?", optional(text("The source that it is bound to."))),
        ("expires_in?", optional(json!({ "type": "integer", "minimum": 1, "description": "Seconds." }))),
        ("reason?", optional(text("Why, in at most 500 characters."))),
    ];
    let switches = json!({ "type": "object", "additionalProperties": boolean("Whether it is on.") });
    let categories = json!({
        "type": "object",
        "additionalProperties": switches,
        "description": "By category and channel, such as `email`. What is not here is as the catalog says.",
    });
    let clock =
        |about| json!({ "type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$", "description": about });
    let zone =
        json!({ "type": "string", "description": "A name of the IANA database, such as `Europe/Berlin`." });
    let hours = [("from", clock("When they begin.")), ("to", clock("When they end.")), ("time_zone", zone)];
    let hours = any_of(&[object("When messages wait.", &hours), json!({ "type": "null" })]);
    let muted = optional(time("Until when nothing is sent."));
    let set = |about, names: [&'static str; 3]| {
        let [first, second, third] = names;
        let members = [(first, categories.clone()), (second, hours.clone()), (third, muted.clone())];
        object(about, &members)
    };
    vec![
        ("Preferences", set("What a user has set.", ["categories", "quiet_hours", "muted_until"])),
        ("NewPreferences", set("All that a user sets.", ["categories?", "quiet_hours?", "muted_until?"])),
        ("Target", object("Where to.", &[("to", text("`new`, `all`, a sequence or a position."))])),
        ("Grounds", object("Why.", &[("reason?", optional(text("In at most 500 characters.")))])),
        ("Nothing", object("No members.", &[])),
        (
            "BrowserSubscription",
            object(
                "What `PushSubscription.toJSON()` has in a browser, without `expirationTime`.",
                &[("endpoint", text("At the push service.")), ("keys", push_keys())],
            ),
        ),
        ("NewContacts", new_contacts()),
        ("NewKey", object("What a key is bound to.", &new_key)),
        ("Reset", object("A position that was set.", std::slice::from_ref(&position))),
        (
            "Retried",
            object("A retried event.", &[position, ("sequence", number("Its sequence in `EVENTS`."))]),
        ),
        (
            "Purged",
            object(
                "What was removed.",
                &[("envelopes", number("Messages.")), ("consumers", number("Devices."))],
            ),
        ),
    ]
}
