//! Writes the generated files that are checked in.

use crate::command::root;
use anyhow::{Context, Result};

/// Writes the resource definition. A test of the campaign crate says when it is stale.
pub(crate) fn write() -> Result<bool> {
    let file = root().join("crds/mailcampaigns.mailcampaign.io.yaml");
    std::fs::write(&file, campaign::crd_yaml()).with_context(|| format!("{}: can't be written", file.display()))?;
    println!("wrote {}", file.display());
    Ok(true)
}
