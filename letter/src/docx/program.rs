//! A part as a program: template code between numbered segments of XML that never change.
//!
//! The template that is rendered holds no XML at all: where a segment belongs it has a mark. What comes out is the values and the marks, and the
//! document is put together from that. So no value can ever be taken for markup, and a letter costs only what is its own.

use super::{
    error::{Error, PartName},
    lift::{closes, is_inline, opens},
    placeholder::{Code, CodeKind},
    segment::Segment,
    xml::{Id, Kind, TOP, Tree, escaped},
};

/// Begins and ends a mark. XML 1.0 allows neither in a document, and they are taken out of every value.
pub(super) const MARK: (char, char) = ('\u{1}', '\u{2}');

/// More placeholders than any letter has. Below what the template language can count as lines.
const MAX_CODES: usize = 20_000;
/// Text up to this length stands in the template itself: cheaper than a mark.
const SHORT: usize = 64;

/// How line breaks and tabs in a value are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// As elements: the value stands in a run's text.
    Run,
    /// As a space.
    #[default]
    Plain,
}

/// What a mark stands for.
#[derive(Debug)]
pub(super) enum Step {
    /// XML that is always the same, and how values behind it are written.
    Segment(Segment, Mode),
    /// Here a table's grid ends, with so many columns; a loop over cells may have made more.
    Grid(usize),
    /// Here a paragraph must have been: a cell without one is not valid.
    Paragraph,
    /// Here begins something (a table, a row) that can't stand without content …
    Begin,
    /// … and here it ends: without one of these elements within, it is left out.
    End(&'static str),
}

/// A compiled part, before its template is.
#[derive(Debug)]
pub(super) struct Program {
    /// The template. Each piece of code begins a line, so that an error's line tells which one it is about.
    pub(super) source: String,
    pub(super) steps: Vec<Step>,
    /// The paragraph of each piece of code, for messages.
    pub(super) places: Vec<String>,
    /// `w:`, for what is added.
    pub(super) prefix: String,
}

impl Program {
    /// Writes a part's tree as a program.
    ///
    /// # Errors
    /// A block whose tags stand where its content can't be repeated or left out.
    pub(super) fn write(tree: &Tree<'_>, codes: &[Code], mode: Mode, part: &PartName) -> Result<Self, Error> {
        let program =
            Self { source: String::new(), steps: Vec::new(), places: Vec::new(), prefix: tree.prefix.clone() };
        let mut writer =
            Writer { tree, codes, mode, part, program, xml: String::new(), stack: Vec::new(), blocks: Vec::new() };
        writer.children(TOP)?;
        writer.flush(Mode::Plain);
        if writer.program.places.len() > MAX_CODES {
            return Err(Error::TooLarge { what: "the number of placeholders in a part", limit: MAX_CODES.to_string() });
        }
        Ok(writer.program)
    }
}

struct Writer<'t, 'a> {
    tree: &'t Tree<'a>,
    codes: &'t [Code],
    /// For values in a `w:t`.
    mode: Mode,
    part: &'t PartName,
    program: Program,
    /// XML not yet in a segment.
    xml: String,
    /// The open elements.
    stack: Vec<Open<'a>>,
    blocks: Vec<Block<'t, 'a>>,
}

/// A block that is open.
struct Block<'t, 'a> {
    code: &'t Code,
    /// The elements that were open at its tag.
    stack: Vec<Open<'a>>,
    /// How many steps there were.
    steps: usize,
}

/// An open element. One paragraph may end where another does, so that these are told apart by name alone; a table cell may not.
type Open<'a> = (&'a str, Option<Id>);

/// Blocks whose content becomes a value, which is text and can't be markup.
fn captures(code: &Code) -> bool {
    match code.word() {
        Some("for") => code.source.ends_with(" recursive"),
        Some(word) => matches!(word, "filter" | "macro" | "call" | "set" | "block"),
        None => false,
    }
}

impl<'t, 'a> Writer<'t, 'a> {
    fn children(&mut self, id: Id) -> Result<(), Error> {
        for &child in self.tree.children(id) {
            self.node(child, id)?;
        }
        Ok(())
    }

    fn node(&mut self, id: Id, parent: Id) -> Result<(), Error> {
        match self.tree.kind(id) {
            Kind::Top => Ok(()),
            Kind::Text(text) | Kind::Raw(text) => {
                self.xml.push_str(text);
                Ok(())
            }
            // All of its rows or cells went with their tags.
            Kind::Element(element) if matches!(element.word, "tbl" | "tr") && self.is_hollow(id) => Ok(()),
            Kind::Element(element) => {
                self.xml.push_str(&element.head);
                if self.tree.children(id).is_empty() && element.word != "tc" {
                    self.xml.push_str("/>");
                    return Ok(());
                }
                self.xml.push('>');
                self.element(id, element.name, element.word)
            }
            Kind::Code(code) => self.code(*code, parent),
        }
    }

