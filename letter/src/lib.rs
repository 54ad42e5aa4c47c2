//! One recipient's values in, one mail out: templates, documents, MIME.
//!
//! Compiled once per campaign into [`Letters`]; then each letter is a function of one message. The only I/O is reading the ready file of an
//! `each` attachment.

pub mod docx;
mod letters;

pub use letters::{Letter, Letters, RenderError};
