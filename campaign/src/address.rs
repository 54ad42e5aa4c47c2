//! E-mail addresses: RFC 5321 syntax, international domains (IDNA, UTS 46) and international local parts (RFC 6531).

mod domain;
mod error;

pub use domain::ascii_domain;
pub use error::AddressError;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// An address that can be mailed: parsed once, not checked again. At most 254 octets (RFC 5321 §4.5.3.1.3), no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    /// The local part as written, @, the domain in its ASCII form.
    text: Box<str>,
    /// Where the @ between them is.
    at: usize,
}

/// A path of 256 octets, less the angle brackets.
const MAX_OCTETS: usize = 254;
const MAX_LOCAL_OCTETS: usize = 64;

impl EmailAddress {
    /// Reads an address alone, without a name or comment. Spaces around it are dropped, also the invisible ones that come along when text is copied.
    ///
    /// # Errors
    /// Why it is none, and what to change.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim_matches(is_padding);
        Self::parse_plain(text).map_or_else(|| Self::parse_fully(text), Ok)
    }

    /// The common case, in one pass: a dot-string of ASCII and a domain of ASCII that is no A-label. None: look closer.
    fn parse_plain(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let at = bytes.iter().position(|byte| !is_plain_atext(*byte) && *byte != b'.')?;
        if bytes[at] != b'@' || at == 0 || at > MAX_LOCAL_OCTETS || bytes.len() > MAX_OCTETS {
            return None;
        }
        let (local, domain) = (&bytes[..at], &bytes[at + 1..]);
        let dots_are_right = local[0] != b'.' && local[at - 1] != b'.' && !local.windows(2).any(|pair| pair == b"..");
        if !dots_are_right || !domain::is_plain(domain) {
            return None;
        }
        let mut text: Box<str> = text.into();
        text[at..].make_ascii_lowercase();
        Some(Self { text, at })
    }

    fn parse_fully(text: &str) -> Result<Self, AddressError> {
        error::before_parsing(text)?;
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| AddressError::NoAt(text.to_owned()))?;
        if !is_local_part(local) {
            return Err(error::in_local_part(text, local));
        }
        let ascii = ascii_domain(domain)
            .or_else(|| domain::literal(domain))
            .ok_or_else(|| AddressError::Domain(text.to_owned()))?;
        if local.len() + 1 + ascii.len() > MAX_OCTETS {
            return Err(AddressError::TooLong(text.to_owned()));
        }
        Ok(Self { text: format!("{local}@{ascii}").into(), at: local.len() })
    }

    /// The whole address: the local part as written, the domain in its ASCII form.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the @, as written.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain in its ASCII form (A-labels, lower case), or an address literal in brackets.
    pub fn ascii_domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// Whether a server must offer SMTPUTF8 (RFC 6531) to take it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local().is_ascii()
    }

    /// The form by which two addresses are the same: all in lower case, without needless quotes. Providers differ in what else they ignore, so
    /// nothing else is.
    pub fn normalised(&self) -> String {
        let local = unquoted(self.local());
        if self.text.is_ascii() {
            let mut normalised = String::with_capacity(self.text.len());
            normalised.push_str(&local);
            normalised.push_str(&self.text[self.at..]);
            normalised.make_ascii_lowercase();
            return normalised;
        }
        format!("{}@{}", local.to_lowercase(), self.ascii_domain())
    }
}

/// White space without line breaks, and the invisible characters that copied text has at its ends.
fn is_padding(char: char) -> bool {
    matches!(char, ' ' | '\u{a0}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
        || (!char.is_ascii() && char.is_whitespace() && !error::is_line_break_or_control(char))
}

/// RFC 5321 §4.1.2 Local-part (dot-string or quoted-string), RFC 6531 §3.3 for what is not ASCII; at most 64 octets.
fn is_local_part(local: &str) -> bool {
    if local.is_empty() || local.len() > MAX_LOCAL_OCTETS {
        return false;
    }
    match local.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').is_some_and(is_quoted_content),
        None => is_dot_string(local),
    }
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_quoted_content(inner: &str) -> bool {
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        let allowed = match char {
            '\\' => chars.next().is_some_and(|quoted| (' '..='~').contains(&quoted)),
            '"' => false,
            _ => !error::is_line_break_or_control(char),
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn is_atext(char: char) -> bool {
    match u8::try_from(char) {
        Ok(byte) if byte.is_ascii() => is_plain_atext(byte),
        _ => !char.is_whitespace() && !error::is_line_break_or_control(char) && !is_invisible(char),
    }
}

fn is_plain_atext(byte: u8) -> bool {
    const ATEXT: [bool; 256] = {
        let mut table = [false; 256];
        let allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~";
        let mut index = 0;
        while index < allowed.len() {
            table[allowed[index] as usize] = true;
            index += 1;
        }
        table
    };
    ATEXT[usize::from(byte)]
}

/// Characters that can't be seen: nobody can have meant them in an address. Not the joiners (U+200C, U+200D), which some scripts need.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A quoted local part as the dot-string that means the same, where there is one.
fn unquoted(local: &str) -> Cow<'_, str> {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return local.into() };
    let (mut plain, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    if is_dot_string(&plain) {
        return plain.into();
    }
    let escaped = plain.chars().flat_map(|char| matches!(char, '"' | '\\').then_some('\\').into_iter().chain([char]));
    format!("\"{}\"", escaped.collect::<String>()).into()
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.text.into()
    }
}

impl Serialize for EmailAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
