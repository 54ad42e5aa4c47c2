//! Pinning and publishing.
#![expect(missing_docs, reason = "the names say it")]

use super::{Rig, a_pin, account, after, all_rows, at, message, publish, result, skipped, worker};
use super::{claim, delivered, settle, with_messages};
use crate::{Entry, Error, Journal, Pin, Preflighted, Publisher, RowState, Tally, Tick, Worker, WorkerOptions};
use campaign::{CampaignUid, Message, spec::OnUnknown};

pub async fn content_is_pinned_once_and_a_difference_is_named<R: Rig>() {
    let (mut rig, journal) = R::fresh().await;
    assert_eq!(journal.pinned().await.expect("read"), None);
    journal.pin(a_pin()).await.expect("pinned");
    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(journal.pinned().await.expect("read"), Some(a_pin()));
    journal.pin(a_pin()).await.expect("the same again");

    let changed = async |pin| match journal.pin(pin).await {
        Err(Error::ContentChanged { changed }) => changed,
        other => panic!("{other:?}"),
    };
    let mut other_text = a_pin();
    other_text.contents.insert("spec.message.text".to_owned(), "cc".to_owned());
    other_text.uid = CampaignUid::alone("hr/offers", "bb", "cc", None);
    assert_eq!(changed(other_text).await, ["spec.message.text"]);

    let mut more = a_pin();
    more.contents.insert("spec.message.html".to_owned(), "dd".to_owned());
    more.contents.remove("spec.recipients.source");
    assert_eq!(changed(more).await, ["spec.message.html", "spec.recipients.source"]);

    let other_run = crate::Pin { uid: CampaignUid::alone("hr/offers", "bb", "aa", Some("second")), ..a_pin() };
    assert!(changed(other_run).await[0].contains("run label"));
    let elsewhere = crate::Pin { destination: "outbox".to_owned(), ..a_pin() };
    assert!(changed(elsewhere).await[0].contains("outbox"));
    assert_eq!(journal.pinned().await.expect("read"), Some(a_pin()), "what was refused left no trace");
}

pub async fn what_the_preflight_found_is_kept_with_the_pin_that_stands<R: Rig>() {
    let (mut rig, journal) = R::fresh().await;
    assert_eq!(journal.preflighted().await.expect("read"), None);
    let found = |published| Preflighted { at: at(1), tally: Tally { published, invalid: 2, ..Tally::default() } };
    journal.pin_with(a_pin(), Some(found(7))).await.expect("pinned");
    journal.pin_with(a_pin(), Some(found(8))).await.expect("the same content again");
    let other = Pin { destination: "outbox".to_owned(), ..a_pin() };
    assert!(matches!(journal.pin_with(other, Some(found(9))).await, Err(Error::ContentChanged { .. })));
    let journal = rig.crash_and_reopen(journal).await;
    assert_eq!(journal.preflighted().await.expect("read"), Some(found(7)), "the one whose pin stands");
    assert_eq!(journal.pinned().await.expect("read"), Some(a_pin()));
}

pub async fn nothing_is_published_or_sent_before_the_content_is_pinned<R: Rig>() {
    let (_rig, journal) = R::fresh().await;
    assert!(matches!(journal.publisher(0).await, Err(Error::NotPinned)));
    let options = WorkerOptions { on_unknown: OnUnknown::Hold, now: at(0) };
    assert!(matches!(journal.worker(options).await, Err(Error::NotPinned)));
    assert!(!journal.published().await.expect("read"));
}

