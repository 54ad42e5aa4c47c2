//! A place in a tick at which a test does something: freezes the process, for example.

use std::sync::{Arc, Mutex, PoisonError};

type Deed = Arc<dyn Fn() + Send + Sync>;

/// What is done whenever a tick comes by; nothing, as long as nothing is set.
#[derive(Clone, Default)]
pub(super) struct Failpoint(Arc<Mutex<Option<Deed>>>);

impl Failpoint {
    /// From now on this is done.
    pub(super) fn set(&self, deed: impl Fn() + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(deed));
    }

    /// A tick comes by.
    pub(super) fn pass(&self) {
        let deed = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(deed) = deed {
            deed();
        }
    }
}

impl std::fmt::Debug for Failpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Failpoint")
    }
}
