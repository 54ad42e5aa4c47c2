//! How many columns a table has that was put together: its grid must say so, or programs leave out cells.

/// The columns of the first table in this XML: the most that any of its rows has, counted by their spans.
pub(super) fn columns(xml: &str, prefix: &str) -> usize {
    let (mut most, mut now, mut depth) = (0, 0, 0_usize);
    for tag in xml.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let (closes, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let Some(tag) = tag.strip_prefix(prefix) else { continue };
        let word = tag.split([' ', '/']).next().unwrap_or_default();
        match (word, closes) {
            ("tbl", false) => depth += 1,
            ("tbl", true) => depth = depth.saturating_sub(1),
            _ if depth != 1 => {}
            ("tr", false) => now = 0,
            ("tc", false) => now += 1,
            ("gridSpan", false) => now += span(tag).saturating_sub(1),
            ("tr", true) => most = most.max(now),
            _ => {}
        }
    }
    most
}

/// At most 63 columns have a table in Word; a span beyond is a mistake that must not make a grid of millions.
fn span(tag: &str) -> usize {
    const MOST: usize = 63;
    let value = tag.split('"').nth(1).and_then(|value| value.parse().ok());
    value.unwrap_or(1).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_row_counts_without_tables_within() {
        let xml = "<w:tbl><w:tr><w:tc/><w:tc><w:tbl><w:tr><w:tc/><w:tc/><w:tc/></w:tr></w:tbl></w:tc></w:tr><w:tr w:a=\"1\"><w:tc><w:tcPr>\
                   <w:gridSpan w:val=\"3\"/></w:tcPr></w:tc><w:tc/></w:tr></w:tbl>";
        assert_eq!(columns(xml, "w:"), 4);
        assert_eq!(columns("<w:tbl></w:tbl>", "w:"), 0);
    }
}
