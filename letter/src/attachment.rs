//! What goes with the mail: a merged document, a file for all, a ready file per recipient.
//!
//! The only I/O of this crate is here: [`Content::Each`] reads a file of the folder that the campaign names, and none outside of it.

use crate::{
    body,
    docx::DocxTemplate,
    header,
    letters::RenderError,
    slot::{Columns, Slot},
    template::{Engine, Escape},
};
use campaign::{Contents, Fields, Mistake, spec};
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType, Headers};
use minijinja::Value;
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// Largest attachment, in octets: more than most servers take.
const MAX_SIZE: u64 = 25 * 1024 * 1024;

/// Octets for the fields of one, about.
const ROOM: usize = 512;

/// A compiled attachment.
pub(crate) struct Attachment {
    place: String,
    file_name: Slot,
    content: Content,
}

enum Content {
    /// Merged for each recipient. Its front is the same in every document: `front` is that, encoded, in whole lines, of `front_size` octets.
    Docx { template: Box<DocxTemplate>, front: Vec<u8>, front_size: usize },
    /// The same for all; encoded once.
    File { bytes: Arc<[u8]>, encoded: Vec<u8> },
    /// A file for each recipient, in a folder (canonical).
    Each { folder: PathBuf, path: Slot },
}

impl Attachment {
    /// Compiles the attachment at `index` of the campaign's.
    pub(crate) fn compile(
        index: usize,
        spec: &spec::Attachment,
        engine: &Engine,
        contents: &Contents,
    ) -> Result<Self, Vec<Mistake>> {
        let place = format!("spec.message.attachments[{index}]");
        let file_name = Slot::compile(engine, &format!("{place}.filename"), &spec.filename, Escape::None);
        let content = Content::compile(&place, spec, engine, contents);
        match (file_name, content) {
            (Ok(file_name), Ok(content)) => Ok(Self { place, file_name, content }),
            (file_name, content) => Err([file_name.err(), content.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// Whether it can be made for this row; reads no file.
    pub(crate) fn check(&self, row: &Value, fields: &Fields) -> Result<(), RenderError> {
        self.file_name.render(row, fields)?;
        match &self.content {
            Content::Docx { template, .. } => template.check(row).map_err(|error| self.refuse("docx", error)),
            Content::File { .. } => Ok(()),
            Content::Each { folder, path } => located(folder, path, row, fields).map(drop),
        }
    }

    /// Appends it as a part of the mail.
    pub(crate) fn write(&self, row: &Value, fields: &Fields, out: &mut Vec<u8>) -> Result<(), RenderError> {
        let name = self.name(row, fields)?;
        let media_type =
            ContentType::parse(header::media_type(&name)).map_err(|error| self.file_name.refuse(error.to_string()))?;
        let mut headers = Headers::with_capacity(3);
        headers.set(media_type);
        headers.set(ContentTransferEncoding::Base64);
        headers.set(ContentDisposition::attachment(&name));
        write!(out, "{headers}\r\n").map_err(|error| self.file_name.refuse(error.to_string()))?;
        match &self.content {
            Content::File { encoded, .. } => out.extend_from_slice(encoded),
            Content::Docx { front, front_size, .. } => {
                let document = self.bytes(row, fields)?;
                out.extend_from_slice(front);
                body::base64(&document[*front_size..], out);
            }
            Content::Each { .. } => body::base64(&self.bytes(row, fields)?, out),
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// About how many octets it adds to a mail, as far as is known beforehand.
    pub(crate) fn size(&self) -> usize {
        match &self.content {
            Content::File { encoded, .. } => encoded.len() + ROOM,
            Content::Docx { front, .. } => front.len() + 8 * ROOM,
            Content::Each { .. } => ROOM,
        }
    }

    /// Its name and octets, not encoded.
    pub(crate) fn document(&self, row: &Value, fields: &Fields) -> Result<(String, Vec<u8>), RenderError> {
        Ok((self.name(row, fields)?, self.bytes(row, fields)?))
    }

    fn name(&self, row: &Value, fields: &Fields) -> Result<String, RenderError> {
        Ok(header::file_name(&self.file_name.render(row, fields)?))
    }

    fn bytes(&self, row: &Value, fields: &Fields) -> Result<Vec<u8>, RenderError> {
        match &self.content {
            Content::Docx { template, .. } => template.render(row).map_err(|error| self.refuse("docx", error)),
            Content::File { bytes, .. } => Ok(bytes.to_vec()),
            Content::Each { folder, path } => {
                let file = located(folder, path, row, fields)?;
                read(&file).map_err(|error| path.refuse(format!("{}: {error}", file.display())))
            }
        }
    }

    /// What it refers to that the list doesn't have.
    pub(crate) fn missing(&self, columns: &Columns<'_>) -> Vec<Mistake> {
        let mut mistakes = self.file_name.missing(columns);
        match &self.content {
            Content::Docx { template, .. } => mistakes.extend(self.missing_in(template, columns)),
            Content::File { .. } => {}
            Content::Each { path, .. } => mistakes.extend(path.missing(columns)),
        }
        mistakes
    }

    fn missing_in(&self, template: &DocxTemplate, columns: &Columns<'_>) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (part, usage) in template.usage() {
            for reference in &usage.columns {
                if let Some(message) = columns.missing(&reference.name) {
                    let paragraph = template.paragraph(part, reference.line).unwrap_or_default();
                    let place = format!("{}.docx: {part}, paragraph \"{paragraph}\"", self.place);
                    mistakes.push(Mistake::new(place, message));
                }
            }
            for reference in &usage.functions {
                let message = format!("there is no function `{}`", reference.name);
                mistakes.push(Mistake::new(format!("{}.docx: {part}", self.place), message));
            }
        }
        mistakes
    }

    fn refuse(&self, field: &str, error: impl ToString) -> RenderError {
        RenderError { template: format!("{}.{field}", self.place), message: error.to_string() }
    }
}

impl Content {
    fn compile(
        place: &str,
        spec: &spec::Attachment,
        engine: &Engine,
        contents: &Contents,
    ) -> Result<Self, Vec<Mistake>> {
        match (&spec.docx, &spec.file, &spec.each) {
            (Some(docx), None, None) => {
                let bytes = found(&format!("{place}.docx"), docx, contents)?;
                let mistake = |error: crate::docx::Error| Mistake::new(format!("{place}.docx"), error.to_string());
                let template = DocxTemplate::compile(&bytes, engine)
                    .map_err(|errors| errors.into_iter().map(mistake).collect::<Vec<_>>())?;
                let front_size = template.front().len() / body::OCTETS_A_LINE * body::OCTETS_A_LINE;
                let mut front = encoded(&template.front()[..front_size]);
                if front_size > 0 {
                    front.extend_from_slice(b"\r\n");
                }
                Ok(Self::Docx { template: Box::new(template), front, front_size })
            }
            (None, Some(file), None) => {
                let bytes = found(&format!("{place}.file"), file, contents)?;
                if bytes.len() as u64 > MAX_SIZE {
                    return Err(vec![Mistake::new(format!("{place}.file"), too_large(bytes.len() as u64))]);
                }
                let encoded = encoded(&bytes);
                Ok(Self::File { bytes, encoded })
            }
            (None, None, Some(each)) => {
                let path = Slot::compile(engine, &format!("{place}.each.path"), &each.path, Escape::None)?;
                let (folder, field) = each.folder().ok_or_else(|| {
                    vec![Mistake::new(
                        format!("{place}.each"),
                        "give exactly one of directory and persistentVolumeClaim",
                    )]
                })?;
                let folder = contents.directory.join(folder);
                match folder.canonicalize() {
                    Ok(folder) if folder.is_dir() => Ok(Self::Each { folder, path }),
                    Ok(_) => Err(vec![Mistake::new(
                        format!("{place}.each.{field}"),
                        format!("{} is not a folder", folder.display()),
                    )]),
                    Err(error) => {
                        let message = format!("{}: {error}; make the folder, or correct its name", folder.display());
                        Err(vec![Mistake::new(format!("{place}.each.{field}"), message)])
                    }
                }
            }
            _ => Err(vec![Mistake::new(place, "give exactly one of docx, file and each")]),
        }
    }
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    body::base64(bytes, &mut out);
    out
}

fn found(place: &str, reference: &spec::ContentRef, contents: &Contents) -> Result<Arc<[u8]>, Vec<Mistake>> {
    let mistake = |message: &str| vec![Mistake::new(place, message)];
    let key = reference.key().ok_or_else(|| mistake("give exactly one of configMap and secret"))?;
    contents.get(&key).cloned().ok_or_else(|| mistake("this content was not found"))
}

fn too_large(size: u64) -> String {
    format!("{size} octets; an attachment has at most {} MiB", MAX_SIZE / 1024 / 1024)
}

/// Where a row's file is: a regular file in the folder, by a path that nothing leads out of.
fn located(folder: &Path, path: &Slot, row: &Value, fields: &Fields) -> Result<PathBuf, RenderError> {
    let rendered = path.render(row, fields)?;
    let relative = Path::new(rendered.trim());
    let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_inside || relative.as_os_str().is_empty() {
        return Err(path.refuse(format!(
            "\"{rendered}\" is not a path in the folder: write one without .. that doesn't begin with /"
        )));
    }
    let file = folder.join(relative).canonicalize().map_err(|error| {
        let what = if error.kind() == io::ErrorKind::NotFound {
            "there is no such file in the folder".to_owned()
        } else {
            error.to_string()
        };
        path.refuse(format!("\"{rendered}\": {what}"))
    })?;
    let size = file.metadata().map_err(|error| path.refuse(format!("\"{rendered}\": {error}")))?;
    if !file.starts_with(folder) {
        return Err(path.refuse(format!("\"{rendered}\" is a link that leads out of the folder")));
    }
    if !size.is_file() {
        return Err(path.refuse(format!("\"{rendered}\" is not a file")));
    }
    if size.len() > MAX_SIZE {
        return Err(path.refuse(format!("\"{rendered}\": {}", too_large(size.len()))));
    }
    Ok(file)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
