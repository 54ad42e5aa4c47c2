//! What becomes of placeholders, tags and merge fields, read back by python-docx.

use crate::tools::*;
use serde_json::json;

const OFFER: &[u8] = include_bytes!("../data/offer_template.docx");

#[test]
fn a_template_of_libreoffice_is_merged_in_body_table_header_and_footer() {
    let read = read(&merged(OFFER, &offer()));
    assert_eq!(read["paragraphs"][1], "Dear Zoë <O'Brien> & Søn,");
    assert_eq!(
        read["paragraphs"][2],
        "we are glad to offer you the position of Engineer in Zürich, starting on 18 February 2027."
    );
    assert_eq!(read["paragraphs"][3], "You may work from home up to four days a week.");
    assert_eq!(read["tables"], json!([[["Gross salary a year", "67,000 CHF"], ["Days of leave", "27"]]]));
    assert_eq!(read["header"], json!(["Example Ltd · Offer R&D-17"]));
    assert_eq!(read["footer"], json!(["Confidential, for Zoë <O'Brien> & Søn only"]));
}

#[test]
fn the_run_in_which_a_placeholder_begins_gives_its_formatting() {
    let runs = &read(&merged(OFFER, &offer()))["runs"];
    // "{{ " is bold, "Na" blue and italic, "me }}" bold.
    assert_eq!(runs[1][1]["text"], "Zoë <O'Brien> & Søn");
    assert_eq!((&runs[1][1]["bold"], &runs[1][1]["italic"]), (&json!(true), &json!(null)));
    assert_eq!((&runs[2][1]["text"], &runs[2][1]["color"]), (&json!("Engineer"), &json!("1A5FB4")));
}

/// `Dear {{ First | upper }}!` as Word cuts it: spelling marks, a bookmark, a page break of the last layout, sessions, smart tags.
fn as_word_cuts_it() -> String {
    format!(
        "<w:p>{}<w:proofErr w:type=\"spellStart\"/>{}<w:bookmarkStart w:id=\"0\" w:name=\"_GoBack\"/>{}<w:smartTag w:uri=\"x\" w:element=\"y\">{}</w:smartTag>\
         <w:bookmarkEnd w:id=\"0\"/><w:r><w:rPr><w:i/></w:rPr><w:lastRenderedPageBreak/><w:softHyphen/><w:t>up</w:t><w:noBreakHyphen/></w:r></w:p>",
        run("<w:b/>", "Dear {"),
        run("<w:color w:val=\"FF0000\"/>", "{"),
        run("<w:i/>", " Fir"),
        run("<w:i/>", "st\u{a0}|"),
    )
    .replace("<w:noBreakHyphen/>", "<w:t>per }</w:t><w:t xml:space=\"preserve\">}! </w:t>")
}

#[test]
fn placeholders_are_read_over_all_that_word_puts_between() {
    let read = read(&merged(&document(&as_word_cuts_it()), &json!({"First": "ada"})));
    assert_eq!(read["paragraphs"], json!(["Dear ADA! "]));
    assert_eq!(read["runs"][0][0], json!({"text": "Dear ADA", "bold": true, "italic": null, "color": null}));
}

#[test]
fn text_boxes_content_controls_and_links_are_merged() {
    let shape = |text: &str| format!("<w:txbxContent>{}</w:txbxContent>", paragraph(text));
    let body = format!(
        "<w:p><w:r><mc:AlternateContent><mc:Choice Requires=\"wps\"><w:drawing><wps:txbx>{}</wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox>{}\
         </v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>{}</w:p><w:sdt><w:sdtPr><w:id w:val=\"1\"/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>\
         <w:p><w:hyperlink r:id=\"rId9\">{}</w:hyperlink><w:ins w:id=\"1\" w:author=\"a\">{}</w:ins><w:del w:id=\"2\" w:author=\"a\"><w:r><w:delText>{{{{ Gone</w:delText></w:r></w:del></w:p>",
        shape("new {{ A }}"),
        shape("old {{ A }}"),
        run("", "text {{ A }}"),
        paragraph("control {{ A }}"),
        run("", "link {{ A }}"),
        run("", " added {{ A }}")
    );
    let body = self::body(&merged(&document(&body), &json!({"A": "<1>"})));
    for text in [
        "new &lt;1&gt;",
        "old &lt;1&gt;",
        "text &lt;1&gt;",
        "control &lt;1&gt;",
        "link &lt;1&gt;",
        " added &lt;1&gt;",
        "{{ Gone",
    ] {
        assert!(body.contains(text), "{text}: {body}");
    }
}

