//! Lists as people have them: real files in, rows or a clear error out.

use campaign::spec::Recipients;
use producer::{List, ListFile, Row, list};
use serde_json::{Value, json};
use std::{io::Write, path::PathBuf};
use tempfile::NamedTempFile;

fn recipients(more: Value) -> Recipients {
    let mut spec = json!({"source": {}});
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    serde_json::from_value(spec).expect("recipients")
}

fn data(name: &str) -> ListFile {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    ListFile { path, display_name: name.to_owned() }
}

struct Written {
    file: NamedTempFile,
    name: &'static str,
}

impl Written {
    fn new(name: &'static str, content: impl AsRef<[u8]>) -> Self {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(content.as_ref()).expect("written");
        Self { file, name }
    }

    fn list(&self) -> ListFile {
        ListFile { path: self.file.path().to_owned(), display_name: self.name.to_owned() }
    }
}

fn read_with(file: &ListFile, more: Value) -> Result<(List, Vec<Row>), list::Error> {
    let mut list = List::open(file, &recipients(more))?;
    let mut rows = Vec::new();
    while let Some(row) = list.next_row()? {
        rows.push(row);
    }
    Ok((list, rows))
}

fn read(file: &ListFile) -> (List, Vec<Row>) {
    read_with(file, json!({})).expect("a good list")
}

fn error(file: &ListFile, more: Value) -> String {
    match read_with(file, more) {
        Ok((_, rows)) => panic!("it was read: {rows:?}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in: {text}");
    }
}

fn values(row: &Row) -> Vec<Value> {
    row.fields.values().cloned().collect()
}

#[test]
fn a_workbook_of_libreoffice_is_read_with_types() {
    let (list, rows) = read(&data("offers.xlsx"));
    assert_eq!(rows.len(), 200);
    assert_eq!(list.email_column(), "Email");
    assert_eq!(list.columns()[9], "Remote");
    assert_eq!(
        serde_json::to_string(&rows[1].fields).expect("JSON"),
        r#"{"Name":"Chloé Nguyễn","Email":"candidate001@example.org","Reference":"OF-2027-0001","Position":"Data Analyst","City":"München","Start":"2027-02-18","Salary":88250.25,"Currency":"EUR","Leave":31,"Remote":true,"Deadline":"2026-12-08"}"#
    );
    assert_eq!(list.places().row(&rows[1]), "offers.xlsx: sheet \"offers\" row 3");
}

#[test]
fn a_dirty_list_has_nineteen_rows_and_its_bad_addresses_are_named() {
    let (_, rows) = read(&data("offers-dirty.xlsx"));
    assert_eq!(rows.len(), 19);
    assert!(rows.iter().all(|row| row.number != 9), "row 9 is blank");
    let bad: Vec<u64> = rows.iter().filter(|row| row.problem().is_some()).map(|row| row.number).collect();
    assert_eq!(bad, [5, 18], "no @, and two of them");
    let row = |number| rows.iter().find(|row| row.number == number).expect("the row");
    assert_eq!(row(16).recipient.as_ref().expect("trimmed").to_string(), "spaces@example.com");
    assert_eq!(row(13).recipient.as_ref().expect("international").ascii_domain(), "xn--exmple-cua.org");
    assert_eq!(row(11).fields["Name"], Value::Null);
    assert_eq!(row(14).fields["Salary"], "n/a");
    assert_eq!(row(17).fields["Name"], "Line\nBreak");
    assert_eq!(row(19).fields["Start"], "31/12/2026");
}

#[test]
fn every_kind_of_cell_has_its_value() {
    for name in ["values.xlsx", "values-libreoffice.xlsx"] {
        let (_, rows) = read(&data(name));
        let expected = [
            json!([
                "a@example.org",
                67000,
                88250.25,
                true,
                "2027-02-18",
                "2027-02-18T09:30:00",
                "09:30:00",
                "27:30:00",
                "  kept  ",
                null
            ]),
            json!([
                "b@example.org",
                -3,
                0.3,
                false,
                "1900-01-01",
                "2027-02-18",
                "00:00:00",
                "0:00:00",
                "line\nbreak",
                "#DIV/0!"
            ]),
            json!(["c@example.org", 0, 1e-7, null, "9999-12-31", null, null, null, "two fonts", null]),
        ];
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(&Value::Array(values(row)), expected, "{name}");
        }
        assert_eq!(rows[1].trouble.as_deref(), Some("cell J3 holds #DIV/0!; correct it"));
        assert_eq!(rows[3].fields["Text"], "merged");
        assert_eq!(rows[4].fields["Text"], Value::Null);
        assert_eq!(rows.len(), 5);
    }
}

#[test]
fn a_workbook_that_counts_from_1904_has_the_right_dates() {
    let (_, rows) = read(&data("dates-1904.xlsx"));
    assert_eq!(values(&rows[0]), [json!("a@example.org"), json!("2027-02-18"), json!("12:00:00")]);
}

