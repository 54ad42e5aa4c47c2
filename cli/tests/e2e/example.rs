//! The example of the README.

use crate::rig::{Rig, example, number};
use mail_parser::{MessageParser, MimeHeaders};
use std::collections::HashSet;
use std::fs;
use std::io::{Cursor, Read};

/// The text of a Word document's body, without its markup.
fn text_of(docx: &[u8]) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(docx)).expect("the letter is an archive");
    let mut xml = String::new();
    archive.by_name("word/document.xml").expect("it has a body").read_to_string(&mut xml).expect("the body is UTF-8");
    let text: String = xml.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text).collect();
    text.replace("&apos;", "'").replace("&#39;", "'").replace("&#x27;", "'")
}

#[test]
fn e2e_the_example_puts_200_letters_into_the_outbox_and_a_second_run_sends_none() {
    let rig = Rig::new();
    let file = example();
    let file = file.to_str().expect("the path is UTF-8");
    let first = rig.run(&["run", file, "--json"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let account = first.account();
    assert_eq!((number(&account, "total"), number(&account, "delivered")), (200, 200));

    let (mut recipients, mut message_ids) = (HashSet::new(), HashSet::new());
    for entry in fs::read_dir(rig.path("outbox/new")).expect("the outbox is a Maildir") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("the mail can be read");
        let mail = MessageParser::default().parse(&bytes).expect("the mail can be parsed");
        let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address()).expect("it has a recipient");
        assert!(recipients.insert(to.to_owned()), "{to} has two mails");
        assert!(message_ids.insert(mail.message_id().expect("it has a Message-ID").to_owned()));
        let letter = mail.attachment(0).expect("it has an attachment");
        let name = letter.attachment_name().and_then(|name| name.strip_prefix("Offer ")?.strip_suffix(".docx"));
        let name = name.expect("it is called after its recipient");
        assert!(text_of(letter.contents()).contains(name), "the letter for {name} does not name them");
        assert!(mail.subject().is_some_and(|subject| subject.contains(name)), "{:?}", mail.subject());
    }
    assert_eq!(recipients.len(), 200);

    let second = rig.run(&["run", file, "--json"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(second.stderr.contains("finished"), "{}", second.stderr);
    assert_eq!(number(&second.account(), "delivered"), 200);
    assert_eq!(fs::read_dir(rig.path("outbox/new")).expect("the outbox").count(), 200);
}

#[test]
fn e2e_a_preview_is_the_mail_and_its_letter_as_files() {
    let rig = Rig::new();
    let file = example();
    let done = rig.run(&["preview", file.to_str().expect("the path is UTF-8"), "--row", "3", "--out", "look"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let files: Vec<_> =
        fs::read_dir(rig.path("look")).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    let with = |ending: &str| files.iter().find(|file| file.extension().is_some_and(|found| found == ending));
    let eml = fs::read(with("eml").expect("the mail is there")).expect("the mail can be read");
    let mail = MessageParser::default().parse(&eml).expect("the mail can be parsed");
    let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address()).expect("it has a recipient");
    assert_eq!(to, "candidate001@example.org");
    let letter = fs::read(with("docx").expect("the letter is there")).expect("the letter can be read");
    assert_eq!(letter, mail.attachment(0).expect("it has an attachment").contents());
    assert!(!rig.path(".mailcampaign").exists(), "a preview leaves no state");
}

#[test]
fn e2e_the_report_is_the_list_with_the_results_behind_it() {
    let rig = Rig::new();
    let file = example();
    let file = file.to_str().expect("the path is UTF-8");
    assert_eq!(rig.run(&["run", file]).code, 0);
    for name in ["result.csv", "result.xlsx", "result.ndjson"] {
        let done = rig.run(&["report", file, "--out", name]);
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
    }
    let mut reader = csv::Reader::from_path(rig.path("result.csv")).expect("the report can be read");
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    assert_eq!(header[..3], ["Name", "Email", "Reference"]);
    let ours = ["Status", "Code", "Reply", "Attempts", "Time", "Backend", "Message-ID"];
    assert_eq!(header[header.len() - 7..], ours);
    let rows: Vec<_> = reader.records().collect::<Result<_, _>>().expect("a table");
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().all(|row| row.get(header.len() - 7) == Some("Delivered")));
    let lines = fs::read_to_string(rig.path("result.ndjson")).expect("the report can be read");
    assert_eq!(lines.lines().filter(|line| line.contains("\"Status\":\"Delivered\"")).count(), 200);
    // The workbook as a list again: what a person would do with it next.
    fs::copy(rig.path("result.xlsx"), rig.path("list.xlsx")).expect("it can be copied");
    rig.write(
        "campaign.yaml",
        "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: again, namespace: e2e}
spec:
  recipients: {source: {configMap: {name: test, key: list.xlsx}}}
  message: {from: people@example.com, subject: \"{{ Status }}\", text: {inline: \"{{ row['Message-ID'] }} {{ Start | date('%Y') }}\"}}
  delivery: {backends: [{name: folder, maildir: {path: out}}]}
",
    );
    let done = rig.run(&["validate", "campaign.yaml"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
}
