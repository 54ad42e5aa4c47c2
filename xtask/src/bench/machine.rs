//! On what machine a figure was measured.

use std::fs::read_to_string;

/// Cores, memory, processor and the day, for the head of the table.
pub(crate) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let gib = memory.map_or_else(String::new, |kib| format!(", {:.0} GiB of memory", kib / 1024.0 / 1024.0));
    let model = field("/proc/cpuinfo", "model name").map_or_else(String::new, |name| format!(" ({name})"));
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    format!("{cores} cores{model}{gib}, Linux, {today}")
}

/// The value of a `name: value` line.
fn field(file: &str, name: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
