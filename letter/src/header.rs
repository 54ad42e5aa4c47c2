//! Header fields from values: whatever a value holds, it stays one field (RFC 5322 §2.2), readable in every script (RFC 2047).

use campaign::EmailAddress;
use lettre::{
    Address,
    message::{
        Mailbox, Mailboxes,
        header::{Header, HeaderName, HeaderValue, ReplyTo},
    },
};
use std::borrow::Cow;

/// Longest word that is left as it is; a line has at most 998 octets.
const MAX_WORD: usize = 200;
/// Octets of text in one encoded word, which has at most 75 (RFC 2047 §2): `=?utf-8?b?` + base64 of 45 + `?=`.
const ENCODED_WORD: usize = 45;

/// One line: control characters and line breaks are spaces, runs of spaces are one, none at the ends.
pub(crate) fn flat(text: &str) -> Cow<'_, str> {
    let is_space = |char: char| char == ' ' || char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    let is_flat = !text.starts_with(is_space)
        && !text.ends_with(is_space)
        && text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
        && !text.contains("  ");
    if is_flat {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    Cow::Owned(line)
}

/// A field of free text; `value` is [`flat`].
pub(crate) fn text(name: HeaderName, value: &str) -> HeaderValue {
    if is_ordinary(value) {
        HeaderValue::new(name, value.to_owned())
    } else {
        let encoded = encoded_words(value);
        HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), encoded)
    }
}

/// Whether lettre's own encoding does: no word that is too long for a line, none that looks encoded already.
fn is_ordinary(value: &str) -> bool {
    !value.contains("=?") && (value.len() <= MAX_WORD || value.split(' ').all(|word| word.len() <= MAX_WORD))
}

/// RFC 2047 `b` encoded words, a line each.
fn encoded_words(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len() * 2);
    let mut rest = value;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(ENCODED_WORD));
        if !encoded.is_empty() {
            encoded.push_str("\r\n ");
        }
        encoded.push_str("=?utf-8?b?");
        encoded.push_str(&base64_simd::STANDARD.encode_to_string(word));
        encoded.push_str("?=");
        rest = after;
    }
    encoded
}

/// The From or Reply-To field of a mailbox.
pub(crate) fn mailbox(name: HeaderName, mailbox: &campaign::Mailbox) -> HeaderValue {
    let address = mailbox.address.to_string();
    let display_name = mailbox.name.as_deref().map(|name| flat(name).into_owned()).filter(|name| !name.is_empty());
    let encoded = match display_name {
        None => address.clone(),
        Some(name) if is_ordinary(&name) => lettre_mailbox(name, &mailbox.address),
        Some(name) => format!("{}\r\n <{address}>", encoded_words(&name)),
    };
    HeaderValue::dangerous_new_pre_encoded(name, address, encoded)
}

fn lettre_mailbox(name: String, address: &EmailAddress) -> String {
    // Already valid, and lettre doesn't know every address that is.
    let address = Address::new_dangerous(address.local(), address.ascii_domain());
    let value = ReplyTo::from(Mailboxes::from(Mailbox::new(Some(name), address))).display();
    let mut headers = lettre::message::header::Headers::new();
    headers.insert_raw(value);
    let field = headers.to_string();
    field.strip_prefix("Reply-To: ").unwrap_or(&field).trim_end().to_owned()
}

/// The name of a field, if it is one (RFC 5322 §2.2).
pub(crate) fn name(name: &str) -> Option<HeaderName> {
    let is_name = name.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b':');
    HeaderName::new_from_ascii(name.to_owned()).ok().filter(|_| is_name)
}

/// Longest file name, in octets of UTF-8: what file systems take.
const MAX_FILE_NAME: usize = 200;

/// A file name that is one on every system and leads nowhere: no path, no control characters, nothing that turns the direction of writing.
pub(crate) fn file_name(rendered: &str) -> String {
    let flat = flat(rendered);
    let mut name: String = flat
        .chars()
        .filter(|char| !matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .map(|char| if matches!(char, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { char })
        .collect();
    name.truncate(name.trim_end_matches(['.', ' ']).len());
    name.drain(..name.len() - name.trim_start_matches(['.', ' ']).len());
    if name.len() > MAX_FILE_NAME {
        let ending =
            name.rfind('.').map(|dot| name[dot..].to_owned()).filter(|ending| ending.len() <= 16).unwrap_or_default();
        name.truncate(name.floor_char_boundary(MAX_FILE_NAME - ending.len()));
        name.push_str(&ending);
    }
    if name.is_empty() { "attachment".to_owned() } else { name }
}

/// The media type of a file by the ending of its name (IANA).
pub(crate) fn media_type(file_name: &str) -> &'static str {
    let ending = file_name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "pdf" => "application/pdf",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "odt" => "application/vnd.oasis.opendocument.text",
        "ods" => "application/vnd.oasis.opendocument.spreadsheet",
        "doc" => "application/msword",
        "xls" => "application/vnd.ms-excel",
        "rtf" => "application/rtf",
        "zip" => "application/zip",
        "json" => "application/json",
        "xml" => "application/xml",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "ics" => "text/calendar",
        "vcf" => "text/vcard",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_value_is_a_space() {
        for (text, expected) in [
            ("Ada\r\nBcc: eve@example.com", "Ada Bcc: eve@example.com"),
            ("  a \t b\u{85}c\u{2028}d  ", "a b c d"),
            ("\0", ""),
            ("Grüße", "Grüße"),
            ("plain text", "plain text"),
        ] {
            assert_eq!(flat(text), expected);
        }
    }

    #[test]
    fn a_file_name_leads_nowhere() {
        for (rendered, expected) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\temp\\x.docx", "C__temp_x.docx"),
            (" Offer Ada.docx ", "Offer Ada.docx"),
            ("a\r\nb.pdf", "a b.pdf"),
            ("..", "attachment"),
            ("", "attachment"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("عرض.docx", "عرض.docx"),
        ] {
            assert_eq!(file_name(rendered), expected);
        }
        let long = file_name(&format!("{}.docx", "é".repeat(300)));
        assert!(long.len() <= MAX_FILE_NAME && long.ends_with("é.docx"), "{long}");
    }
}
