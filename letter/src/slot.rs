//! A template in its place: the field it stands in, for messages that say where.

use crate::{
    letters::RenderError,
    row::normalised,
    template::{Engine, Escape, Template, TemplateError},
    usage::{Reference, Usage},
};
use campaign::{Fields, Mistake, mistake::nearest};
use minijinja::Value;
use std::collections::HashSet;

/// A compiled template and where it stands.
pub(crate) struct Slot {
    /// Field path, and the key that holds the text: `spec.message.html (offer.html)`.
    place: String,
    template: Template,
    /// What it was before MJML was turned into HTML.
    written: Option<Box<Written>>,
    has_lines: bool,
}

/// The text as a person wrote it.
struct Written {
    source: String,
    usage: Usage,
}

impl Slot {
    /// Compiles a template.
    pub(crate) fn compile(engine: &Engine, place: &str, source: &str, escape: Escape) -> Result<Self, Vec<Mistake>> {
        let has_lines = source.trim_end().contains('\n');
        let template = engine.compile(source, escape).map_err(|errors| Self::mistakes(place, source, errors))?;
        Ok(Self { place: place.to_owned(), template, written: None, has_lines })
    }

    /// Errors of a template as mistakes of its place.
    pub(crate) fn mistakes(place: &str, source: &str, errors: Vec<TemplateError>) -> Vec<Mistake> {
        let has_lines = source.trim_end().contains('\n');
        let mistake = |error: TemplateError| Mistake::new(at(place, error.line.filter(|_| has_lines)), error.message);
        errors.into_iter().map(mistake).collect()
    }

    /// The same slot for a text that was made of another: lines are told of `written`.
    pub(crate) fn made_from(mut self, written: &str, usage: Usage) -> Self {
        self.written = Some(Box::new(Written { source: written.to_owned(), usage }));
        self.has_lines = true;
        self
    }

    /// The compiled template.
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// The text for one row.
    pub(crate) fn render(&self, row: &Value, fields: &Fields) -> Result<String, RenderError> {
        self.template.render(row).map_err(|error| self.failure(&error, fields))
    }

    /// An error about a rendered value, as of this slot.
    pub(crate) fn refuse(&self, message: impl Into<String>) -> RenderError {
        RenderError { template: self.place.clone(), message: message.into() }
    }

    #[cold]
    fn failure(&self, error: &TemplateError, fields: &Fields) -> RenderError {
        let line = match &self.written {
            Some(written) => error.expression.as_deref().and_then(|expression| line_of(&written.source, expression)),
            None => error.line,
        };
        let message = match &error.missing {
            Some(name) => missing_value(name, fields).unwrap_or_else(|| error.message.clone()),
            None => error.message.clone(),
        };
        RenderError { template: at(&self.place, line.filter(|_| self.has_lines)), message }
    }

    /// What it refers to that the list doesn't have.
    pub(crate) fn missing(&self, columns: &Columns<'_>) -> Vec<Mistake> {
        let usage = self.written.as_ref().map_or(self.template.usage(), |written| &written.usage);
        let place = |reference: &Reference| at(&self.place, Some(reference.line).filter(|_| self.has_lines));
        let of_columns = usage.columns.iter().filter_map(|reference| {
            columns.missing(&reference.name).map(|message| Mistake::new(place(reference), message))
        });
        let of_functions = usage.functions.iter().map(|reference| {
            let message = format!("there is no function `{}`", reference.name);
            Mistake::new(place(reference), message)
        });
        of_columns.chain(of_functions).collect()
    }
}

/// The columns of a list, under every name that a template may use.
pub(crate) struct Columns<'a> {
    names: &'a [String],
    known: HashSet<String>,
}

impl<'a> Columns<'a> {
    /// The columns with these names.
    pub(crate) fn new(names: &'a [String]) -> Self {
        let known = names.iter().cloned().chain(names.iter().map(|name| normalised(name))).collect();
        Self { names, known }
    }

    /// What to say when a template uses `name` and the list doesn't have it.
    pub(crate) fn missing(&self, name: &str) -> Option<String> {
        if self.known.contains(name) {
            return None;
        }
        let near = nearest(name, self.names.iter().map(String::as_str));
        let hint =
            near.map_or_else(|| format!("it has {}", self.listed()), |near| format!("did you mean {}?", spelled(near)));
        Some(format!("the list has no column \"{name}\"; {hint}"))
    }

    /// The names, as far as a person will read them.
    fn listed(&self) -> String {
        const MOST: usize = 20;
        let quoted: Vec<String> = self.names.iter().take(MOST).map(|name| format!("\"{name}\"")).collect();
        format!("{}{}", quoted.join(", "), if self.names.len() > MOST { ", …" } else { "" })
    }
}

/// A column as a template writes it.
fn spelled(column: &str) -> String {
    let name = normalised(column);
    if name == column { format!("\"{column}\"") } else { format!("\"{column}\", written {{{{ {name} }}}}") }
}

/// What to say about a name that has no value in a row; none if the name is not the row's own.
fn missing_value(name: &str, fields: &Fields) -> Option<String> {
    let root = name.split(['.', '[']).next().unwrap_or(name);
    if root != name {
        return None;
    }
    match fields.iter().find(|(column, _)| *column == root || normalised(column) == root) {
        Some((column, value)) if value.is_null() => Some(format!(
            "\"{column}\" is empty in this row; fill it in, or write {{{{ {name} | default(\"…\") }}}} if it may be empty"
        )),
        Some(_) => None,
        None => {
            let hint = nearest(root, fields.keys().map(String::as_str))
                .map_or_else(String::new, |near| format!("; did you mean {}?", spelled(near)));
            Some(format!("this row has no \"{root}\"{hint}"))
        }
    }
}

/// A place with its line.
fn at(place: &str, line: Option<usize>) -> String {
    line.map_or_else(|| place.to_owned(), |line| format!("{place} line {line}"))
}

/// The line, from 1, in which a text first stands.
fn line_of(source: &str, text: &str) -> Option<usize> {
    source.find(text).map(|at| source[..at].matches('\n').count() + 1)
}
