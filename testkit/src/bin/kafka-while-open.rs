//! A broker for a script: it runs as long as this program's standard input is open, and is gone afterwards, also when this program is killed.
//!
//! Prints `KAFKA_BOOTSTRAP_SERVERS=…`, then `process=…` and `folder=…` of the broker.
#![expect(clippy::print_stdout, reason = "a program that prints where its broker is")]

use testkit::{Kafka, KafkaOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kafka = Kafka::try_start(&KafkaOptions::default())?;
    println!("KAFKA_BOOTSTRAP_SERVERS={}", kafka.bootstrap());
    println!("process={}", kafka.process_id(0).unwrap_or_default());
    println!("folder={}", kafka.folder().display());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
