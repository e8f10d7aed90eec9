//! Amazon SNS: what moto takes, with signatures that botocore has verified, and what follows from Amazon's refusals.

use std::path::Path;

use harness::{BOUND, Launch, Tidings, python_packages};
use serde_json::{Value, json};
use tidings_channels::{Channel, Delivery, Failed, Sns, SnsTarget, Target};
use tidings_model::Content;
use tidings_runtime::config::{Secret, SnsConfig};

use crate::delivery;
use crate::receiver::Receiver;
use crate::webhook::SOURCE;

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn config(endpoint: String, secret: &[u8]) -> SnsConfig {
    SnsConfig {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(endpoint),
        access_key_id: Some(KEY_ID.to_owned()),
        secret_access_key: Some(Secret::new(secret)),
        timeout: BOUND,
        ..SnsConfig::default()
    }
}

fn publication(target: SnsTarget, payload: Option<Value>, text: Option<&str>) -> Delivery {
    let mut delivery = delivery(Target::Sns(target));
    delivery.content = Content {
        subject: Some("Störung\nam Server".to_owned()),
        text: text.map(str::to_owned),
        html: None,
        payload,
    };
    delivery
}

/// What moto printed after the `nth` request.
async fn published(server: &mut Tidings, nth: usize) -> Value {
    let line = server.nth_line(r#"{"form":"#, nth, BOUND).await;
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn topics_phones_and_devices_are_published_to() {
    let packages =
        python_packages(&Path::new(SOURCE).join("sns_python"), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let script = format!("exec python3 '{SOURCE}/sns_python/server.py'");
    let mut server = Launch::shell(&script).variable("PYTHONPATH", packages).start();
    let line = server.line(r#"{"listening":"#, BOUND).await;
    let there: Value = serde_json::from_str(&line).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", there["listening"]);
    let arn = |name: &str| there[name].as_str().unwrap().to_owned();
    let sns = Sns::new(&config(endpoint.clone(), SECRET)).unwrap();

    let text = "Grüße & <b>100 %</b> + ~*'()\n";
    let to_topic = publication(SnsTarget::Topic(arn("topic")), None, Some(text));
    let accepted = sns.send(&to_topic).await.unwrap();
    let seen = published(&mut server, 1).await;
    let sent = &seen["state"]["topics"][0];
    assert_eq!(accepted.reference.as_deref(), sent[0].as_str(), "{seen}");
    assert_eq!((&sent[1], &sent[2]), (&json!(text), &json!("Störung am Server")), "{seen}");
    let id = to_topic.id.as_str();
    assert_eq!(seen["form"]["MessageAttributes.entry.1.Value.StringValue"], id, "{seen}");

    let payload = json!({ "type": "incident", "title": "ü" });
    let to_fifo = publication(SnsTarget::Topic(arn("fifo")), Some(payload.clone()), Some(text));
    sns.send(&to_fifo).await.unwrap();
    let seen = published(&mut server, 2).await;
    assert_eq!(seen["form"]["Message"], payload.to_string(), "{seen}");
    assert_eq!(seen["form"]["MessageDeduplicationId"], to_fifo.id.as_str(), "{seen}");
    assert!(seen["form"].get("MessageStructure").is_none(), "{seen}");

    let number = || SnsTarget::PhoneNumber("+4930123456".to_owned());
    sns.send(&publication(number(), Some(payload), Some(text))).await.unwrap();
    let seen = published(&mut server, 3).await;
    assert_eq!(seen["state"]["phones"], json!([["+4930123456", text]]), "{seen}");

    let each = json!({ "default": "Disk full", "GCM": "{\"notification\":{}}" });
    let to_phone = publication(SnsTarget::Endpoint(arn("phone")), Some(each.clone()), None);
    sns.send(&to_phone).await.unwrap();
    let seen = published(&mut server, 4).await;
    assert_eq!(seen["form"]["MessageStructure"], "json", "{seen}");
    assert_eq!(seen["state"]["devices"][0], json!([each.to_string()]), "{seen}");

    let gone = [SnsTarget::Endpoint(arn("disabled")), SnsTarget::Endpoint(format!("{}x", arn("phone")))];
    for target in gone {
        let outcome = sns.send(&publication(target.clone(), None, Some(text))).await;
        assert!(matches!(outcome, Err(Failed::Gone { .. })), "{target:?} {outcome:?}");
    }
    let nowhere = publication(SnsTarget::Topic(format!("{}x", arn("topic"))), None, Some(text));
    assert!(matches!(sns.send(&nowhere).await, Err(Failed::Never { .. })));
    // Nothing to say to a phone.
    assert!(matches!(sns.send(&publication(number(), Some(each), None)).await, Err(Failed::Never { .. })));

    // Another secret is refused, which the message does not suffer from.
    let stranger = Sns::new(&config(endpoint, b"another")).unwrap();
    let outcome = stranger.send(&to_topic).await;
    let Err(Failed::Later { reason, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("SignatureDoesNotMatch") && !reason.contains("another"), "{reason}");
}

#[tokio::test]
async fn refusals_decide_what_happens_next() {
    let receiver = Receiver::start().await;
    let sns = Sns::new(&config(format!("http://{}", receiver.address), SECRET)).unwrap();
    let topic = || SnsTarget::Topic("arn:aws:sns:eu-central-1:123456789012:alerts".to_owned());
    let phone = || SnsTarget::PhoneNumber("+4930123456".to_owned());
    let device =
        || SnsTarget::Endpoint("arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/app/1".to_owned());
    for (target, status, body, expected) in [
        (topic(), 200, "no XML", "accepted"),
        (topic(), 400, "<Error><Code>InvalidParameter</Code></Error>", "never"),
        (topic(), 404, "<Error><Code>NotFound</Code></Error>", "never"),
        (topic(), 400, "<Error><Code>Throttled</Code></Error>", "later"),
        (topic(), 400, "<Error><Code>ThrottlingException</Code></Error>", "later"),
        (topic(), 429, "", "later"),
        (topic(), 403, "<Error><Code>InvalidClientTokenId</Code></Error>", "later"),
        (topic(), 403, "<Error><Code>AuthorizationError</Code></Error>", "later"),
        (topic(), 500, "<Error><Code>InternalError</Code></Error>", "later"),
        (topic(), 503, "", "later"),
        (device(), 400, "<Error><Code>EndpointDisabled</Code></Error>", "gone"),
        (
            device(),
            400,
            "<Error><Code>InvalidParameter</Code><Message>Invalid parameter: TargetArn Reason: No endpoint found for the \
             target arn specified</Message></Error>",
            "gone",
        ),
        (device(), 403, "<Error><Code>PlatformApplicationDisabled</Code></Error>", "later"),
        (phone(), 400, "<Error><Code>OptedOut</Code></Error>", "gone"),
        (phone(), 400, "<Error><Code>InvalidParameter</Code></Error>", "never"),
    ] {
        receiver.answer(status, &[], body);
        let outcome = match sns.send(&publication(target, None, Some("text"))).await {
            Ok(_) => "accepted",
            Err(Failed::Later { .. }) => "later",
            Err(Failed::Never { .. }) => "never",
            Err(Failed::Gone { .. }) => "gone",
        };
        assert_eq!(outcome, expected, "{status} {body}");
    }
}
