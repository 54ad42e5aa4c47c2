//! DOCX mail merge: a Word document with placeholders and one row's values in, that row's document out.
//!
//! ```text
//! bytes ─ package ─ parts ─ xml ─ field, paragraph ─ lift ─ program ─ template + segments     once per campaign
//!                                                                        │
//! row ───────────────────────────────────────────── values ─ render ─ segment ─ archive       once per recipient
//! ```
//! - [`package`] reads the archive within limits; a part without placeholders is copied with its compressed octets, never expanded again.
//! - [`field`] and [`paragraph`] find merge fields and placeholders over all runs; [`lift`] puts the tags of loops and conditions between paragraphs,
//!   rows or runs; [`program`] proves that whatever the values are, the result is well-formed, and parts code from markup.
//! - [`cell`] knows docxtpl's tags about table cells.
//! - [`segment`] deflates what never changes once, [`archive`] lays it out.
//!
//! A value is text and never markup. No I/O here.

mod archive;
mod cell;
mod error;
mod field;
mod grid;
mod lift;
mod output;
mod package;
mod paragraph;
mod picture;
mod placeholder;
mod program;
mod segment;
mod stray;
mod values;
mod xml;

pub use error::{Error, PartName};

use crate::{
    template::{Engine, TemplateError},
    usage::{self, Usage},
};
use archive::{Archive, Header, Written};
use flate2::{Compression, FlushCompress};
use minijinja::{Environment, Value};
use output::Pieces;
use package::{Content, Entry};
use program::{Mode, Program, Step};
use xml::Tree;

/// A compiled Word document. Rendering needs `&self` only.
pub struct DocxTemplate {
    archive: Archive,
    parts: Vec<Part>,
    environment: Environment<'static>,
}

/// A part with placeholders. Its template is in the environment, under its path.
struct Part {
    name: PartName,
    header: Header,
    steps: Vec<Step>,
    prefix: String,
    places: Vec<String>,
    source: String,
    usage: Usage,
}

