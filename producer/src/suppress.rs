//! Who is never mailed: addresses and whole domains, one a line.
//!
//! The first column of a CSV file counts, or the whole line. An entry is an address or `@domain` (of that domain, not of those below it).
//! What follows a # at the beginning of a line is a comment; a first line without an @ is a header.

use crate::{dedupe::AddressSet, list};
use campaign::{EmailAddress, Mistake};
use std::collections::HashSet;

/// How many bad lines are listed; of the others the number.
const LISTED: usize = 20;

/// Addresses and domains that are never mailed.
#[derive(Debug, Default)]
pub struct Suppress {
    addresses: AddressSet,
    domains: HashSet<String>,
}

impl Suppress {
    /// Reads them; `name` is what people call the file.
    ///
    /// # Errors
    /// Every line that is neither an address nor a domain, with its number: somebody relies on it.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        let Some(text) = list::small_text(bytes) else {
            return Err(vec![Mistake::new(name, "is neither UTF-8 nor UTF-16 text; save it as UTF-8")]);
        };
        let mut suppress = Self::default();
        let mut mistakes = Vec::new();
        let mut bad_lines = 0;
        let mut is_first = true;
        for (number, line) in (1..).zip(text.lines()) {
            let entry = first_column(line);
            if entry.is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let is_header = std::mem::take(&mut is_first) && !entry.contains('@');
            if is_header || suppress.add(entry) {
                continue;
            }
            bad_lines += 1;
            if bad_lines <= LISTED {
                mistakes.push(Mistake::new(
                    format!("{name}: line {number}"),
                    format!("\"{entry}\" is neither an address nor @domain; correct the line or remove it"),
                ));
            }
        }
        match bad_lines {
            0 => return Ok(suppress),
            more if more > LISTED => {
                mistakes.push(Mistake::new(
                    name,
                    format!("{} more lines are neither an address nor @domain", more - LISTED),
                ));
            }
            _ => {}
        }
        Err(mistakes)
    }

    /// Whether this address is never to be mailed.
    pub fn holds(&self, address: &EmailAddress) -> bool {
        (!self.domains.is_empty() && self.domains.contains(address.ascii_domain()))
            || (!self.addresses.is_empty() && self.addresses.contains(address))
    }

    fn add(&mut self, entry: &str) -> bool {
        let as_address = if entry.starts_with('@') { format!("x{entry}") } else { entry.to_owned() };
        let Ok(address) = EmailAddress::parse(&as_address) else { return false };
        if entry.starts_with('@') {
            self.domains.insert(address.ascii_domain().to_owned());
        } else {
            self.addresses.insert(&address);
        }
        true
    }
}

/// The first value of a line, of which neither an address nor a domain needs a separator in it.
fn first_column(line: &str) -> &str {
    let line = line.trim();
    let value = match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => line.split([',', ';', '\t', '|']).next(),
    };
    value.unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).expect("an address")
    }

    #[test]
    fn addresses_and_domains_are_held_in_any_case_and_with_more_columns() {
        let text =
            "\u{feff}Email;Since\n# left the company\nANN@example.org;2027\r\n\n@Exämple.net\n\"bob@example.com\",x\n";
        let suppress = Suppress::read("suppress.csv", text.as_bytes()).expect("good lines");
        for held in ["ann@EXAMPLE.org", "anyone@xn--exmple-cua.net", "Bob@example.com"] {
            assert!(suppress.holds(&address(held)), "{held}");
        }
        for free in ["ann@example.com", "x@sub.xn--exmple-cua.net", "carol@example.org"] {
            assert!(!suppress.holds(&address(free)), "{free}");
        }
    }

    #[test]
    fn every_bad_line_is_a_mistake_with_its_number() {
        let mistakes =
            Suppress::read("suppress.csv", b"ann@example.org\nbob\n@\ncarol@example.org\n").expect_err("bad lines");
        let shown: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown[0].starts_with("suppress.csv: line 2: \"bob\"") && shown[1].starts_with("suppress.csv: line 3"));
    }

    #[test]
    fn many_bad_lines_are_summed_up() {
        let mistakes = Suppress::read("s", "x@y\n".repeat(1000).as_bytes()).expect_err("bad lines");
        assert_eq!(mistakes.len(), LISTED + 1);
        assert!(mistakes[LISTED].message.contains("980 more"));
    }

    #[test]
    fn an_empty_file_holds_nobody() {
        assert!(!Suppress::read("s", b"").expect("empty is good").holds(&address("ann@example.org")));
    }
}
