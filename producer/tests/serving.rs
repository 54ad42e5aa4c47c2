//! The whole of the producer program over a journal: shards that agree, refuse, wait, and go on where they were stopped.

use journal::embedded::Embedded;
use journal::{Checkpoint, Journal, Pin, Tally};
use producer::serve::{Service, serve};
use producer::{Destination, Metrics, Opened, Shard};
use program::{Failure, Health};
use prometheus::Registry;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Whom a row is for: every fourth address may stand in an earlier row, far away.
fn who(row: usize) -> usize {
    if row % 4 == 3 { row / 2 } else { row }
}

/// A campaign in a folder.
fn campaign(rows: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut list = "Email,Name\n".to_owned();
    for row in 0..rows {
        writeln!(list, "someone{}@example.org,{row}", who(row)).expect("text");
    }
    write(folder.path(), "list.csv", &list);
    write(
        folder.path(),
        "campaign.yaml",
        "apiVersion: mailcampaign.io/v1alpha1
kind: MailCampaign
metadata: {name: test, namespace: e2e}
spec:
  recipients: {source: {configMap: {name: test, key: list.csv}}}
  message: {from: people@example.com, subject: Hello, text: {inline: \"Dear {{ Name }}\"}}
  delivery: {backends: [{name: relay, smtp: {host: 127.0.0.1, tls: None}}]}
",
    );
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("written");
}

async fn opened(folder: &TempDir) -> Opened {
    Opened::open(&folder.path().join("campaign.yaml"), None).await.unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn service(index: u32, of: u32) -> Service {
    Service {
        shard: Shard::new(index, of).expect("a shard"),
        stop: CancellationToken::new(),
        metrics: Metrics::register(&Registry::new()).expect("registered"),
        heart: Health::new().heartbeat("publishing", Duration::from_mins(1)),
    }
}

async fn publish(journal: &Embedded, folder: &TempDir, service: &Service) -> Result<Checkpoint, Failure> {
    serve(journal, &opened(folder).await, service).await
}

#[tokio::test]
async fn the_shards_of_a_list_agree_on_it_and_publish_it_together() {
    let folder = campaign(35_000);
    let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
    // In the order in which nobody would start them: those that must wait first.
    let started = [2, 1, 0].map(|index| {
        let (journal, path) = (journal.clone(), folder.path().join("campaign.yaml"));
        tokio::spawn(async move {
            let opened = Opened::open(&path, None).await.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
            serve(&journal, &opened, &service(index, 3)).await
        })
    });
    let mut sum = Tally::default();
    for shard in started {
        let last = shard.await.expect("ended").expect("published");
        assert!(last.done && last.tally.total() > 0);
        sum.published += last.tally.published;
        sum.duplicate += last.tally.duplicate;
    }
    let counts = journal.counts().await.expect("counts");
    assert!(journal.published().await.expect("read"));
    assert_eq!((counts.total, counts.published, counts.duplicate), (35_000, sum.published, sum.duplicate));
    assert_eq!(counts.total, counts.published + counts.duplicate);
    let addresses: HashSet<usize> = (0..35_000).map(who).collect();
    assert_eq!(counts.published, addresses.len() as u64, "no address twice, over the borders of the shards, too");
    let pin = journal.pinned().await.expect("read").expect("pinned");
    assert_eq!((pin.shards, pin.destination.as_str()), (3, "backends"));
    let again = publish(&journal, &folder, &service(1, 3)).await.expect("nothing left to do");
    assert!(again.done);
}

#[tokio::test]
async fn a_shard_waits_for_the_preflight_and_can_be_stopped_meanwhile() {
    let folder = campaign(10);
    let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
    let waiting = service(1, 2);
    let stop = waiting.stop.clone();
    let opened = opened(&folder).await;
    let (ended, ()) = tokio::join!(serve(&journal, &opened, &waiting), async { stop.cancel() });
    assert!(!ended.expect("stopped").done);
    assert_eq!(journal.pinned().await.expect("read"), None, "only shard 0 pins");
    assert!(!journal.published().await.expect("read"));
}

#[tokio::test]
async fn a_producer_that_was_stopped_goes_on_where_it_was_without_another_preflight() {
    let folder = campaign(9_000);
    let state = folder.path().join("state");
    let journal = Embedded::open(&state).expect("a journal");
    let first = service(0, 1);
    journal.pin(opened(&folder).await.pin(Destination::Backends, 1)).await.expect("pinned");
    first.stop.cancel();
    // A chunk may have been on its way.
    let stopped = publish(&journal, &folder, &first).await.expect("stopped");
    assert!(!stopped.done && stopped.tally.total() < 9_000, "{stopped:?}");
    drop(journal);
    let journal = Embedded::open(&state).expect("the journal");
    let last = publish(&journal, &folder, &service(0, 1)).await.expect("published");
    assert!(last.done && journal.published().await.expect("read"));
    assert_eq!(journal.counts().await.expect("counts").total, 9_000);
}

#[tokio::test]
async fn other_bytes_are_refused_for_good_and_what_differs_is_named() {
    let folder = campaign(10);
    let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
    publish(&journal, &folder, &service(0, 2)).await.expect("published");
    let list = std::fs::read_to_string(folder.path().join("list.csv")).expect("the list");
    write(folder.path(), "list.csv", &(list + "late@example.org,11\n"));
    let refused = publish(&journal, &folder, &service(1, 2)).await.expect_err("another list");
    assert_eq!(refused.code(), 2);
    assert!(refused.to_string().contains("spec.recipients.source"), "{refused}");
    let cut = publish(&journal, &campaign(10), &service(1, 3)).await.expect_err("cut otherwise");
    assert_eq!(cut.code(), 2);
    assert!(cut.to_string().contains("the number of shards (was 2, is 3)"), "{cut}");
}

#[tokio::test]
async fn a_mistake_that_the_list_shows_is_no_reason_to_try_again() {
    let folder = campaign(10);
    write(folder.path(), "list.csv", "Email,Nmae\nann@example.org,Ann\n");
    let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
    let refused = publish(&journal, &folder, &service(0, 1)).await.expect_err("a missing column");
    assert_eq!(refused.code(), 2);
    assert!(refused.to_string().contains("Name"), "{refused}");
    assert_eq!(journal.pinned().await.expect("read"), None::<Pin>);
}

#[tokio::test]
async fn a_column_that_only_a_request_body_uses_is_missed_before_anything_is_published() {
    let folder = campaign(100);
    let file = std::fs::read_to_string(folder.path().join("campaign.yaml")).expect("read");
    let api =
        r#"http: {url: "http://127.0.0.1:1/mail", body: {template: '{"to": "{{ mail.to }}", "n": "{{ Nmae }}"}'}}"#;
    write(folder.path(), "campaign.yaml", &file.replace("smtp: {host: 127.0.0.1, tls: None}", api));
    let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
    let refused = publish(&journal, &folder, &service(0, 1)).await.expect_err("refused");
    assert_eq!(refused.code(), 2);
    let told = refused.to_string();
    assert!(told.contains("spec.delivery.backends[0].http.body.template") && told.contains("\"Name\""), "{told}");
    assert!(journal.pinned().await.expect("read").is_none(), "nothing is pinned");
}
