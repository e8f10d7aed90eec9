use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What others have got past filters, and what is left of it.
const HOSTILE: [(&str, &str); 26] = [
    ("<script>alert(1)</script>", "alert(1)"),
    ("<ScRiPt src=//x.example>", ""),
    ("<img src=x onerror=alert(1)>", ""),
    ("<img src=x onerror=alert(1)//", "< img src=x onerror=alert(1)//"),
    ("<svg/onload=alert(1)>", ""),
    ("<scr<script>ipt>alert(1)</scr</script>ipt>", "ipt>alert(1)ipt>"),
    ("<<b>script>alert(1)<<b>/script>", "< script>alert(1)< /script>"),
    ("<<<b><b>img src=x onerror=alert(1)>", "<< img src=x onerror=alert(1)>"),
    ("<a href=\"javascript:alert(1)\">here</a>", "here"),
    ("<a title=\">\" onclick=alert(1)>x</a>", "\" onclick=alert(1)>x"),
    ("<!--><img src=x onerror=alert(1)>-->", "-->"),
    ("<!-- <b>bold</b> -->", "bold -->"),
    ("<![CDATA[<b>x</b>]]>", "x]]>"),
    ("<?php echo 1 ?>", ""),
    ("</title><script>alert(1)</script>", "alert(1)"),
    ("<iframe srcdoc='<script>alert(1)</script>'>", "alert(1)'>"),
    ("<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img onerror=1\">", ""),
    ("<a\n\t\u{c}href='javascript:x'\r>x", "x"),
    ("<\u{0}script>", "<\u{0}script>"),
    ("< script>alert(1)</ script>", "< script>alert(1)"),
    ("a <b", "a < b"),
    ("</", "< /"),
    ("<", "<"),
    ("<a<a<a", "< a< a< a"),
    ("x > y <z> y < x", "x > y  y < x"),
    ("\u{202e}<b\u{202e}>x", "\u{202e}x"),
];

#[test]
fn nothing_is_left_that_a_browser_would_run() {
    for (text, clean) in HOSTILE {
        assert_eq!(TextRule::Plain.clean(text), clean, "{text}");
        assert_eq!(TextRule::Raw.clean(text), text);
    }
}

