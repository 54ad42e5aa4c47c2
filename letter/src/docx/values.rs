//! How values are written into a document, and the filter behind `MERGEFIELD`.

use super::{
    field::{FILTER, Field},
    picture,
};
use crate::{
    number::Decimal,
    template::{Engine, TemplateError},
};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};

/// The campaign's template language with values written as XML text.
pub(super) fn environment(engine: &Engine, fields: Vec<Field>) -> Environment<'static> {
    let mut environment = engine.environment().clone();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(write);
    // A value is never markup, whatever a template says of it.
    environment.add_filter("safe", |value: Value| value);
    environment.add_filter(FILTER, move |state: &mut State<'_, '_>, value: Value, number: usize| {
        match fields.get(number) {
            Some(field) => merged(state, field, &value),
            None => Err(Error::new(ErrorKind::InvalidOperation, "no such merge field")),
        }
    });
    environment
}

/// Writes a value with `& < > " '` as references. What XML 1.0 doesn't allow is left out, with it the marks of a program.
fn write(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => write_text(out, text, value.is_safe())?,
        None if value.is_number() => write!(out, "{value}")?,
        None => write_text(out, &value.to_string(), false)?,
    }
    Ok(())
}

/// Line feed, carriage return, tab, and vertical tab and form feed, which become breaks.
fn is_kept(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{c}') || !matches!(c, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

fn write_text(out: &mut Output<'_>, text: &str, is_escaped: bool) -> std::fmt::Result {
    let mut written = 0;
    // Every character of interest is one of these octets, or begins with the last.
    let octets = text
        .bytes()
        .enumerate()
        .filter(|&(_, octet)| octet < 0x20 || matches!(octet, b'&' | b'<' | b'>' | b'"' | b'\'' | 0xef));
    for (at, octet) in octets {
        let reference = match octet {
            b'&' if !is_escaped => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => match text[at..].chars().next() {
                Some(c) if !is_kept(c) => "",
                _ => continue,
            },
        };
        out.write_str(&text[written..at])?;
        out.write_str(reference)?;
        written = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    out.write_str(&text[written..])
}

/// The value of a merge field, as its switches want it.
fn merged(state: &mut State<'_, '_>, field: &Field, value: &Value) -> Result<String, Error> {
    let has_none = value.is_undefined() || value.is_none();
    let may_be_empty = field.before.is_some() || field.behind.is_some();
    if has_none && !may_be_empty {
        return Err(Error::new(ErrorKind::UndefinedError, format!("`{}`", field.column)));
    }
    if has_none {
        return Ok(String::new());
    }
    let text = match (&field.date, &field.number) {
        (Some(format), _) => state.apply_filter("date", &[value.clone(), Value::from(format.as_str())])?.to_string(),
        (None, Some(picture)) => {
            let written = value.to_string();
            let number = Decimal::parse(written.trim()).ok_or_else(|| {
                let message = format!("`{}` is \"{written}\", which is not a number", field.column);
                Error::new(ErrorKind::InvalidOperation, message)
            })?;
            picture::number(picture, &number)
        }
        (None, None) => value.to_string(),
    };
    let text = field.case.map_or_else(|| text.clone(), |case| case.apply(&text));
    if text.is_empty() {
        return Ok(text);
    }
    let side = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(format!("{}{text}{}", side(&field.before), side(&field.behind)))
}

/// An error about a merge field says what can be done in Word.
pub(super) fn explained(error: TemplateError, source: &str) -> TemplateError {
    let line = error.line.and_then(|line| source.lines().nth(line.checked_sub(1)?));
    match &error.missing {
        Some(name) if line.is_some_and(|line| line.contains(FILTER)) => TemplateError {
            message: format!(
                "the merge field `{name}` has no value; fill it in, or give the field a text before or after (\\b, \\f) if it may be empty"
            ),
            ..error
        },
        _ => error,
    }
}
