//! Makes documents as Word writes them, merges them, and reads the results with other programs.

use letter::{Engine, Rows, docx::DocxTemplate};
use serde_json::{Map, Value, json};
use std::{
    io::{Cursor, Read, Write},
    path::Path,
    process::Command,
};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

pub(crate) const W: &str = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:v="urn:schemas-microsoft-com:vml" xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape""#;

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/><Override PartName="/word/footnotes.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"/><Override PartName="/word/settings.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.settings+xml"/></Types>"#;

const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;

/// A document with this content of its body.
pub(crate) fn document(body: &str) -> Vec<u8> {
    package(&[
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", RELATIONS),
        ("word/document.xml", &part("document", &format!("<w:body>{body}<w:sectPr/></w:body>"))),
    ])
}

/// A document with more parts.
pub(crate) fn document_with(body: &str, parts: &[(&str, &str)]) -> Vec<u8> {
    let text = part("document", &format!("<w:body>{body}<w:sectPr/></w:body>"));
    let mut all =
        vec![("[Content_Types].xml", TYPES), ("_rels/.rels", RELATIONS), ("word/document.xml", text.as_str())];
    all.extend(parts);
    package(&all)
}

pub(crate) fn part(root: &str, content: &str) -> String {
    format!(r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{}<w:{root} {W}>{content}</w:{root}>"#, "\n")
}

pub(crate) fn package(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).expect("an entry");
        zip.write_all(text.as_bytes()).expect("its text");
    }
    zip.finish().expect("an archive").into_inner()
}

/// Text as Word writes it: one run a piece, with this formatting.
pub(crate) fn run(formatting: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(r#"<w:r w:rsidRPr="00A77427"><w:rPr>{formatting}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>"#)
}

pub(crate) fn paragraph(text: &str) -> String {
    format!("<w:p w:rsidR=\"00000001\">{}</w:p>", run("", text))
}

pub(crate) fn paragraphs(texts: &[&str]) -> String {
    texts.iter().map(|text| paragraph(text)).collect()
}

pub(crate) fn table(rows: &[&[&str]]) -> String {
    let cell =
        |text: &&str| format!("<w:tc><w:tcPr><w:tcW w:w=\"2000\" w:type=\"dxa\"/></w:tcPr>{}</w:tc>", paragraph(text));
    let row = |cells: &&[&str]| format!("<w:tr>{}</w:tr>", cells.iter().map(cell).collect::<String>());
    format!(
        "<w:tbl><w:tblPr><w:tblW w:w=\"0\" w:type=\"auto\"/></w:tblPr><w:tblGrid><w:gridCol w:w=\"2000\"/></w:tblGrid>{}</w:tbl>",
        rows.iter().map(row).collect::<String>()
    )
}

pub(crate) fn compiled(bytes: &[u8]) -> DocxTemplate {
    DocxTemplate::compile(bytes, &Engine::new()).unwrap_or_else(|errors| panic!("compiles: {errors:?}"))
}

/// The mistakes in a template, as a person reads them.
pub(crate) fn mistakes(bytes: &[u8]) -> Vec<String> {
    match DocxTemplate::compile(bytes, &Engine::new()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn row(values: &Value) -> minijinja::Value {
    let empty = Map::new();
    Rows::default().row(values.as_object().unwrap_or(&empty))
}

pub(crate) fn merged(bytes: &[u8], values: &Value) -> Vec<u8> {
    let template = compiled(bytes);
    template.check(&row(values)).unwrap_or_else(|error| panic!("checks: {error}"));
    template.render(&row(values)).unwrap_or_else(|error| panic!("renders: {error}"))
}

/// The text of one part of a document.
pub(crate) fn part_of(document: &[u8], name: &str) -> String {
    let mut archive = ZipArchive::new(Cursor::new(document)).expect("an archive");
    let mut text = String::new();
    archive.by_name(name).expect("the part").read_to_string(&mut text).expect("its text");
    text
}

/// The body of a merged document without what is around it.
pub(crate) fn body(document: &[u8]) -> String {
    let text = part_of(document, "word/document.xml");
    let start = text.find("<w:body>").expect("a body") + "<w:body>".len();
    text[start..text.find("<w:sectPr/></w:body>").expect("its end")].to_owned()
}

/// The Python that has python-docx and docxtpl: the one that `cargo xtask test` names, else the one in PATH.
fn python() -> Command {
    Command::new(std::env::var_os("MAILCAMPAIGN_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// What a run of it printed.
fn printed(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("Python starts");
    let hint = "MAILCAMPAIGN_PYTHON names the Python to use; `cargo xtask test --only needs` makes one, ~/.cache/mailcampaign/python/bin/python";
    assert!(output.status.success(), "{}\n({hint})", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What python-docx reads of a document.
pub(crate) fn read(document: &[u8]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("result.docx");
    std::fs::write(&path, document).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/read_docx.py");
    serde_json::from_slice(&printed(python().arg(script).arg(&path))).expect("JSON")
}

/// The paragraphs that python-docx reads of a merged template.
pub(crate) fn merged_paragraphs(bytes: &[u8], values: &Value) -> Value {
    read(&merged(bytes, values))["paragraphs"].clone()
}

/// Runs Python code that makes a template with python-docx: it saves to `sys.argv[1]`.
pub(crate) fn made_by_python(code: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("template.docx");
    printed(python().args(["-c", code]).arg(&path));
    std::fs::read(path).expect("the template")
}

/// What docxtpl makes of the same template and values.
pub(crate) fn merged_by_docxtpl(template: &[u8], values: &Value) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("template.docx"), folder.path().join("result.docx"));
    std::fs::write(&from, template).expect("written");
    let code = "import sys, json\nfrom docxtpl import DocxTemplate\nt = DocxTemplate(sys.argv[1])\n\
                t.render(json.loads(sys.argv[3]), autoescape=True)\nt.save(sys.argv[2])";
    printed(python().args(["-c", code]).arg(&from).arg(&to).arg(values.to_string()));
    std::fs::read(to).expect("the result")
}

/// The text of the PDF that LibreOffice makes of each document.
pub(crate) fn pdf_texts<const N: usize>(documents: &[&[u8]; N]) -> [String; N] {
    let folder = tempfile::tempdir().expect("a folder");
    let names: [_; N] = std::array::from_fn(|number| folder.path().join(format!("{number}.docx")));
    for (name, document) in names.iter().zip(documents.iter()) {
        std::fs::write(name, document).expect("written");
    }
    let profile = format!("-env:UserInstallation=file://{}/profile", folder.path().display());
    let office = Command::new("soffice")
        .args(["--headless", &profile, "--convert-to", "pdf", "--outdir"])
        .arg(folder.path())
        .args(&names)
        .output();
    let office = office.expect("soffice runs");
    assert!(office.status.success(), "soffice: {}", String::from_utf8_lossy(&office.stderr));
    let text = |name: &std::path::PathBuf| {
        let output = Command::new("pdftotext")
            .arg("-layout")
            .arg(name.with_extension("pdf"))
            .arg("-")
            .output()
            .expect("pdftotext runs");
        assert!(output.status.success(), "pdftotext: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    names.each_ref().map(text)
}

pub(crate) fn offer() -> Value {
    json!({"Name": "Zoë <O'Brien> & Søn", "Position": "Engineer", "City": "Zürich", "Start": "2027-02-18", "Remote": true, "Salary": 67000,
           "Currency": "CHF", "Leave": 27, "Deadline": "2026-12-01", "Reference": "R&D-17"})
}
