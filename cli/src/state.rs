//! Where a campaign's journal is (a folder on this machine, or Kafka), and which journal a run may go on with. The one place that decides.

use crate::args::{Run, Which};
use crate::tell;
use journal::embedded::Embedded;
use journal::kafka::{Kafka, Options};
use journal::{Journal, Pin};
use producer::{Destination, Opened};
use program::Failure;
use std::path::{Path, PathBuf};

/// A campaign's journal, of one kind or the other; see `with_journal!`.
pub(crate) enum AnyJournal {
    /// On this machine.
    Embedded(Embedded),
    /// On Kafka.
    Kafka(Kafka),
}

/// Does something with a journal, whichever kind it is: `with_journal!(any, journal => work(&journal).await)`.
macro_rules! with_journal {
    ($any:expr, $journal:ident => $work:expr) => {
        match $any {
            $crate::state::AnyJournal::Embedded($journal) => $work,
            $crate::state::AnyJournal::Kafka($journal) => $work,
        }
    };
}
pub(crate) use with_journal;

/// Reads and compiles the campaign that a command is about.
pub(crate) async fn campaign(which: &Which) -> Result<Opened, Failure> {
    Opened::open(&which.file, which.label.as_deref()).await.map_err(|mistakes| Failure::mistakes(&mistakes))
}

/// Where a journal is.
enum Place {
    Folder(PathBuf),
    Kafka(Box<Options>),
}

impl Place {
    fn of(which: &Which, opened: &Opened) -> Result<Self, Failure> {
        let campaign = &opened.bundle.campaign;
        match (which.kafka.options(&campaign.namespace, &campaign.name, opened.uid)?, &which.state) {
            (Some(_), Some(_)) => Err(Failure::bad_input(
                "--state is the folder of a journal on this machine, and --kafka is another journal: give one of them \
                 (or the variables MAILCAMPAIGN_STATE and KAFKA_BOOTSTRAP_SERVERS)",
            )),
            (Some(options), None) => Ok(Self::Kafka(Box::new(options))),
            (None, Some(folder)) => Ok(Self::Folder(folder.clone())),
            (None, None) => Ok(Self::Folder(Path::new(".mailcampaign").join(opened.folder_name()))),
        }
    }
}

/// Opens the journal to read it, whether a run has it or not. The campaign must have been begun.
pub(crate) async fn open_to_read(which: &Which, opened: &Opened) -> Result<AnyJournal, Failure> {
    match Place::of(which, opened)? {
        Place::Folder(folder) => {
            must_exist(&folder)?;
            Ok(AnyJournal::Embedded(Embedded::open_read_only(&folder)?))
        }
        Place::Kafka(options) => open_begun(*options).await,
    }
}

/// Opens the journal for a person's decision. The campaign must have been begun; an embedded journal must have no run.
pub(crate) async fn open_to_decide(which: &Which, opened: &Opened) -> Result<AnyJournal, Failure> {
    match Place::of(which, opened)? {
        Place::Folder(folder) => {
            must_exist(&folder)?;
            Ok(AnyJournal::Embedded(open_folder(&folder)?))
        }
        Place::Kafka(options) => open_begun(*options).await,
    }
}

/// Opens the journal of a run, and makes it if it isn't there. It holds nothing yet, or this campaign as it is now.
pub(crate) async fn open_for_run(args: &Run, opened: &Opened, pin: &Pin) -> Result<AnyJournal, Failure> {
    match Place::of(&args.which, opened)? {
        Place::Folder(_) if args.workers.is_some() => Err(Failure::bad_input(
            "--workers is for a journal on Kafka (--kafka HOST:PORT): the one on this machine has one worker, which sends as fast as several",
        )),
        Place::Folder(folder) => open_folder_for_run(&folder, pin, args.restart).await.map(AnyJournal::Embedded),
        Place::Kafka(_) if args.restart => Err(Failure::bad_input(
            "--restart is for a journal on this machine: with Kafka give --run LABEL, which makes it another campaign, to everybody on the list",
        )),
        Place::Kafka(options) => {
            let mut options = *options;
            if !args.send {
                options.which.prefix = rehearsal(&options.which.prefix);
            }
            producer::begin(options, pin, args.which.label.as_deref()).await.map(AnyJournal::Kafka)
        }
    }
}

/// What the topics of a rehearsal begin with, so that it never mixes with the real thing.
fn rehearsal(prefix: &str) -> String {
    format!("{prefix}-rehearsal")
}

async fn open_begun(options: Options) -> Result<AnyJournal, Failure> {
    match Kafka::open_existing(options).await {
        Ok(journal) => Ok(AnyJournal::Kafka(journal)),
        Err(error @ journal::Error::NotPinned) => Err(Failure::bad_input(format!(
            "{error}: this campaign was not run yet with this Kafka, or with another list, message or --run LABEL"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// With `restart` the earlier journal is set aside; so is that of a rehearsal when it is for real now.
async fn open_folder_for_run(folder: &Path, pin: &Pin, restart: bool) -> Result<Embedded, Failure> {
    if restart {
        set_aside(folder)?;
    }
    let journal = open_folder(folder)?;
    let Some(pinned) = journal.pinned().await? else { return Ok(journal) };
    let outbox = Destination::Outbox.name();
    if pinned.destination == outbox && pin.destination != outbox {
        drop(journal);
        tell("The rehearsal is over; this run sends to everybody.");
        set_aside(folder)?;
        return open_folder(folder);
    }
    if pinned.destination != outbox && pin.destination == outbox {
        return Err(Failure::bad_input(format!(
            "{}: this campaign was begun with --send; give --send to go on, or --state DIR to rehearse with a journal of its own",
            folder.display()
        )));
    }
    pinned.must_be(pin).map_err(|error| {
        Failure::bad_input(format!(
            "{error}. Put it back as it was to go on, or give --restart to begin anew, to everybody on the list"
        ))
    })?;
    Ok(journal)
}

fn set_aside(folder: &Path) -> Result<(), Failure> {
    if let Some(aside) = Embedded::set_aside(folder).map_err(refused)? {
        tell(&format!("The earlier journal is kept as {}", aside.display()));
    }
    Ok(())
}

fn open_folder(folder: &Path) -> Result<Embedded, Failure> {
    Embedded::open(folder).map_err(refused)
}

/// A journal that can't be opened: nothing was sent, and nothing will be by trying again and again.
fn refused(error: journal::Error) -> Failure {
    Failure::bad_input(error.to_string())
}

fn must_exist(folder: &Path) -> Result<(), Failure> {
    if Embedded::exists(folder) {
        return Ok(());
    }
    Err(Failure::bad_input(format!(
        "{}: no journal there, so this campaign was not run yet (or elsewhere: --state DIR, --kafka HOST:PORT)",
        folder.display()
    )))
}
