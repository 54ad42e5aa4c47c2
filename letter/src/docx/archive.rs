//! The ZIP archive that a document is (PKWARE APPNOTE 6.3): what never changes is laid out once, and each document is that and its own parts.

use super::{error::Error, package::Entry};

/// The parts that are the same in every document, in the form in which each document begins, and their directory.
pub(super) struct Archive {
    /// Local headers and compressed octets.
    pub(super) front: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

/// A part's place in the archive.
pub(super) struct Header {
    name: String,
    method: u16,
    modified: (u16, u16),
}

/// What is known of a part once it is written.
#[derive(Clone, Copy)]
pub(super) struct Written {
    pub(super) crc: u32,
    pub(super) compressed: u32,
    pub(super) size: u32,
    pub(super) offset: u32,
}

const LOCAL_HEADER: usize = 30;
const NEEDED_VERSION: u16 = 20;

impl Header {
    /// Of a part that is written anew.
    pub(super) fn deflated(entry: &Entry) -> Self {
        Self { name: entry.name.clone(), method: 8, modified: entry.modified }
    }

    fn copied(entry: &Entry) -> Self {
        Self { method: entry.method, ..Self::deflated(entry) }
    }

    /// What both the local header and the directory say.
    fn common(&self, out: &mut Vec<u8>, written: Written) {
        let is_utf8 = if self.name.is_ascii() { 0 } else { 1 << 11 };
        for word in [NEEDED_VERSION, is_utf8, self.method, self.modified.0, self.modified.1] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for word in [written.crc, written.compressed, written.size] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&u16::try_from(self.name.len()).unwrap_or(u16::MAX).to_le_bytes());
    }

    fn local(&self, out: &mut Vec<u8>, written: Written) {
        out.extend_from_slice(b"PK\x03\x04");
        self.common(out, written);
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(self.name.as_bytes());
    }

    fn central(&self, out: &mut Vec<u8>, written: Written) {
        out.extend_from_slice(b"PK\x01\x02");
        out.extend_from_slice(&NEEDED_VERSION.to_le_bytes());
        self.common(out, written);
        // No extra field, comment, disk, attributes.
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&written.offset.to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
    }

    /// Writes the part: `data` appends its deflated octets and gives checksum and size.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        data: impl FnOnce(&mut Vec<u8>) -> (u32, usize),
    ) -> Result<Written, Error> {
        let offset = out.len();
        self.local(out, Written { crc: 0, compressed: 0, size: 0, offset: 0 });
        let start = out.len();
        let (crc, size) = data(out);
        let written =
            Written { crc, compressed: octets(out.len() - start)?, size: octets(size)?, offset: octets(offset)? };
        let mut header = Vec::with_capacity(LOCAL_HEADER + self.name.len());
        self.local(&mut header, written);
        if let Some(place) = out.get_mut(offset..start) {
            place.copy_from_slice(&header);
        }
        Ok(written)
    }
}

fn octets(count: usize) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::TooLarge { what: "a merged document", limit: "4 GiB".to_owned() })
}

impl Archive {
    /// Lays out the parts that are copied as they are.
    pub(super) fn of(entries: &[Entry]) -> Result<Self, Error> {
        let mut archive = Self { front: Vec::new(), directory: Vec::new(), count: 0 };
        for entry in entries {
            let header = Header::copied(entry);
            let compressed = octets(entry.compressed.len())?;
            let written =
                Written { crc: entry.crc, compressed, size: entry.size, offset: octets(archive.front.len())? };
            header.local(&mut archive.front, written);
            archive.front.extend_from_slice(&entry.compressed);
            header.central(&mut archive.directory, written);
            archive.count += 1;
        }
        Ok(archive)
    }

    /// How much a document has at least.
    pub(super) fn size(&self) -> usize {
        self.front.len() + self.directory.len()
    }

    /// Ends a document with the directory of the parts that never change and of its own.
    pub(super) fn finish(&self, out: &mut Vec<u8>, own: &[(&Header, Written)]) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(&self.directory);
        for (header, written) in own {
            header.central(out, *written);
        }
        let (size, offset) = (octets(out.len() - start)?, octets(start)?);
        let count = self.count + u16::try_from(own.len()).unwrap_or(0);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        Ok(())
    }
}
