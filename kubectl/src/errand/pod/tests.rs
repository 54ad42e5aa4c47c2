use super::*;
use serde_json::{Value, json};

fn campaign() -> Campaign {
    serde_json::from_value(json!({
        "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign",
        "metadata": {"name": "offers", "namespace": "hr", "uid": "0-1"}, "spec": {},
    }))
    .expect("a campaign")
}

/// As the API server gives the template of a worker Deployment back.
fn template() -> PodTemplateSpec {
    serde_json::from_value(json!({
        "metadata": {
            "labels": {
                "app.kubernetes.io/name": "mailcampaign", "app.kubernetes.io/instance": "offers",
                "app.kubernetes.io/component": "worker", "app.kubernetes.io/managed-by": "mailcampaign",
                "batch.kubernetes.io/job-name": "offers-producer", "controller-uid": "1", "example.com/team": "people",
            },
            "annotations": {"mailcampaign.io/credentials": "1", "example.com/note": "kept"},
        },
        "spec": {
            "containers": [
                {"name": "sidecar", "image": "example.com/sidecar:1"},
                {
                    "name": "worker", "image": "example.com/mailcampaign:1", "imagePullPolicy": "IfNotPresent",
                    "command": ["mailcampaign-worker"], "ports": [{"name": "metrics", "containerPort": 8080}],
                    "env": [
                        {"name": "MAILCAMPAIGN_CAMPAIGN", "value": "/campaign/campaign.yaml"},
                        {"name": "MAILCAMPAIGN_LOG_FORMAT", "value": "json"},
                        {"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "kafka:9092"},
                    ],
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
                    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
                    "resources": {"limits": {"memory": "512Mi"}},
                    "securityContext": {"readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "kafka", "mountPath": "/kafka", "readOnly": true}],
                },
            ],
            "initContainers": [{"name": "mesh", "image": "example.com/mesh:1"}],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "kafka", "secret": {"secretName": "kafka"}}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "nodeSelector": {"disk": "fast"},
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]},
            },
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        },
    }))
    .expect("a template")
}

fn made(image: Option<&str>) -> Value {
    let pod = pod(&campaign(), &template(), image, Duration::from_hours(1)).expect("it has a container");
    serde_json::to_value(pod).expect("JSON")
}

#[test]
fn it_is_made_as_the_workers_are_and_waits() {
    let spec = &made(None)["spec"];
    let worker = &serde_json::to_value(template()).expect("JSON")["spec"];
    assert_eq!(spec["containers"].as_array().map(Vec::len), Some(1));
    let (ours, theirs) = (&spec["containers"][0], &worker["containers"][1]);
    for same in ["image", "imagePullPolicy", "resources", "securityContext", "volumeMounts"] {
        assert_eq!(ours[same], theirs[same], "{same}");
    }
    for same in ["volumes", "securityContext", "automountServiceAccountToken", "nodeSelector"] {
        assert_eq!(spec[same], worker[same], "{same}");
    }
    assert_eq!((&ours["name"], &ours["command"]), (&json!("command"), &json!(["mailcampaign", "hold"])));
    for none in ["ports", "readinessProbe", "livenessProbe", "args"] {
        assert_eq!(ours.get(none), None, "{none}");
    }
    let log: Vec<&Value> =
        ours["env"].as_array().into_iter().flatten().filter(|variable| variable["name"] == LOG_FORMAT).collect();
    assert_eq!(log, [&json!({"name": LOG_FORMAT, "value": "text"})]);
    assert!(ours["env"].as_array().is_some_and(|env| env.contains(&theirs["env"][2])));
}

#[test]
fn it_ends_by_itself_and_goes_with_the_campaign() {
    let pod = made(None);
    assert_eq!((&pod["spec"]["activeDeadlineSeconds"], &pod["spec"]["restartPolicy"]), (&json!(3600), &json!("Never")));
    let owner =
        json!([{"apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign", "name": "offers", "uid": "0-1"}]);
    assert_eq!(pod["metadata"]["ownerReferences"], owner);
    assert_eq!(
        (&pod["metadata"]["generateName"], &pod["metadata"]["namespace"]),
        (&json!("offers-command-"), &json!("hr"))
    );
}

#[test]
fn nobody_takes_it_for_one_of_the_campaigns_own_pods() {
    let pod = made(None);
    let labels = json!({"app.kubernetes.io/component": "command", "example.com/team": "people"});
    assert_eq!(pod["metadata"]["labels"], labels);
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({"example.com/note": "kept", "kubectl.kubernetes.io/default-container": "command"})
    );
}

#[test]
fn other_pods_do_not_keep_it_from_a_node() {
    let spec = &made(None)["spec"];
    assert!(spec["affinity"]["nodeAffinity"].is_object() && spec["affinity"].get("podAntiAffinity").is_none());
    assert_eq!((spec.get("topologySpreadConstraints"), spec.get("initContainers")), (None, None));
}

#[test]
fn another_image_is_pulled_as_kubernetes_does_by_its_tag() {
    let container = &made(Some("example.com/newer:2"))["spec"]["containers"][0];
    assert_eq!((&container["image"], container.get("imagePullPolicy")), (&json!("example.com/newer:2"), None));
}

#[test]
fn the_campaigns_file_is_where_the_template_says() {
    let mut template = template();
    let made = |template: &PodTemplateSpec| pod(&campaign(), template, None, Duration::from_hours(1)).expect("a pod");
    assert_eq!(file(&made(&template)), "/campaign/campaign.yaml");
    let containers = &mut template.spec.as_mut().expect("a spec").containers;
    containers[1].env.as_mut().expect("variables")[0].value = Some("/elsewhere.yaml".to_owned());
    assert_eq!(file(&made(&template)), "/elsewhere.yaml");
    template.spec.as_mut().expect("a spec").containers.clear();
    assert_eq!(pod(&campaign(), &template, None, Duration::from_hours(1)), None);
}
