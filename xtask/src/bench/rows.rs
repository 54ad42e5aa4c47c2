//! How each row of the table is measured.

use super::table::{Bounded, Line, grouped};
use super::{Bench, Row, built, campaigns, measure, peers};
use crate::command::{root, run as run_command};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Mails of the rows that compare with smtp-source.
const MAILS: u64 = 50_000;
/// Columns of the lists.
pub(super) const COLUMNS: usize = 6;

impl Bench {
    pub(crate) fn measure(&self, row: Row) -> Result<Vec<Line>> {
        let line = match row {
            Row::Smtp => self.smtp(),
            Row::Run => self.run(false),
            Row::RunDocx => self.run(true),
            Row::Docx => self.docx(),
            Row::Xlsx => self.xlsx(),
            Row::MemoryCsv => self.memory("1,000,000 rows of csv", "million.csv", 60.0, 40.0, |file| {
                Ok(testkit::lists::write_csv(file, 1_000_000, COLUMNS)?)
            }),
            Row::MemoryXlsx => self.memory("100,000 rows of xlsx", "hundred.xlsx", 120.0, 80.0, |file| {
                Ok(testkit::lists::write_xlsx(file, 100_000, COLUMNS)?)
            }),
            Row::Start => self.start(),
            Row::KafkaPublish => self.kafka_publish(),
            Row::KafkaWorker => self.kafka_worker(),
            Row::KafkaTwoWorkers => self.kafka_two_workers(),
            Row::KafkaRest => return self.kafka_rest(),
            Row::KafkaJoin => self.kafka_join(),
            Row::KafkaTick => self.kafka_tick(),
            Row::Operator => return self.operator(),
        };
        Ok(vec![line?])
    }

    fn smtp(&self) -> Result<Line> {
        let ours = || {
            let sink = peers::SmtpSink::start()?;
            measure::number_from(built("examples/smtp_speed").args([sink.address.to_string(), MAILS.to_string()]), "")
        };
        let (ours, peer) = measure::in_turn(self.rounds, ours, || peers::smtp_source(MAILS, 4000))?;
        Ok(times(
            "SMTP client alone, ready 4 KB mails, 20 connections",
            "mails/s",
            ours,
            "smtp-source",
            peer,
            [1.2, 1.5],
        ))
    }

    fn run(&self, with_docx: bool) -> Result<Line> {
        let folder = self.new_folder()?;
        testkit::lists::write_xlsx(&folder.join("list.xlsx"), MAILS, COLUMNS)?;
        self.write_template(&folder.join("letter.docx"))?;
        let ours = || {
            let sink = peers::SmtpSink::start()?;
            let campaign = campaigns::write(&folder, "list.xlsx", with_docx, sink.address)?;
            let took = measure::time_of(&mut self.run_of(&campaign)?)?;
            Ok(measure::rate(MAILS, took))
        };
        let bytes = if with_docx { 54_000 } else { 4000 };
        let (ours, peer) = measure::in_turn(self.rounds, ours, || peers::smtp_source(MAILS, bytes))?;
        let (what, bounds) = if with_docx {
            ("the same with a DOCX letter each (about 50 KB)", [0.4, 0.8])
        } else {
            ("`run --send` of 50,000 rows of an xlsx, text + HTML of 4 KB, journal on disk", [0.8, 1.1])
        };
        Ok(times(what, "mails/s", ours, "smtp-source", peer, bounds))
    }

    fn docx(&self) -> Result<Line> {
        let template = self.folder.path().join("letter.docx");
        self.write_template(&template)?;
        let template = template.to_string_lossy().into_owned();
        let ours = || measure::number_from(built("examples/docx_speed").arg(&template), "\"documentsPerSecond\":");
        let peer = || {
            let source = include_str!("docxtpl_speed.py");
            measure::number_from(&mut peers::script(&self.python, source, &[&template, "200"]), "")
        };
        let (ours, peer) = measure::in_turn(self.rounds, ours, peer)?;
        Ok(times(
            "DOCX letters, one process, python-docx's template, 5 placeholders",
            "letters/s",
            ours,
            "docxtpl",
            peer,
            [50.0, 200.0],
        ))
    }