#[test]
fn footnotes_and_properties_are_merged_too() {
    let notes = part("footnotes", &format!("<w:footnote w:id=\"1\">{}</w:footnote>", paragraph("note {{ A }}")));
    let result = merged(&document_with(&paragraph("body"), &[("word/footnotes.xml", &notes)]), &json!({"A": "x"}));
    assert!(part_of(&result, "word/footnotes.xml").contains("note x"));
    assert!(part_of(&result, "word/document.xml").contains("body"));

    let template = made_by_python(
        "import sys, docx\nd = docx.Document()\nd.core_properties.title = 'Offer for {{ A }}'\nd.add_paragraph('{{ A }}')\nd.save(sys.argv[1])",
    );
    let read = read(&merged(&template, &json!({"A": "R&D\nLtd"})));
    assert_eq!((&read["title"], &read["paragraphs"]), (&json!("Offer for R&D Ltd"), &json!(["R&D\nLtd"])));
}

#[test]
fn line_breaks_and_tabs_of_a_value_become_elements_and_forbidden_characters_go() {
    let body = body(&merged(
        &document(&paragraph("[{{ A }}]")),
        &json!({"A": "1\r\n2\n3\t4\u{0}\u{1}0\u{2}\u{1f}\u{fffe}😀\u{c}5"}),
    ));
    assert!(
        body.contains(
            "[1</w:t><w:br/><w:t xml:space=\"preserve\">2</w:t><w:br/><w:t xml:space=\"preserve\">3</w:t><w:tab/><w:t xml:space=\"preserve\">40😀</w:t>\
             <w:br w:type=\"page\"/><w:t xml:space=\"preserve\">5]"
        ),
        "{body}"
    );
}

#[test]
fn a_value_is_never_markup_and_never_code() {
    for (template, value) in [
        ("{{ A }}", "</w:t></w:r></w:p><w:p/>"),
        ("{{ A | safe }}", "<w:br/>"),
        ("{{ A | e }}", "a & b"),
        ("{% set x %}<{{ A }}>{% endset %}{{ x }}", "&lt;"),
        ("{{ A }}", "{{ 7 * 7 }}{% endif %}"),
        ("{% filter lower %}{{ A }}{% endfilter %}", "\u{1}0\u{2}"),
        ("{{ A | replace('a', '<b>') }}", "a]]>"),
    ] {
        let result = merged(&document(&paragraph(template)), &json!({"A": value}));
        let paragraphs = read(&result)["paragraphs"].clone();
        assert_eq!(paragraphs.as_array().map(Vec::len), Some(1), "{template}: {paragraphs}");
    }
    let read = |template: &str, value: &str| {
        merged_paragraphs(&document(&paragraph(template)), &json!({"A": value}))[0].clone()
    };
    assert_eq!(read("{{ A | safe }}", "<w:br/>"), "<w:br/>");
    assert_eq!(read("{{ A | e }}", "a & b"), "a & b");
    assert_eq!(read("{% set x %}<{{ A }}>{% endset %}{{ x }}", "&lt;"), "<&lt;>");
}

#[test]
fn tags_alone_in_their_paragraphs_leave_no_line() {
    let template = document(&paragraphs(&[
        "before",
        "{% for item in items %}",
        "{% if item.n > 1 %}",
        "{{ loop.index }}: {{ item.n }}",
        "{% else %}",
        "one",
        "{% endif %}{% endfor %}",
        "{% set x = 5 %}",
        "{# a note #}",
        "after {{ x }}",
    ]));
    assert_eq!(
        merged_paragraphs(&template, &json!({"items": [{"n": 1}, {"n": 2}, {"n": 3}]})),
        json!(["before", "one", "2: 2", "3: 3", "after 5"])
    );
    assert_eq!(merged_paragraphs(&template, &json!({"items": []})), json!(["before", "after 5"]));
}

#[test]
fn a_block_from_the_start_of_a_paragraph_to_the_end_of_another_is_about_whole_paragraphs() {
    let template = document(&paragraphs(&[
        "{% for x in xs %}a {{ x }}",
        "b {{ x }}{% endfor %}",
        "{% if A %}yes",
        "really{% endif %}",
        "end",
    ]));
    assert_eq!(
        merged_paragraphs(&template, &json!({"xs": [1, 2], "A": false})),
        json!(["a 1", "b 1", "a 2", "b 2", "end"])
    );
    assert_eq!(merged_paragraphs(&template, &json!({"xs": [], "A": true})), json!(["yes", "really", "end"]));
}

