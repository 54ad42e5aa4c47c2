//! The DOCX merge next to other programs: docxtpl merges the same templates, LibreOffice shows the results.

use crate::tools::*;
use serde_json::{Value, json};

/// What both make of a template, as python-docx reads it.
fn both(template: &[u8], values: &Value) -> (Value, Value) {
    let seen = |document: &[u8]| {
        let read = read(document);
        json!({"paragraphs": read["paragraphs"], "tables": read["tables"]})
    };
    (seen(&merged(template, values)), seen(&merged_by_docxtpl(template, values)))
}

#[test]
fn templates_in_the_spelling_of_docxtpl_give_what_docxtpl_gives() {
    let values = json!({"Name": "Ada & <Co>", "town": true, "no": false, "items": [{"d": "x", "p": 1}, {"d": "y", "p": 2}], "cols": ["A", "B", "C"], "colour": "FF0000"});
    let rows = |rows: &[&[&str]]| table(rows);
    for (what, body) in [
        ("values", paragraphs(&["Dear {{ Name }},", "{{ Name|e }} and {{ items[0].d }}"])),
        ("paragraphs", paragraphs(&["{%p if town %}", "in town", "{%p else %}", "outside", "{%p endif %}", "end"])),
        ("a paragraph's loop", paragraphs(&["{%p for i in items %}", "{{ i.d }}: {{ i.p }}", "{%p endfor %}"])),
        (
            "nested",
            paragraphs(&[
                "{%p for i in items %}",
                "{%p if i.p == 2 %}",
                "two",
                "{%p endif %}",
                "{{ i.d }}",
                "{%p endfor %}",
            ]),
        ),
        ("inline", paragraphs(&["a {% if no %}b{% else %}c{% endif %} d {% for i in items %}[{{ i.d }}]{% endfor %}"])),
        (
            "dashes",
            paragraphs(&[
                "My house is",
                "{%- if town -%}",
                " in town",
                "{%- else -%}",
                " outside",
                "{%- endif -%}",
                " and I love it.",
            ]),
        ),
        (
            "rows",
            rows(&[
                &["h", "i"],
                &["{%tr for i in items %}", ""],
                &["{{ i.d }}", "{{ i.p }}"],
                &["{%tr endfor %}", ""],
                &["f", "g"],
            ]),
        ),
        ("rows by condition", rows(&[&["a"], &["{%tr if no %}"], &["b"], &["{%tr endif %}"], &["c"]])),
        ("columns", rows(&[&["{%tc for c in cols %}", "{{ c }}", "{%tc endfor %}"]])),
        (
            "vertically merged",
            rows(&[&["{%tr for i in items %}", ""], &["{% vm %}all", "{{ i.d }}"], &["{%tr endfor %}", ""]]),
        ),
        ("horizontally merged", rows(&[&["{%tc for c in cols %}", "{% hm %}all", "{%tc endfor %}"], &["x", "y", "z"]])),
        ("spans and colours", rows(&[&["{% colspan 2 %}wide"], &["{% cellbg colour %}red"]])),
        ("escapes", paragraphs(&["{_{ Name }_} {_% if %_}"])),
        ("comments", paragraphs(&["a{# note #}b", "{#p note #}", "c"])),
        ("quotes", paragraphs(&["{{ “x” ~ ‘y’ }}"])),
        ("set", paragraphs(&["{%p set total = 3 %}", "{{ total * 2 }}"])),
        (
            "runs",
            format!(
                "<w:p>{}{}{}</w:p>",
                run("<w:b/>", "a{%r if town %}"),
                run("<w:i/>", "b"),
                run("", "{%r endif %}c")
            ),
        ),
    ] {
        let (ours, theirs) = both(&document(&body), &values);
        assert_eq!(ours, theirs, "{what}");
    }
}

#[test]
fn libreoffice_shows_the_values_of_a_merged_document() {
    let default = made_by_python(
        "import sys, docx\nd = docx.Document()\nd.add_heading('Offer for {{ Name }}')\nd.add_paragraph('{{ City }}', style='List Bullet')\nt = d.add_table(1, 2)\n\
         t.cell(0, 0).text = '{% for i in items %}{{ i }}'\nt.cell(0, 1).text = 'row{% endfor %}'\nd.save(sys.argv[1])",
    );
    let mut values = offer();
    values["items"] = json!(["first", "second", "third\nline"]);
    let offer_letter = merged(include_bytes!("../data/offer_template.docx"), &values);
    let list = merged(&default, &values);
    let texts = pdf_texts(&[&offer_letter, &list]).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    for wanted in [
        "Dear Zoë <O'Brien> & Søn,",
        "Engineer in Zürich",
        "18 February 2027",
        "67,000 CHF",
        "R&D-17",
        "Confidential, for Zoë",
    ] {
        assert!(texts[0].contains(wanted), "{wanted}: {}", texts[0]);
    }
    for wanted in ["Offer for Zoë", "Zürich", "first", "second", "third", "line"] {
        assert!(texts[1].contains(wanted), "{wanted}: {}", texts[1]);
    }
    assert!(!texts.concat().contains(['{', '}']), "{texts:?}");
}
