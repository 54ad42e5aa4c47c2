//! helm, which renders and installs charts.

use super::{Error, go};
use crate::cache;
use std::path::Path;
use std::process::Command;

/// Helm without a cluster; it is built where it is missing: a minute, once. What it keeps of its own is in the cache, so that nobody's settings play a part.
///
/// # Errors
/// If it can't be built.
pub fn helm() -> Result<Command, Error> {
    let [program] = go::ensure(["helm"])?;
    let own = cache::folder("helm").map_err(Error::file(Path::new("the cache")))?;
    let mut command = Command::new(program);
    for (name, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")] {
        command.env(name, own.join(folder));
    }
    command.env_remove("KUBECONFIG").env_remove("HELM_NAMESPACE");
    Ok(command)
}
