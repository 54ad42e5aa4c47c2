//! `mailcampaign tail`: what becomes of the mails, a line each, as it happens.

use crate::args::{Output, Tail};
use crate::output::Stream;
use crate::state::{self, with_journal};
use campaign::{Outcome, Reply, Settlement};
use journal::{Journal, Tail as _, TailFrom};
use program::{Failure, Signals, exit};
use std::process::ExitCode;

/// Prints settlements until a signal comes or nobody reads them any more.
pub(crate) async fn tail(args: &Tail) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::bad_input(error.to_string()))?;
    let opened = state::campaign(&args.which).await?;
    let journal = state::open_to_read(&args.which, &opened).await?;
    tokio::select! {
        ended = async { with_journal!(journal, journal => follow(args, &journal).await) } => ended,
        () = signals.next() => Ok(ExitCode::from(exit::INTERRUPTED)),
    }
}

async fn follow<J: Journal>(args: &Tail, journal: &J) -> Result<ExitCode, Failure> {
    let from = if args.from_start { TailFrom::Start } else { TailFrom::Now };
    let mut tail = journal.tail(from).await?;
    let mut out = Stream::open();
    loop {
        for settlement in tail.next().await? {
            let line = match args.output {
                Output::Text => line(&settlement),
                Output::Json => serde_json::to_string(&settlement).unwrap_or_default(),
            };
            if !out.say(&format!("{line}\n")).await {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// `2027-02-18T09:30:00Z  row 17  deferred  450 4.2.1  relay  attempt 2  Mailbox busy (again at 2027-02-18T09:31:00Z)`
fn line(settlement: &Settlement) -> String {
    let outcome = &settlement.outcome;
    let (name, due) = match outcome {
        Outcome::Delivered { .. } => ("delivered", None),
        Outcome::Deferred { due, .. } => ("deferred", Some(*due)),
        Outcome::Rejected { .. } => ("rejected", None),
        Outcome::Refused { .. } => ("refused", None),
        Outcome::Unknown { .. } => ("unknown", None),
        Outcome::Dead { .. } => ("dead", None),
        Outcome::Released => ("released", None),
    };
    let reply = outcome.reply();
    let again = due.map_or_else(String::new, |due| format!(" (again at {})", time(due)));
    format!(
        "{}  row {:<7} {name:<9}  {:<10}  {}  attempt {}  {}{again}",
        time(settlement.at),
        settlement.row,
        reply.map_or_else(|| "-".to_owned(), code),
        settlement.backend.as_deref().unwrap_or("-"),
        settlement.attempt,
        reply.map_or("", |reply| reply.text.as_str()),
    )
}

fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `550 5.1.1`; a dash where no server spoke.
fn code(reply: &Reply) -> String {
    match (reply.code, reply.enhanced.as_deref()) {
        (0, None) => "-".to_owned(),
        (0, Some(enhanced)) => enhanced.to_owned(),
        (code, None) => code.to_string(),
        (code, Some(enhanced)) => format!("{code} {enhanced}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn a_line_says_when_whom_what_and_why() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let reply = Reply { code: 450, enhanced: Some("4.2.1".to_owned()), text: "Mailbox busy".to_owned() };
        let outcome = Outcome::Deferred { due: at(60), reply };
        let settlement = Settlement { row: 17, attempt: 2, at: at(0), backend: Some("relay".to_owned()), outcome };
        assert_eq!(
            line(&settlement),
            "2027-01-15T08:00:00Z  row 17      deferred   450 4.2.1   relay  attempt 2  Mailbox busy (again at 2027-01-15T08:01:00Z)"
        );
        let outcome = Outcome::Unknown { reply: Reply::default() };
        let settlement = Settlement { row: 4711, attempt: 1, at: at(0), backend: None, outcome };
        assert_eq!(line(&settlement), "2027-01-15T08:00:00Z  row 4711    unknown    -           -  attempt 1  ");
    }
}
