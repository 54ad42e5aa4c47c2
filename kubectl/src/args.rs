//! The command line: the only reader of flags and environment. What the local command has too is said in its words; a test compares the two.

use campaign::HumanDuration;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// The commands of `mailcampaign`, for a campaign on a cluster: how far it is, what became of each recipient, pausing and going on.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-mailcampaign", bin_name = "kubectl mailcampaign", version, max_term_width = 110, after_help = EXAMPLES,
    propagate_version = true
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

const EXAMPLES: &str = "\
Examples:
  kubectl mailcampaign status offers -n hr
  kubectl mailcampaign watch offers -n hr
  kubectl mailcampaign pause offers -n hr
  kubectl mailcampaign report offers -n hr --out result.xlsx

Exit status: 0 done · 1 it could not be done now, the same again may succeed · 2 bad input, usage or rights · 130 interrupted";

/// How the cluster is reached, and where the campaign is.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Place {
    /// The campaign's namespace [default: the context's].
    #[arg(short, long, global = true, value_name = "NAME", help_heading = CLUSTER)]
    pub namespace: Option<String>,
    /// A context of the kubeconfig [default: its current one].
    #[arg(long, global = true, value_name = "NAME", help_heading = CLUSTER)]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config].
    #[arg(long, global = true, value_name = "FILE", help_heading = CLUSTER)]
    pub kubeconfig: Option<PathBuf>,
}

const CLUSTER: &str = "Cluster";
const PODS: &str = "Pod";

/// How results look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

