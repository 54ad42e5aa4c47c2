//! Writes the generated part of `deploy/`, for those without Helm: what the chart renders.

use crate::command::{output_of, root};
use anyhow::{Context, Result};
use std::path::PathBuf;
use testkit::kubernetes::helm;

/// A folder of `deploy/`, and the value that makes it what it is. `deploy/settings` is where a user says which Kafka and which image.
const VARIANTS: [(&str, &str); 2] = [("namespaced", "clusterWide=false"), ("cluster-wide", "clusterWide=true")];

const HEADER: &str = "# Made from charts/mailcampaign by `cargo xtask deploy`: change the chart, not this file.\n";

/// Writes the operator's objects. A test here says when they are stale.
pub(crate) fn write() -> Result<bool> {
    for (variant, value) in VARIANTS {
        let file = file(variant);
        std::fs::write(&file, rendered(value)?).with_context(|| format!("{}: can't be written", file.display()))?;
        println!("wrote {}", file.display());
    }
    Ok(true)
}

fn file(variant: &str) -> PathBuf {
    root().join("deploy").join(variant).join("operator.yaml")
}

/// What the chart makes of this value, without what only Helm reads.
fn rendered(value: &str) -> Result<String> {
    let mut command = helm()?;
    command.args(["template", "mailcampaign"]).arg(root().join("charts/mailcampaign"));
    command.args(["--namespace", "mailcampaign-system", "--skip-tests"]);
    let replaced = ["kafka.bootstrapServers=kafka.kafka.svc.cluster.local:9092", "image.repository=mailcampaign"];
    // The definition is applied from crds/, so that taking the operator away leaves it.
    for value in ["crds.install=false", value].iter().chain(&replaced) {
        command.args(["--set", value]);
    }
    let objects = output_of(&mut command)?;
    let is_of_helm = |line: &str| {
        ["# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: "]
            .iter()
            .any(|word| line.trim_start().starts_with(word))
    };
    let lines = objects.lines().filter(|line| !is_of_helm(line)).flat_map(|line| [line, "\n"]);
    Ok(HEADER.to_owned() + &lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deployed_without_helm_is_what_the_chart_renders() {
        for (variant, value) in VARIANTS {
            let checked_in = std::fs::read_to_string(file(variant)).expect("it can be read");
            let made = rendered(value).expect("the chart renders");
            assert!(checked_in == made, "deploy/{variant}/operator.yaml is stale; run: cargo xtask deploy");
        }
    }
}
