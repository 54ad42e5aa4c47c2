//! Stretches of XML that are the same in every document: deflated once, put together per document.
//!
//! A deflate stream (RFC 1951) may be cut into blocks anywhere, and a block that was flushed ends on an octet. So each segment is deflated alone, when
//! the template is compiled, and a document's stream is its segments with stored blocks for the values between. Checksums (CRC-32) are combined
//! likewise: the checksum of a segment is known, and what it does to the one before it is one multiplication.

use flate2::{Compress, Compression, FlushCompress, Status};
use std::cell::RefCell;

/// XML that never changes.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) xml: String,
    /// Deflated, ending on an octet; none if that wouldn't make it shorter.
    packed: Option<Vec<u8>>,
    crc: u32,
    /// What its length does to the checksum of what stands before.
    shift: u32,
    /// Whether a paragraph ends with it.
    pub(super) ends_paragraph: bool,
    prefix: Box<str>,
}

impl Segment {
    pub(super) fn new(xml: String, prefix: &str) -> Self {
        let mut packed = Vec::new();
        deflate(xml.as_bytes(), FlushCompress::Sync, Compression::best(), &mut packed);
        Self {
            crc: crc32fast::hash(xml.as_bytes()),
            shift: power_of_x(xml.len()),
            packed: Some(packed).filter(|packed| packed.len() + STORED_HEAD < xml.len()),
            ends_paragraph: ends_paragraph(&xml, prefix),
            prefix: prefix.into(),
            xml,
        }
    }

    /// Whether an element with this name begins in it.
    pub(super) fn begins(&self, word: &str) -> bool {
        let tag = format!("<{}{word}", self.prefix);
        self.xml
            .match_indices(&tag)
            .any(|(at, _)| self.xml[at + tag.len()..].starts_with([' ', '>', '/', '\n', '\r', '\t']))
    }
}

fn ends_paragraph(xml: &str, prefix: &str) -> bool {
    let last = xml.rfind('<').map_or("", |at| &xml[at..]);
    let last = last.trim_end();
    last == format!("</{prefix}p>")
        || (last.ends_with("/>") && (last == format!("<{prefix}p/>") || last.starts_with(&format!("<{prefix}p "))))
}

/// A document's part while it is put together.
pub(super) struct Stream<'o> {
    out: &'o mut Vec<u8>,
    /// Octets not yet in a block.
    pending: Vec<u8>,
    crc: u32,
    size: usize,
}

/// The head of a stored block, once on an octet: type, length, its complement.
const STORED_HEAD: usize = 5;
const MAX_STORED: usize = 65535;
/// An empty last block (fixed codes, nothing but its end).
const END: [u8; 2] = [0x03, 0x00];

impl<'o> Stream<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, pending: Vec::new(), crc: 0, size: 0 }
    }

    pub(super) fn segment(&mut self, segment: &Segment) {
        let Some(packed) = &segment.packed else { return self.text(segment.xml.as_bytes()) };
        self.flush();
        self.out.extend_from_slice(packed);
        self.crc = multiplied(self.crc, segment.shift) ^ segment.crc;
        self.size += segment.xml.len();
    }

    pub(super) fn text(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        for block in self.pending.chunks(MAX_STORED) {
            let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
            self.out.push(0);
            self.out.extend_from_slice(&length.to_le_bytes());
            self.out.extend_from_slice(&(!length).to_le_bytes());
            self.out.extend_from_slice(block);
        }
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc);
        hasher.update(&self.pending);
        self.crc = hasher.finalize();
        self.size += self.pending.len();
        self.pending.clear();
    }

    /// Ends the stream: its checksum and its expanded size.
    pub(super) fn finish(mut self) -> (u32, usize) {
        self.flush();
        self.out.extend_from_slice(&END);
        (self.crc, self.size)
    }
}

/// Deflates anew, for what is put together of so many pieces that the joints would weigh more than the work: checksum and size.
pub(super) fn deflate_whole(octets: &[u8], out: &mut Vec<u8>) -> (u32, usize) {
    deflate(octets, FlushCompress::Finish, Compression::fast(), out);
    (crc32fast::hash(octets), octets.len())
}

thread_local! {
    /// Making a compressor costs more than deflating a letter.
    static COMPRESSOR: RefCell<Option<(Compression, Compress)>> = const { RefCell::new(None) };
}

