//! Reads a list and says how fast: `list_speed FILE [--make ROWS COLUMNS | --preflight]`. For `cargo xtask bench`.
//!
//! Prints one line: `rows=100000 seconds=0.31 rows_per_second=322580 peak_kib=30012`. With `--make` the file is written first, by another
//! process of this program, so that its memory does not count. With `--preflight` every row's letter (a line of text) is checked too.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use campaign::{CampaignUid, Contents, spec::Recipients};
use letter::Letters;
use producer::{Input, List, ListFile, Suppress, preflight, preflight::Options};
use std::{error::Error, ops::ControlFlow, path::Path, process::Command, sync::Arc, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [file] => read(Path::new(file)),
        [file, "--preflight"] => preflight_of(Path::new(file)),
        [file, "--make", rows, columns] => {
            Command::new(std::env::current_exe()?).args(["--only-make", file, rows, columns]).status()?;
            read(Path::new(file))
        }
        ["--only-make", file, rows, columns] => make(Path::new(file), rows.parse()?, columns.parse()?),
        _ => Err("usage: list_speed FILE [--make ROWS COLUMNS | --preflight]".into()),
    }
}

fn make(file: &Path, rows: u64, columns: usize) -> Result<(), Box<dyn Error>> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("xlsx") => Ok(testkit::lists::write_xlsx(file, rows, columns)?),
        Some("ndjson") => Ok(testkit::lists::write_ndjson(file, rows, columns)?),
        _ => Ok(testkit::lists::write_csv(file, rows, columns)?),
    }
}

fn read(file: &Path) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut list = List::open(&list_file(file), &recipients()?)?;
    let (mut rows, mut bad) = (0_u64, 0_u64);
    while let Some(row) = list.next_row()? {
        rows += 1;
        bad += u64::from(row.problem().is_some());
    }
    report(rows, bad, start);
    Ok(())
}

fn preflight_of(file: &Path) -> Result<(), Box<dyn Error>> {
    let message = r#"{"from": "people@example.com", "subject": "Your offer", "text": {"inline": "Dear {{ Name }}"}}"#;
    let uid = CampaignUid::alone("bench/list", "", "", None);
    let letters = Letters::compile(&serde_json::from_str(message)?, uid, &Contents::default());
    let letters = Arc::new(letters.map_err(|mistakes| format!("{mistakes:?}"))?);
    let input = Input {
        list: list_file(file),
        recipients: recipients()?,
        suppress: Suppress::default(),
        letters,
        bodies: Vec::new(),
    };
    let start = Instant::now();
    let found = preflight(&input, Options::default(), |_| ControlFlow::Continue(()))?;
    report(found.tally.total(), found.tally.invalid, start);
    Ok(())
}

fn recipients() -> Result<Recipients, serde_json::Error> {
    serde_json::from_str(r#"{"source": {}}"#)
}

fn list_file(file: &Path) -> ListFile {
    ListFile { path: file.to_owned(), display_name: file.to_string_lossy().into_owned() }
}

fn report(rows: u64, invalid: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let per_second = rows as f64 / seconds;
    println!(
        "rows={rows} invalid={invalid} seconds={seconds:.3} rows_per_second={per_second:.0} peak_kib={}",
        peak_kib()
    );
}

fn peak_kib() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().trim_end_matches(" kB").to_owned())
}
