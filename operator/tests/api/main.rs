//! The operator on a real API server and a real Kafka. What a node would do (pods that publish and send) is done by `node.rs`, in the journal, as the
//! programs do it.

#[path = "../faults/mod.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod faults;

mod changes;
mod crashes;
mod life;
mod node;
mod stale;
mod world;
