//! Ports that no other broker of these tests takes, also while this one is down for a moment.
//!
//! Free ports of the system's own choice may be given to anybody in the meantime. So ports come from below the range that the system chooses from, in
//! blocks, and a block belongs to who holds the lock on its file.

use super::Error;
use crate::cache;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// How many brokers there can be.
pub(crate) const MOST_BROKERS: u16 = 3;
/// The first port of the first block, and how many blocks there are. Linux chooses from 32768 on.
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 1_000;
const BLOCK: u16 = 3 * MOST_BROKERS;

/// The ports of one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Where clients come.
    pub(crate) client: u16,
    /// Where brokers talk to each other, and the rig to them: never encrypted, no login.
    pub(crate) inside: u16,
    /// Where controllers talk to each other.
    pub(crate) controller: u16,
}

/// The ports of all brokers, and the lock that keeps others away from them.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) ports: Vec<Ports>,
    _lock: Option<File>,
}

impl Block {
    /// Ports that nobody uses.
    pub(crate) fn choose(brokers: u16) -> Result<Self, Error> {
        let folder = cache::folder("ports").map_err(Error::file(Path::new("the cache")))?;
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        // Processes begin at different places, so that they seldom meet.
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap_or(0);
        for number in (start..BLOCKS).chain(0..start) {
            let path = folder.join(number.to_string());
            let lock = File::create(&path).map_err(Error::file(&path))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let first = FIRST + number * BLOCK;
            let ports = numbered(first, brokers, MOST_BROKERS);
            if are_free(&ports) {
                return Ok(Self { ports, _lock: Some(lock) });
            }
        }
        Err(Error::NoPorts { from: FIRST })
    }

    /// Clients come to `first` and the ports after it; the brokers' own are ten and twenty above.
    pub(crate) fn given(first: u16, brokers: u16) -> Result<Self, Error> {
        if first.checked_add(2 * 10 + MOST_BROKERS).is_none() {
            return Err(Error::NoPorts { from: first });
        }
        Ok(Self { ports: numbered(first, brokers, 10), _lock: None })
    }

    /// Whether nobody listens on any of them.
    pub(crate) fn is_free(&self) -> bool {
        are_free(&self.ports)
    }
}

fn numbered(first: u16, brokers: u16, apart: u16) -> Vec<Ports> {
    let of = |broker| Ports {
        client: first + broker,
        inside: first + apart + broker,
        controller: first + 2 * apart + broker,
    };
    (0..brokers).map(of).collect()
}

fn are_free(ports: &[Ports]) -> bool {
    let all = ports.iter().flat_map(|ports| [ports.client, ports.inside, ports.controller]);
    all.into_iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_never_get_the_same_ports() {
        let one = Block::choose(3).expect("ports");
        let two = Block::choose(3).expect("ports");
        assert_eq!(one.ports.len(), 3);
        assert_ne!(one.ports[0], two.ports[0]);
        let all = |block: &Block| -> Vec<u16> {
            block.ports.iter().flat_map(|ports| [ports.client, ports.inside, ports.controller]).collect()
        };
        assert!(all(&one).iter().all(|port| !all(&two).contains(port)));
    }

    #[test]
    fn a_given_port_is_the_first_broker_s_and_the_others_follow() {
        let block = Block::given(9092, 3).expect("ports");
        assert_eq!(block.ports[0], Ports { client: 9092, inside: 9102, controller: 9112 });
        assert_eq!(block.ports[2].client, 9094);
    }
}
