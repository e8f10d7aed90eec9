//! The tables of codes in the document for clients are those of the code.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use strum::VariantArray as _;
use tidings_protocol::close::{CloseCode, Reconnect, reconnect};
use tidings_protocol::error::ErrorCode;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/gateway/README.md");

/// Compares what stands between the markers of `name`, or writes it with `UPDATE_GENERATED=1`.
fn is_documented(name: &str, table: &str) {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = document.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    let generated = format!("{before}{begin}\n{table}\n{end}{after}");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(DOCUMENT, generated).unwrap();
    } else {
        assert!(
            document == generated,
            "UPDATE_GENERATED=1 cargo test -p tidings-protocol --test codes writes it again"
        );
    }
}

#[test]
fn the_document_has_all_codes() {
    let errors = ErrorCode::VARIANTS.iter().map(|code| format!("| `{code}` | {} |\n", code.meaning()));
    let head = "| code | when |\n| --- | --- |\n";
    is_documented("error codes", &(head.to_owned() + &errors.collect::<String>()));

    let closes = CloseCode::VARIANTS.iter().map(|code| {
        let again = match reconnect(Some((*code).into())) {
            Reconnect::WithBackoff => "yes",
            Reconnect::No => "no",
        };
        format!("| {} | {} | {again} |\n", u16::from(*code), code.meaning())
    });
    let head = "| code | when | reconnect |\n| --- | --- | --- |\n";
    is_documented("close codes", &(head.to_owned() + &closes.collect::<String>()));
}
