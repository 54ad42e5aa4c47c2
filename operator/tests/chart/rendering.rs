//! What Helm makes of the chart, without a cluster.

use super::{SETTINGS, chart, helm, read, rendered, rendered_with, run, set, sets_of_values};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn helm_has_nothing_to_find_fault_with() {
    for values in sets_of_values() {
        let said = run(helm().args(["lint", "--strict", "--quiet"]).arg(chart()).arg("--values").arg(&values), "");
        assert!(said.is_ok(), "{}: {said:?}", values.display());
    }
}

#[test]
fn what_only_a_person_knows_is_asked_for_in_a_sentence() {
    let [kafka, image] = SETTINGS;
    let secret_only = "kafka.existingSecret=kafka-client";
    let cases: [(&[&str], &str); 6] = [
        (&[image], "no Kafka is named: set kafka.bootstrapServers to HOST:PORT"),
        (&[kafka], "no image is named: build it from the project's Dockerfile"),
        (
            &[kafka, image, "clusterWide=true", "watchNamespaces={hr}"],
            "leave out watchNamespaces, or set clusterWide to false",
        ),
        (&[kafka, image, "extraEnv[0].name=RUST_LOG", "extraEnv[0].value=debug"], "RUST_LOG is set by this chart"),
        (
            &[kafka, image, "extraEnv[0].name=A", "extraEnv[0].value=x", "extraEnv[1].name=A", "extraEnv[1].value=y"],
            "A is set by this chart from a value of its own (see `helm show values`), or stands here twice",
        ),
        (&[secret_only, image, "networkPolicy.egress.enabled=true"], "set networkPolicy.egress.kafkaPorts"),
    ];
    for (values, sentence) in cases {
        let refused = rendered(set(values.iter().copied())).expect_err("it is not enough");
        assert!(refused.contains(sentence), "{values:?}: {refused}");
    }
}

#[test]
fn a_value_that_is_wrong_is_refused_with_its_place() {
    let cases = [
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("replica=2", "additional properties 'replica' not allowed"),
        ("kafka.bootstrapServer=kafka:9092", "at '/kafka': additional properties 'bootstrapServer' not allowed"),
        ("kafka.bootstrapServers=kafka", "at '/kafka/bootstrapServers'"),
        ("kafka.bootstrapServers=http://kafka:9092", "at '/kafka/bootstrapServers'"),
        ("kafka.existingSecret=Not_A_Name", "at '/kafka/existingSecret'"),
        ("image.repository=mailcampaign:dev", "at '/image/repository'"),
        ("image.tag=1", "at '/image/tag': got number, want string"),
        ("image.digest=0123", "at '/image/digest'"),
        (
            "image.pullPolicy=Sometimes",
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("watchNamespaces={hr,hr}", "at '/watchNamespaces'"),
        ("watchNamespaces={h.r}", "at '/watchNamespaces/0'"),
        ("deletionDeadline=soon", "at '/deletionDeadline'"),
        ("log.format=xml", "at '/log/format'"),
        ("networkPolicy.egress.apiServerPorts={70000}", "at '/networkPolicy/egress/apiServerPorts/0'"),
        ("clusterWide=yes", "at '/clusterWide': got string, want boolean"),
    ];
    for (value, place) in cases {
        let refused = rendered(set(SETTINGS.iter().copied().chain([value]))).expect_err(value);
        assert!(refused.contains(place), "{value}: {refused}");
    }
}

#[test]
fn the_chart_has_the_version_of_the_programs() {
    let (chart, version) = (read("charts/mailcampaign/Chart.yaml"), env!("CARGO_PKG_VERSION"));
    assert!(chart.contains(&format!("\nversion: {version}\n")), "{chart}");
    assert!(chart.contains(&format!("\nappVersion: \"{version}\"\n")), "{chart}");
}

#[test]
fn brokers_are_the_same_as_a_list_and_as_a_text() {
    let brokers = "KAFKA_BOOTSTRAP_SERVERS\n              value: \"a.example.com:9092,b.example.com:9093\"";
    for value in ["{a.example.com:9092,b.example.com:9093}", r"a.example.com:9092\,b.example.com:9093"] {
        let objects = rendered_with(&[&format!("kafka.bootstrapServers={value}"), "networkPolicy.egress.enabled=true"]);
        assert!(objects.contains(brokers), "{value}");
        assert!(objects.contains("- port: 9092\n") && objects.contains("- port: 9093\n"), "{value}");
    }
}

#[test]
fn a_digest_goes_before_a_tag() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    let image = |values: &[&str]| {
        let objects = rendered_with(values);
        let found = objects.lines().find_map(|line| line.trim().strip_prefix("image: "));
        found.expect("a container has an image").trim_matches('"').to_owned()
    };
    assert_eq!(image(&[]), format!("mailcampaign:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(&["image.tag=dev"]), "mailcampaign:dev");
    assert_eq!(image(&["image.tag=dev", &format!("image.digest={digest}")]), format!("mailcampaign@{digest}"));
}

/// The variables in a text, each after these words.
fn variables(text: &str, before: &str) -> BTreeSet<String> {
    let named =
        text.split(before).skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next());
    named.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_chart_sets_variables_that_the_operator_reads_and_all_that_are_its_own() {
    let help = run(Command::new(env!("CARGO_BIN_EXE_mailcampaign-operator")).arg("--help"), "").expect("it helps");
    let mut known = variables(&help, "[env: ");
    let of_libraries = ["RUST_LOG", "MALLOC_ARENA_MAX"].map(str::to_owned);
    let set: BTreeSet<_> = sets_of_values()
        .iter()
        .flat_map(|values| {
            let values = values.display().to_string();
            let objects = rendered(["--values", &values, "--set", "extraEnv=null"]).expect("it renders");
            variables(&objects, "- name: ")
        })
        .filter(|name| !of_libraries.contains(name))
        .collect();
    assert_eq!(set.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "nobody reads them");
    // How Kafka is spoken to is in client.properties.
    known.retain(|name| !name.starts_with("KAFKA_"));
    assert_eq!(known.difference(&set).collect::<Vec<_>>(), Vec::<&String>::new(), "nobody can set them");
    assert!(help.contains("\n  check "), "the test of the chart runs this: {help}");
}

/// The paths of all values, as the schema has them; but for what is there for charts that depend on this one.
fn paths(schema: &Value, above: &str, found: &mut BTreeSet<String>) {
    for (name, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let is_of_pods = path.starts_with("resources");
        match value.get("properties") {
            Some(_) if !is_of_pods => paths(value, &path, found),
            _ if ["global", "enabled"].contains(&path.as_str()) => {}
            _ => drop(found.insert(path)),
        }
    }
}

#[test]
fn every_value_has_a_default_and_a_line_in_the_readme_and_nothing_else_has() {
    let schema: Value = serde_json::from_str(&read("charts/mailcampaign/values.schema.json")).expect("a schema");
    let mut wanted = BTreeSet::new();
    paths(&schema, "", &mut wanted);
    let readme = read("charts/mailcampaign/README.md");
    let table = readme.split("\n## Values\n").nth(1).expect("there is a table");
    let explained = table.lines().filter_map(|line| line.strip_prefix("| `")?.split("` |").next().map(str::to_owned));
    assert_eq!(explained.collect::<BTreeSet<_>>(), wanted);
    let defaults = read("charts/mailcampaign/values.yaml");
    for path in wanted {
        let key = path.rsplit('.').next().unwrap_or_default();
        assert!(defaults.lines().any(|line| line.trim_start().starts_with(&format!("{key}:"))), "{path}");
    }
}
