//! Word's own mail merge: `MERGEFIELD` (ECMA-376 Part 1, 17.16.5.35), in its simple and its complex form. The field goes, its result's run stays.

use super::{
    error::{Error, PartName, shortened},
    paragraph::{Atom, AtomKind, atoms, preserve_space, remove, text_of},
    picture,
    placeholder::{Code, CodeKind},
    xml::{Element, Id, Kind, Tree},
};

/// What a `MERGEFIELD` asks for beside the column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) column: String,
    /// `\b`: written before a value that isn't empty.
    pub(super) before: Option<String>,
    /// `\f`: written behind it.
    pub(super) behind: Option<String>,
    pub(super) case: Option<Case>,
    /// `\#`.
    pub(super) number: Option<String>,
    /// `\@`, as a `strftime` format.
    pub(super) date: Option<String>,
    /// `\* CHARFORMAT`: formatted as the field's name is, not as its result.
    pub(super) as_name: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    /// The first letter of the text.
    First,
    /// The first letter of each word.
    Words,
}

/// Stands in an instruction for a merge field within it.
const NESTED: char = '\u{13}';

/// Fields of Word's mail merge that have no meaning here, and what stands for them.
const UNSUPPORTED: [(&str, &str); 11] = [
    ("ADDRESSBLOCK", "write the address with one placeholder a line"),
    ("GREETINGLINE", "write the greeting with {% if … %} and placeholders"),
    ("NEXT", "a letter has one recipient"),
    ("NEXTIF", "a letter has one recipient"),
    ("SKIPIF", "leave the row out of the list"),
    ("MERGEREC", "put the number into a column"),
    ("MERGESEQ", "put the number into a column"),
    ("ASK", "put the text into a column"),
    ("FILLIN", "put the text into a column"),
    ("IF", "write {% if Column == \"x\" %}…{% else %}…{% endif %}"),
    ("SET", "write {% set name = … %}"),
];

impl Field {
    /// Reads an instruction. None if it is another field than those of the mail merge.
    pub(super) fn parse(instruction: &str) -> Result<Option<Self>, String> {
        let words = words(instruction);
        let mut words = words.iter().map(String::as_str);
        let name = words.next().unwrap_or_default();
        if let Some((_, instead)) = UNSUPPORTED.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
            // An IF that isn't about merged values is Word's own business.
            let is_word_s_own = ["IF", "SET"].iter().any(|field| field.eq_ignore_ascii_case(name));
            let is_merged = !is_word_s_own || instruction.contains(NESTED);
            return if is_merged { Err(format!("the field {name} is not merged: {instead}")) } else { Ok(None) };
        }
        if !name.eq_ignore_ascii_case("MERGEFIELD") {
            return Ok(None);
        }
        let column =
            words.next().filter(|column| !column.starts_with('\\')).ok_or("a MERGEFIELD without a column name")?;
        let mut field = Self { column: column.to_owned(), ..Self::default() };
        while let Some(switch) = words.next() {
            let mut argument = || words.next().map(str::to_owned);
            match switch.to_ascii_lowercase().as_str() {
                "\\b" => field.before = argument(),
                "\\f" => field.behind = argument(),
                "\\#" => field.number = argument(),
                "\\@" => field.date = argument().map(|picture| picture::strftime(&picture)),
                "\\*" => field.format(&argument().unwrap_or_default())?,
                "\\m" | "\\v" => {}
                other => return Err(format!("a MERGEFIELD with the unknown switch {other}; remove it")),
            }
        }
        Ok(Some(field))
    }

    fn format(&mut self, name: &str) -> Result<(), String> {
        match name.to_ascii_lowercase().as_str() {
            "upper" => self.case = Some(Case::Upper),
            "lower" => self.case = Some(Case::Lower),
            "firstcap" => self.case = Some(Case::First),
            "caps" => self.case = Some(Case::Words),
            "charformat" => self.as_name = true,
            "mergeformat" => {}
            other => {
                return Err(format!(
                    "a MERGEFIELD with \\* {other}: Upper, Lower, FirstCap, Caps, MERGEFORMAT and CHARFORMAT are known"
                ));
            }
        }
        Ok(())
    }
}