    fn xlsx(&self) -> Result<Line> {
        let list = self.folder.path().join("list.xlsx");
        testkit::lists::write_xlsx(&list, 100_000, COLUMNS)?;
        let list = list.to_string_lossy().into_owned();
        let ours = || measure::number_from(built("examples/list_speed").arg(&list), "rows_per_second=");
        let peer = || {
            let source = include_str!("openpyxl_speed.py");
            measure::number_from(&mut peers::script(&self.python, source, &[&list]), "")
        };
        let (ours, peer) = measure::in_turn(self.rounds, ours, peer)?;
        Ok(times("xlsx rows, 100,000 × 6 columns", "rows/s", ours, "openpyxl read_only", peer, [12.0, 25.0]))
    }

    fn memory(
        &self,
        what: &str,
        list: &str,
        at_least: f64,
        goal: f64,
        write: impl Fn(&Path) -> Result<()>,
    ) -> Result<Line> {
        let folder = self.new_folder()?;
        write(&folder.join(list))?;
        let sink = peers::SmtpSink::start()?;
        let campaign = campaigns::write(&folder, list, false, sink.address)?;
        let figure = measure::peak_memory_of(&mut self.run_of(&campaign)?)?;
        Ok(at_most(&format!("peak memory, {what} through `run --send`"), figure, at_least, goal, "MB"))
    }

    fn start(&self) -> Result<Line> {
        let figure = measure::several(self.rounds.max(5), || Ok(self.time_to_first_mail()?.as_secs_f64()))?;
        Ok(at_most("start to first mail, example of 200 rows", figure, 0.5, 0.1, "s"))
    }

    /// From the start of the program to the first mail in the outbox.
    fn time_to_first_mail(&self) -> Result<Duration> {
        let folder = self.new_folder()?;
        let outbox = folder.join("outbox/new");
        let mut command = built("mailcampaign");
        command.arg("run").arg(root().join("examples/offers/campaign.yaml")).current_dir(&folder);
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let took = loop {
            if std::fs::read_dir(&outbox).is_ok_and(|mut mails| mails.next().is_some()) {
                break begun.elapsed();
            }
            if child.try_wait()?.is_some() {
                bail!("{} ended without a mail", crate::command::shown(&command));
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        child.wait()?;
        Ok(took)
    }

    /// A run with a fresh journal; fails unless everything was delivered.
    fn run_of(&self, campaign: &Path) -> Result<Command> {
        let mut command = built("mailcampaign");
        command.args(["run", "--send", "--json"]).arg(campaign).arg("--state").arg(self.new_folder()?);
        command.stderr(Stdio::null());
        Ok(command)
    }

    fn write_template(&self, file: &Path) -> Result<()> {
        let file = file.to_str().context("the folder's name is not UTF-8")?;
        run_command(&mut peers::script(&self.python, include_str!("make_template.py"), &[file]))
    }

    pub(super) fn new_folder(&self) -> Result<PathBuf> {
        Ok(tempfile::tempdir_in(self.folder.path())?.keep())
    }
}

pub(super) fn times(what: &str, unit: &str, ours: f64, peer: &str, of_peer: f64, [at_least, goal]: [f64; 2]) -> Line {
    Line {
        what: what.to_owned(),
        ours: format!("{} {unit}", grouped(ours)),
        peer: format!("{} ({peer})", grouped(of_peer)),
        result: Bounded::Times { ratio: ours / of_peer, at_least, goal },
    }
}

pub(super) fn at_most(what: &str, figure: f64, at_least: f64, goal: f64, unit: &'static str) -> Line {
    let ours = if figure < 10.0 { format!("{figure:.3} {unit}") } else { format!("{figure:.0} {unit}") };
    Line {
        what: what.to_owned(), ours, peer: "–".to_owned(), result: Bounded::AtMost { figure, at_least, goal, unit }
    }
}
