//! Where tools are kept between runs, outside the checkout.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The folder `name` in the cache: `$XDG_CACHE_HOME/mailcampaign` or `~/.cache/mailcampaign`. Its parents exist afterwards.
///
/// # Errors
/// If there is no home folder, or the cache can't be made.
pub fn folder(name: &str) -> io::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .ok_or_else(|| io::Error::other("no home folder for the cache; set XDG_CACHE_HOME"))?
        .join("mailcampaign");
    std::fs::create_dir_all(&base)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: can't be made ({error})", base.display())))?;
    Ok(base.join(name))
}

/// Waits until nobody else holds the lock that this file stands for; it is held until what is returned is dropped.
///
/// # Errors
/// If the file can't be made.
pub(crate) fn lock(file: &Path) -> io::Result<File> {
    let held = File::create(file)?;
    held.lock()?;
    Ok(held)
}
