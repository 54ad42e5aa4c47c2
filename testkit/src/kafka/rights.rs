//! Gives users rights (access control lists), as the administrator.

use super::wire::{Answer, request};
use super::{Error, Kafka};
use std::io;
use std::time::{Duration, Instant};

const DESCRIBE_ACLS: i16 = 29;
const CREATE_ACLS: i16 = 30;
/// The last one before the flexible versions.
const VERSION: i16 = 1;

const LITERAL: u8 = 3;
const PREFIXED: u8 = 4;
const ALLOW: u8 = 3;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a right is about. A name that ends with `*` stands for all names that begin so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
    /// A producer's `transactional.id`.
    TransactionalId(&'a str),
    /// The cluster itself, for making topics anywhere.
    Cluster,
}

/// What may be done. Reading, writing, deleting and altering include describing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are Kafka's own names")]
pub enum Right {
    All = 2,
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
}

impl Kafka {
    /// Gives `user` a right, and waits until all brokers that run know of it. A user known by a client certificate is called `CN=…`.
    ///
    /// # Panics
    /// If the brokers have no rights to give ([`super::Security::rights`]).
    pub fn allow(&self, user: &str, resource: Resource<'_>, right: Right) {
        let ports = self.inside_ports();
        let (first, _) = ports.split_first().expect("a broker runs");
        let given = create(*first, user, resource, right).and_then(|()| {
            let deadline = Instant::now() + PATIENCE;
            for port in &ports {
                while !is_known(*port, user, resource, right)? {
                    if Instant::now() > deadline {
                        return Err(io::Error::other("the right didn't come to every broker"));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Ok(())
        });
        let given = given.map_err(|error| Error::Request { port: *first, message: error.to_string() });
        given.unwrap_or_else(|error| panic!("Kafka: {error}"));
    }
}

fn create(port: u16, user: &str, resource: Resource<'_>, right: Right) -> io::Result<()> {
    let body = [1_i32.to_be_bytes().to_vec(), entry(user, resource, right)?].concat();
    let answer = request(port, CREATE_ACLS, VERSION, &body)?;
    let mut answer = Answer(&answer);
    let (_throttled, _count, code) = (answer.int32()?, answer.int32()?, answer.int16()?);
    refused(code, &mut answer)
}

fn is_known(port: u16, user: &str, resource: Resource<'_>, right: Right) -> io::Result<bool> {
    // The filter has the same fields in the same order.
    let answer = request(port, DESCRIBE_ACLS, VERSION, &entry(user, resource, right)?)?;
    let mut answer = Answer(&answer);
    let (_throttled, code) = (answer.int32()?, answer.int16()?);
    if code != 0 {
        refused(code, &mut answer)?;
    }
    answer.string()?;
    Ok(answer.int32()? > 0)
}

fn refused(code: i16, answer: &mut Answer<'_>) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::other(format!("error {code}: {}", answer.string()?))) }
}

fn entry(user: &str, resource: Resource<'_>, right: Right) -> io::Result<Vec<u8>> {
    let (kind, name) = match resource {
        Resource::Topic(name) => (2, name),
        Resource::Group(name) => (3, name),
        Resource::Cluster => (4, "kafka-cluster"),
        Resource::TransactionalId(name) => (5, name),
    };
    let (pattern, name) = match name.strip_suffix('*') {
        Some(beginning) if !beginning.is_empty() => (PREFIXED, beginning),
        _ => (LITERAL, name),
    };
    let parts = [
        vec![kind],
        string(name)?,
        vec![pattern],
        string(&format!("User:{user}"))?,
        string("*")?,
        vec![right as u8, ALLOW],
    ];
    Ok(parts.concat())
}

fn string(text: &str) -> io::Result<Vec<u8>> {
    let length = i16::try_from(text.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), text.as_bytes()].concat())
}
