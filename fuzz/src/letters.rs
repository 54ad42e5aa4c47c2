//! Templates: they are made by the user, but often with files from somebody else.

use crate::archive;
use campaign::spec::{Attachment, ContentRef, KeyRef, MessageSpec, TemplateSource};
use campaign::{CampaignUid, ContentKey, Contents, EmailAddress, Fields, Message};
use jiff::Timestamp;
use letter::Letters;
use std::io::{Cursor, Read};
use std::sync::LazyLock;

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;
const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;
const BODY: &str = "word/document.xml";

/// A row with values that would be markup, or more than one line, if they were not escaped.
static MESSAGE: LazyLock<Message> = LazyLock::new(|| Message {
    row: 2,
    recipient: EmailAddress::parse("ada@example.com").expect("an address"),
    fields: [("Name", "Ada <b>&\"'</b>"), ("Email", "ada@example.com"), ("Note", "two\r\nBcc: lines\n{{ Name }}")]
        .into_iter()
        .map(|(column, value)| (column.to_owned(), value.into()))
        .chain([("Salary".to_owned(), 61_000.into())])
        .collect::<Fields>(),
});

/// A Word document, or the XML of its body for a plain one. The letter made from it is well-formed.
pub(crate) fn docx(bytes: &[u8]) {
    let others = [("[Content_Types].xml", CONTENT_TYPES), ("_rels/.rels", RELATIONS)];
    let template = archive::around(BODY, bytes, &others);
    let key = KeyRef { name: "fuzz".to_owned(), key: "letter.docx".to_owned() };
    let mut contents = Contents::default();
    contents.insert(ContentKey::ConfigMap(key.clone()), &*template);
    let docx = Some(ContentRef { config_map: Some(key), secret: None });
    let attachments = vec![Attachment { filename: "letter.docx".to_owned(), docx, file: None, each: None }];
    let Ok(letters) = Letters::compile(&spec("Dear", attachments), uid(), &contents) else { return };
    for document in letters.documents(&MESSAGE).unwrap_or_default() {
        let mut archive = zip::ZipArchive::new(Cursor::new(document.bytes)).expect("a letter is an archive");
        let Ok(mut part) = archive.by_name(BODY) else { continue };
        let mut xml = Vec::new();
        part.read_to_end(&mut xml).expect("its body can be read");
        assert_well_formed(&xml);
    }
}

fn assert_well_formed(xml: &[u8]) {
    let mut reader = quick_xml::Reader::from_reader(xml);
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).expect("its body is well-formed") {
            quick_xml::events::Event::Eof => return,
            _ => buffer.clear(),
        }
    }
}

/// The template of a text. No mail made with it has a header that is not ours.
pub(crate) fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(letters) = Letters::compile(&spec(text, Vec::new()), uid(), &Contents::default()) else { return };
    let Ok(letter) = letters.render(&MESSAGE, Timestamp::UNIX_EPOCH) else { return };
    let mail = String::from_utf8_lossy(&letter.bytes);
    let (head, _) = mail.split_once("\r\n\r\n").expect("a mail has a head and a body");
    let injected = head.lines().any(|line| line.starts_with("Bcc:"));
    assert!(!injected, "a value became a header:\n{head}");
}

/// A message whose subject and text are the given template.
fn spec(template: &str, attachments: Vec<Attachment>) -> MessageSpec {
    MessageSpec {
        from: "People Team <people@example.com>".to_owned(),
        reply_to: None,
        subject: template.to_owned(),
        text: Some(TemplateSource { inline: Some(template.to_owned()), ..TemplateSource::default() }),
        html: None,
        mjml: None,
        headers: [("X-Fuzz".to_owned(), template.to_owned())].into(),
        list_unsubscribe: None,
        attachments,
    }
}

fn uid() -> CampaignUid {
    CampaignUid::alone("fuzz/fuzz", "", "", None)
}
