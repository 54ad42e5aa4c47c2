//! The programs that are built from Go modules: which they are, and where they are kept.
//!
//! Each of the folders in `testkit/kubernetes` is a Go module that holds no code: its `go.mod` names the programs and their version, its `go.sum` what they
//! are made of. What was built stays in the cache, in a folder that is named for the version, and is built only where it is missing.

use super::{Error, files, run};
use crate::cache;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Go module of the rig's own.
struct Module {
    /// Its folder in `testkit/kubernetes`.
    name: &'static str,
    /// The module that brings the programs; its version is the one in `go.mod`.
    brings: &'static str,
    go_mod: &'static str,
    /// A program and its package.
    programs: &'static [(&'static str, &'static str)],
}

const KUBERNETES: Module = Module {
    name: "kubernetes",
    brings: "k8s.io/kubernetes",
    go_mod: include_str!("../../kubernetes/kubernetes/go.mod"),
    programs: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    ],
};
const ETCD: Module = Module {
    name: "etcd",
    brings: "go.etcd.io/etcd/server/v3",
    go_mod: include_str!("../../kubernetes/etcd/go.mod"),
    programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
};
const COREDNS: Module = Module {
    name: "coredns",
    brings: "github.com/coredns/coredns",
    go_mod: include_str!("../../kubernetes/coredns/go.mod"),
    programs: &[("coredns", "github.com/coredns/coredns")],
};
const HELM: Module = Module {
    name: "helm",
    brings: "helm.sh/helm/v3",
    go_mod: include_str!("../../kubernetes/helm/go.mod"),
    programs: &[("helm", "helm.sh/helm/v3/cmd/helm")],
};
const MODULES: [&Module; 4] = [&ETCD, &KUBERNETES, &COREDNS, &HELM];

/// The version of Kubernetes that is run, as `v1.36.3`.
pub fn version() -> &'static str {
    KUBERNETES.version()
}

/// Where programs of these names are, in their order. Those that are missing are built: minutes, once.
pub(super) fn ensure<const N: usize>(names: [&str; N]) -> Result<[PathBuf; N], Error> {
    let mut paths = [const { PathBuf::new() }; N];
    for (path, name) in paths.iter_mut().zip(names) {
        let mut all = MODULES.iter().flat_map(|module| module.programs.iter().map(move |program| (module, program)));
        let (module, (_, package)) = all.find(|(_, program)| program.0 == name).expect("a program of the rig");
        *path = module.ensure(name, package)?;
    }
    Ok(paths)
}

/// The programs that are not built yet.
pub fn missing() -> Vec<&'static str> {
    let is_missing = |module: &Module, name: &str| !module.folder().is_ok_and(|folder| folder.join(name).is_file());
    let of = |module: &'static Module| {
        module.programs.iter().map(|(name, _)| *name).filter(move |name| is_missing(module, name))
    };
    MODULES.into_iter().flat_map(of).collect()
}

/// Builds those programs: minutes, once.
///
/// # Errors
/// If Go is missing, or can't build one; what it said is part of the message.
pub fn build_missing() -> Result<(), Error> {
    missing().into_iter().try_for_each(|name| ensure([name]).map(drop))
}

impl Module {
    fn folder(&self) -> Result<PathBuf, Error> {
        let name = format!("{}-{}", self.name, self.version());
        cache::folder(&name).map_err(Error::file(Path::new("the cache")))
    }

    fn version(&self) -> &'static str {
        let mut words = self.go_mod.lines().map(|line| line.trim_start_matches("require").trim());
        let version = words.find_map(|line| line.strip_prefix(self.brings)?.strip_prefix(' '));
        version.and_then(|version| version.split(' ').next()).expect("go.mod names the version")
    }

    fn ensure(&self, name: &str, package: &str) -> Result<PathBuf, Error> {
        let folder = self.folder()?;
        let program = folder.join(name);
        if program.is_file() {
            return Ok(program);
        }
        files::make_folder(&folder)?;
        let lock = folder.join("lock");
        let _alone = cache::lock(&lock).map_err(Error::file(&lock))?;
        if !program.is_file() {
            self.build(package, &program)?;
        }
        Ok(program)
    }

    fn build(&self, package: &str, program: &Path) -> Result<(), Error> {
        let unfinished = program.with_extension("unfinished");
        let mut command = Command::new("go");
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes").join(self.name));
        command.args(["build", "-mod=readonly", "-trimpath", "-ldflags", &self.linker_flags(), "-o"]);
        // A workspace of somebody's would bring other versions.
        command.arg(&unfinished).arg(package).env("CGO_ENABLED", "0").env("GOWORK", "off");
        run::to_end(&mut command, "the toolchain of Go builds the cluster's programs: install it and put it on PATH")?;
        std::fs::rename(&unfinished, program).map_err(Error::file(program))
    }

    /// Without symbols, which halves the size; and with what programs are asked for, where their own build would set it.
    fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        let mut set = |package: &str, variable: &str, value: &str| {
            let _ = write!(flags, " -X {package}.{variable}={value}");
        };
        let kubernetes = KUBERNETES.version();
        let mut parts = kubernetes.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if self.name == KUBERNETES.name {
            set("k8s.io/component-base/version", "gitVersion", kubernetes);
            set("k8s.io/component-base/version", "gitMajor", major);
            set("k8s.io/component-base/version", "gitMinor", minor);
        }
        if self.name == HELM.name {
            // For which Kubernetes it renders and checks charts when it asks none.
            for package in ["helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"] {
                set(package, "k8sVersionMajor", major);
                set(package, "k8sVersionMinor", minor);
            }
            set("helm.sh/helm/v3/internal/version", "version", self.version());
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_go_mod_names_the_programs_and_the_version_of_what_brings_them() {
        for module in MODULES {
            assert!(module.version().starts_with('v'), "{}", module.name);
            for (_, package) in module.programs {
                assert!(package.starts_with(module.brings), "{package}");
                assert!(
                    module.go_mod.lines().any(|line| line.trim_start_matches("tool").trim() == *package),
                    "{package}"
                );
            }
        }
    }

    #[test]
    fn kubernetes_is_told_its_version_and_helm_that_of_kubernetes() {
        assert!(KUBERNETES.linker_flags().contains("version.gitMajor=1 -X"));
        assert!(HELM.linker_flags().contains("chartutil.k8sVersionMajor=1 -X"));
        assert_eq!(ETCD.linker_flags(), "-s -w");
    }
}
