//! ZIP archives around a part, so that the fuzzer can reach what is inside: a change to a compressed archive seldom leaves its checksums right.

use std::borrow::Cow;
use std::io::{Cursor, Write};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// The bytes themselves if they begin as an archive does; else an archive of `others` and, as `part`, the bytes.
pub(crate) fn around<'a>(part: &str, bytes: &'a [u8], others: &[(&str, &str)]) -> Cow<'a, [u8]> {
    if bytes.starts_with(b"PK") {
        return Cow::Borrowed(bytes);
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let parts = others.iter().map(|(name, text)| (*name, text.as_bytes())).chain([(part, bytes)]);
    for (name, content) in parts {
        archive.start_file(name, stored).expect("the names differ");
        archive.write_all(content).expect("memory takes it");
    }
    Cow::Owned(archive.finish().expect("memory takes it").into_inner())
}
