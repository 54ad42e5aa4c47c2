//! The campaign's letters by their public API.

mod common;
mod mails;
mod properties;
