//! A folder with a campaign in it, and the program run there.

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use testkit::Sink;

/// A folder of its own for one test; gone afterwards.
pub(crate) struct Rig {
    folder: TempDir,
}

/// How a call of the program ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// The exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("its folder can be made");
        fs::write(path, content).expect("the file can be written");
    }

    /// A list of `rows` recipients with a name and an address.
    pub(crate) fn write_list(&self, rows: u64) {
        testkit::lists::write_csv(&self.path("list.csv"), rows, 2).expect("the list can be written");
    }

    /// The program with these arguments, in the folder; nothing of this test's own environment changes what it does.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailcampaign"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text == "RUST_LOG" || text.starts_with("MAILCAMPAIGN_") || text.starts_with("KAFKA_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().expect("the program starts");
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Starts the program and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// The rows of `report`, each by column.
    pub(crate) fn report(&self) -> Vec<HashMap<String, String>> {
        let done = self.run(&["report", "campaign.yaml", "--out", "report.csv"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let mut reader = csv::Reader::from_path(self.path("report.csv")).expect("the report can be read");
        reader.deserialize().collect::<Result<_, _>>().expect("the report is a table")
    }
}

impl Done {
    /// The object on the last line of stdout; both sums of the account must hold.
    pub(crate) fn account(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        let account: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{}", self.stderr));
        let sum = |names: &[&str]| names.iter().map(|name| number(&account, name)).sum::<u64>();
        assert_eq!(number(&account, "total"), sum(&["invalid", "duplicate", "suppressed", "published"]), "{line}");
        let outcomes = ["pending", "delivered", "rejected", "refused", "deferred", "dead", "unknown"];
        assert_eq!(number(&account, "published"), sum(&outcomes), "{line}");
        account
    }
}

/// A count of an account.
pub(crate) fn number(account: &Value, name: &str) -> u64 {
    account[name].as_u64().unwrap_or_else(|| panic!("no count \"{name}\" in {account}"))
}

/// A campaign over `list.csv` through the sink, with a text; `delivery` is added to `spec.delivery`.
pub(crate) fn campaign(sink: &Sink, delivery: &str) -> String {
    format!(
        "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {{name: test, namespace: e2e}}
spec:
  recipients: {{source: {{configMap: {{name: test, key: list.csv}}}}}}
  message: {{from: people@example.com, subject: \"Hello {{{{ Name }}}}\", text: {{inline: \"Dear {{{{ Name }}}}\"}}}}
  delivery:
    backends: [{{name: sink, smtp: {{host: 127.0.0.1, port: {}, tls: None, connections: 20}}}}]
{delivery}",
        sink.port()
    )
}

/// The example of the project.
pub(crate) fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/offers/campaign.yaml")
}
