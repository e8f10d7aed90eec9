//! What `/openapi.json` says of a running gateway is true, and all of it: routes, parameters, members, answers.

use std::collections::BTreeSet;
use std::path::Path;

use harness::{BOUND, SECRET, Setup, System, token};
use serde_json::{Value, json};

use crate::{cloud_event, failed_delivery, incident};

const PAGE: &str = "https://console.example";

/// A gateway and its description.
struct Described {
    system: System,
    document: Value,
    admin: String,
}

/// An answer: status, `Allow` and what it says.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Described {
    async fn start() -> Self {
        let setup = Setup::default()
            .variable("TIDINGS_GATEWAY__ADMIN_ORIGINS", PAGE)
            .variable("TIDINGS_CONTACTS__KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let system = setup.start().await;
        let scope = "tidings:admin tidings:publish";
        let admin = token(SECRET, json!({ "tenant": "ops", "sub": "root", "scope": scope }));
        let mut described = Self { system, document: Value::Null, admin };
        let answer = described.ask("GET", "/openapi.json", None, &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        described.document = answer.json();
        described
    }

    /// A request of an administrator who may publish.
    async fn ask(
        &self,
        method: &str,
        target: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url = format!("{}{target}", self.system.address());
        let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(&self.admin);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let exchange = async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, text: response.text().await.unwrap() }
        };
        tokio::time::timeout(BOUND, exchange).await.expect("the gateway answers in time")
    }

    /// Each path with its methods.
    fn paths(&self) -> impl Iterator<Item = (&String, &serde_json::Map<String, Value>)> {
        let paths = self.document["paths"].as_object().unwrap();
        paths.iter().map(|(path, methods)| (path, methods.as_object().unwrap()))
    }

    /// Each operation: its method, a target, and what is said of it.
    fn operations(&self) -> impl Iterator<Item = (String, String, &Value)> {
        self.paths().flat_map(|(path, methods)| {
            methods.iter().map(move |(method, operation)| (method.to_uppercase(), target(path), operation))
        })
    }

    fn schema(&self, reference: &Value) -> &Value {
        let name = reference["$ref"].as_str().unwrap().strip_prefix("#/components/schemas/").unwrap();
        &self.document["components"]["schemas"][name]
    }

    /// Checks an answer of JSON: its members are those of the schema.
    fn check(&self, answer: &Value, schema: &Value) {
        let schema = if schema.get("$ref").is_some() { self.schema(schema) } else { schema };
        let members: BTreeSet<_> = answer.as_object().unwrap().keys().collect();
        let known: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert!(members.is_subset(&known), "{answer} has more than {schema}");
        for required in schema["required"].as_array().unwrap() {
            assert!(
                !answer[required.as_str().unwrap()].is_null()
                    || members.contains(&required.as_str().unwrap().to_owned()),
                "{answer} lacks {required}"
            );
        }
        for (name, property) in schema["properties"].as_object().unwrap() {
            if let Some(text) = answer[name].as_str().filter(|_| property["format"] == "date-time") {
                assert_eq!((text.len(), text.ends_with('Z')), (24, true), "{name} of {answer}");
            }
        }
    }
}

