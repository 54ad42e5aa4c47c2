//! The command line: the only reader of flags and environment.

use campaign::HumanDuration;
use clap::{Parser, Subcommand};
use program::kafka::ConnectionArgs;
use program::{ListenArgs, LogArgs};

/// Runs the MailCampaigns of a Kubernetes cluster: topics, producers, workers, and a status that says how far each is.
///
/// Any number of replicas may run; one of them leads, and the others go on where it stopped.
#[derive(Debug, Parser)]
#[command(name = "mailcampaign-operator", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to do, if not to run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The image of the campaigns' pods.
    #[arg(long, global = true, value_name = "IMAGE", env = "MAILCAMPAIGN_IMAGE", default_value = "")]
    pub(crate) image: String,
    /// When that image is pulled: Always, IfNotPresent or Never [default: as Kubernetes does].
    #[arg(long, value_name = "POLICY", env = "MAILCAMPAIGN_IMAGE_PULL_POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub(crate) image_pull_policy: Option<String>,
    /// Secrets to pull it with, in the campaigns' namespaces.
    #[arg(long, value_name = "NAME[,…]", env = "MAILCAMPAIGN_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub(crate) image_pull_secrets: Vec<String>,
    /// The namespaces whose campaigns are run [default: all].
    #[arg(long, value_name = "NAME[,…]", env = "MAILCAMPAIGN_NAMESPACES", value_delimiter = ',')]
    pub(crate) namespaces: Vec<String>,
    /// The Secret that pods mount to reach Kafka, in each campaign's namespace: `client.properties`, and the files that it names as /kafka/FILE.
    #[arg(long, value_name = "NAME", env = "MAILCAMPAIGN_KAFKA_SECRET")]
    pub(crate) kafka_secret: Option<String>,
    /// The Lease that the leading replica holds.
    #[arg(long, value_name = "NAME", env = "MAILCAMPAIGN_LEASE", default_value = "mailcampaign-operator")]
    pub(crate) lease: String,
    /// The namespace of this pod, and of the Lease.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "default")]
    pub(crate) pod_namespace: String,
    /// The name of this pod.
    #[arg(long, value_name = "NAME", env = "POD_NAME", default_value = "mailcampaign-operator")]
    pub(crate) pod_name: String,
    /// How long the deletion of a campaign with deletionPolicy Delete waits for its workers and for Kafka, before the topics are left behind.
    #[arg(long, value_name = "DURATION", env = "MAILCAMPAIGN_DELETION_DEADLINE", default_value = "5m")]
    pub(crate) deletion_deadline: HumanDuration,
    /// The operator's Kafka.
    #[command(flatten)]
    pub(crate) kafka: ConnectionArgs,
    /// Health and metrics.
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// The log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Try whether Kafka and the API server can be reached and used with these settings, and end.
    Check,
}

const EXAMPLES: &str = "\
Examples:
  mailcampaign-operator --kafka kafka:9092 --image ghcr.io/example/mailcampaign:0.1.0 --listen :8080
  mailcampaign-operator check --kafka kafka:9092

Exit status: 0 stopped as asked, or all is well · 1 try again · 2 bad settings";

impl Args {
    /// The namespaces to watch; none: all of them.
    pub(crate) fn scopes(&self) -> Vec<Option<String>> {
        let mut named: Vec<&String> = self.namespaces.iter().filter(|name| !name.is_empty()).collect();
        named.sort();
        named.dedup();
        if named.is_empty() { vec![None] } else { named.into_iter().cloned().map(Some).collect() }
    }
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
    fn without_namespaces_all_are_watched() {
        let scopes = |namespaces: &str| {
            Args::try_parse_from(["o", "--image", "i", "--namespaces", namespaces]).map(|args| args.scopes()).ok()
        };
        assert_eq!(scopes(""), Some(vec![None]));
        assert_eq!(scopes("b,a,b"), Some(vec![Some("a".to_owned()), Some("b".to_owned())]));
    }
}
