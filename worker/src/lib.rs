//! The worker: journal -> letter -> backend -> journal.
//!
//! [`run`] is the whole of it: claim mails in the journal, make each letter, hand it to a backend, settle what became of it. Around that stand the rate
//! ([`pacing`]), retries ([`outcome`]), circuit breakers and failover ([`backend`]), the guards that stop a blocked sender and a campaign that goes wrong
//! ([`guard`]), the hours in which mails may leave, and an orderly stop ([`Stop`]). It never sends a mail whose claim is not committed, or whose lease is over, and it never prints: progress goes out as values.
//! [`serve`] is what the program `mailcampaign-worker` does.

pub mod backend;
mod clock;
mod deliver;
mod ending;
mod error;
mod gate;
pub mod guard;
mod hours;
mod intake;
mod lanes;
pub mod metrics;
mod opened;
mod options;
pub mod outcome;
pub mod pacing;
mod progress;
mod run;
mod serve;
pub mod smtp;
mod stop;

pub use backend::Backends;
pub use clock::WallClock;
pub use error::Error;
pub use gate::Gate;
pub use metrics::Metrics;
pub use opened::Opened;
pub use options::{Grace, Options, Until};
pub use progress::{Progress, Trouble};
pub use run::{Ended, Finished, run};
pub use serve::serve;
pub use stop::{Stop, StopLevel};
