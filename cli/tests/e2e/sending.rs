//! Sending to very many.

use crate::rig::{Rig, campaign, number};
use testkit::{Keep, Sink, SinkOptions};

#[test]
fn e2e_a_hundred_thousand_recipients_get_exactly_one_mail_each() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default().keep(Keep::Recipients));
    rig.write_list(100_000);
    rig.write("campaign.yaml", campaign(&sink, ""));
    let done = rig.run(&["run", "campaign.yaml", "--send", "--json"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(number(&done.account(), "delivered"), 100_000);
    let got = sink.per_recipient();
    assert_eq!(got.len(), 100_000);
    assert!(got.values().all(|&mails| mails == 1), "somebody got two");

    let again = rig.run(&["run", "campaign.yaml", "--send", "--json"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(sink.count(), 100_000, "a second run sends none");
}

#[test]
fn e2e_the_suppressed_and_the_doubled_get_nothing() {
    let rig = Rig::new();
    let sink = Sink::start(SinkOptions::default());
    rig.write("list.csv", "Name,Email\nAda,ada@example.com\nA.,ADA@Example.com\nBob,bob@example.org\nCleo,cleo@example.net\nD,no-address\n");
    rig.write("never.csv", "cleo@example.net\n@example.org\n");
    let text = campaign(&sink, "")
        .replace("key: list.csv}}}", "key: list.csv}}, suppress: {configMap: {name: test, key: never.csv}}}");
    rig.write("campaign.yaml", text);
    let done = rig.run(&["run", "campaign.yaml", "--send", "--json"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let account = done.account();
    let counts = ["total", "published", "invalid", "duplicate", "suppressed"].map(|name| number(&account, name));
    assert_eq!(counts, [5, 1, 1, 1, 2]);
    assert_eq!(sink.received().iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["ada@example.com"]);
    let states: Vec<_> = rig.report().into_iter().map(|row| row["Status"].clone()).collect();
    assert_eq!(states, ["Delivered", "Duplicate", "Suppressed", "Suppressed", "Invalid"]);
}