pub(super) fn deflate(octets: &[u8], flush: FlushCompress, level: Compression, out: &mut Vec<u8>) {
    COMPRESSOR.with_borrow_mut(|kept| {
        let (_, compressor) = match kept {
            Some((of, compressor)) if *of == level => {
                compressor.reset();
                kept.get_or_insert_with(|| (level, Compress::new(level, false)))
            }
            _ => kept.insert((level, Compress::new(level, false))),
        };
        out.reserve(octets.len() / 4 + 64);
        let mut done = 0;
        loop {
            let before = (compressor.total_in(), compressor.total_out());
            let status = compressor.compress_vec(&octets[done..], out, flush);
            done += usize::try_from(compressor.total_in() - before.0).unwrap_or(0);
            let is_stuck = before == (compressor.total_in(), compressor.total_out());
            match status {
                Ok(Status::StreamEnd) | Err(_) => break,
                // With room left in `out`, the flush is complete.
                Ok(_) if done == octets.len() && flush != FlushCompress::Finish && out.len() < out.capacity() => break,
                Ok(_) if is_stuck && out.len() < out.capacity() => break,
                Ok(_) => out.reserve(out.capacity().max(256)),
            }
        }
    });
}

/// The polynomial of CRC-32 as ZIP uses it, bits reversed.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// `a · b` modulo the polynomial; the highest bit is the coefficient of `x⁰`.
fn multiplied(mut a: u32, b: u32) -> u32 {
    let mut product = 0;
    for bit in (0..32).rev() {
        product ^= if b >> bit & 1 == 1 { a } else { 0 };
        a = (a >> 1) ^ if a & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// `x` to the power of the bits of so many octets, modulo the polynomial.
fn power_of_x(octets: usize) -> u32 {
    let mut result = 1 << 31;
    // x⁸
    let mut square = 1 << 23;
    let mut left = octets;
    while left > 0 {
        if left & 1 == 1 {
            result = multiplied(result, square);
        }
        square = multiplied(square, square);
        left >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn inflated(stream: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::DeflateDecoder::new(stream).read_to_string(&mut text).expect("a deflate stream");
        text
    }

    #[test]
    fn segments_and_values_inflate_to_their_text_with_its_checksum() {
        let long = Segment::new("<w:p><w:r><w:t>".repeat(40), "w:");
        let short = Segment::new("</w:t>".to_owned(), "w:");
        assert!(long.packed.is_some() && short.packed.is_none());
        let big = "value ".repeat(20_000);
        let mut out = Vec::new();
        let mut stream = Stream::new(&mut out);
        let mut text = String::new();
        for _ in 0..3 {
            for (segment, value) in [(&long, "Ada"), (&short, ""), (&long, big.as_str())] {
                stream.segment(segment);
                stream.text(value.as_bytes());
                text.push_str(&segment.xml);
                text.push_str(value);
            }
        }
        let (crc, size) = stream.finish();
        assert_eq!((crc, size), (crc32fast::hash(text.as_bytes()), text.len()));
        assert_eq!(inflated(&out), text);
    }

    #[test]
    fn whole_parts_deflate_whatever_their_size() {
        for length in [0, 1, 100, 100_000, 3_000_000] {
            let text: String =
                (0..length).map(|n| char::from(b'a' + u8::try_from(n * n % 26).expect("a letter"))).collect();
            let mut out = vec![7];
            assert_eq!(deflate_whole(text.as_bytes(), &mut out), (crc32fast::hash(text.as_bytes()), length));
            assert_eq!(inflated(&out[1..]), text);
        }
    }

    #[test]
    fn the_end_of_a_paragraph_is_seen() {
        for (xml, ends) in [
            ("<w:p></w:p>", true),
            ("x<w:p/>", true),
            ("<w:p w:a=\"1\"/>", true),
            ("<w:pPr/>", false),
            ("</w:tbl>", false),
            ("x", false),
        ] {
            assert_eq!(ends_paragraph(xml, "w:"), ends, "{xml}");
        }
        assert!(Segment::new("<w:tr w:a='1'>".to_owned(), "w:").begins("tr"));
        assert!(!Segment::new("<w:trPr>".to_owned(), "w:").begins("tr"));
    }
}
