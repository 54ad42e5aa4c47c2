//! The domain of MailCampaign: the resource and its rules, the records on the wire, outcomes and counts.
//!
//! Pure: no I/O, no async, no clock, no randomness. Everything here is a value or a function of values, so that the command line,
//! the pods and the tests all mean the same thing by it.

pub mod address;
pub mod contents;
pub mod counts;
pub mod crd;
pub mod duration;
pub mod guard;
pub mod identity;
pub mod mailbox;
pub mod mistake;
pub mod outcome;
pub mod record;
pub mod references;
pub mod rules;
pub mod schedule;
pub mod spec;
pub mod status;
pub mod told;
pub mod window;

pub use address::EmailAddress;
pub use contents::{ContentKey, Contents};
pub use counts::Counts;
pub use crd::{crd, crd_yaml};
pub use duration::HumanDuration;
pub use identity::CampaignUid;
pub use mailbox::Mailbox;
pub use mistake::Mistake;
pub use outcome::{Outcome, Reply, Settlement};
pub use record::{Fields, Message, SkipReason, Skipped};
pub use rules::ValidCampaign;
pub use schedule::Schedule;
pub use spec::{MailCampaign, MailCampaignSpec};
pub use status::MailCampaignStatus;
pub use window::DeliveryWindow;
