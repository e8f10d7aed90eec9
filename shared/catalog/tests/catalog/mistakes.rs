//! Every mistake in a catalog is named with its place, all of them at once.

use tidings_catalog::{Catalog, Files};
use tidings_model::Tenant;

use crate::support::parse;

/// A catalog without mistakes; the lines of a case take the place of those with the same beginning.
const GOOD: [&str; 15] = [
    "grants = ['user:{sub}']",
    "deliver = '7d'",
    "topics.news = {}",
    "[routes.progress]",
    "message = 'm'",
    "key = '{doc}'",
    "[[message]]",
    "name = 'm'",
    "events = ['a.b']",
    "schema = 'any.json'",
    "to = ['user:{data.u}', 'topic:news']",
    "class = 'latest'",
    "key   = '{data.k}'",
    "ttl = '1h'",
    "body = { n = '{data.n}' }",
];

fn with(changes: &[&str]) -> String {
    let start = |line: &str| line.split('=').next().unwrap().to_owned();
    let mut lines = GOOD.map(str::to_owned).to_vec();
    for change in changes {
        match lines.iter_mut().find(|line| start(line) == start(change)) {
            Some(line) => (*change).clone_into(line),
            None => lines.push((*change).to_owned()),
        }
    }
    lines.join("\n")
}

fn problems(catalog: &str) -> Vec<String> {
    match parse(catalog) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    }
}

/// A catalog with a message, and another one with these lines that replaces it.
fn replacing(original: &str, lines: &str) -> Vec<String> {
    let message = |name: &str, event: &str, lines: &str| {
        format!(
            "[[message]]\nname = '{name}'\nevents = ['{event}']\nschema = 'any.json'\nto = 'user:{{data.u}}'\nbody = {{}}\n{lines}\n"
        )
    };
    let (one, other) = (message("m", "a.b", original), message("r", "a.c", lines));
    problems(&format!("grants = ['user:{{sub}}']\n{one}{other}"))
}

#[test]
fn what_replaces_a_message_names_it() {
    let key = "key = '{data.k}'";
    for replaced in [key, "key = '{data.k}'\nclass = 'durable'", "key = '{data.k}'\nclass = 'latest'"] {
        for lines in ["replaces = '{data.k}'", "retracts = '{data.k}'\nclass = 'durable'"] {
            assert_eq!(replacing(replaced, &format!("{lines}\nslot = 'm'")), Vec::<String>::new());
        }
    }
    for (original, lines, place, text) in [
        (key, "replaces = '{data.k}'", "message `r`", "no other message has the slot `r`"),
        ("", "slot = 'm'\nreplaces = '{data.k}'", "message `m`", "it has no `key`"),
        (key, "slot = 'm'\nreplaces = '{data.k}'\nretracts = '{data.k}'", "message `r`", "are both there"),
        (key, "slot = 'm'\nreplaces = '{data.k}'\nkey = '{data.k}'", "message `r`", "`key` is there, too"),
        (key, "slot = 'm'\nretracts = '{data.k}'\nmax_rate = '1/s'", "message `r`", "must not come late"),
        (key, "slot = 'm'\nretracts = '{data.k?}'", "message `r`", "may not be optional"),
        (key, "slot = 'm'\nretracts = '{k}'", "message `r`", "begins with none of"),
        (
            key,
            "slot = 'm'\nretracts = '{data.k}'\nclass = 'ephemeral'",
            "message `r`",
            "kept for absent users",
        ),
        (
            "key = '{data.k}'\nclass = 'ephemeral'\nmax_rate = '1/s'",
            "slot = 'm'\nreplaces = '{data.k}'",
            "message `m`",
            "kept for absent users",
        ),
        (key, "slot = 'm'", "message `m`", "another one of its slot replaces or retracts"),
    ] {
        let found = replacing(original, lines);
        assert!(
            found.iter().any(|problem| problem.starts_with(place) && problem.contains(text)),
            "{lines}: {found:?}"
        );
    }
}

