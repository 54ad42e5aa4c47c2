//! Laws: whatever the values are, rendering gives a mail that other parsers read as it was meant, or an error, and never panics.

use crate::common::{attachment, compile, contents_with, date, message, reference, source, spec};
use campaign::{EmailAddress, Message};
use letter::Letters;
use mail_parser::{HeaderForm, MessageParser, MimeHeaders};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::sync::LazyLock;

static LETTERS: LazyLock<Letters> = LazyLock::new(|| {
    let mut spec = spec();
    spec.subject = String::from("{{ Subject }}");
    spec.reply_to = Some("{{ Name }} <jobs@example.com>".to_owned());
    spec.text = source("{{ Text }}");
    spec.html = source("<p>{{ Text }}</p>{% if Other %}{{ Other }}{% endif %}");
    spec.headers.insert("X-Name".to_owned(), "{{ Name }}".to_owned());
    spec.attachments = vec![attachment("{{ File }}.pdf", |made| made.file = Some(reference("a.pdf")))];
    compile(&spec, &contents_with("a.pdf", b"a file"))
});

/// Text of every kind: letters of any script, controls, what means something in mail and HTML, long and short.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "(?s).{0,200}",
        "[a-z \r\n\t=_.-]{0,300}",
        "(\r\n|\n|\r|--=_mixed|--=_alternative--|=\\?utf-8\\?q\\?|\\.\n|From | |é|你|\u{1F389}|\"|\\\\|<|>|&|,|;|\\*|'|%|Bcc: eve@example.net){0,40}",
        "[a-z]{900,2100}",
    ]
}

/// What a header can say of a text.
fn flat(text: &str) -> String {
    let is_space = |char: char| char == ' ' || char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_mail_reads_back_as_its_values((subject, name, body, file) in (text(), text(), text(), text())) {
        let letter = LETTERS
            .render(&message(serde_json::json!({"Subject": subject, "Name": name, "Text": body, "File": file})), date())
            .expect("text makes a letter");
        prop_assert!(letter.bytes.split(|&byte| byte == b'\n').all(|line| line.len() <= 999));
        prop_assert!(!letter.bytes.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n')), "a line end alone");
        let parsed = MessageParser::new().parse(&letter.bytes).expect("a mail");
        prop_assert_eq!(parsed.subject().unwrap_or_default(), flat(&subject));
        let x_name = parsed.header_as("X-Name", HeaderForm::Text);
        prop_assert_eq!(x_name.first().and_then(|name| name.as_text()).unwrap_or_default(), flat(&name));
        let reply_to = parsed.reply_to().and_then(|to| to.first());
        prop_assert_eq!(reply_to.and_then(|to| to.address()), Some("jobs@example.com"));
        prop_assert_eq!(reply_to.and_then(|to| to.name()).unwrap_or_default(), flat(&name));
        prop_assert_eq!(parsed.parts.len(), 5);
        prop_assert!(parsed.bcc().is_none());
        prop_assert_eq!(lines(&parsed.body_text(0).expect("text")), lines(&body));
        prop_assert_eq!(parsed.attachments().count(), 1);
        let attached = parsed.attachments().next().expect("an attachment");
        prop_assert_eq!(attached.contents(), b"a file");
        let attached = attached.attachment_name().expect("a name");
        prop_assert!(attached.rsplit('.').next() == Some("pdf") && !attached.contains(['/', '\\', '\r', '\n', '\0']), "{attached:?}");
        prop_assert_eq!(parsed.to().and_then(|to| to.first()).and_then(|to| to.address()), Some("ada@example.com"));
    }

    #[test]
    fn rendering_never_panics_and_agrees_with_the_check(fields in prop::collection::vec(json(), 5)) {
        let names = ["Subject", "Name", "Text", "File", "Other"].map(str::to_owned);
        let fields: Map<String, Value> = names.into_iter().zip(fields).collect();
        let recipient = EmailAddress::parse("ada@example.com").expect("an address");
        let message = Message { row: 2, recipient, fields };
        let (checked, rendered) = (LETTERS.check(&message), LETTERS.render(&message, date()));
        prop_assert_eq!(checked.err(), rendered.as_ref().err().cloned());
        if let Ok(letter) = rendered {
            prop_assert!(MessageParser::new().parse(&letter.bytes).is_some());
        }
    }

    #[test]
    fn compiling_never_panics(text in "(\\{\\{|\\}\\}|\\{%|%\\}|\\{#|#\\}| if | for x in |[a-z.|()\\[\\]'\"<>/-]| endif | endfor |<mj-text>|</mj-text>|<mjml>|</mjml>|<mj-body>|\n){0,30}") {
        let mut one = spec();
        one.subject.clone_from(&text);
        one.text = source(&text);
        let mut other = spec();
        other.html = None;
        other.mjml = source(&format!("<mjml><mj-body>{text}</mj-body></mjml>"));
        for spec in [one, other] {
            if let Ok(letters) = Letters::compile(&spec, crate::common::uid(), &campaign::Contents::default()) {
                drop(letters.render(&message(serde_json::json!({"x": 1})), date()));
            }
        }
    }
}
