//! Letters a second from one thread: `cargo run --release -p letter --example letter_speed [letters [case]]`.
//!
//! A mail of text and HTML of 4 KB together, as the campaign's benchmark sends it; then the same in a script that must be encoded, and with a
//! file for all. CPU time per letter, from the process's own clock.

use campaign::{
    CampaignUid, ContentKey, Contents, EmailAddress, Message,
    spec::{Attachment, ContentRef, KeyRef, MessageSpec, TemplateSource},
};
use jiff::Timestamp;
use letter::Letters;
use rustix::time::{ClockId, clock_gettime};
use std::{collections::BTreeMap, io::Write};

fn main() -> Result<(), String> {
    let letters: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(50_000);
    let only = std::env::args().nth(2).unwrap_or_default();
    let key = KeyRef { name: "offers".to_owned(), key: "handbook.pdf".to_owned() };
    let file = ContentRef { config_map: Some(key.clone()), secret: None };
    let mut contents = Contents::default();
    contents.insert(ContentKey::ConfigMap(key), vec![7_u8; 37_000]);
    let attachment =
        Attachment { filename: "Handbook for {{ Name }}.pdf".to_owned(), docx: None, file: Some(file), each: None };
    for (what, word, attachments) in [
        ("text and HTML, 4 KB", "position", vec![]),
        ("the same with umlauts", "Größe", vec![]),
        ("the same in Chinese", "职位", vec![]),
        ("with a file of 37 KB", "position", vec![attachment]),
    ] {
        if !what.contains(&only) {
            continue;
        }
        let spec = message_spec(word, attachments);
        let compiled =
            Letters::compile(&spec, CampaignUid(uuid()), &contents).map_err(|mistakes| format!("{mistakes:?}"))?;
        measure(what, &compiled, letters)?;
    }
    Ok(())
}

fn measure(what: &str, letters: &Letters, count: usize) -> Result<(), String> {
    let now = Timestamp::UNIX_EPOCH;
    let messages: Vec<Message> = (0..64).map(message).collect();
    let mut octets = 0;
    let start = cpu_seconds();
    for message in messages.iter().cycle().take(count) {
        let letter = letters.render(message, now).map_err(|error| error.to_string())?;
        octets += letter.bytes.len();
    }
    let rendered = cpu_seconds() - start;
    let start = cpu_seconds();
    for message in messages.iter().cycle().take(count) {
        letters.check(message).map_err(|error| error.to_string())?;
    }
    let checked = cpu_seconds() - start;
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let size = octets / count;
    let line = format!("{what}: {:.1} µs a letter of {size} octets, check {:.1} µs", each(rendered), each(checked));
    writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string())
}

/// CPU time of this process: what others run on the machine doesn't count.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn message(row: u64) -> Message {
    let fields = serde_json::json!({
        "Name": format!("Ada Lovelace {row}"), "Email": format!("ada{row}@example.com"), "Position": "Engineer", "Salary": 67000 + row,
        "Start": "2027-02-18", "Batch": 7, "Id": row,
    });
    let recipient = EmailAddress::parse(&format!("ada{row}@example.com")).unwrap_or_else(|error| panic!("{error}"));
    Message { row: row + 2, recipient, fields: fields.as_object().cloned().unwrap_or_default() }
}

fn message_spec(word: &str, attachments: Vec<Attachment>) -> MessageSpec {
    let paragraph = format!(
        "We are glad to offer you this {word} and a start in a team that has waited for you for a long time.\n"
    );
    let inline = |text: String| Some(TemplateSource { inline: Some(text), ..TemplateSource::default() });
    let text = format!(
        "Dear {{{{ Name }}}},\n\n{}\nPosition: {{{{ Position }}}}\nSalary: {{{{ Salary | currency(\"EUR\") }}}}\nStart: {{{{ Start | date }}}}\n",
        paragraph.repeat(14)
    );
    let html = format!(
        "<html><body><p>Dear {{{{ Name }}}},</p>\n{}\n<table><tr><td>{{{{ Position }}}}</td><td>{{{{ Salary | number(2) }}}}</td></tr></table>\n\
         <a href=\"https://example.com/o/{{{{ Id }}}}\">See it</a></body></html>\n",
        format!("<p>{}</p>\n", paragraph.trim()).repeat(16)
    );
    MessageSpec {
        from: "People Team <people@example.com>".to_owned(),
        reply_to: None,
        subject: "Your offer, {{ Name }}".to_owned(),
        text: inline(text),
        html: inline(html),
        mjml: None,
        headers: BTreeMap::from([("X-Batch".to_owned(), "{{ Batch }}".to_owned())]),
        list_unsubscribe: None,
        attachments,
    }
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0)
}
