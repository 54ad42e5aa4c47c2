//! Puts a part together: what its template rendered, with each mark replaced by what it stands for.

use super::{
    grid::columns,
    program::{MARK, Mode, Step},
    segment::{Stream, deflate_whole},
};

/// Octets that one part may have: a loop over a huge list, not a letter.
const MAX_PART: usize = 64 * 1024 * 1024;
/// From this size on it may pay to deflate anew.
const LARGE: usize = 24 * 1024;

#[derive(Clone, Copy)]
enum Piece<'r> {
    Segment(usize),
    Text(&'r str, Mode),
    /// So many `<w:gridCol/>`.
    Columns(usize),
    /// `<w:p/>`, where a cell would be without any.
    EmptyParagraph,
}

/// A part in the order in which it is written.
pub(super) struct Pieces<'r> {
    pieces: Vec<Piece<'r>>,
    size: usize,
}

impl<'r> Pieces<'r> {
    /// Reads what a template rendered.
    ///
    /// # Errors
    /// A document that becomes too large.
    pub(super) fn of(rendered: &'r str, steps: &[Step], prefix: &str) -> Result<Self, String> {
        let mut pieces: Vec<Piece<'r>> = Vec::with_capacity(steps.len() * 2);
        let mut begun: Vec<usize> = Vec::new();
        let mut size = 0;
        let mut mode = Mode::Plain;
        let mut rest = rendered;
        while let Some((text, after)) = rest.split_once(MARK.0) {
            if !text.is_empty() {
                size += text.len();
                pieces.push(Piece::Text(text, mode));
            }
            let Some((number, after)) = after.split_once(MARK.1) else { break };
            rest = after;
            let Some((number, step)) =
                number.parse::<usize>().ok().and_then(|number| Some((number, steps.get(number)?)))
            else {
                continue;
            };
            match step {
                Step::Segment(segment, behind) => {
                    size += segment.xml.len();
                    mode = *behind;
                    pieces.push(Piece::Segment(number));
                }
                Step::Paragraph => {
                    let is_there = matches!(pieces.last(), Some(&Piece::Segment(at)) if ends_paragraph(steps, at));
                    if !is_there {
                        pieces.push(Piece::EmptyParagraph);
                    }
                }
                Step::Grid(there) => pieces.push(Piece::Columns(*there)),
                Step::Begin => begun.push(pieces.len()),
                Step::End(needed) => {
                    let start = begun.pop().unwrap_or(pieces.len());
                    let has_it = pieces[start..]
                        .iter()
                        .any(|piece| matches!(piece, Piece::Segment(at) if begins(steps, *at, needed)));
                    if !has_it {
                        pieces.truncate(start);
                    }
                    if *needed == "tr" {
                        fill_grid(&mut pieces[start..], steps, prefix);
                    }
                }
            }
            if size > MAX_PART {
                return Err(format!(
                    "the merged document is larger than {} MiB; is there an endless loop?",
                    MAX_PART / 1024 / 1024
                ));
            }
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest, mode));
        }
        Ok(Self { pieces, size })
    }

    /// Appends the deflated part: its checksum and its expanded size.
    pub(super) fn write(&self, steps: &[Step], prefix: &str, out: &mut Vec<u8>) -> (u32, usize) {
        let segments = self.pieces.iter().filter(|piece| matches!(piece, Piece::Segment(_))).count();
        if self.size > LARGE && segments > 4 * steps.len() {
            let mut whole = Vec::with_capacity(self.size);
            for piece in &self.pieces {
                match piece {
                    Piece::Segment(at) => whole.extend_from_slice(xml(steps, *at).as_bytes()),
                    other => other.text(prefix, |text| whole.extend_from_slice(text.as_bytes())),
                }
            }
            return deflate_whole(&whole, out);
        }
        let mut stream = Stream::new(out);
        for piece in &self.pieces {
            match piece {
                Piece::Segment(at) => {
                    if let Some(Step::Segment(segment, _)) = steps.get(*at) {
                        stream.segment(segment);
                    }
                }
                other => other.text(prefix, |text| stream.text(text.as_bytes())),
            }
        }
        stream.finish()
    }
}

/// Says how many columns are to be added to the grid of the table that these pieces are.
fn fill_grid(table: &mut [Piece<'_>], steps: &[Step], prefix: &str) {
    // The first is this table's own; those of tables within are done.
    let Some(at) = table.iter().position(|piece| matches!(piece, Piece::Columns(_))) else { return };
    let mut text = String::new();
    for piece in &*table {
        match piece {
            Piece::Segment(at) => text.push_str(xml(steps, *at)),
            other => other.text(prefix, |more| text.push_str(more)),
        }
    }
    if let Some(Piece::Columns(there)) = table.get_mut(at) {
        *there = columns(&text, prefix).saturating_sub(*there);
    }
}

fn ends_paragraph(steps: &[Step], at: usize) -> bool {
    matches!(steps.get(at), Some(Step::Segment(segment, _)) if segment.ends_paragraph)
}

fn begins(steps: &[Step], at: usize, word: &str) -> bool {
    matches!(steps.get(at), Some(Step::Segment(segment, _)) if segment.begins(word))
}

fn xml(steps: &[Step], at: usize) -> &str {
    match steps.get(at) {
        Some(Step::Segment(segment, _)) => &segment.xml,
        _ => "",
    }
}

impl Piece<'_> {
    /// Writes a piece that isn't a segment.
    fn text(&self, prefix: &str, mut write: impl FnMut(&str)) {
        let (text, mode) = match self {
            Self::Segment(_) => return,
            Self::Columns(more) => return (0..*more).for_each(|_| write(&format!("<{prefix}gridCol/>"))),
            Self::EmptyParagraph => return write(&format!("<{prefix}p/>")),
            Self::Text(text, mode) => (*text, *mode),
        };
        let is_break = |c: char| matches!(c, '\t'..='\r');
        let mut rest = text;
        while let Some(at) = rest.find(is_break) {
            write(&rest[..at]);
            let octet = rest.as_bytes()[at];
            let length = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[at + length..];
            let element = match (mode, octet) {
                (Mode::Plain, _) => {
                    write(" ");
                    continue;
                }
                (Mode::Run, b'\t') => "tab",
                (Mode::Run, b'\x0c') => "br type",
                (Mode::Run, _) => "br",
            };
            write(&match element {
                "br type" => {
                    format!("</{prefix}t><{prefix}br {prefix}type=\"page\"/><{prefix}t xml:space=\"preserve\">")
                }
                element => format!("</{prefix}t><{prefix}{element}/><{prefix}t xml:space=\"preserve\">"),
            });
        }
        write(rest);
    }
}
