//! Looks at a workbook before it is opened: is it one, and does it unpack to a size that a list can have?
//!
//! The ZIP reader refuses a part that turns out larger than it declares, so the declared sizes are the real limits.

use super::error::Problem;
use std::io::{Read, Seek, SeekFrom};
use zip::{ZipArchive, read::ZipFile, result::ZipError};

const MIB: u64 = 1024 * 1024;
/// A sheet is read as a stream: 1,048,576 rows of 20 columns are about 800 MiB.
const LARGEST_SHEET: u64 = 2048 * MIB;
/// Any other part may be held in memory.
const LARGEST_PART: u64 = 512 * MIB;
const LARGEST_WHOLE: u64 = 4096 * MIB;
const MOST_PARTS: usize = 10_000;
/// Real sheets shrink 10 to 60 times; a bomb up to 1030 times.
const STEEPEST: u64 = 200;
/// Parts below this size may shrink as they like.
const HARMLESS: u64 = 16 * MIB;
/// Elements of a workbook nest about ten deep.
const DEEPEST: usize = 100;
/// The shortest shared string is `<si/>`.
const SHORTEST_STRING: u64 = 5;

/// Refuses what is not a workbook or can't be a list.
pub(super) fn check<R: Read + Seek>(file: &mut R) -> Result<(), Problem> {
    let mut head = [0; 512];
    let count = read_up_to(file, &mut head).map_err(Problem::Read)?;
    let head = &head[..count];
    if head.is_empty() {
        return Err(Problem::Empty("the file has no content"));
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        return Err(compound(file, head));
    }
    if !head.starts_with(b"PK") {
        return Err(not_a_zip(head));
    }
    let mut archive = ZipArchive::new(&mut *file).map_err(not_whole)?;
    sizes(&mut archive)?;
    string_count(&mut archive)?;
    depths(&mut archive)?;
    drop(archive);
    file.seek(SeekFrom::Start(0)).map(drop).map_err(Problem::Read)
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// An OLE compound file ([MS-CFB]): an encrypted workbook or one of Excel 97. Its directory tells, the names in it being UTF-16.
fn compound(file: &mut (impl Read + Seek), head: &[u8]) -> Problem {
    let number = |at: usize| head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let sector_size = if head.get(30) == Some(&12) { 4096 } else { 512 };
    let directory = (u64::from(number(48)) + 1) * sector_size;
    let mut entries = vec![0; 8192];
    let count = file.seek(SeekFrom::Start(directory)).and_then(|_| read_up_to(file, &mut entries)).unwrap_or(0);
    let has = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        memchr::memmem::find(&entries[..count], &name).is_some()
    };
    if has("Encrypt") {
        return Problem::Encrypted;
    }
    Problem::WrongFormat {
        wanted: "an Excel workbook of today (.xlsx)",
        what: if has("Workbook") || has("Book") {
            "it is one of Excel 97-2003 (.xls)"
        } else {
            "it is an old Office document, or one that is protected by a password"
        },
        advice: "save it as .xlsx, without a password",
    }
}

fn not_a_zip(head: &[u8]) -> Problem {
    let wrong = |what, advice| Problem::WrongFormat { wanted: "an Excel workbook (.xlsx)", what, advice };
    let text = head.trim_ascii_start();
    if text.starts_with(b"<") {
        return wrong("it is HTML or XML text", "open it in Excel or LibreOffice and save it as .xlsx");
    }
    if text.starts_with(b"{") {
        return wrong("it looks like JSON", "if it is NDJSON, set spec.recipients.format to Ndjson");
    }
    if !head.contains(&0) || head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return wrong("it looks like text", "if it is CSV, set spec.recipients.format to Csv");
    }
    wrong("it is something else", "save the list as .xlsx")
}

fn not_whole(error: ZipError) -> Problem {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Problem::Read(error),
        _ => Problem::Truncated,
    }
}

