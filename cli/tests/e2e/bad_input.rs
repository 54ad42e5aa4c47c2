//! Bad input: a clear error with its place, exit code 2, and nothing is sent.

use crate::rig::{Rig, campaign};
use crate::validation::docx;
use std::io::{Cursor, Write};
use testkit::{Sink, SinkOptions};

const LIST: &str = "Name,Email\nAda,ada@example.com\n";

/// A campaign that would send, but for one change.
fn refused(change: impl FnOnce(&Rig, String) -> String, expected: &[&str]) {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write("list.csv", LIST);
    let text = change(&rig, campaign(&sink, ""));
    rig.write("campaign.yaml", text);
    let done = rig.run(&["run", "campaign.yaml", "--send"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    for part in expected {
        assert!(done.stderr.contains(part), "\"{part}\" is not said:\n{}", done.stderr);
    }
    assert_eq!(sink.count(), 0);
}

/// The same with this text in place of another in the campaign's file.
fn refused_with(from: &str, to: &str, expected: &[&str]) {
    let change = |_: &Rig, text: String| {
        assert!(text.contains(from), "{from} is not in the file");
        text.replace(from, to)
    };
    refused(change, expected);
}

/// The same with a file in place of the list.
fn refused_list(name: &str, content: &[u8], expected: &[&str]) {
    let change = |rig: &Rig, text: String| {
        rig.write(name, content);
        text.replace("list.csv", name)
    };
    refused(change, expected);
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in files {
        archive.start_file(*name, options).expect("the names differ");
        archive.write_all(content).expect("memory takes it");
    }
    archive.finish().expect("memory takes it").into_inner()
}

#[test]
fn e2e_a_campaign_that_is_not_there_is_named() {
    let rig = Rig::new();
    let done = rig.run(&["run", "nowhere.yaml"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("nowhere.yaml"), "{}", done.stderr);
    assert!(!rig.path("outbox").exists());
}

#[test]
fn e2e_a_file_that_is_no_yaml_is_refused_with_its_line() {
    refused(|_, _| "apiVersion: x\n  kind: [\n".to_owned(), &["campaign.yaml", "line"]);
}

#[test]
fn e2e_a_list_that_is_not_there_is_named() {
    refused_with("list.csv", "lost.csv", &["spec.recipients.source", "lost.csv"]);
}

#[test]
fn e2e_an_empty_list_is_refused() {
    refused_list("list.csv", b"", &["list.csv"]);
    refused_list("list.csv", b"Name,Email\n\n\n", &["list.csv"]);
}

#[test]
fn e2e_a_list_without_addresses_is_refused_with_the_columns_that_it_has() {
    refused_list("list.csv", b"Name,Town\nAda,Porto\n", &["list.csv", "Name", "Town", "emailColumn"]);
}

#[test]
fn e2e_what_is_no_workbook_is_refused() {
    refused_list("list.xlsx", b"Name,Email\nAda,ada@example.com\n", &["list.xlsx"]);
    refused_list("list.xlsx", &zip(&[("readme.txt", b"hello")]), &["list.xlsx"]);
}

#[test]
fn e2e_a_truncated_workbook_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole.xlsx");
    testkit::lists::write_xlsx(&whole, 100, 2).expect("a workbook");
    let bytes = std::fs::read(whole).expect("a workbook");
    refused_list("list.xlsx", &bytes[..bytes.len() / 2], &["list.xlsx"]);
}

#[test]
fn e2e_an_encrypted_workbook_is_refused() {
    // An encrypted workbook is an OLE compound file; its header is enough to tell.
    let mut bytes = vec![0; 4096];
    bytes[..8].copy_from_slice(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]);
    refused_list("list.xlsx", &bytes, &["list.xlsx"]);
}

#[test]
fn e2e_a_zip_bomb_is_refused() {
    let bomb = zip(&[("[Content_Types].xml", &[b' '; 64]), ("xl/sharedStrings.xml", &vec![b' '; 400_000_000])]);
    refused_list("list.xlsx", &bomb, &["list.xlsx"]);
}

#[test]
fn e2e_a_column_that_the_list_lacks_is_refused_with_the_nearest_one() {
    refused_with("Dear {{ Name }}", "Dear {{ Nmae }}", &["spec.message.text", "Nmae", "Name"]);
}

#[test]
fn e2e_a_syntax_error_is_refused_with_its_line() {
    refused_with("inline: \"Dear {{ Name }}\"", "inline: \"Dear\\n{{ Name \"", &["spec.message.text", "2"]);
}

#[test]
fn e2e_an_endless_loop_is_refused() {
    let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{{ a }}{% endfor %}{% endfor %}";
    refused_with("Dear {{ Name }}", endless, &["list.csv: row 2", "spec.message.text", "endless loop"]);
}

#[test]
fn e2e_a_document_with_an_unclosed_placeholder_is_refused_with_its_paragraph() {
    let change = |rig: &Rig, text: String| {
        rig.write("letter.docx", docx(&["Dear {{ Name }},", "your salary is {{ Salary a year"]));
        let attachment = "attachments: [{filename: a.docx, docx: {configMap: {name: test, key: letter.docx}}}], text:";
        text.replace("text:", attachment)
    };
    refused(change, &["spec.message.attachments[0].docx", "your salary is"]);
}

#[test]
fn e2e_an_unknown_command_is_refused() {
    let rig = Rig::new();
    assert_eq!(rig.run(&["sned", "campaign.yaml"]).code, 2);
    assert_eq!(rig.run(&["run"]).code, 2);
}

#[test]
fn e2e_a_value_never_becomes_a_header_or_a_recipient() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write(
        "list.csv",
        "Name,Email\n\"Ada\r\nBcc: eve@example.net\",ada@example.com\nBob,\"bob@example.com\r\nRCPT TO:<eve@example.net>\"\n",
    );
    let text = campaign(&sink, "")
        .replace("text:", "headers: {X-Name: \"{{ Name }}\"}, replyTo: \"{{ Name }} <people@example.com>\", text:");
    rig.write("campaign.yaml", text);
    rig.run(&["run", "campaign.yaml", "--send"]);
    for mail in sink.received() {
        assert_eq!(mail.to, "ada@example.com");
        let text = String::from_utf8_lossy(&mail.data).into_owned();
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc:")), "{head}");
    }
    sink.assert_no_violations();
    assert!(!sink.per_recipient().contains_key("eve@example.net"));
}
