//! Lists of recipients.

use crate::archive;
use campaign::EmailAddress;
use campaign::spec::{ListFormat, ListSource, OnInvalidRow, Recipients};
use producer::list::{List, ListFile};
use std::io::{Seek, Write};
use std::sync::{LazyLock, Mutex};
use tempfile::NamedTempFile;

/// The file of the list, written anew for each input.
static FILE: LazyLock<Mutex<NamedTempFile>> = LazyLock::new(|| {
    let in_memory = std::path::Path::new("/dev/shm");
    let file = if in_memory.is_dir() { NamedTempFile::new_in(in_memory) } else { NamedTempFile::new() };
    Mutex::new(file.expect("a temporary file can be made"))
});

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="List" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const WORKBOOK_RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

/// A workbook, or a sheet's XML for a plain one.
pub(crate) fn xlsx(bytes: &[u8]) {
    let others = [
        ("[Content_Types].xml", CONTENT_TYPES),
        ("_rels/.rels", RELATIONS),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", WORKBOOK_RELATIONS),
    ];
    read(&archive::around("xl/worksheets/sheet1.xml", bytes, &others), ListFormat::Xlsx);
}

/// A CSV file.
pub(crate) fn csv(bytes: &[u8]) {
    read(bytes, ListFormat::Csv);
}

/// An NDJSON file.
pub(crate) fn ndjson(bytes: &[u8]) {
    read(bytes, ListFormat::Ndjson);
}

/// Every row comes out once, in order; what can't be read is an error.
fn read(bytes: &[u8], format: ListFormat) {
    let mut file = FILE.lock().expect("one input at a time");
    file.as_file().set_len(0).expect("the file can be emptied");
    file.rewind().expect("the file can be rewound");
    file.write_all(bytes).expect("the file can be written");
    let list = ListFile { path: file.path().to_owned(), display_name: "list".to_owned() };
    let Ok(mut list) = List::open(&list, &recipients(format)) else { return };
    let mut last = 0;
    while let Ok(Some(row)) = list.next_row() {
        assert!(row.number > last, "row {} came after row {last}", row.number);
        last = row.number;
    }
}

fn recipients(format: ListFormat) -> Recipients {
    Recipients {
        source: ListSource::default(),
        format: Some(format),
        sheet: None,
        encoding: None,
        email_column: None,
        dedupe: true,
        suppress: None,
        on_invalid_row: OnInvalidRow::Skip,
    }
}

/// An address as it stands in a list. What is taken as one holds no line break, and is the same when it is read again.
pub(crate) fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(address) = EmailAddress::parse(text) else { return };
    let written = address.to_string();
    assert!(!written.contains(['\r', '\n']), "a line break got into an address");
    assert_eq!(EmailAddress::parse(&written).ok(), Some(address));
}
