//! A part's XML as a tree whose untouched stretches are written back octet for octet. Pieces of template code can stand among the nodes.
//!
//! No entity is ever expanded but the five of XML itself; a document type declaration is refused.

use quick_xml::{Reader, escape::unescape, events::Event};
use std::borrow::Cow;

/// Nesting deeper than any document has; keeps recursion within the stack.
const MAX_DEPTH: usize = 256;
/// About 500 pages.
const MAX_NODES: usize = 1_000_000;

/// A node of a [`Tree`].
pub(super) type Id = usize;

/// The part itself, above its declaration and its root element.
pub(super) const TOP: Id = 0;

#[derive(Debug, Clone)]
pub(super) enum Kind<'a> {
    Top,
    Element(Element<'a>),
    /// Character data, escaped.
    Text(Cow<'a, str>),
    /// Markup to be written as it is: declarations, comments, parts of tags.
    Raw(Cow<'a, str>),
    /// A piece of template code, by its number.
    Code(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Element<'a> {
    /// With its prefix.
    pub(super) name: &'a str,
    /// Without prefix, if it is of the part's main vocabulary; else empty.
    pub(super) word: &'a str,
    /// The start tag without `>` or `/>`.
    pub(super) head: Cow<'a, str>,
}

#[derive(Debug)]
struct Node<'a> {
    parent: Id,
    children: Vec<Id>,
    kind: Kind<'a>,
}

#[derive(Debug)]
pub(super) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    /// Of the part's main vocabulary, with its colon: `w:`.
    pub(super) prefix: String,
}

impl<'a> Tree<'a> {
    /// Reads a part whose main vocabulary is one of `namespaces`.
    pub(super) fn parse(source: &'a str, namespaces: &[&str]) -> Result<Self, String> {
        let prefix = prefix_of(source, namespaces);
        let mut tree = Self { nodes: vec![Node { parent: TOP, children: Vec::new(), kind: Kind::Top }], prefix };
        let mut reader = Reader::from_str(source);
        let mut open = vec![TOP];
        loop {
            let start = position(&reader);
            let event =
                reader.read_event().map_err(|error| format!("not well-formed XML at octet {start}: {error}"))?;
            let raw = source.get(start..position(&reader)).unwrap_or_default();
            let parent = open.last().copied().unwrap_or(TOP);
            check(&event, raw)?;
            match event {
                Event::Start(_) if open.len() > MAX_DEPTH => {
                    return Err(format!("nested deeper than {MAX_DEPTH} elements"));
                }
                Event::Start(_) => {
                    let id = tree.append(parent, tree.element(raw));
                    open.push(id);
                }
                Event::Empty(_) => {
                    tree.append(parent, tree.element(raw));
                }
                Event::End(_) => {
                    open.pop();
                }
                Event::Text(_) | Event::GeneralRef(_) => tree.append_text(parent, raw),
                Event::CData(_) => {
                    let text =
                        raw.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or_default();
                    tree.append(parent, Kind::Text(Cow::Owned(escaped(text))));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {
                    tree.append(parent, Kind::Raw(Cow::Borrowed(raw)));
                }
                Event::DocType(_) => return Err("has a document type declaration".to_owned()),
                Event::Eof if open.len() > 1 => return Err("ends in the middle".to_owned()),
                Event::Eof => break,
            }
            if tree.nodes.len() > MAX_NODES {
                return Err(format!("has more than {MAX_NODES} elements"));
            }
        }
        let roots = tree.children(TOP).iter().filter(|&&id| tree.as_element(id).is_some()).count();
        if roots == 1 { Ok(tree) } else { Err(format!("has {roots} root elements")) }
    }

    fn element(&self, raw: &'a str) -> Kind<'a> {
        let head = raw.trim_end_matches('>').trim_end_matches('/').trim_end();
        let name = head.trim_start_matches('<').split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        let word = name.strip_prefix(self.prefix.as_str()).filter(|local| !local.contains(':')).unwrap_or_default();
        Kind::Element(Element { name, word, head: Cow::Borrowed(head) })
    }

    fn append_text(&mut self, parent: Id, raw: &'a str) {
        let last = self.children(parent).last().copied();
        if let Some(last) = last
            && let Kind::Text(text) = &mut self.nodes[last].kind
        {
            text.to_mut().push_str(raw);
            return;
        }
        self.append(parent, Kind::Text(Cow::Borrowed(raw)));
    }

    // Reading.

    pub(super) fn kind(&self, id: Id) -> &Kind<'a> {
        &self.nodes[id].kind
    }

    pub(super) fn children(&self, id: Id) -> &[Id] {
        &self.nodes[id].children
    }

    pub(super) fn parent(&self, id: Id) -> Id {
        self.nodes[id].parent
    }

    pub(super) fn as_element(&self, id: Id) -> Option<&Element<'a>> {
        match &self.nodes[id].kind {
            Kind::Element(element) => Some(element),
            _ => None,
        }
    }

    /// The element's name in the main vocabulary; empty for everything else.
    pub(super) fn word(&self, id: Id) -> &'a str {
        self.as_element(id).map_or("", |element| element.word)
    }

    pub(super) fn child(&self, id: Id, word: &str) -> Option<Id> {
        self.children(id).iter().copied().find(|&child| self.word(child) == word)
    }

    /// The nearest element around a node that has this name.
    pub(super) fn ancestor(&self, id: Id, word: &str) -> Option<Id> {
        self.ancestors(id).find(|&above| self.word(above) == word)
    }

    /// From the parent up to, and without, the top.
    pub(super) fn ancestors(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(self.parent(id)), |&above| Some(self.parent(above)))
            .take_while(|&above| above != TOP)
    }

    /// The value of an attribute of the main vocabulary, or of none.
    pub(super) fn attribute(&self, id: Id, name: &str) -> Option<String> {
        attributes(&self.as_element(id)?.head)
            .find(|(key, _)| key.strip_prefix(self.prefix.as_str()).unwrap_or(key) == name)
            .and_then(|(_, value)| unescape(value).ok().map(Cow::into_owned))
    }

    /// The text directly in an element, decoded.
    pub(super) fn text(&self, id: Id) -> Result<String, String> {
        let mut text = String::new();
        for &child in self.children(id) {
            if let Kind::Text(raw) = self.kind(child) {
                text.push_str(&unescape(raw).map_err(|error| format!("not well-formed XML: {error}"))?);
            }
        }
        Ok(text)
    }

    pub(super) fn index(&self, id: Id) -> usize {
        self.children(self.parent(id)).iter().position(|&child| child == id).unwrap_or(0)
    }

    /// All elements of the tree with this name, in the order of the document.
    pub(super) fn all(&self, word: &str) -> Vec<Id> {
        let mut found = Vec::new();
        self.collect(TOP, word, &mut found);
        found
    }

    fn collect(&self, id: Id, word: &str, found: &mut Vec<Id>) {
        for &child in self.children(id) {
            if self.word(child) == word {
                found.push(child);
            }
            self.collect(child, word, found);
        }
    }

    // Changing.

    fn add(&mut self, parent: Id, kind: Kind<'a>) -> Id {
        self.nodes.push(Node { parent, children: Vec::new(), kind });
        self.nodes.len() - 1
    }

    pub(super) fn append(&mut self, parent: Id, kind: Kind<'a>) -> Id {
        let id = self.add(parent, kind);
        self.nodes[parent].children.push(id);
        id
    }

    pub(super) fn insert(&mut self, parent: Id, index: usize, kind: Kind<'a>) -> Id {
        let id = self.add(parent, kind);
        self.nodes[parent].children.insert(index, id);
        id
    }

    pub(super) fn set_children(&mut self, id: Id, kinds: Vec<Kind<'a>>) {
        self.nodes[id].children.clear();
        for kind in kinds {
            self.append(id, kind);
        }
    }

    pub(super) fn set_head(&mut self, id: Id, head: String) {
        if let Kind::Element(element) = &mut self.nodes[id].kind {
            element.head = Cow::Owned(head);
        }
    }

    pub(super) fn detach(&mut self, id: Id) {
        let parent = self.parent(id);
        self.nodes[parent].children.retain(|&child| child != id);
    }

    /// Moves a node to stand at `index` among the children of `parent`, counted after it was taken away.
    pub(super) fn move_to(&mut self, id: Id, parent: Id, index: usize) {
        self.detach(id);
        let index = index.min(self.children(parent).len());
        self.nodes[parent].children.insert(index, id);
        self.nodes[id].parent = parent;
    }

    /// Puts an empty copy of an element directly behind it.
    pub(super) fn split_shell(&mut self, id: Id) -> Id {
        let (parent, index, kind) = (self.parent(id), self.index(id), self.kind(id).clone());
        self.insert(parent, index + 1, kind)
    }

    /// A copy of a node with all that is in it, at the end of `parent`.
    pub(super) fn append_copy(&mut self, of: Id, parent: Id) {
        let copy = self.append(parent, self.kind(of).clone());
        for child in self.children(of).to_vec() {
            self.append_copy(child, copy);
        }
    }
}

