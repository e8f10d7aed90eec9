use proptest::prelude::*;
use serde_json::json;
use tidings_model::Attributes;

use super::*;
use crate::error::{ErrorCode, ErrorMessage};

const LIMITS: Limits = Limits { topics: 3, filters: 2, filter_values: 2, string_bytes: 10 };

fn read(text: &str) -> ClientMessage {
    parse(text, &LIMITS).unwrap_or_else(|refused| panic!("{text}: {refused}")).message
}

#[track_caller]
fn check_refused(text: &str, code: ErrorCode, words: &str) {
    let refused = parse(text, &LIMITS).expect_err(text);
    assert_eq!(refused.fault.code(), code, "{text}: {refused}");
    assert_eq!(refused.to_string(), words, "{text}");
}

#[test]
fn the_verb_is_action_else_type() {
    for text in
        [r#"{"action":"ping"}"#, r#"{"type":"ping"}"#, r#"{"action":"ping","type":"subscribe","more":[{}]}"#]
    {
        assert_eq!(read(text), ClientMessage::Ping, "{text}");
    }
}

#[test]
fn the_protocols_own_verbs_are_understood() {
    let topics = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(
        read(r#"{"action":"subscribe","topics":["a","b"]}"#),
        ClientMessage::Subscribe { topics: topics.clone(), filter: Filter::default() }
    );
    assert_eq!(read(r#"{"action":"unsubscribe","topics":["a","b"]}"#), ClientMessage::Unsubscribe { topics });
    assert_eq!(read(r#"{"action":"ack","seq":17}"#), ClientMessage::Ack { sequence: 17 });
    assert_eq!(
        read(r#"{"type":"authenticate","token":"a.b.c, longer than other strings"}"#),
        ClientMessage::Authenticate { token: Token("a.b.c, longer than other strings".to_owned()) }
    );
}

#[test]
fn other_verbs_keep_their_object() {
    let text = r#"{"action":"progress","docId":"doc-7","page":1.50}"#;
    let ClientMessage::Other { verb, object } = read(text) else { panic!("not a route") };
    assert_eq!(verb, "progress");
    assert_eq!(Value::Object(object).to_string(), text);
}

#[test]
fn filters_take_scalars_and_lists_and_compare_as_text() {
    let text = r#"{"action":"subscribe","topics":[],"filters":{"env":["a","b"],"n":[1.0,2]}}"#;
    let ClientMessage::Subscribe { filter, .. } = read(text) else { panic!("not a subscribe") };
    let matches = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into()));
        filter.matches(&pairs.collect::<Attributes>())
    };
    assert!(matches(&[("env", "a"), ("n", "1")]));
    assert!(matches(&[("env", "b")]));
    assert!(!matches(&[("env", "c")]));
    assert!(matches(&[("n", "2")]) && !matches(&[("n", "1.0")]));
    let boolean = r#"{"action":"subscribe","topics":[],"filters":{"on":true}}"#;
    let listed = r#"{"action":"subscribe","topics":[],"filters":{"on":["true","true"]}}"#;
    assert_eq!(read(boolean), read(listed));
}

#[test]
fn a_message_id_is_kept_and_comes_back_with_the_error() {
    let text = |id: &str| Some(MessageId::Text(id.to_owned()));
    for (message, expected) in [
        (r#"{"type":"ping"}"#, None),
        (r#"{"type":"ping","id":"a"}"#, text("a")),
        (r#"{"type":"ping","messageId":"b","id":"a"}"#, text("b")),
        (r#"{"type":"ping","id":"a","message_id":"c","messageId":"b"}"#, text("c")),
        (r#"{"type":"ping","id":7}"#, Some(MessageId::Number(7.into()))),
    ] {
        assert_eq!(parse(message, &LIMITS).unwrap().id, expected, "{message}");
    }
    let refused = parse(r#"{"action":"subscribe","id":"m"}"#, &LIMITS).unwrap_err();
    assert_eq!(
        ErrorMessage::from(refused),
        ErrorMessage::new(ErrorCode::InvalidMessage, "`topics` is missing, expected an array of strings")
            .in_reply_to(text("m"))
    );
}

#[test]
fn wrong_types_are_refused_with_what_was_expected() {
    let invalid = ErrorCode::InvalidMessage;
    for (text, words) in [
        ("", "the message is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "the message is not JSON: EOF while parsing an object at line 1 column 1"),
        ("{} x", "the message is not JSON: trailing characters at line 1 column 4"),
        ("[1]", r#"the message is an array of 1, expected a JSON object such as {"action":"ping"}"#),
        ("{}", "the message has neither `action` nor `type`, expected one of them to name an action"),
        (r#"{"action":1,"type":"ping"}"#, "`action` is the number \"1\", expected a string"),
        (
            r#"{"type":null}"#,
            "the message has neither `action` nor `type`, expected one of them to name an action",
        ),
        (
            r#"{"action":"subscribe","topics":["a"],"filter":{"a":"b"}}"#,
            "there is no member `filter`, expected `filters`",
        ),
        (r#"{"action":"unsubscribe","Topic":["a"]}"#, "there is no member `Topic`, expected `topics`"),
        (r#"{"type":"ping","id":[]}"#, "`id` is an array of 0, expected a string or a number"),
        (
            r#"{"action":"subscribe","topics":"incidents"}"#,
            "`topics` is the string \"incidents\", expected an array of strings",
        ),
        (
            r#"{"action":"unsubscribe","topics":["a",true]}"#,
            "`topics[1]` is the boolean true, expected a string",
        ),
        (
            r#"{"action":"subscribe","topics":[],"filters":[]}"#,
            "`filters` is an array of 0, expected an object of attributes",
        ),
        (
            r#"{"action":"subscribe","topics":[],"filters":{"a":{}}}"#,
            "`filters` on \"a\" is an object of 0, expected a string, a number, a boolean or an array of them",
        ),
        (
            r#"{"action":"subscribe","topics":[],"filters":{"a":["b",null]}}"#,
            "`filters` on \"a\" is null, expected an array of strings, numbers and booleans only",
        ),
        (
            r#"{"action":"ack","seq":-1}"#,
            "`seq` is the number \"-1\", expected the sequence of a received message, a whole number",
        ),
        (
            r#"{"action":"ack","seq":"7"}"#,
            "`seq` is the string \"7\", expected the sequence of a received message, a whole number",
        ),
        (r#"{"action":"authenticate"}"#, "`token` is missing, expected a string"),
    ] {
        check_refused(text, invalid, words);
    }
}

#[test]
fn each_limit_has_its_own_error() {
    check_refused(
        r#"{"action":"subscribe","topics":["a","b","c","d"]}"#,
        ErrorCode::TooManyTopics,
        "`topics` has 4 elements, expected at most 3 in one message",
    );
    check_refused(
        r#"{"action":"subscribe","topics":[],"filters":{"a":1,"b":1,"c":1}}"#,
        ErrorCode::TooManyFilters,
        "`filters` has 3 attributes, expected at most 2",
    );
    check_refused(
        r#"{"action":"subscribe","topics":[],"filters":{"a":[1,2,3]}}"#,
        ErrorCode::TooManyFilters,
        "`filters` on \"a\" has 3 values, expected at most 2",
    );
    for (text, member) in [
        (r#"{"action":"subscribe","topics":["a","elevenbytes"]}"#, "`topics[1]`"),
        (r#"{"action":"subscribe","topics":[],"filters":{"elevenbytes":1}}"#, "an attribute in `filters`"),
        (r#"{"action":"subscribe","topics":[],"filters":{"a":"elevenbytes"}}"#, "`filters` on \"a\""),
        (r#"{"action":"subscribe","topics":[],"filters":{"a":["elevenbytes"]}}"#, "`filters` on \"a\""),
        (r#"{"action":"ping","id":"elevenbytes"}"#, "`id`"),
    ] {
        let words = format!("{member} is \"elevenbytes\" of 11 bytes, expected at most 10");
        check_refused(text, ErrorCode::ValueTooLong, &words);
    }
}

#[test]
fn what_lies_within_the_limits_is_taken() {
    let text = json!({
        "action": "subscribe",
        "topics": ["a", "b", "tencharact"],
        "filters": { "a": [1, 2], "tencharact": "tencharact" },
        "id": "tencharact",
    });
    assert!(parse(&text.to_string(), &LIMITS).is_ok());
}

#[test]
fn what_is_optional_and_null_is_absent() {
    for (with, without) in [
        (r#"{"action":null,"type":"ping","id":null}"#, r#"{"type":"ping"}"#),
        (r#"{"action":"ping","message_id":null,"messageId":null,"id":7}"#, r#"{"action":"ping","id":7}"#),
        (
            r#"{"action":"subscribe","topics":["a"],"filters":null}"#,
            r#"{"action":"subscribe","topics":["a"]}"#,
        ),
        (
            r#"{"action":"subscribe","topics":["a"],"filters":{"a":null,"b":"c"}}"#,
            r#"{"action":"subscribe","topics":["a"],"filters":{"b":"c"}}"#,
        ),
    ] {
        assert_eq!(parse(with, &LIMITS), parse(without, &LIMITS), "{with}");
        assert!(parse(without, &LIMITS).is_ok(), "{without}");
    }
}

#[test]
fn a_byte_order_mark_and_a_cut_emoji_are_read() {
    let text = "\u{feff}{\"action\":\"ping\",\"id\":\"\\ud83d\"}";
    let id = Some(MessageId::Text("\u{fffd}".to_owned()));
    assert_eq!(parse(text, &LIMITS), Ok(Request { id, message: ClientMessage::Ping }));
}

#[test]
fn a_token_is_never_shown() {
    let text = r#"{"action":"authenticate","token":"secret"}"#;
    assert!(!format!("{:?}", parse(text, &LIMITS)).contains("secret"));
    let text = r#"{"action":"authenticate","token":["secret"]}"#;
    assert!(!parse(text, &LIMITS).unwrap_err().to_string().contains("secret"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text, &LIMITS);
    }

    #[test]
    fn any_object_is_read_or_refused_within_bounds(
        verb in "subscribe|unsubscribe|ack|authenticate|ping|other",
        member in "topics|filters|seq|token|id|action",
        value in any::<String>(),
    ) {
        for value in [json!(value), json!([value]), json!({ "a": value }), json!([[value]])] {
            let text = json!({ "type": verb, (member.as_str()): value }).to_string();
            if let Err(refused) = parse(&text, &LIMITS) {
                prop_assert!(refused.to_string().len() < 2_000, "{}", refused);
            }
        }
    }
}
