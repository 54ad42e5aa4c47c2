//! `mailcampaign preview`: one recipient's mail and its attachments as files.

use crate::args::Preview;
use crate::say;
use campaign::Message;
use jiff::Timestamp;
use letter::{Document, RenderError};
use producer::{List, Opened};
use program::Failure;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes the mail for one row, just as its recipient would get it.
pub(crate) async fn preview(args: &Preview) -> Result<ExitCode, Failure> {
    let opened = Opened::open(&args.file, None).await.map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let message = message_of_row(&opened, args.row)?;
    let unmade = |error: RenderError| Failure::bad_input(format!("row {}: {error}", args.row));
    let letter = opened.letters.render(&message, Timestamp::now()).map_err(unmade)?;
    let documents = opened.letters.documents(&message).map_err(unmade)?;
    let written = write_files(&args.out, args.row, &letter.bytes, &documents)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", args.out.display())))?;
    for path in written {
        say(&format!("{}\n", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the list up to the wanted row.
fn message_of_row(opened: &Opened, wanted: u64) -> Result<Message, Failure> {
    let bad = |error: producer::list::Error| Failure::bad_input(error.to_string());
    let mut list = List::open(&opened.input.list, &opened.input.recipients).map_err(bad)?;
    let (mut first, mut last) = (None, 0);
    while let Some(row) = list.next_row().map_err(bad)? {
        if row.number == wanted {
            let place = list.places().row(&row);
            if let Some(problem) = row.problem() {
                return Err(Failure::bad_input(format!("{place}: {problem}")));
            }
            let recipient = row.recipient.map_err(|error| Failure::bad_input(format!("{place}: {error}")))?;
            return Ok(Message { row: row.number, recipient, fields: row.fields });
        }
        first.get_or_insert(row.number);
        last = row.number;
    }
    let first = first.unwrap_or_default();
    Err(Failure::bad_input(format!(
        "--row {wanted}: the list has no recipient there; its rows are {first} to {last}, numbered as a spreadsheet shows them"
    )))
}

fn write_files(folder: &Path, row: u64, mail: &[u8], documents: &[Document]) -> std::io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("row-{row}.eml"));
    std::fs::write(&path, mail)?;
    let mut written = vec![path];
    for document in documents {
        let path = folder.join(&document.name);
        std::fs::write(&path, &document.bytes)?;
        written.push(path);
    }
    Ok(written)
}