impl Output {
    /// As it is written on a command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say how far the campaign is: counts, backlog, rate, time left.
    Status(Status),
    /// Say so whenever it changes, until the campaign is finished: status --watch.
    Watch(Watch),
    /// Stop sending; nothing is lost: spec.suspend becomes true.
    Pause(Pause),
    /// Go on after a pause, a person's or one of the campaign's guard.
    Resume(Resume),
    /// Make one recipient's mail and its attachments as files.
    Preview(Preview),
    /// Write the list with what became of each recipient.
    Report(Report),
    /// Decide about recipients of whom nobody knows whether the mail arrived.
    Resolve(Resolve),
    /// Queue mails again that were given up.
    Replay(Replay),
    /// Print what becomes of the mails, as it happens.
    Tail(Tail),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Which campaign.
#[derive(Debug, Clone, ClapArgs)]
pub struct Which {
    /// The campaign's name.
    pub name: String,
}

/// `status`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
It reads the resource alone, as the operator wrote it last: while mails are sent, at most 6 seconds ago.

Examples:
  kubectl mailcampaign status offers -n hr
  kubectl mailcampaign status offers -n hr -o json | jq .backlog")]
pub struct Status {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Say it again whenever it changes, until the campaign is finished: in place on a terminal, else a line (or an object) each time.
    #[arg(long)]
    pub watch: bool,
    /// How it looks.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `watch`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit status: 0 the campaign is finished · 2 it has failed, or was deleted · 130 interrupted")]
pub struct Watch {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// How it looks.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

impl From<Watch> for Status {
    fn from(Watch { which, output }: Watch) -> Self {
        Self { which, watch: true, output }
    }
}

/// `pause`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Mails that were begun are finished. It waits until the operator says that nothing is sent any more.")]
pub struct Pause {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Wait for the operator at most so long.
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub timeout: HumanDuration,
}

/// `resume`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A pause by the campaign's guard, or because the sender was refused, is ended too: look at its reason first, with status.")]
pub struct Resume {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Wait for the operator at most so long.
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub timeout: HumanDuration,
}

/// The pod that a command runs in.
#[derive(Debug, Clone, ClapArgs)]
pub struct PodArgs {
    /// Wait for the pod to start at most so long.
    #[arg(long, value_name = "DURATION", default_value = "2m", help_heading = PODS)]
    pub timeout: HumanDuration,
    /// Another image than that of the campaign's pods.
    #[arg(long, value_name = "IMAGE", help_heading = PODS)]
    pub image: Option<String>,
}

/// `preview`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Rows are numbered as a spreadsheet shows them: the header is row 1, the first recipient of a plain list is row 2.
In NDJSON the first line is row 1.

Example:
  kubectl mailcampaign preview offers -n hr --row 2 --out /tmp/letter")]
pub struct Preview {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Row of the list.
    #[arg(long, value_name = "N")]
    pub row: u64,
    /// Folder for the mail and its attachments.
    #[arg(long, value_name = "DIR", default_value = "preview")]
    pub out: PathBuf,
    /// Its pod.
    #[command(flatten)]
    pub pod: PodArgs,
}

/// `report`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The list in its order and with its columns, and after them Status, Code, Reply, Attempts, Time, Backend and Message-ID.

Examples:
  kubectl mailcampaign report offers -n hr --out result.xlsx
  kubectl mailcampaign report offers -n hr --out result.csv")]
pub struct Report {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// File to write; its ending (.xlsx, .csv, .ndjson) says how.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Its pod.
    #[command(flatten)]
    pub pod: PodArgs,
}

/// `resolve`
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("decision").required(true), after_help = "\
A mail is unknown when the connection or the machine was lost between its last byte and the server's answer: perhaps it
arrived, perhaps not. With delivery.onUnknown: Hold such mails wait for this decision.

Examples:
  kubectl mailcampaign resolve offers -n hr --resend     all of them again, with the same Message-ID
  kubectl mailcampaign resolve offers -n hr --discard --row 17 --row 4711")]
pub struct Resolve {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// Send them again.
    #[arg(long, group = "decision")]
    pub resend: bool,
    /// Give them up: they count as dead.
    #[arg(long, group = "decision")]
    pub discard: bool,
    /// Only these rows of the list; may be given several times.
    #[arg(long, value_name = "N")]
    pub row: Vec<u64>,
    /// Its pod.
    #[command(flatten)]
    pub pod: PodArgs,
}

/// `replay`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A mail is dead when it was deferred too often or for too long. Once the cause is mended it can be sent again: its attempts count
on, its age begins anew. Saying it twice does nothing the second time.

Examples:
  kubectl mailcampaign replay offers -n hr --dead                 all of them
  kubectl mailcampaign replay offers -n hr --dead --where 4.2.2   only those of which the server last said so")]
pub struct Replay {
    /// Which campaign.
    #[command(flatten)]
    pub which: Which,
    /// The dead ones.
    #[arg(long, required = true)]
    pub dead: bool,
    /// Only those whose last reply has this code: SMTP or HTTP (452) or enhanced (4.2.2).
    #[arg(long = "where", value_name = "CODE")]
    pub code: Option<String>,
    /// Its pod.
    #[command(flatten)]
    pub pod: PodArgs,
}

/// `tail`
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A line for each attempt that came to an end: time, row, outcome, code, backend, attempt, and the server's reply. Reading along
touches nothing. It goes on until Ctrl-C (exit status 130), or until nobody reads its output any more (0).

Examples:
  kubectl mailcampaign tail offers -n hr
  kubectl mailcampaign tail offers -n hr --from-start -o json | jq -r 'select(.outcome == \"rejected\") | .row'")]
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
    /// Its pod.
    #[command(flatten)]
    pub pod: PodArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What only makes sense here.
    const OF_A_CLUSTER: [&str; 7] = ["name", "namespace", "context", "kubeconfig", "timeout", "image", "watch"];

    #[test]
    fn the_flags_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_the_local_command_has_too_is_said_in_its_words() {
        // Its text instead of its crate, which would bring Kafka's client along.
        let local = include_str!("../../cli/src/args.rs");
        let mut compared = 0;
        for command in Args::command().get_subcommands() {
            let of_both = !["watch", "pause", "resume"].contains(&command.get_name());
            for argument in command.get_arguments().filter(|_| of_both) {
                let (id, help) = (argument.get_id().as_str(), argument.get_help().map(ToString::to_string));
                if OF_A_CLUSTER.contains(&id) || id == "help" {
                    continue;
                }
                let help = help.unwrap_or_default().replace("Send them again", "Send them again with the next `run`");
                assert!(local.contains(&format!("/// {help}.\n")), "{} {id}: {help}", command.get_name());
                assert!(local.contains(&format!("pub {id}: ")) || local.contains(&format!("{id}: Shell")), "{id}");
                compared += 1;
            }
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!of_both || local.contains(&format!("/// {about}.\n")), "{}: {about}", command.get_name());
        }
        assert!(compared >= 12, "{compared}");
    }
}
