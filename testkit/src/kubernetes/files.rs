//! Files that the parts of a cluster read: their errors say which.

use super::Error;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file(path))
}

/// Writes a file that everybody may read.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file(path))
}

/// Writes a file that only its owner may read.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    write(path, "")?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(Error::file(path))?;
    write(path, text)
}

/// Writes a program.
pub(super) fn write_program(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::file(path))
}

/// A word that nobody can guess.
pub(super) fn random_word() -> Result<String, Error> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::file(source))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
