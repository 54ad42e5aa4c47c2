//! Programs that Debian brings.

use crate::command::{find_program, is_root, run, succeeds};
use anyhow::{Result, bail};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A Debian package that tests use.
struct Package {
    name: &'static str,
    is_there: fn() -> bool,
}

const JAVA: &str = "default-jre-headless";
const MAVEN: &str = "maven";

/// What a cluster's node is made of.
const NODE: [&str; 8] = [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "iproute2",
    "catatonit",
    "debootstrap",
    "buildah",
];

const PACKAGES: &[Package] = &[
    Package { name: "postfix", is_there: || has("smtp-sink") && has("smtp-source") },
    Package { name: "libreoffice-writer", is_there: || has("soffice") && has("lowriter") },
    Package { name: "libreoffice-calc", is_there: || has("soffice") && has("localc") },
    Package {
        name: "fonts-dejavu-core",
        is_there: || Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").is_file(),
    },
    Package { name: "poppler-utils", is_there: || has("pdftotext") },
    // Apache Kafka, and the tool that gets it. Debian 12's Java is 17, Debian 13's is 21; Kafka wants 17 or newer.
    Package { name: JAVA, is_there: || has("java") },
    Package { name: MAVEN, is_there: || has("mvn") },
    // Kafka's client library is C, and builds OpenSSL, whose build is written in Perl.
    Package { name: "gcc", is_there: || has("cc") || has("gcc") },
    Package { name: "make", is_there: || has("make") },
    Package { name: "perl", is_there: || has("perl") },
    Package { name: "g++", is_there: || has("c++") || has("g++") },
    // A node of a cluster, and what makes its images.
    Package { name: "containerd", is_there: || has("containerd") && has("ctr") },
    Package { name: "runc", is_there: || has("runc") },
    Package {
        name: "containernetworking-plugins",
        is_there: || Path::new("/usr/lib/cni/bridge").is_file() && Path::new("/usr/lib/cni/host-local").is_file(),
    },
    Package { name: "iptables", is_there: || has("iptables") && has("iptables-restore") },
    Package { name: "iproute2", is_there: || has("ip") },
    Package { name: "catatonit", is_there: || has("catatonit") },
    Package { name: "debootstrap", is_there: || has("debootstrap") },
    Package { name: "buildah", is_there: || has("buildah") },
    Package {
        name: "python3-venv",
        is_there: || succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])),
    },
];

fn has(program: &str) -> bool {
    find_program(program).is_some()
}

/// Installs the packages that are missing, or names them.
pub(crate) fn ensure() -> Result<()> {
    install(|_| true)
}

/// The same for what brokers need, and no more.
pub(crate) fn ensure_for_kafka() -> Result<()> {
    install(|name| [JAVA, MAVEN].contains(&name))
}

/// The same for a cluster: its node and its broker.
pub(crate) fn ensure_for_cluster() -> Result<()> {
    install(|name| [JAVA, MAVEN].contains(&name) || NODE.contains(&name))
}

fn install(wanted: impl Fn(&str) -> bool) -> Result<()> {
    let missing = || -> Vec<&'static str> {
        let missing = PACKAGES.iter().filter(|package| wanted(package.name) && !(package.is_there)());
        missing.map(|package| package.name).collect()
    };
    let absent = missing();
    if absent.is_empty() {
        return Ok(());
    }
    let names = absent.join(" ");
    if !has("apt-get") {
        bail!("programs are needed that are not here; on Debian these packages bring them: {names}");
    }
    if !is_root() {
        bail!(
            "packages are needed that are not installed. As root:\n  apt-get install --no-install-recommends {names}"
        );
    }
    eprintln!("installing {names}");
    // Without an answer, postfix would set up a mail server: it is wanted for two of its programs only.
    preseed("postfix postfix/main_mailer_type select No configuration\n")?;
    if run(&mut apt(&["install"], &absent)).is_err() {
        // The package lists may be old or empty, as in a fresh image.
        run(&mut apt(&["update"], &[]))?;
        run(&mut apt(&["install"], &absent))?;
    }
    match missing().join(" ") {
        still if still.is_empty() => Ok(()),
        still => bail!("installed, and yet not found: {still}"),
    }
}

fn apt(verb: &[&str], packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet=2", "--yes", "--no-install-recommends"]).args(verb).args(packages).stdin(Stdio::null());
    // Standard output belongs to the task, which may have a result to print.
    command.stdout(std::io::stderr());
    // RUNLEVEL=1 keeps a package's scripts from starting services.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

fn preseed(answers: &str) -> Result<()> {
    if !has("debconf-set-selections") {
        return Ok(());
    }
    let mut child = Command::new("debconf-set-selections").stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(answers.as_bytes())?;
    }
    child.wait()?;
    Ok(())
}
