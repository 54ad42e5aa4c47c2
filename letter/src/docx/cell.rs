//! docxtpl's tags about the table cell in which they stand: `{% colspan n %}`, `{% cellbg colour %}`, and in a loop `{% vm %}` and `{% hm %}`, which make the
//! cells of all turns one, downwards or to the right.

use super::{
    placeholder::{Code, CodeKind},
    xml::{Element, Id, Kind, TOP, Tree},
};

/// What comes before `w:shd` in a cell's properties (ECMA-376 Part 1, 17.4.69), in its order.
const ORDER: [&str; 7] = ["cnfStyle", "tcW", "gridSpan", "hMerge", "vMerge", "tcBorders", "shd"];

/// Gives cells the properties that tags within ask for, and takes the tags out.
pub(super) fn spread(tree: &mut Tree<'_>, codes: &mut Vec<Code>) {
    let mut found = Vec::new();
    collect(tree, TOP, codes, &mut found);
    for (node, code) in found {
        let Some(cell) = tree.ancestor(node, "tc") else { continue };
        let argument = |word: &str| code.source.strip_prefix(word).unwrap_or_default().trim().to_owned();
        take_out(tree, node);
        match code.word() {
            Some("colspan") => property(tree, codes, &code, cell, "gridSpan", "w:val=\"", &argument("colspan")),
            Some("cellbg") => {
                property(
                    tree,
                    codes,
                    &code,
                    cell,
                    "shd",
                    "w:val=\"clear\" w:color=\"auto\" w:fill=\"",
                    &argument("cellbg"),
                );
            }
            Some("vm") => {
                property(tree, codes, &code, cell, "vMerge", "w:val=\"", "\"restart\" if loop.first else \"continue\"");
                first_turn_only(tree, codes, &code, cell);
            }
            _ => {
                let columns = tree.child(cell, "tcPr").and_then(|properties| tree.child(properties, "gridSpan"));
                let columns = columns.and_then(|span| tree.attribute(span, "val")?.parse::<u32>().ok()).unwrap_or(1);
                property(tree, codes, &code, cell, "gridSpan", "w:val=\"", &format!("{columns} * loop.length"));
                around(tree, codes, &code, (tree.parent(cell), tree.index(cell), 1));
            }
        }
    }
}

fn collect(tree: &Tree<'_>, id: Id, codes: &[Code], found: &mut Vec<(Id, Code)>) {
    for &child in tree.children(id) {
        match tree.kind(child) {
            Kind::Code(number) => {
                let code =
                    codes.get(*number).filter(|code| matches!(code.word(), Some("colspan" | "cellbg" | "vm" | "hm")));
                found.extend(code.map(|code| (child, code.clone())));
            }
            _ => collect(tree, child, codes, found),
        }
    }
}

/// Takes a tag out, with its text element and run if nothing else is in them.
fn take_out(tree: &mut Tree<'_>, node: Id) {
    let text = tree.parent(node);
    tree.detach(node);
    if tree.children(text).is_empty() {
        super::paragraph::remove(tree, text);
    }
}

fn add(codes: &mut Vec<Code>, like: &Code, kind: CodeKind, source: &str) -> Kind<'static> {
    codes.push(Code {
        kind,
        source: source.to_owned(),
        level: None,
        joins_before: false,
        joins_after: false,
        ..like.clone()
    });
    Kind::Code(codes.len() - 1)
}

/// Sets a property of a cell to the value of an expression.
fn property(
    tree: &mut Tree<'_>,
    codes: &mut Vec<Code>,
    like: &Code,
    cell: Id,
    name: &str,
    head: &str,
    expression: &str,
) {
    let prefix = tree.prefix.clone();
    let properties = tree.child(cell, "tcPr").unwrap_or_else(|| {
        let element = Element {
            name: if prefix == "w:" { "w:tcPr" } else { "tcPr" },
            word: "tcPr",
            head: format!("<{prefix}tcPr").into(),
        };
        tree.insert(cell, 0, Kind::Element(element))
    });
    if let Some(old) = tree.child(properties, name) {
        tree.detach(old);
    }
    let place = ORDER.iter().position(|word| *word == name).unwrap_or(ORDER.len());
    let earlier = |&child: &Id| ORDER.iter().position(|word| *word == tree.word(child)).is_some_and(|at| at < place);
    let index = tree.children(properties).iter().rposition(earlier).map_or(0, |at| at + 1);
    let head = head.replace("w:", &prefix);
    let value = add(codes, like, CodeKind::Value, expression);
    for (offset, kind) in
        [Kind::Raw(format!("<{prefix}{name} {head}").into()), value, Kind::Raw("\"/>".into())].into_iter().enumerate()
    {
        tree.insert(properties, index + offset, kind);
    }
}

/// Puts a condition around so many nodes: only the first turn of the loop has them.
fn around(tree: &mut Tree<'_>, codes: &mut Vec<Code>, like: &Code, (parent, index, count): (Id, usize, usize)) {
    let start = add(codes, like, CodeKind::Tag("if".to_owned()), "if loop.first");
    let end = add(codes, like, CodeKind::Tag("endif".to_owned()), "endif");
    tree.insert(parent, index + count, end);
    tree.insert(parent, index, start);
}

/// Leaves the paragraphs of a cell without content in all turns but the first.
fn first_turn_only(tree: &mut Tree<'_>, codes: &mut Vec<Code>, like: &Code, cell: Id) {
    let paragraphs: Vec<Id> = tree.children(cell).iter().copied().filter(|&child| tree.word(child) == "p").collect();
    for paragraph in paragraphs {
        let start = usize::from(tree.child(paragraph, "pPr").is_some());
        let count = tree.children(paragraph).len().saturating_sub(start);
        around(tree, codes, like, (paragraph, start, count));
    }
}
