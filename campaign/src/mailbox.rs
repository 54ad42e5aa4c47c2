//! Mailboxes as people write them: an address, with or without a name (RFC 5322 §3.4).

use crate::address::{AddressError, EmailAddress};
use std::fmt;

/// An address and the name shown beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, without quotes; none if only an address was given.
    pub name: Option<String>,
    /// The address.
    pub address: EmailAddress,
}

/// Why a text is not a mailbox; the message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// The address in it is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A line break or another control character.
    #[error("holds a line break or control character; remove it")]
    Control,
    /// Angle brackets are not in pairs, or more than one mailbox.
    #[error("\"{0}\" is not one mailbox; write it like: Name <ann@example.com>")]
    Brackets(String),
    /// The name holds what has a meaning in a mailbox.
    #[error(
        "the name \"{0}\" holds one of @ , ; : \" ( ): put the name in double quotes, like: \"Lee, Ann\" <ann@example.com>"
    )]
    Name(String),
}

impl Mailbox {
    /// Reads `address`, `<address>`, `Name <address>` or `"Name, with specials" <address>`. Spaces around the parts are dropped.
    ///
    /// # Errors
    /// Why it is none, and what to change.
    pub fn parse(text: &str) -> Result<Self, MailboxError> {
        let text = text.trim_matches(' ');
        if text.contains(|char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')) {
            return Err(MailboxError::Control);
        }
        let Some(rest) = text.strip_suffix('>') else {
            return match EmailAddress::parse(text) {
                Err(_) if text.contains(['<', '>']) => Err(MailboxError::Brackets(text.to_owned())),
                address => Ok(Self { name: None, address: address? }),
            };
        };
        let brackets = || MailboxError::Brackets(text.to_owned());
        let (name, address) = rest.rsplit_once('<').ok_or_else(brackets)?;
        let name = match name.trim() {
            "" => None,
            name => Some(unquoted(name).ok_or_else(|| {
                if name.contains(['<', '>']) { brackets() } else { MailboxError::Name(name.to_owned()) }
            })?),
        };
        Ok(Self { name, address: EmailAddress::parse(address)? })
    }
}

/// The name itself; none if it is neither plain words nor a quoted string.
fn unquoted(name: &str) -> Option<String> {
    let Some(inner) = name.strip_prefix('"') else {
        return (!name.contains(is_special)).then(|| name.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let (mut plain, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => plain.push(chars.next()?),
            char => plain.push(char),
        }
    }
    Some(plain)
}

/// RFC 5322 §3.2.3 specials, but the dot, which names are full of.
fn is_special(char: char) -> bool {
    "()<>[]:;@\\,\"".contains(char)
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if name.contains(is_special) || name.trim() != name || name.is_empty() => {
                write!(f, "\"{}\" <{}>", name.replace('\\', "\\\\").replace('"', "\\\""), self.address)
            }
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => self.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mailboxes_are_read_with_and_without_a_name_and_written_back() {
        for (text, name, written) in [
            ("ann@example.com", None, "ann@example.com"),
            ("<ann@example.com>", None, "ann@example.com"),
            ("People Team <people@example.com>", Some("People Team"), "People Team <people@example.com>"),
            ("J. R. Lee<ann@example.com>", Some("J. R. Lee"), "J. R. Lee <ann@example.com>"),
            ("Zoë Ünal <ann@exämple.org>", Some("Zoë Ünal"), "Zoë Ünal <ann@xn--exmple-cua.org>"),
            ("\"Lee, Ann\" <ann@example.com>", Some("Lee, Ann"), "\"Lee, Ann\" <ann@example.com>"),
            (r#""An \"n\"" <ann@example.com>"#, Some(r#"An "n""#), r#""An \"n\"" <ann@example.com>"#),
        ] {
            let mailbox = Mailbox::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(mailbox.name.as_deref(), name, "{text}");
            assert_eq!(mailbox.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for text in [
            "",
            "People Team",
            "People <people>",
            "People people@example.com>",
            "People <people@example.com",
            "Lee, Ann <ann@example.com>",
            "A <a@example.com>, B <b@example.com>",
            "a@example.com, b@example.com",
            "\"Ann <ann@example.com>",
            "Ann\r\nBcc: eve@example.org <ann@example.com>",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_from_what_is_written(name in "[^\\pC\u{2028}\u{2029}]{0,12}") {
            let address = EmailAddress::parse("ann@example.com").expect("an address");
            let mailbox = Mailbox { name: Some(name), address };
            prop_assert_eq!(Mailbox::parse(&mailbox.to_string()), Ok(mailbox));
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            drop(Mailbox::parse(&text));
        }
    }
}
