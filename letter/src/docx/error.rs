//! Why a Word document can't serve as a template, or can't be merged for a row. Every message says where and what to change.

use std::fmt;

/// A mistake in a Word template, or a row that it can't be merged with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is something else.
    #[error("not a Word document but {found}. Save it as .docx")]
    NotADocx {
        /// What it seems to be.
        found: &'static str,
    },
    /// A Word document that asks for a password.
    #[error("the Word document is encrypted. Save it without a password")]
    Encrypted,
    /// A document with macros.
    #[error("the Word document carries macros, which mail servers refuse. Save it as .docx")]
    Macros,
    /// The ZIP archive is cut short or its bytes were changed.
    #[error("the Word document is damaged ({reason}). Open it in Word or LibreOffice and save it again")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// Larger than any letter: a ZIP bomb, or a mistake.
    #[error("the Word document is too large: {what} (limit {limit}). Use a smaller template")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The most that is taken.
        limit: String,
    },
    /// A part of the document is not XML as Word writes it.
    #[error("{part}: {reason}. Open the document in Word or LibreOffice and save it again")]
    Part {
        /// Which part.
        part: PartName,
        /// What was found.
        reason: String,
    },
    /// A placeholder that can't be understood.
    #[error("{part}, paragraph \"{paragraph}\": {message}")]
    Placeholder {
        /// Which part.
        part: PartName,
        /// The text of its paragraph, shortened.
        paragraph: String,
        /// What is wrong and what to do.
        message: String,
    },
}

impl Error {
    pub(super) fn damaged(reason: impl fmt::Display) -> Self {
        Self::Damaged { reason: reason.to_string() }
    }

    pub(super) fn part(part: &PartName, reason: impl fmt::Display) -> Self {
        Self::Part { part: part.clone(), reason: reason.to_string() }
    }
}

/// A part of the document, shown as a person knows it: `body`, `header (word/header1.xml)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    pub(super) path: String,
    pub(super) kind: &'static str,
}

impl PartName {
    /// Its path in the archive, `word/document.xml`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == "body" { f.write_str("body") } else { write!(f, "{} ({})", self.kind, self.path) }
    }
}

/// The text of a paragraph for a message: at most 120 characters.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    let text = text.trim();
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
