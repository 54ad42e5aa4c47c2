//! Paragraphs: their text over all runs, and the placeholders put into the run in which each begins.
//!
//! Word and LibreOffice cut a text into runs wherever its history did: spelling marks, editing sessions, formatting. A placeholder is read
//! over all of that. What it covered is taken out, and the code stands where its first character stood.

use super::{
    error::{Error, PartName, shortened},
    placeholder::{self, Code, Found},
    xml::{Id, Kind, Tree, escaped},
};

/// The smallest piece of a paragraph: an element within a run.
#[derive(Debug)]
pub(super) struct Atom {
    pub(super) node: Id,
    pub(super) kind: AtomKind,
    /// What it adds to the paragraph's text.
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtomKind {
    /// `w:t`: text that may hold placeholders.
    Text,
    /// `w:tab`, `w:br`, …: within a placeholder it counts as its text and goes with it.
    Mark,
    /// `w:fldChar`.
    Begin,
    Separate,
    End,
    /// `w:instrText`.
    Instruction,
}

/// All atoms of a paragraph, without those of paragraphs within it (text boxes) and without what was deleted with changes tracked.
pub(super) fn atoms(tree: &Tree<'_>, paragraph: Id) -> Result<Vec<Atom>, String> {
    let mut found = Vec::new();
    collect(tree, paragraph, &mut found)?;
    Ok(found)
}

fn collect(tree: &Tree<'_>, id: Id, found: &mut Vec<Atom>) -> Result<(), String> {
    for &node in tree.children(id) {
        let mut atom = |kind, text: &str| found.push(Atom { node, kind, text: text.to_owned() });
        let is_math_text = tree.as_element(node).is_some_and(|element| element.name == "m:t");
        match tree.word(node) {
            "t" => atom(AtomKind::Text, &tree.text(node)?),
            "instrText" => atom(AtomKind::Instruction, &tree.text(node)?),
            "tab" | "ptab" | "cr" => atom(AtomKind::Mark, " "),
            "br" if !is_page_break(tree, node) => atom(AtomKind::Mark, " "),
            "noBreakHyphen" => atom(AtomKind::Mark, "-"),
            "softHyphen" => atom(AtomKind::Mark, ""),
            "fldChar" => match tree.attribute(node, "fldCharType").as_deref() {
                Some("begin") => atom(AtomKind::Begin, ""),
                Some("separate") => atom(AtomKind::Separate, ""),
                _ => atom(AtomKind::End, ""),
            },
            "p" | "del" | "moveFrom" | "pPr" | "rPr" => {}
            _ if is_math_text => atom(AtomKind::Text, &tree.text(node)?),
            _ => collect(tree, node, found)?,
        }
    }
    Ok(())
}

/// A break to another page or column, which no placeholder covers.
pub(super) fn is_page_break(tree: &Tree<'_>, node: Id) -> bool {
    tree.attribute(node, "type").is_some_and(|kind| kind != "textWrapping")
}

/// The text that a person sees of a paragraph.
pub(super) fn text_of(atoms: &[Atom]) -> String {
    atoms.iter().filter(|atom| atom.kind != AtomKind::Instruction).map(|atom| atom.text.as_str()).collect()
}

/// Puts the placeholders of one paragraph as code into the tree.
///
/// # Errors
/// A placeholder that isn't closed, with the paragraph's text.
pub(super) fn mark(
    tree: &mut Tree<'_>,
    paragraph: Id,
    codes: &mut Vec<Code>,
    raw: &mut bool,
    part: &PartName,
) -> Result<(), Error> {
    let atoms = atoms(tree, paragraph).map_err(|reason| Error::part(part, reason))?;
    let (instructions, visible): (Vec<Atom>, Vec<Atom>) =
        atoms.into_iter().partition(|atom| atom.kind == AtomKind::Instruction);
    for sequence in [visible, instructions] {
        let text: String = sequence.iter().map(|atom| atom.text.as_str()).collect();
        if !*raw && !text.contains(['{', '}']) {
            continue;
        }
        let placeholders = placeholder::find(&text, raw).map_err(|message| Error::Placeholder {
            part: part.clone(),
            paragraph: shortened(&text),
            message,
        })?;
        let paragraph = shortened(&text);
        put(tree, &sequence, placeholders, codes, &paragraph);
    }
    Ok(())
}

/// Replaces the text that the placeholders cover by their code.
fn put(tree: &mut Tree<'_>, atoms: &[Atom], placeholders: Vec<Found>, codes: &mut Vec<Code>, paragraph: &str) {
    if placeholders.is_empty() {
        return;
    }
    let numbered: Vec<_> = placeholders
        .into_iter()
        .map(|found| {
            codes.push(Code { paragraph: paragraph.to_owned(), ..found.code });
            let kind = Kind::Code(codes.len() - 1);
            (found.range, found.at, kind)
        })
        .collect();
    let mut start = 0;
    for atom in atoms {
        let end = start + atom.text.len();
        let touching = numbered
            .iter()
            .filter(|(range, at, _)| range.start < end && range.end > start || (start..end).contains(at));
        if matches!(atom.kind, AtomKind::Text | AtomKind::Instruction) {
            let mut pieces = Vec::new();
            let mut kept = start;
            let mut is_touched = false;
            for (range, at, kind) in touching {
                is_touched = true;
                if range.start > kept {
                    pieces.push(Kind::Text(escaped(&atom.text[kept - start..range.start - start]).into()));
                }
                if (start..end).contains(at) {
                    pieces.push(kind.clone());
                }
                kept = kept.max(range.end);
            }
            if is_touched {
                if kept < end {
                    pieces.push(Kind::Text(escaped(&atom.text[kept - start..]).into()));
                }
                replace_text(tree, atom.node, pieces);
            }
        } else if atom.kind == AtomKind::Mark
            && end > start
            && touching.clone().any(|(range, ..)| range.start <= start && range.end >= end)
        {
            remove(tree, atom.node);
        }
        start = end;
    }
}

/// Gives a text element this content; without any, it and an emptied run vanish.
pub(super) fn replace_text<'a>(tree: &mut Tree<'a>, node: Id, pieces: Vec<Kind<'a>>) {
    if pieces.is_empty() {
        remove(tree, node);
        return;
    }
    tree.set_children(node, pieces);
    preserve_space(tree, node);
}

