//! Bodies and files as they travel: lines of at most 998 octets (RFC 5322 §2.1.1) of ASCII, whatever they hold (RFC 2045 §6).
//!
//! A text that is ASCII already travels as it is; else as quoted-printable or base64, whichever is smaller. No encoded text has a line that
//! begins with [`BOUNDARY_START`], so that no value can end a part of the mail.

use lettre::message::{Body, header::ContentTransferEncoding as Encoding};

/// How every MIME boundary of ours begins. `=_` can't be in quoted-printable nor in base64 (RFC 2045 §6.7), and a text that has a line like that
/// does not travel as it is.
pub(crate) const BOUNDARY_START: &str = "=_";

/// Longest line of a text that travels as it is; RFC 5322 allows 998.
const MAX_LINE: usize = 990;
/// One octet in this many, escaped as three, makes a text about as large as base64 does.
const MOST_ESCAPED: usize = 5;
/// Longest encoded line (RFC 2045 §6.7, §6.8), without its end.
const ENCODED_LINE: usize = 76;

/// A text, with CRLF line ends.
pub(crate) fn text(text: &str) -> Body {
    if text.contains('\r') {
        return text_with_line_feeds(&text.replace("\r\n", "\n").replace('\r', "\n"));
    }
    text_with_line_feeds(text)
}

fn text_with_line_feeds(text: &str) -> Body {
    if text.is_ascii()
        && let Some(plain) = seven_bit(text)
    {
        return Body::dangerous_pre_encoded(plain, Encoding::SevenBit);
    }
    let escaped = text.bytes().filter(|&byte| !is_plain(byte)).count();
    if escaped * MOST_ESCAPED > text.len() {
        let with_crlf = text.replace('\n', "\r\n");
        Body::dangerous_pre_encoded(base64(with_crlf.as_bytes()), Encoding::Base64)
    } else {
        Body::dangerous_pre_encoded(quoted_printable(text, escaped), Encoding::QuotedPrintable)
    }
}

/// A file or document.
pub(crate) fn file(bytes: &[u8]) -> Body {
    Body::dangerous_pre_encoded(base64(bytes), Encoding::Base64)
}

/// The text as it is, if it may travel so.
fn seven_bit(text: &str) -> Option<Vec<u8>> {
    let has_control = text.bytes().fold(false, |found, byte| {
        found | (byte < b' ' && byte != b'\n' && byte != b'\t') | (byte == 0x7f)
    });
    if has_control {
        return None;
    }
    let mut plain = Vec::with_capacity(text.len() + text.len() / 16 + 64);
    for line in text.split_inclusive('\n') {
        let (line, ended) = line.strip_suffix('\n').map_or((line, false), |line| (line, true));
        if line.len() > MAX_LINE || line.strip_prefix("--").is_some_and(|rest| rest.starts_with(BOUNDARY_START)) {
            return None;
        }
        plain.extend_from_slice(line.as_bytes());
        if ended {
            plain.extend_from_slice(b"\r\n");
        }
    }
    Some(plain)
}

/// Whether quoted-printable leaves an octet as it is, but for spaces at the end of a line.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'<' | b'>'..=b'~' | b'\t' | b'\n')
}

/// RFC 2045 §6.7. `escaped` is about how many octets need it.
fn quoted_printable(text: &str, escaped: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity((text.len() + escaped * 2) * 27 / 26 + 64);
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        quote_line(line.as_bytes(), &mut out);
        if lines.peek().is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    // One column is kept for the `=` of a soft line break.
    const ROOM: usize = ENCODED_LINE - 1;
    let mut rest = line;
    let mut column = 0;
    while let Some(&byte) = rest.first() {
        let fits = &rest[..rest.len().min(ROOM - column)];
        let mut run = fits.iter().position(|&byte| !is_plain(byte)).unwrap_or(fits.len());
        if run == rest.len() && matches!(rest[run - 1], b' ' | b'\t') {
            run -= 1;
        }
        out.extend_from_slice(&rest[..run]);
        column += run;
        rest = &rest[run..];
        if run > 0 && column < ROOM {
            continue;
        }
        if column + 3 > ROOM || run > 0 {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            column += 3;
            rest = &rest[1..];
        }
    }
}

