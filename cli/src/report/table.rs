//! A table written row by row as .xlsx, .csv or .ndjson; memory does not grow with it.

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The rows a sheet can hold (ECMA-376; Excel's own limit).
const MAX_SHEET_ROWS: u32 = 1_048_576;

/// Why a report can't be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}: give --out a name that ends in .xlsx, .csv or .ndjson")]
    UnknownEnding(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Csv { path: PathBuf, source: csv::Error },
    #[error("{path}: {source}")]
    Xlsx { path: PathBuf, source: XlsxError },
    #[error("{0}: the list has more rows than a sheet can hold (1,048,576); give --out a name that ends in .csv")]
    TooManyRows(PathBuf),
}

/// A report being written: into a file of its own beside `path`, renamed when whole.
pub(crate) struct Table {
    path: PathBuf,
    partial: PathBuf,
    columns: Vec<String>,
    kind: Kind,
}

enum Kind {
    Xlsx(Box<Sheet>),
    Csv(Box<csv::Writer<File>>),
    Ndjson(BufWriter<File>),
}

struct Sheet {
    workbook: Workbook,
    next_row: u32,
    dates: DateFormats,
}

struct DateFormats {
    date: Format,
    date_time: Format,
    time: Format,
}

impl Table {
    /// Starts a table with these columns, in the format of the path's ending.
    pub(crate) fn create(path: &Path, columns: Vec<String>) -> Result<Self, Error> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let partial = path.with_extension("partial");
        let file =
            |partial: &Path| File::create(partial).map_err(|source| Error::Io { path: partial.to_owned(), source });
        let mut table = match ending.as_deref() {
            Some("xlsx") => {
                let kind = new_workbook().map_err(|source| Error::Xlsx { path: path.to_owned(), source })?;
                Self { path: path.into(), partial, columns, kind }
            }
            Some("csv") => {
                let kind = Kind::Csv(Box::new(csv::Writer::from_writer(file(&partial)?)));
                Self { path: path.into(), partial, columns, kind }
            }
            Some("ndjson" | "jsonl") => {
                let kind = Kind::Ndjson(BufWriter::new(file(&partial)?));
                Self { path: path.into(), partial, columns, kind }
            }
            _ => return Err(Error::UnknownEnding(path.to_owned())),
        };
        if !matches!(table.kind, Kind::Ndjson(_)) {
            let header: Vec<Value> = table.columns.iter().cloned().map(Value::from).collect();
            table.push(header, false)?;
        }
        Ok(table)
    }

    /// Adds a row, one value a column. With `dates`, ISO 8601 texts become Excel's dates.
    pub(crate) fn push(&mut self, values: Vec<Value>, dates: bool) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Xlsx(sheet) => {
                let Sheet { workbook, next_row, dates: formats } = sheet.as_mut();
                if *next_row >= MAX_SHEET_ROWS {
                    return Err(Error::TooManyRows(self.path.clone()));
                }
                let written = workbook.worksheet_from_index(0).and_then(|sheet| {
                    values.iter().zip(0..).try_for_each(|(value, column)| {
                        write_cell(sheet, *next_row, column, value, dates.then_some(formats))
                    })
                });
                *next_row += 1;
                written.map_err(|source| Error::Xlsx { path: self.path.clone(), source })
            }
            Kind::Csv(writer) => writer
                .write_record(values.iter().map(as_text))
                .map_err(|source| Error::Csv { path: self.partial.clone(), source }),
            Kind::Ndjson(writer) => {
                let object: Map<String, Value> = self.columns.iter().cloned().zip(values).collect();
                serde_json::to_writer(&mut *writer, &object)
                    .map_err(std::io::Error::from)
                    .and_then(|()| writer.write_all(b"\n"))
                    .map_err(|source| Error::Io { path: self.partial.clone(), source })
            }
        }
    }

    /// Completes the file under its own name.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.partial.clone(), source };
        match self.kind {
            Kind::Xlsx(mut sheet) => {
                sheet.workbook.save(&self.partial).map_err(|source| Error::Xlsx { path: self.path.clone(), source })?;
            }
            Kind::Csv(mut writer) => writer.flush().map_err(io)?,
            Kind::Ndjson(mut writer) => writer.flush().map_err(io)?,
        }
        std::fs::rename(&self.partial, &self.path).map_err(|source| Error::Io { path: self.path, source })
    }
}

fn new_workbook() -> Result<Kind, XlsxError> {
    let mut workbook = Workbook::new();
    workbook.add_worksheet_with_constant_memory()?;
    let format = |pattern: &str| Format::new().set_num_format(pattern);
    let dates =
        DateFormats { date: format("yyyy-mm-dd"), date_time: format("yyyy-mm-dd hh:mm:ss"), time: format("hh:mm:ss") };
    Ok(Kind::Xlsx(Box::new(Sheet { workbook, next_row: 0, dates })))
}

fn write_cell(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    value: &Value,
    dates: Option<&DateFormats>,
) -> Result<(), XlsxError> {
    match value {
        Value::Null => Ok(()),
        Value::Bool(value) => sheet.write_boolean(row, column, *value).map(drop),
        Value::Number(number) => sheet.write_number(row, column, number.as_f64().unwrap_or_default()).map(drop),
        Value::String(text) => match dates.and_then(|formats| as_date(text, formats)) {
            Some((date, format)) => sheet.write_datetime_with_format(row, column, &date, format).map(drop),
            None => sheet.write_string(row, column, text.as_str()).map(drop),
        },
        nested => sheet.write_string(row, column, nested.to_string()).map(drop),
    }
}

/// The Excel date that a text in the list's own ISO form stands for.
fn as_date<'a>(text: &str, formats: &'a DateFormats) -> Option<(ExcelDateTime, &'a Format)> {
    let format = match (text.len(), text.as_bytes().get(4), text.as_bytes().get(2)) {
        (10, Some(b'-'), _) => &formats.date,
        (19.., Some(b'-'), _) => &formats.date_time,
        (8, _, Some(b':')) => &formats.time,
        _ => return None,
    };
    ExcelDateTime::parse_from_str(text).ok().map(|date| (date, format))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
