//! The list of recipients as a file on disk: it may be far larger than memory.

use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempPath};

/// The list of recipients: a file on disk, never read whole into memory.
#[derive(Debug)]
pub struct ListFile {
    /// Where it is. A temporary file (of a list in the YAML file or from the web) lives as long as this value.
    pub path: PathBuf,
    /// Its name for people: the key or the end of the web address, e.g. `offers.xlsx`.
    pub display_name: String,
    sha256: Option<String>,
    /// Removes the temporary file when dropped.
    _temporary: Option<TempPath>,
}

impl ListFile {
    /// A file that is there already.
    pub fn at(path: impl Into<PathBuf>, display_name: &str) -> Self {
        Self { path: path.into(), display_name: display_name.to_owned(), sha256: None, _temporary: None }
    }

    /// Bytes written to a temporary file, which only this user can read.
    pub(crate) fn temporary(bytes: &[u8], display_name: &str) -> io::Result<Self> {
        let mut file = new_temporary(display_name)?;
        file.write_all(bytes)?;
        Ok(Self::from_temporary(file, display_name, None))
    }

    /// A temporary file that is written already, with its hash if it is known.
    pub(crate) fn from_temporary(file: NamedTempFile, display_name: &str, sha256: Option<String>) -> Self {
        let path = file.into_temp_path();
        Self { path: path.to_path_buf(), display_name: display_name.to_owned(), sha256, _temporary: Some(path) }
    }

    /// SHA-256 of the file in hex; read in blocks unless it is known.
    pub(crate) fn sha256(&self) -> io::Result<String> {
        self.sha256.clone().map_or_else(|| hash_of(&self.path), Ok)
    }
}

/// A temporary file whose name ends like the list's.
pub(crate) fn new_temporary(display_name: &str) -> io::Result<NamedTempFile> {
    let ending = Path::new(display_name).extension().and_then(|ending| ending.to_str());
    let suffix = ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    tempfile::Builder::new().prefix("mailcampaign-").suffix(&suffix).tempfile()
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(crate::hashes::hex(&hash.finalize())),
            Ok(length) => hash.update(&block[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
