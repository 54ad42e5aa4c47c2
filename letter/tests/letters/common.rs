//! What the tests of mails share: a small campaign and a row.

use campaign::{
    CampaignUid, ContentKey, Contents, EmailAddress, Message,
    spec::{Attachment, ContentRef, KeyRef, MessageSpec, TemplateSource},
};
use jiff::Timestamp;
use letter::{Letter, Letters};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// The spec of a mail with text and HTML.
pub(crate) fn spec() -> MessageSpec {
    MessageSpec {
        from: "People Team <people@example.com>".to_owned(),
        reply_to: None,
        subject: "Your offer, {{ Name }}".to_owned(),
        text: source("Dear {{ Name }},\n\nwelcome.\n"),
        html: source("<p>Dear {{ Name }},</p>\n<p>welcome.</p>\n"),
        mjml: None,
        headers: BTreeMap::new(),
        list_unsubscribe: None,
        attachments: Vec::new(),
    }
}

/// An inline template.
#[expect(clippy::unnecessary_wraps, reason = "the spec's fields are options")]
pub(crate) fn source(text: &str) -> Option<TemplateSource> {
    Some(TemplateSource { inline: Some(text.to_owned()), ..TemplateSource::default() })
}

/// A key of the ConfigMap `offers`.
pub(crate) fn key(key: &str) -> KeyRef {
    KeyRef { name: "offers".to_owned(), key: key.to_owned() }
}

/// A reference to a key of the ConfigMap `offers`.
pub(crate) fn reference(name: &str) -> ContentRef {
    ContentRef { config_map: Some(key(name)), secret: None }
}

/// An attachment with a file name and what `fill` puts into it.
pub(crate) fn attachment(filename: &str, fill: impl FnOnce(&mut Attachment)) -> Attachment {
    let mut made = Attachment { filename: filename.to_owned(), docx: None, file: None, each: None };
    fill(&mut made);
    made
}

/// Contents with one key.
pub(crate) fn contents_with(name: &str, bytes: &[u8]) -> Contents {
    let mut contents = Contents::in_directory(".");
    contents.insert(ContentKey::ConfigMap(key(name)), bytes);
    contents
}

/// The uid of the tests' campaign.
pub(crate) fn uid() -> CampaignUid {
    CampaignUid(uuid::Uuid::from_u128(1))
}

/// Compiles a spec that has no mistakes.
pub(crate) fn compile(spec: &MessageSpec, contents: &Contents) -> Letters {
    Letters::compile(spec, uid(), contents).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// The letters of [`spec`].
pub(crate) fn letters() -> Letters {
    compile(&spec(), &Contents::default())
}

/// A message with these values, in row 2, to Ada.
pub(crate) fn message(fields: Value) -> Message {
    let recipient = EmailAddress::parse("ada@example.com").expect("an address");
    Message { row: 2, recipient, fields: fields.as_object().cloned().expect("an object") }
}

/// Ada's message.
pub(crate) fn ada() -> Message {
    message(json!({"Name": "Ada Lovelace", "Office": "Zürich", "Batch": 7, "Id": "a/7"}))
}

/// 18 February 2027, 09:30 UTC.
pub(crate) fn date() -> Timestamp {
    "2027-02-18T09:30:00Z".parse().expect("a time")
}

/// The letter as another parser reads it.
pub(crate) fn mail(letter: &Letter) -> mail_parser::Message<'_> {
    mail_parser::MessageParser::new().parse(&letter.bytes).expect("a mail")
}

/// A file of the tests' data.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
