//! The few requests of the Kafka protocol that the rig makes itself, so that knowing whether a broker is up needs no client library.
//!
//! Requests before their flexible versions: length, then key, version, correlation and client id, then the body.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 1;
const TIMEOUT: Duration = Duration::from_secs(5);
/// No answer that is read here comes near it.
const LONGEST_ANSWER: usize = 1 << 20;

/// The ids of the brokers that take part, as the broker at `port` knows them.
pub(super) fn brokers(port: u16) -> io::Result<Vec<i32>> {
    // No topics are asked for.
    let answer = request(port, METADATA, METADATA_VERSION, &0_i32.to_be_bytes())?;
    let mut answer = Answer(&answer);
    let count = answer.int32()?;
    (0..count)
        .map(|_| {
            let id = answer.int32()?;
            answer.string()?;
            answer.int32()?;
            answer.string()?;
            Ok(id)
        })
        .collect()
}

/// Sends one request and returns the body of its answer.
pub(super) fn request(port: u16, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut message = Vec::new();
    message.extend(key.to_be_bytes());
    message.extend(version.to_be_bytes());
    message.extend(0_i32.to_be_bytes());
    message.extend((-1_i16).to_be_bytes());
    message.extend(body);
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message.as_slice()].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    // The correlation comes first.
    if !(4..=LONGEST_ANSWER).contains(&length) {
        return Err(malformed());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer.split_off(4))
}

/// What is left of an answer.
pub(super) struct Answer<'a>(pub(super) &'a [u8]);

impl Answer<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn int16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    pub(super) fn int32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    /// A string that may be null, which is told by the length -1.
    pub(super) fn string(&mut self) -> io::Result<String> {
        let Ok(length) = usize::try_from(self.int16()?) else { return Ok(String::new()) };
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an answer of the Kafka protocol")
}