pub async fn every_row_is_published_once_whatever_chunk_a_crash_falls_on<R: Rig>() {
    let entry = |row: u64| if row.is_multiple_of(5) { skipped(row) } else { Entry::Message(message(row)) };
    let chunk_of = |first: u64| (first..(first + 7).min(30)).map(entry).collect::<Vec<_>>();
    let (mut rig, mut journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    loop {
        let mut publisher = journal.publisher(0).await.expect("a publisher");
        let checkpoint = *publisher.checkpoint();
        assert_eq!(
            all_rows(&journal).await.len() as u64,
            checkpoint.tally.total(),
            "the checkpoint is that of the rows"
        );
        if checkpoint.done {
            break;
        }
        let entries = chunk_of(checkpoint.next_row.max(2));
        publish(&mut publisher, entries, checkpoint.next_row >= 23).await;
        account(&journal).await;
        journal = rig.crash_and_reopen(journal).await;
    }
    assert!(journal.published().await.expect("read"));
    let rows: Vec<u64> = all_rows(&journal).await.iter().map(RowState::row).collect();
    assert_eq!(rows, (2..30).collect::<Vec<_>>());
    let counts = account(&journal).await;
    assert_eq!((counts.total, counts.published, counts.pending), (28, 23, 23));
}

pub async fn a_chunk_that_does_not_follow_on_is_refused_and_changes_nothing<R: Rig>() {
    let (_rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, vec![Entry::Message(message(2)), skipped(3)], false).await;
    let before = *publisher.checkpoint();

    let again = vec![Entry::Message(message(3)), Entry::Message(message(4))];
    let backwards = vec![Entry::Message(message(9)), Entry::Message(message(8))];
    for entries in [again, backwards] {
        let checkpoint = after(&before, &entries, false);
        assert!(matches!(publisher.publish(entries, checkpoint).await, Err(Error::OutOfTurn(_))));
    }
    let miscounted = after(&before, &[], false);
    let refused = publisher.publish(vec![Entry::Message(message(4))], miscounted).await;
    assert!(matches!(refused, Err(Error::OutOfTurn(_))));

    assert_eq!(*publisher.checkpoint(), before);
    assert_eq!(account(&journal).await.total, 2);
    publish(&mut publisher, vec![Entry::Message(message(4))], true).await;
    let beyond = vec![Entry::Message(message(5))];
    let checkpoint = after(publisher.checkpoint(), &beyond, true);
    assert!(matches!(publisher.publish(beyond, checkpoint).await, Err(Error::OutOfTurn(_))));
    assert_eq!(account(&journal).await.total, 3);
}

pub async fn a_publisher_that_was_replaced_writes_nothing_more<R: Rig>() {
    let (_rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut older = journal.publisher(0).await.expect("a publisher");
    publish(&mut older, vec![Entry::Message(message(2))], false).await;
    let mut newer = journal.publisher(0).await.expect("a publisher");
    assert_eq!(newer.checkpoint(), older.checkpoint());

    let entries = vec![Entry::Message(message(3))];
    let checkpoint = after(older.checkpoint(), &entries, true);
    assert!(matches!(older.publish(entries, checkpoint).await, Err(Error::Fenced)));
    assert_eq!(account(&journal).await.total, 1);
    assert!(!journal.published().await.expect("read"));
    publish(&mut newer, vec![Entry::Message(message(3))], true).await;
    assert_eq!(account(&journal).await.total, 2);
}

pub async fn a_refused_chunk_does_not_harm_a_tick_at_the_same_time<R: Rig>() {
    let (_rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut older = journal.publisher(0).await.expect("a publisher");
    let mut newer = journal.publisher(0).await.expect("a publisher");
    publish(&mut newer, (2..52).map(|row| Entry::Message(message(row))).collect(), true).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let mut finished = Vec::new();
    for round in 0..50 {
        let claims = sender.take(1, at(round)).await.expect("taken");
        let tick = Tick { finished, claims, at: at(round), ..Tick::default() };
        let entries = vec![Entry::Message(message(60))];
        let checkpoint = after(older.checkpoint(), &entries, false);
        let (refused, claimed) = tokio::join!(older.publish(entries, checkpoint), sender.commit(tick));
        assert!(matches!(refused, Err(Error::Fenced)));
        finished =
            claimed.expect("committed").iter().map(|mail| result(mail.message().row, 1, round, delivered())).collect();
    }
    let counts = account(&journal).await;
    assert_eq!((counts.total, counts.delivered, counts.pending), (50, 49, 1));
}

pub async fn a_list_is_published_when_all_its_shards_are<R: Rig>() {
    let (mut rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut first = journal.publisher(0).await.expect("a publisher");
    let mut second = journal.publisher(1).await.expect("a publisher");
    publish(&mut second, (20..30).map(|row| Entry::Message(message(row))).collect(), true).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 8, 0).await, (20..28).collect::<Vec<_>>());
    let in_hand = sender.take(1, at(0)).await.expect("taken");
    publish(&mut first, (2..5).map(|row| Entry::Message(message(row))).collect(), false).await;

    // Rows that are published behind what was sent already are found, and none twice.
    let mut rows = claim(&mut sender, 100, 0).await;
    rows.sort_unstable();
    assert_eq!(rows, [2, 3, 4, 29]);
    assert_eq!(in_hand[0].message.row, 28);
    assert!(!journal.published().await.expect("read") && !sender.exhausted());
    drop((sender, first));
    let journal = rig.crash_and_reopen(journal).await;
    assert!(!journal.published().await.expect("read"), "one shard is still to come");
    let mut first = journal.publisher(0).await.expect("a publisher");
    publish(&mut first, vec![], true).await;
    assert!(journal.published().await.expect("read"));
    let mut sender = worker(&journal, OnUnknown::Hold, 1).await;
    assert_eq!(claim(&mut sender, 100, 1).await, [28]);
    account(&journal).await;
}

pub async fn a_shard_that_was_not_begun_is_missing_all_the_same<R: Rig>() {
    let (mut rig, journal) = R::fresh().await;
    journal.pin(Pin { shards: 3, ..a_pin() }).await.expect("pinned");
    let other = journal.pin(Pin { shards: 2, ..a_pin() }).await.expect_err("cut otherwise");
    assert!(other.to_string().contains('3'), "{other}");
    let mut journal = journal;
    for shard in [2, 0, 1] {
        assert!(!journal.published().await.expect("read"), "shard {shard} is still to come");
        let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
        assert!(sender.take(9, at(0)).await.expect("taken").is_empty() && !sender.exhausted());
        drop(sender);
        let mut publisher = journal.publisher(shard).await.expect("a publisher");
        publish(&mut publisher, vec![], true).await;
        drop(publisher);
        journal = rig.crash_and_reopen(journal).await;
    }
    assert!(journal.published().await.expect("read"));
    assert!(worker(&journal, OnUnknown::Hold, 0).await.exhausted());
}

pub async fn values_come_back_as_they_were_published<R: Rig>() {
    let (mut rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let fields = r#"{"Z":"first","A":null,"Whole":9007199254740993,"Small":-1,"Decimal":0.30000000000000004,"Big":1.7976931348623157e308,
        "Yes":true,"Text":"a \"quoted\"\r\nline\u0000 ✓ 名前","Nested":{"b":[1,2.5,{"c":""}],"a":{}},"":"no name"}"#;
    let fields: campaign::Fields = serde_json::from_str(fields).expect("JSON");
    let recipient = campaign::EmailAddress::parse("\"odd @ local\"@bücher.example.com").expect("an address");
    let sent = Message { row: 2, recipient, fields };
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, vec![Entry::Message(sent.clone())], true).await;
    let journal = rig.crash_and_reopen(journal).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    let queued = sender.take(1, at(0)).await.expect("taken");
    assert_eq!(queued[0].message, sent);
    let names: Vec<_> = queued[0].message.fields.keys().cloned().collect();
    assert_eq!(names, sent.fields.keys().cloned().collect::<Vec<_>>(), "in the list's order");
}

pub async fn rows_are_paged_without_gap_or_repetition<R: Rig>() {
    let entry = |row: u64| if row.is_multiple_of(4) { skipped(row) } else { Entry::Message(message(row)) };
    let (_rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    let numbers: Vec<u64> = (2..60).chain(100..130).collect();
    publish(&mut publisher, numbers.iter().map(|row| entry(*row)).collect(), true).await;
    for limit in [1, 2, 7, 88, 1000] {
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let page = journal.rows(from, limit).await.expect("rows");
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            from = last.row() + 1;
            seen.extend(page.iter().map(RowState::row));
        }
        assert_eq!(seen, numbers, "by {limit}");
    }
    assert!(journal.rows(0, 0).await.expect("rows").is_empty());
    assert_eq!(
        journal.rows(8, 1).await.expect("rows"),
        [RowState::Skipped(match skipped(8) {
            Entry::Skipped(skipped) => skipped,
            Entry::Message(_) => panic!("it is skipped"),
        })]
    );
}

pub async fn sending_overlaps_with_publishing<R: Rig>() {
    let (_rig, journal) = R::fresh().await;
    journal.pin(a_pin()).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert!(sender.take(10, at(0)).await.expect("taken").is_empty());
    assert!(!sender.exhausted(), "more may be published");
    for chunk in 0..5 {
        let rows = 2 + chunk * 10..12 + chunk * 10;
        let entries: Vec<Entry> = rows.clone().map(|row| Entry::Message(message(row))).collect();
        let checkpoint = after(publisher.checkpoint(), &entries, chunk == 4);
        let (published, ()) = tokio::join!(publisher.publish(entries, checkpoint), async {
            settle(&mut sender, 0, []).await;
        });
        published.expect("published");
        let claimed = claim(&mut sender, 100, 0).await;
        assert_eq!(claimed, rows.collect::<Vec<_>>());
        settle(&mut sender, 1, claimed.iter().map(|row| result(*row, 1, 1, delivered()))).await;
        assert_eq!(account(&journal).await.delivered, (chunk + 1) * 10);
        assert_eq!(sender.counts(), journal.counts().await.expect("counts"));
        assert_eq!(sender.exhausted(), chunk == 4);
    }
}

pub async fn a_worker_that_has_gone_leaves_its_claims_unknown<R: Rig>() {
    let (_rig, journal) = with_messages::<R>(2..8).await;
    let mut sender = worker(&journal, OnUnknown::Hold, 0).await;
    assert_eq!(claim(&mut sender, 3, 0).await, [2, 3, 4]);
    assert_eq!(account(&journal).await.pending, 6);
    sender.take(1, at(0)).await.expect("taken");
    drop(sender);
    let mut sender = worker(&journal, OnUnknown::Hold, 1).await;
    assert_eq!(account(&journal).await.unknown, 3);
    assert_eq!(claim(&mut sender, 10, 1).await, [5, 6, 7]);
}
