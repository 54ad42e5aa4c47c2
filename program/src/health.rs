//! Whether a program is alive and ready: what `/healthz` and `/readyz` answer. Its loops report; nothing here watches them.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// What a program knows of its own health. Cheap to clone; every clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Health {
    loops: Arc<Mutex<Vec<Weak<Loop>>>>,
    ready: Ready,
}

#[derive(Debug)]
struct Loop {
    name: &'static str,
    bound: Duration,
    last: Mutex<Instant>,
}

impl Health {
    /// Alive, and not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A loop begins that moves at least every `bound`; until its [`Heartbeat`] is dropped the program is alive only while it does.
    pub fn heartbeat(&self, name: &'static str, bound: Duration) -> Heartbeat {
        let moving = Arc::new(Loop { name, bound, last: Mutex::new(Instant::now()) });
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|ended| ended.strong_count() > 0);
        loops.push(Arc::downgrade(&moving));
        Heartbeat(moving)
    }

    /// Where the program says whether it can do its work.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Whether every loop moved within its bound.
    ///
    /// # Errors
    /// A sentence about the first that did not.
    pub fn alive(&self) -> Result<(), String> {
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        for moving in loops.iter().filter_map(Weak::upgrade) {
            let still = moving.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            if still > moving.bound {
                return Err(format!(
                    "{} has not moved for {:.1} s; its bound is {:.1} s",
                    moving.name,
                    still.as_secs_f64(),
                    moving.bound.as_secs_f64()
                ));
            }
        }
        Ok(())
    }
}

/// A loop's way to say that it moves. Dropped when the loop has ended as it should.
#[derive(Debug)]
pub struct Heartbeat(Arc<Loop>);

impl Heartbeat {
    /// It moved. Cheap enough for every turn.
    pub fn beat(&self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Whether the program can do its work now. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Ready(Arc<Mutex<Option<String>>>);

impl Default for Ready {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some("starting".to_owned()))))
    }
}

impl Ready {
    /// It can, or it can't for no reason that is known here.
    pub fn set(&self, ready: bool) {
        self.put((!ready).then(|| "not ready".to_owned()));
    }

    /// It can't, for a reason (`no Kafka`). The reason is shown to whoever asks: neither secrets nor addresses.
    pub fn wait_for(&self, reason: impl Into<String>) {
        self.put(Some(reason.into()));
    }

    fn put(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Whether it can.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_beyond_its_bound_is_named() {
        let health = Health::new();
        let tick = health.heartbeat("the tick", Duration::from_secs(5));
        advance(Duration::from_secs(5)).await;
        assert_eq!(health.alive(), Ok(()));
        advance(Duration::from_millis(100)).await;
        assert_eq!(health.alive(), Err("the tick has not moved for 5.1 s; its bound is 5.0 s".to_owned()));
        tick.beat();
        assert_eq!(health.alive(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_has_ended_need_not_move() {
        let health = Health::new();
        drop(health.heartbeat("the publisher", Duration::from_secs(1)));
        let kept = health.heartbeat("the tick", Duration::from_mins(1));
        advance(Duration::from_secs(30)).await;
        assert_eq!(health.alive(), Ok(()));
        drop(kept);
    }
}
