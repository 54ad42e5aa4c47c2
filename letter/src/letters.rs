//! The campaign's letters: compiled once, rendered per recipient.

use campaign::{CampaignUid, Contents, EmailAddress, Message, Mistake, spec::MessageSpec};
use jiff::Timestamp;

/// The compiled templates of a campaign. Cheap to share; rendering needs `&self` only.
pub struct Letters {}

/// One recipient's mail, ready for a backend.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Envelope sender.
    pub from: EmailAddress,
    /// Envelope recipient.
    pub to: EmailAddress,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// The mail (RFC 5322), CRLF line ends, not dot-stuffed.
    pub bytes: Vec<u8>,
    /// The rendered subject, for HTTP backends.
    pub subject: String,
    /// The rendered text body, if there is one.
    pub text: Option<String>,
    /// The rendered HTML body, if there is one.
    pub html: Option<String>,
}

/// Why a letter can't be made for a row.
#[derive(Debug, thiserror::Error)]
#[error("{template}: {message}")]
pub struct RenderError {
    /// Field path of the template (`spec.message.html`), with its line where known.
    pub template: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Letters {
    /// Compiles the templates of a campaign.
    ///
    /// # Errors
    /// Every mistake in every template, each with its field path and line.
    pub fn compile(_spec: &MessageSpec, _uid: CampaignUid, _contents: &Contents) -> Result<Self, Vec<Mistake>> {
        Ok(Self {})
    }

    /// Columns that a template uses and the list lacks, each with the nearest one there is.
    pub fn missing_columns(&self, _columns: &[String]) -> Vec<Mistake> {
        Vec::new()
    }

    /// Whether the letter of this message can be made: renders everything, builds nothing.
    pub fn check(&self, _message: &Message) -> Result<(), RenderError> {
        Ok(())
    }

    /// Makes the letter.
    pub fn render(&self, _message: &Message, _date: Timestamp) -> Result<Letter, RenderError> {
        Err(RenderError { template: String::new(), message: "not yet".to_owned() })
    }
}
