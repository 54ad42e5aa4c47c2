//! What can be wrong with a list: where, and what to do about it.

use campaign::{Mistake, mistake::nearest};
use std::{fmt, io};

/// What is wrong with a list as a whole, and where. What is wrong with one row stands in the [`Row`](super::Row) instead.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Error {
    /// Where: the list's name, its sheet, its row, as far as known.
    pub place: String,
    /// What.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no such file.
    #[error("there is no such file; see spec.recipients.source")]
    NoFile,
    /// The operating system refused.
    #[error("can't be read: {0}")]
    Read(io::Error),
    /// The name's ending says nothing.
    #[error("its name tells no format; set spec.recipients.format to Xlsx, Csv or Ndjson")]
    UnknownFormat,
    /// Not one byte, or no row under the header.
    #[error("the list is empty: {0}")]
    Empty(&'static str),
    /// The content is of another format than was said.
    #[error("is not {wanted}: {what}; {advice}")]
    WrongFormat {
        /// What was expected, with its article.
        wanted: &'static str,
        /// What it seems to be.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// An encrypted workbook.
    #[error(
        "is protected by a password; save it without one (in Excel: File, Info, Protect Workbook, Encrypt with Password)"
    )]
    Encrypted,
    /// The end is missing.
    #[error("is cut off: the end of the workbook is missing; copy or download it again")]
    Truncated,
    /// Contradicts itself.
    #[error("is damaged: {0}; open it in Excel or LibreOffice and save it again")]
    Damaged(String),
    /// More than any list needs: perhaps a bomb.
    #[error("{what} is too large: {size}, at most {limit}; save the list alone into a new file")]
    TooLarge {
        /// Which part.
        what: String,
        /// How large it is.
        size: String,
        /// How large it may be.
        limit: String,
    },
    /// The wanted sheet is missing.
    #[error("has no sheet \"{wanted}\"; it has {}{}. Set spec.recipients.sheet", Names(.found), meant(.wanted, .found))]
    NoSheet {
        /// `spec.recipients.sheet`.
        wanted: String,
        /// The sheets there are.
        found: Vec<String>,
    },
    /// Nothing to choose by default.
    #[error("every sheet is hidden; it has {}. Set spec.recipients.sheet", Names(.found))]
    NoVisibleSheet {
        /// The sheets there are.
        found: Vec<String>,
    },
    /// The address column is missing.
    #[error("has no column \"{wanted}\"; it has {}{}. Set spec.recipients.emailColumn", Names(.found), meant(.wanted, .found))]
    NoEmailColumn {
        /// `spec.recipients.emailColumn`.
        wanted: String,
        /// The columns there are.
        found: Vec<String>,
    },
    /// No column bears one of the usual names.
    #[error(
        "has no column named email, e-mail or mail; it has {}. Set spec.recipients.emailColumn to the column with the addresses",
        Names(.found)
    )]
    NoUsualEmailColumn {
        /// The columns there are.
        found: Vec<String>,
    },
    /// Two columns of the same name.
    #[error("two columns are called \"{name}\" ({first} and {second}); give them different names")]
    SameColumn {
        /// The name.
        name: String,
        /// Letter of the first one.
        first: String,
        /// Letter of the second one.
        second: String,
    },
    /// `spec.recipients.encoding` is no label.
    #[error(
        "there is no encoding \"{0}\"; set spec.recipients.encoding to a label like utf-8, windows-1252 or utf-16le"
    )]
    UnknownEncoding(String),
    /// Bytes that are not in the encoding.
    #[error("is not {encoding} text; {advice}")]
    NotText {
        /// Name of the encoding.
        encoding: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A quoted value that never ends.
    #[error(
        "a value opens with a quotation mark here and nothing closes it; close it, or write \"\" for a quotation mark inside a value"
    )]
    UnclosedQuote,
    /// A quoted value that swallowed lines and then went on.
    #[error(
        "a value opens with a quotation mark here, goes over several lines, and text follows its closing mark in line {line}; \
         close it, or write \"\" for a quotation mark inside a value"
    )]
    TextAfterQuote {
        /// Where it seemed to close.
        line: u64,
    },
    /// A row larger than memory should hold.
    #[error("the row is longer than {0} MiB; perhaps a quotation mark is not closed, or this is no list")]
    LongRow(usize),
}

impl Error {
    /// This problem at this place.
    pub(crate) fn at(place: impl Into<String>, problem: Problem) -> Self {
        Self { place: place.into(), problem }
    }

    /// A failure of the operating system at this place.
    pub(crate) fn read(place: impl Into<String>, error: io::Error) -> Self {
        let missing = matches!(error.kind(), io::ErrorKind::NotFound);
        Self::at(place, if missing { Problem::NoFile } else { Problem::Read(error) })
    }
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        Self::new(error.place, error.problem.to_string())
    }
}

/// Names in quotes, at most 40 of them.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        for (index, name) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}\"{name}\"", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len() {
            0 => f.write_str("none"),
            more if more > SHOWN => write!(f, " and {} more", more - SHOWN),
            _ => Ok(()),
        }
    }
}

fn meant(wanted: &str, found: &[String]) -> String {
    nearest(wanted, found.iter().map(String::as_str))
        .map_or_else(String::new, |name| format!(" (did you mean \"{name}\"?)"))
}
