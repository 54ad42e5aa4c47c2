//! Images for the cluster's node, made on this machine: no registry is asked.
//!
//! The base is Debian as the machine's own package sources have it. Images are kept as archives in the cache; buildah keeps what it needs there as well.

use super::{Error, files, run};
use crate::cache;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first container of every pod, which only waits.
pub(super) const PAUSE: &str = "localhost/pause:1";
/// A small Debian.
pub const BASE: &str = "localhost/debian:rig";

/// What a program in a container needs least of a distribution.
const UNNEEDED: [&str; 6] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt", "var/lib/apt/lists"];

/// Archives of all images that a cluster begins with; made where they are missing.
pub(super) fn ensure() -> Result<[PathBuf; 2], Error> {
    Ok([ensure_one("pause", PAUSE, write_pause)?, ensure_one("debian", BASE, write_base)?])
}

/// Builds an image from a folder with a Dockerfile, without a network: its base must be [`BASE`]. The archive is `archive`, which is written anew.
///
/// # Errors
/// If it can't be built; what buildah said is part of the message.
pub fn build(folder: &Path, name: &str, arguments: &[(&str, &str)], archive: &Path) -> Result<(), Error> {
    ensure_one("debian", BASE, write_base)?;
    build_from(folder, name, arguments, archive)
}

fn ensure_one(file: &str, name: &str, write: impl FnOnce(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
    let folder = cache::folder("images").map_err(Error::file(Path::new("the cache")))?;
    files::make_folder(&folder)?;
    let archive = folder.join(format!("{file}.tar"));
    if archive.is_file() {
        return Ok(archive);
    }
    let lock = folder.join("lock");
    let _alone = cache::lock(&lock).map_err(Error::file(&lock))?;
    if !archive.is_file() {
        let context = tempfile::Builder::new().prefix("image-").tempdir_in(&folder).map_err(Error::file(&folder))?;
        write(context.path())?;
        build_from(context.path(), name, &[], &archive)?;
    }
    Ok(archive)
}

fn build_from(folder: &Path, name: &str, arguments: &[(&str, &str)], archive: &Path) -> Result<(), Error> {
    let was_there = Path::new(REMEMBERED).exists();
    let built = build_and_export(folder, name, arguments, archive);
    if !was_there {
        // There are no registries here, and nothing of value in it.
        let _ = fs::remove_dir_all(REMEMBERED);
    }
    built
}

fn build_and_export(folder: &Path, name: &str, arguments: &[(&str, &str)], archive: &Path) -> Result<(), Error> {
    let mut build = buildah()?;
    build.args(["build", "--isolation", "chroot", "--pull-never", "--timestamp", "0", "--tag", name]);
    for (argument, value) in arguments {
        build.arg("--build-arg").arg(format!("{argument}={value}"));
    }
    run::to_end(build.arg(folder), run::FROM_DEBIAN)?;
    let unfinished = archive.with_extension("unfinished");
    // An archive that is there already would be added to, which this kind can't.
    let _ = fs::remove_file(&unfinished);
    let target = format!("docker-archive:{}:{name}", unfinished.display());
    run::to_end(buildah()?.args(["push", "--quiet", name, &target]), run::FROM_DEBIAN)?;
    // What had this name before has none now, and would stay for ever.
    run::to_end(buildah()?.args(["rmi", "--prune"]), run::FROM_DEBIAN)?;
    fs::rename(&unfinished, archive).map_err(Error::file(archive))
}

/// Where buildah remembers which layers registries have, whatever store it is given.
const REMEMBERED: &str = "/var/lib/containers";

/// buildah with a store of its own.
fn buildah() -> Result<Command, Error> {
    let store = cache::folder("buildah").map_err(Error::file(Path::new("the cache")))?;
    let mut command = Command::new("buildah");
    command.arg("--root").arg(store.join("root")).arg("--runroot").arg(store.join("run"));
    command.args(["--storage-driver", "overlay"]);
    Ok(command)
}

/// Debian's static `catatonit`, which waits and buries the dead.
fn write_pause(folder: &Path) -> Result<(), Error> {
    let program = Path::new("/usr/bin/catatonit");
    fs::copy(program, folder.join("pause")).map_err(Error::file(program))?;
    files::write(&folder.join("Dockerfile"), "FROM scratch\nCOPY pause /pause\nENTRYPOINT [\"/pause\", \"-P\"]\n")
}

/// The smallest Debian, without what only people read.
fn write_base(folder: &Path) -> Result<(), Error> {
    let root = folder.join("root");
    let (suite, source) = package_source()?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=ca-certificates", &suite]).arg(&root).arg(source);
    run::to_end(&mut debootstrap, run::FROM_DEBIAN)?;
    for name in UNNEEDED {
        let unneeded = root.join(name);
        if unneeded.exists() {
            fs::remove_dir_all(&unneeded).map_err(Error::file(&unneeded))?;
            files::make_folder(&unneeded)?;
        }
    }
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(&root).arg("--file").arg(folder.join("root.tar"));
    run::to_end(
        tar.args(["--create", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "."]),
        run::FROM_DEBIAN,
    )?;
    fs::remove_dir_all(&root).map_err(Error::file(&root))?;
    files::write(&folder.join("Dockerfile"), "FROM scratch\nADD root.tar /\nCMD [\"/bin/sh\"]\n")
}

/// The distribution's name and where this machine gets its packages.
fn package_source() -> Result<(String, String), Error> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages", "Component: main"]);
    let printed = run::to_end(&mut apt, run::FROM_DEBIAN)?;
    // Updates are other suites, named after the first: bookworm, bookworm-updates.
    let shortest = printed.lines().filter_map(|line| line.split_once(' ')).min_by_key(|(suite, _)| suite.len());
    let (suite, source) = shortest.ok_or_else(|| Error::Failed {
        command: "apt-get indextargets".to_owned(),
        output: "no package source is set up (/etc/apt/sources.list), or its lists are not there: apt-get update"
            .to_owned(),
    })?;
    Ok((suite.to_owned(), source.to_owned()))
}
