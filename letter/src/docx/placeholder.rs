//! Finds the placeholders in the text of a paragraph, and reads them as a person meant them: Word's curly quotes and non-breaking spaces are
//! plain ones, docxtpl's prefixes (`{%p`, `{%tr`, `{%tc`, `{%r`, `{{r`) say how much of the document belongs to a tag.

use std::ops::Range;

/// A piece of template code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) kind: CodeKind,
    /// What stands between the delimiters, as the template language reads it.
    pub(super) source: String,
    /// The part of the document that the tag takes the place of, if it says so.
    pub(super) level: Option<Level>,
    /// `{%-` at the start of its paragraph: joins it to the one before.
    pub(super) joins_before: bool,
    /// `-%}` at the end of its paragraph: joins the next one to it.
    pub(super) joins_after: bool,
    /// The text of its paragraph, for messages.
    pub(super) paragraph: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CodeKind {
    /// `{{ … }}`.
    Value,
    /// `{% word … %}`.
    Tag(String),
    /// `{# … #}`: stands for nothing.
    Comment,
    /// Stands for its text as it is: `{_{` is `{{`.
    Literal,
}

/// What a docxtpl tag takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Paragraph,
    Row,
    Cell,
}

impl Level {
    /// The element's name.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Paragraph => "p",
            Self::Row => "tr",
            Self::Cell => "tc",
        }
    }
}

impl Code {
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            CodeKind::Tag(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is_content(&self) -> bool {
        matches!(self.kind, CodeKind::Value | CodeKind::Literal)
    }
}

/// A placeholder in a paragraph's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The octets of the text that it takes the place of.
    pub(super) range: Range<usize>,
    /// Where it begins: the run there gives the formatting.
    pub(super) at: usize,
    pub(super) code: Code,
}

/// docxtpl's way to write the delimiters themselves.
const ESCAPES: [(&str, &str); 4] = [("{_{", "{{"), ("}_}", "}}"), ("{_%", "{%"), ("%_}", "%}")];

/// All placeholders of a paragraph. `raw` tells whether `{% raw %}` is open, and is kept from one paragraph to the next.
pub(super) fn find(text: &str, raw: &mut bool) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(['{', '}', '%', '#']).map(|offset| at + offset) {
        let rest = &text[start..];
        if *raw {
            let Some(end) = end_of_raw(rest) else {
                at = start + 1;
                continue;
            };
            *raw = false;
            found.push(Found { range: start..start + end, at: start, code: code(CodeKind::Comment, "") });
            at = start + end;
        } else if let Some((written, meant)) = ESCAPES.iter().find(|(written, _)| rest.starts_with(written)) {
            found.push(Found { range: start..start + written.len(), at: start, code: code(CodeKind::Literal, meant) });
            at = start + written.len();
        } else if let Some(close) = closing(rest) {
            let length = length(rest, close).ok_or_else(|| unclosed(rest, close))?;
            let placeholder = read(text, start..start + length);
            *raw = matches!(placeholder.code.word(), Some("raw" | "verbatim"));
            at = placeholder.range.end;
            found.push(if *raw { Found { code: code(CodeKind::Comment, ""), ..placeholder } } else { placeholder });
        } else if let Some(stray) = ["}}", "%}", "#}"].into_iter().find(|stray| rest.starts_with(stray)) {
            return Err(format!(
                "`{stray}` closes nothing. Write the placeholder as {{{{ Name }}}}, or `}}_}}` and `%_}}` where the braces themselves are meant"
            ));
        } else {
            at = start + 1;
        }
    }
    Ok(found)
}

fn code(kind: CodeKind, source: &str) -> Code {
    let source = source.to_owned();
    Code { kind, source, level: None, joins_before: false, joins_after: false, paragraph: String::new() }
}

fn closing(rest: &str) -> Option<&'static str> {
    match rest.as_bytes().get(..2)? {
        b"{{" => Some("}}"),
        b"{%" => Some("%}"),
        b"{#" => Some("#}"),
        _ => None,
    }
}

fn unclosed(rest: &str, close: &str) -> String {
    let start = super::error::shortened(rest);
    format!("`{start}` is not closed with `{close}` in the same paragraph")
}