#[test]
fn text_without_markup_stays_as_it_is() {
    for text in [
        "",
        "Tom & Jerry",
        "1 < 2 > 0",
        "x <= y",
        "I <3 it",
        "a << b",
        "&lt;b&gt; &amp; &#60;",
        "\"quoted\" 'text'",
        "C:\\temp",
        "日本語 < 英語",
        "->",
        "javascript: a language",
        "<",
        "<<",
        "< b >",
    ] {
        assert!(matches!(TextRule::Plain.clean(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn an_address_that_would_run_leads_nowhere() {
    for address in [
        "/infra?tab=incidents",
        "",
        "#x",
        "https://app.example/a?b=c:d",
        "HTTP://x",
        "mailto:ada@example.com",
        "tel:1",
        "//cdn.example/x",
        "a/b:c",
        "?x=javascript:1",
        "page:1/",
        "localhost:8080/x",
        "1:2",
    ] {
        let is_known = !address.starts_with("page:") && !address.starts_with("localhost:");
        let expected = if is_known { address } else { TextRule::NOWHERE };
        assert_eq!(TextRule::Url.clean(address), expected, "{address}");
    }
    for address in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "\u{1}javascript:x",
        "j\ta\rv\nascript:x",
        "java\u{0}script:x",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "blob:https://x/y",
        "file:///etc/passwd",
        "<b>javascript:x",
        "java<b>script:x",
        "filesystem:x",
        "\u{a0}javascript:x",
    ] {
        assert_eq!(TextRule::Url.clean(address), TextRule::NOWHERE, "{address:?}");
    }
    assert_eq!(TextRule::Url.clean("/x\"><script>alert(1)</script>"), "/x\">alert(1)");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[<>a/!?\"'= -]{0,24}", ".{0,24}", "(<|<a|>|b|:|javascript|\t|\u{0}|é){0,12}"]
}

proptest! {
    #[test]
    fn cleaning_is_done_once_and_stays_within_bounds(text in any_text(), rule in 0..3_usize) {
        let rule = [TextRule::Raw, TextRule::Plain, TextRule::Url][rule];
        let clean = rule.clean(&text).into_owned();
        prop_assert_eq!(&rule.clean(&clean), &clean);
        prop_assert!(clean.len() <= text.len() + text.len() / 2 || clean == TextRule::NOWHERE);
        if rule != TextRule::Raw {
            let runs = |pair: &[u8]| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1]));
            prop_assert!(!clean.as_bytes().windows(2).any(runs), "{clean:?}");
        }
        if rule == TextRule::Plain && markup(&text).is_none() {
            prop_assert_eq!(&clean, &text);
        }
    }
}

#[test]
fn the_work_grows_with_the_text_alone() {
    // Searching for each end again would take hours.
    for part in ["<a", "<a>", "<", "<<b>", "<!--"] {
        let text = part.repeat(200_000);
        let clean = TextRule::Plain.clean(&text);
        assert!(markup(&clean).is_none() && clean.len() <= text.len() * 3 / 2);
    }
}

#[test]
fn each_member_has_the_rule_that_leads_there() {
    let rule = |path: &str, rule| (Path::parse(path).unwrap(), rule);
    let sanitizer = Sanitizer {
        text: Some(TextRule::Plain),
        members: vec![
            rule("data.html", TextRule::Raw),
            rule("data.html.title", TextRule::Plain),
            rule("data.links[*].url", TextRule::Url),
            rule("data.links[1].url", TextRule::Raw),
        ],
        known: None,
    };
    let bad = "<b>x";
    let mut message = json!({
        "type": bad,
        "data": {
            "html": { "title": bad, "text": bad, "<i>": 1 },
            "links": [{ "url": "javascript:x", "text": bad }, { "url": "javascript:x" }],
            "<i>name": [bad, 1, null, true, { bad: bad }],
            "name": "second",
        },
    });
    sanitizer.apply(&mut message);
    let expected = json!({
        "type": "x",
        "data": {
            "html": { "title": "x", "text": bad, "<i>": 1 },
            "links": [{ "url": "about:blank", "text": "x" }, { "url": "about:blank" }],
            "name": ["x", 1, null, true, { "x": "x" }],
        },
    });
    assert_eq!(message, expected);
}

#[test]
fn members_that_the_schema_does_not_describe_are_removed() {
    let schema = json!({
        "type": "object",
        "properties": {
            "data": { "$ref": "#/$defs/data" },
            "open": { "properties": { "a": {} }, "additionalProperties": { "type": "string" } },
            "any": {},
            "list": { "items": { "properties": { "a": {} } } },
            "tree": { "$ref": "#/$defs/tree" },
        },
        "$defs": {
            "data": {
                "properties": { "kind": { "enum": ["x"] } },
                "allOf": [{ "if": { "properties": { "kind": {} } }, "then": { "properties": { "more": {} } } }],
            },
            "tree": { "properties": { "next": { "$ref": "#/$defs/tree" } } },
        },
    });
    let mut message = json!({
        "data": { "kind": "x", "more": { "b": 1 }, "b": 1 },
        "open": { "a": 1, "b": "x" },
        "any": { "b": 1 },
        "list": [{ "a": 1, "b": 1 }, "x"],
        "tree": { "b": 1, "next": { "b": 1 } },
        "b": 1,
    });
    KnownMembers::of_schema(&schema).keep(&mut message);
    let expected = json!({
        "data": { "kind": "x", "more": { "b": 1 } },
        "open": { "a": 1, "b": "x" },
        "any": { "b": 1 },
        "list": [{ "a": 1 }, "x"],
        "tree": { "next": {} },
    });
    assert_eq!(message, expected);
}
