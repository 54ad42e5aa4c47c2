//! The rules of the resource, applied to a file as an API server would apply them.
//!
//! There is one definition: the schema with its CEL rules in `crds/`, made from [`crate::spec`]. On top of it [`parse`] finds what CEL can't say
//! (addresses, encodings, formats), and gives a [`ValidCampaign`] that nobody down the line checks again.

mod cel;
mod fields;
mod judge;
mod metadata;
mod salvage;
mod schema;
mod valid;

pub use salvage::salvage;
pub use valid::ValidCampaign;

use crate::Mistake;
use serde_json::Value;

/// Judges a document and reads it.
///
/// # Errors
/// Every mistake in it, each with its field path, in the order of the document as far as possible.
pub fn parse(document: &Value) -> Result<ValidCampaign, Vec<Mistake>> {
    let mistakes = check(document);
    if mistakes.is_empty() { valid::read(document).map_err(|mistake| vec![mistake]) } else { Err(mistakes) }
}

/// Every mistake in a document; none: [`parse`] gives a campaign.
pub fn check(document: &Value) -> Vec<Mistake> {
    judged(document, None)
}

/// Every mistake in a document that is to take the place of another on a cluster: its own, and those of the change (list and message stay once they
/// are published). What was before is judged with its status.
pub fn check_change(before: &Value, document: &Value) -> Vec<Mistake> {
    judged(document, Some(before))
}

fn judged(document: &Value, before: Option<&Value>) -> Vec<Mistake> {
    let mut mistakes = metadata::check(document);
    match schema::schema() {
        Ok(schema) => mistakes.extend(judge::judge(schema, document, before)),
        Err(defect) => mistakes.push(Mistake::new("campaign", defect)),
    }
    mistakes.extend(fields::check(&document["spec"], &mistakes));
    mistakes
}
