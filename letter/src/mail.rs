//! The mail around the rendered texts, built by lettre from parts that are made once.

use crate::{attachment::Attachment, body, header, letters::RenderError, slots::Slots};
use campaign::{EmailAddress, Mailbox, Message};
use jiff::Timestamp;
use lettre::{
    Address,
    address::Envelope,
    message::{
        Body, Message as Mail, MessageBuilder, MultiPart,
        header::{
            ContentTransferEncoding as Encoding, ContentType, Date, Header, HeaderName, HeaderValue, Headers,
            MIME_VERSION_1_0,
        },
    },
};
use minijinja::Value;

/// What is the same in every mail, made once.
pub(crate) struct Frame {
    builder: MessageBuilder,
    sender: Address,
    text: Part,
    html: Part,
    alternative: Multi,
    mixed: Multi,
}

/// The texts of one mail.
pub(crate) struct Texts<'a> {
    pub(crate) subject: &'a str,
    pub(crate) text: Option<&'a str>,
    pub(crate) html: Option<&'a str>,
    pub(crate) message_id: &'a str,
    pub(crate) date: Timestamp,
}

/// A text part: its type, and its fields with the blank line for each encoding.
struct Part {
    content_type: HeaderValue,
    heads: [(Encoding, Vec<u8>); 3],
}

/// A multipart: its type as a field, as a part's fields with the blank line, and its delimiters (RFC 2046 §5.1.1).
struct Multi {
    content_type: HeaderValue,
    head: Vec<u8>,
    delimiter: Vec<u8>,
    close: Vec<u8>,
}

const FROM: HeaderName = HeaderName::new_from_ascii_str("From");
const REPLY_TO: HeaderName = HeaderName::new_from_ascii_str("Reply-To");
const TO: HeaderName = HeaderName::new_from_ascii_str("To");
const SUBJECT: HeaderName = HeaderName::new_from_ascii_str("Subject");
const MESSAGE_ID: HeaderName = HeaderName::new_from_ascii_str("Message-ID");

/// Octets for the fields of parts and for delimiters, about.
const ROOM: usize = 1024;

impl Part {
    fn new(content_type: &ContentType) -> Self {
        let head = |encoding: Encoding| {
            let mut headers = Headers::new();
            headers.set(content_type.clone());
            headers.set(encoding);
            (encoding, with_blank_line(&headers))
        };
        Self {
            content_type: content_type.display(),
            heads: [head(Encoding::SevenBit), head(Encoding::QuotedPrintable), head(Encoding::Base64)],
        }
    }

    /// Appends the part.
    fn write(&self, text: &str, out: &mut Vec<u8>) {
        let head = |encoding| self.heads.iter().find(|(of, _)| *of == encoding).map_or(&[][..], |(_, head)| head);
        body::text(text, head, out);
        out.extend_from_slice(b"\r\n");
    }
}

impl Multi {
    fn new(multipart: &MultiPart) -> Self {
        let boundary = multipart.boundary();
        Self {
            content_type: HeaderValue::new(
                ContentType::name(),
                multipart.headers().get_raw("Content-Type").unwrap_or_default().to_owned(),
            ),
            head: with_blank_line(multipart.headers()),
            delimiter: format!("--{boundary}\r\n").into_bytes(),
            close: format!("--{boundary}--\r\n").into_bytes(),
        }
    }
}

impl Frame {
    /// The frame of all mails from a mailbox.
    pub(crate) fn new(from: &Mailbox) -> Self {
        let boundary = |name: &str| format!("{}{name}", body::BOUNDARY_START);
        Self {
            builder: Mail::builder().raw_header(header::mailbox(FROM, from)),
            sender: address(&from.address),
            text: Part::new(&ContentType::TEXT_PLAIN),
            html: Part::new(&ContentType::TEXT_HTML),
            alternative: Multi::new(&MultiPart::alternative().boundary(boundary("alternative")).build()),
            mixed: Multi::new(&MultiPart::mixed().boundary(boundary("mixed")).build()),
        }
    }

    /// The mail to one recipient. lettre makes the fields and puts the mail together; its body comes ready, because a multipart of lettre's would
    /// copy each part twice more.
    pub(crate) fn mail(
        &self,
        slots: &Slots,
        message: &Message,
        row: &Value,
        texts: &Texts<'_>,
    ) -> Result<Vec<u8>, RenderError> {
        let envelope = Envelope::new(Some(self.sender.clone()), vec![address(&message.recipient)]).map_err(failed)?;
        let builder = self.headers(slots, message, row, texts)?.header(MIME_VERSION_1_0).envelope(envelope);
        let size = texts.text.map_or(0, str::len) + texts.html.map_or(0, str::len);
        let mut out =
            Vec::with_capacity(size + size / 8 + ROOM + slots.attachments.iter().map(Attachment::size).sum::<usize>());
        let (content_type, encoding) = if slots.attachments.is_empty() {
            self.texts(texts, &mut out)?
        } else {
            out.extend_from_slice(&self.mixed.delimiter);
            match (texts.text, texts.html) {
                (Some(text), None) => self.text.write(text, &mut out),
                (None, Some(html)) => self.html.write(html, &mut out),
                _ => {
                    out.extend_from_slice(&self.alternative.head);
                    self.texts(texts, &mut out)?;
                }
            }
            for attachment in &slots.attachments {
                out.extend_from_slice(&self.mixed.delimiter);
                attachment.write(row, &message.fields, &mut out)?;
            }
            out.extend_from_slice(&self.mixed.close);
            (&self.mixed.content_type, Encoding::SevenBit)
        };
        let body = Body::dangerous_pre_encoded(out, encoding);
        Ok(builder.raw_header(content_type.clone()).body(body).map_err(failed)?.formatted())
    }

    /// Appends the texts without the fields of what holds them, which are returned.
    fn texts(&self, texts: &Texts<'_>, out: &mut Vec<u8>) -> Result<(&HeaderValue, Encoding), RenderError> {
        match (texts.text, texts.html) {
            (Some(text), Some(html)) => {
                out.extend_from_slice(&self.alternative.delimiter);
                self.text.write(text, out);
                out.extend_from_slice(&self.alternative.delimiter);
                self.html.write(html, out);
                out.extend_from_slice(&self.alternative.close);
                Ok((&self.alternative.content_type, Encoding::SevenBit))
            }
            (Some(text), None) => Ok((&self.text.content_type, only(text, out))),
            (None, Some(html)) => Ok((&self.html.content_type, only(html, out))),
            (None, None) => Err(failed("there is neither text nor HTML")),
        }
    }

    fn headers(
        &self,
        slots: &Slots,
        message: &Message,
        row: &Value,
        texts: &Texts<'_>,
    ) -> Result<MessageBuilder, RenderError> {
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

/// Appends a text that is the whole body.
fn only(text: &str, out: &mut Vec<u8>) -> Encoding {
    let encoding = body::text(text, |_| &[], out);
    out.extend_from_slice(b"\r\n");
    encoding
}

fn with_blank_line(headers: &Headers) -> Vec<u8> {
    format!("{headers}\r\n").into_bytes()
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