    fn element(&mut self, id: Id, name: &'a str, word: &str) -> Result<(), Error> {
        let tree = self.tree;
        let has_tags = tree.children(id).iter().any(|&child| matches!(tree.kind(child), Kind::Code(_)));
        let table = if word == "tblGrid" { tree.parent(id) } else { id };
        let is_code = |&child: &Id| matches!(tree.kind(child), Kind::Code(_));
        let loops_cells =
            || tree.children(table).iter().any(|&row| tree.word(row) == "tr" && tree.children(row).iter().any(is_code));
        let needed = match word {
            "tbl" if has_tags || loops_cells() => Some("tr"),
            "tr" if has_tags => Some("tc"),
            _ => None,
        };
        let start = self.xml.len() - tree.as_element(id).map_or(0, |element| element.head.len() + 1);
        if needed.is_some() {
            let head = self.xml.split_off(start);
            self.flush(Mode::Plain);
            self.step(Step::Begin);
            self.xml = head;
        }
        let is_like_others = word == "p" || is_inline(tree, id);
        self.stack.push((name, Some(id).filter(|_| !is_like_others)));
        self.children(id)?;
        self.stack.pop();
        if word == "tblGrid" && loops_cells() {
            self.flush(Mode::Plain);
            self.step(Step::Grid(tree.children(id).len()));
        }
        if self.holds_paragraphs(id, word) {
            if has_tags {
                self.flush(Mode::Plain);
                self.step(Step::Paragraph);
            } else if word == "tc" && !tree.children(id).iter().any(|&child| matches!(tree.word(child), "p" | "sdt")) {
                // Its tags went to the row.
                self.xml.extend(["<", &tree.prefix, "p/>"]);
            }
        }
        self.xml.extend(["</", name, ">"]);
        if let Some(needed) = needed {
            self.flush(Mode::Plain);
            self.step(Step::End(needed));
        }
        Ok(())
    }

    /// Whether a table or row has nothing but properties.
    fn is_hollow(&self, id: Id) -> bool {
        let is_property = |&child: &Id| match self.tree.kind(child) {
            Kind::Element(element) => match element.word {
                "tr" => self.is_hollow(child),
                word => matches!(word, "tblPr" | "tblGrid" | "tblPrEx" | "trPr"),
            },
            Kind::Text(text) => text.trim().is_empty(),
            _ => false,
        };
        self.tree.children(id).iter().all(is_property)
    }

    /// Whether an element must end with a paragraph.
    fn holds_paragraphs(&self, id: Id, word: &str) -> bool {
        let around = || self.tree.word(self.tree.parent(self.tree.parent(id)));
        match word {
            "tc" | "txbxContent" | "footnote" | "endnote" | "comment" | "hdr" | "ftr" => true,
            "sdtContent" => matches!(around(), "body" | "tc" | "hdr" | "ftr" | "txbxContent"),
            _ => false,
        }
    }

    /// Puts the XML so far into a segment.
    fn flush(&mut self, mode: Mode) {
        let xml = std::mem::take(&mut self.xml);
        let is_captured = || self.blocks.iter().any(|block| captures(block.code));
        if !xml.contains('<') && (xml.len() <= SHORT || is_captured()) {
            // As references, so that text is never code and lines are counted right.
            for c in xml.chars() {
                match c {
                    '{' | '}' | '\n' | '\r' | '\t' => {
                        self.program.source.extend(["&#", &u32::from(c).to_string(), ";"]);
                    }
                    c => self.program.source.push(c),
                }
            }
        } else {
            self.step(Step::Segment(Segment::new(xml, &self.program.prefix), mode));
        }
    }

    fn step(&mut self, step: Step) {
        let mark = format!("{}{}{}", MARK.0, self.program.steps.len(), MARK.1);
        self.program.source.push_str(&mark);
        self.program.steps.push(step);
    }

    fn code(&mut self, number: usize, parent: Id) -> Result<(), Error> {
        let Some(code) = self.codes.get(number) else { return Ok(()) };
        match code.kind {
            CodeKind::Comment => return Ok(()),
            CodeKind::Literal => {
                self.xml.push_str(&escaped(&code.source));
                return Ok(());
            }
            CodeKind::Value | CodeKind::Tag(_) => {}
        }
        self.flush(if self.tree.word(parent) == "t" { self.mode } else { Mode::Plain });
        self.check(code)?;
        match code.kind {
            CodeKind::Tag(_) => self.program.source.extend(["{%\n", &code.source, " %}"]),
            _ => self.program.source.extend(["{{\n", &code.source, " }}"]),
        }
        self.program.places.push(code.paragraph.clone());
        Ok(())
    }

    /// Every way through a block must leave the same elements open: then the result is well-formed whatever the values are.
    fn check(&mut self, code: &'t Code) -> Result<(), Error> {
        let mistake = |message: String| Error::Placeholder {
            part: self.part.clone(),
            paragraph: code.paragraph.clone(),
            message,
        };
        let Some(word) = code.word() else { return Ok(()) };
        let ends = closes(code).is_some();
        if opens(code) {
            self.blocks.push(Block { code, stack: self.stack.clone(), steps: self.program.steps.len() });
        } else if let Some(block) = self.blocks.last()
            && (ends || matches!(word, "else" | "elif"))
        {
            let opener = block.code;
            if block.stack != self.stack {
                return Err(mistake(format!(
                    "{{% {} %}} (paragraph \"{}\") and {{% {} %}} must both stand in a paragraph's text, or both alone in their paragraphs, or both \
                     alone in table rows",
                    opener.source, opener.paragraph, code.source
                )));
            }
            if captures(opener) && block.steps != self.program.steps.len() {
                return Err(mistake(format!(
                    "between {{% {} %}} and {{% {} %}} there can only be text of one formatting, within one paragraph",
                    opener.source, code.source
                )));
            }
            if ends {
                self.blocks.pop();
            }
        } else if matches!(word, "break" | "continue") {
            let looped = self.blocks.iter().rev().find(|block| block.code.word() == Some("for"));
            if looped.is_some_and(|block| block.stack != self.stack) {
                return Err(mistake(format!(
                    "{{% {word} %}} must stand as its {{% for %}} does: alone in a paragraph, or in the same text"
                )));
            }
        }
        Ok(())
    }
}
