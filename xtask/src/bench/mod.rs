//! `cargo xtask bench`: the table of the README. Each figure is taken beside a peer's in the same run, because only their ratio says something on
//! another machine.

mod campaigns;
mod kafka;
mod machine;
mod measure;
mod operator;
mod peers;
mod rows;
mod table;

use crate::args::Bench as Options;
use crate::command::{cargo, run as run_command, target_folder};
use crate::needs;
use anyhow::Result;
use clap::ValueEnum;
use std::cell::{Cell, OnceCell};
use std::path::PathBuf;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// The SMTP client alone, against smtp-source.
    Smtp,
    /// A whole run of 50,000 recipients, against smtp-source.
    Run,
    /// The same with a Word letter each.
    RunDocx,
    /// Word letters, against docxtpl.
    Docx,
    /// Rows of a workbook, against openpyxl.
    Xlsx,
    /// Peak memory with 1,000,000 rows of CSV.
    MemoryCsv,
    /// Peak memory with 100,000 rows of a workbook.
    MemoryXlsx,
    /// From the start of the program to the first mail.
    Start,
    /// Rows published to Kafka, against a bare loop.
    KafkaPublish,
    /// A worker from Kafka to smtp-sink, against smtp-source.
    KafkaWorker,
    /// Two workers against one, with a slow server.
    KafkaTwoWorkers,
    /// Memory and processor time of a worker at rest.
    KafkaRest,
    /// From the start of a worker to its first mail.
    KafkaJoin,
    /// A worker's transaction.
    KafkaTick,
    /// The operator: its share of the time to the first pod; a thousand campaigns.
    Operator,
}

/// Where and with what the rows are measured.
struct Bench {
    /// The Python with the document libraries.
    python: PathBuf,
    /// For lists, templates and journals: on the same disk as the checkout, and gone afterwards.
    folder: tempfile::TempDir,
    /// How often ours and the peer run in turn.
    rounds: usize,
    /// The broker, once it is needed.
    kafka: OnceCell<testkit::Kafka>,
    /// Campaigns that were published so far.
    labels: Cell<u32>,
}

/// Measures the chosen rows and prints the table. True if each figure is at least what it must be.
pub(crate) fn run(options: &Options) -> Result<bool> {
    needs::debian::ensure()?;
    let python = needs::python::ensure()?;
    build()?;
    let scratch = target_folder().join("bench");
    std::fs::create_dir_all(&scratch)?;
    let bench = Bench {
        python,
        folder: tempfile::tempdir_in(scratch)?,
        rounds: options.rounds,
        kafka: OnceCell::new(),
        labels: Cell::new(1),
    };
    let mut lines = Vec::new();
    for row in Row::value_variants() {
        if options.only.is_empty() || options.only.contains(row) {
            println!("== {}", row.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default());
            lines.extend(bench.measure(*row)?);
        }
    }
    println!("\n{}", machine::description());
    println!("\n{}", table::markdown(&lines));
    Ok(lines.iter().all(table::Line::is_enough))
}

/// Builds what is measured, as it is shipped.
fn build() -> Result<()> {
    println!("building");
    let programs = ["--package", "cli", "--package", "worker", "--package", "producer", "--package", "operator"];
    run_command(&mut cargo(["build", "--quiet", "--release", "--bins"].into_iter().chain(programs)))?;
    // All at once: each package by itself would have its dependencies built once more, with other features.
    let examples = ["smtp_speed", "docx_speed", "list_speed", "kafka_publish_bare", "kafka_tick", "operator_speed"];
    let examples = examples.into_iter().flat_map(|example| ["--example", example]);
    run_command(&mut cargo(["build", "--quiet", "--release", "--workspace"].into_iter().chain(examples)))
}

/// A program that [`build`] made.
fn built(name: &str) -> std::process::Command {
    std::process::Command::new(target_folder().join("release").join(name))
}