/// A path whose parameters have values.
fn target(path: &str) -> String {
    let values = [
        ("{user}", "ada"),
        ("{device}", "d"),
        ("{delivery}", "1-1-0-0"),
        ("{position}", "1-1"),
        ("{name}", "incident.created"),
        ("{id}", "x.0.1"),
    ];
    values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// What a refusal names as expected, in backquotes.
fn expected(answer: &Answer) -> BTreeSet<String> {
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    detail.split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

/// Names of the parameters that are in the query.
fn query(operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let query = parameters.filter(|parameter| parameter["in"] == "query");
    query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_description_is_that_of_the_gateway() {
    let described = Described::start().await;
    every_route_is_described();
    every_method_is_described(&described).await;
    every_parameter_and_member_is_described(&described).await;
    good_answers_are_as_described(&described).await;
    only_allowed_pages_administer(&described).await;
    messages_are_described(&described).await;
}

/// The routes in the code. Those that are served under two names are described once.
fn every_route_is_described() {
    fn routes(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                routes(&path, found);
                continue;
            }
            let prefix = if path.to_str().unwrap().contains("/admin") { "/api/v1" } else { "" };
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(
                text.split(".route(\"")
                    .skip(1)
                    .map(|rest| format!("{prefix}{}", rest.split('"').next().unwrap())),
            );
        }
    }
    let api = concat!(env!("CARGO_MANIFEST_DIR"), "/../services/gateway/src/api");
    let mut found = BTreeSet::new();
    routes(Path::new(api), &mut found);
    found.remove("/api/ws/");
    let read = |name: &str| std::fs::read_to_string(format!("{api}/openapi/{name}.rs")).unwrap();
    let parts = ["contacts", "deliveries", "preferences"].map(|part| read(&format!("operations/{part}")));
    let operations = read("operations") + &parts.concat();
    let missing: Vec<_> = found.iter().filter(|path| !operations.contains(&format!("\"{path}\""))).collect();
    assert_eq!((missing.len(), found.len() > 20), (0, true), "{missing:?} of {found:?}");
}

/// `Allow` names what a path serves, so nothing is served that is not described, and the other way round.
async fn every_method_is_described(described: &Described) {
    for (path, methods) in described.paths() {
        let answer = described.ask("PATCH", &target(path), None, &[]).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (405, Some("METHOD_NOT_ALLOWED")),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let allowed = answer.header("allow").split(',').map(str::to_lowercase);
        let allowed: BTreeSet<_> =
            allowed.filter(|method| !matches!(&**method, "head" | "options")).collect();
        assert_eq!(allowed, methods.keys().cloned().collect(), "{path}");
    }
    let nothing = described.ask("GET", "/api/v2", None, &[]).await;
    assert_eq!((nothing.status, nothing.json()["code"].as_str()), (404, Some("NOT_FOUND")));
}

async fn every_parameter_and_member_is_described(described: &Described) {
    let lenient = ["/healthz", "/readyz", "/api/ws", "/api/sse"];
    for (method, target, operation) in described.operations() {
        if lenient.contains(&&*target) {
            continue;
        }
        let answer = described.ask(&method, &format!("{target}?surely=not"), None, &[]).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (400, Some("PARAMETER")),
            "{target}: {}",
            answer.text
        );
        let mut found = expected(&answer);
        // The places of a token are described as such.
        found.retain(|name| !matches!(&**name, "token" | "Authorization"));
        assert_eq!(found, query(operation), "{method} {target}: {}", answer.text);

        let content = &operation["requestBody"]["content"]["application/json"]["schema"];
        if matches!(&*method, "POST" | "PUT") && content["$ref"].is_string() {
            let members = described.schema(content)["properties"].as_object().unwrap().keys().cloned();
            let target = target.replace("x.0.1", "0123456789abcdef");
            let answer = described.ask(&method, &target, Some(&json!({ "surely": "not" })), &[]).await;
            let code = answer.json()["code"].as_str().map(str::to_owned);
            assert_eq!((answer.status, code.as_deref()), (400, Some("BODY")), "{target}: {}", answer.text);
            assert_eq!(expected(&answer), members.collect(), "{target}: {}", answer.text);
        }
    }
}

/// A browser's subscription.
fn browser() -> Value {
    let keys = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    json!({ "endpoint": "https://push.example/x", "keys": keys })
}

