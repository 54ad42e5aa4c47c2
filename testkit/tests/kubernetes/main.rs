//! Kubernetes as the tests get it.

mod api_server;
mod cluster;
