//! Java's archive of Kafka's classes, made once by running a broker. With it a broker starts in half the time, and with half the work.
//!
//! Everything works without it: where it can't be made, an empty file says so.

use super::broker::Process;
use super::cluster::{id, places, prepare};
use super::dist::Dist;
use super::ports::Block;
use super::{Error, KafkaOptions};
use crate::cache;
use std::fs::File;

/// Makes the archive, if it is missing: some 5 s.
pub(super) fn ensure(dist: &Dist) -> Result<(), Error> {
    let archive = dist.archive();
    if archive.is_file() {
        return Ok(());
    }
    let lock = archive.with_extension("lock");
    let _alone = cache::lock(&lock).map_err(Error::file(&lock))?;
    if archive.is_file() {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    let unfinished = archive.with_extension("unfinished");
    let ports = Block::choose(1)?;
    let options = KafkaOptions::default();
    let mut place = places(&options, &ports, folder.path()).remove(0);
    place.is_temporary = false;
    let dist = dist.that_writes(&unfinished);
    prepare(&dist, std::slice::from_ref(&place), &ports, &options)?;
    let mut process = Process::attached(&place, &dist)?;
    process.wait_until_up(&place, &[id(&place)])?;
    process.stop();
    if !unfinished.is_file() {
        File::create(&unfinished).map_err(Error::file(&unfinished))?;
    }
    std::fs::rename(&unfinished, &archive).map_err(Error::file(&archive))
}
