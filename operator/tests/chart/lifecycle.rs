//! Installed, upgraded and taken away by the real Helm: campaigns outlive the operator.

use super::{NAMESPACE, SETTINGS, chart, copy, kubectl, objects, read, run, set, workspace};
use std::path::Path;
use tempfile::TempDir;
use testkit::ApiServer;

const DEFINITION: &str = "customresourcedefinition/mailcampaigns.mailcampaign.io";
const FILE: &str = "files/mailcampaigns.mailcampaign.io.yaml";

fn helm<'a>(server: &ApiServer, arguments: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let mut command = server.helm().expect("helm");
    run(command.args(["--namespace", NAMESPACE]).args(arguments), "")
}

fn install(server: &ApiServer, chart: &Path, values: &[&str]) -> Result<String, String> {
    let chart = chart.display().to_string();
    let words = ["upgrade", "--install", "mc", &chart, "--create-namespace"];
    helm(server, words.into_iter().chain(set(SETTINGS.iter().chain(values).copied())))
}

fn there(server: &ApiServer, what: &[&str]) -> bool {
    kubectl(server, &[&["get"], what].concat(), "").is_ok()
}

/// The chart as it was when the resource had another short name.
fn older() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    copy(&chart(), folder.path());
    let definition = read("crds/mailcampaigns.mailcampaign.io.yaml").replace("    - mc\n", "    - mailing\n");
    std::fs::write(folder.path().join(FILE), definition).expect("it is written");
    folder
}

fn short_names(server: &ApiServer) -> String {
    objects(server, &["get", DEFINITION], "")[0]["spec"]["names"]["shortNames"].to_string()
}

#[test]
fn an_upgrade_upgrades_the_definition_and_a_campaign_outlives_the_operator() {
    let server = ApiServer::start();
    let notes = install(&server, older().path(), &[]).expect("it is installed");
    assert!(notes.contains("helm test mc --namespace mailcampaign-system"), "{notes}");
    assert_eq!(short_names(&server), r#"["mailing"]"#);
    kubectl(&server, &["wait", "--for=condition=Established", DEFINITION, "--timeout=60s"], "").expect("served");
    let campaign = read("examples/offers/campaign.yaml").replace("namespace: hr", &format!("namespace: {NAMESPACE}"));
    kubectl(&server, &["apply", "--filename=-"], &campaign).expect("a campaign");

    install(&server, &chart(), &["replicas=3"]).expect("it is upgraded");
    assert_eq!(short_names(&server), r#"["mc"]"#);
    install(&server, &chart(), &["crds.install=false"]).expect("the definition is left to others");
    let offers = ["mailcampaigns.mailcampaign.io", "offers", "--namespace", NAMESPACE];
    let operator = ["deployment", "mc-mailcampaign-operator", "--namespace", NAMESPACE];
    assert!(there(&server, &offers) && there(&server, &operator));

    install(&server, &chart(), &[]).expect("it is given back");
    helm(&server, ["uninstall", "mc"]).expect("it is taken away");
    assert!(there(&server, &offers) && !there(&server, &operator), "the campaign stays, the operator goes");
    install(&server, &chart(), &[]).expect("it is installed again");
    assert!(there(&server, &offers) && there(&server, &operator));
}

#[test]
fn a_second_operator_for_all_namespaces_is_refused_and_a_further_one_for_some_is_not() {
    let server = ApiServer::start();
    install(&server, &chart(), &["clusterWide=true"]).expect("the first");
    let path = chart().display().to_string();
    let second = |values: &[&str]| {
        let words = ["install", "second", &path, "--namespace", "elsewhere", "--create-namespace"];
        let mut command = server.helm().expect("helm");
        run(command.args(words).args(set(SETTINGS.iter().chain(values).copied())), "")
    };
    let refused = second(&["clusterWide=true", "crds.install=false"]).expect_err("there is one");
    assert!(refused.contains(r#"ClusterRole "mailcampaign-operator""#), "{refused}");
    let refused = second(&[]).expect_err("the definition is the first one's");
    assert!(refused.contains("CustomResourceDefinition"), "{refused}");
    second(&["crds.install=false"]).expect("of its own namespace");
}

#[test]
fn without_helm_the_operator_is_applied_in_one_command_and_goes_without_its_campaigns() {
    let server = ApiServer::start();
    let folder = |name: &str| workspace(name).display().to_string();
    for _ in ["installed", "applied again"] {
        kubectl(&server, &["apply", "--kustomize", &folder("deploy")], "").expect("it is accepted");
    }
    kubectl(&server, &["wait", "--for=condition=Established", DEFINITION, "--timeout=60s"], "").expect("served");
    let campaign = read("examples/offers/campaign.yaml").replace("namespace: hr", &format!("namespace: {NAMESPACE}"));
    kubectl(&server, &["apply", "--filename=-"], &campaign).expect("a campaign");
    let offers = ["mailcampaigns.mailcampaign.io", "offers", "--namespace", NAMESPACE];
    let operator = ["deployment", "mailcampaign-operator", "--namespace", NAMESPACE];
    assert!(there(&server, &offers) && there(&server, &operator));
    kubectl(&server, &["delete", "--kustomize", &folder("deploy/namespaced")], "").expect("it is taken away");
    assert!(there(&server, &offers) && !there(&server, &operator));
}
