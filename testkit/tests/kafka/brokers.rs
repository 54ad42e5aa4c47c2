//! Brokers start, stop, die and come back.

use crate::client::{config, leader, make_topic, read, wait_until, write};
use testkit::{Kafka, KafkaOptions};

#[test]
fn records_are_there_after_a_broker_was_killed_and_started_again() {
    let kafka = Kafka::start(KafkaOptions::default());
    let config = config(&kafka.bootstrap(), &[]);
    make_topic(&config, "letters", 1);
    write(&config, "letters", "before");
    kafka.kill(0);
    assert_eq!(kafka.process_id(0), None);
    assert_eq!(leader(&config, "letters"), None, "a dead broker answers");
    kafka.start_again(0);
    write(&config, "letters", "after the kill");
    kafka.stop(0);
    kafka.start_again(0);
    write(&config, "letters", "after the stop");
    assert_eq!(read(&config, "letters", 3), ["before", "after the kill", "after the stop"]);
}

#[test]
fn a_frozen_broker_answers_nothing_until_it_is_thawed() {
    let kafka = Kafka::start(KafkaOptions::default());
    let config = config(&kafka.bootstrap(), &[]);
    make_topic(&config, "letters", 1);
    kafka.freeze(0);
    assert_eq!(leader(&config, "letters"), None);
    kafka.thaw(0);
    wait_until("it answers again", || leader(&config, "letters"));
}

#[test]
fn of_three_brokers_two_elect_another_leader_when_one_is_killed() {
    let kafka = Kafka::start(KafkaOptions::default().brokers(3));
    assert_eq!(kafka.bootstrap().split(',').count(), 3);
    let config = config(&kafka.bootstrap(), &[]);
    make_topic(&config, "letters", 3);
    write(&config, "letters", "by three");
    let first = leader(&config, "letters").expect("a leader");
    let place = usize::try_from(first).expect("a number") - 1;
    kafka.kill(place);
    wait_until("another leads", || leader(&config, "letters").filter(|leader| *leader != first));
    write(&config, "letters", "by two");
    kafka.start_again(place);
    assert_eq!(read(&config, "letters", 2), ["by three", "by two"]);
}

#[test]
fn a_folder_of_the_test_s_own_keeps_its_records_for_the_next_brokers() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = KafkaOptions::default().folder(folder.path()).property("message.max.bytes", 2000);
    let kafka = Kafka::start(options.clone());
    let before = config(&kafka.bootstrap(), &[]);
    make_topic(&before, "letters", 1);
    write(&before, "letters", "kept");
    kafka.stop(0);
    drop(kafka);
    let kafka = Kafka::start(options);
    assert_eq!(read(&config(&kafka.bootstrap(), &[]), "letters", 1), ["kept"]);
}

#[test]
fn the_shared_broker_is_one_for_all_who_ask() {
    let first = Kafka::shared().bootstrap();
    let second = std::thread::spawn(|| Kafka::shared().bootstrap()).join().expect("no panic");
    assert_eq!(first, second);
    let config = config(&first, &[]);
    let topic = format!("shared-{}", std::process::id());
    make_topic(&config, &topic, 1);
    write(&config, &topic, "for all");
    assert_eq!(read(&config, &topic, 1), ["for all"]);
}

#[test]
fn a_frozen_broker_can_be_stopped_and_ends_in_order() {
    let kafka = Kafka::start(KafkaOptions::default());
    kafka.freeze(0);
    kafka.stop(0);
    let data = kafka.folder().join("broker-1/data");
    assert!(data.join(".kafka_cleanshutdown").is_file(), "{}", data.display());
}
