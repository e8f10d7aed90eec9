//! The links by which users unsubscribe from e-mails. Pure.

use tidings_access::{UnsubscribeKeys, Unsubscription};
use tidings_model::{ChannelKind, Tenant};
use tidings_preferences::Question;

/// The longest link: lines of e-mails have 998 bytes at most (RFC 5322, section 2.1.1).
const LONGEST: usize = 900;

/// Makes links.
#[derive(Debug, Clone)]
pub struct UnsubscribeLinks {
    /// The URL at which clients reach gateways.
    pub url: String,
    /// The keys that sign.
    pub keys: UnsubscribeKeys,
}

impl UnsubscribeLinks {
    /// The link in a message to a user. There is none in what passes all the same, nor outside e-mails.
    pub(crate) fn link(&self, tenant: &Tenant, user: &str, about: &Question<'_>) -> Option<String> {
        if about.is_critical || about.channel != ChannelKind::Email {
            return None;
        }
        let what = Unsubscription {
            tenant: tenant.clone(),
            user: user.to_owned(),
            category: about.category.clone(),
            channel: about.channel,
        };
        let link = format!("{}/api/unsubscribe/{}", self.url.trim_end_matches('/'), self.keys.sign(&what)?);
        // Programs do not look into folded lines.
        (link.len() <= LONGEST).then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use tidings_preferences::Category;

    use super::*;

    #[test]
    fn an_email_that_can_be_switched_off_has_a_link_that_does_so() {
        let keys = UnsubscribeKeys::new([&[7; 32][..]]).unwrap();
        let links = UnsubscribeLinks { url: "https://push.example/".to_owned(), keys: keys.clone() };
        let (tenant, category) = (Tenant::parse("shop").unwrap(), Category::parse("offers").unwrap());
        let about = |channel, is_critical| Question { category: &category, channel, is_critical };
        let link = links.link(&tenant, "ada", &about(ChannelKind::Email, false)).unwrap();
        let segment = link.strip_prefix("https://push.example/api/unsubscribe/").unwrap();
        let what = keys.verify(segment).unwrap();
        assert_eq!(
            (what.tenant, what.user.as_str(), what.channel),
            (tenant.clone(), "ada", ChannelKind::Email)
        );
        assert_eq!(what.category, category);
        for (user, channel, is_critical) in [
            ("ada", ChannelKind::Email, true),
            ("ada", ChannelKind::Webhook, false),
            (&"x".repeat(900), ChannelKind::Email, false),
        ] {
            assert_eq!(links.link(&tenant, user, &about(channel, is_critical)), None, "{channel}");
        }
    }
}
