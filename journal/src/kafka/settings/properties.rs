//! `--kafka-config`: a file of librdkafka's own settings, one `key=value` a line.

use campaign::Mistake;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::path::Path;

/// What makes this program exact: a file that sets one of them rests on an error.
const OWN: &[(&str, &str)] = &[
    ("acks", "every record is on all replicas before it counts"),
    ("request.required.acks", "every record is on all replicas before it counts"),
    ("allow.auto.create.topics", "topics are made as the campaign needs them"),
    ("auto.commit.enable", "offsets are committed together with what was done"),
    ("auto.offset.reset", "a lost offset is rebuilt, never guessed"),
    ("enable.auto.commit", "offsets are committed together with what was done"),
    ("enable.auto.offset.store", "offsets are committed together with what was done"),
    ("enable.idempotence", "records are written once"),
    ("enabled_events", "it is this program's own wiring"),
    ("group.id", "it is made of the campaign's name"),
    ("group.instance.id", "workers come and go"),
    ("group.protocol", "it is chosen by what the brokers can do"),
    ("group.remote.assignor", "it goes with the group's protocol"),
    ("isolation.level", "only what was committed is read"),
    ("log.queue", "it is this program's own wiring"),
    ("partition.assignment.strategy", "it goes with the group's protocol"),
    ("transaction.timeout.ms", "the sending lease rests on it"),
    ("transactional.id", "it is made of the campaign's identity"),
];

/// What this program sets by what it measured: accepted, and without effect.
const TUNED: &[&str] = &[
    "compression.codec",
    "compression.type",
    "enable.partition.eof",
    "fetch.wait.max.ms",
    "linger.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
];

/// Whether a setting's value is shown nowhere.
pub(in crate::kafka) fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "private", "oauthbearer.config", "jaas"].iter().any(|part| key.contains(part))
}

/// Reads the settings of a file. What is wrong in it is said by line.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, Vec<Mistake>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text),
        Err(error) => Err(vec![Mistake::new("--kafka-config", format!("{}: {error}", path.display()))]),
    }
}

/// The file of a Secret.
const FILE: &str = "client.properties";
/// Where pods mount that Secret.
const MOUNTED: &str = "/kafka/";
/// What librdkafka would run or load.
const RUNS: &[&str] =
    &["plugin.library.paths", "sasl.kerberos.kinit.cmd", "ssl.engine.id", "ssl.engine.location", "ssl.providers"];

/// Reads the settings of a folder that pods see as `/kafka`; the files that they name are taken from there.
pub(super) fn read_in(folder: &Path) -> Result<BTreeMap<String, String>, Vec<Mistake>> {
    let text = std::fs::read_to_string(folder.join(FILE));
    let mut properties = parse(FILE, &text.map_err(|error| vec![Mistake::new(FILE, error.to_string())])?)?;
    let mut mistakes = Vec::new();
    for (key, value) in &mut properties {
        if RUNS.contains(&key.as_str()) {
            mistakes.push(Mistake::new(
                FILE,
                format!("{key} runs or loads something, which is not done here; take it out"),
            ));
        } else if names_a_file(key) {
            if let Some(path) = file_in(folder, value) {
                *value = path;
            } else {
                let why = format!("{key}: a file is named as {MOUNTED}FILE, and FILE is a key of the same Secret");
                mistakes.push(Mistake::new(FILE, why));
            }
        }
    }
    if mistakes.is_empty() { Ok(properties) } else { Err(mistakes) }
}

/// Whether a setting's value is the name of a file.
fn names_a_file(key: &str) -> bool {
    [".location", ".file", ".keytab"].iter().any(|end| key.ends_with(end))
}

/// A file that lies in the folder.
fn file_in(folder: &Path, value: &str) -> Option<String> {
    let name = value.strip_prefix(MOUNTED).unwrap_or(value);
    // A key of a Secret (Kubernetes: letters, digits, '-', '_' and '.'), and no way out of the folder.
    let is_a_key = name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter));
    (is_a_key && !name.is_empty() && !name.starts_with("..") && name != ".")
        .then(|| folder.join(name).to_string_lossy().into_owned())
}

