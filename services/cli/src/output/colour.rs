//! Colours for JSON, so that people find their way in a long line. Pure.

use std::ffi::OsString;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

const NAME: Style = AnsiColor::Blue.on_default();
const TEXT: Style = AnsiColor::Green.on_default();
/// Numbers, `true`, `false` and `null`.
const WORD: Style = AnsiColor::Magenta.on_default();

/// Whether output may have colours, by whether it is a terminal and by the variables `NO_COLOR` (<https://no-color.org>) and
/// `TERM`.
pub(super) fn is_wanted(is_terminal: bool, no_color: Option<OsString>, term: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|term| term != "dumb")
}

/// The same JSON with colours.
pub(super) fn coloured(json: &str) -> String {
    let mut shown = String::with_capacity(json.len() * 2);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let (length, style) = match first {
            '"' => {
                let length = text_length(rest);
                let is_name = rest.get(length..).is_some_and(|behind| behind.trim_start().starts_with(':'));
                (length, Some(if is_name { NAME } else { TEXT }))
            }
            '-' | '0'..='9' | 'a'..='z' => {
                let is_end = |c: char| matches!(c, ',' | ']' | '}') || c.is_whitespace();
                (rest.find(is_end).unwrap_or(rest.len()), Some(WORD))
            }
            other => (other.len_utf8(), None),
        };
        let (token, behind) = rest.split_at(length);
        match style {
            // Writing into a string cannot fail.
            Some(style) => _ = write!(shown, "{style}{token}{style:#}"),
            None => shown.push_str(token),
        }
        rest = behind;
    }
    shown
}

/// The length of the text that begins here, with its quotes.
fn text_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the names of the colours in place of their codes.
    fn shown(json: &str) -> String {
        let names =
            [("\u{1b}[34m", "<n>"), ("\u{1b}[32m", "<t>"), ("\u{1b}[35m", "<w>"), ("\u{1b}[0m", "</>")];
        names.iter().fold(coloured(json), |shown, (code, name)| shown.replace(code, name))
    }

    #[test]
    fn names_texts_and_numbers_differ() {
        for (json, expected) in [
            (
                r#"{"a": "b","c":[-1.50,true,null]}"#,
                r#"{<n>"a"</>: <t>"b"</>,<n>"c"</>:[<w>-1.50</>,<w>true</>,<w>null</>]}"#,
            ),
            (r#"{"a\"b" :"é\\"}"#, r#"{<n>"a\"b"</> :<t>"é\\"</>}"#),
            ("12", "<w>12</>"),
            ("{}", "{}"),
            // What is no JSON stays as it is.
            (r#"é "open"#, r#"é <t>"open</>"#),
        ] {
            assert_eq!(shown(json), expected);
        }
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let wanted = |is_terminal, no_color: Option<&str>, term: Option<&str>| {
            is_wanted(is_terminal, no_color.map(Into::into), term.map(Into::into))
        };
        assert!(wanted(true, None, Some("xterm")) && wanted(true, Some(""), None));
        assert!(!wanted(true, Some("1"), Some("xterm")) && !wanted(true, None, Some("dumb")));
        assert!(!wanted(false, None, Some("xterm")));
    }
}