#[test]
fn a_block_from_the_middle_of_a_paragraph_to_the_middle_of_another_joins_them_when_left_out() {
    let template = document(&paragraphs(&["one {% if A %}two", "three{% endif %} four"]));
    assert_eq!(merged_paragraphs(&template, &json!({"A": true})), json!(["one two", "three four"]));
    assert_eq!(merged_paragraphs(&template, &json!({"A": false})), json!(["one  four"]));
}

#[test]
fn a_block_over_several_runs_of_a_paragraph_keeps_the_formatting_of_each() {
    let body = format!(
        "<w:p>{}{}{}</w:p>",
        run("<w:b/>", "A{% for x in xs %}B"),
        run("<w:i/>", "{{ x }}"),
        run("<w:color w:val=\"FF0000\"/>", "C{% endfor %}D")
    );
    let read = read(&merged(&document(&body), &json!({"xs": [1, 2]})));
    assert_eq!(read["paragraphs"], json!(["AB1CB2CD"]));
    let formats: Vec<String> = read["runs"][0]
        .as_array()
        .expect("runs")
        .iter()
        .map(|run| {
            format!(
                "{}{}",
                run["text"].as_str().expect("text"),
                if run["bold"] == true {
                    "b"
                } else if run["italic"] == true {
                    "i"
                } else {
                    "c"
                }
            )
        })
        .collect();
    assert_eq!(formats, ["Ab", "Bb", "1i", "Cc", "Bb", "2i", "Cc", "Dc"]);
}

#[test]
fn rows_are_repeated_however_the_tags_stand_in_the_table() {
    let values = json!({"items": [{"a": "x", "b": 1}, {"a": "y", "b": 2}]});
    let expected = json!([[["Head", "Count"], ["x", "1"], ["y", "2"]]]);
    for rows in [
        // In rows of their own.
        vec![["Head", "Count"], ["{% for i in items %}", ""], ["{{ i.a }}", "{{ i.b }}"], ["{% endfor %}", ""]],
        // From the first cell to the last.
        vec![["Head", "Count"], ["{% for i in items %}{{ i.a }}", "{{ i.b }}{% endfor %}"]],
        // As docxtpl does.
        vec![["Head", "Count"], ["{%tr for i in items %}", ""], ["{{ i.a }}", "{{ i.b }}"], ["{%tr endfor %}", ""]],
        vec![["Head", "Count"], ["{%tr for i in items %}{{ i.a }}", "{{ i.b }}{%tr endfor %}"]],
    ] {
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 2]>::as_slice).collect();
        assert_eq!(read(&merged(&document(&table(&rows)), &values))["tables"], expected, "{rows:?}");
    }
}

#[test]
fn a_table_without_rows_goes_and_a_cell_without_paragraphs_gets_one() {
    let rows: &[&[&str]] = &[&["{%tr for i in items %}"], &["{{ i }}"], &["{%tr endfor %}"]];
    let empty = body(&merged(&document(&format!("{}{}", table(rows), paragraph("end"))), &json!({"items": []})));
    assert!(!empty.contains("w:tbl") && empty.contains("end"), "{empty}");
    let cell =
        format!("<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>", paragraphs(&["{%p if A %}", "yes", "{%p endif %}"]));
    assert!(body(&merged(&document(&cell), &json!({"A": false}))).contains("<w:tc><w:p/></w:tc>"));
    assert_eq!(read(&merged(&document(&cell), &json!({"A": true})))["tables"], json!([[["yes"]]]));
}

#[test]
fn cells_are_repeated_and_a_condition_takes_some_of_a_row() {
    let template = document(&table(&[
        &["{%tc for c in cs %}", "{{ c }}", "{%tc endfor %}"],
        &["a", "{% if A %}b", "c{% endif %}", "d"],
    ]));
    let text = body(&merged(&template, &json!({"cs": [1, 2, 3], "A": false})));
    assert_eq!(text.matches("<w:tc>").count(), 5, "{text}");
}

