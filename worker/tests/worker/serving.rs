//! What the program does around a run: waits for the producer, refuses other content, and ends with the right code.

use crate::{
    member::until,
    support::{message, options},
};
use journal::{Checkpoint, Entry, Journal, Pin, Publisher, Tally, embedded::Embedded};
use program::{Failure, exit};
use std::{fs, process::Command, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use worker::{Opened, Options, Stop, Until};

const CAMPAIGN: &str = "
apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: offers, namespace: hr}
spec:
  recipients:
    source: {configMap: {name: offers, key: offers.csv}}
  message:
    from: people@example.com
    subject: Your offer
    text: {inline: 'Dear {{ Name }},'}
  delivery:
    backends:
      - {name: folder, maildir: {path: out}}
";

/// A campaign's files, and its journal.
struct Files {
    folder: TempDir,
    journal: Embedded,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("campaign.yaml"), CAMPAIGN).expect("a file");
        fs::write(folder.path().join("offers.csv"), "Email,Name\na@example.com,Ann\n").expect("a file");
        let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
        Self { folder, journal }
    }

    async fn serve(&self, options: Options, stop: &Stop) -> JoinHandle<Result<(), Failure>> {
        let opened = Opened::open(&self.folder.path().join("campaign.yaml"), None).await;
        let (opened, backends) = opened.map_err(|mistakes| format!("{mistakes:?}")).expect("opened");
        let (journal, stop) = (self.journal.clone(), stop.clone());
        tokio::spawn(async move { worker::serve(&journal, &opened, backends, options, stop).await })
    }

    async fn pin(&self) -> Pin {
        let (opened, _) = Opened::open(&self.folder.path().join("campaign.yaml"), None).await.expect("opened");
        let contents = opened.bundle.hashes.contents.clone();
        Pin { uid: opened.uid, contents, destination: "backends".to_owned(), shards: 1 }
    }

    async fn publish(&self) {
        self.journal.pin(self.pin().await).await.expect("pinned");
        let mut publisher = self.journal.publisher(0).await.expect("a publisher");
        let checkpoint = Checkpoint { next_row: 3, tally: Tally { published: 1, ..Tally::default() }, done: true };
        publisher.publish(vec![Entry::Message(message(2, "a@example.com"))], checkpoint).await.expect("published");
    }

    fn sent(&self) -> usize {
        fs::read_dir(self.folder.path().join("out/new")).map_or(0, Iterator::count)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_the_producer_alive_and_not_ready_and_then_sends_until_it_is_told_to_stop() {
    let (files, stop) = (Files::new(), Stop::new());
    let options = Options { until: Until::Stopped, ..options() };
    let health = options.health.clone();
    let serving = files.serve(options, &stop).await;
    until("it waits", || health.ready().check() == Err("waiting for the producer".to_owned())).await;
    assert_eq!(health.alive(), Ok(()));
    files.publish().await;
    until("the mail is sent", || files.sent() == 1).await;
    until("it is ready", || health.ready().check().is_ok()).await;
    assert!(!serving.is_finished());
    stop.gracefully();
    serving.await.expect("a task").expect("stopped as asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_the_producer_obeys_a_stop() {
    let (files, stop) = (Files::new(), Stop::new());
    let options = options();
    let health = options.health.clone();
    let serving = files.serve(options, &stop).await;
    until("it waits", || health.ready().check() == Err("waiting for the producer".to_owned())).await;
    stop.gracefully();
    serving.await.expect("a task").expect("stopped as asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_other_content_than_what_was_published_refuses_and_is_not_to_be_tried_again() {
    let (files, stop) = (Files::new(), Stop::new());
    files.publish().await;
    fs::write(files.folder.path().join("campaign.yaml"), CAMPAIGN.replace("Your offer", "Our offer")).expect("a file");
    let failure = files.serve(options(), &stop).await.await.expect("a task").expect_err("other content");
    assert_eq!(failure.code(), exit::BAD_INPUT);
    assert!(failure.to_string().contains("spec.message.subject"), "{failure}");
    assert_eq!(files.sent(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_the_start_that_its_file_declares() {
    let (files, stop) = (Files::new(), Stop::new());
    fs::write(files.folder.path().join("campaign.yaml"), format!("{CAMPAIGN}  startAt: 2099-01-01T00:00:00Z\n"))
        .expect("a file");
    files.publish().await;
    let (opened, _) = Opened::open(&files.folder.path().join("campaign.yaml"), None).await.expect("opened");
    let options = Options::from(&opened.bundle.campaign);
    let (clock, health) = (options.clock.clone(), options.health.clone());
    let serving = files.serve(options, &stop).await;
    until("it is ready", || health.ready().check().is_ok()).await;
    assert!(files.sent() == 0 && !serving.is_finished());
    clock.set_forward(Duration::from_hours(24 * 366 * 100));
    serving.await.expect("a task").expect("done");
    assert_eq!(files.sent(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_to_end_when_all_is_done_ends() {
    let (files, stop) = (Files::new(), Stop::new());
    files.publish().await;
    files.serve(options(), &stop).await.await.expect("a task").expect("done");
    assert_eq!(files.sent(), 1);
}

/// The program, with nothing of this test's own environment.
fn program(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcampaign-worker"));
    command.args(arguments).current_dir(folder.path());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "RUST_LOG" || text.starts_with("MAILCAMPAIGN_") || text.starts_with("KAFKA_") {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("the program starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn e2e_bad_input_ends_the_program_with_two_and_says_what_to_change() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let files = runtime.block_on(async { Files::new() });
    for (arguments, says) in [
        (&["--campaign", "nowhere.yaml", "--kafka", "localhost:9092"][..], "nowhere.yaml"),
        (&["--campaign", "campaign.yaml"], "--kafka"),
        (&["--campaign", "campaign.yaml", "--kafka", "localhost:9092", "--grace", "soon"], "--grace"),
        (&["--kafka", "localhost:9092"], "--campaign"),
    ] {
        let (code, stderr) = program(&files.folder, arguments);
        assert!(code == Some(2) && stderr.contains(says), "{arguments:?}: {code:?} {stderr}");
    }
}
