//! Lists of any length, written as people's programs write them: for speed measurements and tests.

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, XlsxError};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// The columns that a list can have, in this order; `columns` of the functions below takes the first so many of them.
pub const COLUMNS: [&str; 8] = ["Name", "Email", "Reference", "Position", "Salary", "Start", "City", "Remote"];

const POSITIONS: [&str; 5] = ["Engineer", "Data Analyst", "Nurse", "Site Manager", "R&D Lead <EMEA>"];
const CITIES: [&str; 5] = ["Zürich", "Kraków", "São Paulo", "東京", "Porto"];

/// The address in a row, which is different in every one; rows count from 0.
pub fn address(row: u64) -> String {
    format!(
        "candidate{row:07}@{}",
        ["example.com", "example.org", "example.net"][usize::try_from(row % 3).unwrap_or(0)]
    )
}

fn text(column: &str, row: u64) -> String {
    let pick = |from: &[&str; 5]| from[usize::try_from(row % 5).unwrap_or(0)].to_owned();
    match column {
        "Name" => format!("Chloé Nguyễn {row}"),
        "Email" => address(row),
        "Reference" => format!("OF-2027-{row:07}"),
        "Position" => pick(&POSITIONS),
        "City" => pick(&CITIES),
        "Salary" => format!("{}", salary(row)),
        "Start" => format!("2027-{:02}-{:02}", 1 + row % 12, 1 + row % 28),
        _ => (if row.is_multiple_of(2) { "true" } else { "false" }).to_owned(),
    }
}

fn salary(row: u64) -> f64 {
    40_000.0 + 250.25 * (row % 200) as f64
}

/// Writes a workbook with one sheet: a header and `rows` rows of the first `columns` columns, texts as shared strings as Excel has them.
pub fn write_xlsx(path: &Path, rows: u64, columns: usize) -> Result<(), XlsxError> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet_with_low_memory()?;
    let date = Format::new().set_num_format("yyyy-mm-dd");
    for (column, name) in (0_u16..).zip(COLUMNS.iter().take(columns)) {
        sheet.write_string(0, column, *name)?;
    }
    for row in 0..rows {
        let line = u32::try_from(row + 1).unwrap_or(u32::MAX);
        for (column, name) in (0_u16..).zip(COLUMNS.iter().take(columns)) {
            match *name {
                "Salary" => sheet.write_number(line, column, salary(row))?,
                "Start" => {
                    let (month, day) = (1 + (row % 12) as u8, 1 + (row % 28) as u8);
                    sheet.write_datetime_with_format(line, column, ExcelDateTime::from_ymd(2027, month, day)?, &date)?
                }
                "Remote" => sheet.write_boolean(line, column, row.is_multiple_of(2))?,
                _ => sheet.write_string(line, column, text(name, row))?,
            };
        }
    }
    workbook.save(path)
}

/// Writes a CSV file: a header and `rows` rows of the first `columns` columns.
pub fn write_csv(path: &Path, rows: u64, columns: usize) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{}", COLUMNS[..columns.min(COLUMNS.len())].join(","))?;
    for row in 0..rows {
        for (column, name) in COLUMNS.iter().take(columns).enumerate() {
            let separator = if column == 0 { "" } else { "," };
            write!(file, "{separator}{}", text(name, row))?;
        }
        writeln!(file)?;
    }
    file.flush()
}

/// Writes an NDJSON file: `rows` objects of the first `columns` columns.
pub fn write_ndjson(path: &Path, rows: u64, columns: usize) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in 0..rows {
        for (column, name) in COLUMNS.iter().take(columns).enumerate() {
            let start = if column == 0 { '{' } else { ',' };
            let value = text(name, row);
            match *name {
                "Salary" | "Remote" => write!(file, "{start}\"{name}\":{value}")?,
                _ => write!(file, "{start}\"{name}\":\"{value}\"")?,
            }
        }
        writeln!(file, "}}")?;
    }
    file.flush()
}
