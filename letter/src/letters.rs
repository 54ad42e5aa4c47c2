//! The campaign's letters: compiled once, rendered per recipient.

use crate::{
    header,
    mail::{Frame, Texts},
    row::Rows,
    slot::Columns,
    slots::Slots,
};
use campaign::{CampaignUid, Contents, EmailAddress, Mailbox, Message, Mistake, spec::MessageSpec};
use jiff::Timestamp;

/// The compiled templates of a campaign. Cheap to share; rendering needs `&self` only.
pub struct Letters {
    uid: CampaignUid,
    from: EmailAddress,
    frame: Frame,
    slots: Slots,
    rows: Rows,
}

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

/// An attachment as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name, safe as the name of a file.
    pub name: String,
    /// Its octets.
    pub bytes: Vec<u8>,
}

/// Why a letter can't be made for a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    pub fn compile(spec: &MessageSpec, uid: CampaignUid, contents: &Contents) -> Result<Self, Vec<Mistake>> {
        let from =
            Mailbox::parse(&spec.from).map_err(|error| vec![Mistake::new("spec.message.from", error.to_string())]);
        match (from, Slots::compile(spec, contents)) {
            (Ok(from), Ok(slots)) => Ok(Self::of(uid, from, slots)),
            (from, slots) => Err([from.err(), slots.err()].into_iter().flatten().flatten().collect()),
        }
    }

    pub(crate) fn of(uid: CampaignUid, from: Mailbox, slots: Slots) -> Self {
        Self { uid, frame: Frame::new(&from), from: from.address, slots, rows: Rows::default() }
    }

    /// Columns that a template uses and the list lacks, each with the nearest one there is; functions that don't exist.
    pub fn missing_columns(&self, columns: &[String]) -> Vec<Mistake> {
        self.slots.missing(&Columns::new(columns))
    }

    /// Whether the letter of this message can be made: renders everything, builds nothing, and looks whether a file is there without reading it.
    pub fn check(&self, message: &Message) -> Result<(), RenderError> {
        self.slots.check(&self.rows.row(&message.fields), &message.fields)
    }

    /// Makes the letter. `date` becomes its `Date`.
    pub fn render(&self, message: &Message, date: Timestamp) -> Result<Letter, RenderError> {
        let (row, fields) = (self.rows.row(&message.fields), &message.fields);
        let subject = header::flat(&self.slots.subject.render(&row, fields)?).into_owned();
        let text = self.slots.text.as_ref().map(|slot| slot.render(&row, fields)).transpose()?;
        let html = self.slots.html.as_ref().map(|slot| slot.render(&row, fields)).transpose()?;
        let message_id = self.uid.message_id(message.row, &self.from);
        let texts =
            Texts { subject: &subject, text: text.as_deref(), html: html.as_deref(), message_id: &message_id, date };
        let bytes = self.frame.mail(&self.slots, message, &row, &texts)?;
        Ok(Letter { from: self.from.clone(), to: message.recipient.clone(), message_id, bytes, subject, text, html })
    }

    /// The attachments as files, for a preview.
    pub fn documents(&self, message: &Message) -> Result<Vec<Document>, RenderError> {
        let row = self.rows.row(&message.fields);
        let attachments = self.slots.attachments.iter();
        attachments
            .map(|attachment| attachment.document(&row, &message.fields))
            .map(|document| document.map(|(name, bytes)| Document { name, bytes }))
            .collect()
    }
}
