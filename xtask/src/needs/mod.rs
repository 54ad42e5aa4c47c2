//! What the tests need besides a Rust compiler: programs of the system, Python's libraries, Rust's tools, Kubernetes.
//!
//! As root everything that is missing is installed; otherwise it is named. When nothing is missing this costs well under a second.

pub(crate) mod debian;
pub(crate) mod kubernetes;
pub(crate) mod python;
pub(crate) mod rust;

use anyhow::Result;
use std::path::PathBuf;

/// Makes sure of everything that tests use; returns the Python that has the libraries.
pub(crate) fn ensure() -> Result<PathBuf> {
    debian::ensure()?;
    rust::ensure()?;
    kubernetes::ensure()?;
    python::ensure()
}
