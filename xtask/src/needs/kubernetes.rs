//! Kubernetes, which is built from its Go modules.

use anyhow::Result;
use testkit::kubernetes::{build_missing_programs, missing_programs};

/// Builds the programs that are not there, into the cache.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing_programs();
    if !missing.is_empty() {
        eprintln!("building {}; once, which takes some minutes", missing.join(", "));
        build_missing_programs()?;
    }
    Ok(())
}
