//! The DOCX file as a package of parts (ECMA-376 Part 2): reads the archive once, within limits, and says what a file is that is none.

use super::error::{Error, PartName};
use super::xml::attributes;
use std::{
    collections::HashMap,
    io::{Cursor, Read},
};
use zip::{CompressionMethod, ZipArchive, result::ZipError};

const MIB: u64 = 1024 * 1024;
/// Octets of the file itself.
const MAX_FILE: u64 = 64 * MIB;
/// Octets of all parts when expanded.
const MAX_EXPANDED: u64 = 256 * MIB;
/// Octets of one part that can hold placeholders.
const MAX_TEXT_PART: u64 = 32 * MIB;
const MAX_ENTRIES: usize = 4096;

/// One file of the archive, still compressed.
pub(super) struct Entry {
    pub(super) name: String,
    /// 0 stored, 8 deflated.
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) size: u32,
    /// MS-DOS time and date.
    pub(super) modified: (u16, u16),
    pub(super) compressed: Vec<u8>,
    /// The expanded text, of parts that can hold placeholders.
    pub(super) text: Option<String>,
    pub(super) content: Content,
}

/// What a part holds, as far as it matters for the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Paragraphs of WordprocessingML.
    Word(&'static str),
    /// Paragraphs of DrawingML: charts and diagrams.
    Drawing(&'static str),
    /// Plain values in elements: the document's properties.
    Properties,
    /// `[Content_Types].xml`.
    Types,
    /// The document's settings and their relations, which may name a data source.
    Settings,
    /// Relations of a part to others and to the outside: targets of links.
    Relations,
    /// Anything else.
    Other,
}

impl Entry {
    pub(super) fn part(&self) -> PartName {
        let kind = match self.content {
            Content::Word(kind) | Content::Drawing(kind) => kind,
            Content::Properties => "properties",
            Content::Types | Content::Settings | Content::Relations | Content::Other => "part",
        };
        PartName { path: self.name.clone(), kind }
    }
}

const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.";
const MAIN: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml";
const TEMPLATE_MAIN: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml";

/// Reads all parts of a Word document, `[Content_Types].xml` first.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large("its file", MAX_FILE));
    }
    if let Some(error) = something_else(bytes) {
        return Err(error);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(zip_error)?;
    if archive.len() > MAX_ENTRIES {
        return Err(Error::TooLarge { what: "the number of its parts", limit: MAX_ENTRIES.to_string() });
    }
    if archive.has_duplicate_names() {
        return Err(Error::damaged("two parts have the same name"));
    }
    let types = content_types(&mut archive)?;
    let mut entries = Vec::with_capacity(archive.len());
    let mut expanded = 0;
    for index in 0..archive.len() {
        entries.extend(entry(&mut archive, index, &types, &mut expanded)?);
    }
    entries.sort_by_key(|entry| match entry.name.as_str() {
        "[Content_Types].xml" => 0,
        "_rels/.rels" => 1,
        name if name.starts_with("word/") => 2,
        _ => 3,
    });
    Ok(entries)
}

fn entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    types: &Types,
    expanded: &mut u64,
) -> Result<Option<Entry>, Error> {
    let mut raw = archive.by_index_raw(index).map_err(zip_error)?;
    if raw.is_dir() {
        return Ok(None);
    }
    if raw.encrypted() {
        return Err(Error::Encrypted);
    }
    let name = raw.name().map_err(zip_error)?.into_owned();
    let method = match raw.compression() {
        CompressionMethod::Stored => 0,
        CompressionMethod::Deflated => 8,
        other => return Err(Error::damaged(format!("{name} is compressed with {other:?}, which Word can't read"))),
    };
    let (crc, size) = (raw.crc32(), raw.size());
    let modified = raw.last_modified().map_or((0, 0x21), |time| (time.timepart(), time.datepart()));
    let mut compressed = Vec::new();
    // As much as the file can hold at most: what the header says is not to be trusted.
    raw.by_ref()
        .take(MAX_FILE)
        .read_to_end(&mut compressed)
        .map_err(|error| Error::damaged(format!("{name}: {error}")))?;
    drop(raw);

    let content = types.of(&name);
    let text = expand(archive, index, &name, content, expanded)?;
    let size = u32::try_from(size).map_err(|_| too_large("one of its parts", MAX_EXPANDED))?;
    Ok(Some(Entry { name, method, crc, size, modified, compressed, text, content }))
}

