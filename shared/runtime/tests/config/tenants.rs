//! What differs for a tenant.

use tidings_runtime::config::SecretRule;

use crate::support::{File, check};

#[test]
fn a_tenant_may_have_limits_of_its_own() {
    let file = File::new(
        "[gateway]\nconnections_per_user = 3\n[gateway.tenants.ops]\nconnections_per_tenant = 10_000\n\
         max_message_bytes = \"1 MiB\"\n[gateway.tenants.uploads]\n",
    );
    let gateway = file.load(&[], SecretRule::Optional).unwrap().gateway;
    assert_eq!(gateway.tenants.keys().collect::<Vec<_>>(), ["ops", "uploads"]);
    let ops = &gateway.tenants["ops"];
    assert_eq!(ops.connections_per_tenant.unwrap().get(), 10_000);
    assert_eq!((ops.max_message_bytes, ops.connections_per_user), (Some(1 << 20), None));
}

#[test]
fn mistakes_in_a_tenants_limits_are_told_with_its_name() {
    check(
        "[gateway.tenants.ops]\nmessage_burst = 0\nmax_frame_bytes = \"much\"\nmesage_burst = 5\nmax_connections = 9\n\
         [gateway.tenants.Kitchen]\nmessage_burst = 5\n",
        &[("TIDINGS_GATEWAY__TENANTS", "ops")],
        &[
            "TIDINGS_GATEWAY__TENANTS: unknown variable",
            "gateway.tenants.ops.message_burst = 0 (tidings.toml): expected a whole number from 1 to 1000000",
            "gateway.tenants.ops.max_frame_bytes = \"much\" (tidings.toml): expected a size above zero, in bytes or such \
             as 16 KiB, 1 MiB or 2 GB",
            "gateway.tenants.ops.mesage_burst (tidings.toml): unknown; did you mean gateway.tenants.ops.message_burst?",
            "gateway.tenants.ops.max_connections (tidings.toml): unknown",
        ],
    );
    check(
        "[gateway.tenants.Kitchen]\nmessage_burst = 5\n",
        &[],
        &[
            "gateway.tenants = \"Kitchen\" (tidings.toml): expected a tenant's name: 1 to 32 of a-z, 0-9, _ and -",
        ],
    );
    check(
        "[gateway]\ntenants = [\"ops\"]\n",
        &[],
        &["gateway.tenants = a value of 7 bytes (tidings.toml): expected tables, each with a name"],
    );
    check(
        "[gateway.tenants]\nops = 5\n",
        &[],
        &["gateway.tenants.ops = a value of 1 bytes (tidings.toml): expected a table of keys and values"],
    );
}

#[test]
fn mistakes_in_a_tenants_webhook_are_told_with_its_name() {
    let webhook = |tenant: &str, url: &str| {
        format!("[dispatcher.webhooks.{tenant}]\nurl = \"{url}\"\nkey_file = \"keys\"\n")
    };
    check(
        &webhook("ops", "ftp://acme.example"),
        &[],
        &["dispatcher.webhooks.ops.url = \"ftp://acme.example\" (tidings.toml): expected a URL such as \
           https://acme.example/hooks, without user, password or fragment"],
    );
    check(
        &webhook("Kitchen", "https://acme.example/hooks"),
        &[],
        &[
            "dispatcher.webhooks = \"Kitchen\" (tidings.toml): expected a tenant's name: 1 to 32 of a-z, 0-9, _ and -",
        ],
    );
}
