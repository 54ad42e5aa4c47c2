//! Recipient list -> journal.
//!
//! [`List`] reads rows, [`preflight`](preflight()) looks at all of them before anything is sent, [`publish`](publish()) puts them into the journal. Every
//! row of the list that is not blank ends as exactly one entry: a message, or a skipped row with its reason. [`serve`](serve()) is the whole of the program
//! `mailcampaign-producer`.

mod begin;
mod dedupe;
mod judge;
pub mod list;
pub mod metrics;
pub mod opened;
pub mod preflight;
pub mod publish;
pub mod serve;
mod shard;
mod size;
mod suppress;

pub use begin::{begin, must_be};
pub use dedupe::AddressSet;
pub use list::{List, ListFile, Row};
pub use metrics::Metrics;
pub use opened::{Destination, Opened};
pub use preflight::{InvalidRow, Preflight, preflight};
pub use publish::{Plan, publish};
pub use serve::serve;
pub use shard::{NoSuchShard, Shard};
pub use suppress::Suppress;

use campaign::spec::Recipients;
use letter::{Letters, RequestBody};
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
    /// The compiled request bodies of the backends that have one: they use columns too.
    pub bodies: Vec<RequestBody>,
}
