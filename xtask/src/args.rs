//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

/// Tests, fuzzes and measures the project, and writes its generated files.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Install or build what the tests need, and run all of them.
    Test(Test),
    /// Run the fuzz targets for a while.
    Fuzz(Fuzz),
    /// Measure against the peers, side by side, and print the table of the README.
    Bench(Bench),
    /// Start or end real Apache Kafka brokers on this machine.
    Kafka(Kafka),
    /// Start or end a real Kubernetes cluster on this machine, with Kafka and a mail server.
    Cluster(Cluster),
    /// Kill, freeze and restart brokers, producers and workers, and compare the account with what the mail servers saw.
    Chaos(Chaos),
    /// Write crds/mailcampaigns.mailcampaign.io.yaml, and the chart's copy of it, from the Rust types.
    Crds,
    /// Write deploy/, which is for those without Helm, from the chart.
    Deploy,
}

/// `cargo xtask test`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  cargo xtask test                       everything, as continuous integration does
  cargo xtask test --only fmt,clippy     some of the steps
  cargo xtask test --only tests e2e_     the tests whose name holds `e2e_`")]
pub(crate) struct Test {
    /// Only these steps.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP,…")]
    pub(crate) only: Vec<crate::test::Step>,
    /// Not these steps.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP,…", conflicts_with = "only")]
    pub(crate) skip: Vec<crate::test::Step>,
    /// Only tests whose name holds this.
    pub(crate) name: Option<String>,
}

/// `cargo xtask fuzz`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  cargo xtask fuzz                       every target for 10 seconds
  cargo xtask fuzz docx --seconds 3600   one of them for an hour

An input that fails is kept in fuzz/failures/TARGET; move it to fuzz/seeds/TARGET once it is mended, and it is a test for ever.")]
pub(crate) struct Fuzz {
    /// Which target; by default all.
    pub(crate) target: Option<String>,
    /// How long each runs.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) seconds: u32,
}

/// `cargo xtask bench`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Ours and the peer run in turn (A B A B …) on the same machine, and the medians are compared. Everything stays on 127.0.0.1.

Examples:
  cargo xtask bench                      every row of the table
  cargo xtask bench --only docx,xlsx     some of them
  cargo xtask bench --rounds 5           more patience")]
pub(crate) struct Bench {
    /// Only these rows of the table.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROW,…")]
    pub(crate) only: Vec<crate::bench::Row>,
    /// How often ours and the peer run in turn.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: usize,
}

/// `cargo xtask chaos`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A round is a campaign of its own, on brokers of its own, and takes one to two minutes. What happens in it is a function of its seed: even
seeds hold what is unknown, odd ones send it again; two seeds of four have one broker, the others three. The first round that breaks a
rule ends it; its logs stay.

Examples:
  cargo xtask chaos --rounds 20 --seed 1     rounds with the seeds 1 to 20
  cargo xtask chaos --seed 7                 the round of seed 7 again")]
pub(crate) struct Chaos {
    /// How many rounds.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) rounds: u64,
    /// The seed of the first round; each following one has the next.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// So many brokers in every round: 1 or 3.
    #[arg(long, value_name = "N", value_parser = one_or_three)]
    pub(crate) brokers: Option<u16>,
    /// Rows of the list.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) rows: Option<u64>,
    /// Let the folder of each round stay, with its logs and what the brokers have.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `cargo xtask kafka`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The brokers listen on 127.0.0.1 only. They run until `down` or a reboot; what they kept is gone then.

Examples:
  cargo xtask kafka up                   prints KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092, also if it runs already
  export $(cargo xtask kafka up)         and tells it to the programs that this shell starts
  cargo xtask kafka up --brokers 3       three, of which one may fail
  cargo xtask kafka down                 ends them and removes their data")]
pub(crate) struct Kafka {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: KafkaTask,
    /// Keep settings, data and logs here instead of in the cache; `down` removes it.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// What to do with brokers.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum KafkaTask {
    /// Make sure that brokers run, and print how to reach them.
    Up {
        /// How many: 1 or 3.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = one_or_three)]
        brokers: u16,
        /// The first broker's port; by default 9092, or 19092 and so on where that is taken.
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
    },
    /// End the brokers and remove their data.
    Down,
}

/// `cargo xtask cluster`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Kubernetes, its node, Kafka and the mail server live in a network of their own; on this machine they are reached at 127.0.0.1. Pods reach
the mail server at smtp-relay.mail.svc.cluster.local:2525 and Kafka at kafka.kafka.svc.cluster.local:9092. They can't reach anything else.
Needs root. The first `up` builds Kubernetes, which takes some minutes.

Examples:
  cargo xtask cluster up                 prints KUBECONFIG=… and so on, also if it runs already
  export $(cargo xtask cluster up)       and tells it to the programs that this shell starts: kubectl, helm, tests
  in-cluster COMMAND                     with that PATH, runs a command in the cluster's network
  cargo xtask cluster install            builds the image localhost/mailcampaign:dev, gives it to the node, and installs the chart
  cargo xtask cluster status             what runs; fails if something is missing
  cargo xtask cluster down               ends all of it and removes its data")]
pub(crate) struct Cluster {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: ClusterTask,
    /// Keep settings, data and logs here instead of in the cache; `down` removes it.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// What to do with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum ClusterTask {
    /// Make sure that the cluster runs, and print how to reach it.
    Up,
    /// End the cluster and remove its data.
    Down,
    /// Say what runs.
    Status,
    /// Build the programs and their image, give it to the cluster, and install the operator there.
    Install,
}

fn one_or_three(text: &str) -> Result<u16, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 or 3: two brokers can't outvote one that is gone"),
    }
}