/// A complex `MERGEFIELD` as Word writes it, its instruction cut in two.
fn field(instruction: (&str, &str), result: &str) -> String {
    let char = |kind: &str| format!("<w:r><w:rPr><w:i/></w:rPr><w:fldChar w:fldCharType=\"{kind}\"/></w:r>");
    let code = |text: &str| {
        format!(
            "<w:r><w:rPr><w:i/></w:rPr><w:instrText xml:space=\"preserve\">{}</w:instrText></w:r>",
            text.replace('"', "&quot;")
        )
    };
    format!(
        "{}{}{}{}{result}{}",
        char("begin"),
        code(instruction.0),
        code(instruction.1),
        char("separate"),
        char("end")
    )
}

#[test]
fn merge_fields_give_way_to_their_value_in_the_formatting_of_their_result() {
    let body = format!(
        "<w:p>{}{}{}</w:p><w:p><w:fldSimple w:instr=\" MERGEFIELD  Start \\@ &quot;d MMMM yyyy&quot; \"><w:r><w:rPr><w:b/></w:rPr><w:t>«Start»</w:t></w:r></w:fldSimple>{}</w:p>",
        run("", "Dear "),
        field(
            (" MERGEFIELD \"Fir", "st name\" \\* Upper \\b \"Dr. \" \\f , "),
            &format!("{}<w:proofErr w:type=\"spellStart\"/>{}", run("<w:b/>", "«First"), run("<w:b/>", "_name»"))
        ),
        run("", "!"),
        field((" MERGEFIELD Salary \\* CHARFORMAT", " \\# \"#,##0.00\" "), &run("<w:b/>", "«Salary»")),
    );
    let template = document(&body);
    let result = merged(&template, &json!({"First name": "ada", "Start": "2027-02-18", "Salary": 67000.5}));
    let read = read(&result);
    assert_eq!(read["paragraphs"], json!(["Dear Dr. ADA,!", "18 February 202767,000.50"]));
    assert_eq!((&read["runs"][0][1]["bold"], &read["runs"][0][1]["italic"]), (&json!(true), &json!(null)));
    assert_eq!((&read["runs"][1][0]["bold"], &read["runs"][1][1]["italic"]), (&json!(true), &json!(true)));
    let text = self::body(&result);
    assert!(!text.contains("fld") && !text.contains("instrText") && !text.contains('«'), "{text}");
}

#[test]
fn an_empty_merge_field_takes_its_surrounding_text_with_it_or_is_an_error() {
    let with = document(&format!("<w:p>{}</w:p>", field((" MERGEFIELD Title", " \\f \" \" "), &run("", "«Title»"))));
    assert_eq!(merged_paragraphs(&with, &json!({"Title": null})), json!([""]));
    let without = compiled(&document(&format!(
        "<w:p>{}</w:p>",
        field((" MERGEFIELD", " First_name "), &run("", "«First_name»"))
    )));
    let error = without.check(&row(&json!({"First name": null}))).expect_err("no value").to_string();
    assert!(
        error.contains("the merge field `First_name` has no value")
            && error.contains("body, paragraph \"«First_name»\""),
        "{error}"
    );
    assert!(without.check(&row(&json!({"First name": "Ada"}))).is_ok());
    let used: Vec<String> =
        without.usage().flat_map(|(_, usage)| &usage.columns).map(|column| column.name.clone()).collect();
    assert_eq!(used, ["First_name"]);
}

#[test]
fn a_field_that_word_alone_could_compute_is_a_mistake() {
    let nested = field((" MERGEFIELD", " Sex "), &run("", "«Sex»"));
    let body = format!(
        "<w:p><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText> IF </w:instrText></w:r>{nested}<w:r><w:instrText> = \"f\" \"Ms\" \"Mr\"</w:instrText></w:r>\
         <w:r><w:fldChar w:fldCharType=\"separate\"/></w:r>{}<w:r><w:fldChar w:fldCharType=\"end\"/></w:r></w:p><w:p><w:fldSimple w:instr=\" ADDRESSBLOCK \"/></w:p>",
        run("", "Ms")
    );
    let found = mistakes(&document(&body));
    assert!(found[0].contains("the field IF is not merged") && found[0].contains("{% if"), "{found:?}");
    // Other fields stay.
    let page = document("<w:p><w:fldSimple w:instr=\" PAGE \"><w:r><w:t>1</w:t></w:r></w:fldSimple></w:p>");
    assert!(self::body(&merged(&page, &json!({}))).contains(" PAGE "));
}

