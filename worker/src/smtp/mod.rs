//! The SMTP client (RFC 5321): fast, and exact about how far each mail came.
//!
//! [`Client`] holds a pool of connections to one server. Mails are pipelined (RFC 2920): MAIL, RCPT and DATA of the next mail travel in the same
//! write as the content of this one, so that a mail costs one round trip. Content never follows its envelope before the server has accepted
//! both sender and recipient: a connection that turns out to be dead then costs nothing, for nothing of the mail was content.
//!
//! ```text
//! settings  what is known of a server            wire        bytes, in the clear or through TLS, with timeouts
//! client    send, close                          connection  greeting, EHLO, STARTTLS, AUTH
//! pool      who sends which mail, how many       pipeline    mail after mail over one connection
//! job       a mail on its way, and its answer    opening     MAIL, RCPT, DATA and their replies
//! classify  reply -> what it means (pure)        exchange    one command, one reply
//! failure   why, how far, what may be done       reply, features, stuffing   bytes <-> meaning (pure)
//! ```
//!
//! It must never: write content without an accepted recipient, write a final dot through a closed [`crate::Gate`], take one command's reply for
//! another's, or put a password or an address into a log.

mod alarm;
mod auth;
mod classify;
mod client;
mod connection;
mod exchange;
mod failure;
mod features;
mod job;
mod opening;
mod pipeline;
mod pool;
pub mod reply;
mod settings;
mod stuffing;
mod tls;
mod wire;

pub use classify::{Class, classify};
pub use client::{Client, Mail};
pub use failure::{Failure, Kind, Phase};
pub use settings::{Credentials, Settings};
pub use tls::{BadCertificates, certificates_from_pem};
