//! Takes figures: in turn with a peer, the middle one of several, the peak of a process's memory.

mod process;

pub(crate) use process::Process;

use anyhow::{Context, Result, bail};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ours and the peer's middle figure, measured in turn so that whatever else the machine does meets both.
pub(crate) fn in_turn(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut peer: impl FnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut of_ours, mut of_peer) = (Vec::new(), Vec::new());
    for round in 1..=rounds.max(1) {
        of_ours.push(ours()?);
        of_peer.push(peer()?);
        println!("  round {round}: ours {:.0}, peer {:.0}", of_ours[round - 1], of_peer[round - 1]);
    }
    Ok((middle(of_ours), middle(of_peer)))
}

/// The middle one of several figures.
pub(crate) fn several(rounds: usize, mut take: impl FnMut() -> Result<f64>) -> Result<f64> {
    let figures = (0..rounds.max(1)).map(|_| take()).collect::<Result<Vec<_>>>()?;
    Ok(middle(figures))
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How many a second, from how many and how long.
pub(crate) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Runs it and returns how long it took, from its start to its end.
pub(crate) fn time_of(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    crate::command::output_of(command)?;
    Ok(begun.elapsed())
}

/// Runs it and returns the number behind `label` in the last line that it prints.
pub(crate) fn number_from(command: &mut Command, label: &str) -> Result<f64> {
    let output = crate::command::output_of(command)?;
    let last = output.trim().lines().last().unwrap_or_default();
    number_behind(label, last).with_context(|| format!("expected a number behind \"{label}\" in \"{last}\""))
}

/// The number behind `label` in what was printed.
pub(crate) fn number_in(printed: &str, label: &str) -> Result<f64> {
    let found = printed.lines().find_map(|line| number_behind(label, line));
    found.with_context(|| format!("expected a number behind \"{label}\""))
}

fn number_behind(label: &str, line: &str) -> Option<f64> {
    let rest = &line[line.find(label)? + label.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Runs it and returns the most memory that it held, in MB (10⁶ bytes): the kernel's own high-water mark, read until the process ends.
pub(crate) fn peak_memory_of(command: &mut Command) -> Result<f64> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let mut peak = 0.0_f64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(high_water_mark(&child).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(5));
    };
    if !status.success() {
        bail!("{} ended with {status}", crate::command::shown(command));
    }
    Ok(peak)
}

fn high_water_mark(child: &Child) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_measured_programs_print() {
        assert_eq!(number_behind("", "28111 mails/s, 9.2 µs of processor time a mail"), Some(28111.0));
        assert_eq!(
            number_behind("rows_per_second=", "rows=100 seconds=0.25 rows_per_second=400 peak_kib=9"),
            Some(400.0)
        );
        assert_eq!(
            number_behind("\"documentsPerSecond\":", r#"{"documentsPerSecond":12000.0,"threads":1}"#),
            Some(12000.0)
        );
        assert_eq!(number_behind("mails=", "usage"), None);
    }

    #[test]
    fn one_slow_round_does_not_move_the_middle() -> Result<()> {
        let mut figures = [100.0, 3.0, 101.0].into_iter();
        assert!((several(3, || figures.next().context("three"))? - 100.0).abs() < f64::EPSILON);
        Ok(())
    }

    #[test]
    fn the_peak_is_seen_of_a_process_that_gives_its_memory_back() -> Result<()> {
        let script = "x = bytearray(90_000_000); del x; import time; time.sleep(0.05)";
        let peak = peak_memory_of(Command::new("python3").args(["-c", script]))?;
        assert!((90.0..200.0).contains(&peak), "{peak} MB");
        Ok(())
    }
}
