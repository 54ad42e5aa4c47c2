//! Cells of a workbook as values for templates.
//!
//! Whole numbers become integers, decimals are rounded to the 15 digits that Excel keeps, dates and times become ISO 8601 text, an empty cell null.

use calamine::{DataRef, ExcelDateTime};
use jiff::civil::{Date, Time, date};
use serde_json::Value;

const DAY_MILLIS: i64 = 86_400_000;
/// The day after 9999-12-31, as a serial number of the 1900 system.
const END_OF_TIME: f64 = 2_958_466.0;
/// Days by which the 1904 system lags behind the 1900 system.
const DAYS_1904: i64 = 1462;

/// The value of a cell.
///
/// # Errors
/// Why a row with this cell can't be mailed: `holds #DIV/0!`.
pub(super) fn of_cell(cell: &DataRef<'_>, is_1904: bool) -> Result<Value, String> {
    match cell {
        DataRef::Empty => Ok(Value::Null),
        DataRef::SharedString(text) => Ok(of_text(text)),
        DataRef::String(text) | DataRef::DurationIso(text) => Ok(of_text(text)),
        DataRef::Float(number) => Ok(of_number(*number)),
        DataRef::Int(number) => Ok(Value::from(*number)),
        DataRef::Bool(value) => Ok(Value::Bool(*value)),
        DataRef::DateTimeIso(text) => Ok(of_text(without_midnight(text))),
        DataRef::DateTime(serial) if serial.is_duration() => of_duration(serial.as_f64()),
        DataRef::DateTime(serial) => of_serial(serial, is_1904),
        DataRef::Error(error) => Err(format!("holds {error}")),
    }
}

fn of_text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) }
}

fn without_midnight(text: &str) -> &str {
    let Some((day, time)) = text.split_once('T') else { return text };
    if time.trim_end_matches('Z').bytes().all(|byte| matches!(byte, b'0' | b':' | b'.')) { day } else { text }
}

/// A number as Excel shows it: whole ones without a fraction, others to 15 significant digits.
pub(super) fn of_number(number: f64) -> Value {
    const EXACT: f64 = 1e15;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
        return Value::from(number as i64);
    }
    let rounded = rounded_to_15_digits(number);
    if rounded.fract() == 0.0 && rounded.abs() < 9.2e18 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within i64")]
        return Value::from(rounded as i64);
    }
    serde_json::Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

