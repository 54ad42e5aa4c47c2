//! An API server alone.

use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Config};
use serde_json::Value;
use std::net::TcpStream;
use std::path::Path;
use testkit::ApiServer;

/// A file of the workspace that holds one object.
fn object(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).expect("an object")
}

async fn client(server: &ApiServer) -> Client {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a context");
    Client::try_from(config).expect("a client")
}

#[tokio::test]
async fn the_definition_of_the_resource_is_accepted_and_its_rules_are_enforced() {
    let server = ApiServer::start();
    let client = client(&server).await;
    server.define(object("crds/mailcampaigns.mailcampaign.io.yaml"));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("mailcampaign.io", "v1alpha1", "MailCampaign"));
    let campaigns: Api<DynamicObject> = Api::namespaced_with(client, "default", &kind);
    let mut campaign = object("examples/offers/campaign.yaml");
    campaign["metadata"]["namespace"] = "default".into();

    let apply = PatchParams::apply("test");
    let mut wrong = campaign.clone();
    wrong["spec"]["delivery"]["backends"][0]["maildir"] = serde_json::json!({"path": "outbox"});
    let refused = campaigns.patch("offers", &apply, &Patch::Apply(&wrong)).await.expect_err("two ways in one backend");
    assert!(refused.to_string().contains("give exactly one of smtp, http and maildir"), "{refused}");

    let accepted = campaigns.patch("offers", &apply, &Patch::Apply(&campaign)).await.expect("the example is right");
    assert_eq!(accepted.data["spec"]["recipients"]["emailColumn"], "Email");
}

#[test]
fn an_api_server_is_gone_with_its_data_when_it_is_dropped() {
    let server = ApiServer::start();
    let address = server.url().trim_start_matches("https://").to_owned();
    let folder = server.kubeconfig().parent().expect("a folder").to_path_buf();
    let version = server.kubectl().args(["get", "--raw=/version"]).output().expect("kubectl starts");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(version.contains(testkit::kubernetes::version()), "{version}");
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    assert!(!folder.exists());
}