/// Answers that need something to be there: each is as its schema says.
async fn good_answers_are_as_described(described: &Described) {
    let system = &described.system;
    let _ada = system.subscribed(json!({ "tenant": "ops", "sub": "ada" }), &["incidents"], json!({})).await;
    let wrong = system.publish("ops", "incident.created", &json!({ "id": "wrong" })).await;
    system.rejected(wrong).await;
    let check = async |method: &str, path: &str, target: &str, body: Option<Value>| -> Value {
        let answer = described.ask(method, target, body.as_ref(), &[]).await;
        let operation = &described.document["paths"][path][method.to_lowercase()];
        let content = &operation["responses"][answer.status.to_string()]["content"];
        if answer.status == 204 {
            return Value::Null;
        }
        assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text);
        let kind = answer.header("content-type");
        let schema = &content[kind]["schema"];
        if kind != "application/x-ndjson" {
            let answer = answer.json();
            described.check(&answer, schema["anyOf"].get(0).unwrap_or(schema));
            return answer;
        }
        let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!lines.is_empty(), "{target}");
        for line in &lines {
            described.check(line, &schema["contentSchema"]["anyOf"][0]);
        }
        lines[0].clone()
    };
    let all = |path: &'static str| check("GET", path, path, None);
    let (consumers, user) = ("/api/v1/consumers", "/api/v1/users/{user}");
    all(consumers).await;
    all("/api/v1/connections").await;
    let consumer = format!("{consumers}/{{user}}/{{device}}");
    let device = system_device(&check("GET", consumers, &format!("{consumers}?user=ada"), None).await);
    let target = format!("{consumers}/ada/{device}");
    check("GET", &consumer, &target, None).await;
    check("POST", &format!("{consumer}/reset"), &format!("{target}/reset"), Some(json!({ "to": "new" })))
        .await;
    check(
        "POST",
        "/api/v1/users/{user}/disable",
        "/api/v1/users/ada/disable",
        Some(json!({ "reason": "r" })),
    )
    .await;
    check("POST", "/api/v1/users/{user}/revoke", "/api/v1/users/ada/revoke", None).await;
    check("GET", user, "/api/v1/users/ada", None).await;
    let hours = json!({ "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin" });
    let set = json!({ "quiet_hours": hours, "muted_until": "2030-01-17T08:00:00Z" });
    let of_user = "/api/v1/users/{user}/preferences";
    for (path, target) in
        [("/api/preferences", "/api/preferences"), (of_user, "/api/v1/users/eve/preferences")]
    {
        check("PUT", path, target, Some(set.clone())).await;
        check("GET", path, target, None).await;
    }
    let contacts = "/api/v1/users/{user}/contacts";
    let set = json!({ "email": ["ada@example.com"], "sns_topic": ["arn:aws:sns:eu-central-1:1:alerts"] });
    for (method, body) in [("PUT", Some(set)), ("GET", None), ("DELETE", None)] {
        check(method, contacts, "/api/v1/users/ada/contacts", body).await;
    }
    for (method, body) in [("PUT", Some(browser())), ("DELETE", None)] {
        check(method, "/api/push", "/api/push?device=d", body).await;
    }
    check("DELETE", user, "/api/v1/users/ada", None).await;

    let rejections = "/api/v1/rejections";
    let position = all(rejections).await["position"].as_str().unwrap().to_owned();
    let one = format!("{rejections}/{{position}}");
    check("GET", &one, &format!("{rejections}/{position}"), None).await;
    check("POST", &format!("{one}/retry"), &format!("{rejections}/{position}/retry"), None).await;

    let _dispatcher = failed_delivery::store(&described.system).await;
    let deliveries = "/api/v1/deliveries";
    let found = all(deliveries).await;
    let (user, name) = (found["user"].as_str().unwrap(), found["name"].as_str().unwrap());
    let (one, target) =
        (format!("{deliveries}/{{user}}/{{delivery}}"), format!("{deliveries}/{user}/{name}"));
    let facts = check("GET", &one, &target, None).await;
    described.check(&facts["facts"][0], &json!({ "$ref": "#/components/schemas/Delivery" }));
    check("POST", &format!("{one}/retry"), &format!("{target}/retry"), None).await;

    let keys = "/api/v1/keys";
    let made = check("POST", keys, keys, Some(json!({ "events": ["incident.*"], "expires_in": 60 }))).await;
    all(keys).await;
    let id = made["id"].as_str().unwrap();
    check("POST", "/api/v1/keys/{id}/revoke", &format!("{keys}/{id}/revoke"), None).await;

    let event = "/api/v1/events/{name}";
    check("POST", event, "/api/v1/events/incident.created", Some(incident("1"))).await;
    let waiting = format!("{event}/scheduled/{{id}}");
    check("DELETE", &waiting, "/api/v1/events/incident.created/scheduled/1", None).await;
    let batch = json!([cloud_event("b1", "1"), { "specversion": "1.0" }]);
    let kind = [("content-type", "application/cloudevents-batch+json")];
    let request = reqwest::Client::new().post(format!("{}/api/v1/events", system.address()));
    let request = request.bearer_auth(&described.admin).header(kind[0].0, kind[0].1).body(batch.to_string());
    let refused: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    described.check(&refused, &json!({ "$ref": "#/components/schemas/Problem" }));
    let events =
        &described.document["components"]["schemas"]["Problem"]["properties"]["events"]["items"]["anyOf"];
    described.check(&refused["events"][0], &events[0]);
}

