//! How a run is to behave.

use campaign::spec::{Delivery, OnUnknown, Rate, Retry};
use std::time::Duration;

/// How a run is to behave: `spec.delivery` without its backends.
#[derive(Debug, Clone)]
pub struct Options {
    /// Mails a second; none: unlimited.
    pub rate: Option<Rate>,
    /// When and how often to try again; also how breakers back off and when a run gives up on its backends.
    pub retry: Retry,
    /// Mails claimed and not settled, at most; at least 1.
    pub max_in_flight: u32,
    /// What to do with a mail of which nobody knows whether it was delivered.
    pub on_unknown: OnUnknown,
    /// How long an orderly stop waits.
    pub grace: Grace,
}

impl From<&Delivery> for Options {
    fn from(delivery: &Delivery) -> Self {
        Self {
            rate: delivery.rate.clone(),
            retry: delivery.retry,
            max_in_flight: delivery.max_in_flight,
            on_unknown: delivery.on_unknown,
            grace: Grace::default(),
        }
    }
}

/// How long an orderly stop waits for the mails that were begun, counted from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// The final dot (or the body of an HTTP request) may still be written for this long.
    pub final_dot: Duration,
    /// The reply is awaited for this long; after it the mail is unknown.
    pub reply: Duration,
}

impl Default for Grace {
    /// 3 s to the final dot; 9 s to the reply, so that all is settled within 10 s on a busy machine too.
    fn default() -> Self {
        Self { final_dot: Duration::from_secs(3), reply: Duration::from_secs(9) }
    }
}
