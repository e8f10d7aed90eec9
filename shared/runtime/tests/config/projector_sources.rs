//! Streams whose messages become events.

use tidings_runtime::config::{SecretRule, SourceBegin};

use crate::support::{File, check};

const FINE: &str = "[[projector.sources]]\nname = \"orders\"\nstream = \"ORDERS\"\ntenant = \"shop\"\nevent = \"{subject.1}.{subject.2}\"\n";

#[test]
fn sources_are_read() {
    let more = "subjects = [\"orders.>\"]\nbegin = \"new\"\napi_prefix = \"$JS.hub.API\"\nevents = { Paid = \"order.paid\" }\n";
    let file = File::new(&format!("{FINE}{}{more}", FINE.replace("\"orders\"", "\"more\"")));
    let sources = file.load(&[], SecretRule::Optional).unwrap().projector.sources;
    assert_eq!(
        (sources[0].begin, sources[0].subjects.len(), &sources[0].api_prefix),
        (SourceBegin::All, 0, &None)
    );
    assert_eq!(
        (sources[1].begin, sources[1].subjects.as_slice()),
        (SourceBegin::New, &["orders.>".to_owned()][..])
    );
    assert_eq!(sources[1].events["Paid"], "order.paid");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let at = "projector.sources[0]";
    check(
        &format!("{FINE}begin = \"now\"\nsubject = \"orders.>\"\n").replace("\"shop\"", "\"Shop\""),
        &[],
        &[
            &format!(
                "{at}.tenant = \"Shop\" (tidings.toml): expected a tenant's name: 1 to 32 of a-z, 0-9, _ and -"
            ),
            &format!("{at}.begin = \"now\" (tidings.toml): expected \"all\" or \"new\""),
            &format!("{at}.subject (tidings.toml): unknown; did you mean {at}.subjects?"),
        ],
    );
    check(
        &FINE.replace("event = ", "events = ").replace("\"{subject.1}.{subject.2}\"", "{ A = \"\" }"),
        &[],
        &[
            &format!("{at}.event is not set: expected text that is not empty"),
            &format!("{at}.events = \"\" (tidings.toml): expected in each item text that is not empty"),
        ],
    );
    check(
        &format!("{FINE}{FINE}"),
        &[],
        &["projector.sources[1].name = \"orders\" (tidings.toml): expected a name that no other source has"],
    );
}
