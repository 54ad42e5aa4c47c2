//! Replies of a server (RFC 5321 §4.2): where one ends in a stream of bytes, and what it says. Pure.

use campaign::Reply;

/// Octets of a line at most. RFC 5321 §4.5.3.1.5 allows 512; servers that log much in their replies exceed it.
const MAX_LINE: usize = 4096;
/// Octets of a whole reply at most.
pub const MAX_REPLY: usize = 64 * 1024;
/// Characters of a text that is kept.
const MAX_TEXT: usize = 500;

/// What came is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Junk {
    /// Not three digits.
    #[error("the server sent something that is no SMTP reply: \"{0}\"")]
    NotAReply(String),
    /// Lines of one reply with different codes.
    #[error("the server sent a reply whose lines have different codes: \"{0}\"")]
    Mixed(String),
    /// No end in sight.
    #[error("the server sent a reply longer than {MAX_REPLY} octets, or a line of one longer than {MAX_LINE}")]
    TooLong,
}

/// The first reply in `input`: its code and its length in bytes. None: its end hasn't come yet.
///
/// # Errors
/// Never for the beginning of a good reply.
pub fn scan(input: &[u8]) -> Result<Option<(u16, usize)>, Junk> {
    let mut start = 0;
    let mut first = None;
    loop {
        let rest = &input[start..];
        let Some(length) = memchr::memchr(b'\n', &rest[..rest.len().min(MAX_LINE)]).map(|at| at + 1) else {
            if rest.len() >= MAX_LINE || input.len() >= MAX_REPLY {
                return Err(Junk::TooLong);
            }
            // Don't wait for the end of what can't become a reply.
            return if rest.iter().take(3).all(u8::is_ascii_digit) { Ok(None) } else { Err(not_a_reply(rest)) };
        };
        let (code, last) = line_code(&rest[..length]).ok_or_else(|| not_a_reply(&rest[..length]))?;
        if *first.get_or_insert(code) != code {
            return Err(Junk::Mixed(excerpt(&rest[..length])));
        }
        start += length;
        if start > MAX_REPLY {
            return Err(Junk::TooLong);
        }
        if last {
            return Ok(Some((code, start)));
        }
    }
}

/// The first reply in `input`, and its length in bytes. None: its end hasn't come yet.
///
/// # Errors
/// Never for the beginning of a good reply.
pub fn parse(input: &[u8]) -> Result<Option<(Reply, usize)>, Junk> {
    Ok(scan(input)?.map(|(code, length)| (reply(code, &input[..length]), length)))
}

/// The texts of a whole reply's lines, without code and line end.
pub fn lines(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    reply.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.get(4..).unwrap_or_default()
    })
}

/// A line's code and whether it is the last of its reply.
fn line_code(line: &[u8]) -> Option<(u16, bool)> {
    let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', next, ..] = line else { return None };
    let last = match next {
        b'-' => false,
        b' ' | b'\t' | b'\r' | b'\n' => true,
        _ => return None,
    };
    Some((u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), last))
}

/// A whole reply of which `scan` found the code.
pub(super) fn reply(code: u16, bytes: &[u8]) -> Reply {
    let mut enhanced: Option<&[u8]> = None;
    let mut text = String::new();
    let mut left = MAX_TEXT;
    for (number, line) in lines(bytes).enumerate() {
        let (status, rest) = split_enhanced(line);
        if number == 0 {
            enhanced = status;
        }
        // A status code is repeated on every line (RFC 2034 §4).
        let said = if status.is_some() && status == enhanced { rest } else { line };
        if number > 0 && !said.is_empty() && !text.is_empty() && left > 0 {
            text.push(' ');
            left -= 1;
        }
        let before = text.len();
        text.extend(String::from_utf8_lossy(said).chars().filter(|char| !char.is_control()).take(left));
        left -= text[before..].chars().count();
    }
    let enhanced = enhanced.and_then(|status| std::str::from_utf8(status).ok()).map(str::to_owned);
    Reply { code, enhanced, text: if text.ends_with(' ') { text.trim_end().to_owned() } else { text } }
}

/// The enhanced status code (RFC 3463: class 2, 4 or 5, then two numbers of up to three digits) at the start of a text, and what follows it.
fn split_enhanced(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let length = text.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.')).unwrap_or(text.len());
    let (status, rest) = text.split_at(length);
    let mut parts = status.split(|&byte| byte == b'.');
    let is_number = |part: Option<&[u8]>| part.is_some_and(|digits| (1..=3).contains(&digits.len()));
    let valid = matches!(parts.next(), Some(b"2" | b"4" | b"5"))
        && is_number(parts.next())
        && is_number(parts.next())
        && parts.next().is_none()
        && rest.first().is_none_or(|&byte| byte == b' ' || byte == b'\t');
    if valid { (Some(status), rest.strip_prefix(b" ").unwrap_or(rest)) } else { (None, text) }
}

