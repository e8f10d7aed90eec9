//! `tidings types`: what the compilers of clients and producers are given.

use harness::{BOUND, Launch, SCHEMAS};

fn types(tenant: &str, more: &[&str]) -> Launch {
    let arguments = [&["types", "--tenant", tenant], more].concat();
    Launch::tidings(arguments).variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
}

/// The same as what the tests of clients and producers compile.
#[tokio::test]
async fn types_are_printed_for_each_tenant() {
    for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
        for (arguments, folder, extension) in [
            (&["--lang", "ts"][..], "client-ts/types/src", "ts"),
            (&["--lang", "ts", "--for", "producer"], "client-ts/producer/test/generated", "ts"),
            (&["--lang", "python"], "producer-python/tests/generated", "py"),
            (&["--lang", "rust", "--for", "producer"], "producer/tests/generated", "rs"),
        ] {
            let printed = types(tenant, arguments).finish(BOUND).await.succeeded();
            let compiled = format!("{SCHEMAS}/../shared/{folder}/{tenant}.{extension}");
            assert_eq!(printed, std::fs::read_to_string(compiled).unwrap(), "{tenant} {arguments:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_refused() {
    let line = types("opps", &["--lang", "ts"]).finish(BOUND).await.failed();
    assert!(line.contains("opps") && line.contains("did you mean"), "{line}");
    let line = types("ops", &["--lang", "python", "--for", "client"]).finish(BOUND).await.failed();
    assert!(line.contains("leave out `--for client`"), "{line}");
}
