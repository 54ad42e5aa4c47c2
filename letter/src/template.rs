//! The template language: minijinja with the strictness, the limits and the filters that every text of a campaign shares.
//!
//! What differs from plain Jinja:
//! - A name without a value is an error, and an empty cell counts as no value: nobody gets a letter with a hole in it. `{{ X | default("-") }}`,
//!   `{% if X %}` and `X is defined` are there for those who mean it.
//! - A template stands alone: `include`, `extends` and `import` are mistakes.
//! - A template that takes too many steps or writes too much ends with an error.
//!
//! No I/O here.

use crate::{
    filters,
    usage::{self, Usage},
};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use std::io::Write;

/// Steps (instructions of the template machine) that one rendering may take.
const FUEL: u64 = 500_000;
/// Octets that one rendering may write.
const MAX_OUTPUT: usize = 32 * 1024 * 1024;

/// How values are written into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As they are: plain text, subjects, headers, file names.
    None,
    /// `& < > " '` as character references.
    Html,
}

/// Why a template can't be compiled, or not rendered for a row. The message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The line in the template, from 1, where known.
    pub line: Option<usize>,
    /// The expression that has no value, when that is the reason.
    pub missing: Option<String>,
    /// The expression that failed, as it is written in the template, where known.
    pub expression: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

/// The template language of a campaign: compiles templates.
#[derive(Clone)]
pub struct Engine {
    environment: Environment<'static>,
}

/// A compiled template. Rendering needs `&self` only.
pub struct Template {
    /// Boxed, because it is large.
    environment: Box<Environment<'static>>,
    usage: Usage,
    constant: Option<String>,
}

/// The name under which each template's own environment knows it.
const NAME: &str = "template";

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// The language with its filters and limits.
    pub fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(write_value);
        filters::add_to(&mut environment);
        Self { environment }
    }

    /// The same language with another way of writing values (the document merge). With [`Escape::Html`] the writer is given captured text
    /// (`{% set x %}…{% endset %}`, macros) as safe values, which it must not escape again.
    #[must_use]
    pub fn writing_values_with(
        mut self,
        write: impl Fn(&mut Output<'_>, &mut State<'_, '_>, &Value) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        self.environment.set_formatter(write);
        self
    }

    /// The environment itself: filters, strictness and fuel as everywhere.
    pub fn environment(&self) -> &Environment<'static> {
        &self.environment
    }

    /// Compiles one template.
    ///
    /// # Errors
    /// All mistakes that can be seen without a row: a syntax error, unknown filters and tests, references to other templates.
    pub fn compile(&self, source: &str, escape: Escape) -> Result<Template, Vec<TemplateError>> {
        let usage = usage::of(source, &self.environment)?;
        let mut environment = self.environment.clone();
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::None => AutoEscape::None,
            Escape::Html => AutoEscape::Html,
        });
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| vec![TemplateError::new(&error, source)])?;
        let mut template = Template { environment: Box::new(environment), usage, constant: None };
        if template.usage.is_constant {
            template.constant = template.render(&Value::from(())).ok();
        }
        Ok(template)
    }
}

impl Template {
    /// The text for one row's values.
    ///
    /// # Errors
    /// A value that is missing or doesn't fit, or a limit that is exceeded.
    pub fn render(&self, values: &Value) -> Result<String, TemplateError> {
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        let template = self.environment.get_template(NAME).map_err(|error| TemplateError::new(&error, ""))?;
        if !self.usage.repeats {
            return template.render(values.clone()).map_err(|error| TemplateError::new(&error, template.source()));
        }
        let mut text = Limited { text: Vec::with_capacity(template.source().len() * 9 / 8), overflowed: false };
        match template.render_captured_to(values.clone(), &mut text) {
            Ok(_) => String::from_utf8(text.text).map_err(|_| TemplateError::plain("the text is not UTF-8")),
            Err(error) if error.kind() == ErrorKind::WriteFailure && text.overflowed => Err(TemplateError::plain(
                format!("the text is larger than {} MiB; is there an endless loop?", MAX_OUTPUT / 1024 / 1024),
            )),
            Err(error) => Err(TemplateError::new(&error, template.source())),
        }
    }

    /// The text, when it is the same for every row.
    pub fn constant(&self) -> Option<&str> {
        self.constant.as_deref()
    }

    /// What the template refers to.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }
}

/// Collects the output and refuses more than [`MAX_OUTPUT`].
struct Limited {
    text: Vec<u8>,
    overflowed: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len() + bytes.len() > MAX_OUTPUT {
            self.overflowed = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl TemplateError {
    /// An error without a place.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { line: None, missing: None, expression: None, message: message.into() }
    }

    /// The template machine's error in our words; `source` is the template's text.
    pub fn new(error: &Error, source: &str) -> Self {
        let tag = error.range().and_then(|range| tag_around(source, range.start));
        let expression =
            tag.map(|(text, _)| text.trim_matches(|char: char| char == '-' || char.is_whitespace()).to_owned());
        let missing = missing_name(error, tag);
        let message = match (error.kind(), &missing) {
            (_, Some(name)) => {
                format!(
                    "`{name}` has no value; fill it in, or write {{{{ {name} | default(\"…\") }}}} if it may be empty"
                )
            }
            (ErrorKind::OutOfFuel, _) => {
                format!("not at its end after {FUEL} steps; is there an endless loop?")
            }
            (ErrorKind::SyntaxError, _) => error.detail().unwrap_or("syntax error").to_owned(),
            (kind, _) => match (error.detail(), &expression) {
                (Some(detail), Some(expression)) if !detail.contains(expression.as_str()) => {
                    format!("`{expression}`: {detail}")
                }
                (Some(detail), _) => detail.to_owned(),
                (None, Some(expression)) => format!("`{expression}`: {kind}"),
                (None, None) => kind.to_string(),
            },
        };
        Self { line: error.line(), missing, expression, message }
    }
}

/// Which expression has no value, for an error that is about that: minijinja names it in backticks, else it is what stands before the filter.
fn missing_name(error: &Error, tag: Option<(&str, usize)>) -> Option<String> {
    if error.kind() != ErrorKind::UndefinedError {
        return None;
    }
    let named = error.detail().and_then(|detail| detail.split('`').nth(1));
    let before =
        || tag.and_then(|(text, at)| text.get(..at).filter(|before| before.trim_end().ends_with('|')).or(Some(text)));
    let name = named.or_else(before)?.trim_matches(|char: char| matches!(char, '-' | '|') || char.is_whitespace());
    Some(name.to_owned())
}

/// The inside of the tag (`{{ … }}`, `{% … %}`) that stands around an offset, and where in it the offset is.
fn tag_around(source: &str, offset: usize) -> Option<(&str, usize)> {
    let before = source.get(..offset)?;
    let start = before.rfind("{{").max(before.rfind("{%"))? + 2;
    let inside = &source[start..];
    let end = [inside.find("}}"), inside.find("%}")].into_iter().flatten().min().unwrap_or(inside.len());
    Some((&inside[..end], offset - start))
}

/// Writes a value, escaped where the template says so. Like minijinja's own, but leaves `/` alone, so that addresses stay readable.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let is_plain = matches!(state.auto_escape(), AutoEscape::None) || value.is_safe();
    match value.as_str() {
        Some(text) if is_plain => out.write_str(text)?,
        Some(text) => write_html(out, text)?,
        None if is_plain || value.is_number() => write!(out, "{value}")?,
        None => write_html(out, &value.to_string())?,
    }
    Ok(())
}

/// Writes text with `& < > " '` as character references.
fn write_html(out: &mut Output<'_>, text: &str) -> std::fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}
