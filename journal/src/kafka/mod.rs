//! The journal on Apache Kafka: many producers, many workers, one account. `docs/protocol.md` says how, `docs/wire.md` what is on the topics.

mod clients;
mod control;
mod errors;
mod names;
mod settings;
mod transactor;
pub mod wire;

pub use names::{Names, Which};
pub use settings::Settings;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// How the journal of a campaign is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How Kafka is reached.
    pub settings: Settings,
    /// Which campaign.
    pub which: Which,
    /// Partitions of `outbox` and `outcomes`, when they are created or grown.
    pub partitions: u32,
    /// Copies of each partition, when topics are created; none: the broker's default.
    pub replication: Option<u16>,
    /// How long things take.
    pub timing: Timing,
}

/// How long things take. The order matters: a lease is over before anybody calls its claims unknown, and a transaction that hangs is over before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A claim may be sent for this long after the start of the last committed tick of its partition.
    pub lease: Duration,
    /// A claim that a new owner finds is unknown this long after the owner has read it.
    pub takeover: Duration,
    /// The broker ends a transaction that takes longer.
    pub transaction: Duration,
    /// When a partition is given away: how long begun mails have to their final dot.
    pub final_dot: Duration,
    /// And how long to the reply, from the same moment.
    pub reply: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(20),
            takeover: Duration::from_secs(22),
            transaction: Duration::from_secs(10),
            final_dot: Duration::from_secs(3),
            reply: Duration::from_secs(5),
        }
    }
}

/// What the clones, publishers and workers of a journal share.
pub(crate) struct Shared {
    settings: Settings,
    names: Names,
    uid: String,
    timing: Timing,
    /// The largest record that the broker takes, in bytes.
    max_record_bytes: usize,
    /// By partition: the commits of this process, so that a reader here never sees less.
    seen: Mutex<BTreeMap<i32, u64>>,
}
