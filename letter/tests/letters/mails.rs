//! Mails by the public API, read back by another parser.

use crate::common::{
    self, ada, attachment, compile, contents_with, date, letters, mail, message, reference, source, spec,
};
use campaign::{
    Contents,
    spec::{EachFile, ListUnsubscribe},
};
use letter::Letters;
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::json;
use std::{fs, process::Command};

#[test]
fn a_mail_has_the_fields_and_parts_of_the_standards() {
    let mut spec = spec();
    spec.reply_to = Some("\"Recruiting, {{ Office }}\" <jobs@example.com>".to_owned());
    spec.headers.insert("X-Batch".to_owned(), "{{ Batch }}".to_owned());
    spec.list_unsubscribe = Some(ListUnsubscribe {
        url: Some("https://example.com/u/{{ Id }}?a=1".to_owned()),
        mailto: Some("leave@example.com?subject=unsubscribe {{ Id }}".to_owned()),
        one_click: true,
    });
    spec.attachments =
        vec![attachment("Handbook for {{ Name }}.pdf", |made| made.file = Some(reference("handbook.pdf")))];
    let letters = compile(&spec, &contents_with("handbook.pdf", b"a handbook"));
    let letter = letters.render(&ada(), date()).expect("a letter");
    insta::assert_snapshot!(String::from_utf8(letter.bytes.clone()).expect("ASCII").replace("\r\n", "\n"));
    assert_eq!(letter.message_id, "00000000000000000000000000000001.2@example.com");
    assert_eq!(letter.subject, "Your offer, Ada Lovelace");
    let again = letters.render(&ada(), date()).expect("a letter");
    assert_eq!(letter.bytes, again.bytes, "the same row makes the same octets");
}

#[test]
fn the_structure_is_no_deeper_than_it_must_be() {
    let structure = |spec: &campaign::spec::MessageSpec| {
        let letter = compile(spec, &contents_with("a.pdf", b"x")).render(&ada(), date()).expect("a letter");
        let mail = mail(&letter);
        let types: Vec<String> = mail
            .parts
            .iter()
            .filter_map(|part| {
                part.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("")))
            })
            .collect();
        types.join(" ")
    };
    let mut both = spec();
    let mut text = spec();
    text.html = None;
    let mut html = spec();
    html.text = None;
    assert_eq!(structure(&text), "text/plain");
    assert_eq!(structure(&html), "text/html");
    assert_eq!(structure(&both), "multipart/alternative text/plain text/html");
    both.attachments = vec![attachment("a.pdf", |made| made.file = Some(reference("a.pdf")))];
    assert_eq!(structure(&both), "multipart/mixed multipart/alternative text/plain text/html application/pdf");
    text.attachments.clone_from(&both.attachments);
    assert_eq!(structure(&text), "multipart/mixed text/plain application/pdf");
}

#[test]
fn every_script_arrives_as_it_was_written() {
    for text in [
        "عرض العمل الخاص بك يا ليلى",
        "亲爱的张伟,您的录用通知书",
        "Ваше предложение, Иван",
        "Grüße, Zoë & Søren — ½",
        "🎉👩‍👩‍👧 offer",
        "Ω≈ç√ \"quoted\" <tag>",
        "plain",
        "=?utf-8?b?SGVsbG8=?= and more",
        "x y  z",
    ] {
        let mut spec = spec();
        spec.subject = "{{ Note }}".to_owned();
        spec.attachments = vec![attachment("{{ Note }}.pdf", |made| made.file = Some(reference("a.pdf")))];
        spec.text = source("{{ Note }}\n");
        let letters = compile(&spec, &contents_with("a.pdf", b"x"));
        let letter = letters.render(&message(json!({"Name": "Ada", "Note": text})), date()).expect("a letter");
        let parsed = mail(&letter);
        assert_eq!(parsed.subject(), Some(text.replace("  ", " ").as_str()));
        assert_eq!(parsed.body_text(0).expect("text").trim_end(), text);
        assert!(letter.bytes.is_ascii());
        let name = parsed.attachments().next().and_then(|part| part.attachment_name()).expect("a name");
        let expected: String =
            text.replace("  ", " ").chars().map(|char| if "\"<>?".contains(char) { '_' } else { char }).collect();
        assert_eq!(name, format!("{expected}.pdf"));
    }
}

