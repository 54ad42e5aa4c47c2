//! `mailcampaign validate`: every mistake at once, before anything is sent.

use crate::args::Validate;
use crate::{say, tell};
use bundle::Inspection;
use campaign::spec::Recipients;
use campaign::{Mailbox, Mistake};
use letter::{Letters, RequestBody};
use producer::opened::{list_file, read_suppress};
use producer::preflight::{self, Options};
use producer::{Input, List, ListFile, Preflight, Suppress};
use program::{Failure, exit};
use std::process::ExitCode;
use std::sync::Arc;
use worker::Backends;

/// Rows that can't be mailed which are named one by one.
const LISTED: usize = 1_000;

/// Prints every mistake with its place on stdout.
pub(crate) async fn validate(args: &Validate) -> Result<ExitCode, Failure> {
    let mut inspection = Inspection::of(&args.file).await;
    let mut mistakes = std::mem::take(&mut inspection.mistakes);
    check_backends(&inspection, &mut mistakes);
    let preflight = check_letters_and_list(args, &inspection, &mut mistakes).await;
    for mistake in &mistakes {
        say(&format!("{mistake}\n"));
    }
    if mistakes.is_empty() {
        say(&found_good(preflight.as_ref()));
        return Ok(ExitCode::SUCCESS);
    }
    let unnamed = preflight.map_or(0, |found| found.tally.invalid.saturating_sub(found.invalid.len() as u64));
    if unnamed > 0 {
        say(&format!("… and {unnamed} more rows that can't be mailed\n"));
    }
    let count = mistakes.len() as u64 + unnamed;
    tell(&format!("{count} {}; nothing was sent", if count == 1 { "mistake" } else { "mistakes" }));
    Ok(ExitCode::from(exit::BAD_INPUT))
}

/// Adds mistakes at places where none is known yet: one mistake often shows twice.
fn add(mistakes: &mut Vec<Mistake>, found: Vec<Mistake>) {
    let known = mistakes.len();
    for mistake in found {
        let place = mistake.place.split(" (").next().unwrap_or_default();
        let is_known = |known: &Mistake| {
            known.place.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if !mistakes[..known].iter().any(is_known) {
            mistakes.push(mistake);
        }
    }
}

fn check_backends(inspection: &Inspection, mistakes: &mut Vec<Mistake>) {
    let from = inspection.message.as_ref().and_then(|message| Mailbox::parse(&message.from).ok());
    if let (Some(delivery), Some(from)) = (&inspection.delivery, from)
        && let Err(found) = Backends::build(&delivery.backends, &inspection.contents, &from.address)
    {
        add(mistakes, found);
    }
}

/// Compiles the letters, reads the list, and makes every letter of what is left of the templates.
async fn check_letters_and_list(
    args: &Validate,
    inspection: &Inspection,
    mistakes: &mut Vec<Mistake>,
) -> Option<Preflight> {
    let list = inspection.recipients.as_ref().zip(inspection.list.as_ref().map(list_file));
    let columns = list.as_ref().and_then(|(recipients, file)| columns(file, recipients));
    let message = inspection.message.clone().unwrap_or_default();
    let (letters, found) = Letters::inspect(&message, &inspection.contents, columns.as_deref());
    add(mistakes, found);
    let ((recipients, list), letters) = list.zip(letters)?;
    let suppress = read_suppress(recipients, &inspection.contents).unwrap_or_else(|found| {
        add(mistakes, found);
        Suppress::default()
    });
    // What is wrong with them is known from the backends.
    let bodies = inspection.delivery.as_ref().and_then(|delivery| RequestBody::all_of(&delivery.backends).ok());
    let (recipients, letters, bodies) = (recipients.clone(), Arc::new(letters), bodies.unwrap_or_default());
    let input = Input { list, recipients, suppress, letters, bodies };
    let options = Options { sample: args.sample, listed: Some(LISTED), ..Options::default() };
    match preflight::in_background(&Arc::new(input), options).await {
        Ok(preflight) => {
            add(mistakes, preflight.mistakes.clone());
            mistakes.extend(preflight.invalid.iter().map(|row| Mistake::new(row.place.clone(), row.why.clone())));
            Some(preflight)
        }
        Err(error) => {
            mistakes.push(error);
            None
        }
    }
}

/// The list's columns, where its first row names them; what is wrong with it otherwise is told by the preflight.
fn columns(file: &ListFile, recipients: &Recipients) -> Option<Vec<String>> {
    let list = List::open(file, recipients).ok()?;
    list.has_header().then(|| list.columns().to_vec())
}

fn found_good(preflight: Option<&Preflight>) -> String {
    let Some(preflight) = preflight else { return String::new() };
    let tally = preflight.tally;
    let looked_at = if preflight.is_complete { "" } else { " (of the sample)" };
    format!(
        "No mistake found. {} rows{looked_at}: {} mails, {} duplicate, {} suppressed.\n",
        tally.total(),
        tally.published,
        tally.duplicate,
        tally.suppressed
    )
}
