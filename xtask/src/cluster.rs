//! `cargo xtask cluster up | down | status | install`: a real Kubernetes cluster for people and for tests, which stays when this program ends.
//!
//! On stdout are the lines that a shell can evaluate; what happens is told on stderr.

use crate::args::{Cluster as Options, ClusterTask};
use crate::command::{cargo, is_root, root, run as run_to_end, succeeds, target_folder};
use crate::needs;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use testkit::cache;
use testkit::kubernetes::{BASE, Cluster, KAFKA_FOR_PODS, build_image, helm, version};

/// Programs of the cluster that are this project's own.
const PROGRAMS: [&str; 2] = ["smtp-sink-recording", "namespace-doors"];

/// What goes into the image: packages and their programs.
const IN_IMAGE: [(&str, &str); 4] = [
    ("producer", "mailcampaign-producer"),
    ("worker", "mailcampaign-worker"),
    ("operator", "mailcampaign-operator"),
    ("cli", "mailcampaign"),
];
/// The image as pods name it.
const IMAGE: &str = "localhost/mailcampaign:dev";
const NAMESPACE: &str = "mailcampaign-system";
/// Helm's words, the same as in the README.
const INSTALL: &str = "upgrade --install mc charts/mailcampaign --namespace mailcampaign-system --create-namespace --set clusterWide=true \
    --set image.repository=localhost/mailcampaign --set image.tag=dev --set kafka.bootstrapServers=kafka.kafka.svc.cluster.local:9092 --wait";

/// Starts, ends or looks at the cluster of this machine.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let cluster = match &options.folder {
        Some(folder) => Cluster::in_folder(std::path::absolute(folder)?, programs()),
        None => of_this_machine()?,
    };
    match options.task {
        ClusterTask::Up => {
            if !is_root() {
                bail!("a node needs root (network namespaces, mounts, control groups); run this as root");
            }
            needs::debian::ensure_for_cluster()?;
            build_programs()?;
            eprintln!("Kubernetes {}, one moment", version());
            needs::kubernetes::ensure()?;
            let up = cluster.up()?;
            eprintln!("{}; pods reach Kafka at {KAFKA_FOR_PODS}", up.done);
            print(&up.variables);
            Ok(true)
        }
        ClusterTask::Install => {
            cluster.load(&image()?)?;
            eprintln!("the node has the image {IMAGE}");
            install(&cluster)?;
            Ok(true)
        }
        ClusterTask::Down => {
            let done = if cluster.down()? { "ended, and its data removed" } else { "no cluster runs" };
            eprintln!("{done}");
            Ok(true)
        }
        ClusterTask::Status => {
            let parts = cluster.status();
            for (name, runs) in &parts {
                eprintln!("{name:<24} {}", if *runs { "runs" } else { "doesn't run" });
            }
            if let Some(variables) = cluster.variables_if_up() {
                print(&variables);
            }
            Ok(parts.iter().all(|(_, runs)| *runs))
        }
    }
}

/// The cluster that is started where nobody names another folder.
pub(crate) fn of_this_machine() -> Result<Cluster> {
    Ok(Cluster::of_this_machine(programs())?)
}

/// Where this project's own programs are.
fn programs() -> PathBuf {
    target_folder().join("debug")
}

fn print(variables: &[(&str, String)]) {
    for (name, value) in variables {
        println!("{name}={value}");
    }
}

/// Runs cargo, unless somebody says that the whole workspace is built.
fn build(command: &mut Command) -> Result<()> {
    if std::env::var_os(chaos::BUILT).is_some() {
        return Ok(());
    }
    run_to_end(command.stdout(std::io::stderr()))
}

fn build_programs() -> Result<()> {
    let mut command = cargo(["build", "--quiet", "--package", "testkit"]);
    build(command.args(PROGRAMS.iter().flat_map(|name| ["--bin", name])))
}

/// Builds the image from the project's Dockerfile, with programs that cargo built here; its archive.
fn image() -> Result<PathBuf> {
    let mut all = cargo(["build", "--quiet"]);
    build(all.args(IN_IMAGE.iter().flat_map(|(package, _)| ["--package", package])).arg("--bins"))?;
    let context = tempfile::tempdir()?;
    let programs = context.path().join("programs");
    std::fs::create_dir(&programs)?;
    for (_, program) in IN_IMAGE {
        let built = target_folder().join("debug").join(program);
        // What only a debugger reads is most of it.
        run_to_end(Command::new("strip").arg("--strip-debug").arg("-o").arg(programs.join(program)).arg(built))?;
    }
    std::fs::copy(root().join("Dockerfile"), context.path().join("Dockerfile"))?;
    let archive = cache::folder("images")?.join("mailcampaign.tar");
    if let Some(folder) = archive.parent() {
        std::fs::create_dir_all(folder)?;
    }
    build_image(context.path(), IMAGE, &[("BUILDER", BASE), ("BASE", BASE)], &archive)?;
    Ok(archive)
}

/// Installs the chart, or upgrades what is installed.
fn install(cluster: &Cluster) -> Result<()> {
    let variables = cluster.variables_if_up().context("no cluster runs; start it: cargo xtask cluster up")?;
    let of_cluster = |command: &mut Command| {
        command.envs(variables.iter().map(|(name, value)| (name, value))).current_dir(root()).stdout(std::io::stderr());
    };
    let mut look = helm()?;
    look.args(["status", "mc", "--namespace", NAMESPACE]);
    of_cluster(&mut look);
    let was_there = succeeds(&mut look);
    let mut install = helm()?;
    install.args(INSTALL.split_whitespace());
    of_cluster(&mut install);
    run_to_end(&mut install)?;
    if was_there {
        // The image has the name that it had before, so that Kubernetes sees no difference.
        let workload = ["deployment", "--selector=app.kubernetes.io/instance=mc", "--namespace", NAMESPACE];
        for verb in ["restart", "status"] {
            let mut kubectl = Command::new(cluster.kubectl());
            kubectl.args(["rollout", verb]).args(workload);
            of_cluster(&mut kubectl);
            run_to_end(&mut kubectl)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_installs_the_chart_with_the_same_words() {
        let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md").replace("\\\n", " ");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = format!("helm {}", words(INSTALL));
        assert!(readme.lines().any(|line| words(line) == wanted), "{wanted}");
    }
}
