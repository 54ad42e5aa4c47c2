//! What an SMTP server says.

use worker::smtp::reply;

/// Bytes from a server. The beginning of a good reply is never taken for a bad one, nor for a whole one.
pub(crate) fn reply(bytes: &[u8]) {
    let Ok(Some((whole, length))) = reply::parse(bytes) else { return };
    assert!((1..=bytes.len()).contains(&length));
    assert_eq!(reply::parse(&bytes[..length]), Ok(Some((whole, length))));
    for end in [1, length / 2, length - 1] {
        let beginning = &bytes[..end.min(length - 1)];
        assert_eq!(reply::parse(beginning), Ok(None), "{:?}", String::from_utf8_lossy(beginning));
    }
}
