//! The command line: the only reader of flags and environment.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use program::{KafkaArgs, LogArgs};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Sends personal e-mail from a list: one letter and one document per recipient, and an exact account of what became of each.
#[derive(Debug, Parser)]
#[command(name = "mailcampaign", version, max_term_width = 110, after_help = EXAMPLES, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How it logs.
    #[command(flatten)]
    pub log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  mailcampaign validate campaign.yaml          every mistake in the campaign and its list, before anything is sent
  mailcampaign preview campaign.yaml --row 2   the mail for row 2 of the list, as a file
  mailcampaign run campaign.yaml               a rehearsal: all mails into the folder ./outbox
  mailcampaign run campaign.yaml --send        the real thing
  mailcampaign status campaign.yaml --watch    how far it is
  mailcampaign report campaign.yaml --out result.xlsx

Exit status: 0 everything was delivered · 1 something was not · 2 bad input or usage · 130 interrupted";

/// How results look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send the campaign, or rehearse it into a folder; goes on where it stopped.
    Run(Run),
    /// Find every mistake in the campaign, its templates and its list.
    Validate(Validate),
    /// Make one recipient's mail and its attachments as files.
    Preview(Preview),
    /// Say how far the campaign is: counts, backlog, rate, time left.
    Status(Status),
    /// Print what becomes of the mails, as it happens.
    Tail(Tail),
    /// Write the list with what became of each recipient.
    Report(Report),
    /// Decide about recipients of whom nobody knows whether the mail arrived.
    Resolve(Resolve),
    /// Queue mails again that were given up.
    Replay(Replay),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  mailcampaign completions bash > /etc/bash_completion.d/mailcampaign")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Wait for a signal: what a pod does while `kubectl mailcampaign` runs commands in it.
    #[command(hide = true)]
    Hold,
    /// Write a file to stdout: how `kubectl mailcampaign` gets it out of a pod.
    #[command(hide = true)]
    Pour(Pour),
}

/// Which campaign, and where its journal is.
#[derive(Debug, Clone, ClapArgs)]
pub struct Which {
    /// The campaign's file: a YAML file with one MailCampaign.
    pub file: PathBuf,
    /// Folder of the campaign's journal [default: ./.mailcampaign/<namespace>.<name>]; not with Kafka.
    #[arg(long, value_name = "DIR", env = "MAILCAMPAIGN_STATE")]
    pub state: Option<PathBuf>,
    /// A label that makes a run a campaign of its own, with Message-IDs of its own; with Kafka the other commands need it too.
    #[arg(long = "run", value_name = "LABEL", env = "MAILCAMPAIGN_RUN")]
    pub label: Option<String>,
    /// Kafka as the journal, for many workers on many machines.
    #[command(flatten)]
    pub kafka: KafkaArgs,
}

/// `mailcampaign run`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Without --send nothing leaves the machine: every mail is written to ./outbox (Maildir), where a mail program can open it.
Run it again and it goes on where it stopped; once finished it says so and sends nothing. If the list or the message changed
since the first mail, it refuses and says what changed.

Ctrl-C (or SIGTERM) stops cleanly within 10 seconds; a second one at once.

With --kafka the journal is on Kafka: run it on several machines at a time, or beside mailcampaign-worker, and they share the
work. A rehearsal there has topics of its own.

Examples:
  mailcampaign run campaign.yaml
  mailcampaign run campaign.yaml --send
  mailcampaign run campaign.yaml --send --kafka localhost:9092 --workers 2
  mailcampaign run campaign.yaml --send --json | tail -n 1 | jq .delivered")]
