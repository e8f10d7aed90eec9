//! The channels that there are, by their kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_model::ChannelKind;
use tidings_runtime::config::Config;

use crate::{Channel, Email, SetupError, Sns, WebPush, Webhook};

/// The channels that there are, by their kinds.
#[derive(Clone, Default)]
pub struct Channels {
    by_kind: BTreeMap<ChannelKind, Arc<dyn Channel>>,
    web_push_key: Option<String>,
}

impl Channels {
    /// Creates the channels that are configured. Webhooks need no configuration, but root certificates of the system, so they are
    /// there only if `has_webhooks`.
    pub fn new(config: &Config, has_webhooks: bool) -> Result<Self, SetupError> {
        let Config { webhook, email, sns, web_push, .. } = config;
        let mut channels = Self::default();
        if has_webhooks {
            channels = channels.with(ChannelKind::Webhook, Arc::new(Webhook::new(webhook)?));
        }
        if email.server.is_some() {
            channels = channels.with(ChannelKind::Email, Arc::new(Email::new(email)?));
        }
        if sns.region.is_some() {
            channels = channels.with(ChannelKind::Sns, Arc::new(Sns::new(sns)?));
        }
        if web_push.vapid_key.is_some() {
            let web_push = WebPush::new(web_push)?;
            channels.web_push_key = Some(web_push.public_key().to_owned());
            channels = channels.with(ChannelKind::WebPush, Arc::new(web_push));
        }
        Ok(channels)
    }

    /// With this channel, in the place of another one of its kind.
    #[must_use]
    pub fn with(mut self, kind: ChannelKind, channel: Arc<dyn Channel>) -> Self {
        self.by_kind.insert(kind, channel);
        self
    }

    /// The channel of this kind.
    #[must_use]
    pub fn get(&self, kind: ChannelKind) -> Option<&dyn Channel> {
        self.by_kind.get(&kind).map(|channel| &**channel)
    }

    /// The public key with which browsers subscribe, if web push is configured.
    #[must_use]
    pub fn web_push_key(&self) -> Option<&str> {
        self.web_push_key.as_deref()
    }
}
