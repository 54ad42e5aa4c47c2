//! CSV files: separator and encoding found out, rows numbered as a spreadsheet shows them.
//!
//! Values stay text, for a telephone number or a postcode begins with 0. A row that is shorter than the header ends in empty cells; one
//! that is longer can't be mailed, for nobody knows which of its values is which.

use super::{
    Error, ListFile, Places, Problem,
    decode::{Malformed, Text},
    header::{SEARCHED_ROWS, is_email_column},
    records::{Broken, LARGEST, Record, Records},
    table::Cells,
};
use campaign::spec::Recipients;
use serde_json::Value;
use std::{
    fs::File,
    io::{Chain, Cursor, Read},
};

const SEPARATORS: [u8; 4] = *b",;\t|";
const HEAD: u64 = 64 * 1024;

/// An open CSV file.
pub(super) struct Csv {
    records: Records<Chain<Cursor<Vec<u8>>, Text<File>>>,
    record: Record,
    encoding: &'static str,
    row: u64,
}

impl Csv {
    pub(super) fn open(file: &ListFile, recipients: &Recipients, places: &Places) -> Result<Self, Error> {
        let wrong = |problem| Error::at(places.list(), problem);
        let opened = File::open(&file.path).map_err(|error| Error::read(places.list(), error))?;
        let mut text = Text::new(opened, recipients.encoding.as_deref()).map_err(wrong)?;
        let encoding = text.encoding();
        let mut head = Vec::new();
        // Bytes that are not in the encoding come up again when their row is read.
        if let Err(error) = text.by_ref().take(HEAD).read_to_end(&mut head)
            && !is_malformed(&error)
        {
            return Err(wrong(Problem::Read(error)));
        }
        if head.is_empty() {
            return Err(wrong(Problem::Empty("the file has no content")));
        }
        if let Some(problem) = not_csv(&head, text.is_utf16()) {
            return Err(wrong(problem));
        }
        let separator = separator(&head, recipients.email_column.as_deref());
        let records = Records::new(Cursor::new(head).chain(text), separator);
        Ok(Self { records, record: Record::default(), encoding, row: 0 })
    }

    /// Reads the next row, blank or not. False at the end.
    pub(super) fn read(&mut self, cells: &mut Cells, places: &Places) -> Result<bool, Error> {
        self.row += 1;
        let more = self.records.read(&mut self.record).map_err(|broken| self.broken(broken, places))?;
        if !more {
            return Ok(false);
        }
        cells.start(self.row, Some(self.record.line));
        for value in self.record.values() {
            let text = value.ok_or_else(|| self.not_text(places))?;
            cells.values.push(if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) });
        }
        if self.record.loose_quote {
            cells.note(|| {
                "has text after a closing quotation mark; write \"\" for a quotation mark inside a value".to_owned()
            });
        }
        Ok(true)
    }

    fn broken(&self, broken: Broken, places: &Places) -> Error {
        let at_line = |line| places.number(self.row, Some(line));
        match broken {
            Broken::Read(error) if is_malformed(&error) => self.not_text(places),
            Broken::Read(error) => Error::read(places.list(), error),
            Broken::Unclosed { line } => Error::at(at_line(line), Problem::UnclosedQuote),
            Broken::TextAfterQuote { opened, closed } => {
                Error::at(at_line(opened), Problem::TextAfterQuote { line: closed })
            }
            Broken::Long => Error::at(at_line(self.record.line), Problem::LongRow(LARGEST / 1024 / 1024)),
        }
    }

    fn not_text(&self, places: &Places) -> Error {
        let advice = match self.encoding {
            "UTF-8" => "set spec.recipients.encoding, for a file from Excel mostly to windows-1252",
            _ => "set spec.recipients.encoding to the one that it has",
        };
        let problem = Problem::NotText { encoding: self.encoding, advice };
        Error::at(places.number(self.row, Some(self.record.line)), problem)
    }
}

fn is_malformed(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Malformed>)
}

/// What the file is instead, if its first bytes tell.
fn not_csv(head: &[u8], is_utf16: bool) -> Option<Problem> {
    let wrong = |what, advice| Some(Problem::WrongFormat { wanted: "a CSV file", what, advice });
    if head.starts_with(b"PK\x03\x04") {
        return wrong("it looks like an Excel workbook", "set spec.recipients.format to Xlsx");
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return wrong(
            "it looks like an old Excel workbook (.xls)",
            "save it as .xlsx and set spec.recipients.format to Xlsx",
        );
    }
    if head.contains(&0) && !is_utf16 {
        return wrong("it has NUL bytes in it", "if it is UTF-16 text, set spec.recipients.encoding to utf-16le");
    }
    None
}

/// The separator with which the first rows hold the address column; of several the one that makes most columns. If none does, the one
/// that is most frequent in the first row.
fn separator(head: &[u8], wanted: Option<&str>) -> u8 {
    let by_header = SEPARATORS.map(|separator| (separator, columns_of_header(head, separator, wanted)));
    let best = |counts: [(u8, usize); 4]| {
        counts.into_iter().rev().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0)
    };
    let by_count = || SEPARATORS.map(|separator| (separator, columns_of_first_row(head, separator) - 1));
    best(by_header).or_else(|| best(by_count())).map_or(b',', |(separator, _)| separator)
}

fn columns_of_header(head: &[u8], separator: u8, wanted: Option<&str>) -> usize {
    let mut records = Records::new(head, separator);
    let mut record = Record::default();
    let mut rows = 0;
    while rows < SEARCHED_ROWS && records.read(&mut record).unwrap_or(false) {
        if record.values().flatten().any(|name| is_email_column(name.trim(), wanted)) {
            return record.values().count();
        }
        rows += usize::from(record.values().flatten().any(|value| !value.trim().is_empty()));
    }
    0
}

fn columns_of_first_row(head: &[u8], separator: u8) -> usize {
    let mut records = Records::new(head, separator);
    let mut record = Record::default();
    while records.read(&mut record).unwrap_or(false) {
        if record.values().flatten().any(|value| !value.trim().is_empty()) {
            return record.values().count().max(1);
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_the_one_that_finds_the_address_column() {
        for (text, expected) in [
            ("Name,Email\n", b','),
            ("Name;Email;Notes, please\n", b';'),
            ("Name\tEmail\n", b'\t'),
            ("Name|e-mail\n", b'|'),
            ("Offers, 2027, all\n\nName;\"MAIL\"\n", b';'),
            ("\"a;b;c;d\",Email\n", b','),
            ("Email\n", b','),
        ] {
            assert_eq!(char::from(separator(text.as_bytes(), None)), char::from(expected), "{text}");
        }
        assert_eq!(separator(b"Name;Adresse\n", Some("Adresse")), b';');
    }

    #[test]
    fn without_an_address_column_it_is_the_most_frequent_one() {
        assert_eq!(separator(b"Name;Adresse;Stadt, Land\n", None), b';');
        assert_eq!(separator(b"", None), b',');
    }
}
