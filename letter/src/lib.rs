//! One recipient's values in, one mail out: templates, documents, MIME.
//!
//! Compiled once per campaign into [`Letters`]; then each letter is a function of one message. The only I/O is reading the ready file of an
//! `each` attachment.

mod attachment;
mod body;
pub mod docx;
pub mod filters;
mod header;
mod inspection;
mod letters;
mod mail;
mod mjml;
mod number;
mod request_body;
pub mod row;
mod slot;
mod slots;
pub mod template;
mod unsubscribe;
pub mod usage;

pub use letters::{Document, Letter, Letters, RenderError};
pub use request_body::RequestBody;
pub use row::Rows;
pub use template::{Engine, Escape, Template, TemplateError};
