//! The chart in `charts/mailcampaign`, and `deploy/`, which is made of it: rendered by the real Helm, judged by a real API server.

mod lifecycle;
mod rendering;
mod rights;
mod server;

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::ApiServer;

/// The namespace of the operator in these tests.
const NAMESPACE: &str = "mailcampaign-system";
/// What has to be set.
const SETTINGS: [&str; 2] = ["kafka.bootstrapServers=kafka.example.com:9092", "image.repository=mailcampaign"];

/// A file of the workspace.
fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn chart() -> PathBuf {
    workspace("charts/mailcampaign")
}

fn read(path: &str) -> String {
    let file = workspace(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The sets of values that the chart is tried with.
fn sets_of_values() -> Vec<PathBuf> {
    let folder = chart().join("ci");
    let entries = std::fs::read_dir(folder).expect("there are values to try").flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Copies a folder with what is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("it is copied");
        }
    }
}

fn helm() -> Command {
    testkit::kubernetes::helm().expect("helm can be built")
}

/// `--set` for each of them.
fn set<'a>(values: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    values.into_iter().flat_map(|value| ["--set", value])
}

/// What a program prints, or what it says when it fails.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_owned();
    // Beside it: both would wait for ever where each has much to say.
    let writing = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("it ended");
    writing.join().expect("it was written");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// The objects that the chart makes of these arguments of Helm.
fn rendered<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let mut command = helm();
    command.args(["template", "mc"]).arg(chart()).args(["--namespace", NAMESPACE]).args(arguments);
    run(&mut command, "")
}

/// The chart with what has to be set, and more.
fn rendered_with(values: &[&str]) -> String {
    rendered(set(SETTINGS.iter().chain(values).copied())).unwrap_or_else(|error| panic!("{values:?}: {error}"))
}

/// What kubectl prints.
fn kubectl(server: &ApiServer, arguments: &[&str], input: &str) -> Result<String, String> {
    run(server.kubectl().args(arguments), input)
}

/// The same, as objects.
fn objects(server: &ApiServer, arguments: &[&str], input: &str) -> Vec<Value> {
    let printed = run(server.kubectl().args(arguments).arg("--output=json"), input);
    let printed = printed.unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"));
    // Several objects are printed as a list by one verb, one after another by the next.
    let printed = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
    let flat = printed.flat_map(|object| match object.expect("JSON") {
        Value::Object(mut list) if list["kind"] == "List" => match list.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        object => vec![object],
    });
    flat.collect()
}

/// A namespace in which only pods may run that need nothing.
fn make_namespace(server: &ApiServer, name: &str) {
    let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}: restricted")).join(", ");
    let object = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}");
    kubectl(server, &["apply", "--server-side", "--filename=-"], &object).expect("a namespace");
}
