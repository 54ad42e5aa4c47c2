//! Going on, and when it must not.

use crate::rig::{Rig, campaign, number};
use testkit::{Sink, SinkOptions};

const SEND: [&str; 4] = ["run", "campaign.yaml", "--send", "--json"];

#[test]
fn e2e_a_campaign_whose_list_or_message_changed_is_refused_until_it_is_begun_anew() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(10);
    rig.write("campaign.yaml", campaign(&sink, ""));
    assert_eq!(rig.run(&SEND).code, 0);

    rig.write_list(11);
    let list_changed = rig.run(&SEND);
    assert_eq!(list_changed.code, 2);
    assert!(list_changed.stderr.contains("spec.recipients.source"), "{}", list_changed.stderr);
    assert!(list_changed.stderr.contains("--restart"), "{}", list_changed.stderr);

    rig.write_list(10);
    rig.write("campaign.yaml", campaign(&sink, "").replace("Dear", "Hi"));
    let text_changed = rig.run(&SEND);
    assert_eq!(text_changed.code, 2);
    assert!(text_changed.stderr.contains("spec.message.text"), "{}", text_changed.stderr);
    assert_eq!(sink.count(), 10, "nothing was sent meanwhile");

    let anew = rig.run(&["run", "campaign.yaml", "--send", "--json", "--restart"]);
    assert_eq!(anew.code, 0, "{}", anew.stderr);
    assert_eq!(sink.count(), 20);
}

#[test]
fn e2e_results_are_not_reported_beside_another_list() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(3);
    rig.write("campaign.yaml", campaign(&sink, ""));
    assert_eq!(rig.run(&SEND).code, 0);
    rig.write_list(4);
    let report = ["report", "campaign.yaml", "--out", "report.csv"];
    let refused = rig.run(&report);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("spec.recipients.source"), "{}", refused.stderr);
    rig.write_list(3);
    assert_eq!(rig.run(&report).code, 0);
}

#[test]
fn e2e_what_may_change_in_the_middle_does_not_stop_it() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(10);
    rig.write("campaign.yaml", campaign(&sink, ""));
    assert_eq!(rig.run(&SEND).code, 0);
    let other = Sink::start(SinkOptions::default());
    rig.write("campaign.yaml", campaign(&other, "    rate: {perSecond: 1000}\n"));
    let done = rig.run(&SEND);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!((sink.count(), other.count()), (10, 0));
}

#[test]
fn e2e_a_label_makes_it_another_campaign_with_message_ids_of_its_own() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(1);
    rig.write("campaign.yaml", campaign(&sink, ""));
    assert_eq!(rig.run(&SEND).code, 0);
    let done = rig.run(&["run", "campaign.yaml", "--send", "--run", "reminder", "--state", "second"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let got = sink.received();
    assert_eq!(got.len(), 2);
    assert_ne!(got[0].message_id, got[1].message_id);
}

#[test]
fn e2e_a_state_folder_in_use_is_refused() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(2_000);
    rig.write("campaign.yaml", campaign(&sink, "    rate: {perSecond: 200}\n"));
    let mut first = rig.start(&SEND);
    sink.wait_for_blocking(20);
    let second = rig.run(&SEND);
    first.kill().expect("it still runs");
    first.wait().expect("it ended");
    assert_eq!(second.code, 2, "{}", second.stderr);
    assert!(second.stderr.contains("in use by another run"), "{}", second.stderr);
}

#[test]
fn e2e_the_account_of_a_rehearsal_is_not_taken_for_that_of_sending() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write_list(10);
    rig.write("campaign.yaml", campaign(&sink, ""));
    assert_eq!(number(&rig.run(&["run", "campaign.yaml", "--json"]).account(), "delivered"), 10);
    assert_eq!(sink.count(), 0, "a rehearsal sends nothing");
    assert_eq!(rig.run(&SEND).code, 0);
    assert_eq!(sink.count(), 10);
}
