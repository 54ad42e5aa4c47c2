//! Rows of cells, from a sheet or a CSV file, become rows of named values.

use super::{
    Error, Places, Problem, Row,
    csv::Csv,
    header::{Header, Search},
    xlsx::Sheet,
};
use campaign::{EmailAddress, address::AddressError, spec::Recipients};
use serde_json::Value;

/// A row before its cells have names. Kept and filled anew for each row.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// See [`Row::number`].
    pub(super) number: u64,
    /// See [`Row::line`].
    pub(super) line: Option<u64>,
    /// From the first column on.
    pub(super) values: Vec<Value>,
    /// See [`Row::trouble`].
    pub(super) trouble: Option<String>,
}

impl Cells {
    /// Empties it for the next row.
    pub(super) fn start(&mut self, number: u64, line: Option<u64>) {
        self.number = number;
        self.line = line;
        self.values.clear();
        self.trouble = None;
    }

    /// Notes what is wrong, unless something was noted before.
    pub(super) fn note(&mut self, trouble: impl FnOnce() -> String) {
        if self.trouble.is_none() {
            self.trouble = Some(trouble());
        }
    }
}

/// Where the cells come from.
pub(super) enum Source {
    /// A sheet of a workbook.
    Sheet(Sheet),
    /// A CSV file.
    Csv(Csv),
}

impl Source {
    fn read(&mut self, cells: &mut Cells, places: &Places) -> Result<bool, Error> {
        match self {
            Self::Sheet(sheet) => sheet.read(cells),
            Self::Csv(csv) => csv.read(cells, places),
        }
    }
}

/// A table below its header.
pub(super) struct Table {
    source: Source,
    header: Header,
    cells: Cells,
    rows: u64,
}

impl Table {
    /// Reads as far as the header.
    pub(super) fn start(mut source: Source, recipients: &Recipients, places: &Places) -> Result<Self, Error> {
        let mut search = Search::new(recipients.email_column.as_deref());
        let mut cells = Cells::default();
        while !search.is_over() && source.read(&mut cells, places)? {
            if let Some(header) = search.look_at(&cells.values, &places.list())? {
                if let Source::Sheet(sheet) = &mut source {
                    sheet.only_columns(header.width());
                }
                return Ok(Self { source, header, cells, rows: 0 });
            }
        }
        Err(Error::at(places.list(), search.failed()))
    }

    pub(super) fn columns(&self) -> &[String] {
        self.header.names()
    }

    pub(super) fn email_column(&self) -> &str {
        &self.header.names()[self.header.email()]
    }

    pub(super) fn next_row(&mut self, places: &Places) -> Result<Option<Row>, Error> {
        while self.source.read(&mut self.cells, places)? {
            if !self.cells.values.iter().all(is_blank) {
                self.rows += 1;
                return Ok(Some(self.row()));
            }
        }
        if self.rows == 0 {
            return Err(Error::at(places.list(), Problem::Empty("it has a header and no row under it")));
        }
        Ok(None)
    }

    fn row(&mut self) -> Row {
        let width = self.header.width();
        let values = &mut self.cells.values;
        if values.len() > width && !values[width..].iter().all(is_blank) {
            let count = values.len();
            self.cells.note(|| {
                format!("has {count} values for {width} columns; a value with the separator in it must stand in quotation marks")
            });
        }
        let recipient = recipient(self.cells.values.get(self.header.email()));
        Row {
            number: self.cells.number,
            line: self.cells.line,
            fields: self.header.fields(&mut self.cells.values),
            recipient,
            trouble: self.cells.trouble.take(),
        }
    }
}

/// The address in a value.
pub(super) fn recipient(value: Option<&Value>) -> Result<EmailAddress, AddressError> {
    match value {
        None | Some(Value::Null) => Err(AddressError::Empty),
        Some(Value::String(text)) => EmailAddress::parse(text),
        Some(other) => EmailAddress::parse(&other.to_string()),
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}
