//! Records of buckets, into which everything that may publish there can put anything.

use tidings_streams::StoredForm;

use crate::Target;

pub(crate) const RECORD: Target = Target {
    name: "record",
    run: record,
    seeds: &[
        br#"{"version":1,"files":{"catalog.toml":"grants = []","any.json":"{}"}}"#,
        br#"{"version":1,"position":"5-7","subscriptions":{"incidents":{"filter":{"squad":["red"]},"since":7}},"grants":["all","user:ada"],"last_seen":9,"connected":"gw-1","resets":0}"#,
        br#"{"version":1,"categories":{"offers":{"email":false}},"quiet_hours":{"from":"22:00","to":"07:00","time_zone":"Europe/Berlin"},"muted_until":"2030-01-17T08:00:00.000Z"}"#,
        br#"{"version":1,"disabled":{"since":7,"by":"root","reason":"left"},"revoked":{"before":9,"by":"root","reason":null}}"#,
        br#"{"version":1,"disabled":null,"revoked":null}"#,
        br#"{"version":2,"disabled":null,"revoked":null}"#,
        br#"{"stream":"EVENTS","seq":5}"#,
    ],
    attempts: 4_000,
};

/// A record is of one form at most, and once it is read it has one spelling, which is read as the same.
fn record(input: &[u8]) {
    let read = StoredForm::ALL.map(|form| (form, form.rewrite(input)));
    let mut forms = 0;
    for (form, written) in read {
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                assert!(error.to_string().len() < 20 * 1024, "{form:?}: {error}");
                continue;
            }
        };
        forms += 1;
        let again = form.rewrite(&written).unwrap_or_else(|error| panic!("{form:?}: {error}"));
        assert_eq!(again.escape_ascii().to_string(), written.escape_ascii().to_string(), "{form:?}");
    }
    assert!(forms <= 1, "it is {forms} records at once");
}
