//! The SMTP client against real servers on loopback.

mod extensions;
mod gate;
mod lease;
mod phases;
mod pool;
mod security;
mod support;
