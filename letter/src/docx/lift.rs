//! Puts the tags of a block where the block's content begins and ends: a tag alone in a paragraph or a table row takes its place, so that loops and
//! conditions go over whole paragraphs and rows; within a paragraph, runs are cut at the tags, so that each keeps its formatting.

use super::{
    error::{Error, PartName},
    paragraph::is_page_break,
    placeholder::Code,
    xml::{Id, Kind, TOP, Tree},
};

/// The tags of one block in the order of the document: `if … elif … else … endif`.
#[derive(Debug)]
struct Block {
    tags: Vec<Id>,
}

/// Tags that open a block, and what closes it.
const BLOCKS: [&str; 9] = ["for", "if", "with", "filter", "macro", "call", "autoescape", "block", "set"];

/// Whether a tag opens a block. `set` does so only without a value.
pub(super) fn opens(code: &Code) -> bool {
    code.word().is_some_and(|word| BLOCKS.contains(&word) && (word != "set" || !code.source.contains('=')))
}

pub(super) fn closes(code: &Code) -> Option<&str> {
    code.word().and_then(|word| word.strip_prefix("end"))
}

fn continues(code: &Code) -> bool {
    matches!(code.word(), Some("else" | "elif"))
}

/// Puts all tags of a part where they belong.
///
/// # Errors
/// A block that isn't closed, or was never opened, with the paragraph's text.
pub(super) fn lift(tree: &mut Tree<'_>, codes: &[Code], part: &PartName) -> Result<(), Error> {
    replace_levels(tree, codes);
    let blocks = blocks(tree, codes, part)?;
    let mut waiting: Vec<(Id, Id)> = Vec::new();
    for block in &blocks {
        let home = home(tree, codes, &block.tags);
        if !is_cut_literally(tree, codes, &block.tags, home) {
            waiting.extend(block.tags.iter().map(|&tag| (tag, home)));
        }
    }
    // A tag can't pass another one, so that some can only move when others have.
    let mut moved = true;
    while moved {
        moved = false;
        for &(tag, home) in &waiting {
            while tree.parent(tag) != home && hoist(tree, codes, tag) {
                moved = true;
            }
        }
    }
    lift_lonely(tree, codes);
    Ok(())
}

fn code_of<'c>(tree: &Tree<'_>, id: Id, codes: &'c [Code]) -> Option<&'c Code> {
    match tree.kind(id) {
        Kind::Code(code) => codes.get(*code),
        _ => None,
    }
}

/// All code nodes below a node, in the order of the document.
fn code_nodes(tree: &Tree<'_>, id: Id, found: &mut Vec<Id>) {
    for &child in tree.children(id) {
        if matches!(tree.kind(child), Kind::Code(_)) {
            found.push(child);
        }
        code_nodes(tree, child, found);
    }
}

/// docxtpl's `{%p`, `{%tr`, `{%tc`: the element goes and its tags stay. When a block opens and closes in the same element, that stays between them.
fn replace_levels(tree: &mut Tree<'_>, codes: &[Code]) {
    let mut nodes = Vec::new();
    code_nodes(tree, TOP, &mut nodes);
    let mut replaced: Vec<(Id, Vec<Id>)> = Vec::new();
    for node in nodes {
        let Some(level) = code_of(tree, node, codes).and_then(|code| code.level) else { continue };
        let Some(element) = tree.ancestor(node, level.word()) else { continue };
        match replaced.iter_mut().rev().find(|(of, _)| *of == element) {
            Some((_, tags)) => tags.push(node),
            None => replaced.push((element, vec![node])),
        }
    }
    for (element, tags) in replaced {
        let parent = tree.parent(element);
        let keeps = tags.len() > 1
            && code_of(tree, tags[0], codes).is_some_and(opens)
            && tags.last().and_then(|&last| code_of(tree, last, codes)).is_some_and(|code| closes(code).is_some());
        let mut behind = 0;
        for tag in tags {
            let from = tree.parent(tag);
            if keeps && code_of(tree, tag, codes).is_some_and(|code| closes(code).is_some()) {
                behind += 1;
            }
            let index = tree.index(element) + behind;
            tree.move_to(tag, parent, index);
            if keeps {
                prune(tree, codes, from, element);
            }
        }
        if !keeps {
            tree.detach(element);
        }
    }
}

