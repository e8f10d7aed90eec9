//! Amazon SNS: topics, phone numbers, and applications on devices.
//!
//! What Amazon's answer says about the credentials or the load says nothing about the message, which is then kept.

mod signature;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Uri};
use http_body_util::Full;
use serde_json::Value;
use tidings_access::Trust;
use tidings_runtime::config::{Secret, SnsConfig};

use crate::channel::misdirected;
use crate::exchange::{Answer, HttpClient};
use crate::resolve::SystemResolver;
use crate::setup::needed;
use crate::{Accepted, Channel, Delivery, Failed, SetupError, SnsTarget, Target};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// Characters of a subject, which SNS uses in e-mail.
const MAX_SUBJECT: usize = 99;

/// Publishes to Amazon SNS.
pub struct Sns {
    http: HttpClient,
    url: Uri,
    /// The name in the header `Host`, which is signed.
    host: String,
    region: String,
    key_id: String,
    secret: Secret,
}

impl Sns {
    /// Creates the channel.
    pub fn new(config: &SnsConfig) -> Result<Self, SetupError> {
        let region = needed("sns.region", config.region.as_ref())?.clone();
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let regional = || format!("https://sns.{region}.{domain}");
        let url = config.endpoint.clone().unwrap_or_else(regional);
        let wrong =
            || SetupError::Invalid { key: "sns.endpoint", expected: "an http or https URL without a path" };
        let url: Uri = format!("{}/", url.trim_end_matches('/')).parse().map_err(|_| wrong())?;
        let host = url.authority().ok_or_else(wrong)?.as_str().to_owned();
        let trust = if url.scheme_str() == Some("http") { Trust::Nobody } else { Trust::System };
        let resolver = Arc::new(SystemResolver::new());
        // The operator has chosen the server, so it may be anywhere.
        let http = HttpClient::new(trust.client_config()?, None, resolver, config.timeout);
        let key_id = needed("sns.access_key_id", config.access_key_id.as_ref())?.clone();
        let secret = needed("sns.secret_access_key", config.secret_access_key.as_ref())?.clone();
        Ok(Self { http, url, host, region, key_id, secret })
    }

    fn request(&self, body: String, now: SystemTime) -> Result<Request<Full<bytes::Bytes>>, Failed> {
        let date = signature::timestamp(now)
            .ok_or_else(|| Failed::later("the clock shows a time that cannot be written"))?;
        let signing = signature::Signing {
            host: &self.host,
            region: &self.region,
            key_id: &self.key_id,
            secret: self.secret.expose(),
        };
        let request = Request::post(self.url.clone())
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, FORM)
            .header("x-amz-date", &date)
            .header(AUTHORIZATION, signing.authorization(&date, FORM, &body))
            .body(Full::from(body));
        request.map_err(|error| Failed::never(format!("the request cannot be made ({error})")))
    }
}

#[async_trait]
impl Channel for Sns {
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed> {
        let Target::Sns(target) = &delivery.target else { return Err(misdirected(&delivery.target)) };
        let body = publication(delivery, target)?;
        let answer = self.http.send(self.request(body, SystemTime::now())?).await?;
        if answer.status.is_success() {
            let reference = between(&answer.text(), "<MessageId>", "</MessageId>").map(str::to_owned);
            return Ok(Accepted { reference });
        }
        Err(refused(target, &answer))
    }
}

/// The form of the action `Publish`.
fn publication(delivery: &Delivery, target: &SnsTarget) -> Result<String, Failed> {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", "Publish").append_pair("Version", "2010-03-31");
    match target {
        SnsTarget::Topic(arn) => form.append_pair("TopicArn", arn),
        SnsTarget::PhoneNumber(number) => form.append_pair("PhoneNumber", number),
        SnsTarget::Endpoint(arn) => form.append_pair("TargetArn", arn),
    };
    let content = &delivery.content;
    let message = match (target, &content.payload) {
        (SnsTarget::PhoneNumber(_), _) | (_, None) => content.text.clone(),
        (_, Some(payload)) => {
            // With this member, SNS takes the message for each protocol from the others.
            if payload.get("default").is_some_and(Value::is_string) {
                form.append_pair("MessageStructure", "json");
            }
            Some(payload.to_string())
        }
    };
    let message = message.filter(|message| !message.is_empty());
    let message = message.ok_or_else(|| {
        Failed::never("there is nothing to send: expected a text, or a payload for topics and devices")
    })?;
    form.append_pair("Message", &message);
    if let SnsTarget::Topic(arn) = target {
        // Amazon refuses an empty one.
        if let Some(subject) = content.subject.as_ref().filter(|subject| !subject.is_empty()) {
            let plain = subject.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
            form.append_pair("Subject", &plain.take(MAX_SUBJECT).collect::<String>());
        }
        form.append_pair("MessageAttributes.entry.1.Name", "tidings-id")
            .append_pair("MessageAttributes.entry.1.Value.DataType", "String")
            .append_pair("MessageAttributes.entry.1.Value.StringValue", delivery.id.as_str());
        if arn.rsplit_once('.').is_some_and(|(_, kind)| kind == "fifo") {
            // A repetition within five minutes is dropped by Amazon.
            form.append_pair("MessageDeduplicationId", delivery.id.as_str()).append_pair(
                "MessageGroupId",
                &crate::DeliveryId::of(&[
                    delivery.tenant.as_str(),
                    delivery.user.as_deref().unwrap_or_default(),
                ])
                .to_string(),
            );
        }
    }
    Ok(form.finish())
}

/// What follows from a refusal.
fn refused(target: &SnsTarget, answer: &Answer) -> Failed {
    let text = answer.text();
    let code = between(&text, "<Code>", "</Code>").unwrap_or_default();
    let reason = format!("{} ({code})", answer.reason());
    let is_gone = match target {
        SnsTarget::Endpoint(_) => {
            matches!(code, "EndpointDisabled" | "NotFound") || text.contains("No endpoint found")
        }
        SnsTarget::PhoneNumber(_) => code == "OptedOut",
        SnsTarget::Topic(_) => false,
    };
    // Credentials, clock and rights are the same for every message; they are corrected while attempts go on.
    let is_about_the_message = answer.status.is_client_error()
        && !matches!(answer.status.as_u16(), 401 | 403 | 408 | 429)
        && !code.starts_with("Throttl")
        && !code.starts_with("KMS");
    match (is_gone, is_about_the_message) {
        (true, _) => Failed::Gone { reason },
        (false, true) => Failed::Never { reason },
        (false, false) => answer.later_because(reason),
    }
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    Some(text.split_once(begin)?.1.split_once(end)?.0)
}