fn rounded_to_15_digits(number: f64) -> f64 {
    // Most decimals in lists are money: no more than four places, and then the number is what it seems to be.
    let scaled = (number * 1e4).round();
    #[expect(clippy::float_cmp, reason = "exactly this number or not")]
    if scaled.abs() < 1e15 && scaled / 1e4 == number {
        return number;
    }
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// A date, a time, or both. Only the time if there is no day (0 ≤ serial < 1), only the date at midnight.
fn of_serial(serial: &ExcelDateTime, is_1904: bool) -> Result<Value, String> {
    let number = serial.as_f64();
    let last = if is_1904 { END_OF_TIME - 1462.0 } else { END_OF_TIME };
    if !(0.0..last).contains(&number) {
        return Err(format!("is formatted as a date and holds {number}, which is none"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 3e6 days")]
    let millis = (number * 86_400_000.0).round() as i64;
    let (day, millis) = (millis / DAY_MILLIS, millis % DAY_MILLIS);
    if day == 0 {
        return Ok(Value::String(time_of(millis).to_string()));
    }
    let mut text = if is_1904 { date_of(day + DAYS_1904) } else { date_of(day) };
    if millis != 0 {
        text.push('T');
        text.push_str(&time_of(millis).to_string());
    }
    Ok(Value::String(text))
}

/// The date of a serial number of the 1900 system, in which 1900 counts as a leap year: day 60 is 1900-02-29, which never was.
fn date_of(day: i64) -> String {
    if day == 60 {
        return "1900-02-29".to_owned();
    }
    let epoch: Date = if day < 60 { date(1899, 12, 31) } else { date(1899, 12, 30) };
    epoch.checked_add(jiff::Span::new().days(day)).map_or_else(|_| day.to_string(), |date| date.to_string())
}

fn time_of(millis: i64) -> Time {
    Time::midnight().wrapping_add(jiff::SignedDuration::from_millis(millis))
}

/// A length of time, as `[h]:mm:ss` shows it.
fn of_duration(days: f64) -> Result<Value, String> {
    if !days.is_finite() || days.abs() >= END_OF_TIME {
        return Err(format!("is formatted as a length of time and holds {days}, which is none"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 3e6 days")]
    let seconds = (days * 86_400.0).round() as i64;
    let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
    Ok(Value::String(format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)))
}

/// The letters of a column, 0 is A.
pub(super) fn column_letters(column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        letters.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest - 1) % 26]));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{CellErrorType, ExcelDateTimeType};
    use serde_json::json;

    fn serial(value: f64, is_1904: bool) -> Result<Value, String> {
        of_cell(&DataRef::DateTime(ExcelDateTime::new(value, ExcelDateTimeType::DateTime, is_1904)), is_1904)
    }

    #[test]
    fn whole_numbers_have_no_fraction_and_decimals_fifteen_digits() {
        for (number, shown) in [
            (67000.0, "67000"),
            (-3.0, "-3"),
            (0.0, "0"),
            (-0.0, "0"),
            (88250.25, "88250.25"),
            (0.1 + 0.2, "0.3"),
            (1.1 * 3.0, "3.3"),
            (1.0 / 3.0, "0.333333333333333"),
            (12_345_678_901_234_568.0, "12345678901234600"),
            (1e300, "1e+300"),
            (2.5e-7, "2.5e-7"),
        ] {
            assert_eq!(of_number(number).to_string(), shown);
        }
    }

    #[test]
    fn dates_and_times_are_iso_text_in_both_date_systems() {
        for (value, shown) in [
            (46_435.0, "2027-02-17"),
            (46_435.395_833_333_336, "2027-02-17T09:30:00"),
            (0.395_833_333_3, "09:30:00"),
            (0.0, "00:00:00"),
            (45_943.541, "2025-10-13T12:59:02.4"),
            (1.0, "1900-01-01"),
            (59.0, "1900-02-28"),
            (60.0, "1900-02-29"),
            (61.0, "1900-03-01"),
            (45_943.999_999_999_9, "2025-10-14"),
            (2_958_465.0, "9999-12-31"),
        ] {
            assert_eq!(serial(value, false), Ok(json!(shown)), "{value}");
        }
        assert_eq!(serial(46_435.0 - 1462.0, true), Ok(json!("2027-02-17")));
        assert_eq!(serial(0.5, true), Ok(json!("12:00:00")));
    }

    #[test]
    fn a_number_that_is_no_date_makes_the_cell_bad_and_so_does_an_error() {
        for value in [-1.0, 2_958_466.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(serial(value, false).is_err(), "{value}");
            assert!(of_duration(value * 1e10).is_err(), "{value}");
        }
        assert_eq!(of_cell(&DataRef::Error(CellErrorType::Div0), false), Err("holds #DIV/0!".to_owned()));
    }

    #[test]
    fn a_length_of_time_may_have_more_than_a_day_of_hours() {
        assert_eq!(of_duration(27.5 / 24.0), Ok(json!("27:30:00")));
        assert_eq!(of_duration(-0.5), Ok(json!("-12:00:00")));
    }

    #[test]
    fn an_iso_date_loses_its_midnight_only() {
        assert_eq!(without_midnight("2027-02-17T00:00:00"), "2027-02-17");
        assert_eq!(without_midnight("2027-02-17T00:00:01"), "2027-02-17T00:00:01");
        assert_eq!(without_midnight("2027-02-17"), "2027-02-17");
    }

    #[test]
    fn columns_have_the_letters_that_a_spreadsheet_shows() {
        for (column, letters) in [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (16383, "XFD")] {
            assert_eq!(column_letters(column), letters);
        }
    }
}
