//! The command line: the only reader of flags and environment.

use clap::Parser;
use producer::{NoSuchShard, Shard};
use program::{KafkaArgs, ListenArgs, LogArgs, TerminationArgs};
use std::path::PathBuf;

/// Turns a campaign's recipient list into one message per recipient on Kafka, exactly once, whatever crashes in between.
#[derive(Debug, Parser)]
#[command(name = "mailcampaign-producer", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The campaign's file: a YAML file with one MailCampaign.
    #[arg(long, value_name = "FILE", env = "MAILCAMPAIGN_CAMPAIGN")]
    pub(crate) campaign: PathBuf,
    /// Publish this part of the list only, counted from 0; in an Indexed Job the index of the pod.
    #[arg(long, value_name = "I", env = "JOB_COMPLETION_INDEX", default_value_t = 0)]
    pub(crate) shard: u32,
    /// Into how many parts the list is cut; the same for all of them.
    #[arg(long, value_name = "N", env = "MAILCAMPAIGN_SHARDS", default_value_t = 1)]
    pub(crate) shards: u32,
    /// A label that makes this run a campaign of its own, with Message-IDs of its own.
    #[arg(long = "run", value_name = "LABEL", env = "MAILCAMPAIGN_RUN")]
    pub(crate) label: Option<String>,
    /// How Kafka is reached.
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    /// Where its health and metrics can be asked for.
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// How it logs.
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Where it leaves why it failed.
    #[command(flatten)]
    pub(crate) termination: TerminationArgs,
}

impl Args {
    /// The part of the list that is to be published.
    pub(crate) fn shard(&self) -> Result<Shard, NoSuchShard> {
        Shard::new(self.shard, self.shards)
    }
}

const EXAMPLES: &str = "\
Shard 0 looks at the whole list first: every row is read, every letter is made. Only then anything is published, by any shard. Run
it again and it goes on where it stopped; a second one for the same shard takes over from the first.

Examples:
  mailcampaign-producer --campaign campaign.yaml --kafka localhost:9092
  mailcampaign-producer --campaign campaign.yaml --kafka localhost:9092 --shard 2 --shards 4 --listen :8080

Exit status: 0 the shard is published · 1 try again (no broker, replaced, stopped by a signal) · 2 bad input, the same again won't do";