/// Makes the spaces at the ends of a text element count.
pub(super) fn preserve_space(tree: &mut Tree<'_>, node: Id) {
    let Some(element) = tree.as_element(node) else { return };
    if matches!(element.word, "t" | "instrText") && !element.head.contains("xml:space") {
        let head = format!("{} xml:space=\"preserve\"", element.head);
        tree.set_head(node, head);
    }
}

/// Takes an element out of its run, and the run too when only its formatting is left.
pub(super) fn remove(tree: &mut Tree<'_>, node: Id) {
    let run = tree.parent(node);
    tree.detach(node);
    if tree.word(run) == "r" && tree.children(run).iter().all(|&child| tree.word(child) == "rPr") {
        tree.detach(run);
    }
}

/// Joins paragraphs as docxtpl's `{%-` and `-%}` ask for: with the one before, with the one behind.
pub(super) fn join(tree: &mut Tree<'_>, codes: &[Code]) {
    if !codes.iter().any(|code| code.joins_before || code.joins_after) {
        return;
    }
    let mut previous: Option<Id> = None;
    for paragraph in tree.all("p") {
        let joins =
            |at: Option<Id>, asks: fn(&Code) -> bool| at.and_then(|at| code_in(tree, at, asks, codes)).is_some();
        let before = previous.filter(|&before| are_neighbours(tree, before, paragraph));
        if before.is_some()
            && (joins(before, |code| code.joins_after) || joins(Some(paragraph), |code| code.joins_before))
        {
            let into = before.unwrap_or(paragraph);
            for child in tree.children(paragraph).to_vec() {
                if tree.word(child) != "pPr" {
                    tree.move_to(child, into, usize::MAX);
                }
            }
            tree.detach(paragraph);
        } else {
            previous = Some(paragraph);
        }
    }
}

fn code_in(tree: &Tree<'_>, id: Id, asks: fn(&Code) -> bool, codes: &[Code]) -> Option<Id> {
    tree.children(id).iter().copied().find(|&child| match tree.kind(child) {
        Kind::Code(code) => asks(&codes[*code]),
        _ => code_in(tree, child, asks, codes).is_some(),
    })
}

fn are_neighbours(tree: &Tree<'_>, first: Id, second: Id) -> bool {
    let parent = tree.parent(first);
    if parent != tree.parent(second) {
        return false;
    }
    let between = tree.index(first) + 1..tree.index(second);
    tree.children(parent).get(between).is_some_and(|nodes| nodes.iter().all(|&node| tree.as_element(node).is_none()))
}

/// Puts the placeholders in an element's own text as code into the tree: the document's properties have no runs.
///
/// # Errors
/// A placeholder that isn't closed.
pub(super) fn mark_plain(tree: &mut Tree<'_>, node: Id, codes: &mut Vec<Code>, part: &PartName) -> Result<(), Error> {
    let children = tree.children(node);
    let has_text = children.len() == 1 && matches!(tree.kind(children[0]), Kind::Text(_));
    if tree.as_element(node).is_none() || !has_text {
        return Ok(());
    }
    let text = tree.text(node).map_err(|reason| Error::part(part, reason))?;
    let paragraph = shortened(&text);
    let placeholders = placeholder::find(&text, &mut false).map_err(|message| Error::Placeholder {
        part: part.clone(),
        paragraph: paragraph.clone(),
        message,
    })?;
    put(tree, &[Atom { node, kind: AtomKind::Text, text }], placeholders, codes, &paragraph);
    Ok(())
}
