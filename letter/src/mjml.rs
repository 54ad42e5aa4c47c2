//! MJML into HTML, once per campaign: the template's own tags go through unharmed.
//!
//! Each tag (`{{ … }}`, `{% … %}`, `{# … #}`) is replaced by a word before MJML is read, and put back into the HTML. So a tag can stand in
//! texts and attributes, and between sections.

use crate::template::TemplateError;
use minijinja::{
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
};
use mrml::prelude::render::RenderOptions;

/// The HTML template that a MJML template stands for.
pub(crate) fn to_html(source: &str) -> Result<String, TemplateError> {
    let tags = Tags::of(source)?;
    let parsed = mrml::parse(&tags.mjml).map_err(|error| tags.error(&error))?;
    let html = parsed
        .element
        .render(&RenderOptions::default())
        .map_err(|error| TemplateError::plain(format!("MJML: {error}")))?;
    Ok(tags.put_back(&html))
}

/// A MJML text with words in the place of its tags.
struct Tags<'a> {
    mjml: String,
    found: Vec<&'a str>,
    word: String,
}

impl<'a> Tags<'a> {
    fn of(source: &'a str) -> Result<Self, TemplateError> {
        let mut word = "xtagx".to_owned();
        while source.contains(&word) {
            word.insert(0, 'x');
        }
        let mut tags = Self { mjml: String::with_capacity(source.len()), found: Vec::new(), word };
        let mut done = 0;
        for token in tokenize(source, false, SyntaxConfig::default()) {
            let (token, span) = token.map_err(|error| TemplateError::new(&error, source))?;
            if let Token::TemplateData(text) = token {
                // The span can be wider than the text, where a tag beside it eats white space.
                let from = span.start_offset as usize;
                let start = source.get(from..).and_then(|rest| rest.find(text)).map_or(from, |skipped| from + skipped);
                tags.tag(&source[done..start]);
                tags.mjml.push_str(text);
                done = start + text.len();
            }
        }
        tags.tag(&source[done..]);
        Ok(tags)
    }

    fn tag(&mut self, tag: &'a str) {
        if !tag.is_empty() {
            self.mjml.push_str(&self.place_holder(self.found.len()));
            self.found.push(tag);
        }
    }

    fn place_holder(&self, index: usize) -> String {
        format!("{}{index}x", self.word)
    }

    /// The tags in their places again; what MJML wrote itself stays text.
    fn put_back(&self, html: &str) -> String {
        let mut template = String::with_capacity(html.len() * 2);
        let mut rest = html;
        while let Some(at) = rest.find(&self.word) {
            push_text(&mut template, &rest[..at]);
            let after = &rest[at + self.word.len()..];
            let digits = after.find('x').unwrap_or(after.len());
            template
                .push_str(after[..digits].parse().ok().and_then(|index: usize| self.found.get(index)).unwrap_or(&""));
            rest = after.get(digits + 1..).unwrap_or("");
        }
        push_text(&mut template, rest);
        template
    }

    /// An error of the MJML reader, with the line of the source.
    fn error(&self, error: &mrml::prelude::parser::Error) -> TemplateError {
        use mrml::prelude::parser::Error;
        let offset = match error {
            Error::UnexpectedElement { position, .. }
            | Error::UnexpectedToken { position, .. }
            | Error::MissingAttribute { position, .. }
            | Error::InvalidAttribute { position, .. }
            | Error::InvalidFormat { position, .. }
            | Error::IncludeLoaderError { position, .. } => Some(position.start),
            _ => None,
        };
        let line = offset
            .and_then(|offset| self.mjml.get(..offset))
            .map(|before| self.put_back(before).matches('\n').count() + 1);
        let what = match error {
            Error::UnexpectedElement { .. } => "an element that MJML doesn't allow here",
            Error::EndOfStream { .. } => "an element is not closed",
            Error::NoRootNode => "it has no <mjml> element",
            Error::IncludeLoaderError { .. } => "mj-include is not available; put the text here itself",
            _ => "",
        };
        let message = if what.is_empty() { format!("MJML: {error}") } else { format!("MJML: {what}") };
        TemplateError { line, ..TemplateError::plain(message) }
    }
}

/// Text that must not be read as a tag: the styles that MJML writes may have `{#` or `}}` in them.
fn push_text(template: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|tag| rest.find(tag)).min() {
        template.push_str(&rest[..at]);
        template.push_str("{{ \"{\" }}");
        rest = &rest[at + 1..];
    }
    template.push_str(rest);
}
