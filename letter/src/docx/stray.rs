//! Placeholders where the merge doesn't reach: in attributes, such as the target of a link or the description of a picture. They would be sent as
//! they are, so they are mistakes.

use super::{
    error::{Error, PartName, shortened},
    xml::attributes,
};

/// How a placeholder begins, also as Word writes it into the target of a link.
const BEGINNINGS: [&str; 4] = ["{{", "{%", "%7B%7B", "%7b%7b"];

/// Refuses a part with a placeholder in an attribute.
pub(super) fn refuse(text: &str, part: &PartName) -> Result<(), Error> {
    if !BEGINNINGS.iter().any(|beginning| text.contains(beginning)) {
        return Ok(());
    }
    let values = text.split('<').skip(1).filter_map(|tag| tag.split('>').next()).flat_map(attributes);
    let is_stray = |value: &str| BEGINNINGS.iter().any(|beginning| value.contains(beginning));
    match values.map(|(_, value)| value).find(|value| is_stray(value)) {
        None => Ok(()),
        Some(value) => Err(Error::Placeholder {
            part: part.clone(),
            paragraph: shortened(value),
            message: "a placeholder in the target of a link or in the description of an object is not filled in; write it into the text"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> PartName {
        PartName { path: "word/_rels/document.xml.rels".to_owned(), kind: "part" }
    }

    #[test]
    fn a_placeholder_in_the_target_of_a_link_is_a_mistake() {
        for target in ["https://example.com/{{ Id }}", "https://example.com/%7B%7B%20Id%20%7D%7D", "{% if X %}"] {
            let text = format!("<Relationships><Relationship Id=\"rId1\" Target=\"{target}\"/></Relationships>");
            assert!(refuse(&text, &part()).is_err(), "{target}");
        }
    }

    #[test]
    fn one_in_the_text_and_braces_of_other_kinds_are_none() {
        let text = "<w:p uri=\"{28A0092B-C50C}\"><w:t>{{ Name }} {% if X %}</w:t></w:p>";
        assert_eq!(refuse(text, &part()), Ok(()));
    }
}
