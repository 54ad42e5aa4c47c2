//! Where a campaign's journal is, and which journal a run may go on with.

use crate::args::{Run, Which};
use crate::failure::Failure;
use crate::opened::Opened;
use journal::embedded::Embedded;
use journal::{Journal, Pin};
use std::path::{Path, PathBuf};

/// Where the mails of a run go, as it is pinned in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A rehearsal: a folder on this machine.
    Outbox,
    /// The backends of the file.
    Backends,
}

impl Destination {
    /// What the flags ask for.
    pub(crate) fn of(args: &Run) -> Self {
        if args.send { Self::Backends } else { Self::Outbox }
    }

    /// Its name in the journal.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Backends => "backends",
        }
    }
}

/// The folder of the campaign's journal.
pub(crate) fn folder(which: &Which, opened: &Opened) -> PathBuf {
    which.state.clone().unwrap_or_else(|| Path::new(".mailcampaign").join(opened.folder_name()))
}

/// Opens the journal of a run. With `restart` the earlier one is set aside; so is that of a rehearsal when it is for real now.
pub(crate) async fn open_for_run(folder: &Path, pin: &Pin, restart: bool) -> Result<Embedded, Failure> {
    if restart {
        set_aside(folder)?;
    }
    let journal = Embedded::open(folder)?;
    let Some(pinned) = journal.pinned().await? else { return Ok(journal) };
    let outbox = Destination::Outbox.name();
    if pinned.destination == outbox && pin.destination != outbox {
        drop(journal);
        crate::tell("The rehearsal is over; this run sends to everybody.");
        set_aside(folder)?;
        return Ok(Embedded::open(folder)?);
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
    if let Some(aside) = Embedded::set_aside(folder)? {
        crate::tell(&format!("The earlier journal is kept as {}", aside.display()));
    }
    Ok(())
}

/// Opens the journal for a person's decision: the campaign must have been begun, and no run be going.
pub(crate) fn open_existing(folder: &Path) -> Result<Embedded, Failure> {
    must_exist(folder)?;
    Ok(Embedded::open(folder)?)
}

/// Opens the journal to read it, whether a run has it or not.
pub(crate) fn open_to_read(folder: &Path) -> Result<Embedded, Failure> {
    must_exist(folder)?;
    Ok(Embedded::open_read_only(folder)?)
}

fn must_exist(folder: &Path) -> Result<(), Failure> {
    if Embedded::exists(folder) {
        return Ok(());
    }
    Err(Failure::bad_input(format!(
        "{}: no journal there, so this campaign was not run yet (or elsewhere: --state DIR)",
        folder.display()
    )))
}
