//! What is printed: results on stdout, lines for people on stderr.

use std::io::Write;

/// Writes a result to stdout; false once nobody reads any more, which is no failure (`| head`).
pub(crate) fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Writes a line for people to stderr.
pub(crate) fn tell(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