/// How long the raw stretch's end tag is, if one begins here.
fn end_of_raw(rest: &str) -> Option<usize> {
    let length = rest.starts_with("{%").then(|| length(rest, "%}"))??;
    let inner = plain(&rest[2..length - 2]);
    matches!(inner.trim().trim_matches(['-', '+']).trim(), "endraw" | "endverbatim").then_some(length)
}

const DOUBLE: [char; 5] = ['"', '“', '”', '„', '‟'];
const SINGLE: [char; 5] = ['\'', '‘', '’', '‚', '‛'];

fn quotes(c: char) -> Option<&'static [char; 5]> {
    [&DOUBLE, &SINGLE].into_iter().find(|class| class.contains(&c))
}

/// The length of the placeholder at the start of `rest`; a closing delimiter within a string doesn't count.
fn length(rest: &str, close: &str) -> Option<usize> {
    let plain_end = rest.get(2..)?.find(close).map(|end| end + 2 + close.len())?;
    if close == "#}" {
        return Some(plain_end);
    }
    let mut open: Option<&[char; 5]> = None;
    let mut braces = 0_usize;
    for (at, c) in rest.char_indices().skip(2) {
        match open {
            Some(class) if class.contains(&c) => open = None,
            Some(_) => {}
            None if close == "}}" && c == '{' => braces += 1,
            None if close == "}}" && c == '}' && braces > 0 => braces -= 1,
            None if rest[at..].starts_with(close) => return Some(at + close.len()),
            None => open = quotes(c),
        }
    }
    // An apostrophe that opens nothing: then the first closing delimiter is the end.
    Some(plain_end)
}

/// Curly quotes around strings and special spaces are read as plain ones; what can't be seen is left out.
fn plain(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut open: Option<(&[char; 5], bool)> = None;
    for (at, c) in inner.char_indices() {
        match c {
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' | '\t' | '\n' | '\r' => text.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\0'..='\u{1f}' => {}
            c => match (open, quotes(c)) {
                // A string that began with a straight quote ends with one, if there is one: “it’s” is text in it.
                (Some((class, straight)), Some(this)) if class == this => {
                    let ends = c == class[0] || !straight || !inner[at..].contains(class[0]);
                    text.push(if ends { class[0] } else { c });
                    open = if ends { None } else { open };
                }
                (None, Some(class)) => {
                    text.push(class[0]);
                    open = Some((class, c == class[0]));
                }
                _ => text.push(c),
            },
        }
    }
    text
}

/// Reads one placeholder.
fn read(text: &str, range: Range<usize>) -> Found {
    let whole = &text[range.clone()];
    let inner = plain(&whole[2..whole.len() - 2]);
    let (before, inner) = strip_dash(&inner, |text| text.strip_prefix('-'), |text| text.strip_prefix('+'));
    let (after, inner) = strip_dash(inner, |text| text.strip_suffix('-'), |text| text.strip_suffix('+'));
    let is_tag = whole.starts_with("{%");
    let is_value = whole.starts_with("{{");
    let (level, source) = if before { (None, inner) } else { level(inner, is_value) };
    let source = source.trim();
    let kind = match () {
        () if is_tag => CodeKind::Tag(
            source.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned(),
        ),
        () if is_value => CodeKind::Value,
        () => CodeKind::Comment,
    };
    let mut placeholder = Code { level: level.filter(|_| !is_value), ..code(kind, source) };
    let (mut start, mut end) = (range.start, range.end);
    if before {
        start = text[..start].trim_end().len();
        placeholder.joins_before = start == 0;
    }
    if after {
        end = text.len() - text[end..].trim_start().len();
        placeholder.joins_after = end == text.len();
    }
    Found { range: start..end, at: range.start, code: placeholder }
}