#[test]
fn inline_strings_and_results_of_formulas_are_values() {
    let (_, rows) = read(&data("inline.xlsx"));
    assert_eq!(values(&rows[0]), [json!("a@example.org"), json!(3), json!("Hi <a>")]);
    assert_eq!(rows[1].trouble.as_deref(), Some("cell B3 holds #DIV/0!; correct it"));
    assert_eq!(rows[1].fields["Greeting"], Value::Null);
    assert_eq!((rows[2].number, values(&rows[2])), (4, vec![json!("c@example.org"), json!(4), Value::Null]));
}

#[test]
fn the_first_visible_sheet_is_taken_and_titles_above_the_header_are_passed_over() {
    let (list, rows) = read(&data("sheets.xlsx"));
    assert_eq!(list.email_column(), "E-Mail");
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [4, 6]);
    assert_eq!(list.places().row(&rows[1]), "sheets.xlsx: sheet \"Candidates\" row 6");
    let (_, rows) = read_with(&data("sheets.xlsx"), json!({"sheet": "Others"})).expect("the other sheet");
    assert_eq!(rows[0].fields["Name"], "Zoe");
}

#[test]
fn a_wrong_sheet_or_column_is_an_error_that_names_those_there_are() {
    assert_says(
        &error(&data("sheets.xlsx"), json!({"sheet": "Candidate"})),
        &[
            "sheets.xlsx",
            "\"Lists\", \"Candidates\", \"Others\"",
            "did you mean \"Candidates\"?",
            "spec.recipients.sheet",
        ],
    );
    assert_says(
        &error(&data("offers.xlsx"), json!({"emailColumn": "Emial"})),
        &["sheet \"offers\"", "\"Name\", \"Email\"", "did you mean \"Email\"?", "spec.recipients.emailColumn"],
    );
    assert_says(&error(&data("sheets.xlsx"), json!({"sheet": "Lists"})), &["\"Codes\"", "spec.recipients.emailColumn"]);
}