impl Case {
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::First => capitalised(text),
            Self::Words => text.split_inclusive(char::is_whitespace).map(capitalised).collect(),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The words of an instruction; one in quotes (also curly ones) may hold spaces, and `\"` is a quote in it.
fn words(instruction: &str) -> Vec<String> {
    let is_quote = |c: char| matches!(c, '"' | '“' | '”' | '„');
    let mut words = Vec::new();
    let mut chars = instruction.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let quoted = is_quote(c);
        let mut word = String::new();
        if quoted {
            chars.next();
        }
        while let Some(c) = chars.next_if(|&c| if quoted { !is_quote(c) } else { !c.is_whitespace() && !is_quote(c) }) {
            match chars.peek() {
                Some(&next) if quoted && c == '\\' && (is_quote(next) || next == '\\') => word.extend(chars.next()),
                _ => word.push(c),
            }
        }
        if quoted {
            chars.next();
        }
        // A switch may touch its argument: `\*Upper`, `\@"d.M.yyyy"`.
        match word.char_indices().nth(2) {
            Some((at, _)) if !quoted && word.starts_with('\\') => {
                words.extend([word[..at].to_owned(), word[at..].to_owned()]);
            }
            _ => words.push(word),
        }
    }
    words
}

/// Replaces the mail merge fields of one paragraph by code.
///
/// # Errors
/// A field that can't be merged, with the paragraph's text.
pub(super) fn replace(
    tree: &mut Tree<'_>,
    paragraph: Id,
    codes: &mut Vec<Code>,
    fields: &mut Vec<Field>,
    part: &PartName,
) -> Result<(), Error> {
    let found = atoms(tree, paragraph).map_err(|reason| Error::part(part, reason))?;
    let text = shortened(&text_of(&found));
    let mistake = |message| Error::Placeholder { part: part.clone(), paragraph: text.clone(), message };
    for simple in simple_fields(tree, paragraph) {
        let instruction = tree.attribute(simple, "instr").unwrap_or_default();
        if let Some(field) = Field::parse(&instruction).map_err(mistake)? {
            let code = number(field, codes, fields, &text);
            replace_simple(tree, simple, code);
        }
    }
    replace_complex(tree, &found, codes, fields, &text).map_err(mistake)
}

/// The code for a field.
fn number(field: Field, codes: &mut Vec<Code>, fields: &mut Vec<Field>, paragraph: &str) -> Kind<'static> {
    let column = field.column.replace('\\', "\\\\").replace('"', "\\\"");
    codes.push(Code {
        kind: CodeKind::Value,
        source: format!("row[\"{column}\"] | {FILTER}({})", fields.len()),
        level: None,
        joins_before: false,
        joins_after: false,
        paragraph: paragraph.to_owned(),
    });
    fields.push(field);
    Kind::Code(codes.len() - 1)
}

/// The filter that applies a field's switches to a value, by the field's number.
pub(super) const FILTER: &str = "merge_field";

fn simple_fields(tree: &Tree<'_>, id: Id) -> Vec<Id> {
    let mut found = Vec::new();
    for &child in tree.children(id) {
        match tree.word(child) {
            "fldSimple" => found.push(child),
            "p" => {}
            _ => found.extend(simple_fields(tree, child)),
        }
    }
    found
}

fn replace_simple<'a>(tree: &mut Tree<'a>, field: Id, code: Kind<'a>) {
    let run = tree.child(field, "r");
    let (parent, index) = (tree.parent(field), tree.index(field));
    let run = if let Some(run) = run {
        tree.move_to(run, parent, index);
        for child in tree.children(run).to_vec() {
            if tree.word(child) != "rPr" {
                tree.detach(child);
            }
        }
        run
    } else {
        let kind = new_element(tree, "r");
        tree.insert(parent, index, kind)
    };
    put_text(tree, run, usize::MAX, code);
    tree.detach(field);
}

fn new_element(tree: &Tree<'_>, word: &'static str) -> Kind<'static> {
    let name: &'static str = match (tree.prefix.as_str(), word) {
        ("w:", "r") => "w:r",
        ("w:", _) => "w:t",
        (_, word) => word,
    };
    let head = format!("<{}{word}", tree.prefix);
    Kind::Element(Element { name, word, head: head.into() })
}

fn put_text<'a>(tree: &mut Tree<'a>, run: Id, index: usize, code: Kind<'a>) {
    let kind = new_element(tree, "t");
    let index = index.min(tree.children(run).len());
    let text = tree.insert(run, index, kind);
    tree.append(text, code);
    preserve_space(tree, text);
}