#[test]
fn each_mistake_is_named_with_its_place() {
    assert_eq!(problems(&with(&[])), Vec::<String>::new());
    for (change, place, text) in [
        // The form.
        ("grants = 7", "catalog.toml", "invalid type"),
        ("colour = [", "catalog.toml", "TOML parse error"),
        ("colour = 'red'", "catalog.toml", "unknown field `colour`"),
        ("topics.news = { rolls = [] }", "catalog.toml", "unknown field `rolls`"),
        ("name = 7", "catalog.toml", "invalid type"),
        ("to = [{ address = 'all', wenn = {} }]", "catalog.toml", "a table with `address` and `when`"),
        ("to = 7", "catalog.toml", "a table with `address` and `when`"),
        // Keys and topics.
        ("grants = ['user']", "grants", "user"),
        ("grants = ['{kind}:x']", "grants", "kind"),
        ("grants = ['user:{a']", "grants", "brace"),
        ("grants = ['user:{a[*]}']", "grants", "[*]"),
        ("deliver = 'soon'", "deliver", "\"soon\""),
        ("deliver = '900000y'", "deliver", "\"900000y\""),
        ("topics.news = { roles = ['sre', ''] }", "topics.news", "role"),
        // Messages.
        ("name = 'm m'\nslot = 'm'", "message `m m`", "\"m m\""),
        ("name = ''\nslot = 'm'", "message ``", "1 to 64"),
        ("events = ['a']", "message `m`", "\"a\""),
        ("events = []", "message `m`", "`events`"),
        ("events = ['a.b', 'a.b']", "message `m`", "a.b"),
        ("schema = 'gone.json'", "message `m`", "\"gone.json\""),
        ("schema = 'broken.json'", "broken.json", "EOF"),
        ("schema = 'wrong.json'", "wrong.json", "no such type"),
        ("to = []", "message `m`", "`to`"),
        ("to = 'User:x'", "message `m`", "User"),
        ("to = 'user:{nobody.u}'", "message `m`", "{nobody.u}"),
        ("to = 'user:{data.a[*]}-{data.b[*]}'", "message `m`", "more than one [*]"),
        ("to = ['user:{data.u}', 'topic:gossip']", "message `m`", "\"gossip\""),
        ("to = { address = 'user:x', when = { 'dat.x' = 1 } }", "message `m`", "{dat.x}"),
        ("to = { address = 'user:x', when = { 'data..x' = 1 } }", "message `m`", "{data..x}"),
        ("to = { address = 'user:x', when = { 'data.x[*]' = 1 } }", "message `m`", "{data.x[*]}"),
        (
            "to = ['user:{data.u}', 'tabel:{data.table}']",
            "message `m`",
            "no token opens its destination \"tabel:{data.table}\": `grants` open user:{sub}",
        ),
        ("to = ['user:{data.u}', 'all']", "message `m`", "\"all\""),
        ("grants = []", "message `m`", "\"user:{data.u}\": `grants` is empty"),
        ("topics.news = { roles = ['sre'] }", "topics.news", "no token opens \"role:sre\""),
        ("class = 'newest'", "message `m`", "\"newest\""),
        ("key   = '{data.k'", "message `m`", "brace"),
        ("key   = '{data.k?}'", "message `m`", "{data.k?}"),
        ("key   = '{data.k[*]}'", "message `m`", "{data.k[*]}"),
        ("ttl = '500ms'", "message `m`", "\"500ms\""),
        ("ttl = 'tomorrow'", "message `m`", "\"tomorrow\""),
        ("ttl = '900000y'", "message `m`", "\"900000y\""),
        ("attributes = { squad = '{dta.s}' }", "message `m`", "{dta.s}"),
        ("attributes = { squad = '{data.s[*]}{data.t}' }", "message `m`", "{data.s[*]}{data.t}"),
        ("attributes = { squad = '{data.*?}' }", "message `m`", "only a whole value in `body`"),
        ("body = { n = 'x{data.*?}' }", "message `m`", "{data.*?}"),
        ("body = 'text'", "message `m`", "`body` is not a table"),
        ("body = { n = '{data.n' }", "message `m`", "brace"),
        ("body = { n = ['{data.n[*]}'] }", "message `m`", "{data.n[*]}"),
        ("body = { n = '{datum}' }", "message `m`", "{datum}"),
        ("body = { n = 2025-01-17 }", "message `m`", "date"),
        ("body = { n = [{ x = inf }] }", "message `m`", "inf"),
        // Routes.
        ("[routes.ping]\nmessage = 'm'\nkey = 'k'", "routes.ping", "the protocol itself uses this verb"),
        ("message = 'other'", "routes.progress", "\"other\""),
        ("key = '{doc'", "routes.progress", "brace"),
        ("key = '{doc[*]}'", "routes.progress", "{doc[*]}"),
    ] {
        let found = problems(&with(&[change]));
        // One mistake is one problem: none that only follows from it.
        assert_eq!(found.len(), 1, "{change}: {found:#?}");
        assert!(found[0].starts_with(place) && found[0].contains(text), "{change}: {found:#?}");
    }
}

