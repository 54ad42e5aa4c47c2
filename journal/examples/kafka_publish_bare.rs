//! How fast rows can be published at all: `cargo run --release -p journal --example kafka_publish_bare HOST:PORT [ROWS]`.
//!
//! A bare loop over rdkafka, as one would write it who needs neither a list, a checkpoint nor a fence that is checked: JSON values of the same size, with the
//! same headers, in transactions of 5,000 to a topic with four partitions, each with one more record to a second topic. What the producer is compared with.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::io::Write;
use std::time::{Duration, Instant};

const TRANSACTION: u64 = 5_000;
const PARTITIONS: i32 = 4;
const UID: &str = "0b6c1b1e-6f0e-5d0c-9d4e-0a1b2c3d4e5f";
const ANSWER: Duration = Duration::from_secs(10);

type Rows = ThreadedProducer<DefaultProducerContext>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("usage: kafka_publish_bare HOST:PORT [ROWS]")?;
    let rows: u64 = arguments.next().map_or(Ok(200_000), |rows| rows.parse())?;
    let run = uuid::Uuid::new_v4().simple().to_string();
    let (outbox, control) = (format!("bare.{run}.outbox"), format!("bare.{run}.control"));
    make_topics(&bootstrap, &outbox, &control).await?;

    let producer: Rows = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("transactional.id", &run)
        .set("compression.type", "lz4")
        .create()?;
    producer.init_transactions(ANSWER)?;
    producer.client().fetch_metadata(Some(&outbox), ANSWER)?;
    let begun = Instant::now();
    let mut row = 2;
    while row < rows + 2 {
        let end = (row + TRANSACTION).min(rows + 2);
        producer.begin_transaction()?;
        for row in row..end {
            let partition = i32::try_from(row % u64::from(PARTITIONS.unsigned_abs()))?;
            send(&producer, &outbox, partition, row, &value(row))?;
        }
        send(&producer, &control, 0, 0, &format!("{{\"nextRow\":{end}}}"))?;
        producer.commit_transaction(ANSWER)?;
        row = end;
    }
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "rows={rows} seconds={seconds:.3} rows_per_second={:.0}", rows as f64 / seconds)?;
    Ok(())
}

async fn make_topics(bootstrap: &str, outbox: &str, control: &str) -> Result<(), Box<dyn std::error::Error>> {
    let administrator: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let topics = [
        NewTopic::new(outbox, PARTITIONS, TopicReplication::Fixed(1)),
        NewTopic::new(control, 1, TopicReplication::Fixed(1)),
    ];
    for made in administrator.create_topics(&topics, &AdminOptions::new().operation_timeout(Some(ANSWER))).await? {
        made.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

/// As long as the message of a row of the list that the producer is measured with: six columns.
fn value(row: u64) -> String {
    format!(
        "{{\"row\":{row},\"recipient\":\"candidate{row:07}@example.com\",\"fields\":{{\"Name\":\"Chloé Nguyễn {row}\",\
         \"Email\":\"candidate{row:07}@example.com\",\"Reference\":\"OF-2027-{row:07}\",\"Position\":\"Data Analyst\",\
         \"Salary\":{},\"Start\":\"2027-02-18\"}}}}",
        40_000 + row % 200
    )
}

fn send(producer: &Rows, topic: &str, partition: i32, row: u64, value: &str) -> Result<(), KafkaError> {
    let key = row.to_string();
    let headers = OwnedHeaders::new_with_capacity(4)
        .insert(Header { key: "campaign", value: Some(UID) })
        .insert(Header { key: "schema", value: Some("message.v1") })
        .insert(Header { key: "row", value: Some(&key) })
        .insert(Header { key: "attempt", value: Some("0") });
    let mut record = BaseRecord::to(topic).partition(partition).key(&key).payload(value).headers(headers);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error),
        }
    }
}