/// Checks what the reader leaves to others: attributes and references.
fn check(event: &Event<'_>, raw: &str) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("not well-formed XML: {error}");
    match event {
        Event::Start(tag) | Event::Empty(tag) => {
            for attribute in tag.attributes() {
                attribute.map_err(|error| wrong(&error))?;
            }
            if raw.get(1..).is_some_and(|rest| rest.contains('<')) {
                return Err(wrong(&"`<` in a tag"));
            }
            unescape(raw).map_err(|error| wrong(&error)).map(drop)
        }
        Event::GeneralRef(_) => unescape(raw).map_err(|error| wrong(&error)).map(drop),
        _ => Ok(()),
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// The prefix, with its colon, that the root element binds to one of the namespaces; `w:` if it binds none.
fn prefix_of(source: &str, namespaces: &[&str]) -> String {
    let mut reader = Reader::from_str(source);
    loop {
        let start = position(&reader);
        match reader.read_event() {
            Ok(Event::Start(_) | Event::Empty(_)) => {
                let head = source.get(start..position(&reader)).unwrap_or_default();
                let bound = attributes(head).filter(|(_, value)| namespaces.contains(value));
                let mut prefixes = bound.filter_map(|(key, _)| match key.strip_prefix("xmlns:") {
                    Some(prefix) => Some(format!("{prefix}:")),
                    None => (key == "xmlns").then(String::new),
                });
                return prefixes.next().unwrap_or_else(|| "w:".to_owned());
            }
            Ok(Event::Eof) | Err(_) => return "w:".to_owned(),
            Ok(_) => {}
        }
    }
}

/// Names and raw values of the attributes in a start tag.
pub(super) fn attributes(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = head.find(|c: char| c.is_ascii_whitespace()).map_or("", |at| &head[at..]);
    std::iter::from_fn(move || {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = after[1..].split_once(quote)?;
        rest = after;
        Some((key.trim(), value))
    })
}

/// Text as character data or as a quoted attribute value.
pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
