//! Bodies and files as they travel: lines of at most 998 octets (RFC 5322 §2.1.1) of ASCII, whatever they hold (RFC 2045 §6).
//!
//! A text that is ASCII already travels as it is; else as quoted-printable or base64, whichever is smaller. No text holds
//! the beginning of a boundary ([`BOUNDARY_START`]) as it travels, so that no value can end a part of the mail.

use lettre::message::header::ContentTransferEncoding as Encoding;

/// How every MIME boundary of ours begins. `=_` can't be in quoted-printable nor in base64 (RFC 2045 §6.7), and a text that has it does
/// not travel as it is.
pub(crate) const BOUNDARY_START: &str = "=_";

/// How each line begins that ends a part. Some parsers see it within a line too, where it has no meaning (RFC 2046 §5.1.1).
const DELIMITER_START: &str = "--=_";

/// Longest line of a text that travels as it is; RFC 5322 allows 998.
const MAX_LINE: usize = 990;
/// One octet in this many, escaped as three, makes a text about as large as base64 does.
const MOST_ESCAPED: usize = 5;
/// Longest encoded line (RFC 2045 §6.7, §6.8), without its end.
const ENCODED_LINE: usize = 76;
/// Octets that base64 puts into one line.
pub(crate) const OCTETS_A_LINE: usize = ENCODED_LINE / 4 * 3;

/// Appends a text, with CRLF line ends, after what `head` says of its encoding.
pub(crate) fn text<'a>(text: &str, head: impl Fn(Encoding) -> &'a [u8], out: &mut Vec<u8>) -> Encoding {
    if text.contains('\r') {
        return text_with_line_feeds(&text.replace("\r\n", "\n").replace('\r', "\n"), head, out);
    }
    text_with_line_feeds(text, head, out)
}

fn text_with_line_feeds<'a>(text: &str, head: impl Fn(Encoding) -> &'a [u8], out: &mut Vec<u8>) -> Encoding {
    let start = out.len();
    if text.is_ascii() {
        out.extend_from_slice(head(Encoding::SevenBit));
        if seven_bit(text, out).is_some() {
            return Encoding::SevenBit;
        }
        out.truncate(start);
    }
    let escaped = escaped(text);
    if escaped * MOST_ESCAPED > text.len() {
        out.extend_from_slice(head(Encoding::Base64));
        let mut with_crlf = Vec::with_capacity(text.len() + text.len() / 16 + 64);
        push_lines(text, &mut with_crlf, |line, out| out.extend_from_slice(line));
        base64(&with_crlf, out);
        return Encoding::Base64;
    }
    out.extend_from_slice(head(Encoding::QuotedPrintable));
    out.reserve((text.len() + escaped * 2) * 27 / 26 + 64);
    push_lines(text, out, quote_line);
    Encoding::QuotedPrintable
}

/// Writes each line with CRLF for its line feed.
fn push_lines(text: &str, out: &mut Vec<u8>, mut push: impl FnMut(&[u8], &mut Vec<u8>)) {
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => {
                push(line.as_bytes(), out);
                out.extend_from_slice(b"\r\n");
            }
            None => push(line.as_bytes(), out),
        }
    }
}

/// Appends the text as it is, if it may travel so; else leaves something that must be cut off.
fn seven_bit(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let has_control = text.bytes().fold(false, |found, byte| found | is_control(byte));
    if has_control || text.contains(DELIMITER_START) {
        return None;
    }
    out.reserve(text.len() + text.len() / 16 + 64);
    let mut fits = true;
    push_lines(text, out, |line, out| {
        fits &= line.len() <= MAX_LINE;
        out.extend_from_slice(line);
    });
    fits.then_some(())
}

/// What only a line end or a tab may be (RFC 5322 §2.2 has none in unstructured text, and servers change them).
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler tests many octets at once")]
const fn is_control(byte: u8) -> bool {
    ((byte < b' ') & (byte != b'\n') & (byte != b'\t')) | (byte == 0x7f)
}

/// Whether quoted-printable leaves an octet as it is, but for spaces at the end of a line.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler tests many octets at once")]
const fn is_plain(byte: u8) -> bool {
    ((byte >= b' ') & (byte <= b'~') & (byte != b'=')) | (byte == b'\t') | (byte == b'\n')
}

/// How many octets quoted-printable escapes, about.
fn escaped(text: &str) -> usize {
    let in_chunk = |chunk: &[u8]| chunk.iter().fold(0_u8, |count, &byte| count + u8::from(!is_plain(byte)));
    text.as_bytes().chunks(128).map(|chunk| usize::from(in_chunk(chunk))).sum()
}

/// [`is_plain`] of every octet.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte: u8 = 0;
    while byte < 0x80 {
        plain[byte as usize] = is_plain(byte);
        byte += 1;
    }
    plain
};

