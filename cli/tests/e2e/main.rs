//! The whole program from outside: the real `mailcampaign`, real files, and a server on the loopback address that keeps account.

mod bad_input;
mod crash;
mod example;
mod following;
mod hours;
mod in_pod;
mod outcomes;
mod replaying;
mod resuming;
mod rig;
mod sending;
mod stopping;
mod validation;
