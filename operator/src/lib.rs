//! The controller: brings each `MailCampaign` on a cluster a step nearer to what it declares, and says in its status how far it is.
//!
//! `controller::reconcile` is the whole: observe (I/O), `lifecycle::next` (pure), `build` (pure), `apply` (I/O), `status::of` (pure).

pub mod apply;
pub mod build;
pub mod caches;
pub mod context;
pub mod controller;
pub mod drift;
pub mod events;
pub mod job;
pub mod kafka;
pub mod leader;
pub mod lifecycle;
pub mod metrics;
pub mod observe;
pub mod observed;
pub mod queue;
pub mod resource;
pub mod rights;
pub mod run;
pub mod scaling;
pub mod seen;
pub mod status;
pub mod trouble;
