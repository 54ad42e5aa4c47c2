//! The mail around the rendered texts, built by lettre from parts that are made once.

use crate::{body, header, letters::RenderError, slots::Slots};
use campaign::{EmailAddress, Mailbox, Message};
use jiff::Timestamp;
use lettre::{
    Address,
    address::Envelope,
    message::{
        Message as Mail, MessageBuilder, MultiPart, MultiPartBuilder, SinglePart, SinglePartBuilder,
        header::{ContentType, Date, Header, HeaderName, HeaderValue},
    },
};
use minijinja::Value;

/// What is the same in every mail, made once. The order of the fields is the order of the mail's.
pub(crate) struct Frame {
    builder: MessageBuilder,
    sender: Address,
    text: SinglePartBuilder,
    html: SinglePartBuilder,
    alternative: MultiPartBuilder,
    mixed: MultiPartBuilder,
}

/// The texts of one mail.
pub(crate) struct Texts<'a> {
    pub(crate) subject: &'a str,
    pub(crate) text: Option<&'a str>,
    pub(crate) html: Option<&'a str>,
    pub(crate) message_id: &'a str,
    pub(crate) date: Timestamp,
}

const FROM: HeaderName = HeaderName::new_from_ascii_str("From");
const REPLY_TO: HeaderName = HeaderName::new_from_ascii_str("Reply-To");
const TO: HeaderName = HeaderName::new_from_ascii_str("To");
const SUBJECT: HeaderName = HeaderName::new_from_ascii_str("Subject");
const MESSAGE_ID: HeaderName = HeaderName::new_from_ascii_str("Message-ID");

impl Frame {
    /// The frame of all mails from a mailbox.
    pub(crate) fn new(from: &Mailbox) -> Self {
        let boundary = |name: &str| format!("{}{name}", body::BOUNDARY_START);
        Self {
            builder: Mail::builder().raw_header(header::mailbox(FROM, from)),
            sender: address(&from.address),
            text: SinglePart::builder().content_type(ContentType::TEXT_PLAIN),
            html: SinglePart::builder().content_type(ContentType::TEXT_HTML),
            alternative: MultiPart::alternative().boundary(boundary("alternative")),
            mixed: MultiPart::mixed().boundary(boundary("mixed")),
        }
    }

    /// The mail to one recipient.
    pub(crate) fn mail(&self, slots: &Slots, message: &Message, row: &Value, texts: &Texts<'_>) -> Result<Mail, RenderError> {
        let mut builder = self.headers(slots, message, row, texts)?;
        let recipient = address(&message.recipient);
        builder = builder.envelope(Envelope::new(Some(self.sender.clone()), vec![recipient]).map_err(failed)?);
        let text = texts.text.map(|text| self.text.clone().body(body::text(text)));
        let html = texts.html.map(|html| self.html.clone().body(body::text(html)));
        if slots.attachments.is_empty() {
            return match (text, html) {
                (Some(text), Some(html)) => builder.multipart(self.alternative.clone().singlepart(text).singlepart(html)),
                (Some(only), None) | (None, Some(only)) => builder.singlepart(only),
                (None, None) => return Err(failed("there is neither text nor HTML")),
            }
            .map_err(failed);
        }
        let mut mixed = self.mixed.clone().build();
        mixed = match (text, html) {
            (Some(text), Some(html)) => mixed.multipart(self.alternative.clone().singlepart(text).singlepart(html)),
            (Some(only), None) | (None, Some(only)) => mixed.singlepart(only),
            (None, None) => return Err(failed("there is neither text nor HTML")),
        };
        for attachment in &slots.attachments {
            mixed = mixed.singlepart(attachment.part(row, &message.fields)?);
        }
        builder.multipart(mixed).map_err(failed)
    }

    fn headers(&self, slots: &Slots, message: &Message, row: &Value, texts: &Texts<'_>) -> Result<MessageBuilder, RenderError> {
        let mut builder = self.builder.clone();
        if let Some(mailbox) = slots.reply_to(row, &message.fields)? {
            builder = builder.raw_header(header::mailbox(REPLY_TO, &mailbox));
        }
        builder = builder
            .raw_header(as_it_is(TO, message.recipient.to_string()))
            .raw_header(header::text(SUBJECT, texts.subject))
            .raw_header(Date::new(seconds(texts.date)).display())
            .raw_header(as_it_is(MESSAGE_ID, format!("<{}>", texts.message_id)));
        for (name, slot) in &slots.headers {
            let value = slot.render(row, &message.fields)?;
            builder = builder.raw_header(header::text(name.clone(), &header::flat(&value)));
        }
        if let Some(unsubscribe) = &slots.unsubscribe {
            for field in unsubscribe.headers(row, &message.fields)? {
                builder = builder.raw_header(field);
            }
        }
        Ok(builder)
    }
}

fn as_it_is(name: HeaderName, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value)
}

/// The address for lettre, which doesn't know every one that is valid.
fn address(address: &EmailAddress) -> Address {
    Address::new_dangerous(address.local(), address.ascii_domain())
}

/// Within the years that a `Date` can say.
fn seconds(date: Timestamp) -> std::time::SystemTime {
    const LAST: i64 = 253_402_300_799;
    let seconds = date.as_second().clamp(0, LAST).unsigned_abs();
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

fn failed(error: impl ToString) -> RenderError {
    RenderError { template: "spec.message".to_owned(), message: error.to_string() }
}
