//! `mailcampaign preview`: one recipient's mail and its attachments as files.

use crate::args::Preview;
use crate::failure::Failure;
use crate::opened::Opened;
use campaign::Message;
use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders};
use producer::List;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes the mail for one row, just as its recipient would get it.
pub(crate) async fn preview(args: &Preview) -> Result<ExitCode, Failure> {
    let opened = Opened::open(&args.file, None).await?;
    let message = message_of_row(&opened, args.row)?;
    let letter = opened.letters.render(&message, Timestamp::now()).map_err(|error| {
        Failure::bad_input(format!("row {}: {error}", args.row))
    })?;
    let written = write_files(&args.out, args.row, &letter.bytes)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", args.out.display())))?;
    for path in written {
        crate::say(&format!("{}\n", path.display()));
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

fn write_files(folder: &Path, row: u64, mail: &[u8]) -> std::io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("row-{row}.eml"));
    std::fs::write(&path, mail)?;
    let mut written = vec![path];
    let parsed = MessageParser::new().parse(mail);
    for (part, number) in parsed.iter().flat_map(mail_parser::Message::attachments).zip(1..) {
        let name = part.attachment_name().and_then(|name| Path::new(name).file_name()?.to_str());
        let path = folder.join(name.map_or_else(|| format!("attachment-{number}"), str::to_owned));
        std::fs::write(&path, part.contents())?;
        written.push(path);
    }
    Ok(written)
}
