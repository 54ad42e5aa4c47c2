//! E-mail addresses: RFC 5321 syntax, international domains (IDNA) and international local parts (RFC 6531).

use serde::{Deserialize, Serialize};
use std::fmt;

/// An address that can be mailed: parsed once, not checked again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    local: String,
    ascii_domain: String,
}

/// Why a text is not an address; the message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No text at all.
    #[error("the address is empty")]
    Empty,
    /// No @.
    #[error("\"{0}\" has no @")]
    NoAt(String),
    /// The part before the @ breaks RFC 5321 §4.1.2, or is longer than 64 octets.
    #[error("\"{0}\" is not an address: the part before the @ is not valid")]
    Local(String),
    /// The domain is not a host name, or longer than 255 octets.
    #[error("\"{0}\" is not an address: the part after the @ is not a domain name")]
    Domain(String),
}

impl EmailAddress {
    /// Reads an address; white space around it is dropped.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| AddressError::NoAt(text.to_owned()))?;
        if !is_local_part(local) {
            return Err(AddressError::Local(text.to_owned()));
        }
        let ascii_domain = idna::domain_to_ascii_strict(domain)
            .ok()
            .filter(|domain| is_host_name(domain))
            .ok_or_else(|| AddressError::Domain(text.to_owned()))?;
        Ok(Self { local: local.to_owned(), ascii_domain })
    }

    /// The part before the @, as written.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain in its ASCII form (A-labels, lower case).
    pub fn ascii_domain(&self) -> &str {
        &self.ascii_domain
    }

    /// Whether a server must offer SMTPUTF8 (RFC 6531) to take it.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }

    /// The form by which two addresses are the same: all in lower case. Providers differ in what else they ignore, so nothing else is.
    pub fn normalised(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.ascii_domain)
    }
}

/// RFC 5321 §4.1.2 Local-part (dot-string or quoted-string), RFC 6531 §3.3 for what is not ASCII; at most 64 octets.
fn is_local_part(local: &str) -> bool {
    if local.is_empty() || local.len() > 64 {
        return false;
    }
    if let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return is_quoted_content(inner);
    }
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_quoted_content(inner: &str) -> bool {
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' if !chars.next().is_some_and(|quoted| (' '..='~').contains(&quoted)) => return false,
            '"' => return false,
            control if control.is_control() => return false,
            _ => {}
        }
    }
    true
}

fn is_atext(char: char) -> bool {
    if char.is_ascii() {
        char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char)
    } else {
        !char.is_control() && !char.is_whitespace()
    }
}

/// A host name of at least two labels (RFC 1123), at most 253 octets.
fn is_host_name(domain: &str) -> bool {
    domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.ascii_domain)
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
        address.to_string()
    }
}
