//! The control group in which all pods of a cluster are.

use super::{Error, files, run};
use rustix::process::Pid;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// Makes the group, in every hierarchy (version 1 has one for each kind of resource).
pub(super) fn make(name: &str) -> Result<(), Error> {
    let root = Path::new(ROOT);
    let hierarchies = fs::read_dir(root).map_err(Error::file(root))?.flatten().map(|entry| entry.path());
    let hierarchies = hierarchies.filter(|folder| folder.join("cgroup.procs").is_file());
    if root.join("cgroup.procs").is_file() {
        return files::make_folder(&root.join(name));
    }
    for hierarchy in hierarchies {
        let group = hierarchy.join(name);
        files::make_folder(&group)?;
        // A group without processors and memory nodes takes nobody.
        for setting in ["cpuset.cpus", "cpuset.mems"].map(Path::new) {
            if let Ok(value) = fs::read_to_string(hierarchy.join(setting)) {
                files::write(&group.join(setting), &value)?;
            }
        }
    }
    Ok(())
}

/// The processes in the group and in those below it.
pub(super) fn processes(name: &str) -> Vec<Pid> {
    let lines = all(name).into_iter().filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
    let mut pids: Vec<i32> = lines.flat_map(|text| text.lines().flat_map(str::parse).collect::<Vec<_>>()).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().filter_map(Pid::from_raw).collect()
}

/// Removes the group, which must be empty.
pub(super) fn remove(name: &str) -> Result<(), Error> {
    run::until("the control groups of the pods were not given up", std::time::Duration::from_secs(10), || {
        let groups = all(name);
        groups.iter().try_for_each(|group| fs::remove_dir(group).map_err(Error::file(group)))
    })
}

/// The group in every hierarchy, after the groups that are in it.
fn all(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for hierarchy in entries.chain([PathBuf::from(ROOT)]) {
        collect(&hierarchy.join(name), &mut found);
    }
    found
}

fn collect(group: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        collect(&entry.path(), found);
    }
    found.push(group.to_path_buf());
}