/// Pairs the tags of a part into blocks.
fn blocks(tree: &Tree<'_>, codes: &[Code], part: &PartName) -> Result<Vec<Block>, Error> {
    let mut nodes = Vec::new();
    code_nodes(tree, TOP, &mut nodes);
    let mut open: Vec<(Block, &Code)> = Vec::new();
    let mut done = Vec::new();
    let mistake = |code: &Code, message: String| Error::Placeholder {
        part: part.clone(),
        paragraph: code.paragraph.clone(),
        message,
    };
    for node in nodes {
        let Some(code) = code_of(tree, node, codes) else { continue };
        if opens(code) {
            open.push((Block { tags: vec![node] }, code));
        } else if continues(code) {
            let Some((block, _)) = open.last_mut() else {
                return Err(mistake(
                    code,
                    format!("{{% {} %}} stands outside of any {{% if %}} or {{% for %}}", code.source),
                ));
            };
            block.tags.push(node);
        } else if let Some(word) = closes(code) {
            match open.pop() {
                Some((mut block, opener)) if opener.word() == Some(word) => {
                    block.tags.push(node);
                    done.push(block);
                }
                Some((_, opener)) => {
                    let expected = opener.word().unwrap_or_default();
                    return Err(mistake(
                        code,
                        format!(
                            "{{% {} %}} stands where {{% end{expected} %}} is expected, for {{% {} %}} in paragraph \"{}\"",
                            code.source, opener.source, opener.paragraph
                        ),
                    ));
                }
                None => {
                    return Err(mistake(code, format!("{{% {} %}} closes a block that was never opened", code.source)));
                }
            }
        }
    }
    match open.pop() {
        Some((_, code)) => {
            let word = code.word().unwrap_or_default();
            Err(mistake(code, format!("{{% {} %}} is never closed: add {{% end{word} %}}", code.source)))
        }
        None => Ok(done),
    }
}

