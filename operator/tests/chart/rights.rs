//! What the operator may do, asked of a real API server: exactly what it needs.

use super::{NAMESPACE, kubectl, make_namespace, objects, rendered_with, workspace};
use operator::rights::{OWN, Rule, WATCHED};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::{ApiServer, Kafka};

const OPERATOR: &str = "--as=system:serviceaccount:mailcampaign-system:mc-mailcampaign-operator";

type Rights = BTreeSet<(String, String, String)>;

fn rights(listed: &[Rule]) -> Rights {
    let each = |(group, resource, verbs): &Rule| {
        let right = |verb: &str| ((*group).to_owned(), (*resource).to_owned(), verb.to_owned());
        verbs.split_whitespace().map(right).collect::<Vec<_>>()
    };
    listed.iter().flat_map(each).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// What the API server says that the operator may do in a namespace, but for asking who one is and what one may do.
fn granted(server: &ApiServer, namespace: &str) -> Rights {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "metadata": {}, "spec": {"namespace": namespace}});
    let reviewed = objects(server, &["create", OPERATOR, "--validate=false", "--filename=-"], &review.to_string());
    let rules = reviewed[0]["status"]["resourceRules"].as_array().expect("rules").clone();
    let mut found = Rights::new();
    for rule in rules {
        let names = texts(&rule["resourceNames"]);
        let of_everybody = ["authentication.k8s.io", "authorization.k8s.io"];
        for group in texts(&rule["apiGroups"]).iter().filter(|group| !of_everybody.contains(&group.as_str())) {
            for resource in texts(&rule["resources"]) {
                let one_only = resource == "leases" && !texts(&rule["verbs"]).contains(&"create".to_owned());
                assert_eq!(names.is_empty(), !one_only, "{rule}");
                found.extend(texts(&rule["verbs"]).into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    found
}

fn installed(values: &[&str]) -> ApiServer {
    let server = ApiServer::start();
    for namespace in [NAMESPACE, "hr", "other"] {
        make_namespace(&server, namespace);
    }
    server.define(campaign::crd());
    let objects = rendered_with(&[&["crds.install=false"], values].concat());
    kubectl(&server, &["apply", "--server-side", "--filename=-"], &objects).expect("it is accepted");
    server
}

fn can(server: &ApiServer, who: &str, what: &str) -> bool {
    let arguments: Vec<&str> = ["auth", "can-i", who].into_iter().chain(what.split_whitespace()).collect();
    // It fails where the answer is no.
    kubectl(server, &arguments, "").is_ok_and(|answer| answer.trim() == "yes")
}

#[test]
fn an_operator_of_some_namespaces_has_its_rights_there_and_none_elsewhere() {
    let server = installed(&["watchNamespaces={hr}"]);
    assert_eq!(granted(&server, NAMESPACE), rights(&[WATCHED.as_slice(), &OWN].concat()));
    assert_eq!(granted(&server, "hr"), rights(&WATCHED));
    assert_eq!(granted(&server, "other"), Rights::new());

    assert!(can(&server, OPERATOR, "create jobs.batch --namespace hr"));
    assert!(can(&server, OPERATOR, "patch mailcampaigns --subresource status --namespace hr"));
    assert!(can(&server, OPERATOR, "update lease/mailcampaign-operator --namespace mailcampaign-system"));
    let denied = [
        "update lease/another --namespace mailcampaign-system",
        "get lease/mailcampaign-operator --namespace hr",
        "list secrets --namespace other",
        "list mailcampaigns --all-namespaces",
        "list namespaces",
        "update secrets --namespace hr",
        "create pods --namespace hr",
        "create pods --subresource exec --namespace hr",
        "create rolebindings --namespace hr",
        "create serviceaccounts --subresource token --namespace mailcampaign-system",
        "create mailcampaigns --namespace hr",
        "patch customresourcedefinitions",
    ];
    for what in denied {
        assert!(!can(&server, OPERATOR, what), "{what}");
    }
}

#[test]
fn an_operator_of_all_namespaces_has_the_same_rights_in_each_and_its_lease_in_its_own_only() {
    let server = installed(&["clusterWide=true"]);
    assert_eq!(granted(&server, NAMESPACE), rights(&[WATCHED.as_slice(), &OWN].concat()));
    assert_eq!(granted(&server, "other"), rights(&WATCHED));
    assert!(can(&server, OPERATOR, "watch mailcampaigns --all-namespaces"));
    for what in ["list namespaces", "delete secrets --all-namespaces", "get nodes", "create clusterrolebindings"] {
        assert!(!can(&server, OPERATOR, what), "{what}");
    }
}

#[test]
fn who_may_view_or_edit_a_namespace_may_so_with_its_campaigns() {
    let server = installed(&["clusterWide=true"]);
    for (role, user) in [("mailcampaign-view", "viewer"), ("mailcampaign-edit", "editor")] {
        let (role, user, name) = (format!("--clusterrole={role}"), format!("--user={user}"), user);
        kubectl(&server, &["create", "rolebinding", name, &role, &user, "--namespace=hr"], "").expect("bound");
        let roles = objects(&server, &["get", "clusterrole", role.trim_start_matches("--clusterrole=")], "");
        let labels = &roles[0]["metadata"]["labels"];
        for (to, expected) in [("view", name == "viewer"), ("edit", true), ("admin", true)] {
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
            assert_eq!(labels.get(&label).is_some(), expected, "{name}: {label}");
        }
    }
    let see = "get mailcampaigns --namespace hr";
    assert!(can(&server, "--as=viewer", see) && !can(&server, "--as=editor", see), "edit has view by aggregation");
    for verb in ["create", "update", "patch", "delete"] {
        let what = format!("{verb} mailcampaigns --namespace hr");
        assert!(can(&server, "--as=editor", &what) && !can(&server, "--as=viewer", &what), "{what}");
    }
    assert!(!can(&server, "--as=editor", "update mailcampaigns --subresource status --namespace hr"));
    assert!(!can(&server, "--as=editor", "create mailcampaigns --namespace other"));
    let without = installed_roles(&["clusterWide=true", "rbac.aggregateToUserRoles=false"]);
    assert_eq!(without, ["mailcampaign-operator"]);
}

fn installed_roles(values: &[&str]) -> Vec<String> {
    let objects = rendered_with(values);
    let roles = objects.split("\n---").filter(|object| object.contains("\nkind: ClusterRole\n"));
    let name = |object: &str| object.lines().find_map(|line| line.strip_prefix("  name: ").map(str::to_owned));
    roles.filter_map(name).collect()
}

/// The program itself; it ends with this.
struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}

/// The operator with the rights that the chart gives it, and none besides.
fn operator(server: &ApiServer, folder: &Path) -> Command {
    let view = ["config", "view", "--flatten", "--output=json"];
    let mut config: Value = serde_json::from_str(&kubectl(server, &view, "").expect("a kubeconfig")).expect("JSON");
    config["users"][0]["user"]["as"] = json!(OPERATOR.trim_start_matches("--as="));
    let kubeconfig = folder.join("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).expect("it is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcampaign-operator"));
    command.env("KUBECONFIG", kubeconfig).env("KAFKA_BOOTSTRAP_SERVERS", Kafka::shared().bootstrap());
    command.env("MAILCAMPAIGN_NAMESPACES", format!("{NAMESPACE},hr")).env("MAILCAMPAIGN_IMAGE", "mailcampaign");
    command.env("POD_NAMESPACE", NAMESPACE).env("POD_NAME", "operator-1").env("RUST_LOG", "info,operator=debug");
    command.stdin(Stdio::null());
    command
}

fn start(server: &ApiServer, folder: &Path) -> Operator {
    let log = File::create(folder.join("log")).expect("a log");
    Operator(operator(server, folder).stderr(log).spawn().expect("the operator starts"))
}

/// Waits until it is so.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What /readyz answers; none: nobody listens yet.
fn ready(address: SocketAddr) -> Option<bool> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn an_operator_of_several_namespaces_is_ready_when_it_has_listed_them_all() {
    let server = installed(&["watchNamespaces={hr}"]);
    let folder = TempDir::new().expect("a folder");
    let example = workspace("examples/offers").display().to_string();
    kubectl(&server, &["apply", "--kustomize", &example], "").expect("the example");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let mut command = operator(&server, folder.path());
    command.env("MAILCAMPAIGN_NAMESPACES", "hr,other").args(["--listen", &address.to_string()]);
    let log = File::create(folder.path().join("log")).expect("a log");
    let _operator = Operator(command.stderr(log).spawn().expect("the operator starts"));
    until("the campaigns of hr are run", || {
        kubectl(&server, &["get", "job/offers-producer", "--namespace=hr"], "").is_ok()
    });
    assert_eq!(ready(address), Some(false), "it has no rights in the other one");
    for mut object in objects(&server, &["get", "roles,rolebindings", "--namespace=hr"], "") {
        let name = object["metadata"]["name"].clone();
        object["metadata"] = json!({"name": name, "namespace": "other"});
        kubectl(&server, &["create", "--filename=-"], &object.to_string()).expect("it is made");
    }
    until("it is ready", || ready(address) == Some(true));
}

#[test]
fn the_check_names_a_right_that_is_missing_and_where() {
    let server = installed(&["watchNamespaces={hr}"]);
    let folder = TempDir::new().expect("a folder");
    let check = || {
        let output = operator(&server, folder.path()).arg("check").output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    let mut role = objects(&server, &["get", "roles", "--namespace=hr"], "").remove(0);
    for rule in role["rules"].as_array_mut().expect("rules") {
        if texts(&rule["resources"]) == ["jobs"] {
            rule["verbs"].as_array_mut().expect("verbs").retain(|verb| verb != "create");
        }
    }
    kubectl(&server, &["replace", "--filename=-"], &role.to_string()).expect("it is replaced");
    let (code, said) = check();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("rights are missing in namespace hr: create jobs.batch;"), "{said}");
}

#[test]
fn with_these_rights_the_operator_leads_makes_what_a_campaign_needs_and_is_refused_nothing() {
    let server = installed(&["watchNamespaces={hr}"]);
    let folder = TempDir::new().expect("a folder");
    let log = || std::fs::read_to_string(folder.path().join("log")).expect("a log");
    let example = workspace("examples/offers").display().to_string();
    kubectl(&server, &["apply", "--kustomize", &example], "").expect("the example");
    let operator = start(&server, folder.path());
    let made = [
        ["lease/mailcampaign-operator", NAMESPACE],
        ["configmap/offers-campaign", "hr"],
        ["job/offers-producer", "hr"],
    ];
    let deadline = Instant::now() + Duration::from_mins(2);
    for [object, namespace] in made {
        while kubectl(&server, &["get", object, "--namespace", namespace], "").is_err() {
            let campaigns =
                || objects(&server, &["get", "mailcampaigns", "--namespace=hr"], "")[0]["status"].to_string();
            assert!(Instant::now() < deadline, "no {object}: {}\n{}", campaigns(), log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let campaigns = objects(&server, &["get", "mailcampaigns", "--namespace=hr"], "");
    assert!(campaigns[0]["status"]["phase"].is_string(), "{}", campaigns[0]["status"]);
    let events = objects(&server, &["get", "events.events.k8s.io", "--namespace=hr"], "");
    drop(operator);
    // What fails for one campaign is told in its status and its events, the rest in the log.
    let told = format!("{}\n{}\n{}", Value::from(campaigns), Value::from(events), log());
    let refused: Vec<_> = told.lines().filter(|line| line.contains("forbidden")).collect();
    assert_eq!(refused, Vec::<&str>::new());
}
