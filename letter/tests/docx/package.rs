//! The DOCX merge and its file: what is taken for a template, and what a merged document's archive is.

use crate::tools::*;
use letter::{Engine, docx::DocxTemplate};
use serde_json::json;
use std::{
    io::{Cursor, Read, Write},
    process::Command,
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

const OFFER: &[u8] = include_bytes!("../data/offer_template.docx");
const FIVE: &str = "import sys, docx\nd = docx.Document()\nfor n in ['Name', 'Position', 'City', 'Salary', 'Deadline']:\n    d.add_paragraph('The %s is {{ %s }}.' % (n, n))\nd.save(sys.argv[1])";

#[test]
fn other_files_are_named_for_what_they_are() {
    let odt = package(&[("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", "<x/>")]);
    let xlsx = package(&[(
        "[Content_Types].xml",
        "<Types><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/></Types>",
    )]);
    let zip = package(&[("a.txt", "a")]);
    let docm = package(&[(
        "[Content_Types].xml",
        "<Types><Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.ms-word.document.macroEnabled.main+xml\"/></Types>",
    )]);
    let no_text = package(&[(
        "[Content_Types].xml",
        "<Types><Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/></Types>",
    )]);
    let compound = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice();
    let utf16: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let encrypted = [compound, &[0; 600], &utf16].concat();
    for (bytes, wanted) in [
        (b"".as_slice(), "an empty file"),
        (b"%PDF-1.7", "a PDF file"),
        (b"{\\rtf1", "a Rich Text file"),
        (b"<html>", "an XML or HTML file"),
        (b"hello", "an unknown kind of file"),
        (compound, "Word 97–2003"),
        (&encrypted, "is encrypted"),
        (&odt, "OpenDocument"),
        (&xlsx, "an Excel workbook"),
        (&zip, "a ZIP archive of other files"),
        (&docm, "macros"),
        (&no_text, "word/document.xml, is missing"),
    ] {
        let found = mistakes(bytes);
        assert!(found.len() == 1 && found[0].contains(wanted), "{wanted}: {found:?}");
    }
}

#[test]
fn a_truncated_or_changed_document_is_damaged() {
    for length in [10, 100, OFFER.len() / 2, OFFER.len() - 1] {
        assert!(mistakes(&OFFER[..length])[0].contains("damaged"), "{length}: {:?}", mistakes(&OFFER[..length]));
    }
    let mut changed = OFFER.to_vec();
    let middle = 2000;
    changed[middle] ^= 0xff;
    assert!(mistakes(&changed)[0].contains("damaged"), "{:?}", mistakes(&changed));
    let broken = document_with("", &[]);
    assert!(mistakes(&broken).is_empty());
    for xml in ["<w:p>", "</w:p>", "<w:p", "&nope;", "<!DOCTYPE x><w:p/>"] {
        let bytes = document(&format!("{}{xml}", paragraph("{{ a }}")));
        assert!(mistakes(&bytes)[0].starts_with("body: "), "{xml}: {:?}", mistakes(&bytes));
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_expanded() {
    let zeros = vec![b' '; 1024 * 1024];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bomb.bin", SimpleFileOptions::default()).expect("an entry");
    for _ in 0..300 {
        zip.write_all(&zeros).expect("zeros");
    }
    let mut archive = ZipArchive::new(Cursor::new(document(&paragraph("x")))).expect("an archive");
    for index in 0..archive.len() {
        zip.raw_copy_file(archive.by_index_raw(index).expect("a part")).expect("copied");
    }
    let bomb = zip.finish().expect("an archive").into_inner();
    assert!(bomb.len() < 2 * 1024 * 1024);
    assert!(mistakes(&bomb)[0].contains("too large: its parts when expanded (limit 256 MiB)"), "{:?}", mistakes(&bomb));

    let names: Vec<String> = (0..5000).map(|number| format!("{number}.xml")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert!(mistakes(&document_with("", &many))[0].contains("number of its parts"));
    let deep = format!("{}{}", "<w:p>".repeat(1000), "</w:p>".repeat(1000));
    assert!(mistakes(&document(&format!("{deep}{}", paragraph("{{ a }}"))))[0].contains("nested deeper"));
}

#[test]
fn a_merged_document_is_an_archive_as_word_writes_it() {
    for template in [OFFER.to_vec(), made_by_python(FIVE)] {
        let result = merged(&template, &offer());
        let mut archive = ZipArchive::new(Cursor::new(&result)).expect("an archive");
        let mut source = ZipArchive::new(Cursor::new(&template)).expect("an archive");
        assert_eq!(archive.by_index(0).expect("a part").name().expect("a name"), "[Content_Types].xml");
        assert_eq!(archive.len(), source.len());
        assert!(!archive.has_overlapping_entries().expect("entries"));
        for index in 0..source.len() {
            let mut part = source.by_index_raw(index).expect("a part");
            let (name, crc) = (part.name().expect("a name").into_owned(), part.crc32());
            let mut before = Vec::new();
            part.read_to_end(&mut before).expect("octets");
            drop(part);
            let at = archive.index_for_name(&name).expect("the same part");
            let mut copy = archive.by_index_raw(at).expect("a part");
            let mut after = Vec::new();
            let is_same = copy.crc32() == crc;
            copy.read_to_end(&mut after).expect("octets");
            assert!(!is_same || before == after, "{name}");
            drop(copy);
            // Reads all of it, which checks the checksum.
            std::io::copy(&mut archive.by_index(at).expect("a part"), &mut std::io::sink())
                .expect("the checksum holds");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("result.docx");
        std::fs::write(&path, &result).expect("written");
        let code = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nassert len(set(z.namelist())) == len(z.namelist())";
        let python = Command::new("python3").args(["-c", code]).arg(&path).output().expect("python3 runs");
        assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    }
}

#[test]
fn stored_parts_and_data_descriptors_of_the_template_are_no_hindrance() {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let source = document(&paragraph("{{ Name }}"));
    let mut archive = ZipArchive::new(Cursor::new(&source)).expect("an archive");
    // A stream that can't seek makes the writer put sizes behind the data.
    let mut zip = ZipWriter::new_stream(Vec::new());
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).expect("a part");
        let name = part.name().expect("a name").into_owned();
        zip.start_file(name, if index == 1 { stored } else { SimpleFileOptions::default() }).expect("an entry");
        std::io::copy(&mut part, &mut zip).expect("copied");
    }
    let streamed = zip.finish().expect("an archive").into_inner();
    assert_eq!(merged_paragraphs(&streamed, &json!({"Name": "Ada"})), json!(["Ada"]));
}

#[test]
fn a_word_template_becomes_a_document_and_the_data_source_of_the_sender_goes() {
    let settings = part(
        "settings",
        "<w:zoom w:percent=\"100\"/><w:mailMerge><w:query w:val=\"SELECT * FROM C:\\secret.xlsx\"/></w:mailMerge><w:x/>",
    );
    let relations = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
                     Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/mailMergeSource\" Target=\"file:///C:\\secret.xlsx\" TargetMode=\"External\"/></Relationships>";
    let source = document_with(
        &paragraph("{{ Name }}"),
        &[("word/settings.xml", &settings), ("word/_rels/settings.xml.rels", relations)],
    );
    let mut archive = ZipArchive::new(Cursor::new(&source)).expect("an archive");
    let names: Vec<String> = archive.file_names().map(|name| name.expect("a name").into_owned()).collect();
    let texts: Vec<String> = names
        .iter()
        .map(|name| {
            let mut text = String::new();
            archive.by_name(name).expect("a part").read_to_string(&mut text).expect("text");
            text.replace("document.main+xml", "template.main+xml")
        })
        .collect();
    let parts: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let result = merged(&package(&parts), &json!({"Name": "Ada"}));
    assert!(
        part_of(&result, "[Content_Types].xml").contains("document.main+xml")
            && !part_of(&result, "[Content_Types].xml").contains("template.main")
    );
    let settings = part_of(&result, "word/settings.xml");
    assert!(!settings.contains("secret") && settings.contains("<w:zoom w:percent=\"100\"/><w:x/>"), "{settings}");
    assert!(!part_of(&result, "word/_rels/settings.xml.rels").contains("secret"));
}

#[test]
fn every_document_begins_with_the_same_front() {
    let template = compiled(OFFER);
    let documents = [offer(), offer()].map(|values| template.render(&row(&values)).expect("renders"));
    assert!(template.front().len() > 1000);
    assert!(documents.iter().all(|document| document.starts_with(template.front())));
    assert_eq!(documents[0], documents[1]);
}

#[test]
fn a_large_table_is_deflated_as_a_whole() {
    let template =
        document(&table(&[&["{%tr for i in items %}", ""], &["{{ i.a }}", "{{ i.b }}"], &["{%tr endfor %}", ""]]));
    let items: Vec<_> = (0..500).map(|n| json!({"a": format!("item {n}"), "b": n})).collect();
    let result = merged(&template, &json!({"items": items}));
    assert!(result.len() < 15_000, "{}", result.len());
    assert_eq!(read(&result)["tables"][0][499], json!(["item 499", "499"]));
}

#[test]
fn other_prefixes_than_words_are_merged_alike() {
    let source = document(&paragraphs(&["{% for x in xs %}", "a\u{a0}{{ x }}", "{% endfor %}"]));
    let mut archive = ZipArchive::new(Cursor::new(&source)).expect("an archive");
    let mut text = String::new();
    archive.by_name("word/document.xml").expect("the body").read_to_string(&mut text).expect("text");
    let text = text
        .replace("xmlns:w=", "xmlns:ns0=")
        .replace("<w:", "<ns0:")
        .replace("</w:", "</ns0:")
        .replace(" w:", " ns0:");
    let source = package(&[
        ("[Content_Types].xml", &part_of(&source, "[Content_Types].xml")),
        ("_rels/.rels", &part_of(&source, "_rels/.rels")),
        ("word/document.xml", &text),
    ]);
    assert_eq!(merged_paragraphs(&source, &json!({"xs": ["1\n2", "3"]})), json!(["a\u{a0}1\n2", "a\u{a0}3"]));
}

proptest::proptest! {
    #[test]
    fn no_octets_make_it_panic(bytes: Vec<u8>, at in 0..OFFER.len(), changes in proptest::collection::vec((0..OFFER.len(), 0u8..), 0..8)) {
        let engine = Engine::new();
        let _ = DocxTemplate::compile(&bytes, &engine);
        let mut changed = OFFER.to_vec();
        for (place, octet) in changes {
            changed[place] = octet;
        }
        let _ = DocxTemplate::compile(&changed, &engine);
        let _ = DocxTemplate::compile(&OFFER[..at], &engine);
    }

    /// Pieces of templates in any order and nesting, cut into runs anywhere: a mistake, or well-formed for whatever value.
    #[test]
    fn what_compiles_is_well_formed_whatever_the_values(
        pieces in proptest::collection::vec((0..PAIRS.len(), 0..5usize, 0..PIECES.len(), 0..5usize, 0..5usize), 1..6),
        value in "\\PC*|[\u{0}-\u{30}<>&{}%]*",
        flag: bool,
    ) {
        let shaped = |text: &str, shape: usize| match shape {
            0 | 1 => paragraph(text),
            2 => format!("<w:p>{}</w:p>", text.chars().map(|c| run("<w:b/>", &c.to_string())).collect::<String>()),
            3 => table(&[&[text, "x"], &["{{ A }}", text]]),
            _ => format!("<w:p>{}{}{}</w:p>", run("", "t "), run("<w:i/>", text), run("", " u")),
        };
        let body: String = pieces.iter().map(|&(pair, open, piece, inner, close)| {
            let (before, behind) = PAIRS[pair];
            match open {
                0 => shaped(&format!("{before}{}{behind}", PIECES[piece]), inner),
                1 => table(&[&[before, ""], &[PIECES[piece], "b"], &[behind, ""]]),
                2 => table(&[&[before, PIECES[piece], behind]]),
                _ => [shaped(before, open), shaped(PIECES[piece], inner), shaped(behind, close)].concat(),
            }
        }).collect();
        if let Ok(template) = DocxTemplate::compile(&document(&body), &Engine::new()) {
            let values = row(&json!({"A": value, "F": flag, "xs": [1, 2]}));
            let checked = template.check(&values);
            let rendered = template.render(&values);
            proptest::prop_assert_eq!(checked.is_ok(), rendered.is_ok());
            if let Ok(document) = rendered {
                let text = part_of(&document, "word/document.xml");
                let mut reader = quick_xml::Reader::from_str(&text);
                loop {
                    match reader.read_event() {
                        Ok(quick_xml::events::Event::Eof) => break,
                        Ok(_) => {}
                        Err(error) => proptest::prop_assert!(false, "{error}: {text}"),
                    }
                }
                let has_forbidden = text.contains(['\u{1}', '\u{2}', '\u{fffe}']);
                proptest::prop_assert!(!has_forbidden);
                let has_empty = ["<w:tc></w:tc>", "</w:tcPr></w:tc>", "<w:tr></w:tr>", "</w:tblGrid></w:tbl>"];
                proptest::prop_assert!(has_empty.iter().all(|empty| !text.contains(empty)), "{text}");
            }
        }
    }
}

const PAIRS: [(&str, &str); 8] = [
    ("{% if F %}", "{% endif %}"),
    ("{% for x in xs %}", "{% endfor %}"),
    ("{%p if F %}", "{%p endif %}"),
    ("{%tr for x in xs %}", "{%tr endfor %}"),
    ("{%tc for x in xs %}", "{%tc endfor %}"),
    ("{%- if F -%}", "{%- endif -%}"),
    ("{% set y %}", "{% endset %}"),
    ("a {% if F %} b", "c {% else %}{% endif %} d"),
];

const PIECES: [&str; 9] = [
    "{{ A }}",
    "",
    "text",
    "{% if F %}yes{% endif %}",
    "{% vm %}v",
    "{% hm %}h",
    "{% continue %}",
    "{# note #}",
    "{% colspan 2 %}{% cellbg A %}",
];
