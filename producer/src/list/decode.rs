//! The text of a file as UTF-8, decoded while it is read.

use super::error::Problem;
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::io::{self, Read};

const BLOCK: usize = 64 * 1024;

/// A reader that gives UTF-8, except that what is said to be UTF-8 comes as it is and is checked by who cuts it into rows.
pub(super) enum Text<R> {
    /// As it is.
    Utf8 {
        /// What was read to look for a byte order mark, and is not one.
        head: Vec<u8>,
        /// The rest.
        file: R,
    },
    /// Decoded. Boxed for its size.
    Decoded(Box<Decoding<R>>),
}

/// The error inside an [`io::Error`] when bytes are not in the encoding.
#[derive(Debug, thiserror::Error)]
#[error("bytes that are not in the encoding")]
pub(super) struct Malformed;

pub(super) struct Decoding<R> {
    decoder: Decoder,
    file: R,
    input: Vec<u8>,
    start: usize,
    end: usize,
    last: bool,
    /// Text that did not fit into the caller's buffer (it may be smaller than one character).
    output: Vec<u8>,
    given: usize,
    malformed: bool,
    finished: bool,
}

impl<R: Read> Text<R> {
    /// Starts reading. A byte order mark decides; without one `label`; without that UTF-8.
    pub(super) fn new(mut file: R, label: Option<&str>) -> Result<Self, Problem> {
        let labelled = match label {
            Some(label) => Some(
                Encoding::for_label(label.trim().as_bytes())
                    .ok_or_else(|| Problem::UnknownEncoding(label.to_owned()))?,
            ),
            None => None,
        };
        let mut head = Vec::with_capacity(3);
        file.by_ref().take(3).read_to_end(&mut head).map_err(Problem::Read)?;
        let (encoding, mark) = Encoding::for_bom(&head).unwrap_or((labelled.unwrap_or(UTF_8), 0));
        head.drain(..mark);
        if encoding == UTF_8 {
            return Ok(Self::Utf8 { head, file });
        }
        let mut input = vec![0; BLOCK];
        input[..head.len()].copy_from_slice(&head);
        Ok(Self::Decoded(Box::new(Decoding {
            decoder: encoding.new_decoder_without_bom_handling(),
            file,
            input,
            start: 0,
            end: head.len(),
            last: false,
            output: Vec::with_capacity(BLOCK),
            given: 0,
            malformed: false,
            finished: false,
        })))
    }

    /// The encoding's name.
    pub(super) fn encoding(&self) -> &'static str {
        match self {
            Self::Utf8 { .. } => UTF_8.name(),
            Self::Decoded(decoding) => decoding.decoder.encoding().name(),
        }
    }

    /// Whether it has two bytes a character, in which NUL bytes are nothing special.
    pub(super) fn is_utf16(&self) -> bool {
        [UTF_16LE.name(), UTF_16BE.name()].contains(&self.encoding())
    }
}

impl<R: Read> Decoding<R> {
    /// Decodes the next piece into `output`, which is empty.
    fn fill(&mut self) -> io::Result<()> {
        if self.malformed {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Malformed));
        }
        if self.start == self.end && !self.last {
            self.start = 0;
            self.end = self.file.read(&mut self.input)?;
            self.last = self.end == 0;
        }
        self.output.resize(BLOCK, 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
            &self.input[self.start..self.end],
            &mut self.output,
            self.last,
        );
        self.output.truncate(written);
        self.start += read;
        match result {
            DecoderResult::Malformed(..) => self.malformed = true,
            DecoderResult::InputEmpty if self.last => self.finished = true,
            DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
        }
        Ok(())
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Utf8 { head, file } if head.is_empty() => file.read(buffer),
            Self::Utf8 { head, .. } => {
                let count = head.len().min(buffer.len());
                buffer[..count].copy_from_slice(&head[..count]);
                head.drain(..count);
                Ok(count)
            }
            Self::Decoded(decoding) => {
                while decoding.given == decoding.output.len() {
                    if decoding.finished {
                        return Ok(0);
                    }
                    decoding.output.clear();
                    decoding.given = 0;
                    decoding.fill()?;
                }
                let waiting = &decoding.output[decoding.given..];
                let count = waiting.len().min(buffer.len());
                buffer[..count].copy_from_slice(&waiting[..count]);
                decoding.given += count;
                Ok(count)
            }
        }
    }
}

/// A small text as UTF-8: UTF-16 by its byte order mark, otherwise UTF-8.
pub(crate) fn small_text(bytes: &[u8]) -> Option<String> {
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], label: Option<&str>) -> Result<String, String> {
        let mut text = Text::new(bytes, label).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        text.read_to_end(&mut out).map_err(|e| e.to_string())?;
        String::from_utf8(out).map_err(|e| e.to_string())
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn a_byte_order_mark_tells_the_encoding_and_is_no_text() {
        let long = "Zürich 東京 𝄞 ".repeat(20_000);
        assert_eq!(decode(format!("\u{feff}{long}").as_bytes(), None), Ok(long.clone()));
        assert_eq!(decode(&utf16(&format!("\u{feff}{long}"), u16::to_le_bytes), None), Ok(long.clone()));
        assert_eq!(decode(&utf16(&format!("\u{feff}{long}"), u16::to_be_bytes), Some("windows-1252")), Ok(long));
    }

    #[test]
    fn a_label_tells_it_otherwise() {
        assert_eq!(decode(b"Z\xfcrich \x80", Some("windows-1252")), Ok("Zürich €".to_owned()));
        assert_eq!(decode(&utf16("ab", u16::to_le_bytes), Some("utf-16le")), Ok("ab".to_owned()));
        assert_eq!(decode(b"a", Some("latin1")), Ok("a".to_owned()));
        assert_eq!(decode(b"", Some("shift_jis")), Ok(String::new()));
        assert!(decode(b"", Some("utf8mb4")).is_err_and(|e| e.contains("utf8mb4")));
    }

    #[test]
    fn what_comes_before_bad_bytes_is_still_given() {
        let mut text = Text::new(&b"abc\xff\xffdef"[..], Some("shift_jis")).expect("a known label");
        let mut buffer = [0; 64];
        assert_eq!(text.read(&mut buffer).expect("good text"), 3);
        assert!(
            text.read(&mut buffer)
                .is_err_and(|e| e.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Malformed>))
        );
    }

    #[test]
    fn a_utf16_file_cut_in_a_character_is_not_taken_for_whole() {
        let mut bytes = utf16("\u{feff}abc", u16::to_le_bytes);
        bytes.push(0x41);
        assert!(decode(&bytes, None).is_err());
    }
}
