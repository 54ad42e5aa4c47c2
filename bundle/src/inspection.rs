//! A campaign with mistakes: all of them, and what is left to look for more.

use crate::{Gathered, ListFile};
use campaign::{
    Contents, Mistake, rules,
    spec::{Delivery, MessageSpec, Recipients},
};
use std::path::Path;

/// What can be seen of a campaign that may have mistakes: for `validate`, which tells all of them in one go.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Mistakes in the file and in what it names, each with its place.
    pub mistakes: Vec<Mistake>,
    /// `spec.recipients`, as far as it can be read.
    pub recipients: Option<Recipients>,
    /// `spec.message`, as far as it can be read.
    pub message: Option<MessageSpec>,
    /// `spec.delivery`, as far as it can be read.
    pub delivery: Option<Delivery>,
    /// The contents that were found.
    pub contents: Contents,
    /// The list, if it was found.
    pub list: Option<ListFile>,
}

impl Inspection {
    /// Reads a campaign's YAML file and everything it names, as far as that can be done.
    pub async fn of(path: &Path) -> Self {
        let gathered = match Gathered::of(path).await {
            Ok(gathered) => gathered,
            Err(mistakes) => return Self { mistakes, ..Self::default() },
        };
        let Gathered { document, contents, list, mistakes, .. } = gathered;
        Self {
            recipients: rules::salvage(&document, "recipients", &mistakes),
            message: rules::salvage(&document, "message", &mistakes),
            delivery: rules::salvage(&document, "delivery", &mistakes),
            contents,
            list,
            mistakes,
        }
    }
}
