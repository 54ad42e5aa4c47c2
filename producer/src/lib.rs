//! Recipient list -> journal.
//!
//! [`List`] reads rows, [`preflight`](preflight()) looks at all of them before anything is sent, [`publish`](publish()) puts them into the journal. Every
//! row of the list that is not blank ends as exactly one entry: a message, or a skipped row with its reason.

mod dedupe;
mod judge;
pub mod list;
pub mod preflight;
pub mod publish;
mod suppress;

pub use dedupe::AddressSet;
pub use list::{List, ListFile, Row};
pub use preflight::{InvalidRow, Preflight, preflight};
pub use publish::publish;
pub use suppress::Suppress;

use campaign::spec::Recipients;
use letter::Letters;
use std::sync::Arc;

/// What is published: a list, which of its rows are mailed, and what they get.
pub struct Input {
    /// The list.
    pub list: ListFile,
    /// `spec.recipients`.
    pub recipients: Recipients,
    /// Who is never mailed.
    pub suppress: Suppress,
    /// The compiled templates.
    pub letters: Arc<Letters>,
}
