//! What is left of texts: nothing that a browser would run, and everything else.

use std::borrow::Cow;

use proptest::prelude::*;
use tidings_catalog::TextRule;

/// Where a browser goes instead.
const NOWHERE: &str = "about:blank";

/// Whether a browser would read some of it as markup: a `<` before one of these (HTML standard, "tag open state").
fn begins_markup(text: &str) -> bool {
    let begins =
        |pair: &[u8]| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1]));
    text.as_bytes().windows(2).any(begins)
}

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
        let expected = if is_known { address } else { NOWHERE };
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
        assert_eq!(TextRule::Url.clean(address), NOWHERE, "{address:?}");
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
        prop_assert!(clean.len() <= text.len() + text.len() / 2 || clean == NOWHERE);
        if rule != TextRule::Raw {
            prop_assert!(!begins_markup(&clean), "{clean:?}");
        }
        if rule == TextRule::Plain && !begins_markup(&text) {
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
        assert!(!begins_markup(&clean) && clean.len() <= text.len() * 3 / 2);
    }
}
