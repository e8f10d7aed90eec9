//! What is published, with whom each contract says it is for.

use serde_json::{Value, json};

use crate::ids::ids;

/// Somebody whom a contract addresses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reader {
    Everybody,
    /// Whoever has this text in this claim.
    With(&'static str, String),
    Subscriber(&'static str),
}

#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) tenant: &'static str,
    pub(crate) event: &'static str,
    pub(crate) data: Value,
    pub(crate) readers: Vec<Reader>,
    /// By which a client recognises the message.
    pub(crate) mark: String,
}

/// One of every event of every tenant, for every id; all different, and of different things, so that none replaces
/// another.
pub(crate) fn publications(round: &str) -> Vec<Publication> {
    let mut all = topics(round);
    for (number, id) in ids().iter().enumerate() {
        let mark = |kind: &str| format!("«{round} {kind} {number}»");
        all.extend(shelter(id, &mark));
        all.extend(incident_command(id, &mark));
        all.extend(of_users(id, &mark));
    }
    all
}

fn shelter(id: &str, mark: &dyn Fn(&str) -> String) -> Vec<Publication> {
    let responders = ["first_responder", "emergency_coordinator"];
    let of = |shelter: &str| {
        let roles = responders.map(|role| Reader::With("role", role.to_owned()));
        roles.into_iter().chain([Reader::With("shelterId", shelter.to_owned())]).collect::<Vec<_>>()
    };
    let publication =
        |event, data: Value, readers, mark| Publication { tenant: "shelter", event, data, readers, mark };
    let broadcast = |target: &str, member: &str, claim| {
        let mark = mark(target);
        let data = json!({ "target": target, member: id, "message": mark });
        publication("broadcast.created", data, vec![Reader::With(claim, id.to_owned())], mark)
    };
    let (all, alert, update) = (mark("all"), mark("alert"), mark("update"));
    vec![
        broadcast("user", "userId", "sub"),
        broadcast("role", "role", "role"),
        broadcast("shelter", "shelterId", "shelterId"),
        publication(
            "broadcast.created",
            json!({ "target": "all", "message": all, "userId": id, "role": id, "shelterId": id }),
            vec![Reader::Everybody],
            all.clone(),
        ),
        publication(
            "alert.created",
            json!({ "title": alert, "message": "", "severity": "low", "shelterId": id }),
            of(id),
            alert.clone(),
        ),
        publication(
            "shelter.updated",
            json!({ "shelterId": id, "status": "open", "capacity": 1, "occupancy": 0, "message": update }),
            of(id),
            update.clone(),
        ),
    ]
}

/// Some of these messages say nothing but their type and the organisation.
fn incident_command(id: &str, mark: &dyn Fn(&str) -> String) -> Vec<Publication> {
    let publication = |event: &'static str, period: Option<String>| {
        let bare = format!("{}Updated of {id:?}", event.trim_end_matches(".updated"));
        Publication {
            tenant: "cnc",
            event,
            data: json!({ "orgId": id, "periodId": period }),
            readers: vec![Reader::With("orgId", id.to_owned())],
            mark: period.unwrap_or(bare),
        }
    };
    vec![
        publication("volunteers.updated", Some(mark("volunteers"))),
        publication("assignments.updated", Some(mark("assignments"))),
        publication("periods.updated", None),
        publication("units.updated", None),
        publication("incidents.updated", None),
    ]
}

/// The three tenants that tell users of what is theirs.
fn of_users(id: &str, mark: &dyn Fn(&str) -> String) -> Vec<Publication> {
    let publication = |tenant, event, mut data: Value, mark| {
        data["userId"] = id.into();
        Publication { tenant, event, data, readers: vec![Reader::With("sub", id.to_owned())], mark }
    };
    let [started, progressed, completed, failed] = ["started", "progressed", "completed", "failed"].map(mark);
    let [uploaded, noticed, erred, notified] = ["uploaded", "noticed", "erred", "notified"].map(mark);
    vec![
        publication(
            "documents",
            "processing.started",
            json!({ "docId": started, "totalPages": 9 }),
            started.clone(),
        ),
        publication(
            "documents",
            "processing.progressed",
            json!({ "docId": progressed, "pagesProcessed": 1, "totalPages": 9 }),
            progressed.clone(),
        ),
        publication("documents", "processing.completed", json!({ "docId": completed }), completed.clone()),
        publication(
            "documents",
            "processing.failed",
            json!({ "docId": failed, "errorCode": "E", "message": "", "recoverable": true }),
            failed.clone(),
        ),
        publication(
            "uploads",
            "upload.progressed",
            json!({ "uploadId": uploaded, "fileName": id, "progress": 5, "message": "" }),
            uploaded.clone(),
        ),
        publication(
            "uploads",
            "notification.created",
            json!({ "title": noticed, "message": "", "severity": "info" }),
            noticed.clone(),
        ),
        publication("uploads", "error.occurred", json!({ "code": erred, "message": "" }), erred.clone()),
        publication(
            "ops",
            "notification.created",
            json!({ "title": notified, "message": "", "type": "info", "priority": "low" }),
            notified.clone(),
        ),
    ]
}

/// What goes to whoever has subscribed. Metrics are for those who are there.
fn topics(round: &str) -> Vec<Publication> {
    let publication = |event: &'static str, topic, data: &dyn Fn(&str) -> Value| {
        let mark = format!("«{round} {event}»");
        Publication {
            tenant: "ops",
            event,
            data: data(&mark),
            readers: vec![Reader::Subscriber(topic)],
            mark,
        }
    };
    let incident = |mark: &str| json!({ "id": "i", "jira_id": "I", "title": mark, "severity": "low", "status": "open", "squad": "ada" });
    let task =
        |mark: &str| json!({ "id": "t", "jira_id": "T", "title": mark, "status": "todo", "squad": "ada" });
    let asset = |mark: &str| json!({ "id": "a", "hostname": mark, "asset_type": "x", "risk_level": "low", "environment": "dev" });
    let alert = |mark: &str| {
        json!({
            "id": "l", "metric": mark, "value": 1, "threshold": 2, "operator": "equals", "environment": "dev",
            "severity": "low", "triggered_at": "now",
        })
    };
    let metric = |mark: &str| json!({ "metric_name": mark, "value": 1, "timestamp": "now" });
    let mut all = vec![
        publication("incident.created", "incidents", &incident),
        publication("incident.updated", "incidents", &incident),
        publication("incident.deleted", "incidents", &incident),
        publication("task.created", "tasks", &task),
        publication("task.updated", "tasks", &task),
        publication("task.deleted", "tasks", &task),
        publication("asset.created", "assets", &asset),
        publication("asset.updated", "assets", &asset),
        publication("asset.deleted", "assets", &asset),
        publication("alert.created", "alerts", &alert),
        publication("alert.updated", "alerts", &alert),
    ];
    if !round.starts_with("away") {
        all.push(publication("metric.updated", "metrics", &metric));
    }
    all
}
