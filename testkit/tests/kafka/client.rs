//! What the tests do with brokers.

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::{Duration, Instant};

/// Everything here is quick; a busy machine may take its time.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A client's settings for these brokers, with some more.
pub(crate) fn config(bootstrap: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("topic.metadata.refresh.interval.ms", "500");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// Makes a topic of one partition.
pub(crate) fn make_topic(config: &ClientConfig, name: &str, replicas: i32) {
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an administrator");
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(replicas));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let made = block_on(admin.create_topics([&topic], &options)).expect("an answer");
    assert_eq!(made, [Ok(name.to_owned())]);
}

/// Writes one record and waits until all replicas in step have it.
pub(crate) fn write(config: &ClientConfig, topic: &str, text: &str) {
    let producer: BaseProducer = config.clone().set("acks", "all").create().expect("a producer");
    producer.send(BaseRecord::<(), str>::to(topic).payload(text)).map_err(|(error, _)| error).expect("room");
    producer.flush(PATIENCE).expect("the record is written");
}

/// The first `count` records of a topic's only partition.
pub(crate) fn read(config: &ClientConfig, topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = config.clone().set("group.id", "reader").create().expect("a consumer");
    let mut partitions = rdkafka::TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).expect("a partition");
    consumer.assign(&partitions).expect("assigned");
    let deadline = Instant::now() + PATIENCE;
    let mut texts = Vec::new();
    while texts.len() < count {
        assert!(Instant::now() < deadline, "only {texts:?} came");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => texts.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into()),
            Some(Err(error)) => assert!(is_passing(&error), "{error}"),
            None => {}
        }
    }
    texts
}

/// The numbers of the brokers that a client sees, and of the leader of the topic's only partition.
pub(crate) fn leader(config: &ClientConfig, topic: &str) -> Option<i32> {
    let consumer: BaseConsumer = config.create().expect("a client");
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
    let partition = metadata.topics().first()?.partitions().first()?;
    partition.error().is_none().then(|| partition.leader()).filter(|leader| *leader >= 0)
}

/// Waits until something is so.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a client reports while brokers come and go.
fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
        )
    )
}