#[test]
fn mistakes_between_lines_are_named_too() {
    for (changes, place, text) in [
        (&["class = 'durable'", "message = 'm'"][..], "message `m`", "only class `latest` has a `key`"),
        (&["name = 'm'\nslot = 'a.b'", "message = 'a.b'"], "message `m`", "\"a.b\""),
        (&["class = 'ephemeral'"], "message `m`", "only class `latest` has a `key`, and `ephemeral` if"),
        (&["class = 'durable'\nmax_rate = '1/s'", "message = 'm'"], "message `m`", "no `max_rate`"),
        (&["class = 'latest'\nmax_rate = '0/s'"], "message `m`", "max_rate \"0/s\" is none such as"),
        (&["class = 'latest'\nmax_rate = '1/d'"], "message `m`", "max_rate \"1/d\" is none such as"),
        (&["ttl = '1m'\nmax_rate = '1/min'"], "message `m`", "`ttl` 1m is not longer than 1m"),
        (
            &[
                "[[message]] # other\nname = 'm'\nevents = ['c.d']\nschema = 'any.json'\nto = 'all'\nbody = {}",
            ],
            "message `m`",
            "two of this name",
        ),
        (
            &[
                "[[message]] # other\nname = 'n'\nslot = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'all'\nbody = {}",
            ],
            "message `n`",
            "message `m` makes an envelope of event a.b in the same slot",
        ),
    ] {
        let found = problems(&with(changes));
        assert!(
            found.iter().any(|problem| problem.starts_with(place) && problem.contains(text)),
            "{found:#?}"
        );
    }
    let without_key = with(&[]).replace("key   = '{data.k}'", "");
    let found = problems(&without_key);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("class `latest` needs a `key`"), "{found:#?}");
}

#[test]
fn all_mistakes_are_named_in_one_go() {
    let changes = [
        "grants = ['user']",
        "deliver = 'soon'",
        "schema = 'gone.json'",
        "class = 'newest'",
        "ttl = '1ms'",
        "key = '{'",
    ];
    let found = problems(&with(&changes));
    let places: Vec<_> = found.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    let expected = ["grants", "deliver", "message `m`", "message `m`", "message `m`", "routes.progress"];
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn a_folder_without_a_catalog_says_so() {
    let error = Catalog::parse(&Tenant::parse("t").unwrap(), &Files::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the catalog of tenant t cannot be used:\n  catalog.toml: there is no such file"
    );
}

#[test]
fn more_attributes_than_headers_can_carry_are_refused() {
    let attributes = |count: usize| {
        let each = (0..count).map(|n| format!("a{n} = '{{data.a?}}'")).collect::<Vec<_>>().join(", ");
        problems(&with(&[&format!("attributes = {{ {each} }}")]))
    };
    assert_eq!(attributes(16), Vec::<String>::new());
    assert!(attributes(17)[0].contains("16"));
    let long = format!("attributes = {{ {} = 'x' }}", "a".repeat(65));
    assert_eq!(problems(&with(&[&long])).len(), 1);
}

/// What somebody can hold is told from what nobody can by the texts around the places of both.
#[test]
fn a_destination_is_one_that_some_token_opens() {
    let problems = |keys: &str, to: &str| {
        problems(&format!(
            "grants = [{keys}]\n[topics.news]\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = '{to}'\nbody = {{}}"
        ))
    };
    for (keys, to, is_open) in [
        ("'role:{role}'", "role:cook", true),
        ("'role:{role}'", "role:{data.role}", true),
        ("'role:admin'", "role:{data.role}", true),
        ("'role:admin'", "role:admin", true),
        ("'role:admin'", "role:cook", false),
        ("'role:t-{role}'", "role:t-cook", true),
        ("'role:t-{role}'", "role:cook", false),
        ("'role:{role}-t'", "role:x{data.role}", true),
        ("'role:{role}-t'", "role:x{data.role}-u", false),
        ("'role:a-{role}'", "role:b-{data.role}", false),
        ("'role:ab{role}bc'", "role:abc", false),
        ("'role:{a}{b}'", "role:x", true),
        ("'rol:{role}'", "role:cook", false),
        ("'all'", "all", true),
        ("'user:{sub}'", "all", false),
        ("'user:{sub}'", "topic:{data.t}", true),
        ("'user:{sub}'", "topic:n{data.t}", true),
        ("'user:{sub}'", "topic:x{data.t}", false),
        ("'topic:x{sub}'", "topic:x{data.t}", true),
    ] {
        assert_eq!(problems(keys, to).is_empty(), is_open, "{keys} {to}: {:?}", problems(keys, to));
    }
}
