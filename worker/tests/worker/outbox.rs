//! A rehearsal: mails as files.

use crate::support::{Campaign, counts, options, people};
use serde_json::json;
use std::{collections::HashSet, fs};
use worker::{Backends, Ended};

#[tokio::test(flavor = "multi_thread")]
async fn every_recipient_has_a_file_of_their_own_and_a_second_run_writes_none() {
    let campaign = Campaign::to(people(200, "example.com")).await;
    let outbox = campaign.folder.path().join("out/box");
    let finished = campaign.run(Backends::outbox(&outbox), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(200, |counts| counts.delivered = 200)));
    let files: Vec<_> =
        fs::read_dir(outbox.join("new")).expect("a folder").map(|file| file.expect("a file").path()).collect();
    let texts: HashSet<_> = files.iter().map(|file| fs::read_to_string(file).expect("a mail")).collect();
    assert_eq!((files.len(), texts.len()), (200, 200));
    assert!(texts.iter().all(|text| text.contains("Subject: Hello No. ")));
    assert_eq!(fs::read_dir(outbox.join("tmp")).expect("a folder").count(), 0);

    fs::remove_dir_all(&outbox).expect("removed");
    let finished = campaign.run(Backends::outbox(&outbox), options()).await;
    assert_eq!((finished.ended, finished.counts.delivered), (Ended::Done, 200));
    assert!(!outbox.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maildir_backend_lies_beside_the_campaign() {
    let campaign = Campaign::to(people(3, "example.com")).await;
    let backends = campaign.backends(&[json!({"name": "files", "maildir": {"path": "mails"}})]);
    campaign.run(backends, options()).await;
    let names: HashSet<_> = fs::read_dir(campaign.folder.path().join("mails/new"))
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    let from = campaign::EmailAddress::parse("people@example.com").expect("an address");
    assert_eq!(names, (2..5).map(|row| campaign.uid.message_id(row, &from)).collect());
}