/// Python's parser is the second opinion on names and subjects.
#[test]
fn pythons_email_module_reads_the_same_subject_and_file_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mail.eml");
    for text in [
        "عرض العمل الخاص بك يا ليلى ".repeat(4).trim(),
        "亲爱的张伟,您的录用通知书",
        "Offer (final) for \"Ada\"; v1,2",
        "🎉",
        "a'b%41*=c",
    ] {
        let mut spec = spec();
        spec.subject = "{{ Note }}".to_owned();
        spec.attachments = vec![attachment("{{ Note }}.docx", |made| made.file = Some(reference("a.docx")))];
        let letters = compile(&spec, &contents_with("a.docx", b"x"));
        let letter = letters.render(&message(json!({"Name": "Ada", "Note": text})), date()).expect("a letter");
        fs::write(&path, &letter.bytes).expect("written");
        let script = "import email, email.policy, sys\n\
                      m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)\n\
                      a = next(m.iter_attachments())\n\
                      sys.stdout.buffer.write((m['subject'] + '\\n' + a.get_filename() + '\\n' + a.get_content_type() + '\\n' + m['to']).encode())";
        let output = Command::new("python3").arg("-c").arg(script).arg(&path).output().expect("python3 is there");
        let read = String::from_utf8(output.stdout).expect("UTF-8");
        let name = text.replace(['"', '*'], "_");
        let expected = format!(
            "{text}\n{name}.docx\napplication/vnd.openxmlformats-officedocument.wordprocessingml.document\nada@example.com"
        );
        assert_eq!(read, expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_international_recipient_stands_in_to_as_it_is() {
    let mut message = ada();
    message.recipient = campaign::EmailAddress::parse("用户@bücher.example").expect("an address");
    let letter = letters().render(&message, date()).expect("a letter");
    let text = String::from_utf8(letter.bytes).expect("UTF-8");
    assert!(text.contains("\r\nTo: 用户@xn--bcher-kva.example\r\n"), "{text}");
}

#[test]
fn no_value_makes_a_field_or_a_recipient() {
    let evil = "x\r\nBcc: eve@example.net\r\n\r\nbody\n.\n--=_mixed--\u{2028}\0\u{b}";
    let mut spec = spec();
    spec.reply_to = Some("{{ Note }} <jobs@example.com>".to_owned());
    spec.subject = "Offer {{ Note }}".to_owned();
    spec.headers.insert("X-Note".to_owned(), "{{ Note }}".to_owned());
    spec.attachments = vec![attachment("{{ Note }}.pdf", |made| made.file = Some(reference("a.pdf")))];
    let letters = compile(&spec, &contents_with("a.pdf", b"x"));
    let letter = letters.render(&message(json!({"Name": evil, "Note": evil})), date()).expect("a letter");
    let parsed = mail(&letter);
    assert!(parsed.bcc().is_none() && parsed.cc().is_none());
    assert_eq!(parsed.to().and_then(|to| to.as_list()).map(<[_]>::len), Some(1));
    let names: Vec<&str> = parsed.headers().iter().map(mail_parser::Header::name).collect();
    let expected = [
        "From",
        "Reply-To",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "X-Note",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>(), expected.map(str::to_lowercase));
    assert_eq!(parsed.attachments().count(), 1);
    assert!(parsed.body_text(0).expect("text").contains("Bcc: eve@example.net"));
    for line in String::from_utf8(letter.bytes).expect("UTF-8").split("\r\n") {
        assert!(
            !line.contains(['\r', '\n', '\0']) && !line.to_lowercase().starts_with("bcc:")
                || line.starts_with("Bcc: eve"),
            "{line:?}"
        );
    }
}

#[test]
fn a_value_that_breaks_an_unsubscribe_address_makes_the_row_invalid() {
    let with = |url: Option<&str>, mailto: Option<&str>, one_click| {
        let mut spec = spec();
        spec.list_unsubscribe =
            Some(ListUnsubscribe { url: url.map(str::to_owned), mailto: mailto.map(str::to_owned), one_click });
        compile(&spec, &Contents::default())
    };
    let value = |letters: &Letters, note: &str| {
        let message = message(json!({"Name": "Ada", "Note": note}));
        let checked = letters.check(&message);
        let rendered = letters.render(&message, date());
        assert_eq!(checked.is_ok(), rendered.is_ok());
        rendered.map(|letter| {
            let text = String::from_utf8(letter.bytes).expect("ASCII");
            let from = text.find("List-Unsubscribe: ").expect("the field");
            text[from..].lines().take(2).collect::<Vec<_>>().join("|")
        })
    };
    let url = with(Some("https://example.com/u/{{ Note }}"), None, true);
    assert_eq!(
        value(&url, "a b>,<ü").expect("a letter"),
        "List-Unsubscribe: <https://example.com/u/a%20b%3E%2C%3C%C3%BC>|List-Unsubscribe-Post: List-Unsubscribe=One-Click"
    );
    assert!(value(&url, "x\r\nBcc: eve@example.net").is_err());
    assert!(value(&url, &"x".repeat(1000)).is_err());
    let mail = with(None, Some("{{ Note }}@example.com"), false);
    assert!(value(&mail, "leave").expect("a letter").starts_with("List-Unsubscribe: <mailto:leave@example.com>|"));
    let error = value(&mail, "leave\r\nBcc: x").expect_err("no address");
    assert_eq!(error.template, "spec.message.listUnsubscribe.mailto");
    assert!(value(&with(Some("{{ Note }}"), None, true), "http://example.com/").is_err());
}

#[test]
fn a_reply_to_that_is_no_address_makes_the_row_invalid() {
    let mut spec = spec();
    spec.reply_to = Some("{{ Note }}".to_owned());
    let letters = compile(&spec, &Contents::default());
    assert!(letters.check(&message(json!({"Name": "Ada", "Note": "Ada <ada@example.org>"}))).is_ok());
    let error = letters.check(&message(json!({"Name": "Ada", "Note": "nobody"}))).expect_err("no address");
    assert_eq!(error.to_string(), "spec.message.replyTo: \"nobody\" has no @");
}

#[test]
fn a_ready_file_comes_from_its_folder_and_from_nowhere_else() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("contracts");
    fs::create_dir_all(folder.join("2027")).expect("made");
    fs::write(folder.join("ada.pdf"), b"for Ada").expect("written");
    fs::write(folder.join("2027/bob.pdf"), b"for Bob").expect("written");
    fs::write(root.path().join("secret.txt"), b"secret").expect("written");
    std::os::unix::fs::symlink("../secret.txt", folder.join("out.txt")).expect("linked");
    std::os::unix::fs::symlink("ada.pdf", folder.join("in.pdf")).expect("linked");
    let mut spec = spec();
    let each =
        EachFile { directory: Some("contracts".to_owned()), path: "{{ File }}".to_owned(), ..EachFile::default() };
    spec.attachments = vec![attachment("contract.pdf", |made| made.each = Some(each))];
    let letters = compile(&spec, &Contents::in_directory(root.path()));
    let outcome = |file: &str| {
        let message = message(json!({"Name": "Ada", "File": file}));
        let (checked, rendered) = (letters.check(&message), letters.render(&message, date()));
        assert_eq!(checked.as_ref().err(), rendered.as_ref().err(), "{file}");
        rendered.map(|letter| mail(&letter).attachments().next().expect("one").contents().to_vec())
    };
    for (file, expected) in [("ada.pdf", "for Ada"), ("2027/bob.pdf", "for Bob"), ("./in.pdf", "for Ada")] {
        assert_eq!(outcome(file).expect(file), expected.as_bytes());
    }
    let absolute = root.path().join("secret.txt").to_string_lossy().into_owned();
    for (file, expected) in [
        ("../secret.txt", "is not a path in the folder"),
        ("2027/../../secret.txt", "is not a path in the folder"),
        (absolute.as_str(), "is not a path in the folder"),
        ("", "is not a path in the folder"),
        ("out.txt", "is a link that leads out of the folder"),
        ("2027", "is not a file"),
        ("gone.pdf", "there is no such file in the folder"),
        ("a\0b", "NUL"),
    ] {
        let error = outcome(file).expect_err(file);
        assert_eq!(error.template, "spec.message.attachments[0].each.path");
        assert!(error.message.contains(expected), "{file}: {error}");
    }
}

#[test]
fn a_document_is_merged_for_each_recipient() {
    let mut spec = spec();
    spec.attachments = vec![attachment("Offer {{ Name }}.docx", |made| made.docx = Some(reference("offer.docx")))];
    let docx = fs::read(common::data("offer_template.docx")).expect("the template");
    let letters = compile(&spec, &contents_with("offer.docx", &docx));
    let message = message(json!({
        "Name": "Ada <b>", "Position": "R&D Engineer", "City": "London", "Start": "2027-02-18", "Remote": true, "Deadline": "2027-01-31",
        "Salary": 67000, "Currency": "EUR", "Leave": 30, "Reference": "R-1",
    }));
    letters.check(&message).expect("it can be merged");
    let letter = letters.render(&message, date()).expect("a letter");
    let parsed = mail(&letter);
    let part = parsed.attachments().next().expect("an attachment");
    assert_eq!(part.attachment_name(), Some("Offer Ada _b_.docx"));
    let document = &letters.documents(&message).expect("documents")[0];
    assert_eq!((document.name.as_str(), document.bytes.as_slice()), ("Offer Ada _b_.docx", part.contents()));
    assert!(document.bytes.starts_with(b"PK"));
}

#[test]
fn mjml_becomes_html_and_its_tags_stay() {
    let mut spec = spec();
    spec.html = None;
    spec.text = None;
    spec.subject = "Hello".to_owned();
    spec.mjml = source(
        "<mjml>\n<mj-head><mj-style>#a{{ '{' }}color:red}</mj-style></mj-head>\n<mj-body>\n{% for item in Items %}\n<mj-section><mj-column>\n\
         <mj-text>Dear {{ Name }}, {{ item }}</mj-text>\n<mj-button href=\"https://example.com/{{ Id }}?a=1&amp;b={{ Name | urlencode }}\">Go</mj-button>\n\
         </mj-column></mj-section>\n{% endfor %}\n{# a note #}</mj-body>\n</mjml>",
    );
    let letters = compile(&spec, &Contents::default());
    let letter = letters
        .render(&message(json!({"Name": "Ada & Co", "Id": 7, "Items": ["one", "two"]})), date())
        .expect("a letter");
    let html = letter.html.expect("HTML");
    assert!(html.contains("Dear Ada &amp; Co, one") && html.contains("Dear Ada &amp; Co, two"), "{html}");
    assert!(html.contains("https://example.com/7?a=1&amp;b=Ada%20%26%20Co"), "{html}");
    assert!(!html.contains("mj-") || html.contains("mj-column-per"), "{html}");
    assert!(!html.contains("xtagx") && !html.contains("a note"), "{html}");
    let error = letters.check(&message(json!({"Name": null, "Id": 7, "Items": ["one"]}))).expect_err("no name");
    assert_eq!(error.template, "spec.message.mjml line 6");
    let missing = letters.missing_columns(&["Name".to_owned(), "Id".to_owned()]);
    assert_eq!(missing[0].place, "spec.message.mjml line 4");
}

#[test]
fn every_mistake_is_told_with_its_place_in_one_go() {
    let mut spec = spec();
    spec.from = "nobody".to_owned();
    spec.subject = "{{ Name".to_owned();
    spec.text = source("a\nb {{ Name | uper }}\n{% include 'x' %}\n");
    spec.html =
        Some(campaign::spec::TemplateSource { config_map: Some(common::key("gone.html")), ..Default::default() });
    spec.mjml = source("<mjml>\n<mj-body>\n<mj-section>\n</mj-body></mjml>");
    spec.headers.insert("Bad Name".to_owned(), "x".to_owned());
    spec.list_unsubscribe = Some(ListUnsubscribe { url: None, mailto: Some("{{".to_owned()), one_click: true });
    spec.attachments = vec![
        attachment("{{ a b }}", |made| made.file = Some(reference("gone.pdf"))),
        attachment("x.pdf", |made| {
            made.each =
                Some(EachFile { directory: Some("gone".to_owned()), path: "{{".to_owned(), ..EachFile::default() });
        }),
        attachment("x.docx", |made| made.docx = Some(reference("text.docx"))),
    ];
    let mistakes = Letters::compile(&spec, common::uid(), &contents_with("text.docx", b"not a document"))
        .map(|_| ())
        .expect_err("mistakes");
    let places: Vec<&str> = mistakes.iter().map(|mistake| mistake.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "spec.message.from",
            "spec.message.mjml",
            "spec.message.subject",
            "spec.message.text line 2",
            "spec.message.text line 3",
            "spec.message.html (gone.html)",
            "spec.message.mjml",
            "spec.message.headers.Bad Name",
            "spec.message.listUnsubscribe.mailto",
            "spec.message.attachments[0].filename",
            "spec.message.attachments[0].file",
            "spec.message.attachments[1].each.path",
            "spec.message.attachments[2].docx",
        ],
        "{mistakes:#?}"
    );
}

