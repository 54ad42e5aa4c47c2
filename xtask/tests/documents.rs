//! What the documents promise about the code.

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The dependencies from the registry in the root `Cargo.toml`.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let section = manifest.split("[workspace.dependencies]").nth(1).expect("there are dependencies");
    let section = section.split("\n[").next().expect("the section has an end");
    let named =
        section.lines().filter_map(|line| line.split_once(" = ")).filter(|(_, value)| !value.contains("path ="));
    named.map(|(name, _)| name).collect()
}

/// The names in the first column of the tables of dependencies.
fn explained(document: &str) -> BTreeSet<&str> {
    let section = document.split("## Dependencies").nth(1).expect("there is a section about them");
    let names = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    names
        .flat_map(|names| names.split(", "))
        .map(|name| name.split(" (").next().unwrap_or(name))
        .filter(|name| *name != "crate")
        .collect()
}

#[test]
fn every_dependency_has_a_line_that_says_why_it_is_here_and_nothing_else_has() {
    let (manifest, document) = (read("Cargo.toml"), read("CONTRIBUTING.md"));
    assert_eq!(dependencies(&manifest), explained(&document));
}

#[test]
fn every_dependency_is_used_by_some_crate() {
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("there are members");
    let members = members.trim_end_matches(']').split(", ").map(|name| name.trim_matches('"'));
    let manifests: Vec<String> = members.map(|member| read(&format!("{member}/Cargo.toml"))).collect();
    let is_used = |name: &str| {
        let named = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ']));
        manifests.iter().any(|manifest| manifest.lines().any(named))
    };
    let unused: Vec<_> = dependencies(&manifest).into_iter().filter(|name| !is_used(name)).collect();
    assert!(unused.is_empty(), "remove from Cargo.toml: {unused:?}");
}
