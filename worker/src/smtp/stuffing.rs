//! Content as it goes over the wire: CRLF line ends (RFC 5321 §2.3.8) and doubled dots (§4.5.2), copied only when it has to be.

use memchr::{memchr_iter, memchr2_iter};
use std::{borrow::Cow, io::IoSlice};

/// Above this many pieces one copy is cheaper than the vector of pieces.
const MAX_PIECES: usize = 64;

/// The content with nothing but CRLF as line ends, and one at its end. Borrowed if it is so already, as the content of our own letters is.
/// A server that takes a bare LF for a line end could read a dot on a line of its own where we saw none.
pub(super) fn normal(content: &[u8]) -> Cow<'_, [u8]> {
    let mut line_ends = 0;
    let clean = memchr_iter(b'\n', content).all(|at| {
        line_ends += 1;
        at > 0 && content[at - 1] == b'\r'
    });
    if clean && content.ends_with(b"\r\n") && memchr_iter(b'\r', content).count() == line_ends {
        return Cow::Borrowed(content);
    }
    let mut fixed = Vec::with_capacity(content.len() + content.len() / 32 + 2);
    let mut start = 0;
    for at in memchr2_iter(b'\r', b'\n', content) {
        if at < start {
            continue; // The LF of a CRLF that was just written.
        }
        fixed.extend_from_slice(&content[start..at]);
        fixed.extend_from_slice(b"\r\n");
        start = at + if content[at..].starts_with(b"\r\n") { 2 } else { 1 };
    }
    fixed.extend_from_slice(&content[start..]);
    if !fixed.ends_with(b"\r\n") {
        fixed.extend_from_slice(b"\r\n");
    }
    Cow::Owned(fixed)
}

/// The positions of dots that begin a line.
fn leading_dots(content: &[u8]) -> impl Iterator<Item = usize> {
    let first = content.starts_with(b".").then_some(0);
    first.into_iter().chain(memchr_iter(b'\n', content).map(|at| at + 1).filter(|&at| content.get(at) == Some(&b'.')))
}

/// Content in normal form, in pieces that read one after the other are it with every leading dot doubled.
/// A doubled dot costs no byte: one piece ends with the dot, the next begins with it.
pub(super) enum Stuffed<'a> {
    Pieces(Vec<&'a [u8]>),
    Copied(Vec<u8>),
}

impl<'a> Stuffed<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        let mut pieces = Vec::with_capacity(4);
        let mut start = 0;
        for dot in leading_dots(content) {
            if pieces.len() == MAX_PIECES {
                return Self::Copied(Self::copy(content));
            }
            pieces.push(&content[start..=dot]);
            start = dot;
        }
        pieces.push(&content[start..]);
        Self::Pieces(pieces)
    }

    fn copy(content: &[u8]) -> Vec<u8> {
        let mut copied = Vec::with_capacity(content.len() + content.len() / 16);
        let mut start = 0;
        for dot in leading_dots(content) {
            copied.extend_from_slice(&content[start..=dot]);
            start = dot;
        }
        copied.extend_from_slice(&content[start..]);
        copied
    }

    /// The pieces, for a vectored write.
    pub(super) fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        let (pieces, copied) = match self {
            Self::Pieces(pieces) => (pieces.as_slice(), None),
            Self::Copied(bytes) => (&[][..], Some(IoSlice::new(bytes))),
        };
        pieces.iter().map(|piece| IoSlice::new(piece)).chain(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(content: &[u8]) -> Vec<u8> {
        Stuffed::new(content).slices().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn only_dots_that_begin_a_line_are_doubled() {
        for (content, expected) in
            [("a\r\n", "a\r\n"), (".\r\n", "..\r\n"), ("a.b\r\n.c\r\n..\r\n", "a.b\r\n..c\r\n...\r\n"), ("", "")]
        {
            assert_eq!(wire(content.as_bytes()), expected.as_bytes(), "{content:?}");
        }
        assert_eq!(wire(&b".\r\n".repeat(500)), b"..\r\n".repeat(500));
    }

    #[test]
    fn line_ends_become_crlf() {
        for (content, expected) in [
            ("a\nb\rc\r\n", "a\r\nb\r\nc\r\n"),
            ("a", "a\r\n"),
            ("a\r", "a\r\n"),
            ("", "\r\n"),
            ("\n.\n", "\r\n.\r\n"),
            ("a\r\r\nb\r\n", "a\r\n\r\nb\r\n"),
        ] {
            assert_eq!(normal(content.as_bytes()).as_ref(), expected.as_bytes(), "{content:?}");
        }
    }

    #[test]
    fn content_that_is_in_order_is_not_copied() {
        let content = b"Subject: x\r\n\r\nHello\r\n";
        assert!(matches!(normal(content), Cow::Borrowed(_)));
        let Stuffed::Pieces(pieces) = Stuffed::new(content) else { panic!("copied") };
        assert_eq!(pieces, [content]);
    }

    proptest! {
        #[test]
        fn a_server_reads_back_what_was_stuffed(text in "([.a\r\n]|\r\n){0,300}") {
            let content = normal(text.as_bytes()).into_owned();
            let wire = wire(&content);
            prop_assert!(!wire.windows(5).any(|bytes| bytes == b"\r\n.\r\n") && !wire.starts_with(b".\r\n"));
            let unstuffed: Vec<u8> = wire
                .split_inclusive(|&byte| byte == b'\n')
                .flat_map(|line| line.strip_prefix(b".").unwrap_or(line).to_vec())
                .collect();
            prop_assert_eq!(unstuffed, content);
        }

        #[test]
        fn normal_content_has_no_bare_line_end_and_normalising_it_again_changes_nothing(text in "[a\r\n]{0,200}") {
            let content = normal(text.as_bytes()).into_owned();
            let stripped = String::from_utf8_lossy(&content).replace("\r\n", "");
            prop_assert!(!stripped.contains(['\r', '\n']));
            prop_assert_eq!(normal(&content).into_owned(), content);
        }
    }
}
