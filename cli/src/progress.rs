//! How a run is getting on: a bar on a terminal, a line every few seconds elsewhere. Always on stderr.

use crate::tell;
use campaign::told;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{Timestamp, tz::TimeZone};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use worker::{Progress, Trouble};

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// Between two paintings of the bar.
const BETWEEN_FRAMES: Duration = Duration::from_millis(200);

/// Shows progress until its sender is gone.
pub(crate) async fn show(mut progress: watch::Receiver<Progress>) {
    let bar = std::io::stderr().is_terminal().then(new_bar);
    let every = if bar.is_some() { BETWEEN_FRAMES } else { BETWEEN_LINES };
    let mut ticker = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut last_line = String::new();
    let started = Instant::now();
    loop {
        tokio::select! {
            _ = ticker.tick() => {}
            gone = gone(&mut progress) => { debug_assert!(gone); break; }
        }
        let now = progress.borrow().clone();
        if let Some(bar) = &bar {
            paint(bar, &now);
        } else {
            let line = line(&now);
            if line != last_line {
                tell(&format!("{:>5} s  {line}", started.elapsed().as_secs()));
                last_line = line;
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Resolves when the sender is gone; what changes meanwhile is seen at the next painting.
async fn gone(progress: &mut watch::Receiver<Progress>) -> bool {
    while progress.changed().await.is_ok() {}
    true
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {pos}/{len}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn paint(bar: &ProgressBar, now: &Progress) {
    bar.set_length(now.counts.published);
    bar.set_position(now.counts.published - now.counts.unfinished().min(now.counts.published));
    bar.set_message(state(now));
}

fn line(now: &Progress) -> String {
    let done = now.counts.published.saturating_sub(now.counts.unfinished());
    format!("{done}/{}  {}", now.counts.published, state(now))
}

/// `1,200 mails/s · 3 min left · 5 deferred until 14:05:10 · backend relay: connection refused; next try at 14:05`.
fn state(now: &Progress) -> String {
    let counts = &now.counts;
    let mut parts = vec![told::rate(now.per_second)];
    if now.per_second >= 0.5 && counts.pending > 0 {
        parts.push(format!("{} left", time_left(counts.pending as f64 / now.per_second)));
    }
    for (name, count) in
        [("rejected", counts.rejected), ("refused", counts.refused), ("dead", counts.dead), ("unknown", counts.unknown)]
    {
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    if counts.deferred > 0 {
        let until = now.next_due.map_or_else(String::new, |due| format!(", next at {}", clock(due)));
        parts.push(format!("{} deferred{until}", counts.deferred));
    }
    parts.extend(now.waiting.iter().map(ToString::to_string));
    parts.extend(now.troubles.iter().map(trouble));
    parts.extend(now.ending.clone());
    parts.join(" · ")
}

/// One line about a backend that can't be used.
pub(crate) fn trouble(trouble: &Trouble) -> String {
    let next = trouble.next_try.map_or_else(String::new, |at| format!("; next try at {}", clock(at)));
    format!("backend {} ({}): {}{next}", trouble.backend, trouble.address, trouble.reason)
}

fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

fn time_left(seconds: f64) -> String {
    told::time_left(Duration::from_secs_f64(seconds.clamp(1.0, 1e7)).as_secs())
}
