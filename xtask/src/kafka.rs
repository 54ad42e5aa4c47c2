//! `cargo xtask kafka up | down`: real brokers for people, which stay when this program ends; and one for the tests, which doesn't.
//!
//! On stdout is the one line that a shell can evaluate; what happens is told on stderr.

use crate::args::{Kafka as Options, KafkaTask};
use crate::needs;
use anyhow::Result;
use testkit::kafka::{BOOTSTRAP_VARIABLE, Standing, VERSION};
use testkit::{Kafka, KafkaOptions};

/// Starts or ends the brokers of this machine.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let standing = match &options.folder {
        Some(folder) => Standing::in_folder(std::path::absolute(folder)?),
        None => Standing::of_this_machine()?,
    };
    match options.task {
        KafkaTask::Up { brokers, port } => {
            needs::debian::ensure_for_kafka()?;
            eprintln!("Apache Kafka {VERSION}: {brokers} broker(s), one moment");
            let up = standing.up(brokers, port)?;
            eprintln!("{}", up.done);
            println!("{BOOTSTRAP_VARIABLE}={}", up.bootstrap);
        }
        KafkaTask::Down => {
            let done = if standing.down()? { "ended, and its data removed" } else { "no broker runs" };
            eprintln!("{done}");
        }
    }
    Ok(true)
}

/// One broker for all tests, unless the environment names one. It ends when the result is dropped.
pub(crate) fn for_tests() -> Result<Option<Kafka>> {
    if std::env::var(BOOTSTRAP_VARIABLE).is_ok_and(|value| !value.trim().is_empty()) {
        return Ok(None);
    }
    Ok(Some(Kafka::try_start(&KafkaOptions::default().runs_long())?))
}