fn parse(file: &str, text: &str) -> Result<BTreeMap<String, String>, Vec<Mistake>> {
    let (mut found, mut mistakes) = (BTreeMap::new(), Vec::new());
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{file}: line {number}");
        let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            // Not quoted: it may be half a password.
            mistakes.push(Mistake::new(place, "expected key=value"));
            continue;
        };
        if let Some((_, why)) = OWN.iter().find(|(own, _)| *own == key) {
            mistakes.push(Mistake::new(place, format!("{key} is this program's to set ({why}); take the line out")));
        } else if TUNED.contains(&key) {
            tracing::warn!("{place}: {key} is set by this program; the line has no effect");
        } else if let Err(why) = is_possible(key, value) {
            mistakes.push(Mistake::new(place, why));
        } else if found.insert(key.to_owned(), value.to_owned()).is_some() {
            mistakes.push(Mistake::new(place, format!("{key} is there twice; take one out")));
        }
    }
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

/// Whether librdkafka has such a setting, and can have that value for it.
fn is_possible(key: &str, value: &str) -> Result<(), String> {
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, why, ..)) if !is_secret(key) => Err(why),
        Err(_) => Err(format!("{key} can't be set to that")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line() {
        let found = parse("f", "\u{feff}# Kafka\n\n sasl.username = a=b \r\nssl.ca.location=/x y\n#group.id=x\n");
        let expected = [("sasl.username", "a=b"), ("ssl.ca.location", "/x y")];
        assert_eq!(found, Ok(expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into()));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "client.id=a\nhush\nclient.id=b\nno.such.key=1\nenable.auto.commit=true\nsocket.timeout.ms=soon\n\
            security.protocol=hush\nsasl.jaas.config=hush";
        let told: Vec<String> = parse("k.conf", text).expect_err("mistakes").iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 7, "{told:#?}");
        for (number, says) in [
            "k.conf: line 2: expected key=value",
            "k.conf: line 3: client.id is there twice",
            "k.conf: line 4: No such configuration property: \"no.such.key\"",
            "k.conf: line 5: enable.auto.commit is this program's to set (offsets are committed",
            "k.conf: line 6: Invalid value",
            "k.conf: line 7: Invalid value",
            "k.conf: line 8: sasl.jaas.config can't be set to that",
        ]
        .iter()
        .enumerate()
        {
            assert!(told[number].starts_with(says), "{}", told[number]);
        }
    }

    fn in_a_folder(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), text).expect("written");
        let at = folder.path().to_string_lossy().into_owned();
        let read = read_in(folder.path()).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect());
        read.map(|found| found.into_iter().map(|(key, value)| (key, value.replace(&at, "<folder>"))).collect())
    }

    #[test]
    fn files_that_a_secret_names_are_those_beside_it() {
        let text = "ssl.ca.location=/kafka/ca.crt\nssl.key.location=tls.key\nsasl.username=/kafka/x\n";
        let found = in_a_folder(text).expect("settings");
        for (key, value) in [
            ("ssl.ca.location", "<folder>/ca.crt"),
            ("ssl.key.location", "<folder>/tls.key"),
            ("sasl.username", "/kafka/x"),
        ] {
            assert_eq!(found.get(key).map(String::as_str), Some(value), "{key}");
        }
    }

    #[test]
    fn a_secret_names_no_other_files_and_runs_nothing() {
        for value in ["/etc/passwd", "../x", "/kafka/../x", "/kafka/", "a/b", "..", ".", "probe", ""] {
            let found = in_a_folder(&format!("ssl.ca.location={value}"));
            assert_eq!(found.is_ok(), value == "probe", "{value:?}: {found:?}");
        }
        for key in RUNS {
            let told = in_a_folder(&format!("{key}=x")).expect_err("refused");
            assert!(told.iter().any(|line| line.starts_with("client.properties: ")), "{told:?}");
        }
        assert!(in_a_folder("hush").expect_err("refused")[0].starts_with("client.properties: line 1"));
    }

    #[test]
    fn every_setting_that_names_a_file_is_known_as_such() {
        // Those of librdkafka's CONFIGURATION.md whose value is a path.
        for key in [
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
            "ssl.keystore.location",
            "ssl.crl.location",
        ] {
            assert!(names_a_file(key), "{key}");
        }
    }

    #[test]
    fn what_the_program_tunes_has_no_effect_in_a_file() {
        assert_eq!(parse("f", "linger.ms=500"), Ok(BTreeMap::new()));
    }

    #[test]
    fn all_that_the_program_sets_is_known_to_the_library() {
        // A name that is misspelt here would let the right one through.
        for key in OWN.iter().map(|(key, _)| key).chain(TUNED) {
            let unknown = is_possible(key, "x").is_err_and(|why| why.contains("No such configuration property"));
            assert!(!unknown, "{key}");
        }
        assert!(is_possible("no.such.key", "x").is_err_and(|why| why.contains("No such configuration property")));
    }
}
