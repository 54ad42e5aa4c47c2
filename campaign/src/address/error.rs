//! Why a text is not an address, in words that say what to change.

/// Why a text is not an address; the message says what to change. It never holds a line break or control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No text at all.
    #[error("the address is empty")]
    Empty,
    /// A line break or another control character in it: never part of an address, and a way to forge headers.
    #[error("\"{0}\" is not an address: it holds a line break or control character; remove it")]
    Control(String),
    /// A name or angle brackets around the address.
    #[error("\"{0}\" has a name or angle brackets around the address; write the address alone")]
    Name(String),
    /// A comment in parentheses.
    #[error("\"{0}\" has a comment in parentheses; write the address alone")]
    Comment(String),
    /// Several addresses.
    #[error("\"{0}\" looks like several addresses; write one")]
    Several(String),
    /// No @.
    #[error("\"{0}\" has no @")]
    NoAt(String),
    /// More than one @ that is not in quotes.
    #[error("\"{0}\" is not an address: it has more than one @")]
    Ats(String),
    /// The part before the @ breaks RFC 5321 §4.1.2, or is longer than 64 octets.
    #[error("\"{0}\" is not an address: the part before the @ is not valid")]
    Local(String),
    /// The domain is not a host name, or longer than 253 octets.
    #[error("\"{0}\" is not an address: the part after the @ is not a domain name")]
    Domain(String),
    /// More than 254 octets.
    #[error("\"{0}\" is longer than an address may be (254 octets)")]
    TooLong(String),
}

/// A line break in any script's sense, or a control character.
pub(super) fn is_line_break_or_control(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// What can be told of the whole text, wherever its parts begin and end.
pub(super) fn before_parsing(text: &str) -> Result<(), AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if text.contains(is_line_break_or_control) {
        return Err(AddressError::Control(text.escape_debug().collect()));
    }
    if text.ends_with('>') && text.contains('<') {
        return Err(AddressError::Name(text.to_owned()));
    }
    Ok(())
}

/// Why the part before the last @ is none.
pub(super) fn in_local_part(text: &str, local: &str) -> AddressError {
    let text = text.to_owned();
    if local.starts_with('"') {
        AddressError::Local(text)
    } else if text.contains([',', ';']) {
        AddressError::Several(text)
    } else if text.contains(['(', ')']) {
        AddressError::Comment(text)
    } else if local.contains('@') {
        if local.contains(char::is_whitespace) { AddressError::Several(text) } else { AddressError::Ats(text) }
    } else {
        AddressError::Local(text)
    }
}
