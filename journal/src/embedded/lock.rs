//! The state folder's lock: one run at a time has the journal, and for as long as its process lives.
//!
//! It is `flock` on the file `lock`, which the kernel drops with the process, however that ends. The file holds the owner's
//! process id, for people; the lock itself is what counts.

use crate::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

/// A reader that looks whether a run is going holds the lock for an instant: a run that starts then tries again.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Held for the life of a run.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of a state folder.
    ///
    /// # Errors
    /// [`Error::InUse`] with the process id of who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let failed = |source: std::io::Error| Error::Storage { path: dir.to_owned(), source: source.into() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(failed)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    // A disk too full for the process id is no reason not to run.
                    let _ = write_pid(&mut file);
                    return Ok(Self { file });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(Error::InUse { path: dir.to_owned(), owner: read_pid(&mut file) })
    }

    /// Whether a run has the journal now.
    pub(super) fn is_held(dir: &Path) -> bool {
        let Ok(file) = File::open(dir.join("lock")) else { return false };
        match file.try_lock_shared() {
            // Closing the file gives it back.
            Ok(()) | Err(TryLockError::Error(_)) => false,
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    match file.rewind().and_then(|()| file.read_to_string(&mut text)) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_told_who_has_the_journal() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = Lock::take(dir.path()).expect("nobody has it");
        assert!(Lock::is_held(dir.path()));
        let Err(Error::InUse { owner, .. }) = Lock::take(dir.path()) else { panic!("taken twice") };
        assert_eq!(owner, std::process::id().to_string());
        drop(first);
        assert!(!Lock::is_held(dir.path()));
        Lock::take(dir.path()).expect("given back");
    }

    #[test]
    fn a_lock_file_left_by_a_dead_process_is_no_lock() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("lock"), "1").expect("written");
        assert!(!Lock::is_held(dir.path()));
        Lock::take(dir.path()).expect("nobody has it");
    }
}
