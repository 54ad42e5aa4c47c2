//! `mailcampaign report`: the list as it was, with what became of each row behind it.

mod outcome_columns;
mod table;

use crate::args::Report;
use crate::state::{self, with_journal};
use crate::tell;
use campaign::spec::ListFormat;
use journal::{Journal, Pin, RowState};
use producer::{List, Opened};
use program::Failure;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use table::Table;

/// Rows read from the journal at once.
const PAGE: usize = 2_000;

/// Writes the report. Works while a run is going, too: the account as of its last commit.
pub(crate) async fn report(args: &Report) -> Result<ExitCode, Failure> {
    let opened = state::campaign(&args.which).await?;
    with_journal!(state::open_to_read(&args.which, &opened).await?, journal => write(args, &opened, &journal).await)
}

async fn write<J: Journal>(args: &Report, opened: &Opened, journal: &J) -> Result<ExitCode, Failure> {
    let pinned = journal.pinned().await?.ok_or(journal::Error::NotPinned)?;
    must_be_the_list_of(&pinned, opened)?;
    let campaign = &opened.bundle.campaign;
    let mut list = List::open(&opened.input.list, &campaign.spec.recipients)
        .map_err(|error| Failure::bad_input(error.to_string()))?;
    let mut table = Table::create(&args.out, columns(&list)).map_err(bad_output)?;
    let dates = campaign.list_format == ListFormat::Xlsx;
    let mut states = States::new(journal);
    let mut rows = 0_u64;
    while let Some(row) = list.next_row().map_err(|error| Failure::bad_input(error.to_string()))? {
        let state = states.of_row(row.number).await?;
        let mut values: Vec<Value> =
            list.columns().iter().map(|column| row.fields.get(column).cloned().unwrap_or_default()).collect();
        values.extend(outcome_columns::values(state.as_ref(), pinned.uid, &campaign.from.address));
        table.push(values, dates).map_err(bad_output)?;
        rows += 1;
    }
    table.finish().map_err(bad_output)?;
    tell(&format!("{}: {rows} rows", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

/// The results belong to the rows of the list that was sent, by their numbers: beside another list they would be lies.
fn must_be_the_list_of(pinned: &Pin, opened: &Opened) -> Result<(), Failure> {
    let of_list = |contents: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let whole = contents.iter().filter(|(path, _)| path.starts_with("spec.recipients."));
        whole.map(|(path, hash)| (path.clone(), hash.clone())).collect()
    };
    let then = Pin { contents: of_list(&pinned.contents), ..pinned.clone() };
    let now = Pin { contents: of_list(&opened.bundle.hashes.contents), ..pinned.clone() };
    then.must_be(&now).map_err(|error| {
        Failure::bad_input(format!("{error}. Put it back as it was: the results belong to the rows of that list"))
    })
}

fn bad_output(error: table::Error) -> Failure {
    Failure::bad_input(error.to_string())
}

/// The list's columns and ours; one of ours that the list has too gets a number.
fn columns(list: &List) -> Vec<String> {
    let mut columns = list.columns().to_vec();
    for name in outcome_columns::NAMES {
        let others = (2..).map(|number| format!("{name} {number}")).take(columns.len() + 1);
        let free = std::iter::once(name.to_owned()).chain(others).find(|candidate| !columns.contains(candidate));
        columns.extend(free);
    }
    columns
}

/// The journal's rows, page by page, beside a list that is read in the same order.
struct States<'a, J: Journal> {
    journal: &'a J,
    page: VecDeque<RowState>,
    next: u64,
    ended: bool,
}

impl<'a, J: Journal> States<'a, J> {
    fn new(journal: &'a J) -> Self {
        Self { journal, page: VecDeque::new(), next: 0, ended: false }
    }

    /// The state of this row; rows must be asked for in ascending order.
    async fn of_row(&mut self, row: u64) -> Result<Option<RowState>, journal::Error> {
        loop {
            while self.page.front().is_some_and(|state| state.row() < row) {
                self.page.pop_front();
            }
            if let Some(state) = self.page.front() {
                return Ok((state.row() == row).then(|| self.page.pop_front()).flatten());
            }
            if self.ended {
                return Ok(None);
            }
            let page = self.journal.rows(self.next.max(row), PAGE).await?;
            self.ended = page.len() < PAGE;
            self.next = page.last().map_or(self.next, |state| state.row() + 1);
            self.page = page.into();
        }
    }
}