/// RFC 2045 §6.7: appends one line.
fn quote_line(line: &[u8], out: &mut Vec<u8>) {
    // One column is kept for the `=` of a soft line break.
    const ROOM: usize = ENCODED_LINE - 1;
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = line;
    let mut column = 0;
    while !rest.is_empty() {
        let fits = &rest[..rest.len().min(ROOM - column)];
        let mut run = fits.iter().position(|&byte| !PLAIN[usize::from(byte)]).unwrap_or(fits.len());
        // A space at the end of the line is escaped.
        if run == rest.len() && matches!(rest[run - 1], b' ' | b'\t') {
            run -= 1;
        }
        let (plain, after) = rest.split_at(run);
        out.extend_from_slice(plain);
        column += run;
        rest = after;
        let Some((&byte, after)) = rest.split_first() else { return };
        let is_last_space = after.is_empty() && matches!(byte, b' ' | b'\t');
        if PLAIN[usize::from(byte)] && !is_last_space || column + 3 > ROOM {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        } else {
            out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            column += 3;
            rest = after;
        }
    }
}

/// RFC 2045 §6.8: appends octets in lines of 76.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let encoded = base64_simd::STANDARD.encoded_length(bytes.len());
    let line_ends = encoded.saturating_sub(1) / ENCODED_LINE;
    out.reserve(encoded + line_ends * 2);
    base64_simd::STANDARD.encode_append(bytes, out);
    out.resize(start + encoded + line_ends * 2, b'\n');
    // In place, from the last line to the second: each moves by the line ends before it.
    let lines = &mut out[start..];
    for line in (1..=line_ends).rev() {
        let from = line * ENCODED_LINE;
        let to = from + line * 2;
        lines.copy_within(from..encoded.min(from + ENCODED_LINE), to);
        lines[to - 2..to].copy_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_text(written: &str) -> (Encoding, String) {
        let mut out = b"before:".to_vec();
        let encoding = text(written, |_| b"head:", &mut out);
        let out = String::from_utf8(out).expect("an encoded body is ASCII");
        (encoding, out.strip_prefix("before:head:").expect("the head once").to_owned())
    }

    #[test]
    fn plain_text_travels_as_it_is_with_crlf() {
        for written in ["a\nb\n", "a\r\nb\r\n", "a\rb\r"] {
            assert_eq!(as_text(written), (Encoding::SevenBit, "a\r\nb\r\n".to_owned()));
        }
        assert_eq!(as_text("").1, "");
    }

    #[test]
    fn a_few_letters_of_another_script_are_quoted_and_many_are_base64() {
        assert_eq!(
            as_text("Grüße = Größe, and then some more plain words \nend\t"),
            (
                Encoding::QuotedPrintable,
                "Gr=C3=BC=C3=9Fe =3D Gr=C3=B6=C3=9Fe, and then some more plain words=20\r\nend=09".to_owned()
            )
        );
        assert_eq!(as_text("你好\n"), (Encoding::Base64, "5L2g5aW9DQo=".to_owned()));
    }

    #[test]
    fn a_line_like_a_boundary_and_a_long_line_and_a_control_character_do_not_travel_as_they_are() {
        for written in [
            "a\n--=_alternative\nb",
            "as --=_mixed-- within a line",
            &"x".repeat(991),
            "a\u{8}bcdef",
            "a\0bcdef",
            "a\u{7f}bcdef",
        ] {
            let (encoding, encoded) = as_text(written);
            assert_eq!(encoding, Encoding::QuotedPrintable, "{written:?}");
            assert!(encoded.lines().all(|line| line.len() <= 76 && !line.contains("--=_")), "{encoded:?}");
        }
    }

    #[test]
    fn quoted_lines_are_at_most_76_long_and_read_back_whatever_falls_on_their_ends() {
        for before in 60..80 {
            for special in ["ü", "=", " ", "  ", "\t\n", " \n", "x\n", "", "ü ü"] {
                let written = format!("{}{special}{}é", "a".repeat(before), "b".repeat(80));
                let (encoding, encoded) = as_text(&written);
                assert_eq!(encoding, Encoding::QuotedPrintable);
                assert!(encoded.lines().all(|line| line.len() <= 76), "{written:?}");
                let head =
                    "Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
                let mail = [head, &encoded].concat();
                let parsed = mail_parser::MessageParser::new().parse(mail.as_bytes()).expect("a mail");
                assert_eq!(parsed.body_text(0).expect("a body").replace("\r\n", "\n"), written);
            }
        }
    }

    #[test]
    fn base64_has_lines_of_76() {
        for length in [0, 1, 56, 57, 58, 113, 114, 115, 1000] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut encoded = Vec::new();
            base64(&bytes, &mut encoded);
            let lines: Vec<&[u8]> = encoded.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
            assert!(lines.iter().rev().skip(1).all(|line| line.len() == 76), "{length}");
            assert!(lines.last().is_some_and(|line| line.len() <= 76));
            assert_eq!(base64_simd::STANDARD.decode_to_vec(lines.concat()).expect("base64"), bytes);
        }
    }
}