/// RFC 2045 §6.8, in lines of 76 octets.
pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    let encoded = base64_simd::STANDARD.encoded_length(bytes.len());
    let line_ends = encoded.saturating_sub(1) / ENCODED_LINE;
    let mut out = Vec::with_capacity(encoded + line_ends * 2);
    base64_simd::STANDARD.encode_append(bytes, &mut out);
    out.resize(encoded + line_ends * 2, b'\n');
    // In place, from the last line to the second: each moves by the line ends before it.
    for line in (1..=line_ends).rev() {
        let from = line * ENCODED_LINE;
        let to = from + line * 2;
        out.copy_within(from..encoded.min(from + ENCODED_LINE), to);
        out[to - 2..to].copy_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_text(body: Body) -> (Encoding, String) {
        (body.encoding(), String::from_utf8(body.into_vec()).expect("an encoded body is ASCII"))
    }

    #[test]
    fn plain_text_travels_as_it_is_with_crlf() {
        for written in ["a\nb\n", "a\r\nb\r\n", "a\rb\r"] {
            assert_eq!(as_text(text(written)), (Encoding::SevenBit, "a\r\nb\r\n".to_owned()));
        }
        assert_eq!(as_text(text("")).1, "");
    }

    #[test]
    fn a_few_letters_of_another_script_are_quoted_and_many_are_base64() {
        assert_eq!(
            as_text(text("Grüße = Größe, and then some more plain words \nend\t")),
            (Encoding::QuotedPrintable, "Gr=C3=BC=C3=9Fe =3D Gr=C3=B6=C3=9Fe, and then some more plain words=20\r\nend=09".to_owned())
        );
        assert_eq!(as_text(text("你好\n")), (Encoding::Base64, "5L2g5aW9DQo=".to_owned()));
    }

    #[test]
    fn a_line_like_a_boundary_and_a_long_line_and_a_control_character_do_not_travel_as_they_are() {
        for written in ["a\n--=_alternative\nb", &"x".repeat(991), "a\u{8}bcdef", "a\0bcdef", "a\u{7f}bcdef"] {
            let (encoding, encoded) = as_text(text(written));
            assert_eq!(encoding, Encoding::QuotedPrintable, "{written:?}");
            assert!(encoded.lines().all(|line| line.len() <= 76 && !line.starts_with("--=_")), "{encoded:?}");
        }
    }

    #[test]
    fn quoted_lines_are_at_most_76_long_and_read_back_whatever_falls_on_their_ends() {
        for before in 60..80 {
            for special in ["ü", "=", " ", "  ", "\t\n", " \n", "x\n", "", "ü ü"] {
                let written = format!("{}{special}{}é", "a".repeat(before), "b".repeat(80));
                let encoded = quoted_printable(&written, 4);
                assert!(encoded.split(|&byte| byte == b'\n').all(|line| line.len() <= 77), "{written:?}");
                let mail = [b"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", &encoded[..]].concat();
                let parsed = mail_parser::MessageParser::new().parse(&mail).expect("a mail");
                assert_eq!(parsed.body_text(0).expect("a body").replace("\r\n", "\n"), written);
            }
        }
    }

    #[test]
    fn base64_has_lines_of_76() {
        for length in [0, 1, 56, 57, 58, 113, 114, 115, 1000] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let encoded = base64(&bytes);
            let lines: Vec<&[u8]> = encoded.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end()).collect();
            assert!(lines.iter().rev().skip(1).all(|line| line.len() == 76), "{length}");
            assert!(lines.last().is_some_and(|line| line.len() <= 76));
            assert_eq!(base64_simd::STANDARD.decode_to_vec(lines.concat()).expect("base64"), bytes);
        }
    }
}
