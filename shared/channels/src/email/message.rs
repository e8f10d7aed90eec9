//! The message of an e-mail. Pure.

use std::error::Error;

use lettre::Address;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use crate::{Delivery, Failed};

/// The longest line of a message, in bytes (RFC 5322, section 2.1.1), less the name of a header.
const MAX_URL: usize = 900;

/// Builds the message: text, HTML or both.
pub(super) fn build(from: &Mailbox, to: &str, delivery: &Delivery) -> Result<Message, Failed> {
    // The address is not shown: it belongs to a user.
    let to: Address =
        to.parse().map_err(|_| Failed::never("the target is no e-mail address; expected user@domain"))?;
    let id = format!("<{}@{}>", delivery.id, from.email.domain());
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(one_line(delivery.content.subject.as_deref().unwrap_or_default()))
        .message_id(Some(id))
        .header(AutoSubmitted);
    if let Some(url) = &delivery.unsubscribe {
        builder = builder.header(ListUnsubscribe::new(url)?).header(ListUnsubscribePost);
    }
    let built = match (delivery.content.text.clone(), delivery.content.html.clone()) {
        (Some(text), Some(html)) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
        (Some(text), None) => builder.singlepart(SinglePart::plain(text)),
        (None, Some(html)) => builder.singlepart(SinglePart::html(html)),
        (None, None) => return Err(Failed::never("there is nothing to send: expected a text or HTML")),
    };
    built.map_err(|error| Failed::never(format!("the message cannot be built ({error})")))
}

/// Header lines end at a line's end: what a template rendered must not begin another one.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// `List-Unsubscribe: <url>` (RFC 2369).
#[derive(Clone)]
struct ListUnsubscribe(String);

impl ListUnsubscribe {
    fn new(url: &str) -> Result<Self, Failed> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>,\"".contains(&byte);
        if !url.starts_with("https://") || url.len() > MAX_URL || !url.bytes().all(is_plain) {
            return Err(Failed::never("the URL to unsubscribe cannot be used; expected https://… in ASCII"));
        }
        Ok(Self(format!("<{url}>")))
    }
}

/// `List-Unsubscribe-Post`, by which the URL unsubscribes at one click (RFC 8058).
#[derive(Clone)]
struct ListUnsubscribePost;

/// `Auto-Submitted`, to which no program answers (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        // As it is: programs of users do not look into encoded or folded URLs.
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.clone(), self.0.clone())
    }
}

impl Header for ListUnsubscribePost {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".to_owned())
    }
}

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
