//! What a server offers in its reply to EHLO (RFC 5321 §4.1.1.1). Pure.

use super::reply;

/// The extensions that this client makes use of.
#[expect(clippy::struct_excessive_bools, reason = "one for each extension")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 3030.
    pub(super) chunking: bool,
    /// RFC 6152.
    pub(super) eight_bit_mime: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 1870.
    pub(super) size: Size,
    /// RFC 4954: mechanisms, in capitals.
    pub(super) auth: Vec<String>,
}

/// What a server says about the size of a mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// Nothing; MAIL must not say it either.
    #[default]
    NotOffered,
    Unlimited,
    /// At most so many bytes.
    Limited(u64),
}

impl Features {
    /// Reads a whole reply to EHLO.
    pub(super) fn read(ehlo: &[u8]) -> Self {
        let mut features = Self::default();
        for line in reply::lines(ehlo).skip(1) {
            // Some servers write AUTH=LOGIN, from before the standard.
            let line = String::from_utf8_lossy(line).to_ascii_uppercase().replace("AUTH=", "AUTH ");
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("PIPELINING") => features.pipelining = true,
                Some("CHUNKING") => features.chunking = true,
                Some("8BITMIME") => features.eight_bit_mime = true,
                Some("SMTPUTF8") => features.smtputf8 = true,
                Some("STARTTLS") => features.starttls = true,
                Some("SIZE") => {
                    let limit = words.next().and_then(|limit| limit.parse().ok()).filter(|&limit| limit > 0);
                    features.size = limit.map_or(Size::Unlimited, Size::Limited);
                }
                Some("AUTH") => features.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        features
    }

    /// Whether the server logs in by this mechanism.
    pub(super) fn logs_in_by(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|offered| offered == mechanism)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keywords_are_read_in_any_case_and_the_greeting_is_none() {
        let ehlo = b"250-PIPELINING\r\n250-Chunking\r\n250-8bitmime\r\n250-size 1000\r\n250-AUTH PLAIN LOGIN\r\n250-AUTH=XOAUTH2\r\n250 \r\n";
        let features = Features::read(ehlo);
        assert!(!features.pipelining && features.chunking && features.eight_bit_mime && !features.smtputf8);
        assert_eq!(features.size, Size::Limited(1000));
        assert_eq!(features.auth, ["PLAIN", "LOGIN", "XOAUTH2"]);
    }

    #[test]
    fn a_size_of_zero_or_none_is_no_limit() {
        assert_eq!(Features::read(b"250-x\r\n250 SIZE 0\r\n").size, Size::Unlimited);
        assert_eq!(Features::read(b"250-x\r\n250 SIZE\r\n").size, Size::Unlimited);
        assert_eq!(Features::read(b"250 x\r\n").size, Size::NotOffered);
    }
}
