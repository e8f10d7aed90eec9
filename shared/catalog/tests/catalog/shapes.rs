//! What a catalog tells of the data of its events.

use tidings_catalog::{Files, Member, Shape, event_shapes};
use tidings_model::Tenant;

const CATALOG: &str = r#"
grants = ["user:{sub}", "role:{role}", "table:{table}"]
[[message]]
name = "order"
events = ["order.placed"]
schema = "order.schema.json"
to = ["user:{data.guests[*].id}", "table:{data.table}", { address = "role:{data.role}", when = { "data.urgent" = true } }]
attributes = { area = "{data.area?}" }
[message.body]
text = "{data.dish} for {data.guest.name}"
table = "{data.table}"
first = "{data.courses[0]}"
note = "{data.note?}"
rest = "{data.rest}"

[[message]]
name = "bill"
events = ["order.placed", "order.paid"]
schema = "bill.schema.json"
to = "user:{data.guest.id}"
body.bill = "{data}"
"#;

const ORDER: &str = r##"{
    "title": "Order", "type": "object", "required": ["note"],
    "properties": {
        "table": { "type": "integer", "minimum": 1, "description": "Its number." },
        "first": { "enum": ["soup", "salad"] },
        "note": { "$ref": "#/$defs/note" }
    },
    "$defs": { "note": { "type": "array", "items": { "type": "string" } } }
}"##;

const BILL: &str = r#"{ "description": "What it costs.", "properties": { "bill": {
    "type": "object", "required": ["sum"],
    "properties": { "sum": { "type": "number" }, "paid": { "type": ["boolean", "null"] } }
} } }"#;

fn files() -> Files {
    let files = [("catalog.toml", CATALOG), ("order.schema.json", ORDER), ("bill.schema.json", BILL)];
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

/// A line for each member, with `?` if it may be left out.
fn lines(shape: &Shape, indent: &str) -> String {
    let Shape::Object { members, is_open } = shape else { return format!("{shape:?}\n") };
    let line = |Member { name, shape, is_required, .. }: &Member| {
        let optional = if *is_required { "" } else { "?" };
        let inside = match shape {
            Shape::Object { .. } => format!("\n{}", lines(shape, &format!("{indent}  "))),
            _ => format!(" {}", lines(shape, "")),
        };
        format!("{indent}{name}{optional}{inside}")
    };
    let open = if *is_open { format!("{indent}…\n") } else { String::new() };
    members.iter().map(line).collect::<String>() + &open
}

#[test]
fn data_looks_as_its_places_and_their_schemas_want_it() {
    let shapes = event_shapes(&Tenant::parse("kitchen").unwrap(), &files()).unwrap();
    let [placed, paid] = shapes.as_slice() else { panic!("{shapes:?}") };
    assert_eq!((placed.event.to_string(), placed.message.as_str()), ("order.placed".to_owned(), "order"));
    assert_eq!(placed.documentation, "Order\n\nWhat it costs.");
    let expected = "\
dish Text
guest
  name Text
  id Text
table Unsigned
courses List(Choice([\"soup\", \"salad\"]))
note List(Text)
rest Any
guests? List(Object { members: [Member { name: \"id\", documentation: \"\", shape: Text, is_required: false }], is_open: false })
role? Text
urgent? Boolean
area? Text
sum Number
paid? Any
…
";
    assert_eq!(lines(&placed.data, ""), expected);
    assert_eq!(lines(&paid.data, ""), "sum Number\npaid? Any\nguest\n  id Text\n…\n");
}

#[test]
fn a_catalog_with_mistakes_has_no_shapes() {
    let mut files = files();
    files.remove("bill.schema.json");
    let error = event_shapes(&Tenant::parse("kitchen").unwrap(), &files).unwrap_err();
    assert!(error.to_string().contains("bill.schema.json"), "{error}");
}
