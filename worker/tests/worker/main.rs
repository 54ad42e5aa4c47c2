//! The worker as a whole: a journal with messages in it, backends that behave well and badly, and what becomes of each message.

mod failover;
mod group;
mod hours;
mod http;
mod journal_fails;
mod member;
mod obstacles;
mod outbox;
mod outcomes;
mod rates;
mod serving;
mod stopping;
mod support;
