//! A list of recipients as a stream of rows: a workbook, a CSV file or NDJSON, one row in memory at a time.
//!
//! Nothing is dropped silently: a row is either blank, or it comes out of [`List::next_row`] with what is wrong with it. What makes the
//! whole list unreadable is an [`Error`]; then no further row comes.

mod csv;
mod decode;
mod error;
mod guard;
mod header;
mod ndjson;
mod records;
mod table;
mod value;
mod xlsx;

pub(crate) use decode::small_text;
pub use error::{Error, Problem};

use campaign::{
    EmailAddress, Fields,
    address::AddressError,
    spec::{ListFormat, Recipients},
};
use std::{path::PathBuf, sync::Arc};

/// Where a list is.
#[derive(Debug, Clone)]
pub struct ListFile {
    /// The file to read.
    pub path: PathBuf,
    /// What people call it: the key in the campaign's file. Its ending tells the format.
    pub display_name: String,
}

/// One row of a list that is not blank.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number as a spreadsheet shows it: the first row of a sheet or CSV file is 1, blank ones count. In NDJSON: the line.
    pub number: u64,
    /// In CSV: the line on which it starts, from 1.
    pub line: Option<u64>,
    /// Its values by column. A bad cell's text stands here too.
    pub fields: Fields,
    /// Whom it is for.
    pub recipient: Result<EmailAddress, AddressError>,
    /// What else is wrong with it, with the cell: `cell G17 holds #DIV/0!`. It can't be mailed then.
    pub trouble: Option<String>,
}

impl Row {
    /// Why this row can't be mailed, if so.
    pub fn problem(&self) -> Option<String> {
        let bad_address = || self.recipient.as_ref().err().map(ToString::to_string);
        self.trouble.clone().or_else(bad_address)
    }
}

/// Names the places of a list for people. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places {
    file: Arc<str>,
    sheet: Option<Arc<str>>,
    word: &'static str,
}

impl Places {
    /// The list, with its sheet: `offers.xlsx: sheet "Candidates"`.
    pub fn list(&self) -> String {
        match &self.sheet {
            Some(sheet) => format!("{}: sheet \"{sheet}\"", self.file),
            None => self.file.to_string(),
        }
    }

    /// A row: `offers.xlsx: sheet "Candidates" row 17`, `offers.csv: row 17 (line 19)`, `offers.ndjson: line 17`.
    pub fn row(&self, row: &Row) -> String {
        self.number(row.number, row.line)
    }

    pub(crate) fn number(&self, number: u64, line: Option<u64>) -> String {
        let gap = if self.sheet.is_some() { " " } else { ": " };
        let line = line.filter(|line| *line != number).map_or_else(String::new, |line| format!(" (line {line})"));
        format!("{}{gap}{} {number}{line}", self.list(), self.word)
    }
}

/// An open list.
pub struct List {
    rows: Rows,
    places: Places,
}

enum Rows {
    Table(table::Table),
    Objects(ndjson::Objects),
}

impl List {
    /// Opens a list and reads as far as its header.
    pub fn open(file: &ListFile, recipients: &Recipients) -> Result<Self, Error> {
        let places = |sheet, word| Places { file: file.display_name.as_str().into(), sheet, word };
        match format_of(&file.display_name, recipients)? {
            ListFormat::Xlsx => {
                let sheet = xlsx::Sheet::open(file, recipients.sheet.as_deref())?;
                let places = places(Some(sheet.name().into()), "row");
                let table = table::Table::start(table::Source::Sheet(sheet), recipients, &places)?;
                Ok(Self { rows: Rows::Table(table), places })
            }
            ListFormat::Csv => {
                let places = places(None, "row");
                let csv = csv::Csv::open(file, recipients, &places)?;
                let table = table::Table::start(table::Source::Csv(csv), recipients, &places)?;
                Ok(Self { rows: Rows::Table(table), places })
            }
            ListFormat::Ndjson => {
                let places = places(None, "line");
                let objects = ndjson::Objects::open(file, recipients, &places)?;
                Ok(Self { rows: Rows::Objects(objects), places })
            }
        }
    }

    /// The columns in the list's order. Of NDJSON: the keys of all objects read so far, in the order in which they came.
    pub fn columns(&self) -> &[String] {
        match &self.rows {
            Rows::Table(table) => table.columns(),
            Rows::Objects(objects) => objects.columns(),
        }
    }

    /// Whether [`List::columns`] is final; of NDJSON it is only after the last row.
    pub fn has_header(&self) -> bool {
        matches!(self.rows, Rows::Table(_))
    }

    /// The column with the addresses.
    pub fn email_column(&self) -> &str {
        match &self.rows {
            Rows::Table(table) => table.email_column(),
            Rows::Objects(objects) => objects.email_column(),
        }
    }

    /// Names its places.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The next row that is not blank.
    pub fn next_row(&mut self) -> Result<Option<Row>, Error> {
        match &mut self.rows {
            Rows::Table(table) => table.next_row(&self.places),
            Rows::Objects(objects) => objects.next_row(&self.places),
        }
    }
}

fn format_of(name: &str, recipients: &Recipients) -> Result<ListFormat, Error> {
    // An old workbook is opened as a new one, for the message that it gets there.
    let old_workbook = || name.to_ascii_lowercase().ends_with(".xls").then_some(ListFormat::Xlsx);
    let format = recipients.format.or_else(|| ListFormat::of_name(name)).or_else(old_workbook);
    format.ok_or_else(|| Error::at(name, Problem::UnknownFormat))
}
