//! The SMTP client against real servers on loopback.

mod extensions;
mod gate;
mod phases;
mod pool;
mod security;
mod support;