#[test]
fn a_column_that_the_list_lacks_is_told_with_the_nearest_one() {
    let mut spec = spec();
    spec.subject = "{{ Postion }}".to_owned();
    spec.text =
        source("x\n{{ FirstName }} {{ Zzzzz }} {{ Position }} {{ First_name }}\n{{ today() }}{{ Gone | default('') }}");
    spec.html = None;
    let letters = compile(&spec, &Contents::default());
    let columns = ["First name", "Position"].map(str::to_owned);
    let mistakes: Vec<String> = letters.missing_columns(&columns).iter().map(ToString::to_string).collect();
    assert_eq!(
        mistakes,
        [
            "spec.message.subject: the list has no column \"Postion\"; did you mean \"Position\"?",
            "spec.message.text line 2: the list has no column \"FirstName\"; did you mean \"First name\", written {{ First_name }}?",
            "spec.message.text line 2: the list has no column \"Zzzzz\"; it has \"First name\", \"Position\"",
            "spec.message.text line 3: there is no function `today`",
        ]
    );
}

#[test]
fn an_empty_cell_is_named_with_its_line_and_column() {
    let mut spec = spec();
    spec.text = source("Dear\n{{ First_name }}");
    let letters = compile(&spec, &Contents::default());
    let error = letters.check(&message(json!({"Name": "Ada", "First name": null}))).expect_err("an empty cell");
    assert_eq!(
        error.to_string(),
        "spec.message.text line 2: \"First name\" is empty in this row; fill it in, or write {{ First_name | default(\"…\") }} if it may be empty"
    );
    let error = letters.check(&message(json!({"Name": "Ada", "Firstname": "x"}))).expect_err("no such column");
    assert!(error.to_string().contains("this row has no \"First_name\"; did you mean \"Firstname\"?"), "{error}");
}

#[test]
fn a_mail_can_be_read_by_any_parser_and_has_no_line_over_998() {
    let mut spec = spec();
    spec.subject = "{{ Note }}".to_owned();
    spec.reply_to = Some("{{ Note }} <jobs@example.com>".to_owned());
    spec.headers.insert("X-Note".to_owned(), "{{ Note }}".to_owned());
    let letters = compile(&spec, &Contents::default());
    for note in ["x".repeat(5000), "é".repeat(5000), "word ".repeat(1000), format!("a {} b", "y".repeat(999))] {
        let letter = letters.render(&message(json!({"Name": note, "Note": note})), date()).expect("a letter");
        assert!(letter.bytes.split(|&byte| byte == b'\n').all(|line| line.len() <= 999));
        let parsed = MessageParser::new().parse(&letter.bytes).expect("a mail");
        assert_eq!(parsed.subject(), Some(note.trim()));
        assert_eq!(parsed.reply_to().and_then(|to| to.first()).and_then(|to| to.name()), Some(note.trim()));
    }
}
