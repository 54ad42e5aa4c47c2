//! What an API server says to the objects: a dry run, in namespaces that let only pods run that need nothing.

use super::{
    NAMESPACE, copy, kubectl, make_namespace, objects, read, rendered, rendered_with, sets_of_values, workspace,
};
use serde_json::{Value, json};
use std::sync::LazyLock;
use tempfile::TempDir;
use testkit::ApiServer;

/// One for all that change nothing.
static SERVER: LazyLock<ApiServer> = LazyLock::new(|| {
    let server = ApiServer::start();
    for namespace in [NAMESPACE, "hr", "sales"] {
        make_namespace(&server, namespace);
    }
    server.define(campaign::crd());
    server
});

/// A warning is what this server would say to a Deployment whose pods may not run.
const DRY_RUN: [&str; 5] = ["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "--force-conflicts"];

fn tried(objects_of: &str) -> Vec<Value> {
    objects(&SERVER, &[DRY_RUN.as_slice(), &["--filename=-"]].concat(), objects_of)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn every_set_of_values_is_accepted_and_makes_pods_that_need_nothing() {
    for values in sets_of_values() {
        let values = values.display().to_string();
        let made = tried(&rendered(["--values", &values]).unwrap_or_else(|error| panic!("{values}: {error}")));
        let deployment = of_kind(&made, "Deployment");
        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("operator");
        pod["metadata"]["namespace"] = json!(NAMESPACE);
        assert_eq!(tried(&pod.to_string()).len(), 1, "{values}");
        // Applied as well, in the same namespace: the test of the chart.
        assert_eq!(of_kind(&made, "Pod")["metadata"]["annotations"]["helm.sh/hook"], "test", "{values}");
    }
}

#[test]
fn a_pod_that_asks_for_more_would_be_refused_here() {
    let objects = rendered_with(&[]).replace("drop: [ALL]", "add: [NET_ADMIN]");
    let refused = kubectl(&SERVER, &[DRY_RUN.as_slice(), &["--filename=-"]].concat(), &objects);
    let refused = refused.expect_err("it has a capability");
    assert!(refused.contains("would violate PodSecurity"), "{refused}");
}

#[test]
fn labels_of_a_user_neither_hide_pods_from_the_deployment_nor_from_the_policy() {
    let made = tried(&rendered_with(&["podLabels.app\\.kubernetes\\.io/component=mine", "podLabels.team=mail"]));
    let deployment = of_kind(&made, "Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["team"], "mail");
    let selectors = [
        &deployment["spec"]["selector"],
        &of_kind(&made, "NetworkPolicy")["spec"]["podSelector"],
        &of_kind(&made, "PodDisruptionBudget")["spec"]["selector"],
    ];
    for selector in selectors {
        let wanted = selector["matchLabels"].as_object().expect("labels");
        assert!(wanted.len() == 3 && wanted.iter().all(|(name, value)| labels[name] == *value), "{selector}");
    }
    let check = &of_kind(&made, "Pod")["metadata"]["labels"];
    assert_ne!(check["app.kubernetes.io/component"], labels["app.kubernetes.io/component"], "the test is no operator");
}

#[test]
fn the_secret_of_kafka_is_mounted_and_is_in_no_variable() {
    let made = tried(&rendered_with(&["kafka.existingSecret=kafka-client"]));
    let pod = &of_kind(&made, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mount = json!({"mountPath": "/kafka", "name": "kafka", "readOnly": true});
    assert!(container["volumeMounts"].as_array().expect("mounts").contains(&mount), "{container}");
    let volumes = pod["volumes"].as_array().expect("volumes");
    let kafka = volumes.iter().find(|volume| volume["name"] == "kafka").expect("a volume");
    assert_eq!(kafka["secret"]["secretName"], "kafka-client");
    let variables = container["env"].as_array().expect("variables");
    let value = |name: &str| variables.iter().find(|variable| variable["name"] == name).map(|found| &found["value"]);
    assert_eq!(value("KAFKA_CONFIG"), Some(&json!("/kafka/client.properties")));
    assert_eq!(value("MAILCAMPAIGN_KAFKA_SECRET"), Some(&json!("kafka-client")));
    assert!(!variables.iter().any(|variable| variable["valueFrom"].get("secretKeyRef").is_some()));
}

#[test]
fn the_namespaces_that_are_watched_are_named_and_a_cluster_wide_operator_is_told_none() {
    let watched = |values: &[&str]| {
        let made = tried(&rendered_with(values));
        let container = of_kind(&made, "Deployment")["spec"]["template"]["spec"]["containers"][0].clone();
        let variables = container["env"].as_array().expect("variables").clone();
        let found = variables.iter().find(|variable| variable["name"] == "MAILCAMPAIGN_NAMESPACES");
        found.map(|variable| variable["value"].as_str().expect("a text").to_owned())
    };
    assert_eq!(watched(&[]).as_deref(), Some("mailcampaign-system"));
    assert_eq!(watched(&["watchNamespaces={hr,mailcampaign-system}"]).as_deref(), Some("mailcampaign-system,hr"));
    assert_eq!(watched(&["clusterWide=true"]), None);
}

#[test]
fn without_helm_the_same_is_accepted_and_campaigns_have_the_operators_image() {
    let own = TempDir::new().expect("a folder");
    for folder in ["crds", "deploy"] {
        copy(&workspace(folder), &own.path().join(folder));
    }
    let settings = own.path().join("deploy/settings/kustomization.yaml");
    let text = read("deploy/settings/kustomization.yaml");
    let wanted = text.replace("newName: mailcampaign", "newName: registry.example.com/mailcampaign");
    std::fs::write(settings, wanted).expect("it is written");
    for folder in ["deploy", "deploy/namespaced", "deploy/cluster-wide"] {
        let path = own.path().join(folder).display().to_string();
        let made = objects(&SERVER, &[DRY_RUN.as_slice(), &["--kustomize", &path]].concat(), "");
        let container = &of_kind(&made, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().expect("variables");
        let image = variables.iter().find(|variable| variable["name"] == "MAILCAMPAIGN_IMAGE").expect("an image");
        let expected = concat!("registry.example.com/mailcampaign:", env!("CARGO_PKG_VERSION"));
        assert_eq!((&image["value"], &container["image"]), (&json!(expected), &json!(expected)), "{folder}");
        let is_there = |kind: &str| made.iter().any(|object| object["kind"] == kind);
        assert_eq!(is_there("CustomResourceDefinition"), folder == "deploy", "what is deleted with {folder}");
        assert_eq!(is_there("Namespace"), folder == "deploy", "what is deleted with {folder}");
        assert_eq!(is_there("ClusterRole"), folder == "deploy/cluster-wide", "{folder}");
    }
}