pub struct Run {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Send through the backends of the file. Without it, mails are only written to the outbox.
    #[arg(long)]
    pub send: bool,
    /// Folder for the mails when not sending.
    #[arg(long, value_name = "DIR", default_value = "outbox", conflicts_with = "send")]
    pub outbox: PathBuf,
    /// Begin anew, to everybody on the list; the earlier journal is kept beside the new one. Not with Kafka: give --run there.
    #[arg(long)]
    pub restart: bool,
    /// With Kafka: so many workers in this process [default: 1].
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroU32>,
    /// Print one JSON object with the account as the last line on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `mailcampaign validate`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Reads the campaign, its templates and its whole list, makes every letter, and prints every mistake with its place and what to do.
Sends nothing and writes nothing.

Examples:
  mailcampaign validate campaign.yaml
  mailcampaign validate campaign.yaml --sample 1000

Exit status: 0 no mistake · 2 at least one")]
pub struct Validate {
    /// The campaign's file.
    pub file: PathBuf,
    /// Make the letters of the first N rows only.
    #[arg(long, value_name = "N")]
    pub sample: Option<u64>,
}

/// `mailcampaign preview`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Rows are numbered as a spreadsheet shows them: the header is row 1, the first recipient of a plain list is row 2.
In NDJSON the first line is row 1.

Example:
  mailcampaign preview campaign.yaml --row 2 --out /tmp/letter")]
pub struct Preview {
    /// The campaign's file.
    pub file: PathBuf,
    /// Row of the list.
    #[arg(long, value_name = "N")]
    pub row: u64,
    /// Folder for the mail and its attachments.
    #[arg(long, value_name = "DIR", default_value = "preview")]
    pub out: PathBuf,
}

/// `mailcampaign status`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Looks twice, a second apart, to tell the rate; with --watch once a second until the campaign is finished. Works while a run is
going, and after it. Mails per second and time left count mails that are settled for good.

Examples:
  mailcampaign status campaign.yaml
  mailcampaign status campaign.yaml --kafka localhost:9092 --watch
  mailcampaign status campaign.yaml -o json | jq .backlog")]
pub struct Status {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Look again every second: in place on a terminal, else a line (or an object) each time.
    #[arg(long)]
    pub watch: bool,
    /// How it looks.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `mailcampaign tail`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A line for each attempt that came to an end: time, row, outcome, code, backend, attempt, and the server's reply. Reading along
touches nothing. It goes on until Ctrl-C (exit status 130), or until nobody reads its output any more (0).

Examples:
  mailcampaign tail campaign.yaml
  mailcampaign tail campaign.yaml --from-start -o json | jq -r 'select(.outcome == \"rejected\") | .row'")]
pub struct Tail {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// First what has happened so far: of each row the latest at least.
    #[arg(long)]
    pub from_start: bool,
    /// How it looks.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `mailcampaign report`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The list in its order and with its columns, and after them Status, Code, Reply, Attempts, Time, Backend and Message-ID.

Examples:
  mailcampaign report campaign.yaml --out result.xlsx
  mailcampaign report campaign.yaml --out result.csv")]
pub struct Report {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// File to write; its ending (.xlsx, .csv, .ndjson) says how.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `mailcampaign resolve`
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("decision").required(true), after_help = "\
A mail is unknown when the connection or the machine was lost between its last byte and the server's answer: perhaps it
arrived, perhaps not. With delivery.onUnknown: Hold such mails wait for this decision.

Examples:
  mailcampaign resolve campaign.yaml --resend            all of them again, with the same Message-ID; then `run --send`
  mailcampaign resolve campaign.yaml --discard --row 17 --row 4711")]
pub struct Resolve {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Send them again with the next `run`.
    #[arg(long, group = "decision")]
    pub resend: bool,
    /// Give them up: they count as dead.
    #[arg(long, group = "decision")]
    pub discard: bool,
    /// Only these rows of the list; may be given several times.
    #[arg(long, value_name = "N")]
    pub row: Vec<u64>,
}

/// `mailcampaign replay`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A mail is dead when it was deferred too often or for too long. Once the cause is mended it can be sent again: its attempts count
on, its age begins anew. Saying it twice does nothing the second time.

Examples:
  mailcampaign replay campaign.yaml --dead                 all of them; then `run --send`
  mailcampaign replay campaign.yaml --dead --where 4.2.2   only those of which the server last said so")]
pub struct Replay {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// The dead ones.
    #[arg(long, required = true)]
    pub dead: bool,
    /// Only those whose last reply has this code: SMTP or HTTP (452) or enhanced (4.2.2).
    #[arg(long = "where", value_name = "CODE", value_parser = code)]
    pub code: Option<String>,
}

/// `mailcampaign pour`
#[derive(Debug, ClapArgs)]
pub struct Pour {
    /// The file.
    pub file: PathBuf,
}

/// A code as servers give it: `452` or `4.2.2` (RFC 3463).
fn code(text: &str) -> Result<String, String> {
    let is_number =
        |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    let is_code = match parts[..] {
        [basic] => basic.len() == 3 && is_number(basic, 3),
        [class, subject, detail] => is_number(class, 1) && is_number(subject, 3) && is_number(detail, 3),
        _ => false,
    };
    if is_code { Ok(text.to_owned()) } else { Err("a code looks like 452 or like 4.2.2".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_code_is_one_number_of_three_digits_or_three_numbers() {
        for good in ["452", "4.2.2", "5.7.133"] {
            assert_eq!(code(good).as_deref(), Ok(good));
        }
        for bad in ["", "45", "4.2", "4.2.2.1", "4..2", "dead", "45.2.2"] {
            assert!(code(bad).is_err(), "{bad}");
        }
    }
}