fn not_a_reply(bytes: &[u8]) -> Junk {
    Junk::NotAReply(excerpt(bytes))
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|char| !char.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Reply {
        let (reply, length) = parse(text.as_bytes()).expect("a reply").expect("a whole reply");
        assert_eq!(length, text.len());
        reply
    }

    #[test]
    fn code_status_and_text_are_told_apart() {
        for (text, code, enhanced, said) in [
            ("250 2.1.5 Ok\r\n", 250, Some("2.1.5"), "Ok"),
            ("250 Ok\n", 250, None, "Ok"),
            ("250\r\n", 250, None, ""),
            ("354 \r\n", 354, None, ""),
            ("550-5.1.1 No such\r\n550 5.1.1 user here\r\n", 550, Some("5.1.1"), "No such user here"),
            ("550-No such\r\n550 5.1.1 user\r\n", 550, None, "No such 5.1.1 user"),
            ("550 5.1.1\r\n", 550, Some("5.1.1"), ""),
            ("550 5.1.1.1 x\r\n", 550, None, "5.1.1.1 x"),
            ("550 5.1.1x\r\n", 550, None, "5.1.1x"),
            ("550 5.1234.1 x\r\n", 550, None, "5.1234.1 x"),
            ("250 192.0.2.1 hello\r\n", 250, None, "192.0.2.1 hello"),
            ("550 a\tb\u{1b}[31mc\u{7f}\u{85}d\r\n", 550, None, "ab[31mcd"),
        ] {
            assert_eq!(
                read(text),
                Reply { code, enhanced: enhanced.map(str::to_owned), text: said.to_owned() },
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_text_is_cut_after_500_characters() {
        let line = "é".repeat(400);
        let reply = read(&format!("250-{line}\r\n250-{line}\r\n250 {line}\r\n"));
        assert_eq!(reply.text.chars().count(), 500);
    }

    #[test]
    fn the_first_of_several_replies_is_read_and_an_unfinished_one_is_waited_for() {
        assert_eq!(scan(b"250 a\r\n354 b\r\n"), Ok(Some((250, 7))));
        for unfinished in ["", "2", "25", "250", "250 Ok", "250 Ok\r", "250-a\r\n", "250-a\r\n25"] {
            assert_eq!(scan(unfinished.as_bytes()), Ok(None), "{unfinished:?}");
        }
    }

    #[test]
    fn junk_is_refused_as_soon_as_it_is_known() {
        for junk in [
            "HTTP/1.1 400 Bad Request\r\n",
            "SSH",
            "x",
            "\r\n",
            "150 x\r\n",
            "600 x\r\n",
            "250x\r\n",
            "25 x\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(matches!(scan(junk.as_bytes()), Err(Junk::NotAReply(_))), "{junk:?}");
        }
        assert!(matches!(scan(b"250-a\r\n251 b\r\n"), Err(Junk::Mixed(_))));
        assert_eq!(scan(&[b'2'; MAX_LINE]), Err(Junk::TooLong));
        assert_eq!(scan(&b"250-x\r\n".repeat(MAX_REPLY)), Err(Junk::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_texts_are_clean(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut framed = b"550-5.1.1 ".to_vec();
            framed.extend(bytes.iter().filter(|byte| **byte != b'\n'));
            framed.extend_from_slice(b"\r\n550 end\r\n");
            for input in [&bytes, &framed] {
                if let Ok(Some((reply, length))) = parse(input) {
                    prop_assert!(length <= input.len() && (200..600).contains(&reply.code));
                    prop_assert!(reply.text.chars().count() <= 500 && !reply.text.chars().any(char::is_control));
                }
            }
        }

        #[test]
        fn a_reply_is_the_same_however_it_arrives(text in "[ -~]{0,40}", cut in 0_usize..60) {
            let whole = format!("250-2.0.0 {text}\r\n250 2.0.0 {text}\r\n");
            let early = scan(&whole.as_bytes()[..cut.min(whole.len() - 1)]);
            prop_assert_eq!(early, Ok(None));
            prop_assert_eq!(scan(whole.as_bytes()), Ok(Some((250, whole.len()))));
        }
    }
}
