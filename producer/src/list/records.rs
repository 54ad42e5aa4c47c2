//! Text with separators cut into records (RFC 4180), strictly enough that no row is ever lost.
//!
//! Unlike common readers this one does not take an unclosed quotation mark as a value that goes on to the end of the file: that would
//! swallow every recipient in between without a word.

use memchr::{memchr, memchr3};
use std::io::{self, Read};

const BLOCK: usize = 64 * 1024;
/// The largest record, in bytes.
pub(super) const LARGEST: usize = 8 * 1024 * 1024;

/// One record; kept and filled anew.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The values one after the other, without separators.
    text: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
    /// The line on which it starts, from 1.
    pub(super) line: u64,
    /// Text stood after a closing quotation mark: `"Bob" Smith`.
    pub(super) loose_quote: bool,
}

impl Record {
    /// The values; none for one that is not UTF-8.
    pub(super) fn values(&self) -> impl Iterator<Item = Option<&str>> {
        let text = std::str::from_utf8(&self.text).ok();
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(move |(start, end)| text?.get(start..*end))
    }
}

/// Why the records end early.
#[derive(Debug)]
pub(super) enum Broken {
    /// Reading failed.
    Read(io::Error),
    /// A quotation mark opened in this line is never closed.
    Unclosed {
        /// From 1.
        line: u64,
    },
    /// A quoted value went over lines and text followed its closing mark.
    TextAfterQuote {
        /// Where it opened, from 1.
        opened: u64,
        /// Where it closed.
        closed: u64,
    },
    /// More than [`LARGEST`].
    Long,
}

/// Cuts records.
pub(super) struct Records<R> {
    input: R,
    separator: u8,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    line: u64,
}

/// What ended a value.
enum End {
    Value,
    Record,
}

impl<R: Read> Records<R> {
    /// Records of `input` with this separator, a byte of ASCII.
    pub(super) fn new(input: R, separator: u8) -> Self {
        Self { input, separator, buffer: vec![0; BLOCK].into_boxed_slice(), start: 0, end: 0, line: 1 }
    }

    /// Reads the next record, a blank line too (one empty value). False at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, Broken> {
        record.text.clear();
        record.ends.clear();
        record.line = self.line;
        record.loose_quote = false;
        if self.peek()?.is_none() {
            return Ok(false);
        }
        loop {
            let end = match self.peek()? {
                Some(b'"') => self.quoted(record)?,
                _ => self.plain(record)?,
            };
            record.ends.push(record.text.len());
            if matches!(end, End::Record) {
                return Ok(true);
            }
        }
    }

    /// The next byte, not taken.
    fn peek(&mut self) -> Result<Option<u8>, Broken> {
        if self.start == self.end {
            self.start = 0;
            self.end = loop {
                match self.input.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.end = 0;
                        return Err(Broken::Read(error));
                    }
                    Ok(count) => break count,
                }
            };
        }
        Ok(self.buffer[self.start..self.end].first().copied())
    }

    /// Takes a value up to the separator or the end of the line.
    fn plain(&mut self, record: &mut Record) -> Result<End, Broken> {
        while self.peek()?.is_some() {
            let waiting = &self.buffer[self.start..self.end];
            let stop = memchr3(self.separator, b'\n', b'\r', waiting);
            let taken = stop.unwrap_or(waiting.len());
            append(&mut record.text, &waiting[..taken])?;
            self.start += taken;
            if stop.is_some() {
                return self.terminator();
            }
        }
        Ok(End::Record)
    }

    /// Takes a separator or a line's end, of which one is next.
    fn terminator(&mut self) -> Result<End, Broken> {
        let byte = self.buffer[self.start];
        self.start += 1;
        if byte == self.separator {
            return Ok(End::Value);
        }
        self.line += 1;
        if byte == b'\r' && self.peek()? == Some(b'\n') {
            self.start += 1;
        }
        Ok(End::Record)
    }

    /// Takes a value in quotation marks and what ends it.
    fn quoted(&mut self, record: &mut Record) -> Result<End, Broken> {
        let opened = self.line;
        self.start += 1;
        loop {
            if self.peek()?.is_none() {
                return Err(Broken::Unclosed { line: opened });
            }
            let waiting = &self.buffer[self.start..self.end];
            let stop = memchr(b'"', waiting);
            let taken = &waiting[..stop.unwrap_or(waiting.len())];
            self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
            append(&mut record.text, taken)?;
            self.start += taken.len();
            if stop.is_none() {
                continue;
            }
            self.start += 1;
            match self.peek()? {
                None => return Ok(End::Record),
                Some(b'"') => {
                    record.text.push(b'"');
                    self.start += 1;
                }
                Some(byte) if byte == self.separator || byte == b'\n' || byte == b'\r' => return self.terminator(),
                Some(_) if self.line != opened => {
                    return Err(Broken::TextAfterQuote { opened, closed: self.line });
                }
                Some(_) => {
                    record.loose_quote = true;
                    return self.plain(record);
                }
            }
        }
    }
}

