//! The command line: the only reader of flags and environment.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Sends personal e-mail from a list: one letter and one document per recipient, and an exact account of what became of each.
#[derive(Debug, Parser)]
#[command(name = "mailcampaign", version, max_term_width = 110, after_help = EXAMPLES, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How log lines on stderr look; which ones there are is set by RUST_LOG (default: warn).
    #[arg(long, value_enum, global = true, default_value = "text", env = "MAILCAMPAIGN_LOG_FORMAT")]
    pub log_format: LogFormat,
}

const EXAMPLES: &str = "\
Examples:
  mailcampaign validate campaign.yaml          every mistake in the campaign and its list, before anything is sent
  mailcampaign preview campaign.yaml --row 2   the mail for row 2 of the list, as a file
  mailcampaign run campaign.yaml               a rehearsal: all mails into the folder ./outbox
  mailcampaign run campaign.yaml --send        the real thing
  mailcampaign report campaign.yaml --out result.xlsx

Exit status: 0 everything was delivered · 1 something was not · 2 bad input or usage · 130 interrupted";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
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
    /// Write the list with what became of each recipient.
    Report(Report),
    /// Decide about recipients of whom nobody knows whether the mail arrived.
    Resolve(Resolve),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  mailcampaign completions bash > /etc/bash_completion.d/mailcampaign")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Which campaign, and where its state is.
#[derive(Debug, Clone, ClapArgs)]
pub struct Which {
    /// The campaign's file: a YAML file with one MailCampaign.
    pub file: PathBuf,
    /// Folder of the campaign's journal [default: ./.mailcampaign/<namespace>.<name>].
    #[arg(long, value_name = "DIR", env = "MAILCAMPAIGN_STATE")]
    pub state: Option<PathBuf>,
}

/// `mailcampaign run`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Without --send nothing leaves the machine: every mail is written to ./outbox (Maildir), where a mail program can open it.
Run it again and it goes on where it stopped; once finished it says so and sends nothing. If the list or the message changed
since the first mail, it refuses and says what changed.

Ctrl-C (or SIGTERM) stops cleanly within 10 seconds; a second one at once.

Examples:
  mailcampaign run campaign.yaml
  mailcampaign run campaign.yaml --send
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
    /// Begin anew, to everybody on the list; the earlier journal is kept beside the new one.
    #[arg(long)]
    pub restart: bool,
    /// A label that makes this run a campaign of its own, with Message-IDs of its own.
    #[arg(long = "run", value_name = "LABEL")]
    pub label: Option<String>,
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