#[test]
fn placeholders_in_the_address_of_a_link_field_are_merged() {
    let template = document(&format!(
        "<w:p>{}</w:p>",
        field((" HYPERLINK \"mailto:{{ Ma", "il }}\" "), &run("", "write to {{ Mail }}"))
    ));
    let body = body(&merged(&template, &json!({"Mail": "a&b@example.com"})));
    assert!(
        body.contains("HYPERLINK &quot;mailto:a&amp;b@example.com<") && body.contains("write to a&amp;b@example.com"),
        "{body}"
    );
}

#[test]
fn mistakes_name_the_part_and_the_paragraph() {
    for (text, wanted) in [
        ("Dear {{ Name, welcome", "`{{ Name, welcome` is not closed with `}}`"),
        ("Dear { Name }}", "`}}` closes nothing"),
        ("{% if Name %}Dear", "{% if Name %} is never closed: add {% endif %}"),
        ("Dear {% endif %}", "closes a block that was never opened"),
        ("{% for a in b %}{% endif %}", "stands where {% endfor %} is expected"),
        ("{% else %}", "outside of any {% if %}"),
        ("{{ Name | }}", "unexpected"),
        ("{{ Name | uper }}", "there is no filter `uper`; did you mean `upper`?"),
        ("{% include 'x' %}", "is not available"),
        ("{% unknown %}", "unknown statement"),
    ] {
        let found = mistakes(&document(&format!("{}{}", paragraph("first"), paragraph(text))));
        assert!(
            found.len() == 1 && found[0].contains(wanted) && found[0].contains("body, paragraph \""),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn all_parts_with_mistakes_are_named_at_once() {
    let notes = part("footnotes", &format!("<w:footnote w:id=\"1\">{}</w:footnote>", paragraph("{{ a")));
    let found = mistakes(&document_with(&paragraph("{{ b"), &[("word/footnotes.xml", &notes)]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().any(|mistake| mistake.starts_with("footnotes (word/footnotes.xml), paragraph \"{{ a\"")),
        "{found:?}"
    );
}

#[test]
fn blocks_that_could_break_the_document_are_mistakes() {
    for body in [
        format!("{}{}", paragraph("{% if A %}"), table(&[&["a", "b {% endif %} c"]])),
        table(&[&["x {% if A %} y", "b"], &["a", "b {% endif %} c"]]),
        format!("{}{}", paragraph("{% macro m() %}"), paragraphs(&["text", "{% endmacro %}", "{{ m() }}"])),
        paragraphs(&["{% for x in xs %}", "text {% break %} more", "{% endfor %}"]),
        paragraphs(&["{% set x %}", "text", "{% endset %}"]),
    ] {
        assert_eq!(mistakes(&document(&body)).len(), 1, "{body}");
    }
}

#[test]
fn a_row_that_does_not_fit_is_an_error_with_its_paragraph() {
    let template =
        compiled(&document(&paragraphs(&["Dear {{ Name }}", "{% for x in range(99999999) %}{{ x }}{% endfor %}"])));
    let error = template.render(&row(&json!({"Nam": "x"}))).expect_err("missing").to_string();
    assert!(error.starts_with("body, paragraph \"Dear {{ Name }}\": `Name` has no value"), "{error}");
    let error = template.check(&row(&json!({"Name": "x"}))).expect_err("endless").to_string();
    assert!(error.contains("{% for x in range(99999999) %}"), "{error}");
}

#[test]
fn errors_of_every_kind_of_placeholder_name_its_own_paragraph() {
    for code in [
        "{% for x in 5 %}{{ x }}{% endfor %}",
        "{% if A.b.c %}x{% endif %}",
        "{{ A / 0 }}",
        "{% set a, b = 1 %}",
        "{{ A | number }}",
        "{{ nothing }}",
        "{% for x in nothing %}{% endfor %}",
        "{{ A() }}",
        "{% for x in range(99999999) %}{% endfor %}",
    ] {
        let texts = ["{{ A }}", "{% if A %}", "before {{ A }}", code, "after {{ A }}", "{% endif %}"];
        let error =
            compiled(&document(&paragraphs(&texts))).check(&row(&json!({"A": "a"}))).expect_err(code).to_string();
        assert!(error.starts_with(&format!("body, paragraph \"{code}\": ")), "{code}: {error}");
    }
}