fn append(text: &mut Vec<u8>, more: &[u8]) -> Result<(), Broken> {
    if text.len() + more.len() > LARGEST {
        return Err(Broken::Long);
    }
    text.extend_from_slice(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, so that everything falls on a buffer's edge.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn all(mut records: Records<impl Read>) -> Result<Vec<(u64, Vec<String>)>, Broken> {
        let (mut record, mut found) = (Record::default(), Vec::new());
        while records.read(&mut record)? {
            found.push((record.line, record.values().map(|v| v.expect("UTF-8").to_owned()).collect()));
        }
        Ok(found)
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &[&str])]) {
        let expected: Vec<(u64, Vec<String>)> =
            expected.iter().map(|(line, values)| (*line, values.iter().map(|v| (*v).to_owned()).collect())).collect();
        assert_eq!(all(Records::new(text.as_bytes(), b',')).expect("good"), expected);
        assert_eq!(all(Records::new(Drip(text.as_bytes()), b',')).expect("good"), expected, "a byte at a time");
    }

    #[test]
    fn values_are_cut_at_separators_and_line_ends_of_every_kind() {
        check("a,b\nc,d\n", &[(1, &["a", "b"]), (2, &["c", "d"])]);
        check("a,b\r\nc,d", &[(1, &["a", "b"]), (2, &["c", "d"])]);
        check("a\rb\r", &[(1, &["a"]), (2, &["b"])]);
        check("", &[]);
        check(",\n", &[(1, &["", ""])]);
        check("a,", &[(1, &["a", ""])]);
    }

    #[test]
    fn blank_lines_are_records_so_that_rows_keep_their_numbers() {
        check("a\n\n\r\nb\n", &[(1, &["a"]), (2, &[""]), (3, &[""]), (4, &["b"])]);
    }

    #[test]
    fn quoted_values_hold_separators_line_breaks_and_quotation_marks() {
        check("\"a,b\",\"c\nd\"\r\n\"say \"\"hi\"\"\",\n", &[(1, &["a,b", "c\nd"]), (3, &["say \"hi\"", ""])]);
        check("\"a\"", &[(1, &["a"])]);
        check("\"\"\n", &[(1, &[""])]);
        check("5\" pipe,b\n", &[(1, &["5\" pipe", "b"])]);
    }

    #[test]
    fn an_unclosed_quotation_mark_is_an_error_with_its_line_and_swallows_nothing() {
        let broken = all(Records::new(&b"a,b\n\"c,d\ne,f\n"[..], b',')).expect_err("unclosed");
        assert!(matches!(broken, Broken::Unclosed { line: 2 }));
        let broken = all(Records::new(&b"a,b\n\"c,d\ne,\"f\"\n"[..], b',')).expect_err("closed in the wrong place");
        assert!(matches!(broken, Broken::TextAfterQuote { opened: 2, closed: 3 }));
    }

    #[test]
    fn text_after_a_closing_mark_in_the_same_line_is_noted() {
        let mut records = Records::new(&b"\"Bob\" Smith,b\nc,d\n"[..], b',');
        let mut record = Record::default();
        assert!(records.read(&mut record).expect("readable") && record.loose_quote);
        assert!(records.read(&mut record).expect("readable") && !record.loose_quote);
    }

    #[test]
    fn bytes_that_are_only_whole_together_are_not_text() {
        let mut records = Records::new(&b"\xc3,\xa4\n"[..], b',');
        let mut record = Record::default();
        assert!(records.read(&mut record).expect("readable"));
        assert!(record.values().all(|value| value.is_none()));
    }

    #[test]
    fn a_record_without_end_does_not_fill_the_memory() {
        let broken = all(Records::new(io::repeat(b'x'), b',')).expect_err("endless");
        assert!(matches!(broken, Broken::Long));
    }
}