fn sizes<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<(), Problem> {
    let too_large = |what: &str, size: String, limit: String| Problem::TooLarge { what: what.to_owned(), size, limit };
    if archive.len() > MOST_PARTS {
        return Err(too_large("the number of parts", archive.len().to_string(), MOST_PARTS.to_string()));
    }
    let (mut whole, mut is_workbook) = (0_u64, false);
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(|error| Problem::Damaged(error.to_string()))?;
        if part.encrypted() {
            return Err(Problem::Encrypted);
        }
        let (name, size) = (name_of(&part)?, part.size());
        is_workbook |= name.ends_with("workbook.xml");
        let limit = if name.contains("worksheets/") { LARGEST_SHEET } else { LARGEST_PART };
        whole = whole.saturating_add(size);
        if size > limit {
            return Err(too_large(&name, format!("{} MiB unpacked", size / MIB), format!("{} MiB", limit / MIB)));
        }
        if size > HARMLESS && size / part.compressed_size().max(1) > STEEPEST {
            let times = size / part.compressed_size().max(1);
            return Err(too_large(&name, format!("it unpacks to {times} times its size"), format!("{STEEPEST} times")));
        }
    }
    if whole > LARGEST_WHOLE {
        return Err(too_large(
            "the workbook",
            format!("{} MiB unpacked", whole / MIB),
            format!("{} MiB", LARGEST_WHOLE / MIB),
        ));
    }
    if !is_workbook {
        return Err(Problem::WrongFormat {
            wanted: "an Excel workbook (.xlsx)",
            what: "it is a ZIP file without a workbook in it",
            advice: "save the list as .xlsx",
        });
    }
    Ok(())
}

/// The table of shared strings declares how many there are, and the reader reserves memory for so many.
fn string_count<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<(), Problem> {
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| Problem::Damaged(error.to_string()))?;
        let (name, size) = (name_of(&part)?, part.size());
        if !name.ends_with("sharedstrings.xml") {
            continue;
        }
        let mut head = Vec::new();
        part.take(64 * 1024).read_to_end(&mut head).map_err(|error| Problem::Damaged(format!("{name}: {error}")))?;
        let declared = memchr::memmem::find(&head, b"uniqueCount").map_or(0, |at| first_number(&head[at..]));
        if declared > size / SHORTEST_STRING + 1 {
            return Err(Problem::Damaged(format!(
                "{name} says that it has {declared} texts, for which it is too small"
            )));
        }
    }
    Ok(())
}

fn first_number(text: &[u8]) -> u64 {
    let digits = text.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| u64::saturating_add(u64::saturating_mul(number, 10), u64::from(digit - b'0')))
}

/// The reader keeps the name of every open element, so elements must not nest without end. A stack worth speaking of shrinks far more
/// than a list does, hence only such parts are looked through.
fn depths<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<(), Problem> {
    const SUSPICIOUS: u64 = 60;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| Problem::Damaged(error.to_string()))?;
        let suspicious = part.size() > MIB && part.size() / part.compressed_size().max(1) > SUSPICIOUS;
        let name = name_of(&part)?;
        if suspicious && is_deep(part) {
            return Err(Problem::TooLarge {
                what: format!("{name}: the nesting of its elements"),
                size: format!("more than {DEEPEST} levels"),
                limit: format!("{DEEPEST}"),
            });
        }
    }
    Ok(())
}

fn is_deep(part: impl Read) -> bool {
    use quick_xml::events::Event;
    let mut xml = quick_xml::Reader::from_reader(std::io::BufReader::new(part));
    xml.config_mut().check_end_names = false;
    let (mut buffer, mut depth) = (Vec::new(), 0_usize);
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer) {
            Ok(Event::Start(_)) if depth == DEEPEST => return true,
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            // What is wrong with it comes up when it is read for good.
            Ok(Event::Eof) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// A part's name in lower case.
fn name_of<R: Read>(part: &ZipFile<'_, R>) -> Result<String, Problem> {
    let name = part.name().map_err(|error| Problem::Damaged(format!("a part's name can't be read ({error})")))?;
    Ok(name.to_ascii_lowercase())
}
