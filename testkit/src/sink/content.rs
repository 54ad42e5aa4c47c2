//! The content of a mail as a server reads it: where it ends, what it was before dot-stuffing, and what is wrong with it.

use memchr::memmem;

/// The end of dot-stuffed content in `input`: how many bytes are content, and how many with the final dot. None: it hasn't come yet.
/// `from` is where to go on looking, for a caller that has looked before.
pub(super) fn end(input: &[u8], from: usize) -> Option<(usize, usize)> {
    if input.starts_with(b".\r\n") {
        return Some((0, 3));
    }
    memmem::find(&input[from..], b"\r\n.\r\n").map(|at| (from + at + 2, from + at + 5))
}

/// The content without its dot-stuffing.
pub(super) fn unstuffed(content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(content.len());
    let mut rest = content.strip_prefix(b".").unwrap_or(content);
    while let Some(at) = memmem::find(rest, b"\r\n.") {
        plain.extend_from_slice(&rest[..at + 2]);
        rest = &rest[at + 3..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// What is wrong with content that was sent by DATA (RFC 5321 §2.3.8, §4.5.2, §4.5.3.1.6).
pub(super) fn faults(content: &[u8]) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut note = |fault| {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    };
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\r\n") else {
            note("a bare LF in the content");
            continue;
        };
        if text.contains(&b'\r') {
            note("a bare CR in the content");
        }
        if text.starts_with(b".") && !text.starts_with(b"..") {
            note("a line of the content begins with a dot that is not doubled");
        }
        if text.len() > 998 {
            note("a line of the content is longer than 998 octets");
        }
    }
    faults
}

/// The Message-ID without its angle brackets; empty if there is none.
pub(super) fn message_id(content: &[u8]) -> String {
    let header = &content[..memmem::find(content, b"\r\n\r\n").unwrap_or(content.len())];
    let name = b"\nmessage-id:";
    let found = memchr::memchr_iter(b'\n', header)
        .find(|&at| header.get(at..at + name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)))
        .map(|at| at + name.len())
        .or_else(|| header.get(..11).filter(|word| word.eq_ignore_ascii_case(&name[1..])).map(|_| 11));
    let Some(start) = found else { return String::new() };
    let rest = &header[start..];
    let value = &rest[..memmem::find(rest, b"\r\n").unwrap_or(rest.len())];
    String::from_utf8_lossy(value).trim().trim_start_matches('<').trim_end_matches('>').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_read_back_as_it_was_before_stuffing() {
        assert_eq!(unstuffed(b"..a\r\n...\r\nb.\r\n"), b".a\r\n..\r\nb.\r\n");
        assert_eq!(end(b".\r\n", 0), Some((0, 3)));
        assert_eq!(end(b"a\r\n..\r\n.\r\nMAIL", 0), Some((7, 10)));
        assert_eq!(end(b"a\r\n.\r", 0), None);
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(faults(b"a\r\n..b\r\n"), Vec::<&str>::new());
        assert_eq!(faults(b"a\n"), ["a bare LF in the content"]);
        assert_eq!(faults(b"a\rb\r\n"), ["a bare CR in the content"]);
        assert_eq!(faults(b".b\r\n"), ["a line of the content begins with a dot that is not doubled"]);
    }

    #[test]
    fn the_message_id_is_found_wherever_it_stands_in_the_header() {
        assert_eq!(message_id(b"Message-ID: <1@x>\r\n\r\n"), "1@x");
        assert_eq!(message_id(b"To: a\r\nmessage-id:<2@x>\r\nA: b\r\n\r\n"), "2@x");
        assert_eq!(message_id(b"To: a\r\n\r\nMessage-ID: <3@x>\r\n"), "");
    }
}
