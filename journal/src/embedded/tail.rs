//! Follows the settlements of an embedded journal.

use crate::{Error, Tail};
use campaign::Settlement;

/// Follows the settlements.
pub struct EmbeddedTail {}

impl Tail for EmbeddedTail {
    async fn next(&mut self) -> Result<Vec<Settlement>, Error> {
        std::future::pending().await
    }
}
