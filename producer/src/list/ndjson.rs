//! NDJSON: one JSON object a line, nested values kept.
//!
//! A blank line is skipped. A line that is no object can't be mailed and says why; the others can. Objects may have different keys, so the
//! columns are known for certain after the last line only.

use super::{
    Error, ListFile, Places, Problem, Row,
    header::{SEARCHED_ROWS, is_email_column, no_email_column},
    table::recipient,
};
use campaign::{Fields, address::AddressError, spec::Recipients};
use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::{BufRead, BufReader, Read},
};

/// The longest line, in bytes.
const LONGEST: usize = 8 * 1024 * 1024;
/// Keys that are remembered as columns; objects with ever new keys must not fill the memory.
const MOST_COLUMNS: usize = 16_384;

/// An open NDJSON file.
pub(super) struct Objects {
    input: BufReader<File>,
    bytes: Vec<u8>,
    line: u64,
    email_column: String,
    columns: Vec<String>,
    known: HashSet<String>,
    /// Lines read while looking for the address column.
    ahead: VecDeque<Line>,
}

struct Line {
    number: u64,
    fields: Result<Fields, String>,
}

impl Objects {
    pub(super) fn open(file: &ListFile, recipients: &Recipients, places: &Places) -> Result<Self, Error> {
        let opened = File::open(&file.path).map_err(|error| Error::read(places.list(), error))?;
        let mut objects = Self {
            input: BufReader::with_capacity(64 * 1024, opened),
            bytes: Vec::new(),
            line: 0,
            email_column: String::new(),
            columns: Vec::new(),
            known: HashSet::new(),
            ahead: VecDeque::new(),
        };
        objects.find_email_column(recipients.email_column.as_deref(), places)?;
        Ok(objects)
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn email_column(&self) -> &str {
        &self.email_column
    }

    /// The first key named like the address column in the first objects.
    fn find_email_column(&mut self, wanted: Option<&str>, places: &Places) -> Result<(), Error> {
        while self.ahead.len() < SEARCHED_ROWS
            && let Some(line) = self.read(places)?
        {
            let found = line.fields.iter().flat_map(Fields::keys).find(|key| is_email_column(key, wanted)).cloned();
            self.ahead.push_back(line);
            if let Some(found) = found {
                self.email_column = found;
                return Ok(());
            }
        }
        let problem = match self.ahead.front() {
            None => Problem::Empty("it has no line with an object"),
            Some(Line { fields: Err(why), .. }) if self.ahead.iter().all(|line| line.fields.is_err()) => {
                Problem::Damaged(format!("its first line {why}"))
            }
            Some(_) => no_email_column(wanted, self.columns.clone()),
        };
        Err(Error::at(places.list(), problem))
    }

    pub(super) fn next_row(&mut self, places: &Places) -> Result<Option<Row>, Error> {
        let line = match self.ahead.pop_front() {
            Some(line) => line,
            None => match self.read(places)? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        let (fields, trouble) = match line.fields {
            Ok(fields) => (fields, None),
            Err(why) => (Fields::new(), Some(why)),
        };
        let recipient = match &trouble {
            None => recipient(fields.get(&self.email_column)),
            Some(_) => Err(AddressError::Empty),
        };
        Ok(Some(Row { number: line.number, line: None, fields, recipient, trouble }))
    }

    /// The next line that is not blank.
    fn read(&mut self, places: &Places) -> Result<Option<Line>, Error> {
        loop {
            self.line += 1;
            let whole = self.read_bytes().map_err(|error| Error::read(places.list(), error))?;
            if self.bytes.is_empty() {
                return Ok(None);
            }
            let mark = if self.line == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            let bytes = self.bytes[mark..].trim_ascii();
            if bytes.is_empty() {
                continue;
            }
            let fields = if whole {
                serde_json::from_slice::<Fields>(bytes).map_err(|error| not_an_object(&error))
            } else {
                Err(format!("is longer than {} MiB", LONGEST / 1024 / 1024))
            };
            let number = self.line;
            if let Ok(fields) = &fields {
                self.note_columns(fields);
            }
            return Ok(Some(Line { number, fields }));
        }
    }

    /// Reads a line into `bytes`; of one that is too long only the beginning, and false.
    fn read_bytes(&mut self) -> std::io::Result<bool> {
        self.bytes.clear();
        let count = self.input.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut self.bytes)?;
        if count <= LONGEST || self.bytes.ends_with(b"\n") {
            return Ok(true);
        }
        self.bytes.truncate(1024);
        self.bytes.push(b'x');
        self.input.skip_until(b'\n')?;
        Ok(false)
    }

    fn note_columns(&mut self, fields: &Fields) {
        for key in fields.keys() {
            if self.known.len() < MOST_COLUMNS && !self.known.contains(key) {
                self.known.insert(key.clone());
                self.columns.push(key.clone());
            }
        }
    }
}

fn not_an_object(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // serde_json counts lines within the text it was given, which is one line: only its column tells something.
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("is no JSON object: {what}, column {}", error.column())
}
