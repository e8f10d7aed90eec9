//! Which tenant is in which shard.

use tidings_runtime::config::SecretRule;

use crate::support::{File, check, check_value};

#[test]
fn tenants_may_be_in_another_shard_than_the_first() {
    let file =
        File::new("[projector]\nshard = 1\n[streams]\nreplicas = 3\n[streams.shards]\nops = 1\ncnc = 63\n");
    let config = file.load(&[], SecretRule::Optional).unwrap();
    assert_eq!(config.projector.shard, 1);
    let shards = config.streams.shards.iter().map(|(tenant, shard)| (tenant.as_str(), *shard));
    assert_eq!(shards.collect::<Vec<_>>(), [("cnc", 63), ("ops", 1)]);
    let none = File::new("").load(&[("TIDINGS_PROJECTOR__SHARD", "2")], SecretRule::Optional).unwrap();
    assert_eq!((none.projector.shard, none.streams.shards.len()), (2, 0));
}

#[test]
fn mistakes_are_told_with_the_tenants_name() {
    check_value("projector.shard", "64", Some("64"), "64 (@): expected a whole number from 0 to 63");
    check(
        "[streams.shards]\nops = 64\ncnc = \"one\"\nuploads = -1\nshelter = 1.0\n",
        &[("TIDINGS_STREAMS__SHARDS", "ops=1")],
        &[
            "TIDINGS_STREAMS__SHARDS: unknown variable",
            "streams.shards.ops = 64 (tidings.toml): expected a whole number from 0 to 63",
            "streams.shards.cnc = \"one\" (tidings.toml): expected a whole number from 0 to 63",
            "streams.shards.uploads = -1 (tidings.toml): expected a whole number from 0 to 63",
            "streams.shards.shelter = 1.0 (tidings.toml): expected a whole number from 0 to 63",
        ],
    );
    check(
        "[streams.shards]\nOps = 1\n",
        &[],
        &["streams.shards = \"Ops\" (tidings.toml): expected a tenant's name: 1 to 32 of a-z, 0-9, _ and -"],
    );
    check(
        "[streams]\nshards = 1\n",
        &[],
        &["streams.shards = 1 (tidings.toml): expected a table, under each name a whole number from 0 to 63"],
    );
}
