//! Where tools are kept between runs, outside the checkout.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// The folder `name` in the cache: `$XDG_CACHE_HOME/mailcampaign` or `~/.cache/mailcampaign`. Its parents exist afterwards.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("no home folder for the cache; set XDG_CACHE_HOME")?
        .join("mailcampaign");
    std::fs::create_dir_all(&base).with_context(|| format!("{}: can't be made", base.display()))?;
    Ok(base.join(name))
}