fn strip_dash<'a>(
    text: &'a str,
    dash: impl Fn(&'a str) -> Option<&'a str>,
    plus: impl Fn(&'a str) -> Option<&'a str>,
) -> (bool, &'a str) {
    match dash(text) {
        Some(rest) => (true, rest),
        None => (false, plus(text).unwrap_or(text)),
    }
}

/// docxtpl's prefix, directly behind the opening delimiter and before a space.
fn level(inner: &str, is_value: bool) -> (Option<Level>, &str) {
    let prefixes = [("tr", Some(Level::Row)), ("tc", Some(Level::Cell)), ("p", Some(Level::Paragraph)), ("r", None)];
    for (prefix, level) in prefixes {
        if let Some(rest) = inner.strip_prefix(prefix).filter(|rest| rest.starts_with(' ')) {
            let next = rest.trim_start().chars().next();
            // `{{r | upper}}` and `{{p }}` are about a column of that name.
            if next.is_some_and(|next| !is_value || next.is_alphanumeric() || "_\"'([".contains(next)) {
                return (level, rest);
            }
        }
    }
    (None, inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<(String, String)> {
        find(text, &mut false)
            .expect("readable")
            .into_iter()
            .map(|found| (text[found.range].to_owned(), found.code.source))
            .collect()
    }

    #[test]
    fn placeholders_are_found_with_their_inner_text() {
        assert_eq!(sources("Dear {{ Name }},"), [("{{ Name }}".to_owned(), "Name".to_owned())]);
        assert_eq!(sources("{% if a %}x{%endif%}").len(), 2);
        assert_eq!(sources("{# note #}")[0].1, "note");
        assert_eq!(sources("{ not one } and 5 % {"), []);
    }

    #[test]
    fn a_closing_delimiter_within_a_string_or_a_mapping_does_not_close() {
        assert_eq!(sources(r#"{{ "}}" }}!"#)[0].1, r#""}}""#);
        assert_eq!(sources("{{ {'a': {'b': 1}}['a'] }}")[0].1, "{'a': {'b': 1}}['a']");
        assert_eq!(sources("{{ Name’s }} and ‘x’")[0].1, "Name's");
    }

    #[test]
    fn curly_quotes_and_special_spaces_are_plain_inside() {
        assert_eq!(
            sources("{{\u{a0}Start\u{202f}|\u{a0}date(“%d %B %Y”)\u{200b} }}")[0].1,
            r#"Start | date("%d %B %Y")"#
        );
        assert_eq!(sources("{{ X | default(„–“) }}")[0].1, r#"X | default("–")"#);
        assert_eq!(sources("{% if a == ‘it’ %}")[0].1, "if a == 'it'");
        assert_eq!(sources("{{ \"it’s\" }}")[0].1, "\"it’s\"");
    }

    #[test]
    fn prefixes_of_docxtpl_name_a_level() {
        let levels = |text: &str| find(text, &mut false).expect("readable").remove(0).code;
        assert_eq!(levels("{%p if a %}").level, Some(Level::Paragraph));
        assert_eq!(levels("{%tr for x in xs %}").level, Some(Level::Row));
        assert_eq!(levels("{%tc for x in xs %}").word(), Some("for"));
        assert_eq!(levels("{%r if a %}").source, "if a");
        assert_eq!(levels("{{r Name }}").source, "Name");
        assert_eq!(levels("{{r }}").source, "r");
        assert_eq!(levels("{{p | upper }}").source, "p | upper");
        assert_eq!(levels("{{ tr }}").source, "tr");
        assert_eq!(levels("{%print x %}").word(), Some("print"));
    }

    #[test]
    fn an_unclosed_or_unopened_placeholder_is_a_mistake() {
        assert!(find("Dear {{ Name }, hello", &mut false).expect_err("unclosed").contains("{{ Name }, hello"));
        assert!(find("Dear { Name }}", &mut false).expect_err("unopened").contains("closes nothing"));
    }

    #[test]
    fn escaped_and_raw_delimiters_stay_text() {
        assert_eq!(sources("{_{ x }_}"), [("{_{".to_owned(), "{{".to_owned()), ("}_}".to_owned(), "}}".to_owned())]);
        let mut raw = false;
        assert_eq!(find("{% raw %}{{ a }}", &mut raw).expect("readable").len(), 1);
        assert!(raw);
        assert_eq!(find("{{ b }}{% endraw %}{{ c }}", &mut raw).expect("readable").len(), 2);
        assert!(!raw);
    }

    #[test]
    fn dashes_take_the_space_beside_them() {
        assert_eq!(sources("a  {%- if x -%}  b")[0], ("  {%- if x -%}  ".to_owned(), "if x".to_owned()));
        let code = find(" {%- if x %}b", &mut false).expect("readable").remove(0).code;
        assert!(code.joins_before && !code.joins_after);
    }
}
