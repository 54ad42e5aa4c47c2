//! The template language by its public API: what a row's values become, and what is refused.

use campaign::Fields;
use letter::{Engine, Escape, Rows, TemplateError};
use serde_json::json;

fn fields() -> Fields {
    let value = json!({
        "Name": "Ada O'Neil <ada>",
        "First name": "Ada",
        "Salary": 88250.25,
        "Bonus": 67000,
        "Start": "2027-02-18",
        "At": "2027-02-18T09:30:00",
        "Note": null,
        "Remote": true,
        "2nd": "second",
        "address": {"city": "Zürich", "zip": null},
        "items": [{"name": "a"}, {"name": "b"}],
        "About": "about 67k",
        "namespace": null
    });
    value.as_object().expect("an object").clone()
}

fn compiled(source: &str, escape: Escape) -> letter::Template {
    Engine::new().compile(source, escape).unwrap_or_else(|errors| panic!("{source}: {errors:?}"))
}

fn rendered(source: &str) -> Result<String, TemplateError> {
    compiled(source, Escape::None).render(&Rows::default().row(&fields()))
}

#[test]
fn values_are_written_as_the_list_has_them() {
    for (source, expected) in [
        ("Dear {{ Name }},", "Dear Ada O'Neil <ada>,"),
        ("{{ First_name }} {{ row[\"First name\"] }} {{ row.Bonus }}", "Ada Ada 67000"),
        ("{{ _2nd }}", "second"),
        ("{{ Salary }} {{ Bonus }} {{ Remote }}", "88250.25 67000 True"),
        ("{{ address.city }}", "Zürich"),
        ("{% for item in items %}{{ item.name }};{% endfor %}", "a;b;"),
        ("{{ Note | default('none') }}{{ Gone | d('gone') }}", "nonegone"),
        ("{% if Note %}x{% else %}y{% endif %}{{ 'z' if Note is none }}", "yz"),
        ("{{ 'defined' if Note is defined else 'not' }}", "not"),
        (
            "{{ Start | date }}; {{ Start | date('%d.%m.%Y') }}; {{ At | date('%H:%M') }}",
            "18 February 2027; 18.02.2027; 09:30",
        ),
        (
            "{{ Bonus | number }} {{ Salary | number(1) }} {{ Salary|number(2, group='.', point=',') }}",
            "67,000 88,250.3 88.250,25",
        ),
        ("{{ Salary | number(decimals=0) }}", "88,250"),
        ("{{ Bonus | currency('EUR') }} {{ Bonus | currency('JPY') }}", "EUR 67,000.00 JPY 67,000"),
        ("{{ Salary | currency('EUR', symbol=true) }} {{ -5 | currency('USD', symbol=true) }}", "€88,250.25 -$5.00"),
        ("{{ '12.50' | number(2) }}", "12.50"),
        ("{{ Name | urlencode }}", "Ada%20O%27Neil%20%3Cada%3E"),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn values_in_html_are_escaped_and_addresses_stay_readable() {
    let template =
        compiled("<a href=\"{{ u }}\">{{ Name }}</a>{% set x %}<b>{{ Name }}</b>{% endset %}{{ x }}", Escape::Html);
    let mut fields = fields();
    fields.insert("u".to_owned(), json!("https://example.com/?a=1&b=\"2\""));
    let text = template.render(&Rows::default().row(&fields)).expect("it renders");
    assert_eq!(
        text,
        "<a href=\"https://example.com/?a=1&amp;b=&quot;2&quot;\">Ada O&#39;Neil &lt;ada&gt;</a><b>Ada O&#39;Neil &lt;ada&gt;</b>"
    );
}

#[test]
fn a_missing_value_is_an_error_that_names_it_and_its_line() {
    for (source, missing, line) in [
        ("a\n{{ Note }}", "Note", 2),
        ("{{ Gone }}", "Gone", 1),
        ("{{ Note | upper }}", "Note", 1),
        ("{{ Note | number }}", "Note", 1),
        ("{{ Note | date }}", "Note", 1),
        ("\n\n{{ address.zip }}", "address.zip", 3),
        ("{{ Name ~ Note }}", "Note", 1),
        ("{% if Note == 'x' %}{% endif %}", "Note", 1),
        ("{{ row['Gone'] }}", "row['Gone']", 1),
        ("{% for x in Note %}{% endfor %}", "Note", 1),
        ("{{ namespace }}", "namespace", 1),
        ("{% set x = Note %}\n{{ x }}", "Note", 2),
    ] {
        let error = rendered(source).expect_err(source);
        assert_eq!((error.missing.as_deref(), error.line), (Some(missing), Some(line)), "{source}: {error:?}");
    }
}

#[test]
fn a_value_that_does_not_fit_a_filter_is_an_error_that_names_the_expression() {
    for (source, expected) in [
        ("{{ About | number }}", "`About | number`: \"about 67k\" is not a number"),
        ("{{ About | currency('EUR') }}", "`About | currency('EUR')`: \"about 67k\" is not a number"),
        ("{{ Name | date }}", "`Name | date`: \"Ada O'Neil <ada>\" is not a date"),
        ("{{ Bonus | currency('Euro') }}", "\"Euro\" is not a currency"),
        ("{{ Start | date('%Q') }}", "can't be written as \"%Q\""),
        ("{{ Bonus | number(2, grop='.') }}", "grop"),
        ("{{ Bonus | number(99999999) }}", "at most 20 decimals"),
    ] {
        let error = rendered(source).expect_err(source);
        assert!(error.message.contains(expected), "{source}: {error:?}");
    }
}

#[test]
fn an_endless_template_ends_with_an_error() {
    for (source, expected) in [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "not at its end after 500000 steps",
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{% set x = 'abcdefgh' * 100000 %}{% for a in range(9999) %}{{ x }}{% endfor %}", "larger than 32 MiB"),
    ] {
        let error = rendered(source).expect_err(source);
        assert!(error.message.contains(expected), "{source}: {error:?}");
    }
}

#[test]
fn mistakes_are_found_without_a_row_each_with_its_line() {
    for (source, line, expected) in [
        ("a\n\n{{ Name ", 3, "expected"),
        ("{% if Name %}", 1, "expected"),
        ("a\n{{ Name | uper }}", 2, "no filter `uper`; did you mean `upper`?"),
        ("a\n{{ Name is strng }}", 2, "no test `strng`; did you mean `string`?"),
        ("{% include 'x' %}", 1, "include"),
        ("{% extends 'x' %}", 1, "extends"),
    ] {
        let errors = Engine::new().compile(source, Escape::None).map(|_| ()).expect_err(source);
        assert!(errors[0].message.contains(expected), "{source}: {errors:?}");
        assert_eq!(errors[0].line, Some(line), "{source}: {errors:?}");
    }
}

#[test]
fn the_columns_that_a_template_needs_are_known_without_a_row() {
    for (source, expected) in [
        ("{{ A }}\n{{ B.c }}{{ A }}", "A:1 B:2"),
        ("{{ row['First name'] }}{{ row.X }}", "First name:1 X:1"),
        ("{{ A | default('x') }}{{ B is defined }}{{ C | upper | default('x') }}", "C:1"),
        ("{% if A is defined %}{{ A }}{% endif %}{{ A }}", "A:1"),
        ("{% if A is defined and B %}{{ A }}{% endif %}", "B:1"),
        ("{% for x in xs if x > Y %}{{ x }}{{ loop.index }}{% endfor %}", "Y:1 xs:1"),
        ("{% set a = B %}{{ a }}{% with c = D %}{{ c }}{% endwith %}", "B:1 D:1"),
        ("{% macro m(a, b=C) %}{{ a }}{{ b }}{% endmacro %}{{ m(D) }}", "C:1 D:1"),
        ("{% if A %}{% set x = 1 %}{% endif %}{{ x }}", "A:1"),
        ("{{ A if B else C }}{{ D[E] }}{{ range(F) }}{{ namespace() }}", "A:1 B:1 C:1 D:1 E:1 F:1"),
        ("plain", ""),
    ] {
        let mut columns: Vec<String> = compiled(source, Escape::None)
            .usage()
            .columns
            .iter()
            .map(|column| format!("{}:{}", column.name, column.line))
            .collect();
        columns.sort();
        assert_eq!(columns.join(" "), expected, "{source}");
    }
    assert_eq!(compiled("{{ today() }}", Escape::None).usage().functions[0].name, "today");
    assert_eq!(compiled("plain {# but this #}", Escape::None).constant(), Some("plain "));
    assert_eq!(compiled("{{ A }}", Escape::None).constant(), None);
}
