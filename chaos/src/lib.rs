//! Chaos on real processes: real brokers, producers and workers that are killed, frozen and restarted by a plan that a seed can repeat, and an account
//! of every recipient that is compared with what the mail server saw. Never part of the product.
//!
//! [`Plan`] says what happens when (pure), [`run`] makes it happen on a [`Rig`], [`Evidence`] is what can be seen afterwards, and [`check`] judges it
//! (pure). `cargo xtask chaos` runs many rounds; the tests of this crate run a small one.

mod check;
mod evidence;
mod plan;
mod process;
mod programs;
mod rig;
mod round;
mod summary;
mod topics;

pub use check::{Tally, Violation, check};
pub use evidence::{Dot, Evidence, Happening, Reported};
pub use plan::{Fault, Plan, Random, Size, Timed};
pub use process::{Process, Signal};
pub use programs::{BUILT, Programs};
pub use rig::{Campaign, Rig, Slot};
pub use round::run;
pub use summary::Summary;