/// A complex field that is open while its atoms are walked.
struct Open {
    begin: usize,
    separate: Option<usize>,
    instruction: String,
}

fn replace_complex(
    tree: &mut Tree<'_>,
    found: &[Atom],
    codes: &mut Vec<Code>,
    fields: &mut Vec<Field>,
    paragraph: &str,
) -> Result<(), String> {
    let mut open: Vec<Open> = Vec::new();
    for (at, atom) in found.iter().enumerate() {
        match atom.kind {
            AtomKind::Begin => open.push(Open { begin: at, separate: None, instruction: String::new() }),
            AtomKind::Separate => {
                if let Some(field) = open.last_mut() {
                    field.separate = Some(at);
                }
            }
            AtomKind::Instruction => {
                if let Some(field) = open.last_mut() {
                    field.instruction.push_str(&atom.text);
                }
            }
            AtomKind::End => {
                let Some(done) = open.pop() else { continue };
                let field = Field::parse(&done.instruction)?;
                // Word would compute the outer field from the merged value; nobody does so here.
                if let Some(outer) = open.iter_mut().rev().find(|outer| outer.separate.is_none()) {
                    if field.is_some() {
                        outer.instruction.push(NESTED);
                        let name = words(&outer.instruction).first().cloned().unwrap_or_default();
                        return Err(Field::parse(&outer.instruction).err().unwrap_or_else(|| {
                            format!("a MERGEFIELD within the field {name} is not merged: write {{{{ … }}}} with filters instead")
                        }));
                    }
                } else if let Some(field) = field {
                    let host = host(found, &done, at, field.as_name);
                    let code = number(field, codes, fields, paragraph);
                    let node = found[host].node;
                    put_text(tree, tree.parent(node), tree.index(node), code);
                    for atom in &found[done.begin..=at] {
                        remove(tree, atom.node);
                    }
                }
            }
            AtomKind::Text | AtomKind::Mark => {}
        }
    }
    Ok(())
}

/// The atom whose run gives the formatting and the place.
fn host(found: &[Atom], field: &Open, end: usize, as_name: bool) -> usize {
    let first = |range: std::ops::Range<usize>, kind| range.into_iter().find(|&at| found[at].kind == kind);
    let name = || first(field.begin..end, AtomKind::Instruction);
    let result = || field.separate.and_then(|separate| first(separate..end, AtomKind::Text));
    if as_name { name().or_else(result) } else { result().or_else(name) }.unwrap_or(field.begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(instruction: &str) -> Field {
        Field::parse(instruction).expect("readable").expect("a merge field")
    }

    #[test]
    fn a_column_name_stands_plain_or_in_quotes() {
        assert_eq!(field(" MERGEFIELD Name ").column, "Name");
        assert_eq!(field("mergefield \"First name\" \\* MERGEFORMAT").column, "First name");
        assert_eq!(field("MERGEFIELD “First name”").column, "First name");
    }

    #[test]
    fn switches_are_read_whether_or_not_they_touch_their_argument() {
        let field = field(r##"MERGEFIELD Title \*Upper \b "Dr. \"h. c.\" " \f, \@"d MMMM yyyy" \# "#,##0.00""##);
        assert_eq!(field.case, Some(Case::Upper));
        assert_eq!(field.before.as_deref(), Some("Dr. \"h. c.\" "));
        assert_eq!(field.behind.as_deref(), Some(","));
        assert_eq!(field.date.as_deref(), Some("%-d %B %Y"));
        assert_eq!(field.number.as_deref(), Some("#,##0.00"));
    }

    #[test]
    fn other_fields_are_left_to_word_and_unmergeable_ones_are_mistakes() {
        assert_eq!(Field::parse(" PAGE \\* MERGEFORMAT"), Ok(None));
        assert_eq!(Field::parse("IF 1 = 1 \"a\" \"b\""), Ok(None));
        assert!(Field::parse("ADDRESSBLOCK \\f x").is_err());
        assert!(Field::parse("MERGEFIELD").is_err());
        assert!(Field::parse("MERGEFIELD a \\q").is_err());
    }

    #[test]
    fn cases_are_those_of_word() {
        assert_eq!(Case::First.apply("ada lovelace"), "Ada lovelace");
        assert_eq!(Case::Words.apply("ada  lovelace"), "Ada  Lovelace");
        assert_eq!(Case::Upper.apply("straße"), "STRASSE");
    }
}
