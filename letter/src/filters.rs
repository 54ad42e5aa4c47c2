//! Filters and tests that the language adds to minijinja's own.
//!
//! | written | gives |
//! |---|---|
//! | `{{ Start \| date }}` | `18 February 2027`: the default is `%-d %B %Y` |
//! | `{{ Start \| date("%d.%m.%Y") }}` | `18.02.2027`: strftime, names in English |
//! | `{{ Salary \| number }}` | `67,000`, `88,250.25`: as many decimals as there are |
//! | `{{ Salary \| number(2) }}` | `67,000.00`: rounded half away from zero |
//! | `{{ Salary \| number(2, group=".", point=",") }}` | `67.000,00` |
//! | `{{ Salary \| currency("EUR") }}` | `EUR 67,000.00`: as many decimals as the currency has (ISO 4217) |
//! | `{{ Salary \| currency("EUR", symbol=true) }}` | `€67,000.00`; `group`, `point` and `decimals` as for `number` |
//! | `{{ X \| default("-") }}` | `-` if there is no value |
//! | `{{ Id \| urlencode }}` | percent-encoded (RFC 3986) |
//!
//! `date` takes ISO 8601 text (`2027-02-18`, `2027-02-18T09:30:00`, `09:30:00`), `number` and `currency` numbers and text that is a plain
//! number (`67000`, `-12.50`). Anything else is an error that names the expression.

use crate::number::{Decimal, Style, minor_digits, symbol};
use jiff::{civil, fmt::strtime::BrokenDownTime, fmt::temporal::Pieces};
use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, Rest},
};

/// Adds them.
pub(crate) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("date", date);
    environment.add_filter("number", number);
    environment.add_filter("currency", currency);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("urlencode", urlencode);
    environment.add_test("none", |value: &Value| value.is_none() || value.is_undefined());
}

/// How `date` writes when no format is given.
const DATE_FORMAT: &str = "%-d %B %Y";

fn date(value: &Value, format: Option<&str>) -> Result<String, Error> {
    required(value)?;
    let text =
        value.as_str().ok_or_else(|| invalid(format!("{value} is not a date: it takes text like 2027-02-18")))?;
    let time = broken_down(text.trim()).ok_or_else(|| {
        invalid(format!("\"{text}\" is not a date: it takes text like 2027-02-18 or 2027-02-18T09:30:00"))
    })?;
    let format = format.unwrap_or(DATE_FORMAT);
    time.to_string(format).map_err(|error| invalid(format!("\"{text}\" can't be written as \"{format}\": {error}")))
}

/// ISO 8601 text as the wall clock shows it where it was written.
fn broken_down(text: &str) -> Option<BrokenDownTime> {
    if let Ok(pieces) = Pieces::parse(text) {
        let time = pieces.time().unwrap_or_else(civil::Time::midnight);
        return Some(BrokenDownTime::from(pieces.date().to_datetime(time)));
    }
    text.parse::<civil::Time>().ok().map(BrokenDownTime::from)
}

fn number(value: &Value, decimals: Option<u32>, options: Kwargs) -> Result<String, Error> {
    let decimals = options.get::<Option<u32>>("decimals")?.or(decimals);
    let style = style(&options, decimals)?;
    options.assert_all_used()?;
    Ok(decimal(value)?.written(&style))
}

fn currency(value: &Value, code: &str, options: Kwargs) -> Result<String, Error> {
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid(format!("\"{code}\" is not a currency: it takes a code of ISO 4217 like \"EUR\"")));
    }
    let decimals = options.get::<Option<u32>>("decimals")?.unwrap_or_else(|| minor_digits(code));
    let style = style(&options, Some(decimals))?;
    let with_symbol = options.get::<Option<bool>>("symbol")?.unwrap_or(false);
    options.assert_all_used()?;
    let amount = decimal(value)?;
    let (sign, digits) = (if amount.is_negative_when(&style) { "-" } else { "" }, amount.absolute().written(&style));
    Ok(match symbol(code).filter(|_| with_symbol) {
        Some(symbol) => format!("{sign}{symbol}{digits}"),
        None => format!("{code} {sign}{digits}"),
    })
}

/// Longest number of decimals that can be asked for.
const MAX_DECIMALS: u32 = 20;

fn style(options: &Kwargs, decimals: Option<u32>) -> Result<Style, Error> {
    if decimals.is_some_and(|decimals| decimals > MAX_DECIMALS) {
        return Err(invalid(format!("at most {MAX_DECIMALS} decimals")));
    }
    Ok(Style {
        decimals,
        group: options.get::<Option<String>>("group")?.unwrap_or_else(|| ",".to_owned()),
        point: options.get::<Option<String>>("point")?.unwrap_or_else(|| ".".to_owned()),
    })
}

fn decimal(value: &Value) -> Result<Decimal, Error> {
    required(value)?;
    let text = value.to_string();
    let is_numeral = value.is_number() || value.as_str().is_some();
    Decimal::parse(text.trim()).filter(|_| is_numeral).ok_or_else(|| {
        invalid(format!("\"{text}\" is not a number: it takes 67000 or 88250.25, without grouping or currency"))
    })
}

/// Like Jinja's, for empty cells too.
fn default(value: &Value, arguments: Rest<Value>) -> Result<Value, Error> {
    let [otherwise, lax] = match &arguments[..] {
        [] => [Value::from(""), Value::from(false)],
        [otherwise] => [otherwise.clone(), Value::from(false)],
        [otherwise, lax] => [otherwise.clone(), lax.clone()],
        _ => return Err(ErrorKind::TooManyArguments.into()),
    };
    let is_missing = value.is_undefined() || value.is_none() || (lax.is_true() && !value.is_true());
    Ok(if is_missing { otherwise } else { value.clone() })
}

/// RFC 3986 §2.1: everything but unreserved characters.
fn urlencode(value: &Value) -> Result<String, Error> {
    required(value)?;
    Ok(percent_encoded(&value.to_string(), "-._~"))
}

/// Percent-encodes everything but letters, digits and `kept` (ASCII).
pub(crate) fn percent_encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

fn required(value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() { Err(ErrorKind::UndefinedError.into()) } else { Ok(()) }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