/// What redocly and the parser of `AsyncAPI` say of the descriptions, and whether schemathesis finds an answer that is not described.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "says what is left out")]
#[ignore = "needs tools that `just deploy-tools` installs; `just deploy-check` runs it"]
async fn tools_accept_the_descriptions() {
    let top = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let installed = |name| {
        let folder = top.join(".tools/bin").join(name);
        let is_there = folder.is_dir();
        if !is_there {
            eprintln!("{name} is not there, so what needs it is left out; `just deploy-tools` installs it");
        }
        is_there.then_some(folder)
    };
    let described = Described::start().await;
    if let Some(modules) = installed("descriptions-1") {
        let folder = tempfile::tempdir().unwrap();
        let openapi = folder.path().join("openapi.json");
        std::fs::write(&openapi, described.document.to_string()).unwrap();
        let mut files = vec![openapi];
        for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
            let description = described.system.command(&["describe", "--tenant", tenant]).finish(BOUND).await;
            files.push(folder.path().join(format!("{tenant}.json")));
            std::fs::write(files.last().unwrap(), description.succeeded()).unwrap();
        }
        let lint = tokio::process::Command::new("node")
            .arg(top.join("tests/http_publish/lint.mjs"))
            .arg(modules)
            .args(&files)
            .output();
        let lint = lint.await.unwrap();
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&[lint.stdout, lint.stderr].concat()));
    }
    if let Some(modules) = installed("schemathesis-4.32.5") {
        // Each request about users or connections takes a second, in which all gateways are asked.
        let slow = "/(users|connections)";
        let quick = ["--exclude-path-regex", slow, "--phases", "examples,coverage,fuzzing"];
        let slow = ["--include-path-regex", slow, "--phases", "fuzzing"];
        tokio::join!(explore(&described, &modules, &quick), explore(&described, &modules, &slow));
    }
}

/// Has schemathesis send requests for some seconds.
async fn explore(described: &Described, modules: &Path, options: &[&str]) {
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance";
    let exploring = tokio::process::Command::new("python3")
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"])
        .arg(format!("{}/openapi.json", described.system.address()))
        .args(["--header", &format!("Authorization: Bearer {}", described.admin)])
        .args(["--checks", checks, "--max-examples", "3", "--max-time", "12", "--exclude-path", "/api/sse"])
        .args([
            "--generation-deterministic",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ])
        .args(options)
        .env("PYTHONPATH", modules)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(described.system.nats.folder())
        .output();
    let explored = exploring.await.unwrap();
    assert!(
        explored.status.success(),
        "{}",
        String::from_utf8_lossy(&[explored.stdout, explored.stderr].concat())
    );
}

fn system_device(consumer: &Value) -> String {
    consumer["device"].as_str().unwrap().to_owned()
}

/// Pages of other origins read nothing, and are not answered what browsers ask first.
async fn only_allowed_pages_administer(described: &Described) {
    let asks = [("access-control-request-method", "DELETE"), ("origin", PAGE)];
    let answer = described.ask("OPTIONS", "/api/v1/keys", None, &asks).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, PAGE));
    assert!(answer.header("access-control-allow-methods").contains("DELETE"));
    assert_eq!(answer.header("access-control-allow-headers"), "authorization, content-type");
    for (origin, allowed) in [(PAGE, PAGE), ("https://evil.example", ""), ("null", "")] {
        let answer = described.ask("GET", "/api/v1/keys", None, &[("origin", origin)]).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, allowed), "{origin}");
        assert_eq!(
            (answer.header("access-control-allow-credentials"), answer.header("vary")),
            ("", "origin")
        );
    }
    let asks = [("access-control-request-method", "DELETE"), ("origin", "https://evil.example")];
    assert_eq!(described.ask("OPTIONS", "/api/v1/keys", None, &asks).await.status, 405);
}

/// `/asyncapi.json` is of the token's tenant, and the same as the command prints.
async fn messages_are_described(described: &Described) {
    let answer = described.ask("GET", "/asyncapi.json", None, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let printed = described.system.command(&["describe", "--tenant", "ops"]).finish(BOUND).await.succeeded();
    assert_eq!(answer.json(), serde_json::from_str::<Value>(&printed).unwrap());
    assert!(
        answer.json()["channels"]["topicIncidents"]["messages"]["IncidentMessage"].is_object(),
        "{printed}"
    );
    let url = format!("{}/asyncapi.json", described.system.address());
    let refused = reqwest::Client::new().get(url).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
}
