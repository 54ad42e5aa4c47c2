use super::*;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::json;

fn campaign(change: impl FnOnce(&mut Value)) -> Campaign {
    let mut document = json!({
        "metadata": {"name": "offers", "namespace": "hr", "uid": "7d2f5f0e-3f52-4f0e-9d64-0a1b2c3d4e5f"},
        "spec": {
            "recipients": {"source": {"configMap": {"name": "offers", "key": "offers.csv"}}, "emailColumn": "Email"},
            "message": {
                "from": "people@example.com", "subject": "Your offer",
                "text": {"inline": "Dear {{ Name }}"},
                "attachments": [{"filename": "a.pdf", "each": {"path": "{{ Email }}.pdf", "persistentVolumeClaim": {"claimName": "letters", "path": "2027"}}}],
            },
            "delivery": {"backends": [{"name": "relay", "smtp": {
                "host": "relay.example.com", "port": 587, "tls": "StartTls", "auth": {"secret": {"name": "relay"}},
            }}]},
            "kafka": {"partitions": 6},
            "producer": {"shards": 3},
            "workers": {"maxReplicas": 5},
        },
    });
    change(&mut document);
    serde_json::from_value(document).expect("a campaign")
}

/// Builds with the campaign, as this installation does.
fn built<T>(campaign: &Campaign, versions: &[(&str, &str)], pinned: bool, build: impl FnOnce(&Input<'_>) -> T) -> T {
    let valid = campaign::rules::parse(&campaign.document()).expect("no mistake");
    let pods = PodSettings {
        image: "example.com/mailcampaign:1".to_owned(),
        log_format: "json".to_owned(),
        ..PodSettings::default()
    };
    let kafka = KafkaForPods { bootstrap: Some("kafka:9092".to_owned()), secret: Some("kafka".to_owned()) };
    let versions = versions.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
    build(&Input { campaign, valid: &valid, pods: &pods, kafka: &kafka, versions: &versions, pinned })
}

fn yaml<T: serde::Serialize>(object: &T) -> String {
    serde_json::to_string_pretty(object).expect("JSON")
}

#[test]
fn the_objects_of_a_campaign_are_these() {
    let campaign = campaign(|_| {});
    built(&campaign, &[("ConfigMap/offers", "1"), ("Secret/relay", "2")], true, |input| {
        insta::assert_snapshot!("file", yaml(&file(input)));
        insta::assert_snapshot!("producer", yaml(&producer(input)));
        insta::assert_snapshot!("workers", yaml(&workers(input)));
        insta::assert_snapshot!("autoscaler", yaml(&autoscaler(input)));
    });
}

#[test]
fn how_many_workers_there_are_is_never_declared() {
    let deployment = built(&campaign(|_| {}), &[], true, workers);
    assert_eq!(serde_json::to_value(&deployment).expect("JSON")["spec"].get("replicas"), None);
}

#[test]
fn before_the_content_is_pinned_only_the_first_shard_runs() {
    let parallelism = |pinned| built(&campaign(|_| {}), &[], pinned, producer).spec.and_then(|spec| spec.parallelism);
    assert_eq!((parallelism(false), parallelism(true)), (Some(1), Some(3)));
}

/// The annotations that make pods new, before and after a change.
fn marks(change: impl FnOnce(&mut Value), versions: &[(&str, &str)]) -> [String; 4] {
    let campaign = campaign(change);
    built(&campaign, versions, true, |input| {
        let job = producer(input).metadata.annotations.expect("annotations");
        let pods =
            workers(input).spec.template.metadata.and_then(|metadata| metadata.annotations).expect("annotations");
        [job[MADE_OF].clone(), job[INPUTS].clone(), pods[FILE].clone(), pods[CREDENTIALS].clone()]
    })
}

#[test]
fn a_change_makes_exactly_those_pods_new_that_it_concerns() {
    let versions = [("ConfigMap/offers", "1"), ("Secret/relay", "2")];
    let before = marks(|_| {}, &versions);
    let changed =
        |after: [String; 4]| -> Vec<usize> { (0..4).filter(|index| before[*index] != after[*index]).collect() };
    let (made_of, inputs, file, credentials) = (0, 1, 2, 3);
    let rate = |spec: &mut Value| spec["spec"]["delivery"]["rate"] = json!({"perSecond": 5});
    assert_eq!(changed(marks(rate, &versions)), [inputs, file]);
    let subject = |spec: &mut Value| spec["spec"]["message"]["subject"] = json!("Another");
    assert_eq!(changed(marks(subject, &versions)), [made_of, inputs, file]);
    for quiet in [
        json!({"suspend": true}),
        json!({"deletionPolicy": "Delete"}),
        json!({"ttlSecondsAfterFinished": 5}),
        json!({"workers": {"maxReplicas": 2}}),
    ] {
        let change = |document: &mut Value| {
            for (field, value) in quiet.as_object().expect("fields") {
                document["spec"][field] = value.clone();
            }
        };
        assert_eq!(changed(marks(change, &versions)), Vec::<usize>::new(), "{quiet}");
    }
    assert_eq!(changed(marks(|_| {}, &[("ConfigMap/offers", "1"), ("Secret/relay", "3")])), [inputs, credentials]);
    assert_eq!(changed(marks(|_| {}, &[("ConfigMap/offers", "9"), ("Secret/relay", "2")])), [inputs]);
}

#[test]
fn what_a_campaign_adds_to_its_pods_is_there_and_what_is_ours_wins() {
    let campaign = campaign(|document| {
        document["spec"]["workers"]["podTemplate"] = json!({
            "metadata": {"labels": {"team": "hr", "app.kubernetes.io/component": "spy"}},
            "spec": {
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "mail", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "priorityClassName": "low",
                "securityContext": {"fsGroup": 2000},
            },
        });
        document["spec"]["workers"]["resources"] = json!({"limits": {"memory": "64Mi"}});
    });
    let template = built(&campaign, &[], true, workers).spec.template;
    let labels = template.metadata.and_then(|metadata| metadata.labels).expect("labels");
    assert_eq!((labels["team"].as_str(), labels[COMPONENT].as_str()), ("hr", "worker"));
    let pod: PodSpec = template.spec.expect("a pod");
    assert_eq!(pod.node_selector.and_then(|selector| selector.get("disk").cloned()).as_deref(), Some("fast"));
    assert_eq!(pod.tolerations.map(|tolerations| tolerations.len()), Some(1));
    assert!(pod.affinity.is_some());
    assert_eq!(pod.priority_class_name.as_deref(), Some("low"));
    assert_eq!(pod.security_context.and_then(|context| context.fs_group), Some(2000));
    let limits = pod.containers[0].resources.as_ref().and_then(|resources| resources.limits.clone()).expect("limits");
    assert_eq!(limits["memory"].0, "64Mi");
}

#[test]
fn a_kafka_of_the_campaigns_own_is_mounted_where_the_programs_look_for_it_and_only_there() {
    let campaign =
        campaign(|document| document["spec"]["kafka"]["connection"] = json!({"secret": {"name": "own-kafka"}}));
    let valid = campaign::rules::parse(&campaign.document()).expect("no mistake");
    let kafka = KafkaForPods { bootstrap: None, secret: Some("own-kafka".to_owned()) };
    let pods = PodSettings::default();
    let versions = BTreeMap::new();
    let input =
        Input { campaign: &campaign, valid: &valid, pods: &pods, kafka: &kafka, versions: &versions, pinned: true };
    let container = workers(&input).spec.template.spec.expect("a pod").containers.remove(0);
    let paths: Vec<String> = container.volume_mounts.into_iter().flatten().map(|mount| mount.mount_path).collect();
    assert!(paths.contains(&"/kafka".to_owned()));
    assert!(!paths.iter().any(|path| path.contains("own-kafka")), "{paths:?}");
    let env: Vec<String> = container.env.into_iter().flatten().map(|variable| variable.name).collect();
    assert!(env.contains(&"KAFKA_CONFIG".to_owned()) && !env.contains(&"KAFKA_BOOTSTRAP_SERVERS".to_owned()));
}
