//! `tidings types`: what a client's compiler is given.

use harness::{BOUND, Launch, SCHEMAS};

fn types(tenant: &str) -> Launch {
    Launch::tidings(["types", "--tenant", tenant, "--lang", "ts"])
        .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
}

/// The same as what the clients' own tests compile.
#[tokio::test]
async fn types_are_printed_for_each_tenant() {
    for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
        let printed = types(tenant).finish(BOUND).await.succeeded();
        let compiled = format!("{SCHEMAS}/../shared/client-ts/types/src/{tenant}.ts");
        assert_eq!(printed, std::fs::read_to_string(compiled).unwrap(), "{tenant}");
    }
}

#[tokio::test]
async fn a_tenant_that_is_not_there_is_refused() {
    let line = types("opps").finish(BOUND).await.failed();
    assert!(line.contains("opps") && line.contains("did you mean"), "{line}");
}