/// Expands a part, which checks its checksum, and keeps the text of those that can hold placeholders.
fn expand(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    name: &str,
    content: Content,
    expanded: &mut u64,
) -> Result<Option<String>, Error> {
    let left = MAX_EXPANDED - *expanded;
    let file = archive.by_index(index).map_err(zip_error)?;
    let declared = file.size();
    let damaged = |error: std::io::Error| Error::damaged(format!("{name}: {error}"));
    let count = if content == Content::Other {
        std::io::copy(&mut file.take(left + 1), &mut std::io::sink()).map_err(damaged)?
    } else {
        let mut octets = Vec::new();
        let count = file.take(left.min(MAX_TEXT_PART) + 1).read_to_end(&mut octets).map_err(damaged)? as u64;
        if count > MAX_TEXT_PART {
            return Err(too_large("one of its parts", MAX_TEXT_PART));
        }
        *expanded += count;
        let text = String::from_utf8(octets).map_err(|_| Error::damaged(format!("{name} is not UTF-8")))?;
        if *expanded > MAX_EXPANDED {
            return Err(too_large("its parts when expanded", MAX_EXPANDED));
        }
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        return if count == declared {
            Ok(Some(text))
        } else {
            Err(Error::damaged(format!("{name} has a wrong size")))
        };
    };
    *expanded += count;
    match count {
        _ if *expanded > MAX_EXPANDED => Err(too_large("its parts when expanded", MAX_EXPANDED)),
        count if count != declared => Err(Error::damaged(format!("{name} has a wrong size"))),
        _ => Ok(None),
    }
}

fn too_large(what: &'static str, limit: u64) -> Error {
    Error::TooLarge { what, limit: format!("{} MiB", limit / MIB) }
}

fn zip_error(error: ZipError) -> Error {
    match error {
        ZipError::UnsupportedArchive(reason) if reason == ZipError::PASSWORD_REQUIRED => Error::Encrypted,
        other => Error::damaged(other),
    }
}

/// Files that people take for a Word document.
fn something_else(bytes: &[u8]) -> Option<Error> {
    let starts = |with: &[u8]| bytes.starts_with(with);
    let found = match () {
        () if starts(b"PK\x03\x04") => return None,
        () if bytes.is_empty() => "an empty file",
        () if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => {
            // A compound file (MS-CFB): Word up to 2003, or the envelope of an encrypted DOCX, whose stream names are UTF-16.
            let wanted: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
            if bytes.windows(wanted.len()).any(|window| window == wanted) {
                return Some(Error::Encrypted);
            }
            "a document of Word 97–2003 (.doc)"
        }
        () if starts(b"{\\rtf") => "a Rich Text file (.rtf)",
        () if starts(b"%PDF") => "a PDF file",
        () if starts(b"<") => "an XML or HTML file",
        () => "an unknown kind of file",
    };
    Some(Error::NotADocx { found })
}

/// `[Content_Types].xml`: the type of each part.
struct Types {
    by_part: HashMap<String, String>,
    by_extension: HashMap<String, String>,
}

