//! What strangers can send us, as functions of bytes: each target must return, whatever the bytes are. A panic, an endless loop, a runaway
//! allocation or a broken law is a defect.
//!
//! `cargo xtask fuzz` feeds them with libFuzzer. An ordinary `cargo test` feeds them the inputs in `seeds/`, among them every one that ever failed.

mod archive;
mod letters;
mod lists;
mod replies;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them. Each has a folder of its name in `seeds/`.
pub const TARGETS: &[Target] = &[
    ("address", lists::address),
    ("csv", lists::csv),
    ("docx", letters::docx),
    ("ndjson", lists::ndjson),
    ("reply", replies::reply),
    ("template", letters::template),
    ("xlsx", lists::xlsx),
];

/// The target with this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
