//! `validate`: all mistakes at once.

use crate::rig::Rig;
use std::io::{Cursor, Write};

/// A Word document with these paragraphs, as small as one can be.
pub(crate) fn docx(paragraphs: &[&str]) -> Vec<u8> {
    let body: Vec<String> = paragraphs.iter().map(|text| format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")).collect();
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{}</w:body></w:document>"#,
        body.concat()
    );
    let types = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;
    let relations = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in
        [("[Content_Types].xml", types), ("_rels/.rels", relations), ("word/document.xml", document.as_str())]
    {
        archive.start_file(name, options).expect("the names differ");
        archive.write_all(content.as_bytes()).expect("memory takes it");
    }
    archive.finish().expect("memory takes it").into_inner()
}

const TWELVE: &str = r#"apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: twelve, namespace: e2e}
spec:
  recipients:
    source: {configMap: {name: twelve, key: list.csv}}
    emailcolumn: Email
  message:
    from: "People Team <people@example>>"
    subject: "Your offer, {{ Nmae }}"
    text: {inline: "Dear {{ Name | uper }}"}
    headers: {Bcc: "a@example.com"}
    listUnsubscribe: {url: "http://example.com/{{ Name }}", oneClick: true}
    attachments:
      - {filename: "Offer.docx", docx: {configMap: {name: twelve, key: letter.docx}}}
      - {filename: "both.pdf", file: {configMap: {name: twelve, key: list.csv}}, each: {directory: ready, path: "{{ Name }}"}}
      - {filename: "handbook.pdf", file: {configMap: {name: twelve, key: no-such-file.pdf}}}
  delivery:
    backends:
      - {name: relay, smtp: {host: 127.0.0.1, port: 99999}}
    rate: {perSecond: 0}
    retry: {initialBackoff: soon}
    onUnknown: Resent
"#;

#[test]
fn e2e_twelve_planted_mistakes_are_all_found_in_one_run() {
    let rig = Rig::new();
    rig.write("campaign.yaml", TWELVE);
    rig.write("list.csv", "Name,Email\nAda,ada@example.com\nBob,bob.example.com\n");
    rig.write("letter.docx", docx(&["Dear {{ Titel }},", "yours"]));
    rig.write("ready/Ada", "a ready file");
    let done = rig.run(&["validate", "campaign.yaml"]);
    assert_eq!(done.code, 2);
    let said = format!("{}{}", done.stdout, done.stderr);
    for (place, hint) in [
        ("spec.recipients.emailcolumn", "emailColumn"),
        ("spec.message.from", "people@example>"),
        ("spec.message.subject", "\"Name\""),
        ("spec.message.text", "upper"),
        ("spec.message.headers", "Bcc"),
        ("spec.message.listUnsubscribe", "https://"),
        ("spec.message.attachments[0].docx", "Titel"),
        ("spec.message.attachments[1]", "exactly one"),
        ("spec.message.attachments[2].file", "no-such-file.pdf"),
        ("spec.delivery.backends[0].smtp.port", "65535"),
        ("spec.delivery.rate.perSecond", "more than 0"),
        ("spec.delivery.retry.initialBackoff", "30s"),
        ("spec.delivery.onUnknown", "Resend or Hold"),
        ("list.csv: row 3", "no @"),
    ] {
        let found = said.lines().any(|line| line.contains(place) && line.contains(hint));
        assert!(found, "no line has {place} and {hint}:\n{said}");
    }
    assert!(!rig.path(".mailcampaign").exists(), "validate leaves no state");
}

#[test]
fn e2e_a_sample_looks_at_the_first_rows_only() {
    let rig = Rig::new();
    rig.write("list.csv", "Name,Email\nAda,ada@example.com\nBob,bob@example.com\nCleo,cleo.example.com\n");
    rig.write(
        "campaign.yaml",
        "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: sample, namespace: e2e}
spec:
  recipients: {source: {configMap: {name: test, key: list.csv}}}
  message: {from: people@example.com, subject: Hello, text: {inline: \"Dear {{ Name }}\"}}
  delivery: {backends: [{name: folder, maildir: {path: out}}]}
",
    );
    assert_eq!(rig.run(&["validate", "campaign.yaml", "--sample", "2"]).code, 0);
    assert_eq!(rig.run(&["validate", "campaign.yaml"]).code, 2);
}