impl DocxTemplate {
    /// Compiles a Word document (`.docx`, or a `.dotx`, which becomes a document).
    ///
    /// # Errors
    /// Every mistake in every part, each with its paragraph; or why the file is no template at all.
    pub fn compile(bytes: &[u8], engine: &Engine) -> Result<Self, Vec<Error>> {
        let entries = package::read(bytes).map_err(|error| vec![error])?;
        let mut constant = Vec::with_capacity(entries.len());
        let (mut programs, mut errors, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for mut entry in entries {
            match program_of(&entry, &mut fields) {
                Ok(Some(program)) => programs.push((entry, program)),
                Ok(None) => {
                    settle(&mut entry);
                    constant.push(entry);
                }
                Err(error) => errors.push(error),
            }
        }
        let mut template = Self {
            archive: Archive::of(&constant).map_err(|error| vec![error])?,
            parts: Vec::with_capacity(programs.len()),
            environment: values::environment(engine, fields),
        };
        for (entry, program) in programs {
            match template.add(&entry, program) {
                Ok(()) => {}
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(template) } else { Err(errors) }
    }

    fn add(&mut self, entry: &Entry, program: Program) -> Result<(), Vec<Error>> {
        let Program { source, steps, places, prefix } = program;
        let name = entry.part();
        let in_place =
            |errors: Vec<TemplateError>| errors.iter().map(|error| placed(&name, &places, error)).collect::<Vec<_>>();
        let usage = usage::of(&source, &self.environment).map_err(in_place)?;
        self.environment
            .add_template_owned(name.path().to_owned(), source.clone())
            .map_err(|error| in_place(vec![TemplateError::new(&error, &source)]))?;
        self.parts.push(Part { header: Header::deflated(entry), name, steps, prefix, places, source, usage });
        Ok(())
    }

    /// What each part refers to. A reference's line is that of the part's template source; [`DocxTemplate::paragraph`] knows where that is.
    pub fn usage(&self) -> impl Iterator<Item = (&PartName, &Usage)> {
        self.parts.iter().map(|part| (&part.name, &part.usage))
    }

    /// The text of the paragraph that a reference of [`DocxTemplate::usage`] stands in, shortened.
    pub fn paragraph(&self, part: &PartName, line: usize) -> Option<&str> {
        let part = self.parts.iter().find(|candidate| candidate.name == *part)?;
        place(&part.places, line)
    }

    /// Each part's template source, with marks (`U+0001 number U+0002`) where its XML is.
    pub fn templates(&self) -> impl Iterator<Item = (&PartName, &str)> {
        self.parts.iter().map(|part| (&part.name, part.source.as_str()))
    }

    /// The octets with which every document of this template begins: parts without placeholders.
    pub fn front(&self) -> &[u8] {
        &self.archive.front
    }

    /// Whether the document can be made for these values: renders, but deflates nothing.
    ///
    /// # Errors
    /// A value that is missing or doesn't fit, with the paragraph; a document that becomes too large.
    pub fn check(&self, values: &Value) -> Result<(), Error> {
        for part in &self.parts {
            let rendered = self.rendered(part, values)?;
            Pieces::of(&rendered, &part.steps, &part.prefix).map_err(|reason| Error::part(&part.name, reason))?;
        }
        Ok(())
    }

    /// Makes the document for these values.
    ///
    /// # Errors
    /// As [`DocxTemplate::check`].
    pub fn render(&self, values: &Value) -> Result<Vec<u8>, Error> {
        const ROOM_PER_PART: usize = 4096;
        let mut out = Vec::with_capacity(self.archive.size() + self.parts.len() * ROOM_PER_PART);
        out.extend_from_slice(&self.archive.front);
        self.render_rest(values, &mut out)?;
        Ok(out)
    }

    /// Appends what follows [`DocxTemplate::front`] to `out`, which must begin with that.
    fn render_rest(&self, values: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut own: Vec<(&Header, Written)> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let rendered = self.rendered(part, values)?;
            let pieces =
                Pieces::of(&rendered, &part.steps, &part.prefix).map_err(|reason| Error::part(&part.name, reason))?;
            let written = part.header.write(out, |out| pieces.write(&part.steps, &part.prefix, out))?;
            own.push((&part.header, written));
        }
        self.archive.finish(out, &own)
    }

    fn rendered(&self, part: &Part, values: &Value) -> Result<String, Error> {
        let render = || self.environment.get_template(part.name.path())?.render(values.clone());
        render().map_err(|error| {
            let error = values::explained(TemplateError::new(&error, &part.source), &part.source);
            placed(&part.name, &part.places, &error)
        })
    }
}

/// The paragraph of the placeholder on a line of a part's template: each begins a new line with what is in its delimiters.
fn place(places: &[String], line: usize) -> Option<&str> {
    places.get(line.saturating_sub(2)).map(String::as_str)
}

/// A mistake of the template language with its paragraph.
fn placed(part: &PartName, places: &[String], error: &TemplateError) -> Error {
    match error.line.and_then(|line| place(places, line)) {
        Some(paragraph) => {
            Error::Placeholder { part: part.clone(), paragraph: paragraph.to_owned(), message: error.message.clone() }
        }
        None => Error::Part { part: part.clone(), reason: error.message.clone() },
    }
}

const WORD: [&str; 2] = [
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
];
const DRAWING: [&str; 2] =
    ["http://schemas.openxmlformats.org/drawingml/2006/main", "http://purl.oclc.org/ooxml/drawingml/main"];

/// A part as a program, if there are placeholders in it.
fn program_of(entry: &Entry, fields: &mut Vec<field::Field>) -> Result<Option<Program>, Error> {
    let Some(text) = &entry.text else { return Ok(None) };
    let (namespaces, mode): (&[&str], Mode) = match entry.content {
        Content::Word(_) => (&WORD, Mode::Run),
        Content::Drawing(_) => (&DRAWING, Mode::Plain),
        Content::Properties => (&[], Mode::Plain),
        Content::Relations => return stray::refuse(text, &entry.part()).map(|()| None),
        Content::Types | Content::Settings | Content::Other => return Ok(None),
    };
    let part = entry.part();
    stray::refuse(text, &part)?;
    if !text.contains(['{', '}', '<']) {
        return Err(Error::part(&part, "not XML"));
    }
    let mut tree = Tree::parse(text, namespaces).map_err(|reason| Error::part(&part, reason))?;
    let mut codes = Vec::new();
    let mut in_raw = false;
    let paragraphs = if entry.content == Content::Properties { tree.all("") } else { tree.all("p") };
    for paragraph in paragraphs {
        if entry.content == Content::Properties {
            paragraph::mark_plain(&mut tree, paragraph, &mut codes, &part)?;
        } else {
            field::replace(&mut tree, paragraph, &mut codes, fields, &part)?;
            paragraph::mark(&mut tree, paragraph, &mut codes, &mut in_raw, &part)?;
        }
    }
    if codes.is_empty() {
        return Ok(None);
    }
    paragraph::join(&mut tree, &codes);
    cell::spread(&mut tree, &mut codes);
    lift::lift(&mut tree, &codes, &part)?;
    Program::write(&tree, &codes, mode, &part).map(Some)
}

/// Changes what must not reach a recipient in the parts that are the same for all: a template (`.dotx`) becomes a document, and the sender's data
/// source, for which Word would ask, goes.
fn settle(entry: &mut Entry) {
    let Some(text) = &entry.text else { return };
    let settled = match entry.content {
        Content::Types => package::as_document(text),
        Content::Settings => package::without_data_source(text),
        _ => return,
    };
    if settled != *text {
        entry.compressed.clear();
        segment::deflate(settled.as_bytes(), FlushCompress::Finish, Compression::best(), &mut entry.compressed);
        entry.method = 8;
        entry.crc = crc32fast::hash(settled.as_bytes());
        entry.size = u32::try_from(settled.len()).unwrap_or(u32::MAX);
    }
}
