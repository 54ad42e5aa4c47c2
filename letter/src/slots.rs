//! All templates of a campaign: compiled together, so that every mistake is told at once.

use crate::{
    attachment::Attachment,
    header,
    letters::RenderError,
    mjml,
    slot::{Columns, Slot},
    template::{Engine, Escape, TemplateError},
    unsubscribe::Unsubscribe,
};
use campaign::{
    Contents, EmailAddress, Fields, Mailbox, Mistake,
    spec::{MessageSpec, TemplateSource},
};
use lettre::message::header::HeaderName;
use minijinja::Value;

/// The templates of a campaign.
pub(crate) struct Slots {
    pub(crate) reply_to: Option<ReplyTo>,
    pub(crate) subject: Slot,
    pub(crate) text: Option<Slot>,
    pub(crate) html: Option<Slot>,
    pub(crate) headers: Vec<(HeaderName, Slot)>,
    pub(crate) unsubscribe: Option<Unsubscribe>,
    pub(crate) attachments: Vec<Attachment>,
}

/// Reply-To: written as `Name <address>` the two are templates of their own, so that no value of the name can be taken for an address.
pub(crate) enum ReplyTo {
    /// `Name <address>`.
    Named { name: Slot, address: Slot },
    /// Anything else: a mailbox when it is rendered.
    Whole(Slot),
}

impl ReplyTo {
    fn mailbox(&self, row: &Value, fields: &Fields) -> Result<Mailbox, RenderError> {
        match self {
            Self::Named { name, address } => {
                let text = address.render(row, fields)?;
                let parsed = EmailAddress::parse(&text).map_err(|error| address.refuse(error.to_string()))?;
                Ok(Mailbox { name: Some(header::flat(&name.render(row, fields)?).into_owned()), address: parsed })
            }
            Self::Whole(slot) => {
                let text = slot.render(row, fields)?;
                Mailbox::parse(&header::flat(&text)).map_err(|error| slot.refuse(error.to_string()))
            }
        }
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        match self {
            Self::Named { name, address } => [Some(name), Some(address)],
            Self::Whole(slot) => [Some(slot), None],
        }
        .into_iter()
        .flatten()
    }
}

impl Slots {
    /// Compiles the templates of a message.
    ///
    /// # Errors
    /// Every mistake in every one.
    pub(crate) fn compile(spec: &MessageSpec, contents: &Contents) -> Result<Self, Vec<Mistake>> {
        match Self::inspect(spec, contents) {
            (Some(slots), mistakes) if mistakes.is_empty() => Ok(slots),
            (_, mistakes) => Err(mistakes),
        }
    }

    /// Compiles what can be compiled, and tells every mistake in the rest.
    pub(crate) fn inspect(spec: &MessageSpec, contents: &Contents) -> (Option<Self>, Vec<Mistake>) {
        let mut compiler = Compiler { engine: Engine::new(), contents, mistakes: Vec::new() };
        if spec.text.is_none() && spec.html.is_none() && spec.mjml.is_none() {
            compiler.mistake("spec.message", "give at least one of text, html and mjml");
        }
        if spec.html.is_some() && spec.mjml.is_some() {
            compiler.mistake("spec.message.mjml", "html and mjml are both the HTML body; give one of them");
        }
        let subject = compiler.line("spec.message.subject", &spec.subject);
        let reply_to = spec.reply_to.as_ref().and_then(|source| compiler.reply_to("spec.message.replyTo", source));
        let text = spec.text.as_ref().and_then(|source| compiler.body("spec.message.text", source, Escape::None));
        let html = spec.html.as_ref().and_then(|source| compiler.body("spec.message.html", source, Escape::Html));
        let mjml = spec.mjml.as_ref().and_then(|source| compiler.mjml("spec.message.mjml", source));
        let headers = spec.headers.iter().filter_map(|(name, source)| compiler.header(name, source)).collect();
        let unsubscribe =
            spec.list_unsubscribe.as_ref().map(|unsubscribe| Unsubscribe::compile(unsubscribe, &compiler.engine));
        let attachments = spec.attachments.iter().enumerate();
        let attachments: Vec<_> = attachments
            .map(|(index, attachment)| Attachment::compile(index, attachment, &compiler.engine, contents))
            .collect();
        let unsubscribe = unsubscribe.and_then(|compiled| compiler.kept(compiled));
        let attachments = attachments.into_iter().filter_map(|compiled| compiler.kept(compiled)).collect();
        let subject = subject.or_else(|| compiler.line("spec.message.subject", ""));
        let html = html.or(mjml);
        let slots = subject.map(|subject| Self { reply_to, subject, text, html, headers, unsubscribe, attachments });
        (slots, compiler.mistakes)
    }

    /// Renders everything for a row, in the order of the mail, and keeps nothing.
    pub(crate) fn check(&self, row: &Value, fields: &Fields) -> Result<(), RenderError> {
        for slot in [&self.subject].into_iter().chain(&self.text).chain(&self.html) {
            slot.render(row, fields)?;
        }
        self.reply_to(row, fields)?;
        for (_, slot) in &self.headers {
            slot.render(row, fields)?;
        }
        if let Some(unsubscribe) = &self.unsubscribe {
            unsubscribe.value(row, fields)?;
        }
        self.attachments.iter().try_for_each(|attachment| attachment.check(row, fields))
    }