/// The element whose direct children the tags are to be.
fn home(tree: &Tree<'_>, codes: &[Code], tags: &[Id]) -> Id {
    let above = |tag: Id| {
        let mut path: Vec<Id> = tree.ancestors(tag).collect();
        path.reverse();
        path
    };
    let mut common = tags.first().map(|&tag| above(tag)).unwrap_or_default();
    for &tag in tags {
        let shared = common.iter().zip(above(tag)).take_while(|(a, b)| **a == *b).count();
        common.truncate(shared);
    }
    let Some(&home) = common.last() else { return TOP };
    // A block from the first to the last cell of a row is about the row, unless it says that it is about cells.
    let spans_row = || {
        if tags.iter().any(|&tag| code_of(tree, tag, codes).is_some_and(|code| code.level.is_some())) {
            return false;
        }
        let (first, last) = (tags.first().copied().unwrap_or(TOP), tags.last().copied().unwrap_or(TOP));
        !has_content_beside(tree, codes, first, home, Side::Before)
            && !has_content_beside(tree, codes, last, home, Side::Behind)
    };
    if tree.word(home) == "tr" && spans_row() { tree.parent(home) } else { home }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

/// Whether anything that a person sees stands in `within` before or behind a node.
fn has_content_beside(tree: &Tree<'_>, codes: &[Code], node: Id, within: Id, side: Side) -> bool {
    let mut at = node;
    while at != within && at != TOP {
        let parent = tree.parent(at);
        let index = tree.index(at);
        let beside = match side {
            Side::Before => &tree.children(parent)[..index],
            Side::Behind => &tree.children(parent)[index + 1..],
        };
        if beside.iter().any(|&child| has_content(tree, child, codes)) {
            return true;
        }
        at = parent;
    }
    false
}

/// Whether a person would see something of a node. Values count, tags don't.
fn has_content(tree: &Tree<'_>, id: Id, codes: &[Code]) -> bool {
    match tree.kind(id) {
        Kind::Text(text) => tree.word(tree.parent(id)) == "t" && !text.trim().is_empty(),
        Kind::Raw(_) | Kind::Top => false,
        Kind::Code(code) => codes.get(*code).is_some_and(Code::is_content),
        Kind::Element(element) => match element.word {
            "pPr" => tree.child(id, "sectPr").is_some(),
            "rPr"
            | "tcPr"
            | "trPr"
            | "tblPr"
            | "tblGrid"
            | "sdtPr"
            | "sdtEndPr"
            | "tab"
            | "cr"
            | "lastRenderedPageBreak"
            | "proofErr" => false,
            "br" => is_page_break(tree, id),
            "drawing" | "pict" | "object" | "fldChar" | "instrText" | "fldSimple" | "sym" | "footnoteReference"
            | "endnoteReference" | "noBreakHyphen" | "sectPr" => true,
            _ => {
                element.name.starts_with("mc:")
                    || element.name.starts_with("m:")
                    || tree.children(id).iter().any(|&child| has_content(tree, child, codes))
            }
        },
    }
}

/// Whether a tag of a block over several paragraphs stands in the middle of a paragraph's text: then the block is cut as it is written.
fn is_cut_literally(tree: &Tree<'_>, codes: &[Code], tags: &[Id], home: Id) -> bool {
    tags.iter().any(|&tag| {
        let outermost =
            tree.ancestors(tag).take_while(|&above| above != home).filter(|&above| !is_inline(tree, above)).last();
        outermost.is_some_and(|within| {
            has_content_beside(tree, codes, tag, within, Side::Before)
                && has_content_beside(tree, codes, tag, within, Side::Behind)
        })
    })
}

/// Elements that can be cut in two without a change to what is seen.
pub(super) fn is_inline(tree: &Tree<'_>, id: Id) -> bool {
    matches!(tree.word(id), "t" | "r" | "hyperlink" | "ins" | "moveTo" | "smartTag" | "dir" | "bdo")
}

/// Moves a tag one level up, if nothing stands in its way.
fn hoist(tree: &mut Tree<'_>, codes: &[Code], tag: Id) -> bool {
    let parent = tree.parent(tag);
    let above = tree.parent(parent);
    if parent == TOP {
        return false;
    }
    let at = tree.index(tag);
    let children = tree.children(parent).to_vec();
    let blocks = |&child: &Id| has_content(tree, child, codes) || has_code(tree, child);
    let free_before = !children[..at].iter().any(blocks);
    let free_behind = !children[at + 1..].iter().any(blocks);
    let index = tree.index(parent);
    if free_before {
        tree.move_to(tag, above, index);
    } else if free_behind {
        tree.move_to(tag, above, index + 1);
    } else if is_inline(tree, parent) {
        let second = tree.split_shell(parent);
        if let Some(formatting) = tree.child(parent, "rPr") {
            tree.append_copy(formatting, second);
        }
        for &child in &children[at + 1..] {
            tree.move_to(child, second, usize::MAX);
        }
        tree.move_to(tag, above, index + 1);
    } else {
        return false;
    }
    prune(tree, codes, parent, TOP);
    true
}

fn has_code(tree: &Tree<'_>, id: Id) -> bool {
    matches!(tree.kind(id), Kind::Code(_)) || tree.children(id).iter().any(|&child| has_code(tree, child))
}

/// Takes out an element from which the last tag went and in which nothing is left, and what is around it likewise, up to `until`. A cell or text
/// box keeps its last paragraph.
fn prune(tree: &mut Tree<'_>, codes: &[Code], from: Id, until: Id) {
    let mut at = from;
    while at != until && at != TOP && !has_content(tree, at, codes) && !has_code(tree, at) {
        let parent = tree.parent(at);
        let goes = match tree.word(at) {
            "t" | "r" | "hyperlink" | "ins" | "smartTag" | "tr" => true,
            "p" => {
                let siblings = tree.children(parent).iter().filter(|&&child| matches!(tree.word(child), "p" | "tbl"));
                // In a cell of a row that stays, there must be a paragraph.
                tree.word(parent) != "tc" || siblings.count() > 1 || is_row_empty(tree, codes, parent)
            }
            "tc" => is_row_empty(tree, codes, at),
            _ => false,
        };
        if !goes {
            return;
        }
        if tree.word(at) == "tc" {
            // The whole row is empty: it goes at once, so that no row is left without cells.
            at = parent;
            continue;
        }
        tree.detach(at);
        at = parent;
    }
}

fn is_row_empty(tree: &Tree<'_>, codes: &[Code], cell: Id) -> bool {
    let row = tree.parent(cell);
    !has_content(tree, row, codes) && !has_code(tree, row)
}

/// Tags that belong to no block (`set`, `do`, comments) and stand alone in a paragraph leave no blank line.
fn lift_lonely(tree: &mut Tree<'_>, codes: &[Code]) {
    for paragraph in tree.all("p") {
        let mut nodes = Vec::new();
        code_nodes(tree, paragraph, &mut nodes);
        let is_lonely = |&node: &Id| {
            code_of(tree, node, codes)
                .is_some_and(|code| !code.is_content() && !opens(code) && closes(code).is_none() && !continues(code))
        };
        if nodes.is_empty() || has_content(tree, paragraph, codes) || !nodes.iter().all(is_lonely) {
            continue;
        }
        let home = tree.parent(paragraph);
        for node in nodes {
            let index = tree.index(paragraph);
            tree.move_to(node, home, index);
        }
        let others = tree.children(home).iter().filter(|&&child| tree.word(child) == "p").count();
        if others > 1 {
            tree.detach(paragraph);
        }
    }
}
