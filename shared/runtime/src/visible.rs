//! Escapes untrusted text for a terminal or a log. Pure.
//!
//! User names, devices, reasons and payloads come from others. A terminal executes escape sequences in them, a line
//! break forges a line, and invisible characters make two names look alike. So invisible characters are escaped, and so
//! are characters that reorder others.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Invisible characters that Unicode counts as letters, marks or symbols.
const BLANK: [std::ops::RangeInclusive<char>; 10] = [
    '\u{34f}'..='\u{34f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{e0100}'..='\u{e01ef}',
    '\u{1d173}'..='\u{1d17a}',
];

/// Returns the text on one line, with invisible characters escaped as in Rust, such as `\n` and `\u{1b}`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| out.extend(c.escape_default()))
}

/// Escapes a name like [`visible`]. Different names give different results, and a result contains no space that looks
/// like a gap between columns.
#[must_use]
pub fn visible_name(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    let last = name.chars().count().saturating_sub(1);
    let mut before = ' ';
    for (index, c) in name.chars().enumerate() {
        match c {
            ' ' if before == ' ' || index == last => shown.push_str("\\u{20}"),
            '\\' => shown.push_str("\\\\"),
            c if is_hidden(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
        before = c;
    }
    shown
}

/// Returns equal JSON on one line, with invisible characters as `\u` and four digits. White space between values
/// becomes a space.
#[must_use]
pub fn visible_json(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| match c {
        '\n' | '\r' | '\t' => out.push(' '),
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    })
}

fn escaped(text: &str, mut escape: impl FnMut(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(is_hidden) else { return Cow::Borrowed(text) };
    let (before, rest) = text.split_at(first);
    let mut shown = before.to_owned();
    for c in rest.chars() {
        if is_hidden(c) { escape(c, &mut shown) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Returns whether a character is invisible or moves others: controls, formats (of direction, of joining), separators
/// except the space, surrogates, private and unassigned characters, and blanks.
fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    if BLANK.iter().any(|range| range.contains(&c)) {
        return true;
    }
    // The standard library escapes by Unicode's tables. After a letter it does not escape a combining mark.
    let mut pair = [b'a'; 5];
    let length = c.encode_utf8(&mut pair[1..]).len();
    std::str::from_utf8(&pair[..=length]).is_ok_and(|pair| pair.escape_debug().count() != 2)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test reads what it has written")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (text, shown) in [
            ("live\u{1b}]0;x\u{7}\u{1b}[1;31mROOT", r"live\u{1b}]0;x\u{7}\u{1b}[1;31mROOT"),
            ("one\ntwo\r\tthree\u{7f}", r"one\ntwo\r\tthree\u{7f}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("user\u{202e}nimda\u{2066}", r"user\u{202e}nimda\u{2066}"),
            ("a\u{200b}d\u{200d}a\u{feff}\u{fe0f}\u{3164}", r"a\u{200b}d\u{200d}a\u{feff}\u{fe0f}\u{3164}"),
            ("a\u{a0}b\u{2028}c\u{e000}\u{e0041}", r"a\u{a0}b\u{2028}c\u{e000}\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        for plain in ["ada", "O'Brien \"x\" \\n", "Zoë", "Zoe\u{308}", "王小明", "नमस्ते", "שלום", "🙂 → |"]
        {
            assert_eq!(visible(plain), plain);
            assert_eq!(visible_json(plain), plain);
        }
    }

    #[test]
    fn names_are_told_apart_from_each_other_and_from_columns() {
        for (name, shown) in [
            ("ada  default", r"ada \u{20}default"),
            (" ada ", r"\u{20}ada\u{20}"),
            ("a\\n", r"a\\n"),
            ("a\n", r"a\n"),
            (" ", r"\u{20}"),
            ("Ada Lovelace", "Ada Lovelace"),
        ] {
            assert_eq!(visible_name(name), shown);
        }
    }

    #[test]
    fn white_space_between_json_values_is_no_line() {
        assert_eq!(visible_json("{\n\t\"a\": 1\r\n}"), "{  \"a\": 1  }");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in any::<String>()) {
            for shown in [visible(&text).into_owned(), visible_name(&text), visible_json(&text).into_owned()] {
                prop_assert!(!shown.contains(is_hidden), "{shown:?}");
            }
        }

        #[test]
        fn json_stays_equal(text in any::<String>(), pretty in any::<bool>()) {
            let value = serde_json::json!({ &text: [&text, 1.50] });
            let json = if pretty { format!("{value:#}") } else { value.to_string() };
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&visible_json(&json)).unwrap(), value);
        }

        #[test]
        fn no_two_names_look_alike(one in "[a \\\\nu{}20\n\u{200b}]{0,8}", other in "[a \\\\nu{}20\n\u{200b}]{0,8}") {
            prop_assert_eq!(visible_name(&one) == visible_name(&other), one == other);
        }

        #[test]
        fn no_name_has_a_gap(name in "[a ]{0,8}") {
            let shown = visible_name(&name);
            prop_assert!(!shown.contains("  ") && shown.trim() == shown, "{shown:?}");
        }
    }
}
