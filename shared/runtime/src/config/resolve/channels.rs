//! Checks what channels and contacts need together: logins, senders, keys with their files.

use super::{Conflict, half_a_login, needed_with, secret, unreadable};
use crate::config::format::{CONTACT_KEYS, VAPID_KEY};
use crate::config::{Config, ContactsConfig, EmailConfig, SnsConfig, WebPushConfig};

/// Reads the files with secrets into `config` and returns all conflicts.
pub(super) fn resolve(config: &mut Config) -> Vec<Conflict> {
    let cas = [
        ("webhook.tls_ca", &config.webhook.tls_ca),
        ("email.tls_ca", &config.email.tls_ca),
        ("web_push.tls_ca", &config.web_push.tls_ca),
    ];
    let mut conflicts: Vec<_> =
        cas.into_iter().filter_map(|(key, path)| unreadable(key, path.as_deref()?)).collect();
    conflicts.extend(email(&mut config.email));
    conflicts.extend(sns(&mut config.sns));
    conflicts.extend(web_push(&mut config.web_push));
    conflicts.extend(contacts(&mut config.contacts));
    conflicts
}

fn any(line: &[u8]) -> bool {
    !line.is_empty()
}

fn email(email: &mut EmailConfig) -> impl Iterator<Item = Conflict> {
    let password = email.password.is_some() || email.password_file.is_some();
    let login = half_a_login("email", email.user.is_some(), password);
    let sender =
        (email.server.is_some() && email.from.is_none()).then(|| needed_with("email.from", "email.server"));
    let file = email.password_file.as_deref();
    let password = secret("email.password", &mut email.password, file, any, "one line of text");
    let keys = email.unsubscribe_keys_file.as_deref();
    let link = match (&email.unsubscribe_url, keys) {
        (Some(_), None) => Some(needed_with("email.unsubscribe_keys_file", "email.unsubscribe_url")),
        (_, Some(path)) => unreadable("email.unsubscribe_keys_file", path),
        (None, None) => None,
    };
    [login, sender, password, link].into_iter().flatten()
}

fn sns(sns: &mut SnsConfig) -> impl Iterator<Item = Conflict> {
    let secret_given = sns.secret_access_key.is_some() || sns.secret_access_key_file.is_some();
    let key = match (sns.region.is_some(), sns.access_key_id.is_some(), secret_given) {
        (true, false, _) => Some(needed_with("sns.access_key_id", "sns.region")),
        (false, false, true) => Some(needed_with("sns.access_key_id", "sns.secret_access_key")),
        (_, true, false) => Some(needed_with("sns.secret_access_key", "sns.access_key_id")),
        _ => None,
    };
    let (value, file) = (&mut sns.secret_access_key, sns.secret_access_key_file.as_deref());
    let read = secret("sns.secret_access_key", value, file, any, "one line of text");
    [key, read].into_iter().flatten()
}

fn web_push(push: &mut WebPushConfig) -> impl Iterator<Item = Conflict> {
    let given = push.vapid_key.is_some() || push.vapid_key_file.is_some();
    let contact =
        (given && push.contact.is_none()).then(|| needed_with("web_push.contact", "web_push.vapid_key"));
    let holds = |line: &[u8]| std::str::from_utf8(line).is_ok_and(VAPID_KEY.holds);
    let file = push.vapid_key_file.as_deref();
    let key = secret("web_push.vapid_key", &mut push.vapid_key, file, holds, VAPID_KEY.expected);
    [contact, key].into_iter().flatten()
}

fn contacts(contacts: &mut ContactsConfig) -> Option<Conflict> {
    let holds = |lines: &[u8]| std::str::from_utf8(lines).is_ok_and(CONTACT_KEYS.holds);
    let file = contacts.keys_file.as_deref();
    secret("contacts.keys", &mut contacts.keys, file, holds, CONTACT_KEYS.expected)
}