    /// The mailbox of Reply-To for a row.
    pub(crate) fn reply_to(&self, row: &Value, fields: &Fields) -> Result<Option<Mailbox>, RenderError> {
        self.reply_to.as_ref().map(|reply_to| reply_to.mailbox(row, fields)).transpose()
    }

    /// What they refer to that the list doesn't have.
    pub(crate) fn missing(&self, columns: &Columns<'_>) -> Vec<Mistake> {
        let Self { reply_to, subject, text, html, headers, unsubscribe, attachments } = self;
        let slots = [subject]
            .into_iter()
            .chain(reply_to.iter().flat_map(ReplyTo::slots))
            .chain(text)
            .chain(html)
            .chain(headers.iter().map(|(_, slot)| slot));
        slots
            .flat_map(|slot| slot.missing(columns))
            .chain(unsubscribe.iter().flat_map(|unsubscribe| unsubscribe.missing(columns)))
            .chain(attachments.iter().flat_map(|attachment| attachment.missing(columns)))
            .collect()
    }
}

/// Compiles one field after the other and collects the mistakes.
struct Compiler<'a> {
    engine: Engine,
    contents: &'a Contents,
    mistakes: Vec<Mistake>,
}

impl Compiler<'_> {
    fn mistake(&mut self, place: &str, message: &str) {
        self.mistakes.push(Mistake::new(place, message));
    }

    fn kept<T>(&mut self, compiled: Result<T, Vec<Mistake>>) -> Option<T> {
        compiled.map_err(|mistakes| self.mistakes.extend(mistakes)).ok()
    }

    /// A template of one line, written in the field itself.
    fn line(&mut self, place: &str, source: &str) -> Option<Slot> {
        let compiled = Slot::compile(&self.engine, place, source, Escape::None);
        self.kept(compiled)
    }

    fn reply_to(&mut self, place: &str, source: &str) -> Option<ReplyTo> {
        let named = source
            .trim()
            .strip_suffix('>')
            .and_then(|rest| rest.rsplit_once('<'))
            .filter(|(name, _)| !name.trim().is_empty());
        let Some((name, address)) = named else { return self.line(place, source).map(ReplyTo::Whole) };
        let name = name.trim();
        let name = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(name);
        let (name, address) = (self.line(place, name), self.line(place, address));
        Some(ReplyTo::Named { name: name?, address: address? })
    }

    fn header(&mut self, name: &str, source: &str) -> Option<(HeaderName, Slot)> {
        let place = format!("spec.message.headers.{name}");
        let slot = self.line(&place, source);
        let checked = header::name(name);
        if checked.is_none() {
            self.mistake(&place, "a header's name has letters, digits and - only, without the colon");
        }
        checked.zip(slot)
    }

    fn body(&mut self, place: &str, source: &TemplateSource, escape: Escape) -> Option<Slot> {
        let (place, text) = self.text(place, source)?;
        let compiled = Slot::compile(&self.engine, &place, &text, escape);
        self.kept(compiled)
    }

    /// The MJML is compiled as a template too: its mistakes then have the lines of what was written.
    fn mjml(&mut self, place: &str, source: &TemplateSource) -> Option<Slot> {
        let (place, text) = self.text(place, source)?;
        let compiled = Slot::compile(&self.engine, &place, &text, Escape::Html).and_then(|written| {
            let html = mjml::to_html(&text).map_err(|error| Slot::mistakes(&place, &text, vec![error]))?;
            let slot = Slot::compile(&self.engine, &place, &html, Escape::Html).map_err(|mistakes| {
                let reason = mistakes.first().map_or("", |mistake| mistake.message.as_str());
                let message = format!("after MJML was turned into HTML, a tag stands where it can't: {reason}. Put tags into texts, attributes or between elements");
                Slot::mistakes(&place, &text, vec![TemplateError::plain(message)])
            })?;
            Ok(slot.made_from(&text, written.template().usage().clone()))
        });
        self.kept(compiled)
    }

    /// The text of a template and its place, with the key that holds it.
    fn text(&mut self, place: &str, source: &TemplateSource) -> Option<(String, String)> {
        if let Some(inline) = &source.inline {
            return Some((place.to_owned(), inline.clone()));
        }
        let Some(key) = source.key() else {
            self.mistake(place, "give exactly one of inline, configMap and secret");
            return None;
        };
        let name = match (&source.config_map, &source.secret) {
            (Some(reference), _) | (None, Some(reference)) => reference.key.as_str(),
            (None, None) => "",
        };
        let place = format!("{place} ({name})");
        let Some(bytes) = self.contents.get(&key) else {
            self.mistake(&place, "this content was not found");
            return None;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Some((place, text.trim_start_matches('\u{feff}').to_owned())),
            Err(error) => {
                let line = bytes[..error.valid_up_to()].split(|&byte| byte == b'\n').count();
                self.mistake(&format!("{place} line {line}"), "the text is not UTF-8; save it in that encoding");
                None
            }
        }
    }
}
