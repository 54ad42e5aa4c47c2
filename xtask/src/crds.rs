//! Writes the resource definition, which is made of the Rust types and checked in.

use crate::command::root;
use anyhow::{Context, Result};

/// In `crds/`, and as the chart has it: a chart can't reach out of its folder.
const FILES: [&str; 2] =
    ["crds/mailcampaigns.mailcampaign.io.yaml", "charts/mailcampaign/files/mailcampaigns.mailcampaign.io.yaml"];

/// Writes the resource definition. Tests, here and of the campaign crate, say when it is stale.
pub(crate) fn write() -> Result<bool> {
    for file in FILES.map(|file| root().join(file)) {
        std::fs::write(&file, campaign::crd_yaml()).with_context(|| format!("{}: can't be written", file.display()))?;
        println!("wrote {}", file.display());
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_in_the_chart_is_up_to_date() {
        for file in FILES {
            let text = std::fs::read_to_string(root().join(file)).expect("it can be read");
            assert!(text == campaign::crd_yaml(), "{file} is stale; run: cargo xtask crds");
        }
    }
}
