//! The operator on a real API server and a real Kafka. What a node would do (pods that publish and send) is done by `node.rs`, in the journal, as the
//! programs do it.

mod changes;
mod crashes;
mod fault_layer;
mod faults;
mod life;
mod node;
mod others;
mod stale;
mod topics;
mod world;
