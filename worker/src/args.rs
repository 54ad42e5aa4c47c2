//! The command line of `mailcampaign-worker`: the only reader of its flags and variables.

use campaign::HumanDuration;
use clap::Parser;
use program::{KafkaArgs, ListenArgs, LogArgs, TerminationArgs};
use std::{path::PathBuf, time::Duration};

/// Sends the mails of a campaign from Apache Kafka, as one of any number of workers.
///
/// Waits for the producer, takes its share of the campaign and of every rate, and gives it up again when it ends. Mails that it has begun when it is told
/// to end (SIGTERM, SIGINT) are finished within the grace; a second signal ends it at once.
#[derive(Debug, Parser)]
#[command(name = "mailcampaign-worker", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The campaign's file, as the producer has it. Its `suspend` is the operator's to obey: workers follow the journal.
    #[arg(long, value_name = "FILE", env = "MAILCAMPAIGN_CAMPAIGN")]
    pub(crate) campaign: PathBuf,
    /// The label of the run, if it was published under one.
    #[arg(long = "run", value_name = "LABEL", env = "MAILCAMPAIGN_RUN")]
    pub(crate) label: Option<String>,
    /// How long an orderly end may take, from the signal to the exit.
    #[arg(long, value_name = "DURATION", env = "MAILCAMPAIGN_GRACE", default_value = "15s", value_parser = grace)]
    pub(crate) grace: Duration,
    /// End with 0 when the whole campaign is done, also by others. Otherwise it waits for more.
    #[arg(long, env = "MAILCAMPAIGN_EXIT_WHEN_DONE")]
    pub(crate) exit_when_done: bool,
    /// Health and metrics.
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// The log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Where it leaves why it failed.
    #[command(flatten)]
    pub(crate) termination: TerminationArgs,
    /// The journal.
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
}

const EXAMPLES: &str = "\
Examples:
  mailcampaign-worker --campaign campaign.yaml --kafka broker-1:9092,broker-2:9092
  mailcampaign-worker --campaign campaign.yaml --kafka localhost:9092 --exit-when-done --listen :8080

Exit status: 0 stopped as asked, or done · 1 try again · 2 bad input, or the content is not what was published";

/// Between a tenth of a second and a day.
fn grace(text: &str) -> Result<Duration, String> {
    let grace = text.parse::<HumanDuration>().map_err(|error| error.to_string())?.0;
    let bounds = Duration::from_millis(100)..=Duration::from_hours(24);
    if bounds.contains(&grace) { Ok(grace) } else { Err("not between 100ms and 24h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_grace_is_written_as_everywhere_and_neither_nothing_nor_for_ever() {
        for (text, millis) in [
            ("15s", Some(15_000)),
            ("1m", Some(60_000)),
            ("500ms", Some(500)),
            ("0s", None),
            ("15", None),
            ("2d", None),
        ] {
            let args = Args::try_parse_from(["w", "--campaign", "c.yaml", "--grace", text]);
            assert_eq!(args.ok().map(|args| args.grace), millis.map(Duration::from_millis), "{text}");
        }
    }
}
