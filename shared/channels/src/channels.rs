//! All channels that are configured, as one.

use async_trait::async_trait;
use tidings_model::ChannelKind;
use tidings_runtime::config::Config;

use crate::{Accepted, Channel, Delivery, Email, Failed, SetupError, Sns, Target, WebPush, Webhook};

/// All channels that are configured. It sends each delivery by the channel of its target.
pub struct Channels {
    webhook: Webhook,
    email: Option<Email>,
    sns: Option<Sns>,
    web_push: Option<WebPush>,
}

impl Channels {
    /// Creates the channels. Webhooks need no configuration.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        let Config { webhook, email, sns, web_push, .. } = config;
        Ok(Self {
            webhook: Webhook::new(webhook)?,
            email: email.server.is_some().then(|| Email::new(email)).transpose()?,
            sns: sns.region.is_some().then(|| Sns::new(sns)).transpose()?,
            web_push: web_push.vapid_key.is_some().then(|| WebPush::new(web_push)).transpose()?,
        })
    }

    /// Returns whether a channel is configured.
    #[must_use]
    pub fn has(&self, kind: ChannelKind) -> bool {
        match kind {
            ChannelKind::Webhook => true,
            ChannelKind::Email => self.email.is_some(),
            ChannelKind::Sns => self.sns.is_some(),
            ChannelKind::WebPush => self.web_push.is_some(),
        }
    }

    /// Returns the public key with which browsers subscribe, if web push is configured.
    #[must_use]
    pub fn web_push_key(&self) -> Option<&str> {
        self.web_push.as_ref().map(WebPush::public_key)
    }
}

#[async_trait]
impl Channel for Channels {
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed> {
        let (channel, key): (Option<&dyn Channel>, _) = match &delivery.target {
            Target::Webhook(_) => (Some(&self.webhook), "webhook"),
            Target::Email(_) => (self.email.as_ref().map(|channel| channel as _), "email.server"),
            Target::Sns(_) => (self.sns.as_ref().map(|channel| channel as _), "sns.region"),
            Target::WebPush(_) => (self.web_push.as_ref().map(|channel| channel as _), "web_push.vapid_key"),
        };
        match channel {
            Some(channel) => channel.send(delivery).await,
            None => Err(Failed::never(format!(
                "the channel {} is not configured; set {key}",
                delivery.target.channel()
            ))),
        }
    }
}