#[test]
fn a_cell_far_away_costs_nothing_and_is_no_row() {
    let (list, rows) = read(&data("far-cell.xlsx"));
    assert_eq!(list.columns(), ["Email", "B", "Name"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(values(&rows[0]), [json!("a@example.org"), json!("x"), Value::Null]);
}

#[test]
fn each_kind_of_bad_workbook_is_an_error_of_its_own_that_says_what_to_do() {
    for (name, parts) in [
        ("missing.xlsx", &["no such file", "spec.recipients.source"][..]),
        ("encrypted.xlsx", &["protected by a password", "save it without"]),
        ("old.xls", &["Excel 97-2003", "save it as .xlsx"]),
        ("truncated.xlsx", &["cut off"]),
        ("damaged.xlsx", &["damaged"]),
        ("bomb.xlsx", &["sheet1.xml is too large", "200 times"]),
        ("deep.xlsx", &["nesting"]),
        ("string-count.xlsx", &["damaged", "18446744073709551615"]),
        ("reference-overflow.xlsx", &["damaged"]),
        ("unknown-error.xlsx", &["what follows cell A2", "#SPILL!"]),
        ("header-only.xlsx", &["empty", "no row under"]),
        ("no-rows.xlsx", &["empty", "no row at all"]),
    ] {
        assert_says(&error(&data(name), json!({})), parts);
    }
    assert_says(&error(&data("sheet.ods"), json!({"format": "Xlsx"})), &["ZIP file without a workbook"]);
    let text = Written::new("list.xlsx", "Name,Email\nAnn,ann@example.org\n");
    assert_says(&error(&text.list(), json!({})), &["looks like text", "spec.recipients.format to Csv"]);
    assert_says(&error(&Written::new("list.xlsx", "").list(), json!({})), &["no content"]);
    assert_says(&error(&Written::new("list.xlsx", "<html><table>").list(), json!({})), &["HTML"]);
}

#[test]
fn a_workbook_cut_anywhere_is_an_error_and_never_a_shorter_list() {
    let whole = std::fs::read(data("offers-dirty.xlsx").path).expect("the file");
    for length in (0..whole.len()).step_by(97) {
        let cut = Written::new("cut.xlsx", &whole[..length]);
        assert!(read_with(&cut.list(), json!({})).is_err(), "{length} bytes");
    }
}

#[test]
fn a_csv_file_is_read_with_its_separator_and_encoding_found_out() {
    let text =
        "Name;Email;Phone\nZoë;zoe@example.org;0049 30\n\n\"Li\nNa\";li@example.org;\"a;b\"\nBo;bo@example.org\n";
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin")).collect();
    for (content, more) in [
        (text.as_bytes().to_vec(), json!({})),
        (format!("\u{feff}{text}").into_bytes(), json!({})),
        (text.replace('\n', "\r\n").into_bytes(), json!({})),
        (utf16, json!({})),
        (latin, json!({"encoding": "windows-1252"})),
    ] {
        let file = Written::new("list.csv", content);
        let (list, rows) = read_with(&file.list(), more).expect("a good list");
        assert_eq!(list.columns(), ["Name", "Email", "Phone"]);
        assert_eq!(values(&rows[0]), [json!("Zoë"), json!("zoe@example.org"), json!("0049 30")]);
        assert_eq!(rows[1].fields["Name"].as_str().expect("text").replace('\r', ""), "Li\nNa");
        assert_eq!(rows[1].fields["Phone"], "a;b");
        assert_eq!(values(&rows[2]), [json!("Bo"), json!("bo@example.org"), Value::Null]);
        let places: Vec<String> = rows.iter().map(|row| list.places().row(row)).collect();
        assert_eq!(places, ["list.csv: row 2", "list.csv: row 4", "list.csv: row 5 (line 6)"]);
    }
}

#[test]
fn a_csv_row_with_too_many_values_is_invalid_and_one_with_empty_ones_is_not() {
    let file = Written::new(
        "list.csv",
        "Name,Email\nSmith, John,john@example.org\nAnn,ann@example.org,,\n\"Bob\" B,b@example.org\n",
    );
    let (_, rows) = read(&file.list());
    assert_says(rows[0].trouble.as_deref().expect("trouble"), &["3 values for 2 columns", "quotation marks"]);
    assert_eq!(rows[1].problem(), None);
    assert_says(rows[2].trouble.as_deref().expect("trouble"), &["after a closing quotation mark"]);
}

#[test]
fn each_kind_of_bad_csv_is_an_error_that_says_where_and_what_to_do() {
    let cases: [(&[u8], &[&str]); 8] = [
        (b"Name,Email\nAnn,a@example.org\nZo\xeb,z@example.org\n", &["list.csv: row 3", "not UTF-8", "windows-1252"]),
        (b"Name,Email\n\"Ann,a@example.org\nBob,b@example.org\n", &["list.csv: row 2", "nothing closes it"]),
        (b"Name,Email\n\"Ann,a@example.org\n\"Bob\",b@example.org\n", &["row 2", "in line 3"]),
        (b"", &["empty"]),
        (b"Name,Email\n\n", &["empty"]),
        (b"Name,Phone\nAnn,1\n", &["\"Name\", \"Phone\"", "spec.recipients.emailColumn"]),
        (b"PK\x03\x04rest", &["Excel workbook", "Xlsx"]),
        (b"N\0a\0m\0e\0", &["NUL", "utf-16le"]),
    ];
    for (content, parts) in cases {
        assert_says(&error(&Written::new("list.csv", content).list(), json!({})), parts);
    }
    let bad_late = [&b"Name,Email\n"[..], &b"Ann,a@example.org\n".repeat(50_000), b"\x81\n"].concat();
    let late = Written::new("list.csv", bad_late);
    assert_says(&error(&late.list(), json!({"encoding": "shift_jis"})), &["row 50002", "Shift_JIS"]);
    assert_says(&error(&late.list(), json!({"encoding": "nonsense"})), &["\"nonsense\"", "spec.recipients.encoding"]);
    assert_says(&error(&Written::new("list.doc", "x").list(), json!({})), &["spec.recipients.format"]);
}

#[test]
fn ndjson_keeps_nested_values_and_a_bad_line_is_one_invalid_row() {
    let file = Written::new(
        "list.ndjson",
        "{\"email\":\"a@example.org\",\"job\":{\"title\":\"Nurse\"}}\n\n{\"email\":\"b@example.org\",\"x\":1\n[1]\n{\"email\":\"c@example.org\",\"tags\":[1,2]}",
    );
    let (list, rows) = read(&file.list());
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(rows[0].fields["job"]["title"], "Nurse");
    assert_says(rows[1].trouble.as_deref().expect("trouble"), &["no JSON object", "column 30"]);
    assert!(rows[2].trouble.is_some());
    assert_eq!(rows[3].recipient.as_ref().expect("good").to_string(), "c@example.org");
    assert_eq!(list.columns(), ["email", "job", "tags"]);
    assert_eq!(list.places().row(&rows[1]), "list.ndjson: line 3");
}

#[test]
fn each_kind_of_bad_ndjson_is_an_error_that_says_what_to_do() {
    for (content, parts) in [
        ("", &["empty"][..]),
        ("\n\n", &["empty"]),
        ("{\"name\":1}\n", &["\"name\"", "spec.recipients.emailColumn"]),
        ("Name,Email\n", &["no JSON object"]),
    ] {
        assert_says(&error(&Written::new("list.ndjson", content).list(), json!({})), parts);
    }
}
