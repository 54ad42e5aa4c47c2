//! A look at a message that may have mistakes: all of them, and letters made of what is left, so that the rows can be looked at too.

use crate::{
    letters::Letters,
    slot::{Columns, Slot},
    slots::{ReplyTo, Slots},
    template::{Engine, Escape},
};
use campaign::{CampaignUid, Contents, EmailAddress, Mailbox, Mistake, spec::MessageSpec};

/// Stands in for a sender that is mistaken. Letters of an inspection are never sent.
const NOBODY: &str = "nobody@sender.invalid";

impl Letters {
    /// Compiles the templates that can be compiled and, where the list's columns are known, that use no others; tells every mistake in the rest.
    /// The letters are good for [`Letters::check`] only.
    pub fn inspect(
        spec: &MessageSpec,
        contents: &Contents,
        columns: Option<&[String]>,
    ) -> (Option<Self>, Vec<Mistake>) {
        let mut mistakes = Vec::new();
        let from = Mailbox::parse(&spec.from).or_else(|error| {
            mistakes.push(Mistake::new("spec.message.from", error.to_string()));
            EmailAddress::parse(NOBODY).map(|address| Mailbox { name: None, address })
        });
        let (slots, found) = Slots::inspect(spec, contents);
        mistakes.extend(found);
        let slots = slots.map(|slots| match columns.map(Columns::new) {
            None => slots,
            Some(columns) => {
                mistakes.extend(slots.missing(&columns));
                slots.without_missing(&columns)
            }
        });
        let uid = CampaignUid::alone("", "", "", None);
        (from.ok().zip(slots).map(|(from, slots)| Self::of(uid, from, slots)), mistakes)
    }
}

impl Slots {
    /// Without the optional templates that use columns the list lacks. A subject that does is left empty.
    fn without_missing(mut self, columns: &Columns<'_>) -> Self {
        let is_whole = |slot: &Slot| slot.missing(columns).is_empty();
        self.text = self.text.filter(is_whole);
        self.html = self.html.filter(is_whole);
        self.headers.retain(|(_, slot)| is_whole(slot));
        self.reply_to = self.reply_to.filter(|reply_to: &ReplyTo| reply_to.slots().all(is_whole));
        self.unsubscribe = self.unsubscribe.filter(|unsubscribe| unsubscribe.missing(columns).is_empty());
        self.attachments.retain(|attachment| attachment.missing(columns).is_empty());
        if !is_whole(&self.subject)
            && let Ok(empty) = Slot::compile(&Engine::new(), "spec.message.subject", "", Escape::None)
        {
            self.subject = empty;
        }
        self
    }
}