impl Types {
    fn of(&self, name: &str) -> Content {
        let lower = name.to_ascii_lowercase();
        if lower == "[content_types].xml" {
            return Content::Types;
        }
        if lower.ends_with("/_rels/settings.xml.rels") {
            return Content::Settings;
        }
        if lower.contains("_rels/") {
            return Content::Relations;
        }
        let by_extension = || self.by_extension.get(lower.rsplit('.').next().unwrap_or_default());
        let Some(kind) = self.by_part.get(&lower).or_else(by_extension) else { return Content::Other };
        match kind.strip_prefix(WORD).unwrap_or(kind) {
            "document.main+xml" | "template.main+xml" => Content::Word("body"),
            "header+xml" => Content::Word("header"),
            "footer+xml" => Content::Word("footer"),
            "footnotes+xml" => Content::Word("footnotes"),
            "endnotes+xml" => Content::Word("endnotes"),
            "comments+xml" => Content::Word("comments"),
            "settings+xml" => Content::Settings,
            "application/vnd.openxmlformats-officedocument.drawingml.chart+xml" => Content::Drawing("chart"),
            "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"
            | "application/vnd.ms-office.drawingml.diagramDrawing+xml" => Content::Drawing("diagram"),
            "application/vnd.openxmlformats-package.core-properties+xml"
            | "application/vnd.openxmlformats-officedocument.extended-properties+xml"
            | "application/vnd.openxmlformats-officedocument.custom-properties+xml" => Content::Properties,
            _ => Content::Other,
        }
    }
}

fn content_types(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<Types, Error> {
    if let Ok(file) = archive.by_name("mimetype") {
        let mut kind = String::new();
        let is_text = file.take(256).read_to_string(&mut kind).is_ok();
        if is_text && kind.starts_with("application/vnd.oasis.opendocument") {
            return Err(Error::NotADocx { found: "an OpenDocument file (.odt)" });
        }
    }
    let Some(index) = archive.index_for_name("[Content_Types].xml") else {
        return Err(Error::NotADocx { found: "a ZIP archive of other files" });
    };
    let mut text = String::new();
    let file = archive.by_index(index).map_err(zip_error)?;
    file.take(MIB)
        .read_to_string(&mut text)
        .map_err(|error| Error::damaged(format!("[Content_Types].xml: {error}")))?;
    let (mut by_part, mut by_extension) = (HashMap::new(), HashMap::new());
    for tag in text.split('<').filter_map(|tag| tag.split('>').next()) {
        let of = |name: &str| attributes(tag).find(|(key, _)| *key == name).map(|(_, value)| value);
        let Some(kind) = of("ContentType") else { continue };
        if let Some(part) = of("PartName") {
            by_part.insert(part.trim_start_matches('/').to_ascii_lowercase(), kind.to_owned());
        } else if let Some(extension) = of("Extension") {
            by_extension.insert(extension.to_ascii_lowercase(), kind.to_owned());
        }
    }
    let has = |wanted: &str| by_part.values().any(|kind| kind.contains(wanted));
    let error = match () {
        () if has("macroEnabled") => Error::Macros,
        () if has("spreadsheetml.sheet.main") => Error::NotADocx { found: "an Excel workbook (.xlsx)" },
        () if has("presentationml") && !has("wordprocessingml") => Error::NotADocx { found: "a presentation (.pptx)" },
        () => {
            let main = by_part.iter().find(|(_, kind)| [MAIN, TEMPLATE_MAIN].contains(&kind.as_str()));
            match main {
                Some((part, _)) if archive.file_names().flatten().any(|name| name.eq_ignore_ascii_case(part)) => {
                    return Ok(Types { by_part, by_extension });
                }
                Some((part, _)) => Error::damaged(format!("its text, {part}, is missing")),
                None => Error::damaged("[Content_Types].xml names no text (word/document.xml)"),
            }
        }
    };
    Err(error)
}

/// The content types of a document, of a template's (`.dotx`) ones.
pub(super) fn as_document(types: &str) -> String {
    types.replace(TEMPLATE_MAIN, MAIN)
}

/// The settings, or their relations, without the sender's data source: Word asks each reader for it.
pub(super) fn without_data_source(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(start) = text.find("mailMerge>").and_then(|at| text[..at].rfind('<'))
        && let Some(end) = text[start..].match_indices("mailMerge>").nth(1).map(|(at, tag)| start + at + tag.len())
    {
        text.replace_range(start..end, "");
    }
    for kind in ["/mailMergeSource\"", "/mailMergeHeaderSource\""] {
        if let Some(start) = text.find(kind).and_then(|at| text[..at].rfind("<Relationship"))
            && let Some(length) = text[start..].find("/>")
        {
            text.replace_range(start..start + length + 2, "");
        }
    }
    text
}
